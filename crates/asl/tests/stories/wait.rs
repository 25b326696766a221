//! Wait states.

use asl::Outcome;
use serde_json::{Value, json};

use crate::fakes::{Stage, merged, only};

fn wait(fields: Value) -> Value {
    only(merged(json!({ "Type": "Wait", "End": true }), fields))
}

#[test]
fn waits_take_as_long_as_they_say() {
    let input =
        json!({ "s": 90, "past": "2019-01-01T00:00:00Z", "future": "2020-04-01T11:30:00+01:00", "inner": { "s": 4 } });
    let cases = [
        (json!({ "Seconds": 0 }), 0),
        (json!({ "Seconds": 10 }), 10),
        (json!({ "Seconds": 99_999_999 }), 99_999_999),
        (json!({ "SecondsPath": "$.s" }), 90),
        (json!({ "SecondsPath": "$.s", "InputPath": "$.inner" }), 4),
        (json!({ "Timestamp": "2020-04-01T10:00:30Z" }), 30),
        (json!({ "Timestamp": "2020-04-01T09:00:00Z" }), 0),
        (json!({ "TimestampPath": "$.future" }), 1_800),
        (json!({ "TimestampPath": "$.past" }), 0),
    ];
    for (fields, seconds) in cases {
        let stage = Stage::bare();
        let outcome = stage.run(wait(fields.clone()), input.clone());
        assert!(matches!(outcome, Outcome::Succeeded(_)), "{fields}: {outcome:?}");
        assert_eq!(stage.seconds(), seconds, "{fields}");
    }
}

#[test]
fn waits_for_something_else_fail() {
    let cases = [
        (
            json!({ "SecondsPath": "$.x" }),
            json!({}),
            "The SecondsPath parameter does not reference an input value: $.x",
        ),
        (
            json!({ "TimestampPath": "$.x.y" }),
            json!({}),
            "The TimestampPath parameter does not reference an input value: $.x.y",
        ),
        (
            json!({ "SecondsPath": "$.x" }),
            json!({ "x": null }),
            "The SecondsPath parameter cannot be parsed as a long value: $.x == null",
        ),
        (json!({ "SecondsPath": "$.x" }), json!({ "x": "5" }), "$.x == \"5\""),
        (json!({ "SecondsPath": "$.x" }), json!({ "x": -1 }), "references a negative value: $.x == -1"),
        (json!({ "SecondsPath": "$.x" }), json!({ "x": 1.5 }), "$.x == 1.5"),
        (
            json!({ "TimestampPath": "$.x" }),
            json!({ "x": "2020-04-01T10:00:00" }),
            "An error occurred while executing the state 'S' (entered at the event id #2). The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: $.x == 2020-04-01T10:00:00",
        ),
        (json!({ "TimestampPath": "$.x" }), json!({ "x": 5 }), "$.x == 5"),
    ];
    for (fields, input, words) in cases {
        let stage = Stage::bare();
        let outcome = stage.run(wait(fields.clone()), input);
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("States.Runtime"));
        assert!(failure.cause.as_deref().is_some_and(|cause| cause.contains(words)), "{failure:?}");
        assert_eq!(stage.story()[1..], ["2 <- 0 WaitStateEntered", "3 <- 2 ExecutionFailed"]);
    }
}

/// The virtual clock starts at 2020-04-01T10:00:00Z.
#[test]
fn a_wait_of_more_than_2_to_the_31_seconds_fails_at_once() {
    let longest = u64::from(i32::MAX.unsigned_abs());
    let day = 24 * 60 * 60;
    let waits = [
        (json!({ "TimestampPath": "$.t" }), json!({ "t": "2088-04-19T10:00:00Z" }), 24_855 * day),
        (json!({ "Timestamp": "2088-04-19T10:00:00Z" }), json!({}), 24_855 * day),
        (json!({ "TimestampPath": "$.t" }), json!({ "t": "2088-04-19T13:14:07Z" }), longest),
        (json!({ "SecondsPath": "$.s" }), json!({ "s": longest }), longest),
        (json!({ "Seconds": 99_999_999 }), json!({}), 99_999_999),
    ];
    for (fields, input, seconds) in waits {
        let stage = Stage::bare();
        let outcome = stage.run(wait(fields.clone()), input);
        assert!(matches!(outcome, Outcome::Succeeded(_)), "{fields}: {outcome:?}");
        assert_eq!(stage.seconds(), seconds, "{fields}");
    }
    let refused = [
        (json!({ "TimestampPath": "$.t" }), json!({ "t": "2088-04-20T10:00:00Z" })),
        (json!({ "TimestampPath": "$.t" }), json!({ "t": "2088-04-19T13:14:08Z" })),
        (json!({ "TimestampPath": "$.t" }), json!({ "t": "9999-12-31T23:59:59Z" })),
        (json!({ "Timestamp": "2300-01-01T00:00:00Z" }), json!({})),
        (json!({ "SecondsPath": "$.s" }), json!({ "s": longest + 1 })),
        (json!({ "SecondsPath": "$.s" }), json!({ "s": u64::MAX })),
    ];
    for (fields, input) in refused {
        let stage = Stage::bare();
        let outcome = stage.run(wait(fields.clone()), input);
        let Outcome::Failed(failure) = outcome else { panic!("{fields}: {outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("States.Runtime"), "{fields}");
        assert!(failure.cause.as_deref().is_some_and(|cause| cause.ends_with("Wait state delay is too long.")));
        assert_eq!(stage.seconds(), 0, "{fields}");
        assert_eq!(stage.story()[1..], ["2 <- 0 WaitStateEntered", "3 <- 2 ExecutionFailed"]);
    }
}
