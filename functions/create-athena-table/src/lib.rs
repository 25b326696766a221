//! Publishes what a run wrote: the moment in which readers see it.
//!
//! First the publication record of each day, by compare-and-swap; then the catalog, which is derived from the records and
//! can be derived again at any time. Only folders are published that the audit has passed, and that hold exactly the files
//! of its manifest.
//!
//! | module | what it knows |
//! |---|---|
//! | [`record`] | which days of a run become the published ones |
//! | [`catalog`] | partitions that point at what the records say |
//! | [`derived`] | the lists of published files and days, for readers without a catalog |

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

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// The records of a run's days were written.
    Recorded(record::Recorded),
    /// The catalog is as the records say.
    Updated(catalog::Updated),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "record")]
    _record: bool,
    run: RunId,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    table: Option<TableName>,
    from: chrono::NaiveDate,
    to: chrono::NaiveDate,
}

const RECORD: &str = r#"{"record": true, "run": "..."}"#;
const UPDATE: &str = r#"{"table": "quotes", "from": "2020-04-01", "to": "2020-04-09"}"#;

/// Writes the records of what a run is to publish: `{"record": true, "run"}`. Or brings one table of the catalog
/// to what the records of these days say: `{"table", "from", "to"}`; all tables with `{}`, `{"date"}` or `{"from", "to"}`
/// ([`workflow_input::resolve`]), which is how a person starts it by hand.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form. As [`record::publish`] and [`catalog::update`].
pub async fn handle(lake: &Lake, event: Value) -> Result<Done, Error> {
    if event.get("record").is_some() {
        let Record { run, .. } = parse_event(event, RECORD)?;
        return record::publish(lake, &run).await.map(Done::Recorded);
    }
    if event.get("run").is_some() {
        return Err(Error::InvalidInput(format!(
            "a run is published by its record and not by its name. To publish an earlier run of a day once more: pregao \
             rollback DAY --to RUN. To bring the catalog to what is published: {UPDATE}"
        )));
    }
    let (table, range) = if event.get("table").is_some() {
        let Update { table, from, to } = parse_event(event, UPDATE)?;
        (table, DateRange::new(from, to).map_err(|error| Error::InvalidInput(error.to_string()))?)
    } else {
        (None, workflow_input::resolve(&event, Utc::now())?.range()?)
    };
    catalog::update(lake, table, range).await.map(Done::Updated)
}
