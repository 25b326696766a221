//! `Retry`: the retry policy of a state.

use serde_json::Value;

use super::error_names::ErrorNames;
use crate::syntax::{DefinitionError, Fields, MAX_SECONDS};

/// The longest `MaxDelaySeconds`: a year.
const MAX_DELAY: u64 = 31_622_400;

/// One clause of a `Retry`.
#[derive(Clone, Debug)]
pub(crate) struct Retrier {
    pub(crate) errors: ErrorNames,
    /// The first delay, in seconds.
    pub(crate) interval: u64,
    pub(crate) max_attempts: u64,
    pub(crate) backoff_rate: f64,
    /// The longest delay, in seconds.
    pub(crate) max_delay: Option<u64>,
    pub(crate) jitter: Jitter,
}

/// `JitterStrategy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jitter {
    None,
    Full,
}

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
            return Err(fields.error("MaxDelaySeconds", message));
        }
        fields.finish()?;
        Ok(retrier)
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
        Some(_) => Err(fields.error("BackoffRate", "Value must be a number of at least 1.0")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn retriers(clauses: Value) -> Result<Vec<Retrier>, DefinitionError> {
        let mut fields = Fields::parse(json!({ "Retry": clauses }), "/S").expect("an object");
        Retrier::parse_all(&mut fields)
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
