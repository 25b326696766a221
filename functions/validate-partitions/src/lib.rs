//! The three audits of a run: what is there to process, is what the job wrote fit to be published, and does Athena
//! answer with it. And what no run would notice: files that nobody takes in.
//!
//! | module | what it knows |
//! |---|---|
//! | [`raw`] | stage `raw`: the days of a run and their raw files |
//! | [`staged`] | stage `staged`: the checks, in order, and the reports |
//! | [`evidence`] | what was found out, and the reports that follow |
//! | [`raw_checks`] | the checks of raw files, and of what was published before |
//! | [`recount`] | what becomes of the records of a raw file, read here |
//! | [`shape`] | what the form of a raw file says of it |
//! | [`last_record`] | whether the last record of a file is whole |
//! | [`before`] | what is published of the days of a run |
//! | [`files`] | the Parquet files that a run wrote, by their footers and checksums |
//! | [`staging`] | tables over a run's files that no reader sees |
//! | [`domain`] | what rows have to satisfy, as SQL |
//! | [`figures`] | what a query says of each day |
//! | [`published`] | stage `published`: Athena against the report |
//! | [`landing`] | stage `landing`: what has landed and is not taken in |

mod before;
mod domain;
mod evidence;
mod figures;
mod files;
mod landing;
mod last_record;
mod published;
mod raw;
mod raw_checks;
mod recount;
mod shape;
mod staged;
mod staging;

use lake::lambda::parse_event;
use lake::{Error, Lake};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an audit found. In JSON each is the object itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Audit {
    /// Of stage `raw`.
    Raw(raw::Plan),
    /// Of stage `staged`.
    Staged(staged::Passed),
    /// Of stage `published`.
    Published(published::Confirmed),
    /// Of stage `landing`.
    Landing(landing::Landing),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Raw,
    Staged,
    Published,
    Landing,
}

#[derive(Debug, Deserialize)]
struct Staged {
    run: RunId,
}

#[derive(Debug, Deserialize)]
struct Published {
    table: Option<TableName>,
    records: Option<u64>,
    #[serde(flatten)]
    range: DateRange,
}

const RAW: &str = r#"{"stage": "raw", "run": "...", "input": {}} with the input of the workflow, or "from" and "to""#;
const STAGED: &str = r#"{"stage": "staged", "run": "..."}"#;
const PUBLISHED: &str = r#"{"stage": "published", "table": "quotes", "from": "2020-04-01", "to": "2020-04-09"}"#;
const LANDING: &str = r#"{"stage": "landing"}"#;

/// Audits a stage of a run, or looks at what has landed.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of no known form; [`Error::Quality`] with the failed checks, their figures and
/// the place of the report; [`Error::RawFilesChanged`] when raw files changed while the job read them.
pub async fn handle(lake: &Lake, event: Value) -> Result<Audit, Error> {
    let stage = event.get("stage").cloned().unwrap_or_default();
    match parse_event(stage, &format!("one of {RAW}; {STAGED}; {PUBLISHED}; {LANDING}"))? {
        Stage::Raw => raw::plan(lake, event).await.map(Audit::Raw),
        Stage::Staged => {
            let Staged { run } = parse_event(event, STAGED)?;
            staged::audit(lake, &run).await.map(Audit::Staged)
        }
        Stage::Published => {
            let Published { table, records, range } = parse_event(event, PUBLISHED)?;
            published::confirm(lake, table, range, records).await.map(Audit::Published)
        }
        Stage::Landing => landing::look(lake).await.map(Audit::Landing),
    }
}
