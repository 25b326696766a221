//! Faults by plan: what goes wrong on a network and in a service, at calls that a plan names, so that a test can see what
//! becomes of it. Without a plan nothing is counted, and a call goes straight through.
//!
//! All calls pass here: requests over HTTP from within the process and from others, the functions that workflows invoke, the
//! executions that they start, and the steps that clusters run. What a service does inside itself is no call.

mod answers;
mod called;
mod plan;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use called::{Called, Service};
use plan::Kind;
pub(crate) use plan::Refusal;
pub use plan::{FaultPlan, FaultPlanError};

/// How long a call that is to come after others waits for them, when none comes.
const NO_OTHER_CALL: Duration = Duration::from_millis(250);

/// What every call passes through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Option<Arc<Injector>>);

#[derive(Debug)]
struct Injector {
    plan: FaultPlan,
    counts: Mutex<Counts>,
    /// How many calls have been carried out.
    carried_out: watch::Sender<u64>,
    /// Calls whose callers were left alone.
    late: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Counts {
    calls: u64,
    /// Of each rule, the calls that meet its conditions but for the number.
    of_rules: Vec<u64>,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Faced<T> {
    Answered(T),
    /// There is an answer, of which only a part arrives.
    BrokenOff(T),
    /// Refused; or, as [`Refusal::Reset`], the connection broke, whether or not it was carried out.
    Refused(Refusal),
}

impl<T> Faced<T> {
    /// The answer, for callers that get all of it or nothing.
    pub(crate) fn whole(self) -> Result<T, Refusal> {
        match self {
            Faced::Answered(answer) => Ok(answer),
            Faced::BrokenOff(_) => Err(Refusal::Reset),
            Faced::Refused(refusal) => Err(refusal),
        }
    }
}

impl Faults {
    pub(crate) fn of(plan: Option<FaultPlan>) -> Faults {
        Faults(plan.map(|plan| {
            let counts = Mutex::new(Counts { calls: 0, of_rules: vec![0; plan.rules.len()] });
            Arc::new(Injector { plan, counts, carried_out: watch::Sender::new(0), late: Mutex::default() })
        }))
    }

    /// Whether anything may befall a call, or is to be known of it.
    pub(crate) fn are_planned(&self) -> bool {
        self.0.is_some()
    }

    /// How many times as fast waits pass.
    pub(crate) fn speed(&self) -> u32 {
        self.0.as_ref().map_or(1, |injector| injector.plan.speed)
    }

    /// Carries out a call, `work`, as the plan has it.
    pub(crate) async fn face<T: Send + 'static>(
        &self,
        called: &Called,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Faced<T> {
        match &self.0 {
            None => Faced::Answered(work.await),
            Some(injector) => injector.face(called, work).await,
        }
    }

    /// Carries out no call any more that its caller was left alone with.
    pub(crate) async fn shutdown(&self) {
        let Some(injector) = &self.0 else { return };
        let mut late = std::mem::take(&mut *injector.late.lock().unwrap_or_else(PoisonError::into_inner));
        late.shutdown().await;
    }
}

impl Injector {
    async fn face<T: Send + 'static>(
        self: &Arc<Self>,
        called: &Called,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Faced<T> {
        match self.fault(called) {
            None => Faced::Answered(self.carry_out(work).await),
            Some(Kind::Reject(refusal)) => Faced::Refused(refusal.unwrap_or(Refusal::Reset)),
            Some(Kind::Lost) => {
                self.carry_out(work).await;
                Faced::Refused(Refusal::Reset)
            }
            Some(Kind::Truncate) => Faced::BrokenOff(self.carry_out(work).await),
            Some(Kind::Delay(time)) => {
                tokio::time::sleep(time).await;
                Faced::Answered(self.carry_out(work).await)
            }
            Some(Kind::Reorder) => {
                self.others(1).await;
                Faced::Answered(self.carry_out(work).await)
            }
            Some(Kind::Late(calls)) => {
                let injector = Arc::clone(self);
                let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
                // Those that are done are forgotten.
                while late.try_join_next().is_some() {}
                late.spawn(async move {
                    injector.others(calls).await;
                    injector.carry_out(work).await;
                });
                Faced::Refused(Refusal::Reset)
            }
            Some(Kind::Abort) => std::process::abort(),
            Some(Kind::AbortAfter) => {
                self.carry_out(work).await;
                std::process::abort()
            }
        }
    }

    async fn carry_out<T>(&self, work: impl Future<Output = T>) -> T {
        let answer = work.await;
        self.carried_out.send_modify(|count| *count += 1);
        answer
    }

    /// Completes when so many other calls have been carried out, or none has come for a while.
    async fn others(&self, calls: u64) {
        let mut carried_out = self.carried_out.subscribe();
        let last = *carried_out.borrow_and_update() + calls;
        while *carried_out.borrow_and_update() < last {
            if tokio::time::timeout(NO_OTHER_CALL, carried_out.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Counts the call, and says what befalls it.
    fn fault(&self, called: &Called) -> Option<Kind> {
        let (number, kind) = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.calls += 1;
            (counts.calls, self.plan.decide(called, &mut counts.of_rules))
        };
        let Called { service, operation, key } = called;
        match kind {
            None => tracing::debug!(call = number, service = service.name(), operation, key, "a call"),
            Some(kind) => tracing::warn!(call = number, service = service.name(), operation, key, ?kind, "a fault"),
        }
        kind
    }
}

impl FaultPlan {
    /// What befalls this call; `counts` has for each rule how many calls before it were of the kind that it is about.
    fn decide(&self, called: &Called, counts: &mut [u64]) -> Option<Kind> {
        let mut decided = None;
        for (at, (rule, count)) in self.rules.iter().zip(counts).enumerate() {
            if !rule.is_about(called) {
                continue;
            }
            *count += 1;
            let is_due = rule.numbers.as_ref().is_none_or(|numbers| numbers.contains(count));
            if decided.is_none() && is_due {
                let dice = dice(self.seed, at as u64, *count);
                let chosen = Refusal::ALL[(dice % Refusal::ALL.len() as u64) as usize];
                decided = (part_of_one(dice) < rule.probability).then_some(match rule.kind {
                    Kind::Reject(None) => Kind::Reject(Some(chosen)),
                    kind => kind,
                });
            }
        }
        decided
    }
}

/// A number that looks like chance, and is always the same for the same three (the finalizer of SplitMix64).
fn dice(seed: u64, rule: u64, count: u64) -> u64 {
    let mut mixed = seed;
    for number in [rule, count] {
        mixed = mixed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    mixed
}

/// From 0 to below 1.
fn part_of_one(dice: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in a double")]
    let bits = (dice >> 11) as f64;
    bits / (1_u64 << 53) as f64
}

/// The computer's clock, on which waits pass as fast as the plan has it.
#[async_trait]
impl asl::Clock for Faults {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.speed()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn faults(plan: &str) -> Faults {
        Faults::of(Some(plan.parse().unwrap()))
    }

    fn put() -> Called {
        Called::new(Service::S3, "PutObject", "b/k")
    }

    fn get() -> Called {
        Called::new(Service::S3, "GetObject", "b/k")
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
        assert_eq!(none.face(&put(), work(&order)).await.whole(), Ok(1));
        assert_eq!(none.speed(), 1);
    }

    #[tokio::test]
    async fn a_rule_counts_the_calls_that_it_is_about() {
        let order = Arc::default();
        let faults = faults("op=PutObject&n=2:deny,n=4:throttle");
        let mut refused = Vec::new();
        for called in [get(), put(), get(), put(), put()] {
            refused.push(faults.face(&called, work(&order)).await.whole().err());
        }
        // The fourth call of all is the second PutObject: the first item decides.
        assert_eq!(refused, [None, None, None, Some(Refusal::Deny), None]);
        assert_eq!(order.load(Ordering::SeqCst), 4, "what is refused is not carried out");
    }

    #[tokio::test]
    async fn what_is_lost_or_broken_off_is_carried_out() {
        let order = Arc::default();
        for plan in ["*:lost", "*:truncate"] {
            assert_eq!(faults(plan).face(&put(), work(&order)).await.whole(), Err(Refusal::Reset), "{plan}");
        }
        assert_eq!(order.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_late_call_is_carried_out_after_others() {
        let order = Arc::default();
        let faults = faults("op=PutObject:late=2");
        assert_eq!(faults.face(&put(), work(&order)).await.whole(), Err(Refusal::Reset));
        assert_eq!(faults.face(&get(), work(&order)).await.whole(), Ok(1));
        assert_eq!(faults.face(&get(), work(&order)).await.whole(), Ok(2));
        while order.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        faults.shutdown().await;
    }

    #[tokio::test]
    async fn a_late_call_is_not_carried_out_after_the_end() {
        let order = Arc::default();
        let faults = faults("op=PutObject:late");
        assert_eq!(faults.face(&put(), work(&order)).await.whole(), Err(Refusal::Reset));
        faults.shutdown().await;
        assert_eq!(faults.face(&get(), work(&order)).await.whole(), Ok(1));
        assert_eq!(order.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn two_calls_change_places() {
        let order = Arc::default();
        let faults = faults("op=PutObject:reorder");
        let (first, second) = (put(), get());
        let (put, got) = tokio::join!(faults.face(&first, work(&order)), faults.face(&second, work(&order)));
        assert_eq!((put.whole(), got.whole()), (Ok(2), Ok(1)));
        // One that nothing comes behind goes on by itself.
        assert_eq!(faults.face(&first, work(&order)).await.whole(), Ok(3));
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
            let times = decisions(1).iter().filter(|kind| **kind == Some(Kind::Reject(Some(refusal)))).count();
            assert!((180..320).contains(&times), "{refusal:?} {times} times");
        }
    }
}
