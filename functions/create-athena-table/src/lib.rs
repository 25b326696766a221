//! Points a table's partitions at what a run wrote.

use chrono::NaiveDate;
use lake::{Error, Lake};
use market::run::RunId;
use market::table::TableName;
use serde::Serialize;
use serde_json::Value;

/// What is published now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The table.
    pub table: TableName,
    /// The run whose files its partitions hold.
    pub run: RunId,
    /// The first day of the run.
    pub from: NaiveDate,
    /// The last day of the run.
    pub to: NaiveDate,
    /// The partitions that hold them.
    pub partitions: u64,
    /// The rows in them.
    pub rows: u64,
}

/// Publishes what a run wrote: `{"table", "run", "from", "to"}`.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; [`Error::Quality`] for a run whose audit is missing or failed;
/// [`Error::Athena`] when a statement fails.
pub async fn handle(lake: &Lake, event: Value) -> Result<Published, Error> {
    let _ = (lake, event);
    Err(Error::InvalidInput(String::new()))
}
