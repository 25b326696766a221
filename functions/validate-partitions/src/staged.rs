//! Stage `staged`: finds out about what the job wrote, and says whether it may be published.
//!
//! The reports are written whatever they say. Only when all of them are there, and all passed, does the run go on. A report
//! that says so is written when the manifests of all days are in their places, so that what is published has one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use lake::failed::FailedAudit;
use lake::plan::{Compared, Plan};
use lake::quality::{Check, Duplicates, Figures, RejectCount, Report};
use lake::raw_files::RawFile;
use lake::record::{self, RawFileVersion, Record, view};
use lake::{Error, Lake, concurrency, keys, manifest, partitions, raw_files};
use market::run::RunId;
use market::snapshot::{Feed, SnapshotTime};
use market::table::TableName;
use serde::Serialize;

use crate::evidence::{Content, Evidence};
use crate::figures::{self, rows_of_days};
use crate::files::DayFiles;
use crate::shape::ReadFile;
use crate::staging::Staging;
use crate::{before, domain, files, raw_checks, recount};

/// A run that passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passed {
    /// The run.
    pub run: RunId,
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// Each table.
    pub tables: Vec<PassedTable>,
}

/// A table that passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PassedTable {
    /// The table.
    pub table: TableName,
    /// Its partitions.
    pub partitions: u64,
    /// Its rows.
    pub rows: u64,
    /// Where its report is.
    pub report: String,
}

/// Audits what `run` wrote for the days of its plan.
pub async fn audit(lake: &Lake, run: &RunId) -> Result<Passed, Error> {
    let plan = Plan::read(lake, run).await?;
    let range = plan.range;
    // Before anything is compared with them: a record that is written later has not been compared with.
    let records = record::records(record::read_range(lake, range).await?);
    let evidence = gather(lake, &plan, &records).await?;
    let reports = TableName::ALL.map(|table| evidence.report(&lake.config, table));
    if reports.iter().all(|report| report.passed) {
        write_manifests(lake, &evidence, &reports).await?;
    }
    for report in &reports {
        log_accepted(lake, report);
        report.write(lake).await?;
    }
    if reports.iter().all(|report| report.passed) {
        // Last, and only now: who publishes takes it for the verdict on a comparison with these very records, and may be a
        // slow invocation that reads the reports of an audit before this one.
        let compared = plan.days.iter().map(|day| (day.day, records.get(&day.day).map_or(0, |record| record.number)));
        Compared { records: compared.collect() }.write(lake, run).await?;
        let (from, to) = (range.from(), range.to());
        Ok(Passed { run: run.clone(), from, to, tables: reports.iter().map(|report| passed(lake, report)).collect() })
    } else {
        remember_failure(lake, &plan, &reports).await?;
        Err(Error::Quality(verdict(lake, &reports)))
    }
}

/// Writes down, beside the files of each day that may be published, which files they are.
async fn write_manifests(lake: &Lake, evidence: &Evidence, reports: &[Report]) -> Result<(), Error> {
    let shared = Arc::new(lake.clone());
    let manifests: Vec<_> = reports
        .iter()
        .flat_map(|report| report.days.iter().map(|day| (report.table, day.date)))
        .map(|(table, date)| evidence.day(table, date).manifest(table, date, &evidence.run))
        .collect();
    let writes = concurrency::map(manifests, lake.config.ingest.parallel_files, |manifest| {
        let lake = shared.clone();
        async move { manifest::write(&lake, &manifest).await }
    });
    writes.await.map(drop)
}

/// Writes down, for each day that a failed check names, that this run failed with these raw files. A check that names no
/// days concerns all of them.
async fn remember_failure(lake: &Lake, plan: &Plan, reports: &[Report]) -> Result<(), Error> {
    for planned in plan.to_publish() {
        let concerns = |check: &&Check| {
            let days = &check.days;
            days.is_empty() || days.count > days.first.len() || days.first.contains(&planned.day)
        };
        let failures: Vec<String> = reports
            .iter()
            .flat_map(|report| report.failures().filter(concerns).map(|check| format!("{}: {check}", report.table)))
            .collect();
        if failures.is_empty() {
            continue;
        }
        let (run, raw_files) = (plan.run.clone(), planned.raw_files.clone());
        FailedAudit { run, failed_at: record::now(), raw_files, failures }.write(lake, planned.day).await?;
    }
    Ok(())
}

/// Reads what was written, and then the raw files once more while the rows are asked.
async fn gather(lake: &Lake, plan: &Plan, records: &BTreeMap<NaiveDate, Record>) -> Result<Evidence, Error> {
    let (run, range) = (&plan.run, plan.range);
    let [quotes, options, rejects] = TableName::ALL.map(|table| files::written(lake, table, run, range));
    let (quotes, options, rejects) = tokio::try_join!(quotes, options, rejects)?;
    let written = TableName::ALL.into_iter().zip([quotes, options, rejects]).collect();
    let mut evidence =
        Evidence { run: run.clone(), range, files: Vec::new(), before: BTreeMap::new(), written, content: None };
    // Each to its end, so that no table is left when the other one fails.
    let (files, content) = tokio::join!(recounts(lake, plan), look_inside(lake, &evidence));
    evidence.files = files?;
    let days: BTreeSet<NaiveDate> = evidence.files.iter().map(|file| file.name().time.date()).collect();
    let staging = Staging::of(lake, run);
    if evidence.content.is_none() {
        // Statements about the published tables are asked from there, like all of the audit.
        partitions::create_database(lake, &staging.database).await?;
    }
    for table in Feed::ALL.map(TableName::from) {
        evidence.before.insert(table, before::published(lake, &staging, table, &days, records).await?);
    }
    // Only now is it known which days there should be. What was asked of other ones means nothing.
    if evidence.can_be_queried() {
        evidence.content = content?;
    }
    if !evidence.can_be_tables() {
        return Ok(evidence);
    }
    for table in TableName::ALL {
        let changes = files::changes(lake, table, run, evidence.days_of(table)).await?;
        evidence.add_faults(table, changes);
    }
    Ok(evidence)
}

/// Each raw file, with what becomes of its records.
///
/// # Errors
/// [`Error::RawFilesChanged`] when they are not those of the plan: nobody knows then which of both the job read.
async fn recounts(lake: &Lake, plan: &Plan) -> Result<Vec<ReadFile>, Error> {
    let shared = Arc::new(lake.clone());
    let listing = raw_files::scan(lake, plan.range).await?;
    // First: an upload that replaces one form of a snapshot by the other has both there for a moment.
    unchanged(plan, listing.files())?;
    let raw_files = listing.unique()?;
    let recounts = concurrency::map(raw_files, lake.config.ingest.parallel_files, |file| {
        let lake = shared.clone();
        async move { recount::recount(&lake, &file).await }
    });
    recounts.await
}

/// Compares the raw files of each day with those of the plan.
fn unchanged(plan: &Plan, raw_files: &[RawFile]) -> Result<(), Error> {
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

/// Asks the rows, by tables that are there only for as long. None where no table can be made over the files.
async fn look_inside(lake: &Lake, evidence: &Evidence) -> Result<Option<Content>, Error> {
    if !evidence.can_be_tables() {
        return Ok(None);
    }
    let staging = Staging::of(lake, &evidence.run);
    let [quotes, options, rejects] = TableName::ALL.map(|table| ask(lake, &staging, evidence, table));
    let (quotes, options, rejects) = tokio::join!(quotes, options, rejects);
    let mut content = Content::default();
    for (table, asked) in TableName::ALL.into_iter().zip([quotes, options, rejects]) {
        let Some(asked) = asked? else { continue };
        content.figures.insert(table, asked.figures);
        content.rejects.extend(asked.rejects);
        if let Some((checks, duplicates, empty)) = asked.domain {
            content.domain.insert(table, checks);
            content.duplicates.insert(table, duplicates);
            content.empty.insert(table, empty);
        }
    }
    Ok(Some(content))
}

/// What queries say of one table.
struct Asked {
    figures: BTreeMap<NaiveDate, Figures>,
    rejects: Vec<(NaiveDate, RejectCount)>,
    /// Of a feed's table.
    domain: Option<(Vec<Check>, Duplicates, Vec<SnapshotTime>)>,
}

/// Asks a table, which is gone again afterwards, whatever it says. None where the run wrote nothing for it.
async fn ask(
    lake: &Lake,
    staging: &Staging<'_>,
    evidence: &Evidence,
    table: TableName,
) -> Result<Option<Asked>, Error> {
    let days = evidence.written(table);
    if days.is_empty() {
        return Ok(None);
    }
    let asked = query(lake, staging, days, table).await;
    staging.drop(table).await?;
    asked.map(Some).map_err(retryable)
}

/// What is retried when another invocation of the same audit takes the staged tables away: one whose answer was lost, so that
/// its state began it once more while it still runs.
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

async fn query(
    lake: &Lake,
    staging: &Staging<'_>,
    days: &BTreeMap<NaiveDate, DayFiles>,
    table: TableName,
) -> Result<Asked, Error> {
    staging.create(table, days).await?;
    let figures = figures::of_days(lake, &staging.database, &staging.name(table), days.keys().copied()).await?;
    if table == TableName::Rejects {
        return Ok(Asked { figures, rejects: rejects(staging).await?, domain: None });
    }
    let checks = domain::checks(staging, table, lake.config.quality.max_domain_share).await?;
    let duplicates = domain::duplicates(staging, table).await?;
    let empty = domain::empty_snapshots(staging, table).await?;
    Ok(Asked { figures, rejects: Vec::new(), domain: Some((checks, duplicates, empty)) })
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
    rows_of_days(&answer, |row| {
        let [table_name, column_name, reason] = [3, 4, 5].map(|at| row.text(at));
        Ok(RejectCount { table_name, column_name, reason, count: row.number(6)?.unwrap_or_default() })
    })
}

fn passed(lake: &Lake, report: &Report) -> PassedTable {
    PassedTable {
        table: report.table,
        partitions: report.days.len() as u64,
        rows: report.rows,
        report: place(lake, report),
    }
}

/// Logs what is published only because the configuration says so.
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

fn place(lake: &Lake, report: &Report) -> String {
    keys::uri(&lake.config.buckets.lake, &keys::quality_report(&report.run, report.table))
}

/// Each check that failed, and where to read on.
fn verdict(lake: &Lake, reports: &[Report]) -> String {
    let mut lines = vec!["the audit failed, and nothing was published".to_owned()];
    for report in reports.iter().filter(|report| !report.passed) {
        for check in report.failures() {
            lines.push(format!("{}: {check}", report.table));
            lines.extend(raw_checks::advice(&check.name).map(|advice| format!("  {advice}")));
        }
        lines.push(format!("the report on {}: {}", report.table, place(lake, report)));
    }
    lines.join("\n")
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
