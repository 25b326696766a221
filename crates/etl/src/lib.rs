//! The engine: raw snapshot files to Arrow to the three partitioned Parquet tables.
//!
//! A job is split into tasks (some files of one feed and day), which worker threads take from a queue. A task streams its
//! files line by line through a buffer of fixed size into column buffers, and writes a row group whenever these are full;
//! so memory depends on the number of threads and not on the size of any file. The output is written to a hidden folder,
//! and renamed to its final place when all of it is complete and every record is accounted for.
//!
//! | module | what it does |
//! |---|---|
//! | `plan` | splits the files of a job into tasks |
//! | `raw_file`, `lines` | read a raw file, plain or gzip, line by line |
//! | `task` | runs one task: publishes, drops or rejects each record, and counts it |
//! | `cells`, `columns`, `rows` | turn the text of cells into Arrow columns, by the number contract of `market` |
//! | `tickers`, `schema`, `table_file` | sort rows, and write them as row groups of a Parquet file |
//! | `page_checksums` | adds a CRC-32 to the header of each page |
//! | [`Storage`] | where raw files are read and table files written |
//! | `staging` | the storage in folders: a hidden folder, and the renames to final names |
//! | [`durable`] | syncs files and folders, so that they survive a power failure |
//! | `engine` | runs a job on several threads |
//!
//! ```no_run
//! let job = etl::Job {
//!     inputs: vec![etl::Input::from_path("raw/202004011320_flashpanel.csv".into())?],
//!     out: "lake".into(),
//!     threads: 0,
//!     run: None,
//! };
//! let report = etl::run(&job, &|progress| eprintln!("{} of {} bytes", progress.read, progress.total))?;
//! println!("{} rows", report.totals.published);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cells;
mod columns;
pub mod durable;
mod engine;
mod error;
mod job;
mod lines;
mod page_checksums;
mod plan;
mod raw_file;
mod report;
mod rows;
mod schema;
mod staging;
mod storage;
mod table_file;
mod task;
mod tickers;

pub use engine::{run, run_in};
pub use error::EtlError;
pub use job::{Input, Job, Progress};
pub use report::{Counts, FileReport, PartitionReport, Report};
pub use storage::{Part, Storage, TableWriter};

/// The line reader, for the fuzz targets. Not part of the public interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::lines::{Buffer, Line, Lines};
}
