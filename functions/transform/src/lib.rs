//! Runs the engine on the raw files of one day of a run: raw objects to the Parquet objects of the three tables.
//!
//! The day's raw files are those of the run's plan, in exactly these versions. The objects have the bytes of `pregao etl`, so
//! that an invocation that is repeated, or that runs at the same time as another, writes the same objects. Nothing is written
//! to a disk, and memory does not depend on the size of the day.
//!
//! | module | content |
//! |---|---|
//! | `object_storage` | the engine's storage in S3 |
//! | `object_reader` | reads an object by ranged requests, ahead of the engine |
//! | `object_writer` | writes an object in parts |

mod object_reader;
mod object_storage;
mod object_writer;

use std::sync::Arc;
use std::time::Instant;

use chrono::NaiveDate;
use etl::EtlError;
use lake::lambda::parse_event;
use lake::metrics::Metric;
use lake::plan::Plan;
use lake::{Error, Lake};
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;
use tracing::info_span;

use object_storage::ObjectStorage;

#[derive(Debug, Deserialize)]
struct Event {
    run: RunId,
    day: NaiveDate,
}

/// The result of an invocation: what became of the records of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transformed {
    /// The run.
    pub run: RunId,
    /// The day.
    pub day: NaiveDate,
    /// The number of raw files.
    pub files: u64,
    /// The records in the raw files, by what became of them, and the size of the files as stored in bytes.
    #[serde(flatten)]
    pub counts: etl::Counts,
    /// Rows written, by table.
    pub rows: Rows,
}

/// The numbers of rows that were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Of `quotes`.
    pub quotes: u64,
    /// Of `options`.
    pub options: u64,
    /// Of `rejects`.
    pub rejects: u64,
}

/// Writes the files of a day of the run `{"run", "day"}` to the run's folders in the lake bucket.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form, or a day that the plan does not have; [`Error::RawFilesChanged`] if
/// a raw file is no longer in the version of the plan; [`Error::Quality`] if a raw file cannot be read as its name says;
/// whatever S3 refuses.
pub async fn handle(lake: &Lake, event: Value) -> Result<Transformed, Error> {
    let Event { run, day } = parse_event(event, r#"{"run": "...", "day": "2020-04-01"}"#)?;
    let plan = Plan::read(lake, &run).await?;
    let planned = plan.days.into_iter().find(|planned| planned.day == day);
    let planned = planned.ok_or_else(|| Error::invalid_input(format!("run {run} has no raw files of {day}")))?;
    let files = planned.raw_files.len() as u64;
    let storage = ObjectStorage::new(Arc::new(lake.clone()), Handle::current(), run.clone(), planned.raw_files);
    // The engine's threads wait for S3: they must not be threads of the runtime, which executes the requests.
    let (started, span) = (Instant::now(), info_span!("day", %day));
    let engine =
        tokio::task::spawn_blocking(move || span.in_scope(|| etl::run_in(&storage, &storage.inputs(), 0, &|_| ())));
    let report = engine.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let report = report.map_err(error)?;
    lake.measure(&[(Metric::TransformSeconds, started.elapsed().as_secs_f64())]);
    let mut rows = Rows::default();
    for partition in &report.partitions {
        *match partition.table {
            TableName::Quotes => &mut rows.quotes,
            TableName::Options => &mut rows.options,
            TableName::Rejects => &mut rows.rejects,
        } += partition.rows;
    }
    let transformed = Transformed { run, day, files, counts: report.totals, rows };
    tracing::info!(
        run = %transformed.run,
        %day,
        files,
        bytes = transformed.counts.bytes,
        records = transformed.counts.records,
        published = transformed.counts.published,
        rejected_cells = transformed.counts.rejected_cells,
        "transformed"
    );
    Ok(transformed)
}

/// Converts an error of the engine. Errors of S3 arrive as the sources of its errors of reading and writing.
fn error(error: EtlError) -> Error {
    let text = error.to_string();
    match error {
        EtlError::Read { source, .. } | EtlError::Write { source, .. } => match source.downcast::<Error>() {
            Ok(error) => error,
            Err(_) => Error::unavailable("running the engine", text),
        },
        EtlError::SameSnapshot { .. }
        | EtlError::Gzip { .. }
        | EtlError::Empty { .. }
        | EtlError::Header { .. }
        | EtlError::Parquet { .. }
        | EtlError::Busy { .. }
        | EtlError::Identity { .. } => Error::Quality(text),
    }
}
