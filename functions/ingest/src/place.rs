//! One landed file to its place.
//!
//! A snapshot has one file, plain or compressed. A newer one takes the place of an older one, which goes into
//! quarantine first; the same bytes once more change nothing. At every moment each file is in landing, in its place or in
//! quarantine, so that an attempt that ends anywhere is simply made again.

use lake::objects::{self, Copied, Object, Target};
use lake::{Error, Lake, keys};
use market::snapshot::SnapshotName;

use crate::check::{Check, Refusal};
use crate::quarantine::{self, Naming};

/// What became of a landed file.
#[derive(Debug)]
pub enum Outcome {
    /// It is in its place now.
    Accepted {
        /// The older files that it replaced.
        superseded: u64,
    },
    /// It was in its place already.
    Repeated {
        /// The older files that it replaced: the same snapshot in the other compression.
        superseded: u64,
    },
    /// It is no snapshot, and lies in quarantine.
    Quarantined(Refusal),
    /// Someone else moved or replaced it meanwhile: what is there now has its own event.
    Gone,
}

/// How often something may change under our hands before it is left to another attempt.
const ATTEMPTS: usize = 6;

/// Checks a landed file, moves it to its place or into quarantine, and deletes it from landing.
pub async fn settle(lake: &Lake, landed: &Object) -> Result<Outcome, Error> {
    let refusal = match keys::file_name(&landed.key).parse::<SnapshotName>() {
        Err(error) => Refusal::Name(error),
        Ok(name) => match examine(lake, landed, name).await? {
            None => return Ok(Outcome::Gone),
            Some(Ok(())) => return accept(lake, landed, name).await,
            Some(Err(refusal)) => refusal,
        },
    };
    tracing::warn!(key = landed.key, reason = refusal.code(), "quarantined");
    let message = refusal.to_string();
    if !quarantine::set_aside(lake, landed, Naming::AsItWas, refusal.code(), &message).await? {
        return Ok(Outcome::Gone);
    }
    objects::delete(lake, &lake.config.buckets.raw, landed).await?;
    Ok(Outcome::Quarantined(refusal))
}

/// Reads the file and says what is wrong with it, if anything is; `None` when it is no longer there.
async fn examine(lake: &Lake, landed: &Object, name: SnapshotName) -> Result<Option<Result<(), Refusal>>, Error> {
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

async fn accept(lake: &Lake, landed: &Object, name: SnapshotName) -> Result<Outcome, Error> {
    let bucket = &lake.config.buckets.raw;
    let place = keys::raw(name);
    let other_place = keys::raw(SnapshotName { gzip: !name.gzip, ..name });
    let mut superseded = 0;
    // Nothing stands there, mostly, and a copy finds out by itself whether that is so.
    let mut is_taken = false;
    for _ in 0..ATTEMPTS {
        // The other form goes first: a snapshot that is there twice would be published twice.
        if let Some(other) = objects::head(lake, bucket, &other_place).await? {
            superseded += u64::from(supersede(lake, &other, landed).await?);
            objects::delete(lake, bucket, &other).await?;
        }
        let standing = if is_taken { objects::head(lake, bucket, &place).await? } else { None };
        let target = match &standing {
            None => Target::Free,
            Some(standing) if objects::same_bytes(lake, bucket, standing, landed).await? => {
                objects::delete(lake, bucket, landed).await?;
                return Ok(Outcome::Repeated { superseded });
            }
            Some(standing) => {
                superseded += u64::from(supersede(lake, standing, landed).await?);
                Target::Holding(standing)
            }
        };
        match objects::copy(lake, bucket, landed, &place, target).await? {
            Copied::Done => {
                objects::delete(lake, bucket, landed).await?;
                return Ok(Outcome::Accepted { superseded });
            }
            Copied::SourceGone => return Ok(Outcome::Gone),
            Copied::TargetTaken => is_taken = true,
        }
    }
    Err(Error::Unavailable {
        doing: format!("moving {} to {place}", keys::uri(bucket, &landed.key)),
        message: "others keep putting files there".to_owned(),
    })
}

async fn supersede(lake: &Lake, standing: &Object, by: &Object) -> Result<bool, Error> {
    let message = format!("{} took its place", keys::uri(&lake.config.buckets.raw, &by.key));
    quarantine::set_aside(lake, standing, Naming::ByVersion, "superseded", &message).await
}
