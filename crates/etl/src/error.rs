//! Why a job failed. Whatever the reason, nothing of it is under a final name afterwards.

use std::io;
use std::path::PathBuf;

use market::record::InvalidHeader;
use market::snapshot::SnapshotName;
use parquet::errors::ParquetError;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub enum EtlError {
    /// Two raw files of the same feed and minute: their rows would be in the table twice.
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
        /// What the operating system says.
        source: io::Error,
    },
    /// A raw file named `.gz` that is no gzip, is cut off, or whose checksum is wrong.
    #[error("{} is damaged after line {line}: {source}; compress or copy the file again", .path.display())]
    Gzip {
        /// The raw file.
        path: PathBuf,
        /// The last line that could be read, the header being 1.
        line: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// A raw file without even a header.
    #[error("{} is empty, without even a header: copy the file again or leave it out", .path.display())]
    Empty {
        /// The raw file.
        path: PathBuf,
    },
    /// A raw file with other columns than its feed has.
    #[error("{}, line {line}: {source}; check that the file is what its name says", .path.display())]
    Header {
        /// The raw file.
        path: PathBuf,
        /// The line that the header was expected in.
        line: u64,
        /// Which column is wrong.
        source: InvalidHeader,
    },
    /// A file or folder below the job's `out` that cannot be written.
    #[error("cannot write {}: {source}; {}", .path.display(), advice(.source))]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The Parquet library refused what it was given.
    #[error("cannot write {} as Parquet: {source}; this is a bug, please report it", .path.display())]
    Parquet {
        /// The file that was to be written.
        path: PathBuf,
        /// What the library says.
        source: ParquetError,
    },
    /// Another process writes the same job's files.
    #[error("another job is writing to {}: wait for it, or choose another folder", .out.display())]
    Busy {
        /// The job's `out`.
        out: PathBuf,
    },
    /// The records of a file do not add up.
    #[error("{file}: {what}; this is a bug and nothing was published, please report it")]
    Identity {
        /// The raw file, or the last one of those that share a Parquet file.
        file: SnapshotName,
        /// The numbers that differ.
        what: String,
    },
}

/// What a person can do about a fault of the file system.
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
