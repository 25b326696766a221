//! A virtual clock for deterministic tests: a year takes no time, and each run is scheduled in the same order.
//!
//! The clock polls the test's future itself. When the future can make no progress, the clock advances to the end of the
//! next sleep.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use asl::Clock;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// The start of the clock.
pub(crate) const START: &str = "2020-04-01T10:00:00Z";

#[derive(Default)]
pub(crate) struct VirtualClock(Mutex<State>);

#[derive(Default)]
struct State {
    /// The time since the start.
    now: Duration,
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
    next_sleeper: u64,
}

impl VirtualClock {
    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().now
    }

    /// Runs a future to completion.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            if !woken.0.swap(false, Ordering::SeqCst) {
                self.advance();
            }
        }
    }

    fn sleeper(&self, duration: Duration) -> Sleep<'_> {
        let mut state = self.state();
        let sleeper = (state.now + duration, state.next_sleeper);
        state.next_sleeper += 1;
        state.sleepers.insert(sleeper, None);
        Sleep { clock: self, sleeper }
    }

    fn advance(&self) {
        let mut state = self.state();
        let next = state.sleepers.first_key_value().map(|((time, _), _)| *time);
        state.now = next.expect("nothing to wait for: the future would never end");
        let now = state.now;
        let due = state.sleepers.range_mut(..=(now, u64::MAX));
        due.filter_map(|(_, waker)| waker.take()).for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while holding the clock")
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = START.parse().expect("a moment");
        start + TimeDelta::from_std(self.elapsed()).expect("less than an age")
    }

    async fn sleep(&self, duration: Duration) {
        self.sleeper(duration).await;
    }

    /// Always half of the delay.
    fn jitter(&self) -> f64 {
        0.5
    }
}

struct Sleep<'a> {
    clock: &'a VirtualClock,
    sleeper: (Duration, u64),
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if state.now >= self.sleeper.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.sleeper, Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.sleeper);
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
