//! Publishes the days of a slice of a run: writes their records by compare-and-swap.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::NaiveDate;
use lake::plan::{Plan, PlannedDay};
use lake::quality::{Day, Report};
use lake::record::{
    self, Cause, Publication, PublishedFile, PublishedTable, RawFileVersion, Record, Stored, Swap, View,
};
use lake::slices::{SliceAudit, SlicePublication};
use lake::truncated_list::TruncatedList;
use lake::{Error, Lake, concurrency, invocation, keys, manifest, raw_files};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::Serialize;
use tracing::{Instrument, info_span};

/// The outcomes of the days of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// The run.
    pub run: RunId,
    /// The slice; `None` for a whole run.
    pub slice: Option<u32>,
    /// The first day of its range.
    pub from: NaiveDate,
    /// The last day of its range.
    pub to: NaiveDate,
    /// The outcomes.
    #[serde(flatten)]
    pub outcome: SlicePublication,
    /// Business days with no or too few raw files.
    pub missing: TruncatedList<NaiveDate>,
}

/// The outcome of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Published,
    Superseded,
    Held,
}

/// Number of days that are processed concurrently.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// Publishes the days of a slice that passed the audit, each by one compare-and-swap of its record. Skips a day of which
/// another run has published the same or a newer view meanwhile, and a day that a rollback holds. Idempotent.
///
/// # Errors
/// [`Error::Quality`] for a slice whose audit is missing, or whose files are no longer those that were audited;
/// [`Error::RecordChanged`] if another run with an older view published a day after the audit, which has to be repeated.
pub async fn publish(lake: &Lake, run: &RunId, slice: Option<u32>) -> Result<Recorded, Error> {
    let plan = Plan::read(lake, run).await?.slice(slice)?;
    invocation::record_days(plan.range);
    let number = slice.unwrap_or_default();
    let compared = SliceAudit::read(lake, run, number).await?;
    let audited = Audited::read(lake, run, number, &compared).await?;
    // Days that failed the audit are not published, and are not among these.
    let passed = plan.to_publish().filter(|planned| compared.records.contains_key(&planned.day));
    let days: Vec<PlannedDay> = passed.cloned().collect();
    let work =
        Arc::new(Work { lake: lake.clone(), run: run.clone(), slice: number, range: plan.range, compared, audited });
    let outcomes = concurrency::map(days, AT_ONCE, |planned| {
        let work = work.clone();
        let span = info_span!("day", day = %planned.day);
        async move { Ok((planned.day, work.publish_day(&planned).await?)) }.instrument(span)
    });
    let outcomes = outcomes.await?;
    let with = |wanted| outcomes.iter().filter(move |(_, outcome)| *outcome == wanted).map(|(day, _)| *day);
    let outcome = SlicePublication {
        published: with(Outcome::Published).count() as u64,
        superseded: with(Outcome::Superseded).collect(),
        held: with(Outcome::Held).collect(),
    };
    outcome.write(lake, run, number).await?;
    Ok(Recorded {
        run: run.clone(),
        slice,
        from: plan.range.from(),
        to: plan.range.to(),
        outcome,
        missing: plan.missing.into_iter().collect(),
    })
}

/// The days of each table that passed the audit.
struct Audited(BTreeMap<TableName, BTreeMap<NaiveDate, Day>>);

impl Audited {
    async fn read(lake: &Lake, run: &RunId, slice: u32, compared: &SliceAudit) -> Result<Self, Error> {
        let mut tables = BTreeMap::new();
        for table in TableName::ALL {
            let uri = report_uri(lake, run, slice, table);
            let report = Report::passed(lake, &uri, compared.records.keys().copied()).await?;
            tables.insert(table, report.days.into_iter().map(|day| (day.date, day)).collect());
        }
        Ok(Self(tables))
    }

    /// Returns the tables that have a partition for this day.
    fn tables_of(&self, date: NaiveDate) -> impl Iterator<Item = (TableName, &Day)> {
        self.0.iter().filter_map(move |(table, days)| Some((*table, days.get(&date)?)))
    }
}

fn report_uri(lake: &Lake, run: &RunId, slice: u32, table: TableName) -> String {
    keys::uri(&lake.config.buckets.lake, &keys::quality_report(run, slice, table))
}

/// The state that the concurrent tasks share, one task for each day of a slice.
struct Work {
    lake: Lake,
    run: RunId,
    slice: u32,
    range: DateRange,
    compared: SliceAudit,
    audited: Audited,
}

impl Work {
    async fn publish_day(&self, planned: &PlannedDay) -> Result<Outcome, Error> {
        let result = self.try_publish_day(planned).await;
        match &result {
            Ok(outcome) => tracing::debug!(?outcome, "the day is settled"),
            Err(error) => tracing::error!(name = error.name(), %error, "the day is not published"),
        }
        result
    }

    async fn try_publish_day(&self, planned: &PlannedDay) -> Result<Outcome, Error> {
        let (lake, day) = (&self.lake, planned.day);
        let mut publication: Option<Publication> = None;
        loop {
            let current = record::read(lake, day).await?;
            if let Some(outcome) = self.settled(planned, current.as_ref()).await? {
                return Ok(outcome);
            }
            let published = match publication.take() {
                Some(published) => published,
                None => self.publication(planned).await?,
            };
            let before = current.as_ref().map(|current| &current.record);
            let mut next = Record::following(before, day, Cause::Published, &format!("run {}", self.run));
            next.published = Some(Publication { published_at: next.written_at, ..published.clone() });
            match record::compare_and_swap(lake, current.as_ref(), &next).await? {
                Swap::Written(_) => return Ok(Outcome::Published),
                Swap::Lost => publication = Some(published),
            }
        }
    }

    /// Returns the outcome of the day, or `None` if this run has to publish it now.
    async fn settled(&self, planned: &PlannedDay, current: Option<&Stored>) -> Result<Option<Outcome>, Error> {
        let day = planned.day;
        let number = current.map_or(0, |current| current.record.number);
        if let Some(record) = current.map(|current| &current.record) {
            if record.removed_runs.contains(&self.run) {
                return Err(Error::Quality(format!(
                    "the files that run {} wrote for {day} are removed, or about to be; start \
                     create_datalake for {day} again",
                    self.run
                )));
            }
            if record.held.is_some() {
                return Ok(Some(Outcome::Held));
            }
            // Also if the record was changed since, by a release or an acceptance of missing raw files.
            if record.run() == Some(&self.run) {
                return Ok(Some(Outcome::Published));
            }
        }
        let theirs = current.and_then(|current| current.record.published.as_ref());
        let view = theirs.map(|theirs| View::compare(&planned.raw_files, &theirs.raw_files));
        if view == Some(View::Same) && number != planned.base {
            return Ok(Some(Outcome::Superseded));
        }
        // If the record is the one that the audit read, our view is not older: the audit read the record before it found the raw
        // files to be exactly ours.
        let compared = self.compared.records.get(&day).copied().unwrap_or_default();
        if compared != number {
            if let (Some(View::Older), Some(theirs)) = (view, theirs)
                && self.is_current(day, &theirs.raw_files).await?
            {
                return Ok(Some(Outcome::Superseded));
            }
            // The repeated audit decides whether the raw files are still ours.
            return Err(Error::RecordChanged(format!(
                "record {number} of {day} was written after the audit of run {} compared with record {compared}: audit again",
                self.run
            )));
        }
        Ok(None)
    }

    /// Whether the current raw files of a day are exactly these.
    async fn is_current(&self, day: NaiveDate, files: &[RawFileVersion]) -> Result<bool, Error> {
        let range = DateRange::day(day).map_err(|error| Error::malformed(error.to_string(), error))?;
        let now: Vec<RawFileVersion> = raw_files::list(&self.lake, range).await?.iter().map(Into::into).collect();
        Ok(View::compare(files, &now) == View::Same)
    }

    /// Returns the publication of the day: the files of each table, after checking them against the manifests.
    async fn publication(&self, planned: &PlannedDay) -> Result<Publication, Error> {
        let (lake, run, date) = (&self.lake, &self.run, planned.day);
        let bucket = &lake.config.buckets.lake;
        let mut tables = BTreeMap::new();
        for (table, audited) in self.audited.tables_of(date) {
            let manifest = manifest::check(lake, table, date, run).await?;
            let (files, bytes, rows) = (manifest.files.len() as u64, manifest.bytes(), manifest.rows());
            if (files, bytes, rows) != (audited.parquet_files, audited.parquet_bytes, audited.figures.rows) {
                return Err(Error::Quality(format!(
                    "the manifest of {table} that run {run} has for {date} and the report of its audit describe different \
                     files; nothing is published. Start create_datalake for {date} again"
                )));
            }
            let files = manifest.files.iter().map(|file| PublishedFile {
                name: file.name.clone(),
                bytes: file.bytes,
                etag: file.etag.clone(),
                rows: file.rows,
            });
            let published = PublishedTable {
                location: keys::uri(bucket, &keys::run_folder(table, date.into(), run)),
                report: report_uri(lake, run, self.slice, table),
                rows,
                bytes,
                files: files.collect(),
            };
            tables.insert(table, published);
        }
        if tables.is_empty() {
            return Err(Error::Quality(format!(
                "the audit of run {run} for {} has no table for {date}; start create_datalake for {date} again",
                self.range
            )));
        }
        // The caller replaces the time by that of the record.
        Ok(Publication { run: run.clone(), published_at: record::now(), tables, raw_files: planned.raw_files.clone() })
    }
}
