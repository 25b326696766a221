//! The published rows of the days that a run is to replace: the rows of each snapshot that readers see, and the records of
//! their raw files. Both are in the report of the run that the record of the day names. Without that report, and for days
//! without a record, the published table is queried.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use lake::quality::{Records, Report};
use lake::record::Record;
use lake::{Error, Lake, athena, partitions};
use market::run::RunId;
use market::snapshot::SnapshotTime;
use market::table::TableName;

use crate::day_stats::{Row, rows_by_day};
use crate::staging::Staging;

/// The published rows of a table on some days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Previous {
    /// The published snapshots.
    pub snapshots: BTreeMap<SnapshotTime, Snapshot>,
    /// The days whose rows cannot be read, with the reason. They may be replaced: a new run repairs them.
    pub unreadable: BTreeMap<NaiveDate, String>,
}

/// A published snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The rows that readers see.
    pub rows: u64,
    /// The records of its raw file by their disposition. `None` if the report of that run does not exist.
    pub records: Option<Records>,
}

/// Returns the published rows of `table` on `days`. The result is empty if the table does not exist.
pub(crate) async fn published(
    lake: &Lake,
    staging: &Staging<'_>,
    table: TableName,
    days: &BTreeSet<NaiveDate>,
    records: &BTreeMap<NaiveDate, Record>,
) -> Result<Previous, Error> {
    let mut previous = Previous::default();
    let mut unknown = BTreeSet::new();
    let mut reports: BTreeMap<&str, Option<Report>> = BTreeMap::new();
    for date in days {
        let Some(published) = records.get(date).and_then(|record| record.published.as_ref()) else {
            unknown.insert(*date);
            continue;
        };
        let Some(published) = published.tables.get(&table) else { continue };
        if let Entry::Vacant(report) = reports.entry(&published.report) {
            report.insert(Report::find(lake, &published.report).await?);
        }
        let Some(Some(report)) = reports.get(published.report.as_str()) else {
            unknown.insert(*date);
            continue;
        };
        let files = report.files.iter().filter(|file| file.name.time.date() == *date);
        previous.snapshots.extend(
            files.map(|file| (file.name.time, Snapshot { rows: file.records.published, records: Some(file.records) })),
        );
    }
    query_published(lake, staging, table, &unknown, previous).await
}

/// Adds the published rows of `days`, which no report has, by queries of the published table.
async fn query_published(
    lake: &Lake,
    staging: &Staging<'_>,
    table: TableName,
    days: &BTreeSet<NaiveDate>,
    mut previous: Previous,
) -> Result<Previous, Error> {
    if days.is_empty() {
        return Ok(previous);
    }
    let mut found = match query_rows(lake, staging, table, days.iter().copied()).await {
        Ok(found) => found,
        Err(error) if error.is_missing_table() => return Ok(previous),
        Err(Error::Athena { retryable: false, .. }) => {
            // Some day is damaged. Query day by day, so that the others can still be compared.
            let mut found = Vec::new();
            for date in days {
                match query_rows(lake, staging, table, [*date]).await {
                    Ok(rows) => found.extend(rows),
                    Err(Error::Athena { retryable: false, reason, .. }) => {
                        tracing::warn!(%table, %date, reason, "the published rows cannot be read");
                        previous.unreadable.insert(*date, reason);
                    }
                    Err(error) => return Err(error),
                }
            }
            found
        }
        Err(error) => return Err(error),
    };
    let runs: BTreeSet<RunId> = found.iter().filter_map(|rows| rows.run.clone()).collect();
    let mut records: BTreeMap<(RunId, SnapshotTime), Records> = BTreeMap::new();
    for run in runs {
        let report = Report::of_run(lake, &run, table).await?;
        let files = report.into_iter().flat_map(|report| report.files);
        records.extend(files.map(|file| ((run.clone(), file.name.time), file.records)));
    }
    for SnapshotRows { time, rows, run } in found.drain(..) {
        let records = run.and_then(|run| records.get(&(run, time)).copied());
        previous.snapshots.insert(time, Snapshot { rows, records });
    }
    Ok(previous)
}

/// The rows of a published snapshot.
struct SnapshotRows {
    time: SnapshotTime,
    rows: u64,
    run: Option<RunId>,
}

async fn query_rows(
    lake: &Lake,
    staging: &Staging<'_>,
    table: TableName,
    days: impl IntoIterator<Item = NaiveDate>,
) -> Result<Vec<SnapshotRows>, Error> {
    let statement = statement(lake.config.athena.database.as_str(), table, days);
    let result = athena::run_in(lake, staging.database.as_str(), &statement).await?;
    // Rows whose `intdate` is not a time were not published by a run and have no raw file.
    Ok(rows_by_day(&result, read)?.into_iter().filter_map(|(_, rows)| rows).collect())
}

fn read(row: &Row<'_>) -> Result<Option<SnapshotRows>, Error> {
    let (time, rows) = (row.text(3).parse(), row.count(4)?);
    let run = run_of_path(&row.text(5));
    Ok(time.ok().map(|time| SnapshotRows { time, rows, run }))
}

fn statement(database: &str, table: TableName, days: impl IntoIterator<Item = NaiveDate>) -> String {
    format!(
        "SELECT year, month, day, intdate, count(*) AS published_rows, min(\"$path\") AS path\n\
         FROM \"{database}\".\"{table}\"\n\
         WHERE {}\n\
         GROUP BY year, month, day, intdate",
        partitions::condition(days)
    )
}

/// Returns the run that wrote the file at `path`.
fn run_of_path(path: &str) -> Option<RunId> {
    path.split('/').find_map(|part| part.strip_prefix("run="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_of_a_published_file_is_in_its_path() {
        for path in [
            "s3://lake/runs/run=2020-04-01_x-1/quotes/year=2020/month=4/day=1/part-0.parquet",
            "s3://lake/quotes/year=2020/month=4/day=1/run=2020-04-01_x-1/part-0.parquet",
        ] {
            assert_eq!(run_of_path(path).expect("a run").as_str(), "2020-04-01_x-1");
        }
        assert_eq!(run_of_path("s3://lake/quotes/part-0.parquet"), None);
    }

    #[test]
    fn the_published_table_is_named_with_its_database() {
        let day = NaiveDate::from_ymd_opt(2020, 4, 1).expect("a day");
        assert_eq!(
            statement("pregao", TableName::Quotes, [day]),
            "SELECT year, month, day, intdate, count(*) AS published_rows, min(\"$path\") AS path\n\
             FROM \"pregao\".\"quotes\"\n\
             WHERE (year = 2020 AND month = 4 AND day IN (1))\n\
             GROUP BY year, month, day, intdate"
        );
    }
}
