//! Tests of single states: what they take from the clock and from the tasks. The steps of the data are tested by the endpoint's API.

use asl::{Failure, StateTest, StateTested, TestStatus};
use serde_json::{Value, json};

use crate::fakes::{Stage, context, fails, machine, ok, only, task};

fn tested(stage: &Stage, state: Value) -> StateTested {
    let (machine, context) = (machine(&only(state)), context());
    let state = machine.state("S").expect("a state");
    stage.clock.run(StateTest::new(state, &context, json!({ "a": 1 })).tasks(stage).clock(&stage.clock).run())
}

#[test]
fn a_test_does_the_work_once_and_waits_for_no_retry() {
    let stage = Stage::new(|_| fails("Flaky").after_seconds(3));
    let retry = json!([{ "ErrorEquals": ["Flaky"], "IntervalSeconds": 60 }]);
    let result = tested(&stage, task(json!({ "Retry": retry })));
    assert_eq!((result.status, result.output), (TestStatus::Retriable, None));
    assert_eq!(result.inspection["errorDetails"], json!({ "retryIndex": 0, "retryBackoffIntervalSeconds": 60 }));
    assert_eq!((stage.calls().len(), stage.seconds()), (1, 3));
    assert_eq!(stage.events(), [], "a test has no history");
}

#[test]
fn a_test_takes_five_minutes_at_most() {
    let stage = Stage::bare();
    let wait = |seconds: u64| json!({ "Type": "Wait", "Seconds": seconds, "End": true });
    assert_eq!(tested(&stage, wait(299)).output, Some(json!({ "a": 1 })));
    let stage = Stage::bare();
    let result = tested(&stage, wait(301));
    let timeout = Failure { error: Some("States.Timeout".into()), cause: None };
    assert_eq!((result.status, result.failure, stage.seconds()), (TestStatus::Failed, Some(timeout), 300));
}

#[test]
fn a_branch_is_run_if_nothing_is_mocked() {
    let stage = Stage::new(|_| ok(json!(7)));
    let branch = json!({ "StartAt": "T", "States": { "T": task(json!({})) } });
    let result = tested(&stage, json!({ "Type": "Parallel", "Branches": [branch], "End": true }));
    assert_eq!((result.status, result.output), (TestStatus::Succeeded, Some(json!([7]))));
}
