//! Retries of a failed state, with exponential backoff and jitter.

use std::time::Duration;

use super::clock::Clock;
use crate::model::{Jitter, Retrier};
use crate::syntax::{Failure, MAX_SECONDS};

/// The retries of one visit to a state. Each clause counts its own.
pub(super) struct Retries<'a> {
    retriers: &'a [Retrier],
    counts: Vec<u64>,
}

impl<'a> Retries<'a> {
    pub(super) fn new(retriers: &'a [Retrier]) -> Self {
        Self { retriers, counts: vec![0; retriers.len()] }
    }

    /// Returns the number of retries so far, over all clauses.
    pub(super) fn count(&self) -> u32 {
        let total = self.counts.iter().sum::<u64>();
        u32::try_from(total).unwrap_or(u32::MAX)
    }

    /// Returns the index of the clause that decides about a failure after `count` retries, and the delay in whole seconds if it
    /// retries. `None` if no clause matches.
    pub(super) fn decision(
        retriers: &[Retrier],
        count: u64,
        failure: &Failure,
        in_branch: bool,
    ) -> Option<(usize, Option<u64>)> {
        let mut clauses = retriers.iter().enumerate();
        let (index, retrier) = clauses.find(|(_, retrier)| retrier.errors.matches(failure, in_branch))?;
        let delay = (count < retrier.max_attempts).then(|| retrier.seconds(count) as u64);
        Some((index, delay))
    }

    /// Returns the delay before the next attempt, or `None` if the failure is not retried. The first clause that
    /// matches decides.
    pub(super) fn next(&mut self, failure: &Failure, in_branch: bool, clock: &dyn Clock) -> Option<Duration> {
        let (retrier, count) = self
            .retriers
            .iter()
            .zip(&mut self.counts)
            .find(|(retrier, _)| retrier.errors.matches(failure, in_branch))?;
        (*count < retrier.max_attempts).then(|| {
            *count += 1;
            retrier.delay(*count - 1, clock)
        })
    }
}

impl Retrier {
    /// Returns the delay before the next attempt, after `retries` retries under this clause.
    fn delay(&self, retries: u64, clock: &dyn Clock) -> Duration {
        let seconds = self.seconds(retries);
        let seconds = match self.jitter {
            Jitter::None => seconds,
            Jitter::Full => seconds * clock.jitter(),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(MAX_SECONDS))
    }

    /// Returns the same without jitter, in seconds.
    fn seconds(&self, retries: u64) -> f64 {
        let exponent = i32::try_from(retries).unwrap_or(i32::MAX);
        let seconds = self.interval as f64 * self.backoff_rate.powi(exponent);
        seconds.min(self.max_delay.unwrap_or(MAX_SECONDS) as f64)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::run::clock::SystemClock;
    use crate::syntax::Fields;

    fn delays(clauses: Value, failures: &[&str]) -> Vec<Option<f64>> {
        let mut fields = Fields::parse(json!({ "Retry": clauses }), "/S").expect("an object");
        let retriers = Retrier::parse_all(&mut fields).expect("retriers");
        let mut retries = Retries::new(&retriers);
        let delays = failures.iter().map(|error| {
            let delay = retries.next(&Failure::new(*error, ""), false, &SystemClock);
            delay.map(|delay| delay.as_secs_f64())
        });
        delays.collect()
    }

    #[test]
    fn delays_grow_by_the_backoff_rate() {
        let all = |clause: Value| {
            let mut clause = clause;
            clause["ErrorEquals"] = json!(["States.ALL"]);
            json!([clause])
        };
        let four = ["E"; 4];
        let cases = [
            (all(json!({})), vec![Some(1.0), Some(2.0), Some(4.0), None]),
            (
                all(json!({ "IntervalSeconds": 3, "BackoffRate": 1.5, "MaxAttempts": 10 })),
                vec![Some(3.0), Some(4.5), Some(6.75), Some(10.125)],
            ),
            (
                all(json!({ "IntervalSeconds": 10, "MaxDelaySeconds": 25, "MaxAttempts": 10 })),
                vec![Some(10.0), Some(20.0), Some(25.0), Some(25.0)],
            ),
            (all(json!({ "MaxAttempts": 0 })), vec![None; 4]),
            (
                all(json!({ "BackoffRate": 1e308, "MaxAttempts": 9 })),
                vec![Some(1.0), Some(99_999_999.0), Some(99_999_999.0), Some(99_999_999.0)],
            ),
        ];
        for (clauses, expected) in cases {
            assert_eq!(delays(clauses.clone(), &four), expected, "{clauses}");
        }
    }

    #[test]
    fn each_clause_counts_its_own_attempts() {
        let clauses = json!([
            { "ErrorEquals": ["A"], "IntervalSeconds": 1, "MaxAttempts": 2 },
            { "ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 5, "MaxAttempts": 1 },
        ]);
        assert_eq!(
            delays(clauses, &["A", "B", "A", "B", "A", "States.Timeout"]),
            [Some(1.0), Some(5.0), Some(2.0), None, None, None]
        );
    }

    #[test]
    fn full_jitter_stays_below_the_delay() {
        let clauses = json!([{ "ErrorEquals": ["A"], "IntervalSeconds": 8, "JitterStrategy": "FULL" }]);
        let delays = delays(clauses, &["A", "A", "A"]);
        for (delay, most) in delays.iter().zip([8.0, 16.0, 32.0]) {
            assert!(delay.is_some_and(|delay| (0.0..most).contains(&delay)), "{delays:?}");
        }
    }
}
