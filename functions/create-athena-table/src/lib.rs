//! Points a table's partitions at what a run wrote: the moment in which readers see it.
//!
//! Each partition changes in one statement, so that a reader sees a day as it was or as it is. Only folders are pointed at
//! that the audit has passed, and that hold exactly the files of its manifest.

use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{NaiveDate, Utc};
use lake::lambda::parse_event;
use lake::quality::{self, Day, Report};
use lake::request::{self, Request};
use lake::{Error, Lake, athena, keys, manifest, parallel, partitions};
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Event {
    table: Option<TableName>,
    run: RunId,
    #[serde(flatten)]
    range: DateRange,
}

/// What is published now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The table; none for all of them.
    pub table: Option<TableName>,
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

/// Publishes what a run wrote: `{"table", "run", "from", "to"}`, or all its tables without `"table"`. Days of the range for
/// which the run wrote nothing stay as they are.
///
/// Started by hand with `{}`, `{"date"}` or `{"from", "to"}` ([`request::resolve`]) it publishes all tables of the run that
/// was audited last for these days.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; [`Error::Quality`] for a run whose audit is missing or failed, or
/// whose files are no longer those that were audited; [`Error::Athena`] when a statement fails.
pub async fn handle(lake: &Lake, event: Value) -> Result<Published, Error> {
    let Event { table, run, range } = if event.get("run").is_some() {
        parse_event(event, r#"{"table": "quotes", "run": "...", "from": "2020-04-01", "to": "2020-04-09"}"#)?
    } else {
        let range = days(&event)?;
        Event { table: None, run: quality::newest_run(lake, range).await?, range }
    };
    let (mut partitions, mut rows) = (0, 0);
    for table in table.map_or(TableName::ALL.to_vec(), |table| vec![table]) {
        let days = publish(lake, table, &run, range).await?;
        partitions += days.len() as u64;
        rows += days.iter().map(|day| day.figures.rows).sum::<u64>();
    }
    Ok(Published { table, run, from: range.from(), to: range.to(), partitions, rows })
}

fn days(event: &Value) -> Result<DateRange, Error> {
    match request::resolve(event, Utc::now())? {
        Request::Days(range) => Ok(range),
        Request::Object { key, .. } => Err(Error::InvalidInput(format!("{key} is an object, and no days of a run"))),
    }
}

/// Points the partitions of one table at the run's folders, and gives what is now published.
async fn publish(lake: &Lake, table: TableName, run: &RunId, range: DateRange) -> Result<Vec<Day>, Error> {
    let report = Report::passed(lake, run, table).await?;
    let days: Vec<&Day> = report.days_in(range).collect();
    check_unchanged(lake, run, table, &days).await?;

    let database = lake.config.athena.database.as_str();
    partitions::create_database(lake, database).await?;
    let location = keys::uri(&lake.config.buckets.lake, &keys::table(table));
    athena::run(lake, &table.create_table_ddl(database, &location)).await?;

    let existing = partitions::list(lake, database, table.as_str()).await?;
    let folders = days.iter().map(|day| folder(lake, table, day.date, run));
    let (moved, added): (Vec<_>, Vec<_>) = folders.partition(|(partition, _)| existing.contains(partition));
    partitions::add(lake, database, table.as_str(), &added).await?;
    move_partitions(lake, table, moved).await?;
    Ok(days.into_iter().cloned().collect())
}

fn folder(lake: &Lake, table: TableName, date: NaiveDate, run: &RunId) -> (Partition, String) {
    let partition = Partition::from(date);
    (partition, keys::uri(&lake.config.buckets.lake, &keys::run_folder(table, partition, run)))
}

/// Folders are looked at, and partitions moved, this many at once. Athena runs twenty statements of an account.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");

/// Compares what lies in the run's folders with the manifests that the audit left there, and these with its report.
async fn check_unchanged(lake: &Lake, run: &RunId, table: TableName, days: &[&Day]) -> Result<(), Error> {
    let shared = Arc::new(lake.clone());
    let days: Vec<Day> = days.iter().map(|day| (*day).clone()).collect();
    let looks = parallel::map(days, AT_ONCE, |day| {
        let (lake, run) = (shared.clone(), run.clone());
        async move {
            let manifest = manifest::check(&lake, table, day.date, &run).await?;
            let audited = (day.parquet_files, day.parquet_bytes, day.figures.rows);
            if (manifest.files.len() as u64, manifest.bytes(), manifest.rows()) == audited {
                return Ok(());
            }
            Err(Error::Quality(format!(
                "the manifest of {table} that run {run} has for {date} and the report of its audit are not of the same \
                 files; nothing is published. Start create_datalake for {date} again",
                date = day.date
            )))
        }
    });
    looks.await.map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_input_of_days_is_any_that_a_workflow_takes() {
        let day = days(&json!({"date": "2020-04-01"})).expect("a day");
        assert_eq!((day.from(), day.to()), (day.from(), day.from()));
        assert_eq!(
            days(&json!({"from": "2020-04-01", "to": "2020-04-09"})).expect("days").to().to_string(),
            "2020-04-09"
        );
        days(&json!({})).expect("the day before");
        for wrong in [
            json!({"table": "quotes", "from": "2020-04-01", "to": "2020-04-09"}),
            json!({"source": "aws.s3", "detail-type": "Object Created",
                "detail": {"bucket": {"name": "b"}, "object": {"key": "landing/x"}}}),
            json!("2020-04-01"),
        ] {
            assert_eq!(days(&wrong).expect_err("refused").name(), "InvalidInput", "{wrong}");
        }
    }
}
