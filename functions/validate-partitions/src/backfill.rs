//! The stages of a backfill: divides a long range of days into chunks, determines what became of a chunk, and adds up all chunks.

use lake::backfill::{self, Backfill, BackfillOutcome, Caught, Chunk, ChunkOutcome};
use lake::lambda::parse_event;
use lake::{Error, Lake, invocation, migration, workflow_input};
use market::run::RunId;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct PlanEvent {
    /// The execution.
    backfill: RunId,
    /// Its input.
    input: Value,
}

#[derive(Debug, Deserialize)]
struct ChunkEvent {
    chunk: EndedChunk,
}

/// A chunk whose execution has ended.
#[derive(Debug, Deserialize)]
struct EndedChunk {
    #[serde(flatten)]
    chunk: Chunk,
    /// Absent if it succeeded.
    failure: Option<Caught>,
}

#[derive(Debug, Deserialize)]
struct OutcomeEvent {
    /// The input of the execution.
    input: Value,
    chunks: Vec<ChunkOutcome>,
}

/// Stage `backfill`: resolves the input of the workflow to chunks. Changes nothing, so that a repeated call is harmless.
///
/// # Errors
/// [`Error::InvalidInput`] for an input of another form, and as [`backfill::plan`].
pub(crate) async fn plan(lake: &Lake, event: Value) -> Result<Backfill, Error> {
    let PlanEvent { backfill, input } = parse_event(event, crate::BACKFILL)?;
    let request = workflow_input::resolve_backfill(&input)?;
    invocation::record_days(request.range);
    migration::ensure(lake).await?;
    backfill::plan(lake, &backfill, &request).await
}

/// Stage `backfill_chunk`: what became of a chunk.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form, and as [`backfill::outcome_of`].
pub(crate) async fn chunk(lake: &Lake, event: Value) -> Result<ChunkOutcome, Error> {
    let ChunkEvent { chunk: EndedChunk { chunk, failure } } = parse_event(event, crate::CHUNK)?;
    invocation::record_run(&chunk.run);
    invocation::record_days(chunk.range);
    let outcome = backfill::outcome_of(lake, &chunk, failure.as_ref()).await?;
    if let Some(failure) = &outcome.failure {
        tracing::warn!(chunk = chunk.number, error = failure.error, cause = failure.cause, "the chunk failed");
    }
    Ok(outcome)
}

/// Stage `backfill_outcome`: adds up the outcomes of all chunks.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form.
pub(crate) fn outcome(event: Value) -> Result<BackfillOutcome, Error> {
    let OutcomeEvent { input, chunks } = parse_event(event, crate::CHUNKS)?;
    let request = workflow_input::resolve_backfill(&input)?;
    Ok(backfill::sum_up(&request, chunks))
}
