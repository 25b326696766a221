//! Retries and catchers.

use asl::{Failure, Outcome};
use serde_json::{Value, json};

use crate::fakes::{Stage, caught, fails, ok, only, task};

fn retry(clause: Value) -> Value {
    task(json!({ "Retry": [clause] }))
}

#[test]
fn a_task_is_tried_again_with_growing_delays() {
    let stage = Stage::new(|called| if called.retry < 3 { fails("Throttled") } else { ok(json!("at last")) });
    let state =
        retry(json!({ "ErrorEquals": ["Throttled"], "IntervalSeconds": 2, "BackoffRate": 3.0, "MaxAttempts": 5 }));
    assert_eq!(stage.run(only(state), json!({})), Outcome::Succeeded(json!("at last")));
    let tries: Vec<(u32, u64)> = stage.calls().iter().map(|call| (call.retry, call.at_second)).collect();
    assert_eq!(tries, [(0, 0), (1, 2), (2, 8), (3, 26)]);
    // The state is not entered again; each attempt follows from the failure before it.
    assert_eq!(
        stage.story()[..9],
        [
            "1 <- 0 ExecutionStarted",
            "2 <- 0 TaskStateEntered",
            "3 <- 2 TaskScheduled",
            "4 <- 3 TaskStarted",
            "5 <- 4 TaskFailed",
            "6 <- 5 TaskScheduled",
            "7 <- 6 TaskStarted",
            "8 <- 7 TaskFailed",
            "9 <- 8 TaskScheduled",
        ]
    );
}

// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html: `MaxDelaySeconds` limits the delay, and
// full jitter selects a part of the limited delay.
#[test]
fn jitter_is_a_part_of_the_limited_delay() {
    let stage = Stage::new(|_| fails("Throttled"));
    let clause = json!({
        "ErrorEquals": ["Throttled"], "IntervalSeconds": 4, "BackoffRate": 2, "MaxDelaySeconds": 10, "MaxAttempts": 4,
        "JitterStrategy": "FULL",
    });
    stage.run(only(retry(clause)), json!({}));
    let tries: Vec<(u32, u64)> = stage.calls().iter().map(|call| (call.retry, call.at_second)).collect();
    // The delays are 4, 8, 10 and 10 seconds, and the clock selects half of each.
    assert_eq!(tries, [(0, 0), (1, 2), (2, 6), (3, 11), (4, 16)]);
}

#[test]
fn parameters_are_filled_in_anew_for_each_attempt() {
    let stage = Stage::new(|called| if called.retry == 0 { fails("E") } else { ok(called.input.clone()) });
    let state = crate::fakes::merged(
        retry(json!({ "ErrorEquals": ["States.ALL"] })),
        json!({ "Parameters": { "retries.$": "$$.State.RetryCount" } }),
    );
    assert_eq!(stage.run(only(state), json!({})), Outcome::Succeeded(json!({ "retries": 1 })));
}

#[test]
fn retries_run_out() {
    let stage = Stage::new(|_| fails("E"));
    let outcome = stage.run(only(retry(json!({ "ErrorEquals": ["E"], "MaxAttempts": 2 }))), json!({}));
    assert_eq!(outcome, Outcome::Failed(Failure::new("E", "E happened")));
    assert_eq!((stage.calls().len(), stage.seconds()), (3, 3));
}

#[test]
fn what_no_clause_is_for_fails_at_once() {
    let stage = Stage::new(|_| fails("E"));
    stage.run(only(retry(json!({ "ErrorEquals": ["F"] }))), json!({}));
    assert_eq!(stage.calls().len(), 1);
    let stage = Stage::new(|_| fails("E"));
    stage.run(only(retry(json!({ "ErrorEquals": ["E"], "MaxAttempts": 0 }))), json!({}));
    assert_eq!(stage.calls().len(), 1);
}

#[test]
fn timeouts_are_retried_when_named() {
    let clause = |error: &str| {
        crate::fakes::merged(retry(json!({ "ErrorEquals": [error], "MaxAttempts": 1 })), json!({ "TimeoutSeconds": 5 }))
    };
    for (error, calls) in [("States.Timeout", 2), ("States.ALL", 2), ("States.TaskFailed", 1)] {
        let stage = Stage::new(|_| ok(json!(1)).after_seconds(9));
        stage.run(only(clause(error)), json!({}));
        assert_eq!(stage.calls().len(), calls, "{error}");
    }
}

#[test]
fn a_caught_failure_goes_on_with_the_error_output() {
    let stage = Stage::new(|_| fails("QualityError"));
    let outcome = stage.run(caught(task(json!({})), json!(["QualityError"])), json!({ "a": 1 }));
    let error = json!({ "Error": "QualityError", "Cause": "QualityError happened" });
    assert_eq!(outcome, Outcome::Succeeded(error.clone()));
    assert_eq!(
        stage.story()[4..],
        [
            "5 <- 4 TaskFailed",
            "6 <- 5 TaskStateExited",
            "7 <- 6 PassStateEntered",
            "8 <- 7 PassStateExited",
            "9 <- 8 ExecutionSucceeded",
        ]
    );
    assert_eq!(stage.details("TaskStateExited")["output"], error.to_string());
}

#[test]
fn the_error_output_can_be_put_into_the_raw_input() {
    let mut machine = caught(task(json!({ "InputPath": "$.in", "OutputPath": "$.never" })), json!(["States.ALL"]));
    machine["States"]["S"]["Catch"][0]["ResultPath"] = json!("$.error");
    let stage = Stage::new(|_| fails("E"));
    let outcome = stage.run(machine, json!({ "in": {}, "kept": 1 }));
    assert_eq!(
        outcome,
        Outcome::Succeeded(json!({ "in": {}, "kept": 1, "error": { "Error": "E", "Cause": "E happened" } }))
    );
}

#[test]
fn the_first_catcher_that_matches_is_taken_after_the_retries() {
    let machine = json!({
        "StartAt": "S",
        "States": {
            "S": task(json!({
                "Retry": [{ "ErrorEquals": ["A"], "IntervalSeconds": 1, "MaxAttempts": 1 }],
                "Catch": [
                    { "ErrorEquals": ["B"], "Next": "OnB" },
                    { "ErrorEquals": ["States.TaskFailed"], "Next": "OnAny" },
                ],
            })),
            "OnB": { "Type": "Pass", "Result": "B", "End": true },
            "OnAny": { "Type": "Pass", "Result": "any", "End": true },
        },
    });
    for (error, expected, calls) in [("A", "any", 2), ("B", "B", 1), ("C", "any", 1)] {
        let stage = Stage::new(move |_| fails(error));
        assert_eq!(stage.run(machine.clone(), json!({})), Outcome::Succeeded(json!(expected)));
        assert_eq!(stage.calls().len(), calls, "{error}");
    }
}

#[test]
fn a_failure_that_no_catcher_is_for_ends_the_execution() {
    let stage = Stage::new(|_| fails("E"));
    let outcome = stage.run(caught(task(json!({})), json!(["F"])), json!({}));
    assert_eq!(outcome, Outcome::Failed(Failure::new("E", "E happened")));
    assert_eq!(stage.story()[4..], ["5 <- 4 TaskFailed", "6 <- 5 ExecutionFailed"]);
    assert_eq!(stage.details("ExecutionFailed"), json!({ "error": "E", "cause": "E happened" }));
}

#[test]
fn a_retried_state_starts_counting_anew_when_it_is_entered_again() {
    let machine = json!({
        "StartAt": "S",
        "States": {
            "S": task(json!({
                "Retry": [{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 1 }],
                "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "Again" }],
            })),
            "Again": { "Type": "Wait", "Seconds": 100, "Next": "S" },
        },
    });
    let stage = Stage::new(|called| if called.at_second < 200 { fails("E") } else { ok(json!("ok")) });
    assert_eq!(stage.run(machine, json!({})), Outcome::Succeeded(json!("ok")));
    let tries: Vec<(u32, u64)> = stage.calls().iter().map(|call| (call.retry, call.at_second)).collect();
    assert_eq!(tries, [(0, 0), (1, 1), (0, 101), (1, 102), (0, 202)]);
}
