//! The newest failed audit of each day: what `status` shows, and what keeps the schedule from trying the same raw files
//! every morning. Informational: nothing is published or withheld because of it.

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
    /// When.
    pub failed_at: DateTime<Utc>,
    /// The raw files that it read.
    pub raw_files: Vec<RawFileVersion>,
    /// The checks that failed, in words.
    pub failures: Vec<String>,
}

impl FailedAudit {
    /// Writes it as the newest one of `day`.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn write(&self, lake: &Lake, day: NaiveDate) -> Result<(), Error> {
        objects::put_json(lake, &lake.config.buckets.lake, &keys::failed_audit(day), self).await
    }

    /// The newest failed audit of `day`, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the object is another; whatever S3 refuses.
    pub async fn read(lake: &Lake, day: NaiveDate) -> Result<Option<Self>, Error> {
        objects::get_json(lake, &lake.config.buckets.lake, &keys::failed_audit(day)).await
    }

    /// The newest failed audits of the days of `range`. Few days are read by their names, many are listed first.
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

    /// The newest failed audits of these days, without those that have none.
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
