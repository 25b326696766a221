//! Vacuum: removes the files of runs that no reader can come to any more.
//!
//! A run of a day is removed when the current record of the day does not name it, nor any record that was current within the
//! retention, nor a partition of any table of any database, and when its execution is not running. That covers runs that
//! were replaced, that failed, and that never came to be published.
//!
//! The order keeps it safe beside runs, rollbacks and updates of the catalog, and when it is killed:
//!
//! 1. It lists what runs have written, then the running executions, then the catalog. A run that begins later is not listed.
//! 2. Of each day it reads the records and adds the runs to `removed_runs` of the current one, by compare-and-swap. Nobody
//!    publishes such a run from then on. When another one writes the record meanwhile, it looks at the day once more.
//! 3. It lists the catalog a second time. A query about the past makes its tables and then looks at `removed_runs`
//!    ([`AsOf::confirm`](crate::as_of::AsOf::confirm)): either it sees that its files go, or they are seen here and stay.
//! 4. Only then does it delete: the files of the days first, the plan and the audit of a run last. What a vacuum that was
//!    killed left behind, the next one finds in the listing and removes.
//!
//! What is younger than [`FLOOR`] stays, however short the retention: an update of the catalog may be about to point at what
//! a record has named until now, and lists of executions lag behind.
//!
//! | module | what it knows |
//! |---|---|
//! | `found` | what runs have written |
//! | `referenced` | what the catalog names |
//! | `uploads` | uploads in parts that nobody completed |

mod found;
mod referenced;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use market::run::RunId;
use serde::Serialize;

use crate::error::Error;
use crate::record::{self, Cause, Record, Stored, Swap};
use crate::workflow::{self, Machine, Workflow};
use crate::{Lake, concurrency, objects, scratch};
use found::Found;
use referenced::Referenced;

/// How long what was written or replaced stays in any case: longer than any invocation of a function lives, and than lists
/// of executions lag behind.
pub const FLOOR: TimeDelta = TimeDelta::hours(1);

/// What is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long a run stays after another one has replaced it.
    pub keep: TimeDelta,
    /// [`FLOOR`]; tests use zero, where nothing else works on the lake.
    pub floor: TimeDelta,
}

impl Retention {
    /// Keeps what was published in the last `days`.
    pub fn days(days: u32) -> Self {
        Self { keep: TimeDelta::days(days.into()), floor: FLOOR }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is to be kept.
    pub retention: Retention,
    /// Only to say what would be removed.
    pub dry_run: bool,
    /// The ARN of `create_datalake`, whose running executions keep their files. Without it, it is found by its name and
    /// that of the stack.
    pub state_machine: Option<String>,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// Each run of which anything was removed.
    pub runs: Vec<FreedRun>,
    /// Uploads in parts that nobody completed within a day.
    pub uploads: u64,
    /// Databases of queries about the past that are older than a day.
    pub databases: Vec<String>,
}

/// What was removed of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FreedRun {
    /// The run.
    pub run: RunId,
    /// Its days that were removed.
    pub days: Vec<NaiveDate>,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Freed {
    /// Objects of all runs.
    pub fn objects(&self) -> u64 {
        self.runs.iter().map(|run| run.objects).sum()
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }

    /// Days of all runs.
    pub fn days(&self) -> u64 {
        self.runs.iter().map(|run| run.days.len() as u64).sum()
    }
}

/// Of each day, the runs that have written anything of it, with the URIs of the folders.
type Folders = BTreeMap<NaiveDate, BTreeMap<RunId, BTreeSet<String>>>;

/// Days are worked on this many at once.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// Removes what [the module](self) says. Idempotent.
///
/// # Errors
/// [`Error::Record`] when a record or one of the history is damaged or missing: of such a day nothing is known, and nothing of
/// any day is removed. Whatever S3, Glue and Step Functions refuse; what is removed by then is in no record's way.
pub async fn vacuum(lake: &Lake, asked: Asked) -> Result<Freed, Error> {
    let now = Utc::now();
    let Asked { retention, dry_run, .. } = asked;
    let databases = scratch::drop_old(lake, now, dry_run).await?;
    let mut found = Found::list(lake).await?;
    found.leave_young(now - retention.floor);
    let running = running(lake, asked.state_machine).await?;
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
    }
    let uploads = uploads::abort(lake, now, dry_run).await?;
    Ok(Freed { runs, uploads, databases })
}

/// Of each day, the runs whose folders nothing in the catalog reads.
async fn unread(lake: &Lake, folders: &Folders) -> Result<BTreeMap<NaiveDate, BTreeSet<RunId>>, Error> {
    let referenced = Referenced::list(lake).await?;
    let is_unread = |folders: &BTreeSet<String>| !folders.iter().any(|folder| referenced.reads(folder));
    let of_day = |runs: &BTreeMap<RunId, BTreeSet<String>>| {
        runs.iter().filter(|(_, folders)| is_unread(folders)).map(|(run, _)| run.clone()).collect()
    };
    Ok(folders.iter().map(|(day, runs)| (*day, of_day(runs))).collect())
}

/// The names of the running executions of `create_datalake`.
async fn running(lake: &Lake, state_machine: Option<String>) -> Result<BTreeSet<String>, Error> {
    let machine = match state_machine {
        Some(arn) => Machine { workflow: Workflow::CreateDatalake, arn },
        None => workflow::machine(lake, Workflow::CreateDatalake).await?,
    };
    let executions = workflow::executions(lake, &machine, Some("RUNNING"), usize::MAX).await?;
    Ok(executions.into_iter().map(|execution| execution.name).collect())
}

/// Those of `runs` whose files of this day are removable, and that the day's record says are removed.
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
            // An edit of this list alone: what is published does not change, and neither does the number.
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

/// The runs that the current record names, and those that were current at any time since `since`.
async fn kept(lake: &Lake, current: &Stored, since: DateTime<Utc>) -> Result<BTreeSet<RunId>, Error> {
    let day = current.record.day;
    let mut kept: BTreeSet<RunId> = current.record.run().cloned().into_iter().collect();
    // Each record was current until the one behind it was written.
    let (mut number, mut until) = (current.record.number, current.record.written_at);
    while number > 1 && until >= since {
        let before = record::store::read_number(lake, day, number - 1).await?;
        kept.extend(before.run().cloned());
        (number, until) = (before.number, before.written_at);
    }
    Ok(kept)
}
