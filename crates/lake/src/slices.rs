//! Slices of a run: parts of its range that are audited and published one by one, so that no call grows with the range.
//!
//! The functions store the outcome of each slice as an object, and not in the state of the execution, which Step Functions
//! limits to 256 KiB; stage `outcome` of `validate-partitions` adds them up.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plan::missing;
use crate::truncated_list::TruncatedList;
use crate::{Lake, keys, objects};

/// Maximum number of days of a slice. An audit lists the folder of each day in each table.
const MAX_DAYS: usize = 400;

/// Maximum number of slices of a run. Step Functions keeps at most 25,000 events of an execution: a slice takes 16, and twice
/// as many if each attempt is repeated.
pub const MAX_SLICES: usize = 300;

/// Divides a range into slices of consecutive days. `sizes` has the total size of the raw files of each day, in bytes; those of a
/// slice have at most `max_bytes`.
///
/// # Errors
/// [`Error::InvalidInput`] with the figures if a day is larger, or if there would be more than [`MAX_SLICES`].
pub fn divide(range: DateRange, sizes: &BTreeMap<NaiveDate, u64>, max_bytes: u64) -> Result<Vec<DateRange>, Error> {
    if let Some((day, bytes)) = sizes.iter().find(|(_, bytes)| **bytes > max_bytes) {
        return Err(Error::invalid_input(format!(
            "the raw files of {day} have {bytes} bytes, and one audit takes {max_bytes} (quality.max_audit_bytes)"
        )));
    }
    let mut slices = Vec::new();
    let (mut first, mut last, mut length, mut bytes) = (range.from(), range.from(), 0, 0);
    for day in range.days() {
        let size = sizes.get(&day).copied().unwrap_or_default();
        if length == MAX_DAYS || bytes + size > max_bytes {
            slices.push((first, last));
            (first, length, bytes) = (day, 0, 0);
        }
        (last, length, bytes) = (day, length + 1, bytes + size);
    }
    slices.push((first, last));
    if slices.len() > MAX_SLICES {
        let bytes: u64 = sizes.values().sum();
        return Err(Error::invalid_input(format!(
            "the raw files of {range} have {bytes} bytes: with {max_bytes} in one audit (quality.max_audit_bytes) these are \
             {} slices, and a run has at most {MAX_SLICES}. Start a run for each part of the range",
            slices.len()
        )));
    }
    let slices = slices.into_iter().map(|(first, last)| DateRange::new(first, last));
    slices.collect::<Result<_, _>>().map_err(|error| Error::malformed(error.to_string(), error))
}

/// The outcome of the audit of a slice. It proves with which records the audit compared the days that passed; the reports prove
/// less, because a slow invocation may have read those of an earlier audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceAudit {
    /// The days that passed, each with the number of the record that it was compared with; 0 for none.
    pub records: BTreeMap<NaiveDate, u64>,
    /// The days that failed, which are not published.
    #[serde(default)]
    pub failed: Vec<NaiveDate>,
    /// The days that passed, in each table.
    #[serde(default)]
    pub tables: Vec<PassedTable>,
    /// The checks that failed, what to do, and the URIs of the reports: one line each.
    #[serde(default)]
    pub failures: Vec<String>,
}

/// The days of a table that passed the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedTable {
    /// The table.
    pub table: TableName,
    /// The number of their partitions.
    pub partitions: u64,
    /// The number of their rows.
    pub rows: u64,
    /// The URI of the report.
    pub report: String,
}

impl SliceAudit {
    /// Writes it to its object. Overwrites that of an earlier audit.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn write(&self, lake: &Lake, run: &RunId, slice: u32) -> Result<(), Error> {
        objects::put_json(lake, &lake.config.buckets.lake, &keys::audit(run, slice), self).await
    }

    /// Reads the outcome of the audit of a slice.
    ///
    /// # Errors
    /// [`Error::Quality`] if the slice was not audited; [`Error::InvalidInput`] if the object is something else; whatever S3
    /// refuses.
    pub async fn read(lake: &Lake, run: &RunId, slice: u32) -> Result<Self, Error> {
        let found = Self::find(lake, run, slice).await?;
        found.ok_or_else(|| missing(lake, &keys::audit(run, slice), run))
    }

    /// Reads the outcome, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the object is something else; whatever S3 refuses.
    pub async fn find(lake: &Lake, run: &RunId, slice: u32) -> Result<Option<Self>, Error> {
        objects::get_json(lake, &lake.config.buckets.lake, &keys::audit(run, slice)).await
    }
}

/// The outcome of the publication of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlicePublication {
    /// Number of published days.
    pub published: u64,
    /// Days of which another run has published the same or a newer view of the raw files.
    pub superseded: TruncatedList<NaiveDate>,
    /// Days that a rollback holds.
    pub held: TruncatedList<NaiveDate>,
}

impl SlicePublication {
    /// Writes it to its object. Overwrites that of an earlier attempt.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn write(&self, lake: &Lake, run: &RunId, slice: u32) -> Result<(), Error> {
        objects::put_json(lake, &lake.config.buckets.lake, &keys::publication(run, slice), self).await
    }

    /// Reads the outcome of the publication of a slice.
    ///
    /// # Errors
    /// [`Error::Quality`] if the slice was not published; otherwise as [`SliceAudit::read`].
    pub async fn read(lake: &Lake, run: &RunId, slice: u32) -> Result<Self, Error> {
        let found = Self::find(lake, run, slice).await?;
        found.ok_or_else(|| missing(lake, &keys::publication(run, slice), run))
    }

    /// Reads the outcome, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the object is something else; whatever S3 refuses.
    pub async fn find(lake: &Lake, run: &RunId, slice: u32) -> Result<Option<Self>, Error> {
        objects::get_json(lake, &lake.config.buckets.lake, &keys::publication(run, slice)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(at: u64) -> NaiveDate {
        let first: NaiveDate = "2010-01-04".parse().expect("a date");
        first + chrono::Days::new(at)
    }

    fn divided(days: u64, sizes: &[(u64, u64)], max_bytes: u64) -> Result<Vec<(u64, u64)>, Error> {
        let range = DateRange::new(day(0), day(days - 1)).expect("a range");
        let sizes = sizes.iter().map(|(at, bytes)| (day(*at), *bytes)).collect();
        let at = |date: NaiveDate| (date - day(0)).num_days() as u64;
        let slices = divide(range, &sizes, max_bytes)?;
        Ok(slices.into_iter().map(|slice| (at(slice.from()), at(slice.to()))).collect())
    }

    #[test]
    fn a_slice_has_whole_days_up_to_the_limit() {
        for (days, sizes, expected) in [
            (1, &[][..], &[(0, 0)][..]),
            (1, &[(0, 100)], &[(0, 0)]),
            (7, &[(0, 50), (1, 50), (5, 0)], &[(0, 6)]),
            // Days without files belong to the slice before them.
            (7, &[(0, 50), (1, 50), (5, 1)], &[(0, 4), (5, 6)]),
            (4, &[(0, 100), (1, 100), (2, 99), (3, 1)], &[(0, 0), (1, 1), (2, 3)]),
            (801, &[], &[(0, 399), (400, 799), (800, 800)]),
        ] {
            assert_eq!(divided(days, sizes, 100).expect("it fits"), expected, "{days} days with {sizes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_figures() {
        let error = divided(3, &[(0, 7), (1, 101)], 100).expect_err("a large day").to_string();
        assert_eq!(
            error,
            "the raw files of 2010-01-05 have 101 bytes, and one audit takes 100 (quality.max_audit_bytes)"
        );
        let sizes = |count: usize| (0..count as u64).map(|at| (at, 60)).collect::<Vec<_>>();
        let of = |slices: usize| divided(slices as u64, &sizes(slices), 100);
        assert_eq!(of(MAX_SLICES).expect("the maximum").len(), MAX_SLICES);
        let error = of(MAX_SLICES + 1).expect_err("one more").to_string();
        for words in ["18060 bytes", "301 slices", "at most 300"] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
