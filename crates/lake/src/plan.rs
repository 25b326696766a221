//! The plan of a run: what it reads and publishes, written before it reads.
//!
//! The plan fixes the raw files of a run: the job reads all raw files of its range, and the audit fails if they are no longer
//! those of the plan. A plan is written once, so that `PlanRun` is idempotent: a repeated invocation returns the plan of the
//! first one, and never a list that is newer than what the job has read.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::run::RunId;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineChoice};
use crate::error::Error;
use crate::failed::FailedAudit;
use crate::record::view::differences;
use crate::record::{RawFileVersion, Record};
use crate::{Lake, keys, objects};

/// What a run reads and publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The run.
    pub run: RunId,
    /// The engine that runs the job. Older versions wrote none and knew one.
    #[serde(default)]
    pub engine: Engine,
    /// The days that the job reads.
    #[serde(flatten)]
    pub range: DateRange,
    /// The days that have raw files, in order.
    pub days: Vec<PlannedDay>,
    /// The parts of the range that are audited and published one by one. Older versions wrote none and had one.
    #[serde(default)]
    pub slices: Vec<DateRange>,
    /// Business days with no or too few raw files.
    pub missing: Vec<NaiveDate>,
    /// Days in the requested range that the run does not publish, and whose partitions are not at the locations in their records.
    #[serde(default)]
    pub behind: BTreeSet<NaiveDate>,
    /// The request.
    #[serde(rename = "asked")]
    pub requested: RequestedDays,
    /// The requested engine. `None`: that of the configuration.
    #[serde(default)]
    pub requested_engine: Option<EngineChoice>,
}

/// The requested days of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedDays {
    /// The selection of days in the range.
    #[serde(rename = "which")]
    pub selection: DaySelection,
    /// The range.
    #[serde(flatten)]
    pub range: DateRange,
}

/// Which of the requested days a run publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaySelection {
    /// All days that have raw files.
    All,
    /// Stale days: those whose raw files differ from their record.
    Stale,
    /// Days that are not current: stale days, also those whose audit failed with the same raw files.
    NotCurrent,
    /// Stale days after an upload, by the engine lambda: those that are too large for it are left to the schedule. Raw files that
    /// are added during the run are left to the next one, which the upload of these files starts.
    Uploaded,
    /// The last day, and stale days.
    Scheduled,
}

/// A day of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDay {
    /// The day.
    pub day: NaiveDate,
    /// The number of its record when the raw files were listed; 0 without a record.
    pub base: u64,
    /// Whether the run publishes it. The job also reads days of the range that are up to date, because it reads a range; these
    /// are not published.
    pub publish: bool,
    /// Its raw files.
    pub raw_files: Vec<RawFileVersion>,
}

impl PlannedDay {
    /// Returns the total size of its raw files as stored, in bytes.
    pub fn bytes(&self) -> u64 {
        self.raw_files.iter().map(|file| file.bytes).sum()
    }
}

impl Plan {
    /// Returns the days that the run publishes.
    pub fn to_publish(&self) -> impl Iterator<Item = &PlannedDay> {
        self.days.iter().filter(|day| day.publish)
    }

    /// Returns the numbers of its slices.
    pub fn slice_numbers(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.slices.len().max(1) as u32
    }

    /// Returns the part of the plan of a slice. `None` is the whole plan, as executions of older versions request it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the plan has no such slice.
    pub fn slice(mut self, slice: Option<u32>) -> Result<Self, Error> {
        let Some(number) = slice else { return Ok(self) };
        let range = match (number, self.slices.is_empty()) {
            (0, true) => self.range,
            _ => *self.slices.get(number as usize).ok_or_else(|| {
                Error::invalid_input(format!("run {} has no slice {number}: it has {}", self.run, self.slices.len()))
            })?,
        };
        self.range = range;
        self.days.retain(|day| range.contains(day.day));
        Ok(self)
    }

    /// Reads the plan of a run, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the object is not a plan; whatever S3 refuses.
    pub async fn find(lake: &Lake, run: &RunId) -> Result<Option<Self>, Error> {
        objects::get_json(lake, &lake.config.buckets.lake, &keys::plan(run)).await
    }

    /// Reads the plan of a run.
    ///
    /// # Errors
    /// [`Error::Quality`] if there is none: the run was not planned by this version. Otherwise as [`Plan::find`].
    pub async fn read(lake: &Lake, run: &RunId) -> Result<Self, Error> {
        Self::find(lake, run).await?.ok_or_else(|| missing(lake, &keys::plan(run), run))
    }

    /// Writes the plan unless the run has one. Returns the plan of the run: this one, or the existing one.
    ///
    /// # Errors
    /// As [`Plan::find`].
    pub async fn write_once(self, lake: &Lake) -> Result<Self, Error> {
        let bucket = &lake.config.buckets.lake;
        let key = keys::plan(&self.run);
        let text = serde_json::to_vec(&self).expect("a plan is JSON");
        if objects::put_new(lake, bucket, &key, "application/json", text).await? {
            return Ok(self);
        }
        // Written by another invocation, or by a request of this one whose response was lost.
        Self::read(lake, &self.run).await
    }
}

/// Whether a run of stale days processes a day: it has raw files, and they differ from those of its record. A day that a
/// rollback holds is skipped, and so is one whose audit failed with exactly these files, because it would fail again.
pub fn is_to_do(record: Option<&Record>, failed: Option<&FailedAudit>, files: &[RawFileVersion]) -> bool {
    if files.is_empty() || record.is_some_and(|record| record.held.is_some()) {
        return false;
    }
    if failed.is_some_and(|failed| differences(&failed.raw_files, files).is_empty()) {
        return false;
    }
    let published = record.and_then(|record| record.published.as_ref());
    published.is_none_or(|published| !differences(&published.raw_files, files).is_empty())
}

pub(crate) fn missing(lake: &Lake, key: &str, run: &RunId) -> Error {
    Error::Quality(format!(
        "there is no {}: run {run} was started by a version that wrote none, or its files were removed. Start \
         create_datalake for its days again",
        keys::uri(&lake.config.buckets.lake, key)
    ))
}
