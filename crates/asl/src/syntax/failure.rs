//! Failures of states: an error name, which `Retry` and `Catch` match, and a cause.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The failure of a task, a state or an execution.
///
/// Error and cause are optional on AWS, both in a Fail state and in `StopExecution`.
///
/// ```
/// let failure = asl::Failure::new("QualityError", "2020-04-01: 12% of bids are above the ask");
/// assert_eq!(failure.error.as_deref(), Some("QualityError"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The name that `ErrorEquals` is compared with, such as `States.Timeout` or `QualityError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A description for people. For a Lambda function that raised an error: its error object as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The maximum length of a cause in AWS's API, in characters. The cause of a nested execution contains those of all
/// executions below it, and the number of its backslashes doubles at each level.
const MAX_CAUSE: usize = 32_768;

impl Failure {
    /// Creates a failure with an error name and a cause, which is truncated to 32,768 characters.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        let mut cause = cause.into();
        if let Some((end, _)) = cause.char_indices().nth(MAX_CAUSE) {
            cause.truncate(end);
        }
        Self { error: Some(error.into()), cause: Some(cause) }
    }

    /// Returns the failure of a task that timed out. As on AWS it has no cause.
    pub(crate) fn timeout() -> Self {
        Self { error: Some(name::TIMEOUT.to_owned()), cause: None }
    }

    /// Returns the failure for a payload over 256 KiB. `source` is the state, service or function that returned it.
    pub(crate) fn data_limit(source: &str) -> Self {
        Self::new(
            name::DATA_LIMIT_EXCEEDED,
            format!(
                "The state/task '{source}' returned a result with a size exceeding the maximum number of bytes service limit."
            ),
        )
    }

    /// Returns whether `name` is the error name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.error.as_deref() == Some(name)
    }

    /// Returns the *error output*, which a Catch clause passes to its next state. AWS writes an absent part as an empty string.
    pub(crate) fn error_output(&self) -> Value {
        json!({
            "Error": self.error.as_deref().unwrap_or_default(),
            "Cause": self.cause.as_deref().unwrap_or_default(),
        })
    }
}

/// Error names that the States Language reserves and that the interpreter handles.
pub(crate) mod name {
    pub(crate) const ALL: &str = "States.ALL";
    pub(crate) const BRANCH_FAILED: &str = "States.BranchFailed";
    pub(crate) const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
    pub(crate) const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";
    pub(crate) const RESULT_PATH_MATCH_FAILURE: &str = "States.ResultPathMatchFailure";
    pub(crate) const RUNTIME: &str = "States.Runtime";
    pub(crate) const TASK_FAILED: &str = "States.TaskFailed";
    pub(crate) const TIMEOUT: &str = "States.Timeout";
}
