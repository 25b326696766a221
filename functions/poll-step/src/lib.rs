//! One look at a step.

use lake::{Error, Lake};
use serde::Serialize;
use serde_json::Value;

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Look {
    /// EMR's word: `PENDING`, `RUNNING`, `COMPLETED`, `CANCEL_PENDING`, `CANCELLED`, `FAILED` or `INTERRUPTED`. Of a step
    /// that waits on a cluster that has ended, `FAILED`.
    pub state: String,
    /// Why it ended without completing, and where its log is; else empty.
    pub reason: String,
    /// Where its log is, or will be.
    pub log: String,
}

/// Looks at the step `{"cluster_id", "step_id"}`.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; EMR's own error for a cluster or step that it does not know.
pub async fn handle(lake: &Lake, event: Value) -> Result<Look, Error> {
    let _ = (lake, event);
    Err(Error::InvalidInput(String::new()))
}
