//! Starts the Spark job of a run on EMR.

use lake::{Error, Lake};
use serde::Serialize;
use serde_json::Value;

/// The step that runs the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Launched {
    /// The cluster.
    pub cluster_id: String,
    /// The step on it.
    pub step_id: String,
    /// Seconds to wait between two looks at it.
    pub poll_seconds: u32,
}

/// Starts the job of `{"run", "from", "to"}`, or finds it started.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; whatever EMR or S3 refuse.
pub async fn handle(lake: &Lake, event: Value) -> Result<Launched, Error> {
    let _ = (lake, event);
    Err(Error::InvalidInput(String::new()))
}
