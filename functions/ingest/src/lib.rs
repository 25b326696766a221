//! Ingests landed files: moves each to its place in the raw bucket, or to quarantine with the reason.
//!
//! Idempotent: every copy and deletion is conditional on the ETag of the object, so that an invocation that is repeated, or
//! that runs at the same time as another, finds nothing to do or continues where the other one ended.
//!
//! | module | content |
//! |---|---|
//! | [`check`] | checks whether a file is a snapshot |
//! | [`place`] | moves a snapshot to its place |
//! | [`quarantine`] | moves other files to quarantine |

mod check;
mod place;
mod quarantine;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{NaiveDate, Utc};
use lake::added_columns::AddedColumns;
use lake::objects::{self, Object};
use lake::raw_files::Coverage;
use lake::truncated_list::TruncatedList;
use lake::workflow_input::{self, LandedObject, Request};
use lake::{Error, Lake, concurrency, invocation, keys, raw_files};
use market::partition::DateRange;
use market::snapshot::{Feed, SnapshotName};
use serde::Serialize;
use serde_json::Value;

use check::LastLine;
use place::Outcome;

/// Maximum number of days of an upload that are processed when it is over. More of them are history, whose days a backfill
/// processes by runs of many days.
const MAX_DAYS_ON_UPLOAD: usize = 10;

/// The result of an invocation: the outcomes for the landed files.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The first day concerned. `None` if the event is about objects that are not snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    /// The last day concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
    /// The number of landed files that were processed: `accepted + repeated + quarantined.count`.
    pub files: u64,
    /// Their size as stored, in bytes.
    pub bytes: u64,
    /// Files that were moved to their place.
    pub accepted: u64,
    /// Files whose place had the same bytes already.
    pub repeated: u64,
    /// Raw files that were replaced by a landed file. They are in quarantine.
    pub superseded: u64,
    /// Files that are not snapshots.
    pub quarantined: TruncatedList<Quarantined>,
    /// Accepted files whose last record has no line end. It may have been cut off, which the audit checks.
    pub unterminated: TruncatedList<String>,
    /// The days of which the next state starts a run each. Empty unless `schedule.on_upload` says so.
    pub process: Vec<NaiveDate>,
    /// Accepted files with columns behind those of their feed. They are ignored.
    pub added_columns: TruncatedList<AddedColumns>,
    /// What is still missing on the days of the request. `None` for objects: the next state lists their days.
    #[serde(flatten)]
    pub coverage: Option<Coverage>,
}

/// A landed file that was moved to quarantine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quarantined {
    /// The name of the file.
    pub name: String,
    /// The reason, in a sentence.
    pub reason: String,
}

/// Ingests the landed files that the event requests ([`workflow_input::resolve`]): for days, all snapshots of those days at any
/// depth under `landing/`, and all files whose names are not those of snapshots; for objects, these objects.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of no known form; the errors of S3: the first one, after all files were attempted, so
/// that no file waits for another. Files that were not moved are still in `landing/`, so that the same event can be sent
/// again.
pub async fn handle(lake: &Lake, event: Value) -> Result<Report, Error> {
    let range = match workflow_input::resolve(&event, Utc::now())? {
        Request::Objects(objects) => {
            let days = days_of(&objects);
            let range = days.first().zip(days.last()).map(|(from, to)| DateRange::new(*from, *to)).transpose();
            let range = range.map_err(|error| Error::malformed(error.to_string(), error))?;
            if let Some(range) = range {
                invocation::record_days(range);
            }
            let mut report = settle_all(lake, range, of_objects(lake, objects).await?).await?;
            report.process = to_process(lake, days);
            return Ok(report);
        }
        days => days.range()?,
    };
    invocation::record_days(range);
    let mut report = settle_all(lake, Some(range), of_days(lake, range).await?).await?;
    let present = raw_files::scan(lake, range).await?.deduplicated()?;
    let names = present.iter().map(|file| file.name);
    report.coverage = Some(Coverage::new(&lake.config.session, range, &Feed::ALL, names));
    report.process = to_process(lake, present.iter().map(|file| file.name.time.date()).collect());
    Ok(report)
}

/// Settles landed files of `days`, with bounded concurrency. Returns the first error after all were attempted.
async fn settle_all(lake: &Lake, days: Option<DateRange>, landed: Vec<Object>) -> Result<Report, Error> {
    let shared = Arc::new(lake.clone());
    let settled = concurrency::map(by_snapshot(landed), lake.config.ingest.parallel_files, |group| {
        let work = settle_in_turn(shared.clone(), group);
        async move { Ok(work.await) }
    });
    let mut report = Report { from: days.map(DateRange::from), to: days.map(DateRange::to), ..Report::default() };
    for settled in settled.await? {
        for (landed, outcome) in settled? {
            report.add(&landed, outcome);
        }
    }
    Ok(report)
}

/// Lists the landed files that concern a range of days.
async fn of_days(lake: &Lake, range: DateRange) -> Result<Vec<Object>, Error> {
    let mut landed = objects::list(lake, &lake.config.buckets.raw, keys::LANDING).await?;
    landed.retain(|object| {
        let name = keys::file_name(&object.key).parse::<SnapshotName>();
        !object.is_folder_marker() && name.map_or(true, |name| range.contains(name.time.date()))
    });
    Ok(landed)
}

/// Returns the landed files among created objects, without those that do not exist any more.
async fn of_objects(lake: &Lake, created: BTreeSet<LandedObject>) -> Result<Vec<Object>, Error> {
    let raw = &lake.config.buckets.raw;
    let is_landed = |object: &LandedObject| object.bucket == raw.as_str() && object.key.starts_with(keys::LANDING);
    if let Some(other) = created.iter().find(|object| !is_landed(object)) {
        let landing = keys::uri(raw, keys::LANDING);
        return Err(Error::invalid_input(format!("{other} is not a landed file: those are under {landing}")));
    }
    let found = concurrency::map(created, lake.config.ingest.parallel_files, |object| {
        let lake = lake.clone();
        async move { objects::head(&lake, &lake.config.buckets.raw, &object.key).await }
    });
    Ok(found.await?.into_iter().flatten().filter(|object| !object.is_folder_marker()).collect())
}

/// Returns the days of the snapshots among created objects.
fn days_of(created: &BTreeSet<LandedObject>) -> BTreeSet<NaiveDate> {
    let names = created.iter().filter_map(|object| keys::file_name(&object.key).parse::<SnapshotName>().ok());
    names.map(|name| name.time.date()).collect()
}

/// Returns those of the days that the next state processes: all, if `schedule.on_upload` says so and they are few. Days that
/// have nothing new are among them, because another invocation may have accepted their files, and its response may be lost.
fn to_process(lake: &Lake, days: BTreeSet<NaiveDate>) -> Vec<NaiveDate> {
    if !lake.config.processes_uploads() {
        return Vec::new();
    }
    if days.len() > MAX_DAYS_ON_UPLOAD {
        tracing::info!(days = days.len(), "the uploaded days are too many to be processed one by one: backfill them");
        return Vec::new();
    }
    days.into_iter().collect()
}

/// Groups the files that have the same place, each group in the order of its keys.
fn by_snapshot(landed: Vec<Object>) -> impl Iterator<Item = Vec<Object>> {
    let mut groups: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for object in landed {
        let name = keys::file_name(&object.key);
        let place = name.strip_suffix(".gz").unwrap_or(name).to_owned();
        groups.entry(place).or_default().push(object);
    }
    groups.into_values()
}

/// Settles the files of one place one after the other, so that the last one by its key gets the place.
async fn settle_in_turn(lake: Arc<Lake>, group: Vec<Object>) -> Result<Vec<(Object, Outcome)>, Error> {
    let mut settled = Vec::new();
    for landed in group {
        let outcome = place::settle(&lake, &landed).await?;
        settled.push((landed, outcome));
    }
    Ok(settled)
}

impl Report {
    fn add(&mut self, landed: &Object, outcome: Outcome) {
        match outcome {
            Outcome::Gone => return,
            Outcome::Accepted { superseded, checked } => {
                self.accepted += 1;
                self.superseded += superseded;
                let name = keys::file_name(&landed.key);
                self.unterminated.extend((checked.last_line == LastLine::Unterminated).then(|| name.to_owned()));
                self.added_columns.extend(AddedColumns::new(name, &checked.added_columns));
            }
            Outcome::Repeated { superseded } => {
                self.repeated += 1;
                self.superseded += superseded;
            }
            Outcome::Quarantined(refusal) => {
                let name = keys::file_name(&landed.key).to_owned();
                self.quarantined.extend([Quarantined { name, reason: refusal.to_string() }]);
            }
        }
        self.files += 1;
        self.bytes += landed.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use check::Checked;

    #[test]
    fn files_of_one_snapshot_are_settled_in_the_order_of_their_keys() {
        let keys = [
            "landing/a/202004011320_options.csv",
            "landing/a/foo.csv",
            "landing/b/202004011320_flashpanel.csv.gz",
            "landing/b/202004011320_options.csv.gz",
            "landing/c/202004011320_options.csv",
        ];
        let landed =
            keys.map(|key| Object { key: key.to_owned(), bytes: 1, etag: "x".to_owned(), last_modified: None });
        let groups: Vec<Vec<String>> =
            by_snapshot(landed.to_vec()).map(|group| group.into_iter().map(|object| object.key).collect()).collect();
        assert_eq!(groups, [vec![keys[2]], vec![keys[0], keys[3], keys[4]], vec![keys[1]]]);
    }

    #[test]
    fn a_report_counts_every_file_once() {
        let landed =
            Object { key: "landing/a/foo.csv".to_owned(), bytes: 10, etag: "x".to_owned(), last_modified: None };
        let mut report = Report::default();
        let checked = Checked { last_line: LastLine::Unterminated, added_columns: vec!["Vwap".to_owned()] };
        report.add(&landed, Outcome::Accepted { superseded: 2, checked });
        report.add(&landed, Outcome::Repeated { superseded: 0 });
        report.add(&landed, Outcome::Gone);
        report.add(&landed, Outcome::Quarantined(check::Refusal::Empty));
        assert_eq!((report.files, report.bytes, report.accepted, report.repeated, report.superseded), (3, 30, 1, 1, 2));
        let expected = Quarantined { name: "foo.csv".to_owned(), reason: "the file is empty".to_owned() };
        assert_eq!(report.quarantined.first, [expected]);
        assert_eq!(report.unterminated.first, ["foo.csv"]);
        assert_eq!(report.added_columns.count, 1);
        let added = report.added_columns.first[0].to_string();
        assert_eq!(added, "foo.csv has a column that is in no table: \"Vwap\"");
    }
}
