//! The report of `pregao smoke`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use super::Timestamp;

/// What became of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It was kept.
    Passed,
    /// It was not kept, or it could not be found out.
    Failed,
    /// It was not tried.
    Skipped,
}

impl Verdict {
    /// Returns its name in JSON documents and text tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        }
    }
}

documents! {
    /// What `pregao smoke` found. Where a promise was not kept, the exit code is 1.
    pub struct Smoke {
        /// The version of the program, with its commit if the build knew it.
        pub version: String,
        /// Whether it ran in an AWS account, and not on the embedded endpoint of this machine.
        pub aws: bool,
        /// The region.
        pub region: String,
        /// The name of the stack; null on this machine.
        pub stack: Option<String>,
        /// The last four digits of the account's number. The others are replaced by asterisks everywhere in the report.
        pub account: String,
        /// When it began.
        pub started: Timestamp,
        /// How long it took.
        pub seconds: f64,
        /// The days that it used, and removed.
        pub days: Vec<String>,
        /// The estimate in USD that was stated before it began: what all steps cost on AWS, at list prices.
        pub estimated_usd: f64,
        /// The estimate in USD of what the steps that were done cost on AWS, at list prices. On this machine nothing is paid.
        pub usd: f64,
        /// Number of promises that were kept.
        pub passed: u64,
        /// Number of promises that were not kept.
        pub failed: u64,
        /// Number of promises that were not tried.
        pub skipped: u64,
        /// The promises, in the order in which they were tried.
        pub promises: Vec<SmokePromise>,
    }

    /// A promise, and what became of it.
    pub struct SmokePromise {
        /// Its name.
        pub name: String,
        /// What is promised.
        pub promise: String,
        /// The document that promises it.
        pub document: String,
        /// What was done to find out.
        pub done: String,
        /// What became of it.
        pub verdict: Verdict,
        /// Why it failed or was skipped; null if it passed.
        pub reason: Option<String>,
        /// What was found.
        pub evidence: Vec<SmokeEvidence>,
        /// When the step began.
        pub started: Timestamp,
        /// How long it took.
        pub seconds: f64,
        /// What it costs on AWS, in USD, estimated from list prices.
        pub usd: f64,
    }

    /// A piece of evidence.
    pub struct SmokeEvidence {
        /// What it is: `execution`, `query`, `rows of quotes on 1990-07-02`.
        pub name: String,
        /// Its value: the ARN of the execution, the id of the query, a number, a digest, a time.
        pub value: String,
    }
}
