//! Leases: an object that says who may work on something, and until when.
//!
//! A lease is taken by a conditional PUT where there is no object, or where the one that is there has expired: its time is
//! over by more than clocks may differ, or it was watched for the whole length of a lease and not renewed, which needs no
//! clock but one's own. So a holder that dies keeps others waiting for [`LENGTH`] at most. Its release leaves an expired
//! lease.
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

/// The shortest lease, however fast time passes.
const SHORTEST: Duration = Duration::from_secs(3);

/// A lease is renewed before work begins with less than this part of its length left.
const LEAST: u32 = 2;

/// This part of its length before a lease expires, nothing is waited for any more. A request that is under way then takes
/// effect within this time, or never.
const MARGIN: u32 = 6;

/// How long the leases of this lake are valid: [`LENGTH`], but for one in which time passes faster.
fn length(lake: &Lake) -> Duration {
    if lake.speed > 1 { (LENGTH / lake.speed).max(SHORTEST) } else { LENGTH }
}

/// By how much the clocks of two holders may differ.
const CLOCKS: TimeDelta = TimeDelta::minutes(1);

const SHORTEST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease<'a> {
    lake: &'a Lake,
    key: String,
    holder: String,
    etag: String,
    expires: Instant,
    /// Whether work under it ended without an answer, so that it may still take effect.
    is_unanswered: bool,
}

/// A lease as an object. Each is unique, so that a PUT whose answer was lost is recognised.
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
}

impl<'a> Lease<'a> {
    /// Takes the lease at `key`, which nobody else holds then. Waits while another holder renews it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when others hold it for longer than `patience`; whatever S3 refuses.
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
                    // What cannot be read was written by nobody who renews it.
                    let is_over = document.as_ref().is_none_or(|document| document.until + CLOCKS < Utc::now());
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
                return Err(Error::Unavailable {
                    doing: format!("taking the lease {}", keys::uri(&lake.config.buckets.lake, &key)),
                    message: format!("{other} has held it for {} s", begun.elapsed().as_secs()),
                });
            }
            tokio::time::sleep(backoff::delay(begun.elapsed(), SHORTEST_LOOK, LONGEST_LOOK)).await;
        }
    }

    /// Writes a lease from now on; `None` when the condition does not hold.
    async fn put(lake: &'a Lake, key: &str, holder: &str, condition: PutIf<'_>) -> Result<Option<Self>, Error> {
        // Counted from before the request, so that it ends here before it ends for others.
        let begun = Instant::now();
        let document = Document::new(holder, Utc::now() + length(lake));
        let etag = write(lake, key, &document, condition).await?;
        let expires = begun + length(lake);
        let (key, holder) = (key.to_owned(), holder.to_owned());
        Ok(etag.map(|etag| Self { lake, key, holder, etag, expires, is_unanswered: false }))
    }

    /// Does `work` while the lease is valid. It is renewed first when little of it is left.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the lease was lost, or the work takes too long; the work's own error.
    pub async fn within<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.renew().await?;
        let was_unanswered = std::mem::replace(&mut self.is_unanswered, true);
        let done = self.before_the_end(work).await;
        self.is_unanswered = was_unanswered || matches!(done, Err(Error::Unavailable { .. }));
        done
    }

    /// [`Lease::within`] of work that only reads: when it has no answer, nothing of it can take effect later.
    ///
    /// # Errors
    /// As [`Lease::within`].
    pub async fn reading<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.renew().await?;
        self.before_the_end(work).await
    }

    /// Renews the lease when little of it is left.
    async fn renew(&mut self) -> Result<(), Error> {
        if self.expires.saturating_duration_since(Instant::now()) < length(self.lake) / LEAST {
            let renewed = Self::put(self.lake, &self.key, &self.holder, PutIf::Is(&self.etag)).await?;
            let renewed = renewed.ok_or_else(|| self.lost("another one has taken it"))?;
            *self = Self { is_unanswered: self.is_unanswered, ..renewed };
        }
        Ok(())
    }

    async fn before_the_end<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let work = tokio::time::timeout_at((self.expires - length(self.lake) / MARGIN).into(), work);
        work.await.unwrap_or_else(|_| Err(self.lost("the work took longer than it is valid")))
    }

    /// Lets others take it. A lease that is lost already stays with its new holder.
    ///
    /// After work without an answer it does nothing: the work may take effect until the lease expires, and must not do so after
    /// that of the next holder.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn release(self) -> Result<(), Error> {
        if self.is_unanswered {
            return Ok(());
        }
        let over = Document::new(&self.holder, Utc::now() - CLOCKS - TimeDelta::seconds(1));
        write(self.lake, &self.key, &over, PutIf::Is(&self.etag)).await.map(drop)
    }

    fn lost(&self, why: &str) -> Error {
        Error::Unavailable {
            doing: format!("working under the lease {}", keys::uri(&self.lake.config.buckets.lake, &self.key)),
            message: why.to_owned(),
        }
    }
}

/// Writes the document when the condition holds. Returns its ETag.
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
