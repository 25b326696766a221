//! Keys of objects in the three buckets. No other module builds or parses them.
//!
//! ```text
//! raw      landing/...                                              put here by users
//!          quotes/date=2020-04-01/202004011320_flashpanel.csv       accepted, byte for byte
//!          quarantine/<name>  quarantine/<name>.reason.json         refused, and why
//! lake     runs/run=<run>/quotes/year=2020/month=4/day=1/*.parquet  also options/ and rejects/
//!          runs/run=<run>/quotes/.../_manifest.json                 the files that the audit passed
//!          quality/run=<run>/<table>.json                           the reports of the audit
//!          runs/run=<run>/plan.json  audit.json                     what the run reads, and what its audit compared with
//!          published/year=2020/month=4/day=1.json                   the record of what is published of the day
//!          published/year=2020/month=4/day=1/history/1.json         the records before it
//!          published/year=2020/month=4/day=1/failed.json            what the newest failed audit of the day found
//!          published/_migrated.json                                 marks that older versions' days have records
//!          catalog/locks/<table>.json                               the lease of a table of the catalog
//!          catalog/files/<table>.json                               all published files, for readers of S3 alone
//!          catalog/records/year=<year>.json                         copies of the records of a year
//!          catalog/published/days.json                              the table `published`
//!          smoke/claim.json                                         the days that `pregao smoke` uses at the moment
//! results  athena/  logs/  jobs/                                    query results, cluster logs, the Spark job
//! ```
//!
//! `quotes/`, `options/` and `rejects/` of the lake bucket are the locations of the tables, and are empty: a reader that reads
//! everything below a table's location gets no rows, instead of those of failed and replaced runs. Older versions wrote runs
//! there ([`old_run_folder`]). Their published files stay there, because each partition has its own location.

use chrono::NaiveDate;
use market::partition::Partition;
use market::run::RunId;
use market::snapshot::{Feed, SnapshotName};
use market::table::TableName;

use crate::config::BucketName;

/// Prefix of uploaded files, in the raw bucket.
pub const LANDING: &str = "landing/";

/// Prefix of refused files, in the raw bucket.
pub const QUARANTINE: &str = "quarantine/";

/// Suffix of the object with the reason of a quarantined file.
pub const REASON_SUFFIX: &str = ".reason.json";

/// Prefix of quality reports, in the lake bucket.
pub const QUALITY: &str = "quality/";

/// Prefix of publication records, in the lake bucket.
pub const PUBLISHED: &str = "published/";

/// Marks that days published by versions without records have records, in the lake bucket.
pub const MIGRATED: &str = "published/_migrated.json";

/// Folder of a day's earlier records.
pub const HISTORY: &str = "history/";

/// Prefix of the output of runs, in the lake bucket.
pub const RUNS: &str = "runs/";

/// Prefix of query results, in the results bucket.
pub const QUERY_RESULTS: &str = "athena/";

/// Prefix of cluster logs, in the results bucket.
pub const LOGS: &str = "logs/";

/// Returns the key of an uploaded file. `relative` is its path in the uploaded folder, with `/` as separator.
pub fn landing(relative: &str) -> String {
    format!("{LANDING}{relative}")
}

/// Returns the file name in a key: its last part, which is empty for a folder marker (`landing/april/`).
pub fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Returns the key of an accepted raw file.
pub fn raw(name: SnapshotName) -> String {
    format!("{}{name}", raw_day(name.feed, name.time.date()))
}

/// Returns the prefix of a day's raw files.
pub fn raw_day(feed: Feed, date: NaiveDate) -> String {
    format!("{}{date}/", raw_feed(feed))
}

/// Returns the prefix of a feed's raw files. A date follows it.
pub fn raw_feed(feed: Feed) -> String {
    format!("{feed}/date=")
}

/// Returns the key of a quarantined file.
pub fn quarantine(name: &str) -> String {
    format!("{QUARANTINE}{name}")
}

/// Returns the key of the reason for which the file at the key `quarantined` was refused.
pub fn quarantine_reason(quarantined: &str) -> String {
    format!("{quarantined}{REASON_SUFFIX}")
}

/// Returns the location of a table, in the lake bucket. Its partitions are elsewhere ([`run_folder`]).
pub fn table(table: TableName) -> String {
    format!("{table}/")
}

/// Returns the prefix of all objects of `run`, in the lake bucket.
pub fn run(run: &RunId) -> String {
    format!("{RUNS}run={run}/")
}

/// Returns the prefix of the files that `run` wrote for a table.
pub fn run_table(table: TableName, run: &RunId) -> String {
    format!("{}{table}/", self::run(run))
}

/// Returns the prefix of the files that `run` wrote for one day of a table.
pub fn run_folder(table: TableName, partition: Partition, run: &RunId) -> String {
    format!("{}{partition}/", run_table(table, run))
}

/// Returns the prefix of the files that an older version wrote for one day of a table.
pub fn old_run_folder(table: TableName, partition: Partition, run: &RunId) -> String {
    format!("{}{partition}/run={run}/", self::table(table))
}

/// Parses the run of a folder of one day of a table, in either layout.
pub fn run_of_folder(table: TableName, partition: Partition, folder: &str) -> Option<RunId> {
    let run: RunId = folder.split('/').find_map(|part| part.strip_prefix("run="))?.parse().ok()?;
    let layouts = [run_folder, old_run_folder];
    layouts.iter().any(|layout| layout(table, partition, &run) == folder).then_some(run)
}

/// Whether a key of the lake bucket belongs to a table (data or manifest), in either layout.
pub fn is_of_table(key: &str) -> bool {
    // In the new layout the table follows `runs/run=<run>/`, in the older one it starts the key.
    let below = key.strip_prefix(RUNS).and_then(|rest| rest.split_once('/')).map_or(key, |(_, below)| below);
    TableName::ALL.iter().any(|of| below.starts_with(&table(*of)))
}

/// Returns the key of the manifest of what `run` wrote for one day of a table, in the lake bucket.
pub fn manifest(table: TableName, partition: Partition, run: &RunId) -> String {
    format!("{}{}", run_folder(table, partition, run), manifest::NAME)
}

/// Returns the key of a day's current publication record, in the lake bucket.
pub fn record(day: NaiveDate) -> String {
    format!("{PUBLISHED}{}.json", Partition::from(day))
}

/// Parses the day of a current record's key; `None` for other objects.
pub fn recorded_day(key: &str) -> Option<NaiveDate> {
    let partition: Partition = key.strip_prefix(PUBLISHED)?.strip_suffix(".json")?.parse().ok()?;
    Some(partition.date())
}

/// Returns the key of a day's earlier record with this number.
pub fn record_history(day: NaiveDate, number: u64) -> String {
    format!("{PUBLISHED}{}/{HISTORY}{number}.json", Partition::from(day))
}

/// Returns the key of a day's newest failed audit, in the lake bucket.
pub fn failed_audit(day: NaiveDate) -> String {
    format!("{PUBLISHED}{}/failed.json", Partition::from(day))
}

/// Parses the day of a failed audit's key.
pub fn failed_day(key: &str) -> Option<NaiveDate> {
    let partition: Partition = key.strip_prefix(PUBLISHED)?.strip_suffix("/failed.json")?.parse().ok()?;
    Some(partition.date())
}

/// Returns the key of a run's plan, in the lake bucket.
pub fn plan(run: &RunId) -> String {
    format!("{RUNS}run={run}/plan.json")
}

/// Returns the key of the outcome of the audit of a slice of `run`, in the lake bucket.
pub fn audit(run: &RunId, slice: u32) -> String {
    format!("{RUNS}run={run}/{}audit.json", slice_folder(slice))
}

/// Returns the key of the outcome of the publication of a slice of `run`, in the lake bucket.
pub fn publication(run: &RunId, slice: u32) -> String {
    format!("{RUNS}run={run}/{}publication.json", slice_folder(slice))
}

/// The folder of a slice in a folder of its run. The first slice, which is the only one of most runs, has none.
fn slice_folder(slice: u32) -> String {
    if slice == 0 { String::new() } else { format!("slice={slice}/") }
}

/// The folder of the leases of the catalog's tables, in the lake bucket.
pub const CATALOG_LEASES: &str = "catalog/locks/";

/// Returns the key of the lease of a table of the catalog, in the lake bucket.
pub fn catalog_lease(table: TableName) -> String {
    format!("{CATALOG_LEASES}{table}.json")
}

/// Returns the key of the list of a table's published files, in the lake bucket.
pub fn published_files(table: TableName) -> String {
    format!("catalog/files/{table}.json")
}

/// Prefix of the records of a year, in the lake bucket.
pub fn records_of_year(year: i32) -> String {
    format!("{PUBLISHED}year={year}/")
}

/// Returns the key of the copies of the records of a year, in the lake bucket.
pub fn record_copies(year: i32) -> String {
    format!("catalog/records/year={year}.json")
}

/// Prefix of the table `published`, in the lake bucket.
pub const PUBLISHED_TABLE: &str = "catalog/published/";

/// The object of the table `published`, in the lake bucket. It changes with each change of a record.
pub const PUBLISHED_DAYS: &str = "catalog/published/days.json";

/// Key of the claim of `pregao smoke` on its days, in the lake bucket.
pub const SMOKE_CLAIM: &str = "smoke/claim.json";

/// Prefix of the quality reports of a run, in the lake bucket.
pub fn quality_reports(run: &RunId) -> String {
    format!("{QUALITY}run={run}/")
}

/// Returns the key of the quality report of `table` and a slice of `run`, in the lake bucket.
pub fn quality_report(run: &RunId, slice: u32, table: TableName) -> String {
    format!("{}{}{table}.json", quality_reports(run), slice_folder(slice))
}

/// Parses the run of a key that is the last quality report of a run.
pub fn audited_run(key: &str) -> Option<RunId> {
    let run =
        key.strip_prefix(QUALITY)?.strip_prefix("run=")?.strip_suffix(&format!("/{}.json", TableName::Rejects))?;
    run.parse().ok()
}

/// Returns the key of the Spark job with this digest, in the results bucket. A changed job is another object, so that a
/// running step never reads a mixture of both.
pub fn job(digest: &str) -> String {
    format!("jobs/etl-{digest}.sql")
}

/// Returns the key of the program with this digest that runs the Spark job on EMR Serverless, in the results bucket.
pub fn job_program(digest: &str) -> String {
    format!("jobs/run_sql-{digest}.py")
}

/// A key as the source of a copy, which S3 takes URL-encoded.
pub fn copy_source(bucket: &BucketName, key: &str) -> String {
    let mut source = format!("{bucket}/");
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => source.push(byte.into()),
            _ => source.push_str(&format!("%{byte:02X}")),
        }
    }
    source
}

/// Where EMR puts the log of a step of a cluster whose logs go to `logs`.
pub fn step_log(logs: &str, cluster: &str, step: &str) -> String {
    // EMR tells the place of older clusters with the scheme of its own file system.
    let logs = logs.strip_prefix("s3n:").map_or(logs.to_owned(), |rest| format!("s3:{rest}"));
    format!("{}/{cluster}/steps/{step}/", logs.trim_end_matches('/'))
}

/// Where EMR Serverless puts the log of the driver of a job run whose logs go to `logs`.
/// <https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/logging.html>
pub fn job_run_log(logs: &str, application: &str, job_run: &str) -> String {
    let logs = logs.trim_end_matches('/');
    format!("{logs}/applications/{application}/jobs/{job_run}/SPARK_DRIVER/stderr.gz")
}

/// The URI of a key, or of all keys that start with it.
pub fn uri(bucket: &BucketName, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_live_where_the_design_says() {
        let name: SnapshotName = "202004011320_flashpanel.csv.gz".parse().expect("a name");
        let partition = name.time.partition();
        let run: RunId = "nightly-7".parse().expect("a run");
        assert_eq!(raw(name), "quotes/date=2020-04-01/202004011320_flashpanel.csv.gz");
        assert_eq!(landing("april/1/x.csv"), "landing/april/1/x.csv");
        assert_eq!(quarantine_reason(&quarantine("x.csv")), "quarantine/x.csv.reason.json");
        assert_eq!(
            run_folder(TableName::Options, partition, &run),
            "runs/run=nightly-7/options/year=2020/month=4/day=1/"
        );
        assert_eq!(
            old_run_folder(TableName::Options, partition, &run),
            "options/year=2020/month=4/day=1/run=nightly-7/"
        );
        assert_eq!(
            manifest(TableName::Options, partition, &run),
            "runs/run=nightly-7/options/year=2020/month=4/day=1/_manifest.json"
        );
        for layout in [run_folder, old_run_folder] {
            let folder = layout(TableName::Options, partition, &run);
            assert_eq!(run_of_folder(TableName::Options, partition, &folder), Some(run.clone()));
            assert_eq!(run_of_folder(TableName::Quotes, partition, &folder), None);
            assert_eq!(run_of_folder(TableName::Options, partition, folder.trim_end_matches('/')), None);
        }
        assert_eq!(quality_report(&run, 0, TableName::Rejects), "quality/run=nightly-7/rejects.json");
        assert_eq!(quality_report(&run, 12, TableName::Rejects), "quality/run=nightly-7/slice=12/rejects.json");
        assert_eq!(audit(&run, 0), "runs/run=nightly-7/audit.json");
        assert_eq!(publication(&run, 1), "runs/run=nightly-7/slice=1/publication.json");
        assert_eq!(audited_run("quality/run=nightly-7/rejects.json"), Some(run.clone()));
        for other in ["quality/run=nightly-7/quotes.json", "quality/rejects.json", "quality/run=a b/rejects.json"] {
            assert_eq!(audited_run(other), None, "{other}");
        }
        let day = partition.date();
        assert_eq!(record(day), "published/year=2020/month=4/day=1.json");
        assert_eq!(record_history(day, 3), "published/year=2020/month=4/day=1/history/3.json");
        assert_eq!(recorded_day(&record(day)), Some(day));
        assert_eq!(failed_day(&failed_audit(day)), Some(day));
        for other in [
            MIGRATED.to_owned(),
            record_history(day, 3),
            failed_audit(day),
            "published/x.json".to_owned(),
            run_folder(TableName::Quotes, partition, &run),
        ] {
            assert_eq!(recorded_day(&other), None, "{other}");
        }
        assert_eq!(plan(&run), "runs/run=nightly-7/plan.json");
        assert_eq!(job("ab12"), "jobs/etl-ab12.sql");
        for logs in ["s3n://logs/emr/", "s3://logs/emr"] {
            assert_eq!(step_log(logs, "j-1", "s-2"), "s3://logs/emr/j-1/steps/s-2/");
        }
    }

    #[test]
    fn no_run_is_written_below_a_table() {
        let run: RunId = "quotes".parse().expect("a run");
        let partition: Partition = "year=2020/month=4/day=1".parse().expect("a partition");
        for of in TableName::ALL {
            let folder = run_folder(of, partition, &run);
            assert!(folder.starts_with(&run_table(of, &run)) && folder.starts_with(&self::run(&run)));
            assert!(TableName::ALL.iter().all(|other| !folder.starts_with(&table(*other))), "{folder}");
        }
    }

    #[test]
    fn objects_of_a_table_are_distinguished_from_others() {
        let (of_table, other) = (true, false);
        for (key, expected) in [
            ("runs/run=a/quotes/year=2020/month=4/day=1/part-0.parquet", of_table),
            ("runs/run=a/rejects/year=2020/month=4/day=1/_manifest.json", of_table),
            ("options/year=2020/month=4/day=1/run=a/part-0.parquet", of_table),
            ("runs/run=a/plan-1.json", other),
            ("runs/run=quotes/plan-1.json", other),
            ("runs/quotes/", other),
            ("quality/run=a/quotes.json", other),
            ("quotes", other),
        ] {
            assert_eq!(is_of_table(key), expected, "{key}");
        }
    }

    #[test]
    fn a_file_name_is_what_stands_behind_the_last_folder() {
        for (key, name) in [("landing/a/b.csv", "b.csv"), ("landing/a/", ""), ("b.csv", "b.csv"), ("", "")] {
            assert_eq!(file_name(key), name);
        }
    }

    #[test]
    fn a_copy_source_is_encoded() {
        let bucket = crate::Config::default().buckets.raw;
        assert_eq!(copy_source(&bucket, "landing/a b+ç%.csv"), "pregao-raw/landing/a%20b%2B%C3%A7%25.csv");
    }
}
