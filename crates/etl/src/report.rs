//! The report of a job: the dispositions of the records of each raw file, and the Parquet files that were written.

use std::fmt::Display;
use std::iter::Sum;
use std::ops::AddAssign;

use market::partition::Partition;
use market::snapshot::SnapshotName;
use market::table::TableName;
use serde::{Serialize, Serializer};

/// The report of one job. In JSON: `{"files": [...], "partitions": [...], "totals": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each raw file, ordered by day, feed and time.
    pub files: Vec<FileReport>,
    /// Each partition of each table that was written, ordered by table and day.
    pub partitions: Vec<PartitionReport>,
    /// The sums over `files`.
    pub totals: Counts,
}

/// The report of one raw file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The name of the file; text in JSON.
    #[serde(serialize_with = "as_text")]
    pub name: SnapshotName,
    /// The columns of its header behind those of the feed. They are in no table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added_columns: Vec<String>,
    /// Its size and its records.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The number of records of a file, or of all files, by their disposition.
///
/// `records = published + blank_ticker + header_repeat + ragged` always holds: a job that finds otherwise fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The size on disk in bytes, compressed if the file is.
    pub bytes: u64,
    /// Lines after the header that are not empty.
    pub records: u64,
    /// Records that are a row of the feed's table.
    pub published: u64,
    /// Records without a ticker, which are dropped.
    pub blank_ticker: u64,
    /// Records that repeat the header, which are dropped.
    pub header_repeat: u64,
    /// Records that are one row of `rejects` and not published.
    pub ragged: u64,
    /// Cells of published records that could not be read: NULL in the table, and one row of `rejects` each.
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

/// The files that were written to one partition of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The table.
    pub table: TableName,
    /// The day; in JSON `year=2020/month=4/day=1`.
    #[serde(serialize_with = "as_text")]
    pub partition: Partition,
    /// The paths of the files relative to the job's `out`, with `/` as the separator:
    /// `quotes/year=2020/month=4/day=1/part-quotes-00000.parquet`.
    pub files: Vec<String>,
    /// The number of rows in all of them.
    pub rows: u64,
}

fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
