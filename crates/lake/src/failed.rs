//! The newest failed audit of each day. `status` shows it, and scheduled runs skip a day whose raw files have not changed
//! since. Informational: publication does not depend on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use market::partition::DateRange;
use market::run::RunId;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{self, RawFileVersion};
use crate::{Lake, concurrency, keys, objects};

/// A failed audit of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAudit {
    /// The run.
    pub run: RunId,
    /// When it failed.
    pub failed_at: DateTime<Utc>,
    /// The raw files that the run read.
    pub raw_files: Vec<RawFileVersion>,
    /// Descriptions of the failed checks.
    pub failures: Vec<String>,
}

impl FailedAudit {
    /// Writes it as the newest failed audit of `day`.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn write(&self, lake: &Lake, day: NaiveDate) -> Result<(), Error> {
        objects::put_json(lake, &lake.config.buckets.lake, &keys::failed_audit(day), self).await
    }

    /// Reads the newest failed audit of `day`, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the object is something else; whatever S3 refuses.
    pub async fn read(lake: &Lake, day: NaiveDate) -> Result<Option<Self>, Error> {
        objects::get_json(lake, &lake.config.buckets.lake, &keys::failed_audit(day)).await
    }

    /// Reads the newest failed audits of `range`. A short range is read by keys, without a listing.
    ///
    /// # Errors
    /// As [`FailedAudit::read`].
    pub async fn read_range(lake: &Lake, range: DateRange) -> Result<BTreeMap<NaiveDate, Self>, Error> {
        if range.days().count() <= record::store::FEW {
            return Self::read_days(lake, range.days().collect()).await;
        }
        let listed = objects::list(lake, &lake.config.buckets.lake, keys::PUBLISHED).await?;
        let days = listed.iter().filter_map(|object| keys::failed_day(&object.key));
        let days: Vec<NaiveDate> = days.filter(|day| range.contains(*day)).collect();
        Self::read_days(lake, days).await
    }

    /// Reads the newest failed audits of these days. Days without one are not in the result.
    ///
    /// # Errors
    /// As [`FailedAudit::read`].
    pub async fn read_days(lake: &Lake, days: Vec<NaiveDate>) -> Result<BTreeMap<NaiveDate, Self>, Error> {
        let shared = Arc::new(lake.clone());
        let read = concurrency::map(days, lake.config.ingest.parallel_files, |day| {
            let lake = shared.clone();
            async move { Ok(Self::read(&lake, day).await?.map(|failed| (day, failed))) }
        });
        Ok(read.await?.into_iter().flatten().collect())
    }
}
