//! Wait: for some seconds, or until some moment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Exit, Transition, Visit};
use crate::DefinitionError;
use crate::clock::parse_timestamp;
use crate::context::Data;
use crate::data_flow::Filters;
use crate::definition::{Fields, MAX_SECONDS, StateNames};
use crate::failure::Fault;
use crate::path::Path;

/// The longest that AWS waits, in seconds: 24,855 days and some hours. Recorded there for `TimestampPath`.
const LONGEST_WAIT: u64 = i32::MAX as u64;

const TOO_LONG: &str = "Wait state delay is too long.";

#[derive(Clone, Debug)]
pub(super) struct Wait {
    filters: Filters,
    until: Until,
    pub(super) transition: Transition,
}

#[derive(Clone, Debug)]
enum Until {
    Seconds(u64),
    SecondsPath(Path),
    Timestamp(DateTime<Utc>),
    TimestampPath(Path),
}

impl Wait {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        Ok(Self {
            filters: Filters::parse(fields)?,
            until: Until::parse(fields)?,
            transition: Transition::parse(fields, names)?,
        })
    }

    pub(super) async fn run(&self, raw: Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let context = visit.context(None);
        let filtered = visit.evaluate(&raw, &context, |data| self.filters.input(data))?;
        let clock = visit.scope.run.clock;
        let now = clock.now();
        let duration = visit.evaluate(&filtered, &context, |data| self.until.duration(now, data))?;
        clock.sleep(duration).await;
        let output = visit.evaluate(&filtered, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: self.transition, output })
    }
}

impl Until {
    fn parse(fields: &mut Fields) -> Result<Self, DefinitionError> {
        const FIELDS: [&str; 4] = ["Seconds", "SecondsPath", "Timestamp", "TimestampPath"];
        fields.at_most_one(&FIELDS)?;
        if let Some(seconds) = fields.whole("Seconds", 0..=MAX_SECONDS)? {
            return Ok(Self::Seconds(seconds));
        }
        if let Some(path) = fields.parsed("SecondsPath", Path::parse_reference)? {
            return Ok(Self::SecondsPath(path));
        }
        if let Some(path) = fields.parsed("TimestampPath", Path::parse_reference)? {
            return Ok(Self::TimestampPath(path));
        }
        let moment = fields.parsed("Timestamp", |text| {
            parse_timestamp(text).ok_or_else(|| format!("'{text}' is not a timestamp such as '2020-04-01T10:00:00Z'"))
        })?;
        moment.map(Self::Timestamp).ok_or_else(|| {
            let message = format!("One of these fields is required: [{}]", FIELDS.join(", "));
            DefinitionError::schema(fields.location(), message)
        })
    }

    fn duration(&self, now: DateTime<Utc>, data: &Data<'_>) -> Result<Duration, String> {
        let duration = match self {
            Self::Seconds(seconds) => Duration::from_secs(*seconds),
            Self::SecondsPath(path) => seconds(path, data)?,
            Self::Timestamp(moment) => from(now, *moment),
            Self::TimestampPath(path) => from(now, timestamp(path, data)?),
        };
        match duration.as_secs() {
            ..=LONGEST_WAIT => Ok(duration),
            _ => Err(TOO_LONG.to_owned()),
        }
    }
}

/// How long it is from `now` until `moment`; nothing if it has passed.
fn from(now: DateTime<Utc>, moment: DateTime<Utc>) -> Duration {
    (moment - now).to_std().unwrap_or_default()
}

fn seconds(path: &Path, data: &Data<'_>) -> Result<Duration, String> {
    let value = path.find(data)?.unwrap_or_default();
    match (value.as_u64(), value.as_i64()) {
        (Some(seconds), _) => Ok(Duration::from_secs(seconds)),
        (None, Some(_)) => Err(format!("The SecondsPath parameter references a negative value: {path} == {value}")),
        (None, None) => Err(format!("The SecondsPath parameter cannot be parsed as a long value: {path} == {value}")),
    }
}

fn timestamp(path: &Path, data: &Data<'_>) -> Result<DateTime<Utc>, String> {
    let value = path.find(data)?.unwrap_or_default();
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    parse_timestamp(&shown).ok_or_else(|| {
        format!(
            "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: {path} == {shown}"
        )
    })
}
