//! Creates publication records for days that versions without records published: from the catalog, which has the run of each
//! partition, and from the quality report and the manifest of that run.
//!
//! It runs once per lake, before anything else reads its records. It is idempotent and safe to run concurrently, because it
//! writes a record only for a day without one. An object marks that it is complete.
//!
//! Old versions did not store the versions of the raw files that a run read. A raw file that was last modified before the
//! run's report was written is assumed to be the version that the run read. The version of any other file is unknown, which
//! makes the day stale.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::snapshot::SnapshotName;
use market::table::TableName;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::manifest::{self, Manifest};
use crate::objects::{self, Object};
use crate::quality::Report;
use crate::record::{self, Cause, Publication, PublishedFile, PublishedTable, RawFileVersion, Record};
use crate::{Lake, athena, concurrency, keys, partitions, raw_files};

/// Result of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The days that were given a record.
    pub days: u64,
    /// The published days without a record, and why. Their partitions stay in the catalog; the next run of such a day writes a
    /// record.
    pub left_out: BTreeMap<NaiveDate, String>,
}

/// The actor in the records.
const ACTOR: &str = "migration";

/// Number of days and reports that are processed concurrently.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// Writes a record for each published day without one, unless that has been done before. Returns `None` if there was nothing
/// to do.
///
/// # Errors
/// Whatever S3 or Athena refuses; as [`record::read`].
pub async fn ensure(lake: &Lake) -> Result<Option<Migrated>, Error> {
    let bucket = &lake.config.buckets.lake;
    if objects::head(lake, bucket, keys::MIGRATED).await?.is_some() {
        return Ok(None);
    }
    let catalog = Catalog::read(lake).await?;
    // A lake without published data is not marked, and is checked again.
    if catalog.partitions.is_empty() {
        return Ok(None);
    }
    let (days, left_out) = catalog.migrate(lake).await?;
    for (day, why) in &left_out {
        tracing::warn!(%day, why, "the published day gets no record; create_datalake for it makes one");
    }
    let migrated = Migrated { at: record::now(), days, left_out };
    let text = serde_json::to_vec_pretty(&migrated).expect("a document is JSON");
    objects::put_new(lake, bucket, keys::MIGRATED, "application/json", text).await?;
    let is_worth_a_word = migrated.days > 0 || !migrated.left_out.is_empty();
    Ok(is_worth_a_word.then_some(migrated))
}

/// The partitions of the days that have no record.
struct Catalog {
    /// All partitions of each table.
    partitions: BTreeSet<(NaiveDate, TableName)>,
}

/// The location and the files of a partition in the catalog.
#[derive(Debug, Clone)]
struct Place {
    run: RunId,
    /// Prefix of the keys of its files.
    folder: String,
    /// Number of rows of each file that has any, by name.
    rows: BTreeMap<String, u64>,
}

/// The place of each table of a day, or why it is unknown.
type Places = BTreeMap<TableName, Result<Place, String>>;

impl Catalog {
    async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut partitions = BTreeSet::new();
        for table in TableName::ALL {
            match partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await {
                Ok(found) => partitions.extend(found.into_keys().map(|partition| (partition.date(), table))),
                Err(error) if error.is_missing_table() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { partitions })
    }

    /// Returns the number of records that were written, and the days without one.
    async fn migrate(mut self, lake: &Lake) -> Result<(u64, BTreeMap<NaiveDate, String>), Error> {
        let recorded = record::read_all(lake, None).await?;
        self.partitions.retain(|(day, _)| !recorded.contains_key(day));
        let days: BTreeSet<NaiveDate> = self.partitions.iter().map(|(day, _)| *day).collect();
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok((0, BTreeMap::new())) };
        let range = DateRange::new(*first, *last).map_err(|error| Error::malformed(error.to_string(), error))?;
        let mut places: BTreeMap<NaiveDate, Places> = BTreeMap::new();
        for table in TableName::ALL {
            let of_table = self.partitions.iter().filter(|(_, of)| *of == table).map(|(day, _)| *day).collect();
            for (day, place) in locate(lake, table, of_table).await? {
                places.entry(day).or_default().insert(table, place);
            }
        }
        let runs = places.values().flat_map(BTreeMap::values).flatten().map(|place| place.run.clone());
        let work = Arc::new(Work {
            lake: lake.clone(),
            reports: reports(lake, runs.collect()).await?,
            raw_files: raw_files::scan(lake, range)
                .await?
                .files()
                .iter()
                .map(|file| (file.name, file.object.clone()))
                .collect(),
        });
        let done = concurrency::map(places, AT_ONCE, |(day, places)| {
            let work = work.clone();
            async move { Ok((day, work.migrate(day, places).await?)) }
        });
        let mut left_out = BTreeMap::new();
        let mut written = 0;
        for (day, outcome) in done.await? {
            match outcome {
                Ok(()) => written += 1,
                Err(why) => _ = left_out.insert(day, why),
            }
        }
        Ok((written, left_out))
    }
}

/// Reads the reports of the published runs, and when each was written.
type Reports = BTreeMap<(RunId, TableName), (Report, DateTime<Utc>)>;

async fn reports(lake: &Lake, runs: BTreeSet<RunId>) -> Result<Reports, Error> {
    let shared = Arc::new(lake.clone());
    let read = concurrency::map(runs, AT_ONCE, |run| {
        let lake = shared.clone();
        async move {
            let bucket = &lake.config.buckets.lake;
            let mut found = Vec::new();
            for table in TableName::ALL {
                let key = keys::quality_report(&run, 0, table);
                let Some(object) = objects::list(&lake, bucket, &key).await?.into_iter().find(|of| of.key == key)
                else {
                    continue;
                };
                let Some(bytes) = objects::get(&lake, bucket, &key).await? else { continue };
                // An unreadable report is treated as absent.
                if let (Ok(report), Some(written)) = (serde_json::from_slice::<Report>(&bytes), object.last_modified)
                    && (&report.run, report.table) == (&run, table)
                {
                    found.push(((run.clone(), table), (report, written)));
                }
            }
            Ok(found)
        }
    });
    Ok(read.await?.into_iter().flatten().collect())
}

/// Finds the places of a table's partitions: by one statement, and one by one for days that are not in its result.
async fn locate(
    lake: &Lake,
    table: TableName,
    days: BTreeSet<NaiveDate>,
) -> Result<BTreeMap<NaiveDate, Result<Place, String>>, Error> {
    let mut files = match files(lake, table, &days).await {
        Ok(files) => files,
        // At least one day is damaged. The others can still be read one by one.
        Err(Error::Athena { retryable: false, .. }) => {
            let mut all = BTreeMap::new();
            for day in &days {
                match files_of_day(lake, table, *day).await {
                    Ok(files) => all.extend(files),
                    Err(Error::Athena { retryable: false, reason, .. }) => {
                        tracing::warn!(%table, %day, reason, "what is published cannot be read");
                    }
                    Err(error) => return Err(error),
                }
            }
            all
        }
        Err(error) => return Err(error),
    };
    let mut places = BTreeMap::new();
    let mut unknown = Vec::new();
    for day in days {
        match files.remove(&day) {
            Some(files) => _ = places.insert(day, place(lake, table, day, files)),
            None => unknown.push(day),
        }
    }
    if unknown.is_empty() {
        return Ok(places);
    }
    let locations = partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await?;
    for day in unknown {
        // A partition that was removed meanwhile is no longer in the catalog.
        if let Some(location) = locations.get(&day.into()) {
            places.insert(day, place_at(lake, table, day, location, BTreeMap::new()));
        }
    }
    Ok(places)
}

/// Returns the URIs of the files with rows of each day, and their numbers of rows.
type Files = BTreeMap<NaiveDate, BTreeMap<String, u64>>;

async fn files_of_day(lake: &Lake, table: TableName, day: NaiveDate) -> Result<Files, Error> {
    files(lake, table, &BTreeSet::from([day])).await
}

async fn files(lake: &Lake, table: TableName, days: &BTreeSet<NaiveDate>) -> Result<Files, Error> {
    let mut files = Files::new();
    if days.is_empty() {
        return Ok(files);
    }
    let statement = format!(
        "SELECT year, month, day, path, count(*) AS file_rows\n\
         FROM (SELECT year, month, day, \"$path\" AS path FROM {table} WHERE {})\n\
         GROUP BY year, month, day, path",
        partitions::condition(days.iter().copied())
    );
    let answer = athena::run(lake, &statement).await?;
    for row in answer.rows {
        let (day, path, rows) = read_row(row)
            .ok_or_else(|| Error::Quality(format!("query {} answered with rows of another form", answer.query)))?;
        files.entry(day).or_default().insert(path, rows);
    }
    Ok(files)
}

fn read_row(row: Vec<Option<String>>) -> Option<(NaiveDate, String, u64)> {
    let [year, month, day, path, rows] = <[Option<String>; 5]>::try_from(row).ok()?;
    let date = NaiveDate::from_ymd_opt(year?.parse().ok()?, month?.parse().ok()?, day?.parse().ok()?)?;
    Some((date, path?, rows?.parse().ok()?))
}

/// Returns the folder of these files.
fn place(lake: &Lake, table: TableName, day: NaiveDate, files: BTreeMap<String, u64>) -> Result<Place, String> {
    let mut folder: Option<String> = None;
    let mut rows = BTreeMap::new();
    for (path, count) in files {
        let (above, name) = path.rsplit_once('/').ok_or_else(|| format!("{path} is in no folder"))?;
        let above = format!("{above}/");
        if folder.as_ref().is_some_and(|folder| *folder != above) {
            return Err(format!("the files of {table} are in several folders"));
        }
        folder = Some(above);
        rows.insert(name.to_owned(), count);
    }
    place_at(lake, table, day, &folder.unwrap_or_default(), rows)
}

fn place_at(
    lake: &Lake,
    table: TableName,
    day: NaiveDate,
    location: &str,
    rows: BTreeMap<String, u64>,
) -> Result<Place, String> {
    let key = location.strip_prefix(&keys::uri(&lake.config.buckets.lake, "")).unwrap_or_default();
    let folder = format!("{}/", key.trim_end_matches('/'));
    let run = keys::run_of_folder(table, Partition::from(day), &folder);
    let run = run.ok_or_else(|| format!("{location}, where {table} is, is no folder of a run"))?;
    Ok(Place { run, folder, rows })
}

/// What the days have in common.
struct Work {
    lake: Lake,
    reports: Reports,
    /// The raw files that exist now.
    raw_files: BTreeMap<SnapshotName, Object>,
}

impl Work {
    /// Writes the record of a day. The inner error is the reason why it gets none.
    async fn migrate(&self, day: NaiveDate, places: Places) -> Result<Result<(), String>, Error> {
        let publication = match self.publication(day, places).await? {
            Ok(publication) => publication,
            Err(why) => return Ok(Err(why)),
        };
        let mut record = Record::following(None, day, Cause::Migrated, ACTOR);
        record.published = Some(publication);
        // `Lost` means that another migration or a run has written the record of the day.
        record::compare_and_swap(&self.lake, None, &record).await?;
        Ok(Ok(()))
    }

    async fn publication(&self, day: NaiveDate, places: Places) -> Result<Result<Publication, String>, Error> {
        let mut tables = BTreeMap::new();
        let mut run: Option<RunId> = None;
        for (table, place) in places {
            let place = match place {
                Ok(place) => place,
                Err(why) => return Ok(Err(why)),
            };
            if let Some(other) = run.as_ref().filter(|run| **run != place.run) {
                return Ok(Err(format!("its tables are of two runs, {other} and {}", place.run)));
            }
            match self.table(day, table, &place).await? {
                Ok(published) => _ = tables.insert(table, published),
                Err(why) => return Ok(Err(why)),
            }
            run = Some(place.run);
        }
        let Some(run) = run else { return Ok(Err("it has no table".to_owned())) };
        let written = tables.keys().filter_map(|table| Some(self.reports.get(&(run.clone(), *table))?.1)).max();
        let published_at = written.unwrap_or_else(record::now);
        let raw_files = self.raw_files(&run, day);
        Ok(Ok(Publication { run, published_at, tables, raw_files }))
    }

    async fn table(
        &self,
        day: NaiveDate,
        table: TableName,
        place: &Place,
    ) -> Result<Result<PublishedTable, String>, Error> {
        let (lake, bucket) = (&self.lake, &self.lake.config.buckets.lake);
        let report_uri = keys::uri(bucket, &keys::quality_report(&place.run, 0, table));
        let report = self.reports.get(&(place.run.clone(), table)).filter(|(report, _)| report.day_passed(day));
        let audited = report.and_then(|(report, _)| report.days.iter().find(|audited| audited.date == day));
        let Some(audited) = audited else {
            return Ok(Err(format!("{report_uri} is not the report of a passed audit of it")));
        };
        let listed = objects::list_data(lake, &place.folder).await?;
        let manifest = objects::get(lake, bucket, &format!("{}{}", place.folder, manifest::NAME)).await?;
        let files: Vec<PublishedFile> = match manifest.map(|bytes| Manifest::from_json(&bytes)) {
            Some(Ok(manifest)) => match manifest.check(&place.folder, manifest::listed(&place.folder, &listed)) {
                Ok(()) => manifest
                    .files
                    .into_iter()
                    .map(|file| PublishedFile { name: file.name, bytes: file.bytes, etag: file.etag, rows: file.rows })
                    .collect(),
                Err(difference) => {
                    return Ok(Err(format!("the files of {table} are not those that were audited: {difference}")));
                }
            },
            Some(Err(error)) => return Ok(Err(format!("the manifest of {table}: {error}"))),
            None => manifest::listed(&place.folder, &listed)
                .map(|file| PublishedFile {
                    name: file.name.to_owned(),
                    bytes: file.bytes,
                    etag: file.etag.unwrap_or_default().to_owned(),
                    rows: place.rows.get(file.name).copied().unwrap_or_default(),
                })
                .collect(),
        };
        let (bytes, rows) =
            (files.iter().map(|file| file.bytes).sum::<u64>(), files.iter().map(|file| file.rows).sum::<u64>());
        let found = (files.len() as u64, bytes, rows);
        if found != (audited.parquet_files, audited.parquet_bytes, audited.figures.rows) {
            return Ok(Err(format!("the files of {table} are not those of {report_uri}")));
        }
        Ok(Ok(PublishedTable { location: keys::uri(bucket, &place.folder), report: report_uri, rows, bytes, files }))
    }

    /// Returns the raw files of a day in the reports of a run.
    fn raw_files(&self, run: &RunId, day: NaiveDate) -> Vec<RawFileVersion> {
        let reports = TableName::ALL.into_iter().filter_map(|table| self.reports.get(&(run.clone(), table)));
        let named = reports.flat_map(|(report, written)| {
            let of_day = report.files.iter().filter(move |file| file.name.time.date() == day);
            of_day.map(move |file| version(file.name, self.raw_files.get(&file.name), *written))
        });
        let mut files: Vec<RawFileVersion> = named.collect();
        files.sort();
        files.dedup_by_key(|file| file.name);
        files
    }
}

/// Returns the version of a raw file that a run read whose report was written at `written`, as far as it is known.
fn version(name: SnapshotName, now: Option<&Object>, written: DateTime<Utc>) -> RawFileVersion {
    let bytes = now.map_or(0, |object| object.bytes);
    match now.filter(|object| object.last_modified.is_some_and(|modified| modified < written)) {
        Some(object) => {
            RawFileVersion { name, bytes, etag: Some(object.etag.clone()), last_modified: object.last_modified }
        }
        None => RawFileVersion { name, bytes, etag: None, last_modified: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_file_that_has_changed_since_is_of_an_unknown_version() {
        let name: SnapshotName = "202004011000_flashpanel.csv".parse().expect("a name");
        let written: DateTime<Utc> = "2020-04-01T21:00:00Z".parse().expect("a time");
        let object = |modified: &str| Object {
            key: keys::raw(name),
            bytes: 7,
            etag: "e".to_owned(),
            last_modified: Some(modified.parse().expect("a time")),
        };
        let (before, after) = (object("2020-04-01T20:59:59Z"), object("2020-04-01T21:00:00Z"));
        assert_eq!(version(name, Some(&before), written).etag.as_deref(), Some("e"));
        let unknown = RawFileVersion { name, bytes: 7, etag: None, last_modified: None };
        assert_eq!(version(name, Some(&after), written), unknown);
        assert_eq!(version(name, None, written), RawFileVersion { bytes: 0, ..unknown });
    }

    #[test]
    fn a_row_is_a_file_of_a_day() {
        let row = |cells: [&str; 5]| read_row(cells.map(|cell| Some(cell.to_owned())).to_vec());
        let (day, path, rows) = row(["2020", "4", "1", "s3://lake/x/p.parquet", "7"]).expect("a file");
        assert_eq!((day.to_string().as_str(), path.as_str(), rows), ("2020-04-01", "s3://lake/x/p.parquet", 7));
        assert!(row(["2020", "4", "31", "p", "7"]).is_none() && row(["2020", "4", "1", "p", "x"]).is_none());
    }
}
