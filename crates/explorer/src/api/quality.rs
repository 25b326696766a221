//! The quality of the data: which snapshots there are, what was refused, what could not be read, what the audits found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{Datelike, Months, NaiveDate};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream, try_join};
use lake::objects::{self, Object};
use lake::quality::{self, Audit, Check, Report};
use lake::raw_files::{self, RawFile};
use lake::{Error, Lake, keys};
use market::partition::DateRange;
use market::run::RunId;
use market::session::{Session, is_business_day};
use market::snapshot::{Feed, SnapshotTime};
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answer;
use crate::app::App;
use crate::calendar::{self, Count, FeedDay};
use crate::days::Asked;
use crate::error::Failure;
use crate::statement::{Statement, literal};

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/quality/calendar", get(calendar))
        .route("/quality/day", get(day))
        .route("/quality/rejects", get(rejects))
        .route("/quality/rejects/rows", get(reject_rows))
        .route("/quality/runs", get(runs))
        .route("/quality/report", get(report))
}

/// How many months are shown unless days are named.
const MONTHS: u32 = 3;

#[derive(Serialize)]
struct Calendar {
    session: Session,
    /// The first and the last day of which anything is known; none where there is nothing at all.
    known: Option<(NaiveDate, NaiveDate)>,
    /// The days that are shown.
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    days: Vec<Day>,
    /// Quarantined files whose names are no snapshots'.
    nameless: usize,
}

#[derive(Serialize)]
struct Day {
    date: NaiveDate,
    business: bool,
    quotes: Count,
    options: Count,
    /// The tables that have a partition of this day.
    published: Vec<TableName>,
}

async fn calendar(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Answer<Calendar> {
    let lake = &app.lake;
    let session = lake.config.session.clone();
    let (published, quarantine, folders) = try_join!(published(&app), quarantine(lake), raw_days(lake))?;
    let nameless = quarantine.iter().filter(|file| file.of.is_none()).count();
    let refused = quarantine.iter().filter_map(|file| Some(file.of?.0));
    let known: BTreeSet<NaiveDate> =
        published.iter().flat_map(|(_, days)| days.iter().copied()).chain(folders).collect();
    let known: BTreeSet<NaiveDate> = known.into_iter().chain(refused).collect();
    let (Some(first), Some(last)) = (known.first().copied(), known.last().copied()) else {
        return Ok(Json(Calendar { session, known: None, from: None, to: None, days: Vec::new(), nameless }));
    };
    let range = range(asked, first, last)?;
    let files = raw_files::scan(lake, range).await?.deduplicated()?;
    let mut present: BTreeMap<(NaiveDate, Feed), Vec<SnapshotTime>> = BTreeMap::new();
    for RawFile { name, .. } in &files {
        present.entry((name.time.date(), name.feed)).or_default().push(name.time);
    }
    let days = range.days().map(|date| {
        let count = |feed| {
            let times = present.get(&(date, feed)).map_or(&[][..], Vec::as_slice);
            let refused = quarantine.iter().filter(|file| file.of == Some((date, feed))).count();
            calendar::count(&session, date, times, refused)
        };
        Day {
            date,
            business: is_business_day(date),
            quotes: count(Feed::Quotes),
            options: count(Feed::Options),
            published: published.iter().filter(|(_, days)| days.contains(&date)).map(|(table, _)| *table).collect(),
        }
    });
    // A weekend of which nothing is known is nothing to tell.
    let days = days.filter(|day| day.business || known.contains(&day.date)).collect();
    let (from, to) = (Some(range.from()), Some(range.to()));
    Ok(Json(Calendar { session, known: Some((first, last)), from, to, days, nameless }))
}

/// The days that are shown: those that are asked for, or else the last months of those that are known.
fn range(asked: Asked, first: NaiveDate, last: NaiveDate) -> Result<DateRange, Failure> {
    let to = asked.to.unwrap_or(last);
    let begin = to.with_day(1).and_then(|month| month.checked_sub_months(Months::new(MONTHS - 1)));
    let from = asked.from.unwrap_or_else(|| begin.unwrap_or(to).max(first.min(to)));
    let range = DateRange::new(from, to)
        .map_err(|error| Failure::invalid(error.to_string()).hint("Choose other days, above the calendar."))?;
    if range.days().nth(MOST_DAYS).is_some() {
        return Err(
            Failure::invalid(format!("{range} are too many days at once")).hint("Ask for at most two years of them.")
        );
    }
    Ok(range)
}

/// Two years.
const MOST_DAYS: usize = 732;

/// The days of which there are raw files, without a look at these.
async fn raw_days(lake: &Lake) -> Result<Vec<NaiveDate>, Error> {
    let lists =
        Feed::ALL.map(async |feed| objects::folders(lake, &lake.config.buckets.raw, &keys::raw_feed(feed)).await);
    let folders = try_join_all(lists).await?;
    Ok(folders.into_iter().flatten().filter_map(|folder| folder.parse().ok()).collect())
}

type Published = Vec<(TableName, Arc<BTreeSet<NaiveDate>>)>;

async fn published(app: &App) -> Result<Published, Error> {
    try_join_all(TableName::ALL.map(async |table| Ok((table, app.days.of(&app.lake, table).await?)))).await
}

/// A file that was refused.
struct Quarantined {
    object: Object,
    /// The day and feed that it calls itself.
    of: Option<(NaiveDate, Feed)>,
}

async fn quarantine(lake: &Lake) -> Result<Vec<Quarantined>, Error> {
    let mut objects = objects::list(lake, &lake.config.buckets.raw, keys::QUARANTINE).await?;
    objects.retain(|object| !object.key.ends_with(keys::REASON_SUFFIX) && !object.is_folder_marker());
    let of = |object: &Object| {
        lake::days::quarantined(keys::file_name(&object.key)).map(|name| (name.time.date(), name.feed))
    };
    Ok(objects.into_iter().map(|object| Quarantined { of: of(&object), object }).collect())
}

#[derive(Deserialize)]
struct OfDay {
    /// None for the files that belong to no day.
    date: Option<NaiveDate>,
}

#[derive(Serialize)]
struct DayDetail {
    date: Option<NaiveDate>,
    business: bool,
    feeds: Vec<FeedDay>,
    quarantined: Vec<Refused>,
    published: Vec<TableName>,
}

/// A quarantined file with its reason.
#[derive(Serialize)]
struct Refused {
    name: String,
    uri: String,
    bytes: u64,
    /// What `ingest` wrote beside it; none when that is not there.
    reason: Option<Value>,
}

/// How many reasons are read at once, and at most.
const AT_ONCE: usize = 16;
const REASONS: usize = 200;

async fn day(State(app): State<Arc<App>>, Query(OfDay { date }): Query<OfDay>) -> Answer<DayDetail> {
    let lake = &app.lake;
    let files = async {
        let Some(date) = date else { return Ok(Vec::new()) };
        let day = DateRange::day(date).map_err(|error| Failure::invalid(error.to_string()))?;
        Ok(raw_files::scan(lake, day).await?.deduplicated()?)
    };
    let refused = async { Ok::<_, Failure>(quarantine(lake).await?) };
    let known = async { Ok::<_, Failure>(published(&app).await?) };
    let (files, refused, published) = try_join!(files, refused, known)?;
    let refused = refused.into_iter().filter(|file| file.of.map(|(day, _)| day) == date).take(REASONS);
    let quarantined = stream::iter(refused.map(async |file| told(lake, file.object).await));
    let quarantined = quarantined.buffered(AT_ONCE).try_collect().await?;
    let feeds = date
        .into_iter()
        .flat_map(|date| Feed::ALL.map(|feed| calendar::feed_day(&lake.config.session, date, feed, &files)));
    let has = |days: &BTreeSet<NaiveDate>| date.is_some_and(|date| days.contains(&date));
    Ok(Json(DayDetail {
        date,
        business: date.is_some_and(is_business_day),
        feeds: feeds.collect(),
        quarantined,
        published: published.iter().filter(|(_, days)| has(days)).map(|(table, _)| *table).collect(),
    }))
}

async fn told(lake: &Lake, object: Object) -> Result<Refused, Error> {
    let bucket = &lake.config.buckets.raw;
    let reason = match objects::get_json(lake, bucket, &keys::quarantine_reason(&object.key)).await {
        // A reason that somebody spoilt is none.
        Err(Error::InvalidInput(_)) => None,
        reason => reason?,
    };
    let name = keys::file_name(&object.key).to_owned();
    Ok(Refused { name, uri: keys::uri(bucket, &object.key), bytes: object.bytes, reason })
}

/// How many published days of rejects are counted unless days are named.
const LATEST: usize = 66;

#[derive(Serialize)]
struct Rejects {
    /// The days whose rejects these are.
    days: usize,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    table: String,
    /// Empty for whole records.
    column: String,
    reason: String,
    count: i64,
    /// How many different texts there are.
    texts: i64,
}

async fn rejects(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Answer<Rejects> {
    let days = asked.among(&*app.days.of(&app.lake, TableName::Rejects).await?, LATEST)?;
    if days.is_empty() {
        return Ok(Json(Rejects { days: 0, groups: Vec::new() }));
    }
    let columns = "table_name, column_name, reason, count(*) AS n, count(DISTINCT text) AS texts";
    let statement = Statement::of(columns, TableName::Rejects, &days)
        .then("GROUP BY table_name, column_name, reason\nORDER BY n DESC, table_name, column_name, reason");
    let answer = app.ask(&statement).await?;
    let groups = answer.rows.into_iter().map(|row| {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (table, column, reason) = (next(), next(), next());
        let mut number = || next().parse().unwrap_or_default();
        Group { table, column, reason, count: number(), texts: number() }
    });
    Ok(Json(Rejects { days: days.len(), groups: groups.collect() }))
}

/// How many rejects stand on one page.
const ROWS: usize = 50;

#[derive(Deserialize)]
struct OfGroup {
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    table: String,
    #[serde(default)]
    column: String,
    reason: String,
    /// The page, from 0 on.
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct RejectRows {
    rows: Vec<Vec<Value>>,
    more: bool,
}

async fn reject_rows(State(app): State<Arc<App>>, Query(of): Query<OfGroup>) -> Answer<RejectRows> {
    let asked = Asked { from: of.from, to: of.to };
    let days = asked.among(&*app.days.of(&app.lake, TableName::Rejects).await?, LATEST)?;
    // Records have no column, which engines tell as NULL or as an empty text.
    let column = format!("coalesce(column_name, '') = {}", literal(&of.column));
    let offset = of.page.saturating_mul(ROWS);
    let statement = Statement::of("intdate, source_file, ticker, text", TableName::Rejects, &days)
        .and(&format!("table_name = {}", literal(&of.table)))
        .and(&column)
        .and(&format!("reason = {}", literal(&of.reason)))
        // In full, so that pages neither repeat nor leave out a row.
        .then(&format!("ORDER BY intdate, source_file, ticker, text\nOFFSET {offset} LIMIT {}", ROWS + 1));
    let answer = app.ask(&statement).await?;
    let cells = |row: &Vec<Option<String>>| {
        row.iter().zip(&answer.columns).map(|(cell, column)| column.page_json(cell.as_deref())).collect()
    };
    let rows = answer.rows.iter().take(ROWS).map(cells).collect();
    Ok(Json(RejectRows { rows, more: answer.rows.len() > ROWS }))
}

/// How many runs stand on one page.
const RUNS: usize = 8;

#[derive(Deserialize)]
struct PageOf {
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct Runs {
    /// The latest first.
    runs: Vec<Audited>,
    more: bool,
}

#[derive(Serialize)]
struct Audited {
    run: RunId,
    /// Milliseconds since 1970.
    written: i64,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    tables: Vec<Verdict>,
}

/// What the audit of one table came to.
#[derive(Serialize)]
struct Verdict {
    table: TableName,
    passed: bool,
    rows: u64,
    checks: Vec<Check>,
}

async fn runs(State(app): State<Arc<App>>, Query(PageOf { page }): Query<PageOf>) -> Answer<Runs> {
    let audits = quality::audits(&app.lake).await?;
    let first = page.saturating_mul(RUNS).min(audits.len());
    let more = audits.len() - first > RUNS;
    let some = audits.into_iter().skip(first).take(RUNS).map(async |Audit { run, written }| {
        let reports = reports(&app.lake, &run).await?;
        let range = reports.first().map(|report| report.range);
        let tables = reports.into_iter().map(|Report { table, passed, rows, mut checks, .. }| {
            // What failed is told with the report itself.
            for check in &mut checks {
                check.examples.clear();
            }
            Verdict { table, passed, rows, checks }
        });
        let tables = tables.collect();
        let written = i64::try_from(written / 1_000_000).unwrap_or_default();
        Ok::<_, Error>(Audited { run, written, from: range.map(DateRange::from), to: range.map(DateRange::to), tables })
    });
    Ok(Json(Runs { runs: try_join_all(some).await?, more }))
}

/// The reports of a run, of those tables that have one.
async fn reports(lake: &Lake, run: &RunId) -> Result<Vec<Report>, Error> {
    let asked = TableName::ALL.map(async |table| {
        objects::get_json::<Report>(lake, &lake.config.buckets.lake, &keys::quality_report(run, table)).await
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

#[derive(Deserialize)]
struct OfRun {
    run: String,
}

#[derive(Serialize)]
struct Reports {
    run: RunId,
    /// Where they lie.
    place: String,
    reports: Vec<Report>,
}

async fn report(State(app): State<Arc<App>>, Query(OfRun { run }): Query<OfRun>) -> Answer<Reports> {
    let run: RunId = run.parse().map_err(|error| Failure::invalid(format!("{error}")))?;
    let mut reports = reports(&app.lake, &run).await?;
    if reports.is_empty() {
        return Err(Failure::not_found(format!("the run {run} has no quality reports"))
            .hint("It ended before its audit: look under Runs for what became of it."));
    }
    // One for each raw file: the records of a whole table are told by its sums.
    for report in &mut reports {
        report.files.clear();
    }
    let place = keys::uri(&app.lake.config.buckets.lake, &format!("{}run={run}/", keys::QUALITY));
    Ok(Json(Reports { run, place, reports }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_months_are_shown_unless_days_are_named() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let shown = |from: Option<&str>, to: Option<&str>| {
            let asked = Asked { from: from.map(day), to: to.map(day) };
            range(asked, day("2020-01-15"), day("2020-06-30")).map(|range| range.to_string())
        };
        assert_eq!(shown(None, None).ok().as_deref(), Some("2020-04-01 to 2020-06-30"));
        assert_eq!(shown(None, Some("2020-03-10")).ok().as_deref(), Some("2020-01-15 to 2020-03-10"));
        assert_eq!(shown(None, Some("2019-03-10")).ok().as_deref(), Some("2019-03-10"));
        assert_eq!(shown(Some("2020-02-01"), None).ok().as_deref(), Some("2020-02-01 to 2020-06-30"));
        assert!(shown(Some("2020-07-01"), None).is_err());
        assert!(shown(Some("2015-01-01"), None).is_err());
    }
}
