//! What a job did: what became of every record of every file, and what was written.

use std::fmt::Display;
use std::iter::Sum;
use std::ops::AddAssign;

use market::partition::Partition;
use market::snapshot::SnapshotName;
use market::table::TableName;
use serde::{Serialize, Serializer};

/// The account of one job. As JSON: `{"files": [...], "partitions": [...], "totals": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each raw file, ordered by day, feed and time.
    pub files: Vec<FileReport>,
    /// Each partition of each table that was written, ordered by table and day.
    pub partitions: Vec<PartitionReport>,
    /// The sums over `files`.
    pub totals: Counts,
}

/// What became of one raw file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Its name; as JSON the name's text.
    #[serde(serialize_with = "as_text")]
    pub name: SnapshotName,
    /// What was in it.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What became of the records of a file, or of all files.
///
/// `records = published + blank_ticker + header_repeat + ragged`, always: a job that finds otherwise fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Bytes on disk (compressed, if the file is).
    pub bytes: u64,
    /// Lines behind the header that have any byte in them.
    pub records: u64,
    /// Rows in the feed's table.
    pub published: u64,
    /// Records without a ticker: dropped.
    pub blank_ticker: u64,
    /// Records that are the header once more: dropped.
    pub header_repeat: u64,
    /// Records that are one row in `rejects` and nothing else.
    pub ragged: u64,
    /// Cells of published records that could not be read: NULL in the table and one row each in `rejects`.
    pub rejected_cells: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
        self.published += other.published;
        self.blank_ticker += other.blank_ticker;
        self.header_repeat += other.header_repeat;
        self.ragged += other.ragged;
        self.rejected_cells += other.rejected_cells;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, next| {
            sum += next;
            sum
        })
    }
}

/// What was written to one partition of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The table.
    pub table: TableName,
    /// The day; as JSON `year=2020/month=4/day=1`.
    #[serde(serialize_with = "as_text")]
    pub partition: Partition,
    /// The files, below the job's `out` folder and with `/` between folders whatever the platform:
    /// `quotes/year=2020/month=4/day=1/part-quotes-00000.parquet`.
    pub files: Vec<String>,
    /// The rows in them.
    pub rows: u64,
}

fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
