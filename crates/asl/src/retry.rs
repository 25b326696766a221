//! `Retry`: how often, and after how long, a state that failed is tried again.

use std::time::Duration;

use serde_json::Value;

use crate::definition::{Fields, MAX_SECONDS};
use crate::error_names::ErrorNames;
use crate::{DefinitionError, Failure};

/// One clause of a `Retry`.
#[derive(Clone, Debug)]
pub(crate) struct Retrier {
    errors: ErrorNames,
    interval: u64,
    max_attempts: u64,
    backoff_rate: f64,
    max_delay: Option<u64>,
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jitter {
    None,
    Full,
}

/// The longest `MaxDelaySeconds`: a year.
const MAX_DELAY: u64 = 31_622_400;

impl Retrier {
    pub(crate) fn parse_all(fields: &mut Fields) -> Result<Vec<Self>, DefinitionError> {
        let clauses = fields.objects("Retry")?;
        let count = clauses.len();
        let clauses = clauses.into_iter().enumerate();
        clauses.map(|(at, clause)| Self::parse(clause, at + 1 == count)).collect()
    }

    fn parse(mut fields: Fields, last: bool) -> Result<Self, DefinitionError> {
        let _comment = fields.text("Comment")?;
        let retrier = Self {
            errors: ErrorNames::parse(&mut fields, last)?,
            interval: fields.whole("IntervalSeconds", 1..=MAX_SECONDS)?.unwrap_or(1),
            max_attempts: fields.whole("MaxAttempts", 0..=MAX_SECONDS)?.unwrap_or(3),
            backoff_rate: backoff_rate(&mut fields)?,
            max_delay: fields.whole("MaxDelaySeconds", 1..=MAX_DELAY)?,
            jitter: fields.parsed("JitterStrategy", Jitter::parse)?.unwrap_or(Jitter::None),
        };
        if retrier.max_delay.is_some_and(|most| most <= retrier.interval) {
            let message = "Value must be greater than IntervalSeconds";
            return Err(fields.fault("MaxDelaySeconds", message));
        }
        fields.finish()?;
        Ok(retrier)
    }

    /// How long to wait before the next attempt, when `retries` have been made under this clause.
    fn delay(&self, retries: u64) -> Duration {
        let exponent = i32::try_from(retries).unwrap_or(i32::MAX);
        let seconds = self.interval as f64 * self.backoff_rate.powi(exponent);
        let seconds = seconds.min(self.max_delay.unwrap_or(MAX_SECONDS) as f64);
        let seconds = match self.jitter {
            Jitter::None => seconds,
            Jitter::Full => seconds * fastrand::f64(),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(MAX_SECONDS))
    }
}

impl Jitter {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "NONE" => Ok(Self::None),
            "FULL" => Ok(Self::Full),
            other => Err(format!("'{other}' is not a jitter strategy: use FULL or NONE")),
        }
    }
}

fn backoff_rate(fields: &mut Fields) -> Result<f64, DefinitionError> {
    match fields.take("BackoffRate").as_ref().map(Value::as_f64) {
        None => Ok(2.0),
        Some(Some(rate)) if rate >= 1.0 => Ok(rate),
        Some(_) => Err(fields.fault("BackoffRate", "Value must be a number of at least 1.0")),
    }
}

/// The retries of one visit to a state. Each clause counts its own.
pub(crate) struct Retries<'a> {
    retriers: &'a [Retrier],
    made: Vec<u64>,
}

impl<'a> Retries<'a> {
    pub(crate) fn of(retriers: &'a [Retrier]) -> Self {
        Self { retriers, made: vec![0; retriers.len()] }
    }

    /// How many there have been, over all clauses.
    pub(crate) fn count(&self) -> u32 {
        let total = self.made.iter().sum::<u64>();
        u32::try_from(total).unwrap_or(u32::MAX)
    }

    /// How long to wait before another attempt; `None` if there is to be none. The first clause that matches decides.
    pub(crate) fn next(&mut self, failure: &Failure, in_branch: bool) -> Option<Duration> {
        let (retrier, made) = self
            .retriers
            .iter()
            .zip(&mut self.made)
            .find(|(retrier, _)| retrier.errors.match_failure(failure, in_branch))?;
        (*made < retrier.max_attempts).then(|| {
            *made += 1;
            retrier.delay(*made - 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn retriers(clauses: Value) -> Result<Vec<Retrier>, DefinitionError> {
        let mut fields = Fields::of(json!({ "Retry": clauses }), "/S").expect("an object");
        Retrier::parse_all(&mut fields)
    }

    fn delays(clauses: Value, failures: &[&str]) -> Vec<Option<f64>> {
        let retriers = retriers(clauses).expect("retriers");
        let mut retries = Retries::of(&retriers);
        let delays = failures.iter().map(|error| {
            let delay = retries.next(&Failure::new(*error, ""), false);
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

    #[test]
    fn faulty_clauses_are_refused_where_they_are() {
        let cases = [
            (json!([{}]), "/S/Retry[0]"),
            (json!(["x"]), "/S/Retry[0]"),
            (json!([{ "ErrorEquals": ["A"], "BackoffRate": 0.5 }]), "/S/Retry[0]/BackoffRate"),
            (json!([{ "ErrorEquals": ["A"], "IntervalSeconds": 0 }]), "/S/Retry[0]/IntervalSeconds"),
            (json!([{ "ErrorEquals": ["A"], "MaxAttempts": -1 }]), "/S/Retry[0]/MaxAttempts"),
            (
                json!([{ "ErrorEquals": ["A"], "IntervalSeconds": 9, "MaxDelaySeconds": 9 }]),
                "/S/Retry[0]/MaxDelaySeconds",
            ),
            (json!([{ "ErrorEquals": ["A"], "JitterStrategy": "SOME" }]), "/S/Retry[0]/JitterStrategy"),
            (json!([{ "ErrorEquals": ["A"], "Attempts": 1 }]), "/S/Retry[0]/Attempts"),
            (json!([{ "ErrorEquals": ["States.ALL"] }, { "ErrorEquals": ["A"] }]), "/S/Retry[0]/ErrorEquals"),
        ];
        for (clauses, location) in cases {
            let error = retriers(clauses.clone()).expect_err("refused");
            assert_eq!(error.location, location, "{clauses}");
        }
    }
}
