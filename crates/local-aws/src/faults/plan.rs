//! The text form of a fault plan.
//!
//! ```text
//! PLAN      = ITEM, ITEM, ...
//! ITEM      = CONDITION & CONDITION ... : KIND [@ PROBABILITY]   |   speed=N
//! CONDITION = *   n=17   n=17-20   service=s3   op=PutObject   key=quotes/*
//! KIND      = throttle error deny reset reject lost truncate reorder late late=K delay=TIME abort abort-after
//! TIME      = 250ms   2s
//! ```
//!
//! In `op` and `key`, `*` matches any number of characters. `n` counts the calls that match the other conditions of its item,
//! starting from 1. The first item that applies to a call decides.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::call::{Service, ServiceCall};

/// A fault plan: which calls fail, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan {
    pub(super) rules: Vec<Rule>,
    pub(super) seed: u64,
    /// The factor by which the waits of workflows and of clients are shortened.
    pub(super) speed: u32,
}

/// An item of a plan: conditions, a fault and its probability.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) numbers: Option<RangeInclusive<u64>>,
    pub(super) service: Option<Service>,
    pub(super) operation: Option<Pattern>,
    pub(super) key: Option<Pattern>,
    pub(super) kind: Fault,
    pub(super) probability: f64,
}

/// A fault of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Not executed, and refused. `None`: the kind of refusal is chosen by the seed.
    Reject(Option<Refusal>),
    /// Executed, and the response is lost.
    Lost,
    /// Executed, and the response is cut off halfway.
    Truncate,
    /// Executed and answered after this time.
    Delay(Duration),
    /// Executed after the next call.
    Reorder,
    /// The connection breaks at once, and the call is executed after this many others.
    Late(u64),
    /// The process aborts before the call is executed.
    Abort,
    /// The process aborts after the call is executed and before it is answered.
    AbortAfter,
}

/// A kind of refusal of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Throttled: 503 `SlowDown`, `ThrottlingException`.
    Throttle,
    /// An internal error of the service: 500.
    Internal,
    /// Access denied: 403.
    Deny,
    /// The connection breaks.
    Reset,
}

impl Refusal {
    pub(super) const ALL: [Refusal; 4] = [Refusal::Throttle, Refusal::Internal, Refusal::Deny, Refusal::Reset];
}

/// A syntax error of a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fault plan, at character {character} ({text:?}): {why}")]
pub struct FaultPlanError {
    character: usize,
    text: String,
    why: &'static str,
}

const SERVICES: &str = "a service is s3, athena, glue, states, emr, emr-serverless, lambda, sts, spark or events";
const KINDS: &str = "a kind is throttle, error, deny, reset, reject, lost, truncate, reorder, late, late=K, delay=TIME, \
                     abort or abort-after";
const CONDITIONS: &str = "a condition is *, n=N, n=FROM-TO, service=NAME, op=PATTERN or key=PATTERN";

impl FaultPlan {
    /// Sets the seed, which is 1 by default. The same plan and seed inject the same faults into the same calls.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> FaultPlan {
        FaultPlan { seed, ..self }
    }
}

/// Parses a plan. An error has the position of what is wrong.
impl FromStr for FaultPlan {
    type Err = FaultPlanError;

    fn from_str(text: &str) -> Result<FaultPlan, FaultPlanError> {
        let mut plan = FaultPlan { rules: Vec::new(), seed: 1, speed: 1 };
        for item in Span::whole(text).split(',') {
            match item.text.strip_prefix("speed=") {
                Some(speed) => {
                    let speed = speed.parse().ok().filter(|speed| (1..=1_000_000).contains(speed));
                    plan.speed = speed.ok_or_else(|| item.error("speed is a number from 1 to 1000000"))?;
                }
                None => plan.rules.push(Rule::parse(item)?),
            }
        }
        Ok(plan)
    }
}

impl Rule {
    fn parse(item: Span<'_>) -> Result<Rule, FaultPlanError> {
        let Some((conditions, kind)) = item.split_once(':') else {
            return Err(item.error("an item is CONDITIONS:KIND, as in n=17:lost"));
        };
        let (kind, probability) = match kind.split_once('@') {
            None => (kind, 1.0),
            Some((kind, part)) => {
                let probability = part.text.parse().ok().filter(|probability| (0.0..=1.0).contains(probability));
                (kind, probability.ok_or_else(|| part.error("a probability is a number from 0 to 1"))?)
            }
        };
        let kind = Fault::parse(kind)?;
        let mut rule = Rule { numbers: None, service: None, operation: None, key: None, kind, probability };
        for condition in conditions.split('&') {
            rule.add(condition)?;
        }
        Ok(rule)
    }

    fn add(&mut self, condition: Span<'_>) -> Result<(), FaultPlanError> {
        if condition.text == "*" {
            return Ok(());
        }
        let (name, value) = condition.split_once('=').ok_or_else(|| condition.error(CONDITIONS))?;
        let is_repeated = match name.text {
            "n" => self.numbers.replace(numbers(value)?).is_some(),
            "service" => {
                let service = value.text.parse().map_err(|_| value.error(SERVICES))?;
                self.service.replace(service).is_some()
            }
            "op" => self.operation.replace(Pattern::parse(value)?).is_some(),
            "key" => self.key.replace(Pattern::parse(value)?).is_some(),
            _ => return Err(condition.error(CONDITIONS)),
        };
        if is_repeated { Err(condition.error("this condition is there twice in one item")) } else { Ok(()) }
    }

    /// Whether all conditions but `n` match a call.
    pub(super) fn matches(&self, call: &ServiceCall) -> bool {
        self.service.is_none_or(|service| service == call.service)
            && self.operation.as_ref().is_none_or(|pattern| pattern.matches(&call.operation))
            && self.key.as_ref().is_none_or(|pattern| pattern.matches(&call.key))
    }
}

fn numbers(value: Span<'_>) -> Result<RangeInclusive<u64>, FaultPlanError> {
    let number = |part: Span<'_>| {
        let number = part.text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| part.error("n is the number of a call from 1 on, or two with a - between them"))
    };
    match value.split_once('-') {
        None => number(value).map(|number| number..=number),
        Some((from, to)) => {
            let range = number(from)?..=number(to)?;
            if range.is_empty() { Err(value.error("the first number is above the last")) } else { Ok(range) }
        }
    }
}

impl Fault {
    fn parse(part: Span<'_>) -> Result<Fault, FaultPlanError> {
        Ok(match part.text {
            "throttle" => Fault::Reject(Some(Refusal::Throttle)),
            "error" => Fault::Reject(Some(Refusal::Internal)),
            "deny" => Fault::Reject(Some(Refusal::Deny)),
            "reset" => Fault::Reject(Some(Refusal::Reset)),
            "reject" => Fault::Reject(None),
            "lost" => Fault::Lost,
            "truncate" => Fault::Truncate,
            "reorder" => Fault::Reorder,
            "late" => Fault::Late(1),
            "abort" => Fault::Abort,
            "abort-after" => Fault::AbortAfter,
            _ => return Fault::parse_with_value(part),
        })
    }

    fn parse_with_value(part: Span<'_>) -> Result<Fault, FaultPlanError> {
        let (name, value) = part.split_once('=').ok_or_else(|| part.error(KINDS))?;
        match name.text {
            "late" => {
                let calls = value.text.parse().ok().filter(|calls| (1..=1_000).contains(calls));
                calls.map(Fault::Late).ok_or_else(|| value.error("late is a number of calls from 1 to 1000"))
            }
            "delay" => duration(value.text)
                .map(Fault::Delay)
                .ok_or_else(|| value.error("a time is written 250ms or 2s, and is at most an hour")),
            _ => Err(part.error(KINDS)),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let number = digits.parse().ok()?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return None,
    };
    Some(duration).filter(|duration| *duration <= Duration::from_hours(1))
}

/// A wildcard pattern, as the literals between its `*`s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    fn parse(value: Span<'_>) -> Result<Pattern, FaultPlanError> {
        if value.text.is_empty() {
            return Err(value.error("a pattern is not empty; * fits everything"));
        }
        Ok(Pattern(value.text.split('*').map(str::to_owned).collect()))
    }

    fn matches(&self, text: &str) -> bool {
        let (first, others) = self.0.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
        let Some((last, middle)) = others.split_last() else { return text == first };
        let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last.as_str())) else {
            return false;
        };
        middle.iter().all(|piece| match rest.split_once(piece.as_str()) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

/// A part of the text of a plan, with its position for error messages.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    /// The position in characters, from 0.
    at: usize,
    text: &'a str,
}

impl<'a> Span<'a> {
    fn whole(text: &'a str) -> Span<'a> {
        Span { at: 0, text }
    }

    fn split(self, at: char) -> impl Iterator<Item = Span<'a>> {
        let mut next = self.at;
        self.text.split(at).map(move |text| {
            let part = Span { at: next, text };
            next += text.chars().count() + 1;
            part
        })
    }

    fn split_once(self, at: char) -> Option<(Span<'a>, Span<'a>)> {
        let (before, after) = self.text.split_once(at)?;
        Some((Span { text: before, ..self }, Span { at: self.at + before.chars().count() + 1, text: after }))
    }

    fn error(self, why: &'static str) -> FaultPlanError {
        FaultPlanError { character: self.at + 1, text: self.text.to_owned(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> FaultPlan {
        text.parse().unwrap()
    }

    fn call(service: Service, operation: &str, key: &str) -> ServiceCall {
        ServiceCall { service, operation: operation.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn plans_are_read() {
        let plan = parse("n=17:lost,service=s3&op=Put*&key=quotes/*&n=2-3:reject@0.25,speed=100,*:delay=250ms");
        assert_eq!((plan.seed, plan.speed, plan.rules.len()), (1, 100, 3));
        assert_eq!(plan.rules[0].numbers, Some(17..=17));
        assert_eq!((plan.rules[0].kind, plan.rules[0].probability), (Fault::Lost, 1.0));
        assert_eq!((plan.rules[1].service, plan.rules[1].numbers.clone()), (Some(Service::S3), Some(2..=3)));
        assert_eq!((plan.rules[1].kind, plan.rules[1].probability), (Fault::Reject(None), 0.25));
        assert_eq!(plan.rules[2].kind, Fault::Delay(Duration::from_millis(250)));
        for (text, kind) in [
            ("throttle", Fault::Reject(Some(Refusal::Throttle))),
            ("error", Fault::Reject(Some(Refusal::Internal))),
            ("deny", Fault::Reject(Some(Refusal::Deny))),
            ("reset", Fault::Reject(Some(Refusal::Reset))),
            ("truncate", Fault::Truncate),
            ("reorder", Fault::Reorder),
            ("late", Fault::Late(1)),
            ("late=5", Fault::Late(5)),
            ("delay=2s", Fault::Delay(Duration::from_secs(2))),
            ("abort", Fault::Abort),
            ("abort-after", Fault::AbortAfter),
        ] {
            assert_eq!(parse(&format!("*:{text}")).rules[0].kind, kind);
        }
    }

    #[test]
    fn what_is_no_plan_is_refused_with_its_place() {
        for (text, character, part) in [
            ("", 1, ""),
            ("n=17", 1, "n=17"),
            ("n=17:lost,", 11, ""),
            ("n=17:lost,n=x:lost", 13, "x"),
            ("n=0:lost", 3, "0"),
            ("n=5-3:lost", 3, "5-3"),
            ("n=1-:lost", 5, ""),
            ("*:looses", 3, "looses"),
            ("*:late=0", 8, "0"),
            ("*:delay=5", 9, "5"),
            ("*:delay=999999999999999999999s", 9, "999999999999999999999s"),
            ("*:delay=3601s", 9, "3601s"),
            ("*:lost@2", 8, "2"),
            ("*:lost@nan", 8, "nan"),
            ("*:lost@-0.1", 8, "-0.1"),
            ("service=S3:lost", 9, "S3"),
            ("op=:lost", 4, ""),
            ("é=1:lost", 1, "é=1"),
            ("key=é&op=:lost", 10, ""),
            ("op=A&op=B:lost", 6, "op=B"),
            ("speed=0", 1, "speed=0"),
            ("PutObject:lost", 1, "PutObject"),
        ] {
            let error = text.parse::<FaultPlan>().unwrap_err();
            assert_eq!((error.character, error.text.as_str()), (character, part), "{text}: {error}");
        }
        let said = "n=x:lost".parse::<FaultPlan>().unwrap_err().to_string();
        assert_eq!(
            said,
            "the fault plan, at character 3 (\"x\"): n is the number of a call from 1 on, or two with a - between them"
        );
    }

    #[test]
    fn rules_are_about_calls() {
        let about = |text: &str, call: &ServiceCall| parse(text).rules[0].matches(call);
        let put = call(Service::S3, "PutObject", "pregao-raw/quotes/date=2020-04-01/a.csv");
        for text in
            ["*:lost", "n=9:lost", "op=PutObject:lost", "op=*:lost", "key=*/quotes/*.csv:lost", "service=s3:lost"]
        {
            assert!(about(text, &put), "{text}");
        }
        for text in ["op=Put:lost", "op=putobject:lost", "key=quotes*:lost", "service=athena:lost", "op=P*&key=x:lost"]
        {
            assert!(!about(text, &put), "{text}");
        }
    }

    #[test]
    fn patterns_fit_whole_texts() {
        let is_match = |pattern: &str, text: &str| Pattern::parse(Span::whole(pattern)).unwrap().matches(text);
        for (pattern, text) in
            [("*", ""), ("a*b*c", "abc"), ("a*b*c", "a1b2b3c"), ("a**", "a"), ("abc", "abc"), ("*b", "bb")]
        {
            assert!(is_match(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a*a", "a"), ("ab*ba", "aba"), ("a*b*c", "acb"), ("abc", "abcd"), ("*b*", "ac")] {
            assert!(!is_match(pattern, text), "{pattern} {text}");
        }
    }
}
