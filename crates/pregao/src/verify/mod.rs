//! The checks of `pregao verify`: whether the catalog, the published files, their manifests and reports, and the raw files are
//! consistent, and on this machine whether databases and objects are undamaged.
//!
//! They change nothing. Each problem is a [`Finding`]. A request that fails is a finding too, so that one damaged file does not
//! hide other problems.

pub(crate) mod damage;
mod folders;
pub(crate) mod home;
mod landing;
mod orphans;
pub(crate) mod parquet;
pub(crate) mod published;
mod raw;

use chrono::NaiveDate;
use lake::Lake;
use market::partition::DateRange;

use crate::output::{Checked, Finding, FindingKind, Note};

/// The options of a verification.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Whether to read every byte.
    pub deep: bool,
    /// The first day; `None` is unbounded.
    pub from: Option<NaiveDate>,
    /// The last day; `None` is unbounded.
    pub to: Option<NaiveDate>,
    /// Beginning of a command on this lake, for repairs.
    pub program: String,
}

impl Options {
    /// Whether a day is in the requested range.
    pub(crate) fn covers(&self, date: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }

    /// Returns the command that repeats the run of a day.
    pub(crate) fn run(&self, date: NaiveDate) -> String {
        self.run_all(&[date])
    }

    /// Returns the command that repeats the run of the range from the first to the last of these days.
    pub(crate) fn run_all(&self, days: &[NaiveDate]) -> String {
        let range = days.first().zip(days.last()).map(|(from, to)| format!(" --from {from} --to {to}"));
        format!("{} run{}", self.program, range.unwrap_or_default())
    }
}

/// Result of the checks.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Numbers of checked items.
    pub checked: Checked,
    /// The problems.
    pub problems: Vec<Finding>,
    /// Notes, which are not problems.
    pub notes: Vec<Note>,
}

impl Findings {
    /// Adds a problem.
    pub(crate) fn add(
        &mut self,
        kind: FindingKind,
        file: impl Into<String>,
        expected: &str,
        found: &str,
        repair: &str,
    ) {
        self.problems.push(Finding {
            kind,
            file: file.into(),
            expected: expected.to_owned(),
            found: found.to_owned(),
            repair: repair.to_owned(),
        });
    }

    /// Adds the problem of a request that failed.
    pub(crate) fn unanswered(&mut self, file: impl Into<String>, error: &lake::Error, repair: &str) {
        self.add(FindingKind::Unreadable, file, "an answer", &error.to_string(), repair);
    }

    /// Adds other findings.
    fn append(&mut self, mut other: Findings) {
        self.checked.partitions += other.checked.partitions;
        self.checked.parquet_files += other.checked.parquet_files;
        self.checked.bytes_read += other.checked.bytes_read;
        self.problems.append(&mut other.problems);
        self.notes.append(&mut other.notes);
    }
}

/// Runs all checks that use S3 and the catalog.
pub(crate) async fn lake(lake: &Lake, options: &Options, findings: &mut Findings) {
    let mut published = published::all(lake, options, findings).await;
    published::reports(lake, options, &mut published, findings).await;
    published::check(lake, options, &published, findings).await;
    raw::check(lake, options, &published, findings).await;
    landing::check(lake, options, findings).await;
    // Only for an unbounded range: folders of days that were not checked would be taken for orphans.
    if options.from.is_none() && options.to.is_none() {
        orphans::check(lake, &published, findings).await;
    }
}

/// Returns the range of all days between the first and the last, if there are any.
fn range(mut days: impl Iterator<Item = NaiveDate>) -> Option<DateRange> {
    let first = days.next()?;
    let (from, to) = days.fold((first, first), |(from, to), day| (from.min(day), to.max(day)));
    DateRange::new(from, to).ok()
}
