//! `pregao files`: lists the published Parquet files of a table, for readers that do not use Athena.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveDate;
use lake::record::{self, PublishedTable, Record};
use lake::{Error, Lake, partitions};
use market::partition::{DateRange, Partition, YEARS};
use market::table::TableName;

use crate::args::{FilesArgs, Global, OutputFormat};
use crate::endpoint::{Use, on_aws, with_lake};
use crate::error_report::{Hint, fail};
use crate::format;
use crate::output::{self, PublishedFile};

/// Prints the location of each file, sorted by day and name.
pub(crate) fn files(global: &Global, args: &FilesArgs) -> anyhow::Result<ExitCode> {
    let range = range(args.from, args.to)?;
    if args.paths && on_aws(global)? {
        return fail("--paths is for a lake on this machine", "without it the URIs of the objects are printed");
    }
    with_lake(global, Use::Questions, async |lake| {
        // Reads the catalog before the records: a day gets its record before its partition, so each partition has a record.
        let days = days_of_catalog(lake, args.table, range).await?;
        let records = record::read_all(lake, Some(range)).await?;
        check_recorded(global, args.table, days.into_iter().filter(|day| !records.contains_key(day)).collect())?;
        let mut files = published(args.table, records.into_values().map(|stored| stored.record));
        if args.paths {
            let home = std::path::absolute(&global.home).context("the path of the home")?;
            for file in &mut files {
                file.uri = path(&home, &file.uri)?;
            }
        }
        if args.format == OutputFormat::Json {
            output::print(&files)?;
        } else {
            let mut out = BufWriter::new(io::stdout().lock());
            files.iter().try_for_each(|file| writeln!(out, "{}", file.uri))?;
            out.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns the requested range. A missing end is unbounded.
fn range(from: Option<NaiveDate>, to: Option<NaiveDate>) -> anyhow::Result<DateRange> {
    let first = NaiveDate::from_ymd_opt(*YEARS.start(), 1, 1);
    let last = NaiveDate::from_ymd_opt(*YEARS.end(), 12, 31);
    let (from, to) = from.or(first).zip(to.or(last)).context("the years of the lake")?;
    DateRange::new(from, to).hint("pregao files TABLE --from FIRST --to LAST")
}

/// Returns the published files of a table from the records of its days, in order.
fn published(table: TableName, records: impl IntoIterator<Item = Record>) -> Vec<PublishedFile> {
    let published = records.into_iter().filter_map(|mut record| {
        let PublishedTable { location, mut files, .. } = record.published.as_mut()?.tables.remove(&table)?;
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Some(files.into_iter().map(move |file| PublishedFile {
            day: record.day.to_string(),
            uri: format!("{location}{}", file.name),
            rows: file.rows,
            bytes: file.bytes,
            etag: file.etag,
        }))
    });
    published.flatten().collect()
}

/// Returns the days with a partition in the catalog; empty if the table does not exist.
async fn days_of_catalog(lake: &Lake, table: TableName, range: DateRange) -> Result<Vec<NaiveDate>, Error> {
    match partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await {
        Ok(partitions) => Ok(partitions.into_keys().map(Partition::date).filter(|day| range.contains(*day)).collect()),
        Err(error) if error.is_missing_table() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Fails if days of the catalog have no record, because a version without records published them: the list would be
/// incomplete.
fn check_recorded(global: &Global, table: TableName, unrecorded: Vec<NaiveDate>) -> anyhow::Result<()> {
    let (Some(first), Some(last)) = (unrecorded.first(), unrecorded.last()) else { return Ok(()) };
    fail(
        format!(
            "{} of {table} in the catalog without a record, from {first} to {last}: an older version published them, and only \
             the catalog knows which files they are",
            format::counted(unrecorded.len() as u64, "day")
        ),
        format!("{} run --from {first} --to {last} publishes them again, with records", global.program()),
    )
}

/// Returns the path of an object's file in a home.
fn path(home: &Path, uri: &str) -> anyhow::Result<String> {
    let key = uri.strip_prefix("s3://").with_context(|| format!("{uri} in a record is no URI of S3"))?;
    Ok(home.join("s3").join(key).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn an_end_that_is_not_given_is_open() {
        let all = range(None, None).expect("all days");
        assert!(all.contains(day("1990-01-01")) && all.contains(day("2199-12-31")));
        let some = range(Some(day("2020-04-01")), None).expect("a range");
        assert!(!some.contains(day("2020-03-31")) && some.contains(day("2030-01-01")));
        assert!(range(Some(day("2020-04-02")), Some(day("2020-04-01"))).is_err());
    }

    #[test]
    fn an_object_of_a_home_is_a_file() {
        let file = path(Path::new("/home/a/.pregao"), "s3://lake/runs/run=r/quotes/p.parquet").expect("a path");
        assert_eq!(file, "/home/a/.pregao/s3/lake/runs/run=r/quotes/p.parquet");
        assert!(path(Path::new("/"), "quotes/p.parquet").is_err());
    }
}
