//! Fault injection: failures of the network and of services, at calls that a plan selects, so that tests can check how the
//! system recovers. Without a plan, calls are not counted and pass straight through.
//!
//! All calls pass here: requests over HTTP from this process and from others, the functions that workflows invoke, the
//! executions that they start, and the Spark jobs of clusters and job runs. What a service does internally is not a call.

mod call;
mod plan;
mod responses;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use call::{Service, ServiceCall};
use plan::Fault;
pub(crate) use plan::Refusal;
pub use plan::{FaultPlan, FaultPlanError};

/// The timeout of a delayed call for the next other call. After it, the delayed call is executed.
const REORDER_TIMEOUT: Duration = Duration::from_millis(250);

/// The fault injection of an endpoint, which every call passes. A shared handle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Option<Arc<Injector>>);

#[derive(Debug)]
struct Injector {
    plan: FaultPlan,
    counts: Mutex<Counts>,
    /// The number of executed calls.
    executed: watch::Sender<u64>,
    /// Calls that are executed after their callers got an error.
    late: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Counts {
    calls: u64,
    /// For each rule, the number of calls that match its conditions other than `n`.
    matches: Vec<u64>,
}

/// The outcome of a call.
#[derive(Debug)]
pub(crate) enum CallOutcome<T> {
    Answered(T),
    /// It was executed, and only a part of the response arrives.
    Truncated(T),
    /// It was refused. With [`Refusal::Reset`], the connection broke, whether or not the call was executed.
    Refused(Refusal),
}

impl<T> CallOutcome<T> {
    /// The result for callers in this process, which see a truncated response as a broken connection.
    pub(crate) fn into_result(self) -> Result<T, Refusal> {
        match self {
            CallOutcome::Answered(answer) => Ok(answer),
            CallOutcome::Truncated(_) => Err(Refusal::Reset),
            CallOutcome::Refused(refusal) => Err(refusal),
        }
    }
}

impl Faults {
    pub(crate) fn new(plan: Option<FaultPlan>) -> Faults {
        Faults(plan.map(|plan| {
            let counts = Mutex::new(Counts { calls: 0, matches: vec![0; plan.rules.len()] });
            Arc::new(Injector { plan, counts, executed: watch::Sender::new(0), late: Mutex::default() })
        }))
    }

    /// Whether there is a plan.
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// The factor by which waits are shortened.
    pub(crate) fn speed(&self) -> u32 {
        self.0.as_ref().map_or(1, |injector| injector.plan.speed)
    }

    /// Executes a call, `work`, with the fault that the plan selects for it.
    pub(crate) async fn inject<T: Send + 'static>(
        &self,
        call: &ServiceCall,
        work: impl Future<Output = T> + Send + 'static,
    ) -> CallOutcome<T> {
        match &self.0 {
            None => CallOutcome::Answered(work.await),
            Some(injector) => injector.inject(call, work).await,
        }
    }

    /// Aborts the calls that were to be executed late.
    pub(crate) async fn shutdown(&self) {
        let Some(injector) = &self.0 else { return };
        let mut late = std::mem::take(&mut *injector.late.lock().unwrap_or_else(PoisonError::into_inner));
        late.shutdown().await;
    }
}

impl Injector {
    async fn inject<T: Send + 'static>(
        self: &Arc<Self>,
        call: &ServiceCall,
        work: impl Future<Output = T> + Send + 'static,
    ) -> CallOutcome<T> {
        match self.fault(call) {
            None => CallOutcome::Answered(self.execute(work).await),
            Some(Fault::Reject(refusal)) => CallOutcome::Refused(refusal.unwrap_or(Refusal::Reset)),
            Some(Fault::Lost) => {
                self.execute(work).await;
                CallOutcome::Refused(Refusal::Reset)
            }
            Some(Fault::Truncate) => CallOutcome::Truncated(self.execute(work).await),
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                CallOutcome::Answered(self.execute(work).await)
            }
            Some(Fault::Reorder) => {
                self.wait_for_calls(1).await;
                CallOutcome::Answered(self.execute(work).await)
            }
            Some(Fault::Late(calls)) => {
                let injector = Arc::clone(self);
                let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
                // Drops the finished ones, so that the set stays small.
                while late.try_join_next().is_some() {}
                late.spawn(async move {
                    injector.wait_for_calls(calls).await;
                    injector.execute(work).await;
                });
                CallOutcome::Refused(Refusal::Reset)
            }
            Some(Fault::Abort) => std::process::abort(),
            Some(Fault::AbortAfter) => {
                self.execute(work).await;
                std::process::abort()
            }
        }
    }

    async fn execute<T>(&self, work: impl Future<Output = T>) -> T {
        let answer = work.await;
        self.executed.send_modify(|count| *count += 1);
        answer
    }

    /// Completes when this many other calls have been executed, or none came for [`REORDER_TIMEOUT`].
    async fn wait_for_calls(&self, calls: u64) {
        let mut executed = self.executed.subscribe();
        let last = *executed.borrow_and_update() + calls;
        while *executed.borrow_and_update() < last {
            if tokio::time::timeout(REORDER_TIMEOUT, executed.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Counts the call, and returns its fault.
    fn fault(&self, call: &ServiceCall) -> Option<Fault> {
        let (number, kind) = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.calls += 1;
            (counts.calls, self.plan.decide(call, &mut counts.matches))
        };
        let ServiceCall { service, operation, key } = call;
        match kind {
            None => tracing::debug!(call = number, service = service.name(), operation, key, "a call"),
            Some(kind) => tracing::warn!(call = number, service = service.name(), operation, key, ?kind, "a fault"),
        }
        kind
    }
}

impl FaultPlan {
    /// Returns the fault of this call. `counts` has, for each rule, the number of matching calls before it.
    fn decide(&self, call: &ServiceCall, counts: &mut [u64]) -> Option<Fault> {
        let mut decided = None;
        for (at, (rule, count)) in self.rules.iter().zip(counts).enumerate() {
            if !rule.matches(call) {
                continue;
            }
            *count += 1;
            let is_due = rule.numbers.as_ref().is_none_or(|numbers| numbers.contains(count));
            if decided.is_none() && is_due {
                let hash = hash(self.seed, at as u64, *count);
                let chosen = Refusal::ALL[(hash % Refusal::ALL.len() as u64) as usize];
                decided = (unit_interval(hash) < rule.probability).then_some(match rule.kind {
                    Fault::Reject(None) => Fault::Reject(Some(chosen)),
                    kind => kind,
                });
            }
        }
        decided
    }
}

/// A pseudo-random number that is a function of its arguments, so that the same plan and seed inject the same faults (the
/// finalizer of SplitMix64).
fn hash(seed: u64, rule: u64, count: u64) -> u64 {
    let mut mixed = seed;
    for number in [rule, count] {
        mixed = mixed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    mixed
}

/// Maps a number uniformly to [0, 1).
fn unit_interval(hash: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in a double")]
    let bits = (hash >> 11) as f64;
    bits / (1_u64 << 53) as f64
}

/// The shortest wait that a plan's speed leaves. State machines that poll would otherwise make a call every millisecond.
const MIN_SHORTENED: Duration = Duration::from_millis(20);

/// Returns a wait as the speed of a plan shortens it.
fn shortened(duration: Duration, speed: u32) -> Duration {
    (duration / speed).max(duration.min(MIN_SHORTENED))
}

/// The system clock, with waits shortened by the plan's speed.
#[async_trait]
impl asl::Clock for Faults {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(shortened(duration, self.speed())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn faults(plan: &str) -> Faults {
        Faults::new(Some(plan.parse().unwrap()))
    }

    fn put() -> ServiceCall {
        ServiceCall::new(Service::S3, "PutObject", "b/k")
    }

    fn get() -> ServiceCall {
        ServiceCall::new(Service::S3, "GetObject", "b/k")
    }

    /// Work that writes down when it was done, as the how-manieth.
    fn work(order: &Arc<AtomicU64>) -> impl Future<Output = u64> + Send + 'static {
        let order = Arc::clone(order);
        async move { order.fetch_add(1, Ordering::SeqCst) + 1 }
    }

    #[tokio::test]
    async fn without_a_plan_a_call_goes_through() {
        let order = Arc::default();
        let none = Faults::default();
        assert_eq!(none.inject(&put(), work(&order)).await.into_result(), Ok(1));
        assert_eq!(none.speed(), 1);
    }

    #[test]
    fn a_speed_shortens_waits_to_twenty_milliseconds() {
        for (millis, speed, expected) in
            [(30_000, 1, 30_000), (30_000, 100, 300), (50, 100, 20), (7, 1, 7), (7, 100, 7)]
        {
            let wait = shortened(Duration::from_millis(millis), speed);
            assert_eq!(wait, Duration::from_millis(expected), "{millis} ms at {speed}");
        }
    }

    #[tokio::test]
    async fn a_rule_counts_the_calls_that_it_is_about() {
        let order = Arc::default();
        let faults = faults("op=PutObject&n=2:deny,n=4:throttle");
        let mut refused = Vec::new();
        for call in [get(), put(), get(), put(), put()] {
            refused.push(faults.inject(&call, work(&order)).await.into_result().err());
        }
        // The fourth call of all is the second PutObject: the first item decides.
        assert_eq!(refused, [None, None, None, Some(Refusal::Deny), None]);
        assert_eq!(order.load(Ordering::SeqCst), 4, "what is refused is not carried out");
    }

    #[tokio::test]
    async fn what_is_lost_or_broken_off_is_executed() {
        let order = Arc::default();
        for plan in ["*:lost", "*:truncate"] {
            assert_eq!(faults(plan).inject(&put(), work(&order)).await.into_result(), Err(Refusal::Reset), "{plan}");
        }
        assert_eq!(order.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_late_call_is_executed_after_others() {
        let order = Arc::default();
        let faults = faults("op=PutObject:late=2");
        assert_eq!(faults.inject(&put(), work(&order)).await.into_result(), Err(Refusal::Reset));
        assert_eq!(faults.inject(&get(), work(&order)).await.into_result(), Ok(1));
        assert_eq!(faults.inject(&get(), work(&order)).await.into_result(), Ok(2));
        while order.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        faults.shutdown().await;
    }

    #[tokio::test]
    async fn a_late_call_is_not_executed_after_the_end() {
        let order = Arc::default();
        let faults = faults("op=PutObject:late");
        assert_eq!(faults.inject(&put(), work(&order)).await.into_result(), Err(Refusal::Reset));
        faults.shutdown().await;
        assert_eq!(faults.inject(&get(), work(&order)).await.into_result(), Ok(1));
        assert_eq!(order.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn two_calls_change_places() {
        let order = Arc::default();
        let faults = faults("op=PutObject:reorder");
        let (first, second) = (put(), get());
        let (put, got) = tokio::join!(faults.inject(&first, work(&order)), faults.inject(&second, work(&order)));
        assert_eq!((put.into_result(), got.into_result()), (Ok(2), Ok(1)));
        // If no other call follows, it is executed after the timeout.
        assert_eq!(faults.inject(&first, work(&order)).await.into_result(), Ok(3));
    }

    #[test]
    fn a_seed_decides_in_one_way_and_as_often_as_it_should() {
        let decisions = |seed| {
            let plan = "*:reject@0.1".parse::<FaultPlan>().unwrap().with_seed(seed);
            let mut counts = [0];
            (0..10_000).map(|_| plan.decide(&put(), &mut counts)).collect::<Vec<_>>()
        };
        assert_eq!(decisions(1), decisions(1));
        assert_ne!(decisions(1), decisions(2));
        for refusal in Refusal::ALL {
            let times = decisions(1).iter().filter(|kind| **kind == Some(Fault::Reject(Some(refusal)))).count();
            assert!((180..320).contains(&times), "{refusal:?} {times} times");
        }
    }
}
