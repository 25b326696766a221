//! Where a job reads raw files and writes table files: folders, or a store of objects.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use market::partition::Partition;
use market::run::RunId;
use market::snapshot::Feed;
use market::table::TableName;

use crate::error::EtlError;
use crate::job::Input;

/// The storage of the raw files and of the table files of one job. Worker threads call it concurrently, and wait for it.
pub trait Storage: Sync {
    /// Returns the size of a raw file as stored, in bytes.
    ///
    /// # Errors
    /// If there is no such file.
    fn size(&self, input: &Input) -> io::Result<u64> {
        file_size(input)
    }

    /// Opens a raw file. The caller opens the files of `next` after it, in this order, so that a storage can read ahead.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read.
    fn open(&self, input: &Input, next: &[&Input]) -> io::Result<Box<dyn Read + '_>> {
        let _ = next;
        Ok(Box::new(File::open(&input.path)?))
    }

    /// Creates a table file.
    ///
    /// # Errors
    /// If it cannot be written.
    fn create(&self, part: Part) -> io::Result<Box<dyn TableWriter>>;

    /// Returns the path or URI of a table file, for error messages.
    fn path(&self, part: Part) -> PathBuf;

    /// Returns the name of a table file in the report, relative to the lake.
    fn name(&self, part: Part) -> String;

    /// Publishes the table files of a job, after all of them are complete. `parts` are ordered, and hold all parts of each feed
    /// and day.
    ///
    /// # Errors
    /// [`EtlError::Write`].
    fn publish(&self, parts: &[Part]) -> Result<(), EtlError>;
}

/// Returns the size of a raw file in a folder, in bytes.
///
/// # Errors
/// If there is no such file.
pub(crate) fn file_size(input: &Input) -> io::Result<u64> {
    Ok(fs::metadata(&input.path)?.len())
}

/// A table file that is being written.
pub trait TableWriter: Write + Send {
    /// Completes the file after its last byte.
    ///
    /// # Errors
    /// If the file cannot be written; it is not complete then.
    fn complete(&mut self) -> io::Result<()>;
}

impl TableWriter for File {
    fn complete(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A Parquet file of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Its table.
    pub table: TableName,
    /// Its day.
    pub partition: Partition,
    /// The feed of its records. The folders of `rejects` hold files of both feeds.
    pub feed: Feed,
    /// The position among the files of this feed and day, from 0.
    pub number: usize,
}

impl Part {
    /// Returns its folder, relative to the lake: `runs/run=<run>/<table>/<partition>`, or `<table>/<partition>` without a run.
    pub fn folder(self, run: Option<&RunId>) -> String {
        let Part { table, partition, .. } = self;
        match run {
            // Not below the table: a reader of the table's folder must not find the files of an unpublished run.
            Some(run) => format!("runs/run={run}/{table}/{partition}"),
            None => format!("{table}/{partition}"),
        }
    }

    /// Returns its file name: `part-quotes-00000.parquet`.
    pub fn file_name(self) -> String {
        format!("part-{}-{:05}.parquet", self.feed, self.number)
    }

    /// Returns its folder and file name.
    pub fn name(self, run: Option<&RunId>) -> String {
        format!("{}/{}", self.folder(run), self.file_name())
    }
}
