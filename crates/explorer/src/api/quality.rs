//! The quality of the data: snapshots and gaps, quarantined files, rejects, and quality reports.

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

use super::ApiResult;
use crate::app::App;
use crate::calendar::{self, FeedDay, SnapshotCount};
use crate::error::ApiError;
use crate::published_days::DateRangeParams;
use crate::statement::{Statement, literal};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/quality/calendar", get(calendar))
        .route("/quality/day", get(day))
        .route("/quality/rejects", get(rejects))
        .route("/quality/rejects/rows", get(reject_rows))
        .route("/quality/runs", get(runs))
        .route("/quality/report", get(report))
}

/// The number of months in a response to a request without dates.
const DEFAULT_MONTHS: u32 = 3;

#[derive(Serialize)]
struct CalendarResponse {
    session: Session,
    /// The first and the last day with raw files, quarantined files or partitions; `None` for an empty lake.
    known: Option<(NaiveDate, NaiveDate)>,
    /// The range of `days`.
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    days: Vec<CalendarDay>,
    /// The number of quarantined files whose names are not those of snapshots.
    nameless: usize,
}

#[derive(Serialize)]
struct CalendarDay {
    date: NaiveDate,
    /// Whether it is a business day of B3.
    business: bool,
    quotes: SnapshotCount,
    options: SnapshotCount,
    /// The tables that have a partition of this day.
    published: Vec<TableName>,
}

async fn calendar(State(app): State<Arc<App>>, Query(params): Query<DateRangeParams>) -> ApiResult<CalendarResponse> {
    let lake = &app.lake;
    let session = lake.config.session.clone();
    let (published, quarantine, folders) = try_join!(published(&app), quarantine(lake), raw_days(lake))?;
    let nameless = quarantine.iter().filter(|file| file.day_and_feed.is_none()).count();
    let quarantined_days = quarantine.iter().filter_map(|file| Some(file.day_and_feed?.0));
    let known: BTreeSet<NaiveDate> =
        published.iter().flat_map(|(_, days)| days.iter().copied()).chain(folders).collect();
    let known: BTreeSet<NaiveDate> = known.into_iter().chain(quarantined_days).collect();
    let (Some(first), Some(last)) = (known.first().copied(), known.last().copied()) else {
        return Ok(Json(CalendarResponse { session, known: None, from: None, to: None, days: Vec::new(), nameless }));
    };
    let range = calendar_range(params, first, last)?;
    let files = raw_files::scan(lake, range).await?.deduplicated()?;
    let mut present: BTreeMap<(NaiveDate, Feed), Vec<SnapshotTime>> = BTreeMap::new();
    for RawFile { name, .. } in &files {
        present.entry((name.time.date(), name.feed)).or_default().push(name.time);
    }
    let days = range.days().map(|date| {
        let count = |feed| {
            let times = present.get(&(date, feed)).map_or(&[][..], Vec::as_slice);
            let quarantined = quarantine.iter().filter(|file| file.day_and_feed == Some((date, feed))).count();
            calendar::count(&session, date, times, quarantined)
        };
        CalendarDay {
            date,
            business: is_business_day(date),
            quotes: count(Feed::Quotes),
            options: count(Feed::Options),
            published: published.iter().filter(|(_, days)| days.contains(&date)).map(|(table, _)| *table).collect(),
        }
    });
    // Weekends and holidays without any files are omitted.
    let days = days.filter(|day| day.business || known.contains(&day.date)).collect();
    let (from, to) = (Some(range.from()), Some(range.to()));
    Ok(Json(CalendarResponse { session, known: Some((first, last)), from, to, days, nameless }))
}

/// Returns the requested range. The default is the last [`DEFAULT_MONTHS`] of the known days, `first` to `last`.
fn calendar_range(params: DateRangeParams, first: NaiveDate, last: NaiveDate) -> Result<DateRange, ApiError> {
    let to = params.to.unwrap_or(last);
    let first_of_months = to.with_day(1).and_then(|month| month.checked_sub_months(Months::new(DEFAULT_MONTHS - 1)));
    let from = params.from.unwrap_or_else(|| first_of_months.unwrap_or(to).max(first.min(to)));
    let range = DateRange::new(from, to)
        .map_err(|error| ApiError::invalid(error.to_string()).hint("Choose other days, above the calendar."))?;
    if range.days().nth(MAX_DAYS).is_some() {
        return Err(
            ApiError::invalid(format!("{range} are too many days at once")).hint("Ask for at most two years of them.")
        );
    }
    Ok(range)
}

/// The longest range of a calendar: two years.
const MAX_DAYS: usize = 732;

/// Returns the days that have a folder of raw files, without listing the files.
async fn raw_days(lake: &Lake) -> Result<Vec<NaiveDate>, ApiError> {
    let lists =
        Feed::ALL.map(async |feed| objects::folders(lake, &lake.config.buckets.raw, &keys::raw_feed(feed)).await);
    let folders = try_join_all(lists).await?;
    Ok(folders.into_iter().flatten().filter_map(|folder| folder.parse().ok()).collect())
}

/// The published days of each table.
type Published = Vec<(TableName, Arc<BTreeSet<NaiveDate>>)>;

async fn published(app: &App) -> Result<Published, ApiError> {
    try_join_all(TableName::ALL.map(async |table| Ok((table, app.published_days(table).await?)))).await
}

/// A file in quarantine.
struct QuarantinedObject {
    object: Object,
    /// The day and feed in its name; `None` when the name is not that of a snapshot.
    day_and_feed: Option<(NaiveDate, Feed)>,
}

/// Lists the quarantined files.
async fn quarantine(lake: &Lake) -> Result<Vec<QuarantinedObject>, ApiError> {
    let mut objects = objects::list(lake, &lake.config.buckets.raw, keys::QUARANTINE).await?;
    objects.retain(|object| !object.key.ends_with(keys::REASON_SUFFIX) && !object.is_folder_marker());
    let day_and_feed = |object: &Object| {
        lake_client::days::quarantined(keys::file_name(&object.key)).map(|name| (name.time.date(), name.feed))
    };
    Ok(objects.into_iter().map(|object| QuarantinedObject { day_and_feed: day_and_feed(&object), object }).collect())
}

#[derive(Deserialize)]
struct DayParams {
    /// `None` for the quarantined files whose names have no day.
    date: Option<NaiveDate>,
}

#[derive(Serialize)]
struct DayResponse {
    date: Option<NaiveDate>,
    business: bool,
    feeds: Vec<FeedDay>,
    quarantined: Vec<QuarantinedFile>,
    published: Vec<TableName>,
}

/// A quarantined file with its reason.
#[derive(Serialize)]
struct QuarantinedFile {
    name: String,
    uri: String,
    bytes: u64,
    /// The object that `ingest` wrote next to it; `None` when it is missing or is not JSON.
    reason: Option<Value>,
}

/// The number of reasons that are read concurrently, and the most that are read.
const CONCURRENT_READS: usize = 16;
const MAX_REASONS: usize = 200;

async fn day(State(app): State<Arc<App>>, Query(DayParams { date }): Query<DayParams>) -> ApiResult<DayResponse> {
    let lake = &app.lake;
    let files = async {
        let Some(date) = date else { return Ok(Vec::new()) };
        let day = DateRange::day(date).map_err(|error| ApiError::invalid(error.to_string()))?;
        Ok(raw_files::scan(lake, day).await?.deduplicated()?)
    };
    let (files, quarantine, published) = try_join!(files, quarantine(lake), published(&app))?;
    let quarantined =
        quarantine.into_iter().filter(|file| file.day_and_feed.map(|(day, _)| day) == date).take(MAX_REASONS);
    let quarantined = stream::iter(quarantined.map(async |file| with_reason(lake, file.object).await));
    let quarantined = quarantined.buffered(CONCURRENT_READS).try_collect().await?;
    let feeds = date
        .into_iter()
        .flat_map(|date| Feed::ALL.map(|feed| calendar::feed_day(&lake.config.session, date, feed, &files)));
    let has = |days: &BTreeSet<NaiveDate>| date.is_some_and(|date| days.contains(&date));
    Ok(Json(DayResponse {
        date,
        business: date.is_some_and(is_business_day),
        feeds: feeds.collect(),
        quarantined,
        published: published.iter().filter(|(_, days)| has(days)).map(|(table, _)| *table).collect(),
    }))
}

/// Reads the reason of a quarantined file.
async fn with_reason(lake: &Lake, object: Object) -> Result<QuarantinedFile, Error> {
    let bucket = &lake.config.buckets.raw;
    let reason = match objects::get_json(lake, bucket, &keys::quarantine_reason(&object.key)).await {
        // An invalid reason does not fail the request.
        Err(Error::InvalidInput { .. }) => None,
        reason => reason?,
    };
    let name = keys::file_name(&object.key).to_owned();
    Ok(QuarantinedFile { name, uri: keys::uri(bucket, &object.key), bytes: object.bytes, reason })
}

/// The number of published days whose rejects are counted by default.
const DEFAULT_REJECT_DAYS: usize = 66;

#[derive(Serialize)]
struct RejectsResponse {
    /// The number of days whose rejects are counted.
    days: usize,
    groups: Vec<RejectGroup>,
}

#[derive(Serialize)]
struct RejectGroup {
    table: String,
    /// Empty for whole records.
    column: String,
    reason: String,
    count: i64,
    /// The number of distinct texts.
    texts: i64,
}

async fn rejects(State(app): State<Arc<App>>, Query(params): Query<DateRangeParams>) -> ApiResult<RejectsResponse> {
    let days = params.select(&*app.published_days(TableName::Rejects).await?, DEFAULT_REJECT_DAYS)?;
    if days.is_empty() {
        return Ok(Json(RejectsResponse { days: 0, groups: Vec::new() }));
    }
    let columns = "table_name, column_name, reason, count(*) AS n, count(DISTINCT text) AS texts";
    let statement = Statement::select(columns, TableName::Rejects, &days)
        .then("GROUP BY table_name, column_name, reason\nORDER BY n DESC, table_name, column_name, reason");
    let result = statement.run(&app.lake).await?;
    let groups = result.rows.into_iter().map(|row| {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        let (table, column, reason) = (next(), next(), next());
        let mut number = || next().parse().unwrap_or_default();
        RejectGroup { table, column, reason, count: number(), texts: number() }
    });
    Ok(Json(RejectsResponse { days: days.len(), groups: groups.collect() }))
}

/// The number of rejects on a page.
const REJECTS_PER_PAGE: usize = 50;

#[derive(Deserialize)]
struct RejectRowsQuery {
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    table: String,
    #[serde(default)]
    column: String,
    reason: String,
    /// The number of the page, from 0.
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct RejectRowsResponse {
    rows: Vec<Vec<Value>>,
    /// Whether there is another page.
    more: bool,
}

async fn reject_rows(
    State(app): State<Arc<App>>,
    Query(query): Query<RejectRowsQuery>,
) -> ApiResult<RejectRowsResponse> {
    let params = DateRangeParams { from: query.from, to: query.to };
    let days = params.select(&*app.published_days(TableName::Rejects).await?, DEFAULT_REJECT_DAYS)?;
    // A rejected record has no column: NULL or an empty text, depending on the engine.
    let column = format!("coalesce(column_name, '') = {}", literal(&query.column));
    let offset = query.page.saturating_mul(REJECTS_PER_PAGE);
    let statement = Statement::select("intdate, source_file, ticker, text", TableName::Rejects, &days)
        .and(&format!("table_name = {}", literal(&query.table)))
        .and(&column)
        .and(&format!("reason = {}", literal(&query.reason)))
        // A total order, so that pages neither repeat nor omit a row.
        .then(&format!("ORDER BY intdate, source_file, ticker, text\nOFFSET {offset} LIMIT {}", REJECTS_PER_PAGE + 1));
    let result = statement.run(&app.lake).await?;
    let cells = |row: &Vec<Option<String>>| {
        row.iter().zip(&result.columns).map(|(cell, column)| column.page_json(cell.as_deref())).collect()
    };
    let rows = result.rows.iter().take(REJECTS_PER_PAGE).map(cells).collect();
    Ok(Json(RejectRowsResponse { rows, more: result.rows.len() > REJECTS_PER_PAGE }))
}

/// The number of runs on a page.
const RUNS_PER_PAGE: usize = 8;

#[derive(Deserialize)]
struct RunsQuery {
    /// The number of the page, from 0.
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct RunsResponse {
    /// The latest run first.
    runs: Vec<AuditedRun>,
    /// Whether there is another page.
    more: bool,
}

#[derive(Serialize)]
struct AuditedRun {
    run: RunId,
    /// When its reports were written, in milliseconds since 1970.
    written: i64,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    tables: Vec<TableAudit>,
}

/// The result of the audit of one table.
#[derive(Serialize)]
struct TableAudit {
    table: TableName,
    passed: bool,
    rows: u64,
    checks: Vec<Check>,
}

async fn runs(State(app): State<Arc<App>>, Query(RunsQuery { page }): Query<RunsQuery>) -> ApiResult<RunsResponse> {
    let audits = quality::audits(&app.lake).await?;
    let first = page.saturating_mul(RUNS_PER_PAGE).min(audits.len());
    let more = audits.len() - first > RUNS_PER_PAGE;
    let some = audits.into_iter().skip(first).take(RUNS_PER_PAGE).map(async |Audit { run, written }| {
        let reports = reports(&app.lake, &run).await?;
        let range = reports.first().map(|report| report.range);
        let tables = reports.into_iter().map(|Report { table, passed, rows, mut checks, .. }| {
            // The examples are in the response of `report`.
            for check in &mut checks {
                check.examples.clear();
            }
            TableAudit { table, passed, rows, checks }
        });
        let tables = tables.collect();
        let written = i64::try_from(written / 1_000_000).unwrap_or_default();
        Ok::<_, Error>(AuditedRun {
            run,
            written,
            from: range.map(DateRange::from),
            to: range.map(DateRange::to),
            tables,
        })
    });
    Ok(Json(RunsResponse { runs: try_join_all(some).await?, more }))
}

/// Reads the quality reports of a run. Tables without a report are omitted.
async fn reports(lake: &Lake, run: &RunId) -> Result<Vec<Report>, Error> {
    let reads = TableName::ALL.map(async |table| Report::of_run(lake, run, table).await);
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

#[derive(Deserialize)]
struct ReportParams {
    run: String,
}

#[derive(Serialize)]
struct ReportResponse {
    run: RunId,
    /// The URI of their folder.
    place: String,
    reports: Vec<Report>,
}

async fn report(
    State(app): State<Arc<App>>,
    Query(ReportParams { run }): Query<ReportParams>,
) -> ApiResult<ReportResponse> {
    let run: RunId = run.parse().map_err(|error| ApiError::invalid(format!("{error}")))?;
    let mut reports = reports(&app.lake, &run).await?;
    if reports.is_empty() {
        return Err(ApiError::not_found(format!("the run {run} has no quality reports"))
            .hint("It ended before its audit: look under Runs for what became of it."));
    }
    // The list has an entry for each raw file, and the page shows only the totals.
    for report in &mut reports {
        report.files.clear();
    }
    let place = keys::uri(&app.lake.config.buckets.lake, &keys::quality_reports(&run));
    Ok(Json(ReportResponse { run, place, reports }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_months_are_shown_unless_days_are_named() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let shown = |from: Option<&str>, to: Option<&str>| {
            let params = DateRangeParams { from: from.map(day), to: to.map(day) };
            calendar_range(params, day("2020-01-15"), day("2020-06-30")).map(|range| range.to_string())
        };
        assert_eq!(shown(None, None).ok().as_deref(), Some("2020-04-01 to 2020-06-30"));
        assert_eq!(shown(None, Some("2020-03-10")).ok().as_deref(), Some("2020-01-15 to 2020-03-10"));
        assert_eq!(shown(None, Some("2019-03-10")).ok().as_deref(), Some("2019-03-10"));
        assert_eq!(shown(Some("2020-02-01"), None).ok().as_deref(), Some("2020-02-01 to 2020-06-30"));
        assert!(shown(Some("2020-07-01"), None).is_err());
        assert!(shown(Some("2015-01-01"), None).is_err());
    }
}
