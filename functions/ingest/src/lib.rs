//! Takes landed files into the lake's raw store, or puts them aside with the reason.

use chrono::NaiveDate;
use lake::excerpt::Excerpt;
use lake::{Error, Lake};
use serde::Serialize;
use serde_json::Value;

/// What was done with the landed files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The first day concerned; none when all that was looked at is no snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NaiveDate>,
    /// The last day concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
    /// Landed files that were looked at: `accepted + repeated + quarantined.count`.
    pub files: u64,
    /// Their bytes, as they lay there.
    pub bytes: u64,
    /// Files that are now in their place.
    pub accepted: u64,
    /// Files that were in their place already, with the same bytes.
    pub repeated: u64,
    /// Raw files that an accepted one replaced. They are in quarantine.
    pub superseded: u64,
    /// Files that are no snapshots.
    pub quarantined: Excerpt<Quarantined>,
}

/// A landed file that was put aside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quarantined {
    /// Its name.
    pub name: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// Looks at each landed file that the event asks for ([`lake::request::resolve`]): for days, all snapshots of those days
/// at any depth under `landing/` and all files that are no snapshots by their names; for an object, that one.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of no known form; whatever S3 refuses. What was not moved by then still lies
/// in `landing/`, so that the same event may be sent again.
pub async fn handle(lake: &Lake, event: Value) -> Result<Report, Error> {
    let _ = (lake, event);
    Err(Error::InvalidInput(String::new()))
}
