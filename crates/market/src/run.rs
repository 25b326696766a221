//! The name of one run of the pipeline.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one run: the folder `run=<run>` of everything that it writes. Equal to the name of the Step Functions
/// execution, so that a retried or redriven execution writes over its own attempt and over nothing else.
///
/// One to eighty letters, digits, `-` or `_`, which is what a Step Functions name may hold and a folder name may safely be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that cannot name a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a run: use 1 to 80 letters, digits, '-' or '_'")]
pub struct InvalidRunId(String);

impl RunId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let fine =
            (1..=80).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fine { Ok(Self(text.to_owned())) } else { Err(InvalidRunId(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> String {
        run.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_safe_folder_name() {
        for good in ["a", "2020-04-01_x", "3f2a5c1e-0000-4000-8000-000000000000", &"x".repeat(80)] {
            assert_eq!(good.parse::<RunId>().expect(good).as_str(), good);
        }
        for bad in ["", "..", "a/b", "a b", "é", "run=1", &"x".repeat(81)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }
}
