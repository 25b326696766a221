//! What a run is to read and to publish, written before it reads, and what its audit compared with.
//!
//! The plan is what makes the raw files of a run known: the job reads whatever lies there, and the audit fails when that is
//! no longer what the plan lists. A plan is written once, so that PlanRun is idempotent: an invocation that is repeated
//! returns what the first one wrote, and never a list that is newer than what the job has read.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::run::RunId;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::RawFileVersion;
use crate::{Lake, keys, objects};

/// What a run is to read and to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The run.
    pub run: RunId,
    /// The days that the job reads.
    #[serde(flatten)]
    pub range: DateRange,
    /// The days that have raw files, in order.
    pub days: Vec<PlannedDay>,
    /// The business days that ought to have raw files and have none, or too few.
    pub missing: Vec<NaiveDate>,
    /// What was asked for.
    pub asked: Asked,
}

/// What a run was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which of the days.
    pub which: Which,
    /// The days.
    #[serde(flatten)]
    pub range: DateRange,
}

/// Which days of those that a run was asked for it publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All that have raw files.
    All,
    /// Those whose raw files differ from their record.
    Stale,
    /// The last day, and those whose raw files differ from their record.
    Scheduled,
}

/// A day of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDay {
    /// The day.
    pub day: NaiveDate,
    /// The number of its record when the raw files were listed; 0 when there was none.
    pub base: u64,
    /// Whether the run is to publish it. Days of the range that are up to date are read, because the job reads a range, and
    /// are left as they are.
    pub publish: bool,
    /// Its raw files.
    pub raw_files: Vec<RawFileVersion>,
}

impl Plan {
    /// The days that the run is to publish.
    pub fn to_publish(&self) -> impl Iterator<Item = &PlannedDay> {
        self.days.iter().filter(|day| day.publish)
    }

    /// The plan of a run, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the object is no plan; whatever S3 refuses.
    pub async fn find(lake: &Lake, run: &RunId) -> Result<Option<Self>, Error> {
        objects::get_json(lake, &lake.config.buckets.lake, &keys::plan(run)).await
    }

    /// The plan of a run.
    ///
    /// # Errors
    /// [`Error::Quality`] when there is none: the run was not planned by this version. Otherwise as [`Plan::find`].
    pub async fn read(lake: &Lake, run: &RunId) -> Result<Self, Error> {
        Self::find(lake, run).await?.ok_or_else(|| missing(lake, &keys::plan(run), run))
    }

    /// Writes the plan unless the run has one. Returns the plan of the run: this one, or the one that was there.
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
        // Of another invocation, or of a request of this one whose answer was lost.
        Self::read(lake, &self.run).await
    }
}

/// What the audit of a run compared the run with: the number of the record of each day, 0 for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// By day.
    pub records: BTreeMap<NaiveDate, u64>,
}

impl Compared {
    /// Writes it to its place, over that of an audit before.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn write(&self, lake: &Lake, run: &RunId) -> Result<(), Error> {
        objects::put_json(lake, &lake.config.buckets.lake, &keys::audit(run), self).await
    }

    /// What the audit of a run compared with.
    ///
    /// # Errors
    /// [`Error::Quality`] when the run was not audited; [`Error::InvalidInput`] when the object is another; whatever S3
    /// refuses.
    pub async fn read(lake: &Lake, run: &RunId) -> Result<Self, Error> {
        let key = keys::audit(run);
        let found = objects::get_json(lake, &lake.config.buckets.lake, &key).await?;
        found.ok_or_else(|| missing(lake, &key, run))
    }
}

fn missing(lake: &Lake, key: &str, run: &RunId) -> Error {
    Error::Quality(format!(
        "there is no {}: run {run} was started by a version that wrote none, or its files were removed. Start \
         create_datalake for its days again",
        keys::uri(&lake.config.buckets.lake, key)
    ))
}
