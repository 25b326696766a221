//! The branches of Parallel states.

use asl::{Failure, Outcome};
use serde_json::{Value, json};

use crate::fakes::{Called, Stage, caught, fails, ok, only, task};

/// Returns a branch of one task.
fn branch(name: &str) -> Value {
    json!({ "StartAt": name, "States": { name: task(json!({})) } })
}

fn parallel(branches: &[Value]) -> Value {
    json!({ "Type": "Parallel", "Branches": branches, "End": true })
}

#[test]
fn branches_run_together_and_give_their_outputs_in_order() {
    let stage = Stage::new(|called| ok(json!(called.state)).after_seconds(if called.state == "A" { 5 } else { 3 }));
    let outcome = stage.run(only(parallel(&[branch("A"), branch("B"), branch("C")])), json!({ "x": 1 }));
    assert_eq!(outcome, Outcome::Succeeded(json!(["A", "B", "C"])));
    assert_eq!(stage.seconds(), 5);
    assert!(stage.calls().iter().all(|call| call.input == json!({ "x": 1 })));
}

#[test]
fn the_history_forks_and_joins() {
    let pass = |name: &str| json!({ "StartAt": name, "States": { name: { "Type": "Pass", "End": true } } });
    let stage = Stage::bare();
    stage.run(only(parallel(&[pass("A"), pass("B")])), json!({}));
    assert_eq!(
        stage.story(),
        [
            "1 <- 0 ExecutionStarted",
            "2 <- 0 ParallelStateEntered",
            "3 <- 2 ParallelStateStarted",
            "4 <- 3 PassStateEntered",
            "5 <- 4 PassStateExited",
            "6 <- 3 PassStateEntered",
            "7 <- 6 PassStateExited",
            "8 <- 7 ParallelStateSucceeded",
            "9 <- 7 ParallelStateExited",
            "10 <- 9 ExecutionSucceeded",
        ]
    );
}

#[test]
fn a_branch_that_fails_aborts_its_siblings() {
    let waits = json!({ "StartAt": "W", "States": { "W": { "Type": "Wait", "Seconds": 100, "End": true } } });
    let fail = json!({ "StartAt": "Bad", "States": { "Bad": { "Type": "Wait", "Seconds": 2, "Next": "F" }, "F": { "Type": "Fail", "Error": "E" } } });
    let stage = Stage::new(|_| ok(json!(1)).after_seconds(50));
    let outcome = stage.run(only(parallel(&[branch("T"), waits, fail])), json!({}));
    assert_eq!(outcome, Outcome::Failed(Failure { error: Some("E".into()), cause: None }));
    assert_eq!(stage.seconds(), 2);
    assert_eq!(*stage.dropped.lock().expect("dropped"), ["T"]);
    assert_eq!(
        stage.story()[9..],
        [
            "10 <- 9 FailStateEntered",
            "11 <- 10 TaskStateAborted",
            "12 <- 10 WaitStateAborted",
            "13 <- 10 ParallelStateFailed",
            "14 <- 13 ExecutionFailed",
        ]
    );
}

#[test]
fn a_failed_branch_can_be_caught_by_its_error_or_as_a_branch() {
    for errors in [json!(["E"]), json!(["States.BranchFailed"]), json!(["States.ALL"]), json!(["States.TaskFailed"])] {
        let stage = Stage::new(|_| fails("E"));
        let outcome = stage.run(caught(parallel(&[branch("T")]), errors.clone()), json!({}));
        assert_eq!(outcome, Outcome::Succeeded(json!({ "Error": "E", "Cause": "E happened" })), "{errors}");
        let story = stage.story();
        assert_eq!(story[6..9], ["7 <- 6 TaskFailed", "8 <- 7 TaskStateAborted", "9 <- 7 ParallelStateFailed"]);
        assert_eq!(story[9], "10 <- 9 ParallelStateExited");
    }
}

#[test]
fn a_failed_state_runs_all_its_branches_again() {
    let first = |called: &Called| called.at_second == 0;
    let stage = Stage::new(move |called| if called.state == "B" && first(called) { fails("E") } else { ok(json!(1)) });
    let mut state = parallel(&[branch("A"), branch("B")]);
    state["Retry"] = json!([{ "ErrorEquals": ["E"], "IntervalSeconds": 10 }]);
    assert_eq!(stage.run(only(state), json!({})), Outcome::Succeeded(json!([1, 1])));
    let calls: Vec<(String, u64)> = stage.calls().into_iter().map(|call| (call.state, call.at_second)).collect();
    let expected = [("A", 0), ("B", 0), ("A", 10), ("B", 10)].map(|(state, at)| (state.to_owned(), at));
    assert_eq!(calls, expected);
    let types = stage.types();
    assert_eq!(types.iter().filter(|name| *name == "ParallelStateStarted").count(), 2);
    assert!(!types.contains(&"ParallelStateFailed".to_owned()));
}

#[test]
fn parameters_selector_and_paths_apply_to_the_whole() {
    let mut state = parallel(&[branch("A"), branch("B")]);
    state["Parameters"] = json!({ "only.$": "$.x" });
    state["ResultSelector"] = json!({ "first.$": "$[0]" });
    state["ResultPath"] = json!("$.out");
    let stage = Stage::new(|called| ok(called.input.clone()));
    let outcome = stage.run(only(state), json!({ "x": 1 }));
    assert_eq!(outcome, Outcome::Succeeded(json!({ "x": 1, "out": { "first": { "only": 1 } } })));
}

#[test]
fn a_runtime_error_in_a_branch_ends_the_execution() {
    let broken = json!({ "StartAt": "P", "States": { "P": { "Type": "Pass", "InputPath": "$.gone", "End": true } } });
    let stage = Stage::bare();
    let outcome = stage.run(caught(parallel(&[broken]), json!(["States.ALL"])), json!({}));
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.error.as_deref(), Some("States.Runtime"));
    assert_eq!(stage.story()[3..], ["4 <- 3 PassStateEntered", "5 <- 4 ExecutionFailed"]);
}

#[test]
fn branches_nest() {
    let inner = parallel(&[branch("A"), branch("B")]);
    let outer = json!({ "StartAt": "Inner", "States": { "Inner": inner } });
    let stage = Stage::new(|called| match called.state.as_str() {
        "C" => fails("E").after_seconds(1),
        _ => ok(json!(1)).after_seconds(9),
    });
    stage.run(only(parallel(&[outer, branch("C")])), json!({}));
    let aborted: Vec<String> = stage.types().into_iter().filter(|name| name.contains("Aborted")).collect();
    assert_eq!(aborted, ["ParallelStateAborted", "TaskStateAborted", "TaskStateAborted", "TaskStateAborted"]);
}
