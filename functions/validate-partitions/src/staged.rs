//! Stage `staged`: audits the output of the job for a slice of the run, and decides whether it may be published.
//!
//! The verdict is by day: a day that fails a check in any table is not published, and the others are. The reports are always
//! written, after the manifests of the days that passed, so that everything that is published has a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use lake::failed::FailedAudit;
use lake::plan::{DaySelection, Plan, PlannedDay};
use lake::quality::{Check, Duplicates, Figures, RejectCount, Report};
use lake::raw_files::RawFile;
use lake::record::{self, RawFileVersion, Record, view};
use lake::slices::{PassedTable, SliceAudit};
use lake::truncated_list::TruncatedList;
use lake::{Error, Lake, concurrency, invocation, manifest, partitions, raw_files};
use market::run::RunId;
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use market::table::TableName;
use serde::Serialize;

use crate::checks::{Content, Evidence};
use crate::day_stats::{self, rows_by_day};
use crate::files::DayFiles;
use crate::raw_file_scan::ScannedFile;
use crate::staging::Staging;
use crate::{domain, files, previous, raw_checks, record_counter};

/// The outcome of the audit of a slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audited {
    /// The run.
    pub run: RunId,
    /// The slice; `None` for a whole run.
    pub slice: Option<u32>,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// The tables, with the days that passed.
    pub tables: Vec<PassedTable>,
    /// The days that failed. They are not published.
    pub failed: TruncatedList<NaiveDate>,
}

/// Audits the files that `run` wrote for the days of a slice of its plan. A day that fails a check is not published, and does
/// not keep the others from being published.
///
/// # Errors
/// [`Error::RawFilesChanged`] if the raw files are not those of the plan; whatever S3 and Athena refuse.
pub(crate) async fn audit(lake: &Lake, run: &RunId, slice: Option<u32>) -> Result<Audited, Error> {
    let plan = Plan::read(lake, run).await?.slice(slice)?;
    let range = plan.range;
    invocation::record_days(range);
    // Read before the comparisons: the audit has not compared with a record that is written later.
    let records = record::records(record::read_range(lake, range).await?);
    let number = slice.unwrap_or_default();
    let evidence = collect_evidence(lake, &plan, number, &records).await?;
    let reports = TableName::ALL.map(|table| evidence.report(&lake.config, table));
    let (passed, failed): (Vec<&PlannedDay>, Vec<&PlannedDay>) =
        plan.to_publish().partition(|planned| reports.iter().all(|report| report.day_passed(planned.day)));
    let passed: BTreeSet<NaiveDate> = passed.into_iter().map(|planned| planned.day).collect();
    write_manifests(lake, &evidence, &reports, &passed).await?;
    let mut tables = Vec::new();
    let mut failures = Vec::new();
    for report in &reports {
        log_accepted(lake, report);
        let uri = report.write(lake, number).await?;
        failures.extend(failure_lines(report, &uri));
        tables.push(passed_table(report, uri, &passed));
    }
    record_failures(lake, &plan.run, &failed, &reports).await?;
    let compared = passed.iter().map(|day| (*day, records.get(day).map_or(0, |record| record.number)));
    let audit = SliceAudit {
        records: compared.collect(),
        failed: failed.iter().map(|planned| planned.day).collect(),
        tables,
        failures: if failed.is_empty() { Vec::new() } else { failures },
    };
    // Last, because `PublishRecords` takes it as the proof that everything above was done.
    audit.write(lake, run, number).await?;
    Ok(Audited {
        run: run.clone(),
        slice,
        from: range.from(),
        to: range.to(),
        tables: audit.tables,
        failed: audit.failed.into_iter().collect(),
    })
}

/// Writes the manifest of each day that may be published, next to its files.
async fn write_manifests(
    lake: &Lake,
    evidence: &Evidence,
    reports: &[Report],
    passed: &BTreeSet<NaiveDate>,
) -> Result<(), Error> {
    let shared = Arc::new(lake.clone());
    let manifests: Vec<_> = reports
        .iter()
        .flat_map(|report| report.days.iter().map(|day| (report.table, day.date)))
        .filter(|(_, date)| passed.contains(date))
        .map(|(table, date)| evidence.day(table, date).manifest(table, date, &evidence.run))
        .collect();
    let writes = concurrency::map(manifests, lake.config.ingest.parallel_files, |manifest| {
        let lake = shared.clone();
        async move { manifest::write(&lake, &manifest).await }
    });
    writes.await.map(drop)
}

/// Records, for each day that failed, that this run failed with these raw files.
async fn record_failures(lake: &Lake, run: &RunId, failed: &[&PlannedDay], reports: &[Report]) -> Result<(), Error> {
    for planned in failed {
        let failures = reports.iter().flat_map(|report| {
            let checks = report.checks.iter().filter(|check| check.fails_on(planned.day));
            checks.map(|check| format!("{}: {check}", report.table))
        });
        let (run, raw_files, failures) = (run.clone(), planned.raw_files.clone(), failures.collect());
        FailedAudit { run, failed_at: record::now(), raw_files, failures }.write(lake, planned.day).await?;
    }
    Ok(())
}

/// Collects the evidence: audits the written files first, and then reads the raw files while queries run.
async fn collect_evidence(
    lake: &Lake,
    plan: &Plan,
    slice: u32,
    records: &BTreeMap<NaiveDate, Record>,
) -> Result<Evidence, Error> {
    let (run, range) = (&plan.run, plan.range);
    let [quotes, options, rejects] = TableName::ALL.map(|table| files::written(lake, table, run, range));
    let (quotes, options, rejects) = tokio::try_join!(quotes, options, rejects)?;
    let written = TableName::ALL.into_iter().zip([quotes, options, rejects]).collect();
    let mut evidence = Evidence {
        run: run.clone(),
        range,
        files: Vec::new(),
        previous: BTreeMap::new(),
        written,
        content: None,
        unqueried: BTreeSet::new(),
    };
    evidence.unqueried = evidence.days_with_faults();
    // `join` and not `try_join`: an error of one must not cancel the other, which drops its staged tables at its end.
    let staging = Staging::new(lake, run, slice);
    let (files, content) = tokio::join!(scan_raw_files(lake, plan), query_tables(&staging, &evidence));
    evidence.files = files?;
    let days: BTreeSet<NaiveDate> = evidence.files.iter().map(|file| file.name().time.date()).collect();
    evidence.content = content?;
    if evidence.content.as_ref().is_none_or(|content| content.figures.is_empty()) {
        // The queries of the published tables run in this database too.
        partitions::create_database(lake, &staging.database).await?;
    }
    for table in Feed::ALL.map(TableName::from) {
        evidence.previous.insert(table, previous::published(lake, &staging, table, &days, records).await?);
    }
    for table in TableName::ALL {
        let mut days = evidence.days_of(table);
        days.retain(|date, _| !evidence.unqueried.contains(date));
        let changes = files::changes(lake, table, run, days).await?;
        evidence.add_faults(table, changes);
    }
    Ok(evidence)
}

/// Reads the raw files, and counts their records.
///
/// # Errors
/// [`Error::RawFilesChanged`] if they are not the files of the plan: then it is unknown which version the job has read.
async fn scan_raw_files(lake: &Lake, plan: &Plan) -> Result<Vec<ScannedFile>, Error> {
    let shared = Arc::new(lake.clone());
    let listing = raw_files::scan(lake, plan.range).await?;
    let raw_files = match plan.requested.selection {
        DaySelection::Uploaded => {
            // The engine has read the files of the plan, in these versions, and no others. Those that were added since belong to
            // the next run.
            let planned: BTreeSet<SnapshotName> =
                plan.days.iter().flat_map(|day| &day.raw_files).map(|file| file.name).collect();
            let read = listing.files().iter().filter(|file| planned.contains(&file.name));
            let read: Vec<RawFile> = read.cloned().collect();
            check_unchanged(plan, &read)?;
            read
        }
        DaySelection::All | DaySelection::Stale | DaySelection::NotCurrent | DaySelection::Scheduled => {
            // Before `unique`: during an upload that replaces one form of a snapshot by the other, both exist for a moment.
            check_unchanged(plan, listing.files())?;
            listing.unique()?
        }
    };
    let scans = concurrency::map(raw_files, lake.config.ingest.parallel_files, |file| {
        let lake = shared.clone();
        async move { record_counter::scan(&lake, &file).await }
    });
    scans.await
}

/// Verifies that the raw files of each day are those of the plan.
fn check_unchanged(plan: &Plan, raw_files: &[RawFile]) -> Result<(), Error> {
    let mut now: BTreeMap<NaiveDate, Vec<RawFileVersion>> = BTreeMap::new();
    for file in raw_files {
        now.entry(file.name.time.date()).or_default().push(file.into());
    }
    let mut planned: BTreeMap<NaiveDate, Vec<RawFileVersion>> =
        plan.days.iter().map(|day| (day.day, day.raw_files.clone())).collect();
    let sort = |days: &mut BTreeMap<NaiveDate, Vec<RawFileVersion>>| days.values_mut().for_each(|files| files.sort());
    sort(&mut now);
    sort(&mut planned);
    if now == planned {
        return Ok(());
    }
    let days: BTreeSet<NaiveDate> = now.keys().chain(planned.keys()).copied().collect();
    let changed = days.into_iter().filter(|day| now.get(day) != planned.get(day)).map(|day| {
        let of = |days: &BTreeMap<NaiveDate, Vec<RawFileVersion>>| days.get(&day).cloned().unwrap_or_default();
        // The same bytes may have been stored once more, which is another version too.
        format!("{day} ({})", view::differences(&of(&planned), &of(&now)))
    });
    Err(Error::RawFilesChanged(format!(
        "raw files changed while run {} read them, so that it is not known which versions it read: {}",
        plan.run,
        changed.collect::<Vec<_>>().join(", ")
    )))
}

/// Queries the rows of the days without faults, through tables that exist only during the audit. Returns `None` if every day
/// has faults.
async fn query_tables(staging: &Staging<'_>, evidence: &Evidence) -> Result<Option<Content>, Error> {
    let days: BTreeSet<&NaiveDate> = evidence.written.values().flat_map(BTreeMap::keys).collect();
    if !days.is_empty() && days.iter().all(|day| evidence.unqueried.contains(day)) {
        return Ok(None);
    }
    let [quotes, options, rejects] = TableName::ALL.map(|table| query_table(staging, evidence, table));
    let (quotes, options, rejects) = tokio::join!(quotes, options, rejects);
    let mut content = Content::default();
    for (table, found) in TableName::ALL.into_iter().zip([quotes, options, rejects]) {
        let Some(found) = found? else { continue };
        content.figures.insert(table, found.figures);
        content.rejects.extend(found.rejects);
        if let Some((checks, duplicates, empty)) = found.domain {
            content.domain.insert(table, checks);
            content.duplicates.insert(table, duplicates);
            content.empty.insert(table, empty);
        }
    }
    Ok(Some(content))
}

/// The results of the queries of one table.
struct TableContent {
    figures: BTreeMap<NaiveDate, Figures>,
    /// The counts of the table `rejects`; empty for others.
    rejects: Vec<(NaiveDate, RejectCount)>,
    /// Domain checks, duplicates and empty snapshots of a feed's table.
    domain: Option<(Vec<Check>, Duplicates, Vec<SnapshotTime>)>,
}

/// Creates a staged table, queries it, and drops it in any case. Returns `None` if the run wrote nothing for the table.
async fn query_table(
    staging: &Staging<'_>,
    evidence: &Evidence,
    table: TableName,
) -> Result<Option<TableContent>, Error> {
    let days = evidence.sound(table);
    if days.is_empty() {
        return Ok(None);
    }
    let content = query_content(staging, &days, table).await;
    staging.drop(table).await?;
    content.map(Some).map_err(retryable)
}

/// Converts the error of a missing table to one that is retried. Another invocation of the same audit dropped the table: its
/// response was lost, and Step Functions invoked the function again while it was still running.
fn retryable(error: Error) -> Error {
    if !error.is_missing_table() {
        return error;
    }
    Error::Unavailable {
        doing: "auditing the staged tables".to_owned(),
        message: format!("another invocation of the same audit dropped them: {error}"),
        source: Some(Box::new(error)),
    }
}

async fn query_content(
    staging: &Staging<'_>,
    days: &BTreeMap<NaiveDate, DayFiles>,
    table: TableName,
) -> Result<TableContent, Error> {
    staging.create(table, days).await?;
    let figures = day_stats::query(staging.lake, &staging.database, &staging.name(table), days.keys().copied()).await?;
    if table == TableName::Rejects {
        return Ok(TableContent { figures, rejects: rejects(staging).await?, domain: None });
    }
    let checks = domain::checks(staging, table, staging.lake.config.quality.max_domain_share).await?;
    let duplicates = domain::duplicates(staging, table).await?;
    let empty = domain::empty_snapshots(staging, table).await?;
    Ok(TableContent { figures, rejects: Vec::new(), domain: Some((checks, duplicates, empty)) })
}

/// Counts the rejects of each day by table, column and reason.
async fn rejects(staging: &Staging<'_>) -> Result<Vec<(NaiveDate, RejectCount)>, Error> {
    let statement = format!(
        "SELECT year, month, day, table_name, column_name, reason, count(*) AS rejects\n\
         FROM \"{}\"\n\
         GROUP BY year, month, day, table_name, column_name, reason",
        staging.name(TableName::Rejects)
    );
    let answer = staging.query(&statement).await?;
    rows_by_day(&answer, |row| {
        let [table_name, column_name, reason] = [3, 4, 5].map(|at| row.text(at));
        Ok(RejectCount { table_name, column_name, reason, count: row.number(6)?.unwrap_or_default() })
    })
}

fn passed_table(report: &Report, uri: String, passed: &BTreeSet<NaiveDate>) -> PassedTable {
    let passed: Vec<_> = report.days.iter().filter(|day| passed.contains(&day.date)).collect();
    PassedTable {
        table: report.table,
        partitions: passed.len() as u64,
        rows: passed.iter().map(|day| day.figures.rows).sum(),
        report: uri,
    }
}

/// Logs failing checks that the configuration accepts.
fn log_accepted(lake: &Lake, report: &Report) {
    let limits = &lake.config.quality;
    for (check, accepted) in
        [("lost_rows", limits.accept_lost_rows), ("unterminated_files", limits.accept_unterminated_files)]
    {
        let failing = report.checks.iter().find(|found| found.name == check && found.failing > 0);
        if let Some(found) = failing.filter(|_| accepted) {
            tracing::warn!(run = %report.run, table = %report.table, %found, "accepted by the configuration");
        }
    }
}

/// Describes the failed checks of a report, what to do about each, and where the report is.
fn failure_lines(report: &Report, uri: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for check in report.failures() {
        lines.push(format!("{}: {check}", report.table));
        lines.extend(raw_checks::advice(&check.name).map(|advice| format!("  {advice}")));
    }
    if !lines.is_empty() {
        lines.push(format!("the report on {}: {uri}", report.table));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_another_invocation_dropped_is_asked_for_again() {
        let failed = |reason: &str| Error::Athena {
            query: "q".to_owned(),
            state: "FAILED".to_owned(),
            reason: reason.to_owned(),
            statement: String::new(),
            retryable: false,
        };
        let dropped = retryable(failed("FAILED: SemanticException [Error 10001]: Table not found options_r"));
        assert_eq!(dropped.name(), "ServiceUnavailable", "{dropped}");
        assert_eq!(retryable(failed("COLUMN_NOT_FOUND: line 1:8: Column 'x'")).name(), "AthenaError");
    }
}
