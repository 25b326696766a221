//! Waiting.

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
            "SecondsPath parameter does not reference a whole number of seconds",
        ),
        (json!({ "SecondsPath": "$.x" }), json!({ "x": "5" }), "$.x == \"5\""),
        (json!({ "SecondsPath": "$.x" }), json!({ "x": -1 }), "$.x == -1"),
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
