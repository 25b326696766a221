//! The errors of a job.

use std::io;
use std::path::PathBuf;

use market::header::InvalidHeader;
use market::snapshot::SnapshotName;
use parquet::errors::ParquetError;

/// Why a job failed. A failed job has published nothing, unless the file system failed during the renames.
#[derive(Debug, thiserror::Error)]
pub enum EtlError {
    /// Two raw files are of the same feed and minute. Their rows would be in the table twice.
    #[error("{} and {} are the same snapshot: remove one of them", .first.display(), .second.display())]
    SameSnapshot {
        /// The first one.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A raw file that cannot be opened or read.
    #[error("cannot read {}: {source}; {}", .path.display(), advice(.source))]
    Read {
        /// The raw file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A raw file named `.gz` is not a gzip file, is truncated, or has a wrong checksum.
    #[error("{} is damaged after line {line}: {source}; compress or copy the file again", .path.display())]
    Gzip {
        /// The raw file.
        path: PathBuf,
        /// The last line that could be read, the header being 1.
        line: u64,
        /// The error of the decoder.
        source: io::Error,
    },
    /// A raw file has no line, not even a header.
    #[error("{} is empty, without even a header: copy the file again or leave it out", .path.display())]
    Empty {
        /// The raw file.
        path: PathBuf,
    },
    /// The header of a raw file does not have the columns of its feed.
    #[error("{}, line {line}: {source}; check that the file is what its name says", .path.display())]
    Header {
        /// The raw file.
        path: PathBuf,
        /// The line that the header was expected in.
        line: u64,
        /// The column that differs.
        source: InvalidHeader,
    },
    /// A file or folder below the job's `out` that cannot be written.
    #[error("cannot write {}: {source}; {}", .path.display(), advice(.source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The Parquet library refused a value or a column.
    #[error("cannot write {} as Parquet: {source}; this is a bug, please report it", .path.display())]
    Parquet {
        /// The Parquet file.
        path: PathBuf,
        /// The error of the library.
        source: ParquetError,
    },
    /// Another process holds the lock of the staging folder.
    #[error("another job is writing to {}: wait for it, or choose another folder", .out.display())]
    Busy {
        /// The job's `out`.
        out: PathBuf,
    },
    /// The counts of a file do not add up, or the Parquet files have other numbers of rows.
    #[error("{file}: {what}; this is a bug and nothing was published, please report it")]
    Identity {
        /// The raw file, or the last raw file of the task.
        file: SnapshotName,
        /// The numbers that differ.
        what: String,
    },
}

/// Returns what the user can do about an error of the file system.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check that the path exists",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "check the permissions",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or choose another disk",
        io::ErrorKind::IsADirectory => "give the path of a file",
        io::ErrorKind::NotADirectory => "give the path of a folder",
        _ => "check the disk and try again",
    }
}
