//! The engine: raw snapshot files to Arrow to the three partitioned Parquet tables.
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
mod engine;
mod error;
mod job;
mod lines;
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
