//! What `pregao verify` looks at: whether the catalog, the published files, their manifests and reports, and the raw files say
//! the same, and on this machine whether the databases and the objects are as the endpoint left them.
//!
//! Nothing is changed. Everything that is found wrong is a [`Finding`]; a question that cannot be asked is one as well, so that
//! one damaged file does not hide the others.

pub mod damage;
mod folders;
pub mod home;
mod landing;
mod orphans;
pub mod parquet;
pub mod published;
mod raw;

use chrono::NaiveDate;
use lake::Lake;
use market::partition::DateRange;

use crate::output::{Checked, Finding, FindingKind, Note};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whether every byte is read.
    pub deep: bool,
    /// The first and the last of the days; none is open.
    pub from: Option<NaiveDate>,
    /// See `from`.
    pub to: Option<NaiveDate>,
    /// The beginning of a command on this lake.
    pub program: String,
}

impl Asked {
    /// Whether a day is asked for.
    pub fn covers(&self, date: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }

    /// The command that makes the tables of a day once more.
    pub fn run(&self, date: NaiveDate) -> String {
        self.run_all(&[date])
    }

    /// The command that makes the tables of all days from the first to the last of these once more.
    pub fn run_all(&self, days: &[NaiveDate]) -> String {
        let range = days.first().zip(days.last()).map(|(from, to)| format!(" --from {from} --to {to}"));
        format!("{} run{}", self.program, range.unwrap_or_default())
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How much was looked at.
    pub checked: Checked,
    /// What is wrong.
    pub problems: Vec<Finding>,
    /// What is not wrong and worth knowing.
    pub notes: Vec<Note>,
}

impl Findings {
    /// Adds what is wrong.
    pub fn add(&mut self, kind: FindingKind, file: impl Into<String>, expected: &str, found: &str, repair: &str) {
        self.problems.push(Finding {
            kind,
            file: file.into(),
            expected: expected.to_owned(),
            found: found.to_owned(),
            repair: repair.to_owned(),
        });
    }

    /// Adds a question that could not be asked.
    pub fn unanswered(&mut self, file: impl Into<String>, error: &lake::Error, repair: &str) {
        self.add(FindingKind::Unreadable, file, "an answer", &error.to_string(), repair);
    }

    /// Adds what was found elsewhere.
    fn append(&mut self, mut other: Findings) {
        self.checked.partitions += other.checked.partitions;
        self.checked.parquet_files += other.checked.parquet_files;
        self.checked.bytes_read += other.checked.bytes_read;
        self.problems.append(&mut other.problems);
        self.notes.append(&mut other.notes);
    }
}

/// Compares what S3 and Athena say of a lake.
pub async fn lake(lake: &Lake, asked: &Asked, findings: &mut Findings) {
    let mut published = published::all(lake, asked, findings).await;
    published::reports(lake, asked, &mut published, findings).await;
    published::check(lake, asked, &published, findings).await;
    raw::check(lake, asked, &published, findings).await;
    landing::check(lake, asked, findings).await;
    // Of all that is published, since what is not asked for is no orphan.
    if asked.from.is_none() && asked.to.is_none() {
        orphans::check(lake, &published, findings).await;
    }
}

/// All days between two of them, if there are any.
fn range(mut days: impl Iterator<Item = NaiveDate>) -> Option<DateRange> {
    let first = days.next()?;
    let (from, to) = days.fold((first, first), |(from, to), day| (from.min(day), to.max(day)));
    DateRange::new(from, to).ok()
}
