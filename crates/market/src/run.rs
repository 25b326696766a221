//! The name of a run of the pipeline.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a run, as in the folder `run=<run>` of everything that the run writes. It equals the name of the Step
/// Functions execution, so that a retried or redriven execution overwrites its own output and nothing else.
///
/// One to eighty letters, digits, `-` or `_`: allowed in names of executions, and safe in names of folders. A further attempt
/// of the same execution, which reads other raw files, has a name of its own (`nightly.2`), so that it does not overwrite what
/// may be published already.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The error for a text that cannot name a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a run: use 1 to 80 letters, digits, '-' or '_', and .2 to .9 for further attempts")]
pub struct InvalidRunId(String);

impl RunId {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the execution, which all attempts share.
    pub fn execution(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }

    /// Returns the number of the attempt: 1, or the number after the name of the execution.
    pub fn attempt(&self) -> u32 {
        self.0.split_once('.').and_then(|(_, attempt)| attempt.parse().ok()).unwrap_or(1)
    }

    /// Returns the next attempt of the same execution, or `None` after the ninth.
    pub fn next_attempt(&self) -> Option<Self> {
        format!("{}.{}", self.execution(), self.attempt() + 1).parse().ok()
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let (execution, attempt) = text.split_once('.').unwrap_or((text, "2"));
        let fine = (1..=80).contains(&execution.len())
            && execution.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && matches!(attempt.as_bytes(), [b'2'..=b'9']);
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
        for bad in ["", "..", "a/b", "a b", "é", "run=1", &"x".repeat(81), "a.", "a.1", "a.10", "a.b", ".2", "a.2.2"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn attempts_of_an_execution_have_names_of_their_own() {
        let first: RunId = "x".repeat(80).parse().expect("a run");
        let second = first.next_attempt().expect("a second");
        assert_eq!(second.as_str(), format!("{first}.2"));
        assert_eq!((first.attempt(), second.attempt()), (1, 2));
        assert_eq!((first.execution(), second.execution()), (first.as_str(), first.as_str()));
        let all: Vec<_> = std::iter::successors(Some(first), RunId::next_attempt).collect();
        assert_eq!(all.len(), 9);
    }
}
