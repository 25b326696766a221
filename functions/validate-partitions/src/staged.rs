//! Stage `staged`: finds out about what the job wrote, and says whether it may be published.
//!
//! The reports are written whatever they say. Only when all of them are there, and all passed, does the run go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use lake::quality::{RawFileRecords, RejectCount, Report};
use lake::{Error, Lake, keys, parallel, raw};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::Serialize;

use crate::evidence::{Content, Evidence};
use crate::figures::{self, rows_of_days};
use crate::staging::Staging;
use crate::{domain, files, recount};

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

/// Audits what `run` wrote for the days of `range`.
pub async fn audit(lake: &Lake, run: &RunId, range: DateRange) -> Result<Passed, Error> {
    let mut evidence = gather(lake, run, range).await?;
    if evidence.can_be_queried() {
        evidence.content = Some(look_inside(lake, &evidence).await?);
    }
    let reports = TableName::ALL.map(|table| evidence.report(&lake.config, table));
    for report in &reports {
        report.write(lake).await?;
    }
    if reports.iter().all(|report| report.passed) {
        let (from, to) = (range.from(), range.to());
        Ok(Passed { run: run.clone(), from, to, tables: reports.iter().map(|report| passed(lake, report)).collect() })
    } else {
        Err(Error::Quality(verdict(lake, &reports)))
    }
}

/// Reads the raw files anew, and the footers of what was written.
async fn gather(lake: &Lake, run: &RunId, range: DateRange) -> Result<Evidence, Error> {
    let shared = Arc::new(lake.clone());
    let raw_files = raw::list(lake, range).await?;
    let recounts = parallel::map(raw_files, lake.config.ingest.parallel_files, |file| {
        let lake = shared.clone();
        async move {
            let records = recount::recount(&lake, &file).await?;
            Ok(RawFileRecords { name: file.name, records })
        }
    });
    let files = recounts.await?;
    let mut written = BTreeMap::new();
    for table in TableName::ALL {
        written.insert(table, files::written(lake, table, run, range).await?);
    }
    Ok(Evidence { run: run.clone(), range, files, written, content: None })
}

/// Asks the rows, by tables that are there only for as long.
async fn look_inside(lake: &Lake, evidence: &Evidence) -> Result<Content, Error> {
    let staging = Staging::of(lake, &evidence.run);
    let tables: Vec<TableName> =
        TableName::ALL.into_iter().filter(|table| !evidence.written(*table).is_empty()).collect();
    let content = query(lake, &staging, evidence, &tables).await;
    for table in tables {
        staging.drop(table).await?;
    }
    content
}

async fn query(
    lake: &Lake,
    staging: &Staging<'_>,
    evidence: &Evidence,
    tables: &[TableName],
) -> Result<Content, Error> {
    let mut content = Content::default();
    for table in tables.iter().copied() {
        let days = evidence.written(table);
        staging.create(table, days).await?;
        let figures = figures::of_days(lake, &staging.database, &staging.name(table), days.keys().copied()).await?;
        content.figures.insert(table, figures);
        if table == TableName::Rejects {
            content.rejects = rejects(staging).await?;
        } else {
            let limit = lake.config.quality.max_domain_share;
            content.domain.insert(table, domain::checks(staging, table, limit).await?);
            content.duplicates.insert(table, domain::duplicates(staging, table).await?);
        }
    }
    Ok(content)
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

fn place(lake: &Lake, report: &Report) -> String {
    keys::uri(&lake.config.buckets.lake, &keys::quality_report(&report.run, report.table))
}

/// Each check that failed, and where to read on.
fn verdict(lake: &Lake, reports: &[Report]) -> String {
    let mut lines = vec!["the audit failed, and nothing was published".to_owned()];
    for report in reports.iter().filter(|report| !report.passed) {
        lines.extend(report.failures().map(|check| format!("{}: {check}", report.table)));
        lines.push(format!("the report on {}: {}", report.table, place(lake, report)));
    }
    lines.join("\n")
}
