//! Moves one landed file to its place.
//!
//! A snapshot has one file, plain or compressed. A newer file replaces an older one, which is moved to quarantine; a file with
//! the same bytes changes nothing. At every moment each file is in `landing/`, in its place or in quarantine, so that an
//! attempt that ends anywhere can be repeated.
//!
//! At no moment does a snapshot have no file in its place: the new form, plain or compressed, is placed before the other one
//! is moved away. An attempt that ends between the two leaves both, which a run refuses to read ([`lake::raw_files::list`]), and the
//! landed file, from which the next attempt knows which of them is the newer one.

use lake::metrics::Metric;
use lake::objects::{self, Copied, Object, Target};
use lake::quarantine::{Naming, SUPERSEDED};
use lake::{Error, Lake, keys};
use market::snapshot::SnapshotName;
use tracing::{Instrument, info_span};

use crate::check::{Check, Checked, Refusal};
use crate::quarantine;

/// The outcome for a landed file.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was moved to its place.
    Accepted {
        /// The number of older files that it replaced.
        superseded: u64,
        /// What is remarkable about it.
        checked: Checked,
    },
    /// Its place had the same bytes already.
    Repeated {
        /// The number of older files that it replaced: the same snapshot in the other compression.
        superseded: u64,
    },
    /// It is not a snapshot, and was moved to quarantine.
    Quarantined(Refusal),
    /// It was moved or replaced by someone else meanwhile. A replacement has its own event.
    Gone,
}

/// How often an object may change concurrently before this invocation gives up and is retried.
const ATTEMPTS: usize = 6;

/// Checks a landed file, copies it to its place or to quarantine, and deletes it from `landing/`.
pub(crate) async fn settle(lake: &Lake, landed: &Object) -> Result<Outcome, Error> {
    settle_file(lake, landed).instrument(info_span!("file", name = keys::file_name(&landed.key))).await
}

async fn settle_file(lake: &Lake, landed: &Object) -> Result<Outcome, Error> {
    let refusal = match keys::file_name(&landed.key).parse::<SnapshotName>() {
        Err(error) => Refusal::Name(error),
        Ok(name) => match examine(lake, landed, name).await? {
            None => return Ok(Outcome::Gone),
            Some(Ok(checked)) => return accept(lake, landed, name, checked).await,
            Some(Err(refusal)) => refusal,
        },
    };
    tracing::warn!(key = landed.key, reason = refusal.code(), "quarantined");
    let message = refusal.to_string();
    if !quarantine::set_aside(lake, landed, Naming::AsItWas, refusal.code(), &message).await? {
        return Ok(Outcome::Gone);
    }
    // Before the deletion: an attempt that ends here is repeated, and counts the file twice rather than never.
    lake.measure(&[(Metric::Quarantined, 1.0)]);
    objects::delete(lake, &lake.config.buckets.raw, landed).await?;
    Ok(Outcome::Quarantined(refusal))
}

/// Reads and checks the file. Returns `None` if it does not exist any more.
async fn examine(lake: &Lake, landed: &Object, name: SnapshotName) -> Result<Option<Result<Checked, Refusal>>, Error> {
    let bucket = &lake.config.buckets.raw;
    let limit = lake.config.ingest.max_file_bytes;
    if landed.bytes > limit {
        return Ok(Some(Err(Refusal::TooLarge { limit })));
    }
    let Some(mut body) = objects::open(lake, bucket, landed).await? else { return Ok(None) };
    let mut check = Check::new(name, limit);
    while let Some(bytes) = body.next().await.transpose().map_err(Error::body(keys::uri(bucket, &landed.key)))? {
        if let Err(refusal) = check.push(&bytes) {
            return Ok(Some(Err(refusal)));
        }
    }
    Ok(Some(check.finish()))
}

/// Moves a snapshot to its place, and the files that it replaces to quarantine.
async fn accept(lake: &Lake, landed: &Object, name: SnapshotName, checked: Checked) -> Result<Outcome, Error> {
    let bucket = &lake.config.buckets.raw;
    let other_place = keys::raw(SnapshotName { gzip: !name.gzip, ..name });
    let mut superseded = 0;
    // The place is usually free, which the conditional copy checks: this saves a HEAD request.
    let mut is_taken = false;
    let mut is_copied = false;
    for _ in 0..ATTEMPTS {
        match put_in_place(lake, landed, name, &mut is_taken, &mut superseded).await? {
            Placed::Copied => is_copied = true,
            Placed::Already => {}
            Placed::TargetTaken => continue,
            Placed::SourceGone => return Ok(Outcome::Gone),
        }
        // The other form goes only now. A snapshot that exists twice is refused by a run; one that does not exist is lost.
        if let Some(other) = objects::head(lake, bucket, &other_place).await? {
            superseded += u64::from(supersede(lake, &other, landed).await?);
            objects::delete(lake, bucket, &other).await?;
            // A concurrent attempt may have placed that form, and moved ours away meanwhile. So each attempt verifies after its
            // deletion that its own form still exists, and places the landed file again if not. The attempt that deletes last
            // leaves one form.
            if objects::head(lake, bucket, &keys::raw(name)).await?.is_none() {
                continue;
            }
        }
        objects::delete(lake, bucket, landed).await?;
        return Ok(match is_copied {
            true => accepted(lake, landed, superseded, checked),
            false => Outcome::Repeated { superseded },
        });
    }
    Err(Error::unavailable(
        format!("moving {} to {}", keys::uri(bucket, &landed.key), keys::raw(name)),
        "other clients keep putting files there",
    ))
}

fn accepted(lake: &Lake, landed: &Object, superseded: u64, checked: Checked) -> Outcome {
    if !checked.added_columns.is_empty() {
        let columns = &checked.added_columns;
        tracing::warn!(key = landed.key, ?columns, "the file has columns that are in no table");
        lake.measure(&[(Metric::FilesWithAddedColumns, 1.0)]);
    }
    lake.measure(&[(Metric::AcceptedFiles, 1.0), (Metric::AcceptedBytes, landed.bytes as f64)]);
    Outcome::Accepted { superseded, checked }
}

/// The outcome of copying a landed file to its place.
enum Placed {
    /// It was copied.
    Copied,
    /// Its place has the same bytes already.
    Already,
    /// It was not copied: its place has another file.
    TargetTaken,
    /// It was not copied: it is no longer in `landing/`.
    SourceGone,
}

/// Copies a landed file to its place by a conditional PUT: onto a free key, or atomically over an older file of the same form,
/// which is copied to quarantine before. `is_taken` is whether the place is known to have a file.
async fn put_in_place(
    lake: &Lake,
    landed: &Object,
    name: SnapshotName,
    is_taken: &mut bool,
    superseded: &mut u64,
) -> Result<Placed, Error> {
    let bucket = &lake.config.buckets.raw;
    let place = keys::raw(name);
    let existing = if *is_taken { objects::head(lake, bucket, &place).await? } else { None };
    let target = match &existing {
        None => Target::Free,
        Some(existing) if objects::same_bytes(lake, bucket, existing, landed).await? => return Ok(Placed::Already),
        Some(existing) => {
            *superseded += u64::from(supersede(lake, existing, landed).await?);
            Target::Holding(existing)
        }
    };
    Ok(match objects::copy(lake, bucket, landed, &place, target).await? {
        Copied::Done => Placed::Copied,
        Copied::SourceGone => Placed::SourceGone,
        Copied::TargetTaken => {
            *is_taken = true;
            Placed::TargetTaken
        }
    })
}

async fn supersede(lake: &Lake, existing: &Object, by: &Object) -> Result<bool, Error> {
    let message = format!("{} took its place", keys::uri(&lake.config.buckets.raw, &by.key));
    quarantine::set_aside(lake, existing, Naming::ByVersion, SUPERSEDED, &message).await
}
