//! Vacuum: removes the files of runs that no reader can reach.
//!
//! The files that a run wrote for a day are removed if neither the current record of the day names the run, nor a record that
//! was current within the retention, nor a partition of any table of any database, and if its execution is not running. These
//! are runs that were replaced, that failed, and that were never published.
//!
//! This order makes it safe while runs, rollbacks and updates of the catalog proceed, and if it is killed:
//!
//! 1. It lists the files of runs, then the running executions, then the catalog. A run that starts later is not in the list.
//! 2. For each day it reads the records, and adds the runs to `removed_runs` of the current one by compare-and-swap. From
//!    then on nobody publishes such a run. If the record was changed meanwhile, it reads the day again.
//! 3. It lists the catalog a second time. A query with `--as-of` creates its tables and then reads `removed_runs`
//!    (`AsOf::confirm` of `lake-client`): either the query sees that its files are being removed, or the vacuum
//!    sees its tables and keeps the files.
//! 4. Only then it deletes: first the files of days, last the plan and the audit of a run. Files that a killed vacuum left
//!    behind are in the listing of the next one.
//!
//! Files younger than [`FLOOR`] are kept, however short the retention: an update of the catalog may be about to point at
//! files that a record has named until now, and lists of executions are eventually consistent.
//!
//! | module | content |
//! |---|---|
//! | `found` | lists the files of runs |
//! | `referenced` | lists the folders that the catalog references |
//! | `uploads` | aborts stale multipart uploads |

mod found;
mod referenced;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use market::run::RunId;
use serde::Serialize;

use crate::error::Error;
use crate::record::{self, Cause, Record, Stored, Swap};
use crate::workflow::{self, Machine, Workflow};
use crate::{Lake, concurrency, objects, scratch};
use found::Found;
use referenced::Referenced;

/// Minimum age of removed files: longer than any invocation of a function, and than the lag of lists of executions.
pub const FLOOR: TimeDelta = TimeDelta::hours(1);

/// The retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long a run is kept after another one has replaced it.
    pub keep: TimeDelta,
    /// Minimum age: [`FLOOR`]. Tests without concurrency use zero.
    pub floor: TimeDelta,
}

impl Retention {
    /// Keeps runs that were published at any time in the last `days` days.
    pub fn days(days: u32) -> Self {
        Self { keep: TimeDelta::days(days.into()), floor: FLOOR }
    }
}

/// The parameters of a vacuum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The retention.
    pub retention: Retention,
    /// Whether to only report what would be removed.
    pub dry_run: bool,
    /// ARN of `create_datalake`, whose running executions keep their files. `None`: it is found by its name and that of the
    /// stack.
    pub state_machine: Option<String>,
}

/// What was removed, or would be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// The runs of which files were removed.
    pub runs: Vec<FreedRun>,
    /// Number of aborted multipart uploads, which were more than a day old.
    pub uploads: u64,
    /// Dropped temporary databases, which were more than a day old.
    pub databases: Vec<String>,
}

/// What was removed of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FreedRun {
    /// The run.
    pub run: RunId,
    /// The removed days.
    pub days: Vec<NaiveDate>,
    /// Number of objects.
    pub objects: u64,
    /// Total size of the objects in bytes.
    pub bytes: u64,
}

impl Freed {
    /// Returns the number of objects of all runs.
    pub fn objects(&self) -> u64 {
        self.runs.iter().map(|run| run.objects).sum()
    }

    /// Returns the total size of these objects in bytes.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// Returns the number of days of all runs.
    pub fn days(&self) -> u64 {
        self.runs.iter().map(|run| run.days.len() as u64).sum()
    }
}

/// The runs that have written files of each day, with the URIs of their folders.
type Folders = BTreeMap<NaiveDate, BTreeMap<RunId, BTreeSet<String>>>;

/// Number of days that are processed concurrently.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// Removes the files of unreachable runs, as [the module](self) describes. Idempotent.
///
/// # Errors
/// [`Error::Record`] if a record, or one of a history, is damaged or missing: then nothing of any day is removed. Whatever
/// S3, Glue and Step Functions refuse; a vacuum that failed can be repeated.
pub async fn vacuum(lake: &Lake, options: Options) -> Result<Freed, Error> {
    let now = Utc::now();
    let Options { retention, dry_run, .. } = options;
    let databases = scratch::drop_old(lake, now, dry_run).await?;
    let mut found = Found::list(lake).await?;
    found.leave_young(now - retention.floor);
    let running = running(lake, options.state_machine).await?;
    found.leave(|run| running.contains(run.execution()));
    let folders = found.by_day();
    let since = now - retention.keep.max(retention.floor);

    let shared = Arc::new(lake.clone());
    let unread = unread(lake, &folders).await?;
    let claimed = concurrency::map(unread, AT_ONCE, |(day, runs)| {
        let lake = shared.clone();
        async move { Ok((day, claim(&lake, day, runs, since, dry_run).await?)) }
    });
    let mut removed: BTreeMap<NaiveDate, BTreeSet<RunId>> = claimed.await?.into_iter().collect();
    let still_unread = self::unread(lake, &folders).await?;
    for (day, runs) in &mut removed {
        runs.retain(|run| still_unread.get(day).is_some_and(|unread| unread.contains(run)));
    }
    let (keys, runs) = found.removable(&removed);
    if !dry_run {
        objects::delete_all(lake, &lake.config.buckets.lake, keys).await?;
        let years: BTreeSet<i32> =
            removed.iter().filter(|(_, runs)| !runs.is_empty()).map(|(day, _)| day.year()).collect();
        for year in years {
            record::yearly::refresh(lake, year).await?;
        }
    }
    let uploads = uploads::abort(lake, now, dry_run).await?;
    Ok(Freed { runs, uploads, databases })
}

/// Returns the runs of each day whose folders the catalog does not reference.
async fn unread(lake: &Lake, folders: &Folders) -> Result<BTreeMap<NaiveDate, BTreeSet<RunId>>, Error> {
    let referenced = Referenced::list(lake).await?;
    let is_unread = |folders: &BTreeSet<String>| !folders.iter().any(|folder| referenced.reads(folder));
    let of_day = |runs: &BTreeMap<RunId, BTreeSet<String>>| {
        runs.iter().filter(|(_, folders)| is_unread(folders)).map(|(run, _)| run.clone()).collect()
    };
    Ok(folders.iter().map(|(day, runs)| (*day, of_day(runs))).collect())
}

/// Returns the names of the running executions of `create_datalake`.
async fn running(lake: &Lake, state_machine: Option<String>) -> Result<BTreeSet<String>, Error> {
    let machine = match state_machine {
        Some(arn) => Machine { workflow: Workflow::CreateDatalake, arn },
        None => workflow::machine(lake, Workflow::CreateDatalake).await?,
    };
    let executions = workflow::executions(lake, &machine, Some("RUNNING"), usize::MAX).await?;
    Ok(executions.into_iter().map(|execution| execution.name).collect())
}

/// Marks those of `runs` as removed in the record of `day` whose files are removable. Returns these runs.
async fn claim(
    lake: &Lake,
    day: NaiveDate,
    runs: BTreeSet<RunId>,
    since: DateTime<Utc>,
    dry_run: bool,
) -> Result<BTreeSet<RunId>, Error> {
    if runs.is_empty() {
        return Ok(runs);
    }
    loop {
        let current = record::read(lake, day).await?;
        let kept = match &current {
            Some(current) => kept(lake, current, since).await?,
            None => BTreeSet::new(),
        };
        let free: BTreeSet<RunId> = runs.difference(&kept).cloned().collect();
        let known = current.as_ref().map(|current| &current.record.removed_runs);
        if dry_run || free.iter().all(|run| known.is_some_and(|known| known.contains(run))) {
            return Ok(free);
        }
        let mut next = match &current {
            // Only `removed_runs` changes: neither the publication nor the record's number.
            Some(current) => current.record.clone(),
            None => Record::following(None, day, Cause::Vacuumed, "vacuum"),
        };
        next.removed_runs.extend(free.iter().cloned());
        match record::compare_and_swap(lake, current.as_ref(), &next).await? {
            Swap::Written(_) => return Ok(free),
            Swap::Lost => {}
        }
    }
}

/// Returns the runs that were published at any time since `since`, including the current one.
async fn kept(lake: &Lake, current: &Stored, since: DateTime<Utc>) -> Result<BTreeSet<RunId>, Error> {
    let day = current.record.day;
    let mut kept: BTreeSet<RunId> = current.record.run().cloned().into_iter().collect();
    // Each record was current until the next one was written.
    let (mut number, mut until) = (current.record.number, current.record.written_at);
    while number > 1 && until >= since {
        let before = record::store::read_number(lake, day, number - 1).await?;
        kept.extend(before.run().cloned());
        (number, until) = (before.number, before.written_at);
    }
    Ok(kept)
}
