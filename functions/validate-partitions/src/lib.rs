//! The audits of a run. Stage `raw` plans the run from its raw files, stage `staged` decides for each day of a slice whether
//! the output of the job may be published, stage `outcome` adds up the slices, and stage `published` verifies that Athena
//! returns the audited rows. Stage `landing` finds landed files that no execution has ingested. The stages `backfill`,
//! `backfill_chunk` and `backfill_outcome` divide a long range of days into runs, and add up what became of them.
//!
//! The audit counts the records from the raw bytes, and does not take them from the engine's report. It shares with the Rust
//! engine the code of `market` that decides the disposition of a line ([`market::record::Splitter`], its `disposition`, and the
//! helpers that trim, decode and shorten a line), the number readers, for the last record of an unterminated file only, and
//! the gzip decoder; cutting bytes into lines and counting are code of its own, and Spark shares none of it.
//!
//! | module | content |
//! |---|---|
//! | [`raw`] | stage `raw`: the days of a run and their raw files |
//! | [`staged`] | stage `staged`: collects the evidence, runs the checks and writes the reports |
//! | [`outcome`] | stage `outcome`: adds up the outcomes of the slices |
//! | [`checks`] | the checks as pure functions over the evidence, and the report of a table |
//! | [`raw_checks`] | the checks of raw files, and of the comparison with the published days |
//! | [`record_counter`] | reads a raw file, and counts its records by their disposition |
//! | [`raw_file_scan`] | the result of reading a raw file |
//! | [`last_record`] | whether the last record of a file without a final line end is complete |
//! | [`previous`] | the published rows of the days that a run replaces |
//! | [`files`] | the Parquet files that a run wrote: footers and checksums |
//! | [`staging`] | tables over the files of a run, in a database of their own |
//! | [`domain`] | checks of the rows, as SQL |
//! | [`day_stats`] | queries statistics of each day of a table |
//! | [`published`] | stage `published`: compares Athena with the reports |
//! | [`backfill`] | the stages of a backfill |
//! | [`landing`] | stage `landing`: landed files that wait to be ingested |

mod backfill;
mod checks;
mod day_stats;
mod domain;
mod files;
mod in_progress;
mod landing;
mod last_record;
mod outcome;
mod previous;
mod published;
mod raw;
mod raw_checks;
mod raw_file_scan;
mod record_counter;
mod staged;
mod staging;

use lake::lambda::parse_event;
use lake::metrics::Metric;
use lake::{Error, Lake};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of a stage. In JSON it is the object of the variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Audit {
    /// The result of stage `raw`.
    Raw(raw::PlanSummary),
    /// The result of stage `staged`.
    Staged(staged::Audited),
    /// The result of stage `outcome`.
    Outcome(outcome::Outcome),
    /// The result of stage `published`.
    Published(published::Confirmed),
    /// The result of stage `landing`.
    Landing(landing::Landing),
    /// The result of stage `backfill`.
    Backfill(lake::backfill::Backfill),
    /// The result of stage `backfill_chunk`.
    Chunk(lake::backfill::ChunkOutcome),
    /// The result of stage `backfill_outcome`.
    BackfillOutcome(lake::backfill::BackfillOutcome),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Raw,
    Staged,
    Outcome,
    Published,
    Landing,
    Backfill,
    BackfillChunk,
    BackfillOutcome,
}

#[derive(Debug, Deserialize)]
struct StagedEvent {
    run: RunId,
    /// Absent: the whole run.
    slice: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct OutcomeEvent {
    run: RunId,
}

#[derive(Debug, Deserialize)]
struct PublishedEvent {
    table: Option<TableName>,
    records: Option<u64>,
    #[serde(flatten)]
    range: DateRange,
}

const RAW: &str = r#"{"stage": "raw", "run": "...", "input": {}} with the input of the workflow, or "from" and "to""#;
const STAGED: &str = r#"{"stage": "staged", "run": "...", "slice": 0}"#;
const OUTCOME: &str = r#"{"stage": "outcome", "run": "..."}"#;
const PUBLISHED: &str = r#"{"stage": "published", "table": "quotes", "from": "2020-04-01", "to": "2020-04-09"}"#;
const LANDING: &str = r#"{"stage": "landing"}"#;
const BACKFILL: &str =
    r#"{"stage": "backfill", "backfill": "...", "input": {"from": "2010-01-04", "to": "2019-12-30"}}"#;
const CHUNK: &str = r#"{"stage": "backfill_chunk", "chunk": {}}"#;
const CHUNKS: &str = r#"{"stage": "backfill_outcome", "input": {}, "chunks": []}"#;

/// Runs the stage that the event names.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of no known form; [`Error::Quality`] with the failed checks, their figures and
/// the URI of the report; [`Error::RawFilesChanged`] if raw files changed while the job read them.
pub async fn handle(lake: &Lake, event: Value) -> Result<Audit, Error> {
    let stage = event.get("stage").cloned().unwrap_or_default();
    let known = [RAW, STAGED, OUTCOME, PUBLISHED, LANDING, BACKFILL, CHUNK, CHUNKS].join("; ");
    match parse_event(stage, &format!("one of {known}"))? {
        Stage::Raw => {
            let summary = raw::plan(lake, event).await?;
            // Of a run, whose days are over; the days of an upload may be going on.
            if summary.run.is_some() {
                lake.measure(&[(Metric::MissingSnapshots, summary.coverage.missing_count as f64)]);
            }
            Ok(Audit::Raw(summary))
        }
        Stage::Staged => {
            let StagedEvent { run, slice } = parse_event(event, STAGED)?;
            staged::audit(lake, &run, slice).await.map(Audit::Staged)
        }
        Stage::Outcome => {
            let OutcomeEvent { run } = parse_event(event, OUTCOME)?;
            outcome::of_run(lake, &run).await.map(Audit::Outcome)
        }
        Stage::Published => {
            let PublishedEvent { table, records, range } = parse_event(event, PUBLISHED)?;
            published::confirm(lake, table, range, records).await.map(Audit::Published)
        }
        Stage::Landing => landing::inspect(lake).await.map(Audit::Landing),
        Stage::Backfill => backfill::plan(lake, event).await.map(Audit::Backfill),
        Stage::BackfillChunk => backfill::chunk(lake, event).await.map(Audit::Chunk),
        Stage::BackfillOutcome => backfill::outcome(event).map(Audit::BackfillOutcome),
    }
}
