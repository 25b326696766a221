//! Removes the files of runs that no reader can reach, every week.
//!
//! A separate function, because its role is the only one that may delete files of runs.

use lake::lambda::parse_event;
use lake::truncated_list::TruncatedList;
use lake::vacuum::{self, Options, Retention};
use lake::{Error, Lake};
use market::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was removed, or would be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// Whether it was a dry run, which removes nothing.
    pub dry_run: bool,
    /// Days for which a run is kept after another one has replaced it; 0 if vacuuming is disabled.
    pub keep_days: u32,
    /// The runs of which files were removed.
    pub runs: TruncatedList<RunId>,
    /// Number of removed days, summed over the runs.
    pub days: u64,
    /// Number of removed objects.
    pub objects: u64,
    /// Total size of the removed objects in bytes.
    pub bytes: u64,
    /// Number of aborted multipart uploads, which were more than a day old.
    pub uploads: u64,
    /// Dropped temporary databases, which were more than a day old.
    pub databases: TruncatedList<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Event {
    dry_run: bool,
    /// The ARN of `create_datalake`.
    state_machine: Option<String>,
}

/// Removes runs that were not published in the last `vacuum.keep_days` days. The event is `{"state_machine"}` with the ARN of
/// `create_datalake`, and `"dry_run": true` to remove nothing. With 0 days it does nothing. After a failure, the next
/// invocation continues.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; the errors of [`vacuum::vacuum`].
pub async fn handle(lake: &Lake, event: Value) -> Result<Freed, Error> {
    let form = r#"{"state_machine": "arn:...", "dry_run": true}, of which each may be left out"#;
    let Event { dry_run, state_machine } = parse_event(event, form)?;
    let keep_days = lake.config.vacuum.keep_days;
    if keep_days == 0 {
        tracing::info!("vacuum.keep_days is 0: nothing is removed");
        return Ok(Freed { dry_run, ..Freed::default() });
    }
    let options = Options { retention: Retention::days(keep_days), dry_run, state_machine };
    let freed = vacuum::vacuum(lake, options).await?;
    for run in &freed.runs {
        tracing::info!(run = %run.run, days = run.days.len(), objects = run.objects, bytes = run.bytes, dry_run, "freed");
    }
    Ok(Freed {
        dry_run,
        keep_days,
        days: freed.days(),
        objects: freed.objects(),
        bytes: freed.bytes(),
        uploads: freed.uploads,
        runs: freed.runs.into_iter().map(|run| run.run).collect(),
        databases: freed.databases.into_iter().collect(),
    })
}
