//! The documents of `pregao backfill`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use super::{Days, Problem, TruncatedList};

documents! {
    /// What a backfill published. Where a chunk failed, the exit code is 1.
    pub struct Backfill {
        /// The execution of `backfill`.
        pub execution: String,
        /// The days that it was asked for.
        pub days: Days,
        /// Days that were to be made.
        pub to_do: u64,
        /// Days that are current, and were left alone.
        pub current: u64,
        /// Days that a rollback holds, and that stay as they are.
        pub held: u64,
        /// Days that had been published and that the catalog did not show, because an earlier publication was interrupted. It does
        /// now.
        pub catalog_behind: u64,
        /// Business days without any raw file.
        pub days_without_files: TruncatedList<String>,
        /// The chunks.
        pub chunks: u64,
        /// Days that were published.
        pub published: u64,
        /// Days of which another run had published the same or newer raw files. They stay as they are.
        pub superseded: u64,
        /// The chunks that failed, in the order of their days.
        pub failed: Vec<FailedChunk>,
        /// Why the exit code is 1, when it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<Problem>,
    }

    /// A chunk that failed.
    pub struct FailedChunk {
        /// Its days.
        pub days: Days,
        /// The name of the error: `QualityError`.
        pub error: String,
        /// The beginning of its cause.
        pub cause: String,
        /// Days that it published nevertheless.
        pub published: u64,
        /// Days whose audit failed.
        pub failed_days: TruncatedList<String>,
        /// The command that makes it again.
        pub retry: String,
    }

    /// What a backfill would do, and cost on AWS.
    pub struct BackfillPlan {
        /// The days.
        pub days: Days,
        /// Days that would be made.
        pub to_do: u64,
        /// Days that are current, and would be left alone.
        pub current: u64,
        /// Days that a rollback holds, and that would stay as they are.
        pub held: u64,
        /// Days that are published and that the catalog does not show. It would be updated.
        pub catalog_behind: u64,
        /// Business days without any raw file.
        pub days_without_files: TruncatedList<String>,
        /// The bytes of the raw files that would be read.
        pub bytes: u64,
        /// How many chunks would run at the same time.
        pub parallel: u16,
        /// The chunks.
        pub chunks: Vec<PlannedChunk>,
        /// The estimate of how long the engine takes, in seconds; null on this machine, and where it is not known.
        pub seconds: Option<f64>,
        /// The estimate of what it costs, in USD; 0 on this machine, null where a price is not known.
        pub usd: Option<f64>,
    }

    /// A chunk that would run.
    pub struct PlannedChunk {
        /// Its days.
        pub days: Days,
        /// Days that it would make.
        pub to_do: u64,
        /// The bytes of the raw files that it would read.
        pub bytes: u64,
        /// What converts the raw files: `lambda`, `emr`, or for a step of the embedded EMR `embedded` or `spark`; null where the
        /// requested engine cannot.
        pub engine: Option<String>,
        /// Why it would fail; null when nothing is known that stops it.
        pub problem: Option<String>,
        /// The estimate of how long the engine takes, in seconds; null on this machine, and where it is not known.
        pub seconds: Option<f64>,
        /// The estimate of what it costs, in USD; 0 on this machine, null where a price is not known.
        pub usd: Option<f64>,
    }
}
