//! The arguments of tasks, and their time limits.

use std::time::Duration;

use asl::{Failure, Outcome};
use serde_json::json;

use crate::fakes::{Called, Stage, caught, ok, only, task};

#[test]
fn a_task_receives_its_context() {
    let stage = Stage::new(|_| ok(json!(1)));
    stage.run(only(task(json!({ "TimeoutSeconds": 30 }))), json!({ "a": 1 }));
    let expected = Called {
        state: "S".into(),
        resource: "arn:aws:states:::lambda:invoke".into(),
        input: json!({ "a": 1 }),
        retry: 0,
        at_second: 0,
        timeout: Some(Duration::from_secs(30)),
    };
    assert_eq!(stage.calls(), [expected]);
}

#[test]
fn a_task_that_takes_too_long_times_out_and_is_dropped() {
    let stage = Stage::new(|_| ok(json!(1)).after_seconds(6));
    let outcome = stage.run(only(task(json!({ "TimeoutSeconds": 5 }))), json!({}));
    let timeout = Failure { error: Some("States.Timeout".into()), cause: None };
    assert_eq!(outcome, Outcome::Failed(timeout));
    assert_eq!(stage.seconds(), 5);
    assert_eq!(stage.story()[4..], ["5 <- 4 TaskTimedOut", "6 <- 5 ExecutionFailed"]);
    assert_eq!(
        stage.details("TaskTimedOut"),
        json!({ "resourceType": "lambda", "resource": "invoke", "error": "States.Timeout" })
    );
    assert_eq!(*stage.dropped.lock().expect("dropped"), ["S"]);
}

#[test]
fn a_task_that_answers_in_its_last_second_is_in_time() {
    let stage = Stage::new(|_| ok(json!(1)).after_seconds(5));
    let outcome = stage.run(only(task(json!({ "TimeoutSeconds": 5 }))), json!({}));
    assert_eq!(outcome, Outcome::Succeeded(json!(1)));
}

#[test]
fn a_time_limit_may_come_from_the_input() {
    let state = || task(json!({ "InputPath": "$.in", "Parameters": {}, "TimeoutSecondsPath": "$.limit" }));
    let stage = Stage::new(|_| ok(json!(1)).after_seconds(60));
    let outcome = stage.run(caught(state(), json!(["States.Timeout"])), json!({ "in": { "limit": 3 } }));
    assert_eq!(outcome, Outcome::Succeeded(json!({ "Error": "States.Timeout", "Cause": "" })));
    assert_eq!(stage.seconds(), 3);
    for limit in [json!(0), json!("3"), json!(-1), json!(null)] {
        let outcome = Stage::bare().run(only(state()), json!({ "in": { "limit": limit } }));
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("States.Runtime"), "{limit}");
    }
}
