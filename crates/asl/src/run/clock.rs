//! The clock of waits, retry delays, timeouts and timestamps.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// A source of time. [`SystemClock`] is the default; a test may use a virtual clock, on which an hour takes no time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> DateTime<Utc>;

    /// Completes after `duration`.
    async fn sleep(&self, duration: Duration);

    /// Returns the fraction of a retry delay that is waited with `JitterStrategy: FULL`: a random number in `[0, 1)`. A
    /// virtual clock may return the same sequence in each run.
    fn jitter(&self) -> f64 {
        fastrand::f64()
    }
}

/// The clock of the operating system. Sleeping needs a tokio runtime.
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

/// Returns the output of `work`, or `None` if it takes longer than `timeout`.
pub(super) async fn with_timeout<T>(
    clock: &dyn Clock,
    timeout: Option<Duration>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let Some(timeout) = timeout else {
        return Some(work.await);
    };
    tokio::select! {
        biased;
        result = work => Some(result),
        () = clock.sleep(timeout) => None,
    }
}
