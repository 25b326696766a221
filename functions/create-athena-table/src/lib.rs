//! Publishes the output of a run, so that readers see it.
//!
//! First it writes the publication record of each day, by compare-and-swap. Then it updates the catalog, which is derived from
//! the records and can be rebuilt at any time. It publishes only folders that passed the audit and contain exactly the files
//! of its manifest.
//!
//! | module | content |
//! |---|---|
//! | [`record`] | publishes the days of a run by writing records |
//! | [`catalog`] | points partitions at the locations in the records |
//! | [`derived`] | lists of published files and days, for readers without a catalog |

pub mod catalog;
mod derived;
pub mod record;

use chrono::Utc;
use lake::lambda::parse_event;
use lake::workflow_input;
use lake::{Error, Lake};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// The records of a run's days were written.
    Recorded(record::Recorded),
    /// The catalog was updated from the records.
    Updated(catalog::Updated),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "record")]
    _record: bool,
    run: RunId,
    /// Absent: the whole run.
    slice: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    /// The execution that started this one, for the console.
    #[serde(rename = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID")]
    _started_by: Option<serde::de::IgnoredAny>,
    table: Option<TableName>,
    from: chrono::NaiveDate,
    to: chrono::NaiveDate,
}

const RECORD: &str = r#"{"record": true, "run": "...", "slice": 0}"#;
const UPDATE: &str = r#"{"table": "quotes", "from": "2020-04-01", "to": "2020-04-09"}"#;

/// `{"record": true, "run", "slice"}` writes the records of the days that a slice of a run publishes. `{"table", "from", "to"}` updates one table
/// of the catalog from the records of these days. `{}`, `{"date"}` or `{"from", "to"}` ([`workflow_input::resolve`]) updates
/// all tables, which is how a person starts it by hand.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; the errors of [`record::publish`] and [`catalog::update`].
pub async fn handle(lake: &Lake, event: Value) -> Result<Done, Error> {
    if event.get("record").is_some() {
        let Record { run, slice, .. } = parse_event(event, RECORD)?;
        return record::publish(lake, &run, slice).await.map(Done::Recorded);
    }
    if event.get("run").is_some() {
        return Err(Error::invalid_input(format!(
            "a run is published by its record and not by its name. To publish an earlier run of a day once more: pregao \
             rollback DAY --to RUN. To bring the catalog to what is published: {UPDATE}"
        )));
    }
    let (table, range) = if event.get("table").is_some() {
        let Update { table, from, to, .. } = parse_event(event, UPDATE)?;
        (table, DateRange::new(from, to).map_err(|error| Error::malformed(error.to_string(), error))?)
    } else {
        (None, workflow_input::resolve(&event, Utc::now())?.range()?)
    };
    catalog::update(lake, table, range).await.map(Done::Updated)
}
