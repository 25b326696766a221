//! The reason for the state of a cluster or a step.

use serde::{Deserialize, Serialize};

/// EMR's `StateChangeReason`: a code as `ALL_STEPS_COMPLETED`, and a text as `Steps completed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StateChangeReason {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

impl StateChangeReason {
    pub(super) fn new(code: &str, message: &str) -> StateChangeReason {
        StateChangeReason { code: Some(code.to_owned()), message: Some(message.to_owned()) }
    }

    /// A reason without a code, of which EMR has none for what is no end.
    pub(super) fn of_progress(message: &str) -> StateChangeReason {
        StateChangeReason { code: None, message: Some(message.to_owned()) }
    }

    /// Removes the empty code that homes of before have.
    pub(super) fn without_empty_code(mut self) -> StateChangeReason {
        self.code = self.code.filter(|code| !code.is_empty());
        self
    }
}
