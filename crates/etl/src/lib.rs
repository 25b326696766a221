//! The engine: raw snapshot files to Arrow to the three partitioned Parquet tables.
//!
//! A job is split into tasks (some files of one feed's day), which threads take one by one. A task streams its files
//! line by line through a buffer of fixed size into Arrow builders, and writes a row group whenever these are full; so
//! memory depends on the number of threads and not on the size of any file. What is written stays hidden until all of
//! it is there and every record is accounted for; then it gets its final name.
//!
//! | module | what it does |
//! |---|---|
//! | `plan` | splits the files of a job into tasks |
//! | `raw_file`, `lines` | bytes of a file, plain or gzip, to lines |
//! | `clean` | one task: each record is published, dropped and counted, or rejected |
//! | `cells`, `columns`, `rows` | the text of cells to Arrow columns, through the number contract of `market` |
//! | `tickers`, `schema`, `table_file` | rows sorted into row groups of a Parquet file |
//! | `page_checksums` | a checksum in the header of each page |
//! | `staging` | the hidden folder, and how files get their final names |
//! | [`durable`] | files that survive a power failure |
//! | `engine` | all of it, on several threads |
//!
//! ```no_run
//! let job = etl::Job {
//!     inputs: vec![etl::Input::named("raw/202004011320_flashpanel.csv".into())?],
//!     out: "lake".into(),
//!     threads: 0,
//!     run: None,
//! };
//! let report = etl::run(&job, &|progress| eprintln!("{} of {} bytes", progress.read, progress.total))?;
//! println!("{} rows", report.totals.published);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cells;
mod clean;
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
mod table_file;
mod tickers;

pub use engine::run;
pub use error::EtlError;
pub use job::{Input, Job, Progress};
pub use report::{Counts, FileReport, PartitionReport, Report};

/// What the fuzz targets read lines with. No part of the interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::lines::{Buffer, Line, Lines};
}
