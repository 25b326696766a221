//! Removes the files of runs that no reader can come to any more, every week.
//!
//! A function of its own: nothing else that the stack does may delete what a run has written.

use lake::lambda::parse_event;
use lake::truncated_list::TruncatedList;
use lake::vacuum::{self, Asked, Retention};
use lake::{Error, Lake};
use market::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// Whether nothing was removed, because only that was asked for.
    pub dry_run: bool,
    /// How many days a run stays after another one has replaced it; 0 when vacuuming is switched off.
    pub keep_days: u32,
    /// The runs of which anything was removed.
    pub runs: TruncatedList<RunId>,
    /// The days of all of them, each day of each run counted.
    pub days: u64,
    /// Their objects.
    pub objects: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// Uploads in parts that nobody completed within a day.
    pub uploads: u64,
    /// Databases of queries about the past that are older than a day.
    pub databases: TruncatedList<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Event {
    dry_run: bool,
    /// The ARN of `create_datalake`.
    state_machine: Option<String>,
}

/// Keeps what was published in the last `vacuum.keep_days` days, and removes the rest: `{"state_machine"}` with the ARN of
/// `create_datalake`, and `"dry_run": true` to only look. With 0 days it does nothing. Invoked again after a failure it
/// goes on.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form. As [`vacuum::vacuum`].
pub async fn handle(lake: &Lake, event: Value) -> Result<Freed, Error> {
    let form = r#"{"state_machine": "arn:...", "dry_run": true}, of which each may be left out"#;
    let Event { dry_run, state_machine } = parse_event(event, form)?;
    let keep_days = lake.config.vacuum.keep_days;
    if keep_days == 0 {
        tracing::info!("vacuum.keep_days is 0: nothing is removed");
        return Ok(Freed { dry_run, ..Freed::default() });
    }
    let asked = Asked { retention: Retention::days(keep_days), dry_run, state_machine };
    let freed = vacuum::vacuum(lake, asked).await?;
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
