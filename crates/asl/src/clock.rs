//! The clock that waits, retries, timeouts and the timestamps of events go by.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};

/// A source of time. [`SystemClock`] is the default; a test may use a virtual clock, on which an hour takes no time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;

    /// Completes when so much time has passed.
    async fn sleep(&self, duration: Duration);
}

/// The computer's clock. Sleeping needs a tokio runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// What `work` gives, or `None` if it takes longer than `limit`.
pub(crate) async fn within<T>(clock: &dyn Clock, limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    let Some(limit) = limit else {
        return Some(work.await);
    };
    tokio::select! {
        biased;
        result = work => Some(result),
        () = clock.sleep(limit) => None,
    }
}

/// A moment as the context object writes it: `2020-04-01T10:00:00.123Z`.
pub(crate) fn iso(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads a timestamp as the States Language defines it: RFC 3339 with an uppercase `T`, and `Z` or an offset.
pub(crate) fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    let strict = text.as_bytes().get(10) == Some(&b'T') && !text.ends_with('z');
    let moment = strict.then(|| DateTime::parse_from_rfc3339(text).ok())??;
    Some(moment.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_in_its_strict_profile() {
        for text in ["2016-03-14T01:59:00Z", "2016-03-14T01:59:00.000000Z", "2016-03-13T22:59:00-03:00"] {
            assert!(parse_timestamp(text).is_some(), "{text}");
        }
        for text in [
            "",
            "2016-03-14",
            "2016-03-14T01:59:00",
            "2016-03-14t01:59:00Z",
            "2016-03-14T01:59:00z",
            "2016-03-14 01:59:00Z",
            "2016-13-14T01:59:00Z",
            "2016-03-1é01:59:00Z",
            "1583719140",
        ] {
            assert!(parse_timestamp(text).is_none(), "{text}");
        }
        assert_eq!(parse_timestamp("2016-03-13T22:59:00-03:00"), parse_timestamp("2016-03-14T01:59:00Z"));
    }
}
