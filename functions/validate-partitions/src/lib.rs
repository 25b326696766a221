//! The three audits of a run: what is there to process, is what the job wrote fit to be published, and does Athena
//! answer with it.

use lake::{Error, Lake};
use serde::Serialize;
use serde_json::Value;

/// What an audit found. In JSON each is the object itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Audit {
}

/// Audits a stage of a run: `{"stage": "raw", "run", "input"}` (the input of the workflow) or `{"stage": "raw", "run", "from",
/// "to"}`; `{"stage": "staged", "run", "from", "to"}`; `{"stage": "published", "run", "from", "to", "table"}`.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; [`Error::Quality`] with the failed checks, their figures and the
/// key of the report.
pub async fn handle(lake: &Lake, event: Value) -> Result<Audit, Error> {
    let _ = (lake, event);
    Err(Error::InvalidInput(String::new()))
}
