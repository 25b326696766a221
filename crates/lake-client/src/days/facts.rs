//! The facts about each day: raw files, records, failed audits, and files in `landing/` and `quarantine/`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::NaiveDate;
use futures::future::{try_join, try_join3};
use lake::failed::FailedAudit;
use lake::objects::Object;
use lake::record::{self, RawFileVersion, Record};
use lake::{Error, Lake, concurrency, keys, objects, raw_files};
use market::partition::DateRange;
use market::snapshot::{Feed, SnapshotName};

/// The facts about the days of a lake, or of a range.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The accepted raw files of the days that have any.
    pub files: BTreeMap<NaiveDate, Vec<RawFileVersion>>,
    /// The current records.
    pub records: BTreeMap<NaiveDate, Record>,
    /// The newest failed audits.
    pub failed: BTreeMap<NaiveDate, FailedAudit>,
    /// Number of files in `quarantine/`, by day.
    pub quarantined: BTreeMap<NaiveDate, usize>,
    /// Number of files in `landing/`, by day.
    pub landing: BTreeMap<NaiveDate, usize>,
}

/// Number of days whose raw files are listed by consecutive requests. Pages of a listing have 1,000 objects and can only be
/// fetched one after the other, and a day has about 84 objects: so parts of a long range are listed concurrently.
const DAYS_IN_A_ROW: usize = 100;

/// Number of parts that are listed concurrently.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

impl Facts {
    /// Reads the facts about all days, or about those of a range. Raw files and records are read concurrently and are not a
    /// consistent snapshot while a run publishes or an upload arrives.
    ///
    /// # Errors
    /// [`Error::Record`] for a record that cannot be read; [`Error::InvalidInput`] for a failed audit that cannot be read;
    /// whatever S3 refuses.
    pub async fn read(lake: &Lake, range: Option<DateRange>) -> Result<Facts, Error> {
        let is_requested = |day: &NaiveDate| range.is_none_or(|range| range.contains(*day));
        let bucket = &lake.config.buckets.raw;
        let waiting = async {
            let (refused, landed) =
                try_join(objects::list(lake, bucket, keys::QUARANTINE), objects::list(lake, bucket, keys::LANDING))
                    .await?;
            Ok((refused, landed))
        };
        let ((records, failed), files, (refused, landed)) =
            try_join3(published(lake, range), files(lake, range), waiting).await?;
        let refused = refused.iter().filter(|object| !object.key.ends_with(keys::REASON_SUFFIX));
        let quarantined = count(refused.filter_map(name).map(|name| name.time.date()).filter(is_requested));
        let landed = landed.iter().filter_map(|object| keys::file_name(&object.key).parse::<SnapshotName>().ok());
        let landing = count(landed.map(|name| name.time.date()).filter(is_requested));
        Ok(Facts { files, records, failed, quarantined, landing })
    }

    /// Returns the first and the last day with raw files, a record or a failed audit.
    pub fn span(&self) -> Option<DateRange> {
        let days = || self.files.keys().chain(self.records.keys()).chain(self.failed.keys()).copied();
        days().min().zip(days().max()).and_then(|(first, last)| DateRange::new(first, last).ok())
    }
}

fn count(days: impl Iterator<Item = NaiveDate>) -> BTreeMap<NaiveDate, usize> {
    let mut counts = BTreeMap::new();
    for day in days {
        *counts.entry(day).or_default() += 1;
    }
    counts
}

fn name(object: &Object) -> Option<SnapshotName> {
    quarantined(keys::file_name(&object.key))
}

/// Parses the snapshot in the name of a quarantined file, which may have an ETag as suffix.
pub fn quarantined(file: &str) -> Option<SnapshotName> {
    file.parse().ok().or_else(|| file.rsplit_once('.')?.0.parse().ok())
}

type Recorded = (BTreeMap<NaiveDate, Record>, BTreeMap<NaiveDate, FailedAudit>);

/// Reads the records and the failed audits, which are in the same listing.
async fn published(lake: &Lake, range: Option<DateRange>) -> Result<Recorded, Error> {
    let listed = objects::list(lake, &lake.config.buckets.lake, keys::PUBLISHED).await?;
    let days = |day_of: fn(&str) -> Option<NaiveDate>| {
        let days = listed.iter().filter_map(|object| day_of(&object.key));
        days.filter(|day| range.is_none_or(|range| range.contains(*day))).collect::<Vec<_>>()
    };
    let is_requested = |object: &&Object| {
        keys::recorded_day(&object.key).is_some_and(|day| range.is_none_or(|range| range.contains(day)))
    };
    let records: Vec<Object> = listed.iter().filter(is_requested).cloned().collect();
    try_join(record::yearly::read(lake, &records), FailedAudit::read_days(lake, days(keys::failed_day))).await
}

async fn files(lake: &Lake, range: Option<DateRange>) -> Result<BTreeMap<NaiveDate, Vec<RawFileVersion>>, Error> {
    let bucket = &lake.config.buckets.raw;
    let (quotes, options) = (keys::raw_feed(Feed::Quotes), keys::raw_feed(Feed::Options));
    let (quotes, options) =
        try_join(objects::folders(lake, bucket, &quotes), objects::folders(lake, bucket, &options)).await?;
    let mut days: Vec<NaiveDate> = quotes.iter().chain(&options).filter_map(|folder| folder.parse().ok()).collect();
    days.retain(|day| range.is_none_or(|range| range.contains(*day)));
    days.sort_unstable();
    days.dedup();
    let parts = days.chunks(DAYS_IN_A_ROW).filter_map(|part| DateRange::new(*part.first()?, *part.last()?).ok());
    let shared = Arc::new(lake.clone());
    let listed = concurrency::map(parts.collect::<Vec<_>>(), AT_ONCE, |part| {
        let lake = shared.clone();
        async move { raw_files::scan(&lake, part).await }
    })
    .await?;
    let mut files: BTreeMap<NaiveDate, Vec<RawFileVersion>> = BTreeMap::new();
    for file in listed.iter().flat_map(|listing| listing.files()) {
        files.entry(file.name.time.date()).or_default().push(file.into());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarantined_file_is_known_by_its_name() {
        for name in ["202004011000_options.csv", "202004011000_options.csv.9e10", "202004011000_options.csv.gz.9e10"] {
            assert_eq!(quarantined(name).map(|name| name.time.intdate()), Some(202004011000), "{name}");
        }
        for name in ["foo.csv", "202004011000_options.csv.9e10.x", ""] {
            assert_eq!(quarantined(name), None, "{name}");
        }
    }
}
