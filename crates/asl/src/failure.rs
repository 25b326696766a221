//! Errors as the States Language knows them: a name that `Retry` and `Catch` match, and a cause for people.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why a task, a state or a whole execution failed.
///
/// Both parts may be absent, as on AWS: a Fail state need not name an error, and StopExecution need not say why.
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
    /// What happened, for a person to read. For a Lambda function that raised an error: its error object as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The most characters that a cause has, as in AWS's API. A failure of a nested execution has the causes of all below in
/// its own, with twice as many backslashes at each level.
const LONGEST_CAUSE: usize = 32_768;

impl Failure {
    /// A failure with a name and a cause, of which the first 32,768 characters are kept.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        let mut cause = cause.into();
        if let Some((end, _)) = cause.char_indices().nth(LONGEST_CAUSE) {
            cause.truncate(end);
        }
        Self { error: Some(error.into()), cause: Some(cause) }
    }

    /// The failure of a task that ran out of time. As on AWS it has no cause.
    pub(crate) fn timeout() -> Self {
        Self { error: Some(name::TIMEOUT.to_owned()), cause: None }
    }

    /// A payload over 256 KiB; `what` is the state, or the service or function that returned it.
    pub(crate) fn data_limit(what: &str) -> Self {
        Self::new(
            name::DATA_LIMIT_EXCEEDED,
            format!(
                "The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
            ),
        )
    }

    /// Whether its name is `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.error.as_deref() == Some(name)
    }

    /// The *error output*: what a Catch clause hands to its next state. AWS writes an absent part as an empty string.
    pub(crate) fn output(&self) -> Value {
        json!({
            "Error": self.error.as_deref().unwrap_or_default(),
            "Cause": self.cause.as_deref().unwrap_or_default(),
        })
    }
}

/// The error names that the States Language reserves and this interpreter has to know.
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

/// Why a state did not end well: something that the definition may handle, or the end of the execution.
#[derive(Debug)]
pub(crate) enum Fault {
    /// `Retry` and `Catch` are asked, in this state and in those around it.
    Failed(Failure),
    /// The execution fails at once, whatever the definition says.
    Fatal(Failure),
}

impl Fault {
    /// A `States.Runtime` error that belongs to no state in particular.
    pub(crate) fn runtime(cause: impl Into<String>) -> Self {
        Self::Fatal(Failure::new(name::RUNTIME, cause))
    }
}
