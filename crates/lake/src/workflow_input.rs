//! Parses the input of a workflow.
//!
//! A workflow is started by a person, a schedule, an upload, or another workflow, each with another form of input. The first
//! function of a workflow resolves it once to days or to objects; later states only get days.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU16;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::America::Sao_Paulo;
use market::partition::DateRange;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::MAX_PARALLEL;
use crate::engine::EngineChoice;
use crate::error::Error;

/// The request in the input of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The daily schedule: this day, which is yesterday, and stale days before it.
    DayBefore(NaiveDate),
    /// All of these days.
    Days(DateRange),
    /// The stale ones of these days.
    Stale(DateRange),
    /// Those of these days that are not current: the stale ones, also if their audit failed with the same raw files.
    NotCurrent(DateRange),
    /// Those of these days that an upload has made stale.
    Uploaded(DateRange),
    /// Objects that were just created. Never empty, in the order of bucket and key, each once.
    Objects(BTreeSet<LandedObject>),
}

/// An object that was just created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandedObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key, not URL-encoded.
    pub key: String,
}

impl Request {
    /// Returns the days of a request, for workflows that do not distinguish stale days.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for [`Request::Stale`], [`Request::NotCurrent`], [`Request::Uploaded`] and [`Request::Objects`].
    pub fn range(self) -> Result<DateRange, Error> {
        match self {
            Request::DayBefore(day) => DateRange::day(day).map_err(|error| refused(error.to_string())),
            Request::Days(range) => Ok(range),
            Request::Stale(_) => Err(refused("\"stale\" is for create_datalake alone")),
            Request::NotCurrent(_) | Request::Uploaded(_) => Err(refused("\"which\" is for create_datalake alone")),
            Request::Objects(objects) => Err(refused(format!("it names {}, and no days", named(&objects)))),
        }
    }
}

/// The forms of input that [`resolve`] accepts, for messages.
pub const ACCEPTED: &str = "{} for yesterday in Sao Paulo, {\"date\": \"2020-04-01\"}, \
    {\"from\": \"2020-04-01\", \"to\": \"2020-04-09\"}, an EventBridge schedule event, an S3 \"Object Created\" event, or \
    [{\"bucket\": \"...\", \"key\": \"landing/...\"}, ...]";

/// The field by which the console links an execution to the one that started it. A workflow ignores it.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-nested-workflows.html>
pub const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

/// Resolves the input of a workflow that was started at `now`.
///
/// | input | meaning |
/// |---|---|
/// | `{}` | the day before `now` in Sao Paulo, and stale days before it |
/// | `{"date": "2020-04-01"}` | that day |
/// | `{"from": "2020-04-01", "to": "2020-04-09"}` | those days, inclusive at both ends |
/// | `{"from": "2020-04-01", "to": "2020-04-09", "stale": true}` | the stale ones of these days |
/// | the same with `"which": "all"`, `"stale"` or `"not_current"` | all of these days, the stale ones, or those that are not current |
/// | the same with `"which": "uploaded"` | the stale ones, after an upload: see [`crate::plan::DaySelection::Uploaded`] |
/// | a scheduled event of EventBridge or its Scheduler | as `{}`, at its `time` |
/// | an `Object Created` event of S3, by EventBridge | that object |
/// | `[{"bucket": "raw", "key": "landing/a.csv"}, ...]` | these objects: a batch of such events |
///
/// Another state machine that starts the workflow may add `AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID`.
///
/// # Errors
/// [`Error::InvalidInput`] for anything else, with the reason and the accepted forms.
pub fn resolve(input: &Value, now: DateTime<Utc>) -> Result<Request, Error> {
    parse(input, now).map_err(refused)
}

/// As [`resolve`]. The error is the reason alone.
fn parse(input: &Value, now: DateTime<Utc>) -> Result<Request, String> {
    if let Value::Array(items) = input {
        return batch(items);
    }
    let fields = input.as_object().ok_or_else(|| format!("it is {}", kind(input)))?;
    if fields.contains_key("detail-type") {
        return event(fields);
    }
    let selection = selection(fields)?;
    let keys: Vec<&str> =
        fields.keys().map(String::as_str).filter(|key| !["stale", "which", STARTED_BY].contains(key)).collect();
    let range = match keys[..] {
        [] if selection.is_none() => return day_before(now).and_then(as_day_before),
        ["date"] => DateRange::day(date(fields, "date")?),
        ["from", "to"] | ["to", "from"] => DateRange::new(date(fields, "from")?, date(fields, "to")?),
        [] if fields.contains_key("stale") => return Err("\"stale\" stands without \"from\" and \"to\"".to_owned()),
        [] => return Err("\"which\" stands without \"from\" and \"to\"".to_owned()),
        ["from"] => return Err("\"from\" stands without \"to\"".to_owned()),
        ["to"] => return Err("\"to\" stands without \"from\"".to_owned()),
        _ => return Err(format!("its fields are {}", keys.join(", "))),
    };
    range.map(selection.unwrap_or(Request::Days)).map_err(|error| error.to_string())
}

/// Resolves the input of a run that was started at `now`: as [`resolve`], and the requested engine in `"engine"`.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_run(input: &Value, now: DateTime<Utc>) -> Result<(Request, Option<EngineChoice>), Error> {
    let mut input = input.clone();
    let engine = input.as_object_mut().and_then(|fields| fields.shift_remove("engine"));
    let engine = engine
        .map(|engine| {
            serde_json::from_value(engine)
                .map_err(|_| refused("\"engine\" is \"auto\", \"lambda\" or \"emr\", or not there"))
        })
        .transpose()?;
    Ok((resolve(&input, now)?, engine))
}

/// Makes the request for some days.
type OfDays = fn(DateRange) -> Request;

/// Returns the kind of the request that `"stale"` or `"which"` names. `None` without them.
fn selection(fields: &Map<String, Value>) -> Result<Option<OfDays>, String> {
    let stale = match fields.get("stale") {
        None => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err("\"stale\" is true or not there".to_owned()),
    };
    let which = fields.get("which").map(|which| which.as_str().unwrap_or_default());
    match (stale, which) {
        (false, None) => Ok(None),
        (false, Some("all")) => Ok(Some(Request::Days)),
        (true, None) | (false, Some("stale")) => Ok(Some(Request::Stale)),
        (false, Some("not_current")) => Ok(Some(Request::NotCurrent)),
        (false, Some("uploaded")) => Ok(Some(Request::Uploaded)),
        (true, Some(_)) => Err("\"stale\" and \"which\" stand together".to_owned()),
        (false, Some(_)) => {
            Err("\"which\" is \"all\", \"stale\", \"not_current\" or \"uploaded\", or not there".to_owned())
        }
    }
}

/// The request in the input of the workflow `backfill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillRequest {
    /// The days.
    pub range: DateRange,
    /// Whether days that are current are processed again.
    pub force: bool,
    /// The requested engine. `None`: that of the configuration.
    pub engine: Option<EngineChoice>,
    /// The number of chunks at the same time. `None`: that of the configuration.
    pub parallel: Option<NonZeroU16>,
}

/// The fields of [`BackfillRequest`] that are not days.
#[derive(Deserialize)]
struct BackfillOptions {
    #[serde(default)]
    force: bool,
    engine: Option<EngineChoice>,
    parallel: Option<NonZeroU16>,
}

/// The forms of input that [`resolve_backfill`] accepts, for messages.
const BACKFILL: &str = "{\"from\": \"2010-01-04\", \"to\": \"2019-12-30\"} or {\"date\": \"2020-04-01\"}, and if need be \"force\": true, \
    \"engine\": \"auto\", \"lambda\" or \"emr\", and \"parallel\": 1 to 10";

/// Resolves the input of the workflow `backfill`.
///
/// # Errors
/// [`Error::InvalidInput`] with the reason and the accepted forms.
pub fn resolve_backfill(input: &Value) -> Result<BackfillRequest, Error> {
    parse_backfill(input)
        .map_err(|why| Error::invalid_input(format!("the input says nothing that can be done: {why}. Send {BACKFILL}")))
}

fn parse_backfill(input: &Value) -> Result<BackfillRequest, String> {
    let mut days = input.clone();
    if let Some(fields) = days.as_object_mut() {
        fields.retain(|key, _| !["force", "engine", "parallel"].contains(&key.as_str()));
    }
    let Request::Days(range) = parse(&days, Utc::now())? else {
        return Err("it has no \"from\" and \"to\", or a selection of days".to_owned());
    };
    let options = BackfillOptions::deserialize(input).map_err(|error| error.to_string())?;
    let BackfillOptions { force, engine, parallel } = options;
    if parallel.is_some_and(|parallel| parallel.get() > MAX_PARALLEL) {
        return Err(format!("its \"parallel\" is over {MAX_PARALLEL}"));
    }
    Ok(BackfillRequest { range, force, engine, parallel })
}

fn as_day_before(day: NaiveDate) -> Result<Request, String> {
    // Checks here that the day is in the supported years, and not later where it is converted to a range.
    DateRange::day(day).map(|_| Request::DayBefore(day)).map_err(|error| error.to_string())
}

fn event(fields: &Map<String, Value>) -> Result<Request, String> {
    let source = fields.get("source").and_then(Value::as_str).unwrap_or_default();
    let detail_type = fields.get("detail-type").and_then(Value::as_str).unwrap_or_default();
    match (source, detail_type) {
        ("aws.events" | "aws.scheduler", "Scheduled Event") => {
            let time = text(fields, "time")?;
            let time = DateTime::parse_from_rfc3339(time)
                .map_err(|_| format!("its \"time\" is {time:?}, which is no time"))?;
            day_before(time.to_utc()).and_then(as_day_before)
        }
        ("aws.s3", "Object Created") => {
            let detail = |part: &str, name: &str| {
                let found = fields.get("detail").and_then(|detail| detail.get(part)?.get(name)?.as_str());
                found.map(str::to_owned).ok_or_else(|| format!("it has no \"detail.{part}.{name}\""))
            };
            let object = LandedObject { bucket: detail("bucket", "name")?, key: detail("object", "key")? };
            Ok(Request::Objects(BTreeSet::from([object])))
        }
        _ => Err(format!("it is an event {detail_type:?} from {source:?}")),
    }
}

/// Parses a batch of objects. S3 may send an event twice, so an object may be in it twice.
fn batch(items: &[Value]) -> Result<Request, String> {
    if items.is_empty() {
        return Err("it is an empty list".to_owned());
    }
    let object = |(at, item): (usize, &Value)| {
        LandedObject::deserialize(item).map_err(|error| format!("item {at} of the list is no object: {error}"))
    };
    items.iter().enumerate().map(object).collect::<Result<_, _>>().map(Request::Objects)
}

/// Names objects in a message.
fn named(objects: &BTreeSet<LandedObject>) -> String {
    match objects.first() {
        Some(object) if objects.len() == 1 => object.to_string(),
        Some(object) => format!("{} objects ({object}, ...)", objects.len()),
        None => "no objects".to_owned(),
    }
}

/// `s3://bucket/key`.
impl fmt::Display for LandedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Returns the day before `time` in Sao Paulo.
fn day_before(time: DateTime<Utc>) -> Result<NaiveDate, String> {
    let today = time.with_timezone(&Sao_Paulo).date_naive();
    today.pred_opt().ok_or_else(|| format!("there is no day before {today}"))
}

fn date(fields: &Map<String, Value>, name: &str) -> Result<NaiveDate, String> {
    let text = text(fields, name)?;
    // Compares with the formatted date, because the parser also accepts `2020-4-1`.
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|date| date.to_string() == text);
    date.ok_or_else(|| format!("its {name:?} is {text:?}, which is no day of the form 2020-04-01"))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    let value = fields.get(name).ok_or_else(|| format!("it has no {name:?}"))?;
    value.as_str().ok_or_else(|| format!("its {name:?} is {}", kind(value)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn refused(why: impl AsRef<str>) -> Error {
    Error::invalid_input(format!("the input says nothing that can be done: {}. Send {ACCEPTED}", why.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve_at(input: Value, now: &str) -> Result<Request, Error> {
        resolve(&input, now.parse().expect("a time"))
    }

    fn days(from: &str, to: &str) -> Request {
        Request::Days(DateRange::new(from.parse().expect("a day"), to.parse().expect("a day")).expect("a range"))
    }

    fn scheduled(source: &str, time: &str) -> Value {
        json!({"version": "0", "id": "89d1a02d", "detail-type": "Scheduled Event", "source": source,
            "account": "123456789012", "time": time, "region": "sa-east-1", "resources": [], "detail": {}})
    }

    #[test]
    fn nothing_said_is_the_day_before_in_sao_paulo() {
        for (now, day) in [
            ("2020-04-02T10:00:00Z", "2020-04-01"),
            // It is still the 1st there until three in the morning UTC.
            ("2020-04-02T02:59:59Z", "2020-03-31"),
            ("2020-04-02T03:00:00Z", "2020-04-01"),
            // Daylight saving time, which Brazil kept until 2019: the offset was two hours.
            ("2019-01-10T01:59:59Z", "2019-01-08"),
            ("2019-01-10T02:00:00Z", "2019-01-09"),
            // It began at midnight of 2018-11-04, so that this day has no midnight.
            ("2018-11-04T02:59:59Z", "2018-11-02"),
            ("2018-11-04T03:00:00Z", "2018-11-03"),
            ("2018-11-05T01:59:59Z", "2018-11-03"),
            ("2018-11-05T02:00:00Z", "2018-11-04"),
            // It ended at midnight of 2019-02-17: the 16th has an hour twice.
            ("2019-02-17T02:30:00Z", "2019-02-15"),
            ("2019-02-17T03:00:00Z", "2019-02-16"),
            ("2020-03-01T12:00:00Z", "2020-02-29"),
            ("2021-01-01T03:00:00Z", "2020-12-31"),
        ] {
            let before = Request::DayBefore(day.parse().expect("a day"));
            assert_eq!(resolve_at(json!({}), now).expect(now), before, "{now}");
            for source in ["aws.events", "aws.scheduler"] {
                let event = scheduled(source, now);
                assert_eq!(resolve_at(event, "2026-11-22T12:00:00Z").expect(now), before, "{now}");
            }
        }
    }

    #[test]
    fn days_are_said_by_name() {
        let now = "2026-11-22T12:00:00Z";
        assert_eq!(resolve_at(json!({"date": "2020-04-01"}), now).expect("a day"), days("2020-04-01", "2020-04-01"));
        let range = json!({"to": "2020-04-09", "from": "2020-04-01"});
        assert_eq!(resolve_at(range, now).expect("a range"), days("2020-04-01", "2020-04-09"));
        let nested = json!({"date": "2020-04-01", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:x"});
        assert_eq!(resolve_at(nested, now).expect("a day"), days("2020-04-01", "2020-04-01"));
        let stale = json!({"from": "2020-04-01", "to": "2020-04-09", "stale": true});
        let asked = resolve_at(stale, now).expect("a range");
        assert!(matches!(asked, Request::Stale(range) if range.to().to_string() == "2020-04-09"));
        asked.range().expect_err("not for everyone");
        let selections: [(&str, OfDays); 4] = [
            ("all", Request::Days),
            ("stale", Request::Stale),
            ("not_current", Request::NotCurrent),
            ("uploaded", Request::Uploaded),
        ];
        for (which, expected) in selections {
            let input = json!({"from": "2020-04-01", "to": "2020-04-09", "which": which});
            let range: DateRange = serde_json::from_value(input.clone()).expect("a range");
            assert_eq!(resolve_at(input, now).expect(which), expected(range));
        }
    }

    #[test]
    fn a_backfill_is_a_range() {
        let input = json!({"from": "2010-01-04", "to": "2019-12-30"});
        let range: DateRange = serde_json::from_value(input.clone()).expect("a range");
        let plain = BackfillRequest { range, force: false, engine: None, parallel: None };
        assert_eq!(resolve_backfill(&input).expect("a range"), plain);
        let all = json!({"from": "2010-01-04", "to": "2019-12-30", "force": true, "engine": "lambda", "parallel": 10,
            "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:x"});
        let expected =
            BackfillRequest { force: true, engine: Some(EngineChoice::Lambda), parallel: NonZeroU16::new(10), ..plain };
        assert_eq!(resolve_backfill(&all).expect("a range"), expected);
        for (changes, expected) in [
            (json!([]), "it is an empty list"),
            (json!([{"bucket": "b", "key": "landing/a.csv"}]), "it has no \"from\" and \"to\""),
            (json!({"to": null}), "its \"to\" is null"),
            (json!({"from": "2020-1-1"}), "\"2020-1-1\", which is no day"),
            (json!({"from": "2019-12-31"}), "2019-12-31"),
            (json!({"force": "yes"}), "yes"),
            (json!({"engine": "spark"}), "spark"),
            (json!({"parallel": 0}), "nonzero"),
            (json!({"parallel": 11}), "over 10"),
            (json!({"stale": true}), "a selection of days"),
            (json!({"days": 7}), "its fields are"),
        ] {
            let mut input = input.clone();
            match changes.as_object() {
                Some(changes) => input.as_object_mut().expect("fields").extend(changes.clone()),
                None => input = changes.clone(),
            }
            let error = resolve_backfill(&input).expect_err(&input.to_string());
            assert_eq!(error.name(), "InvalidInput");
            assert!(error.to_string().contains(expected), "{input}: {error}");
        }
        resolve_backfill(&json!({})).expect_err("no days");
        let day = resolve_backfill(&json!({"date": "2020-04-01", "force": true})).expect("a day");
        assert_eq!((day.range.to_string(), day.force), ("2020-04-01".to_owned(), true));
    }

    #[test]
    fn an_upload_is_its_object() {
        let event = json!({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": {
            "bucket": {"name": "pregao-raw"}, "reason": "PutObject",
            "object": {"key": "landing/a b%2B/202004011320_flashpanel.csv", "size": 5, "etag": "x"}}});
        assert_eq!(
            resolve_at(event, "2026-11-22T12:00:00Z").expect("an object"),
            objects(&["landing/a b%2B/202004011320_flashpanel.csv"])
        );
    }

    #[test]
    fn a_batch_of_uploads_is_its_objects_each_once() {
        let item = |key: &str| json!({"bucket": "pregao-raw", "key": key});
        let batch = json!([item("landing/b.csv"), item("landing/a.csv"), item("landing/b.csv")]);
        let request = resolve_at(batch, "2026-11-22T12:00:00Z").expect("objects");
        assert_eq!(request, objects(&["landing/a.csv", "landing/b.csv"]));
        let refused = request.range().expect_err("no days").to_string();
        assert!(refused.contains("2 objects (s3://pregao-raw/landing/a.csv, ...)"), "{refused}");
    }

    fn objects(keys: &[&str]) -> Request {
        let object = |key: &&str| LandedObject { bucket: "pregao-raw".to_owned(), key: (*key).to_owned() };
        Request::Objects(keys.iter().map(object).collect())
    }

    #[test]
    fn what_says_nothing_is_refused_with_what_would() {
        for (input, expected) in [
            (json!(null), "it is null"),
            (json!([]), "it is an empty list"),
            (json!([1]), "item 0 of the list is no object"),
            (json!([{"bucket": "b", "key": "landing/a.csv"}, {"key": "landing/a.csv"}]), "item 1 of the list"),
            (json!([{"bucket": "b", "key": "k", "size": 1}]), "unknown field `size`"),
            (json!([["b", "k"], {"bucket": null, "key": "k"}]), "item 1 of the list is no object"),
            (json!("2020-04-01"), "it is a text"),
            (json!({"day": "2020-04-01"}), "its fields are day"),
            (json!({"date": "2020-04-01", "force": true}), "its fields are date, force"),
            (json!({"stale": true}), "without \"from\" and \"to\""),
            (json!({"from": "2020-04-01", "to": "2020-04-01", "stale": false}), "\"stale\" is true or not there"),
            (json!({"which": "all"}), "without \"from\" and \"to\""),
            (json!({"from": "2020-04-01", "to": "2020-04-01", "which": "new"}), "\"not_current\""),
            (json!({"from": "2020-04-01", "to": "2020-04-01", "which": "all", "stale": true}), "together"),
            (json!({"date": "2020-4-1"}), "no day of the form"),
            (json!({"date": "2020-02-30"}), "no day of the form"),
            (json!({"date": "01/04/2020"}), "no day of the form"),
            (json!({"date": 20200401}), "its \"date\" is a number"),
            (json!({"date": "1020-04-01"}), "outside the years"),
            (json!({"from": "2020-04-01"}), "without \"to\""),
            (json!({"to": "2020-04-01"}), "without \"from\""),
            (json!({"from": "2020-04-09", "to": "2020-04-01"}), "reversed"),
            (json!({"detail-type": "Object Deleted", "source": "aws.s3"}), "Object Deleted"),
            (json!({"detail-type": "Object Created", "source": "aws.s3", "detail": {}}), "detail.bucket.name"),
            (json!({"detail-type": "Scheduled Event", "source": "aws.events"}), "no \"time\""),
            (scheduled("aws.events", "yesterday"), "which is no time"),
        ] {
            let error = resolve_at(input.clone(), "2026-11-22T12:00:00Z").expect_err(&input.to_string());
            assert_eq!(error.name(), "InvalidInput");
            let text = error.to_string();
            assert!(text.contains(expected) && text.contains("{\"date\": \"2020-04-01\"}"), "{input}: {text}");
        }
    }
}
