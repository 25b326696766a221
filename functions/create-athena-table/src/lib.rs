//! Points a table's partitions at what a run wrote: the moment in which readers see it.
//!
//! Each partition changes in one statement, so that a reader sees a day as it was or as it is. Only folders are pointed at
//! that the audit has passed, and that still hold the files that it looked at.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::NaiveDate;
use lake::lambda::parse_event;
use lake::quality::{Day, Report};
use lake::{Error, Lake, athena, keys, objects, parallel, partitions};
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Event {
    table: TableName,
    run: RunId,
    #[serde(flatten)]
    range: DateRange,
}

/// What is published now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The table.
    pub table: TableName,
    /// The run whose files its partitions hold.
    pub run: RunId,
    /// The first day of the range.
    pub from: NaiveDate,
    /// The last day of the range.
    pub to: NaiveDate,
    /// The partitions in the range that hold them.
    pub partitions: u64,
    /// The rows in them.
    pub rows: u64,
}

/// Publishes what a run wrote: `{"table", "run", "from", "to"}`. Days of the range for which the run wrote nothing stay as
/// they are.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; [`Error::Quality`] for a run whose audit is missing or failed, or
/// whose files are no longer those that were audited; [`Error::Athena`] when a statement fails.
pub async fn handle(lake: &Lake, event: Value) -> Result<Published, Error> {
    let form = r#"{"table": "quotes", "run": "...", "from": "2020-04-01", "to": "2020-04-09"}"#;
    let Event { table, run, range } = parse_event(event, form)?;
    let report = Report::passed(lake, &run, table).await?;
    let days: Vec<&Day> = report.days_in(range).collect();
    check_unchanged(lake, &run, table, &days).await?;

    let database = lake.config.athena.database.as_str();
    partitions::create_database(lake, database).await?;
    let location = keys::uri(&lake.config.buckets.lake, &keys::table(table));
    athena::run(lake, &table.create_table_ddl(database, &location)).await?;

    let existing = partitions::list(lake, database, table.as_str()).await?;
    let folders = days.iter().map(|day| folder(lake, table, day.date, &run));
    let (moved, added): (Vec<_>, Vec<_>) = folders.partition(|(partition, _)| existing.contains(partition));
    partitions::add(lake, database, table.as_str(), &added).await?;
    move_partitions(lake, table, moved).await?;

    let rows = days.iter().map(|day| day.figures.rows).sum();
    Ok(Published { table, run, from: range.from(), to: range.to(), partitions: days.len() as u64, rows })
}

fn folder(lake: &Lake, table: TableName, date: NaiveDate, run: &RunId) -> (Partition, String) {
    let partition = Partition::from(date);
    (partition, keys::uri(&lake.config.buckets.lake, &keys::run_folder(table, partition, run)))
}

/// Folders are looked at, and partitions moved, this many at once. Athena runs twenty statements of an account.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");

/// Holds what lies in the run's folders against what was audited.
async fn check_unchanged(lake: &Lake, run: &RunId, table: TableName, days: &[&Day]) -> Result<(), Error> {
    let shared = Arc::new(lake.clone());
    let audited: Vec<_> = days.iter().map(|day| (day.date, day.parquet_files, day.parquet_bytes)).collect();
    let looks = parallel::map(audited, AT_ONCE, |(date, files, bytes)| {
        let (lake, run) = (shared.clone(), run.clone());
        async move {
            let found = objects::list_data(&lake, &keys::run_folder(table, date.into(), &run)).await?;
            let same = found.len() as u64 == files && found.iter().map(|object| object.bytes).sum::<u64>() == bytes;
            Ok((!same).then_some(date))
        }
    });
    let changed: BTreeSet<NaiveDate> = looks.await?.into_iter().flatten().collect();
    match changed.first() {
        None => Ok(()),
        Some(date) => Err(Error::Quality(format!(
            "the files of {table} that run {run} wrote for {date} are not those that were audited; nothing is published. \
             Start create_datalake for that day again"
        ))),
    }
}

async fn move_partitions(lake: &Lake, table: TableName, moved: Vec<(Partition, String)>) -> Result<(), Error> {
    let shared = Arc::new(lake.clone());
    let moves = parallel::map(moved, AT_ONCE, |(partition, uri)| {
        let lake = shared.clone();
        let clause = partitions::clause(partition);
        async move { athena::run(&lake, &format!("ALTER TABLE `{table}` {clause} SET LOCATION '{uri}'")).await }
    });
    moves.await.map(drop)
}
