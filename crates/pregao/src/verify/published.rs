//! Checks of the published partitions: their folders, manifests, reports and files.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::StreamExt;
use futures::stream;
use lake::manifest::{self, Manifest};
use lake::objects::{self, Object};
use lake::quality::Report;
use lake::{Lake, keys, partitions, scratch};
use market::partition::Partition;
use market::run::RunId;
use market::table::TableName;

use super::{Findings, Options, damage};
use crate::output::FindingKind;

/// Number of partitions that are checked concurrently.
const AT_ONCE: usize = 16;

/// The folder of a run for one day of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunFolder {
    /// The run.
    pub run: RunId,
    /// Prefix of the keys of its files, in the layout of the version that wrote them.
    pub key: String,
}

/// The published data: the folder of each table and day, and the reports of their runs.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// The folder of each partition.
    pub folders: BTreeMap<(TableName, NaiveDate), RunFolder>,
    /// The reports that could be read.
    pub reports: BTreeMap<(RunId, TableName), Report>,
    /// The tables with the property that each of their partitions has a manifest.
    with_manifests: BTreeSet<TableName>,
}

impl Published {
    /// Returns the days on which any table is published.
    pub(crate) fn days(&self) -> BTreeSet<NaiveDate> {
        self.folders.keys().map(|(_, date)| *date).collect()
    }
}

/// Reads the locations of all partitions from the catalog.
pub(crate) async fn all(lake: &Lake, options: &Options, findings: &mut Findings) -> Published {
    let mut published = Published::default();
    for table in TableName::ALL {
        let days = match partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await {
            Ok(partitions) => partitions,
            Err(error) if error.is_missing_table() => continue,
            Err(error) => {
                findings.unanswered(format!("the table {table}"), &error, "see to the catalog, and verify again");
                continue;
            }
        };
        match scratch::has_manifests(lake, table).await {
            Ok(true) => _ = published.with_manifests.insert(table),
            Ok(false) => {}
            Err(error) => {
                findings.unanswered(format!("the table {table}"), &error, "see to the catalog, and verify again");
            }
        }
        for (partition, location) in days.into_iter().filter(|(day, _)| options.covers(day.date())) {
            let date = partition.date();
            match run_folder(lake, table, partition, &location) {
                Some(folder) => _ = published.folders.insert((table, date), folder),
                None => findings.add(
                    FindingKind::Catalog,
                    format!("the partition {table} {date}"),
                    &format!(
                        "a folder {}run=.../{table}/{partition}/",
                        keys::uri(&lake.config.buckets.lake, keys::RUNS)
                    ),
                    &location,
                    &options.run(date),
                ),
            }
        }
    }
    published
}

/// Parses a location as the folder of a run, if it is one of this day and table.
fn run_folder(lake: &Lake, table: TableName, partition: Partition, location: &str) -> Option<RunFolder> {
    let key = location.strip_prefix(&keys::uri(&lake.config.buckets.lake, ""))?;
    let key = format!("{}/", key.trim_end_matches('/'));
    let run = keys::run_of_folder(table, partition, &key)?;
    Some(RunFolder { run, key })
}

/// Compares each published partition with its manifest and its report, and with `deep` its files' bytes.
pub(crate) async fn check(lake: &Lake, options: &Options, published: &Published, findings: &mut Findings) {
    let partitions: Vec<_> = published.folders.iter().map(|((table, date), folder)| (*table, *date, folder)).collect();
    let mut checked = stream::iter(partitions)
        .map(async |(table, date, folder)| check_partition(lake, options, published, table, date, folder).await)
        .buffer_unordered(AT_ONCE);
    while let Some(found) = checked.next().await {
        findings.append(found);
    }
}

async fn check_partition(
    lake: &Lake,
    options: &Options,
    published: &Published,
    table: TableName,
    date: NaiveDate,
    RunFolder { run, key: folder }: &RunFolder,
) -> Findings {
    let mut findings = Findings::default();
    findings.checked.partitions = 1;
    let bucket = &lake.config.buckets.lake;
    let repair = options.run(date);
    let manifest = check_manifest(lake, published, table, folder, &repair, &mut findings).await;
    check_report(lake, published, table, date, run, manifest.as_ref(), &repair, &mut findings);
    let files = match objects::list_data(lake, folder).await {
        Ok(files) => files,
        Err(error) => {
            findings.unanswered(keys::uri(bucket, folder), &error, &repair);
            return findings;
        }
    };
    findings.checked.parquet_files += files.len();
    if let Some(manifest) = &manifest {
        for difference in manifest.differences(folder, manifest::listed(folder, &files)) {
            let file = keys::uri(bucket, &format!("{folder}{}", difference.name()));
            findings.add(FindingKind::Files, file, AS_AUDITED, &difference.to_string(), &repair);
        }
    }
    check_totals(lake, published, table, date, &files, &repair, &mut findings);
    if options.deep {
        for file in &files {
            check_file(lake, manifest.as_ref(), folder, file, &repair, &mut findings).await;
        }
    }
    findings
}

/// Reads the manifest of a published folder. Partitions that old versions published have none.
async fn check_manifest(
    lake: &Lake,
    published: &Published,
    table: TableName,
    folder: &str,
    repair: &str,
    findings: &mut Findings,
) -> Option<Manifest> {
    let bucket = &lake.config.buckets.lake;
    let key = format!("{folder}{}", manifest::NAME);
    let uri = keys::uri(bucket, &key);
    let read = match objects::head(lake, bucket, &key).await {
        Ok(Some(object)) => damage::read(lake, bucket, &object).await,
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            if published.with_manifests.contains(&table) {
                findings.add(FindingKind::Manifest, uri, "the manifest of the audit", "no object", repair);
            }
            return None;
        }
        Err(error) => {
            findings.unanswered(uri, &error, repair);
            return None;
        }
    };
    match Manifest::from_json(&bytes) {
        Ok(manifest) => Some(manifest),
        Err(reason) => {
            findings.add(FindingKind::Manifest, uri, "the manifest of the audit", &reason.to_string(), repair);
            None
        }
    }
}

/// Compares number and size of files with the report of the audit.
fn check_totals(
    lake: &Lake,
    published: &Published,
    table: TableName,
    date: NaiveDate,
    files: &[Object],
    repair: &str,
    findings: &mut Findings,
) {
    let Some(folder) = published.folders.get(&(table, date)) else { return };
    let Some(report) = published.reports.get(&(folder.run.clone(), table)) else { return };
    let Some(day) = report.days.iter().find(|day| day.date == date) else { return };
    let (count, bytes) = (files.len() as u64, files.iter().map(|file| file.bytes).sum::<u64>());
    if (count, bytes) != (day.parquet_files, day.parquet_bytes) {
        let uri = keys::uri(&lake.config.buckets.lake, &folder.key);
        let expected = format!("{} files of {} bytes, as the report has", day.parquet_files, day.parquet_bytes);
        findings.add(FindingKind::Files, uri, &expected, &format!("{count} files of {bytes} bytes"), repair);
    }
}

/// The expected files of a published folder.
const AS_AUDITED: &str = "the file that was audited";

/// Reads all bytes of a Parquet file.
async fn check_file(
    lake: &Lake,
    manifest: Option<&Manifest>,
    folder: &str,
    file: &Object,
    repair: &str,
    findings: &mut Findings,
) {
    let bucket = &lake.config.buckets.lake;
    let uri = keys::uri(bucket, &file.key);
    let bytes = match damage::read(lake, bucket, file).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return findings.add(FindingKind::Files, uri, "the object that was listed", "another or none", repair);
        }
        Err(error) => return findings.unanswered(uri, &error, repair),
    };
    findings.checked.bytes_read += bytes.len() as u64;
    if let Some((expected, found)) = damage::etag_mismatch(&bytes, &file.etag) {
        findings.add(FindingKind::Object, uri.clone(), &expected, &found, repair);
    }
    let name = file.key.strip_prefix(folder).unwrap_or(&file.key);
    let audited = manifest.and_then(|manifest| manifest.file(name));
    if let Some(Err(damage)) = audited.map(|audited| audited.verify(&bytes)) {
        findings.add(FindingKind::Files, uri.clone(), AS_AUDITED, &damage.to_string(), repair);
    }
    match super::parquet::rows(bytes).await {
        Err(reason) => findings.add(FindingKind::Parquet, uri, "a Parquet file that can be read", &reason, repair),
        Ok(rows) => {
            if let Some(audited) = audited.filter(|audited| audited.rows != rows) {
                let (expected, found) = (format!("{} rows", audited.rows), format!("{rows} rows"));
                findings.add(FindingKind::Parquet, uri, &expected, &found, repair);
            }
        }
    }
}

/// Compares a day with the report of its run.
#[expect(clippy::too_many_arguments, reason = "all that is known of one partition")]
fn check_report(
    lake: &Lake,
    published: &Published,
    table: TableName,
    date: NaiveDate,
    run: &RunId,
    manifest: Option<&Manifest>,
    repair: &str,
    findings: &mut Findings,
) {
    let uri = keys::uri(&lake.config.buckets.lake, &keys::quality_report(run, 0, table));
    // An unreadable report has been reported before.
    let Some(report) = published.reports.get(&(run.clone(), table)) else { return };
    if !report.day_passed(date) {
        findings.add(FindingKind::Report, uri.clone(), "a passed audit of what is published", "a failed one", repair);
    }
    match report.days.iter().find(|day| day.date == date) {
        None => findings.add(FindingKind::Report, uri, &format!("the day {date}"), "nothing of it", repair),
        Some(day) => {
            let rows = manifest.map(Manifest::rows);
            if let Some(rows) = rows.filter(|rows| *rows != day.figures.rows) {
                let expected = format!("{rows} rows of {date}, as the manifest has");
                findings.add(FindingKind::Report, uri, &expected, &format!("{} rows", day.figures.rows), repair);
            }
        }
    }
}

/// Reads the reports of all published runs.
pub(crate) async fn reports(lake: &Lake, options: &Options, published: &mut Published, findings: &mut Findings) {
    // By run and table, with the days that are published from it, in order.
    let mut wanted: BTreeMap<(RunId, TableName), Vec<NaiveDate>> = BTreeMap::new();
    for ((table, date), folder) in &published.folders {
        wanted.entry((folder.run.clone(), *table)).or_default().push(*date);
    }
    let mut read = stream::iter(wanted)
        .map(async |((run, table), days)| {
            let key = keys::quality_report(&run, 0, table);
            let report = Report::of_run(lake, &run, table).await;
            (run, table, options.run_all(&days), keys::uri(&lake.config.buckets.lake, &key), report)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((run, table, repair, uri, report)) = read.next().await {
        findings.checked.reports += 1;
        match report {
            Ok(Some(report)) if report.run == run && report.table == table => {
                published.reports.insert((run, table), report);
            }
            Ok(Some(report)) => {
                let found = format!("that of {} of run {}", report.table, report.run);
                let expected = format!("the report of {table} of run {run}");
                findings.add(FindingKind::Report, uri, &expected, &found, &repair);
            }
            Ok(None) => {
                findings.add(FindingKind::Report, uri, "the report of a published run", "no object", &repair);
            }
            Err(error) => {
                findings.add(FindingKind::Report, uri, "the report of a published run", &error.to_string(), &repair);
            }
        }
    }
}
