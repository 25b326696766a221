//! Leases: mutual exclusion with expiry, by an S3 object that names the holder and the expiry time.
//!
//! A lease is taken by compare-and-swap, if there is no object or the lease in it has expired: its expiry time has passed by
//! more than the clock skew, or it was observed for the whole length of a lease without a renewal, which needs only the
//! observer's own clock. So a holder that dies blocks others for at most [`LENGTH`]. Releasing writes an expired lease.
//!
//! Assumption: a request that [`Lease::within`] no longer waits for takes effect before the lease expires, or never.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::objects::{self, Conditional, PutIf};
use crate::{Lake, backoff, keys};

/// How long a lease is valid.
pub const LENGTH: Duration = Duration::from_secs(30);

/// Minimum length of a lease in tests that shorten it.
const SHORTEST: Duration = Duration::from_secs(3);

/// A lease is renewed before work if less than its length divided by this is left.
const RENEW_BELOW: u32 = 2;

/// Work is abandoned this part of the length before the lease expires: a request in flight then still takes effect before the
/// expiry, or never.
const MARGIN: u32 = 6;

/// Returns the length of leases: [`LENGTH`], shorter in tests that inject faults.
fn length(lake: &Lake) -> Duration {
    if lake.speed > 1 { (LENGTH / lake.speed).max(SHORTEST) } else { LENGTH }
}

/// Maximum clock skew between two holders.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

const MIN_DELAY: Duration = Duration::from_millis(20);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The first word of the holder of a lease that the function `create-athena-table` has taken.
pub const CREATE_ATHENA_TABLE: &str = "athena_update";

/// Whether this is the JSON of a lease that the function `create-athena-table` holds.
pub fn is_held_by_create_athena_table(json: &[u8]) -> bool {
    serde_json::from_slice::<Document>(json)
        .is_ok_and(|lease| lease.holder.starts_with(CREATE_ATHENA_TABLE) && !lease.is_over())
}

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease<'a> {
    lake: &'a Lake,
    key: String,
    holder: String,
    etag: String,
    expires: Instant,
    /// Whether work under it ended without a response, so that it may still take effect.
    is_unanswered: bool,
}

/// The JSON of a lease. Each is unique by its id, so that a PUT whose response was lost can be recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    holder: String,
    id: String,
    until: DateTime<Utc>,
}

impl Document {
    fn new(holder: &str, until: DateTime<Utc>) -> Self {
        Self { holder: holder.to_owned(), id: Uuid::new_v4().to_string(), until }
    }

    fn is_over(&self) -> bool {
        self.until + CLOCK_SKEW < Utc::now()
    }
}

impl<'a> Lease<'a> {
    /// Takes the lease at `key`. Waits while another holder has it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if others hold it for longer than `patience`; whatever S3 refuses.
    pub async fn take(lake: &'a Lake, key: String, holder: &str, patience: Duration) -> Result<Self, Error> {
        let begun = Instant::now();
        let mut watched: Option<(String, Instant)> = None;
        loop {
            let found = objects::get_version(lake, &lake.config.buckets.lake, &key).await?;
            let (condition, other) = match &found {
                None => (Some(PutIf::Absent), String::new()),
                Some((bytes, etag)) => {
                    let document: Option<Document> = serde_json::from_slice(bytes).ok();
                    let since = match &watched {
                        Some((seen, since)) if seen == etag => *since,
                        _ => watched.insert((etag.clone(), Instant::now())).1,
                    };
                    // An unreadable lease has no holder that renews it.
                    let is_over = document.as_ref().is_none_or(Document::is_over);
                    let is_free = is_over || since.elapsed() >= length(lake);
                    let other = document.map(|document| document.holder).unwrap_or_default();
                    (is_free.then_some(PutIf::Is(etag)), other)
                }
            };
            if let Some(condition) = condition
                && let Some(lease) = Self::put(lake, &key, holder, condition).await?
            {
                return Ok(lease);
            }
            if begun.elapsed() >= patience {
                return Err(Error::unavailable(
                    format!("taking the lease {}", keys::uri(&lake.config.buckets.lake, &key)),
                    format!("{other} has held it for {} s", begun.elapsed().as_secs()),
                ));
            }
            tokio::time::sleep(backoff::delay(begun.elapsed(), MIN_DELAY, MAX_DELAY)).await;
        }
    }

    /// Writes a lease that starts now. Returns `None` if the condition does not hold.
    async fn put(lake: &'a Lake, key: &str, holder: &str, condition: PutIf<'_>) -> Result<Option<Self>, Error> {
        // Measured from before the request, so that it expires here earlier than for others.
        let begun = Instant::now();
        let document = Document::new(holder, Utc::now() + length(lake));
        let etag = write(lake, key, &document, condition).await?;
        let expires = begun + length(lake);
        let (key, holder) = (key.to_owned(), holder.to_owned());
        Ok(etag.map(|etag| Self { lake, key, holder, etag, expires, is_unanswered: false }))
    }

    /// Runs `work` while the lease is valid. Renews it first if little of it is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the lease was lost, or the work takes too long; the work's own error.
    pub async fn within<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.renew().await?;
        let was_unanswered = std::mem::replace(&mut self.is_unanswered, true);
        let done = self.before_the_end(work).await;
        self.is_unanswered = was_unanswered || matches!(done, Err(Error::Unavailable { .. }));
        done
    }

    /// [`Lease::within`] for work that only reads: without a response, it has no effect later.
    ///
    /// # Errors
    /// As [`Lease::within`].
    pub async fn reading<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.renew().await?;
        self.before_the_end(work).await
    }

    /// Renews the lease if little of it is left.
    async fn renew(&mut self) -> Result<(), Error> {
        if self.expires.saturating_duration_since(Instant::now()) < length(self.lake) / RENEW_BELOW {
            let renewed = Self::put(self.lake, &self.key, &self.holder, PutIf::Is(&self.etag)).await?;
            let renewed = renewed.ok_or_else(|| self.lost("another one has taken it"))?;
            *self = Self { is_unanswered: self.is_unanswered, ..renewed };
        }
        Ok(())
    }

    async fn before_the_end<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let work = tokio::time::timeout_at(
            self.expires.checked_sub(length(self.lake) / MARGIN).unwrap_or(self.expires).into(),
            work,
        );
        work.await.unwrap_or_else(|_| Err(self.lost("the work took longer than it is valid")))
    }

    /// Releases the lease. A lease that was lost stays with its new holder.
    ///
    /// Does nothing after work without a response: the work may take effect until the lease expires, and must not do so after
    /// the work of the next holder.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn release(self) -> Result<(), Error> {
        if self.is_unanswered {
            return Ok(());
        }
        let over = Document::new(&self.holder, Utc::now() - CLOCK_SKEW - TimeDelta::seconds(1));
        write(self.lake, &self.key, &over, PutIf::Is(&self.etag)).await.map(drop)
    }

    fn lost(&self, why: &str) -> Error {
        let uri = keys::uri(&self.lake.config.buckets.lake, &self.key);
        Error::unavailable(format!("working under the lease {uri}"), why)
    }
}

/// Writes the document if the condition holds. Returns its ETag.
async fn write(lake: &Lake, key: &str, document: &Document, condition: PutIf<'_>) -> Result<Option<String>, Error> {
    let bucket = &lake.config.buckets.lake;
    let text = serde_json::to_vec(document).expect("a lease is JSON");
    match objects::put_if(lake, bucket, key, "application/json", text.clone(), condition).await? {
        Conditional::Written { etag } => Ok(Some(etag)),
        Conditional::Unmet => {
            let found = objects::get_version(lake, bucket, key).await?;
            Ok(found.filter(|(bytes, _)| *bytes == text).map(|(_, etag)| etag))
        }
    }
}
