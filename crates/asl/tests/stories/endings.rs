//! The outcomes of an execution.

use std::time::Duration;

use asl::{Clock, Execution, Failure, Outcome, Redrive};
use futures::FutureExt;
use serde_json::{Value, json};

use crate::fakes::{Stage, context, fails, machine, ok, only, task};
use crate::virtual_clock::VirtualClock;

#[test]
fn fail_states_report_their_error_and_cause() {
    let cases = [
        (json!({}), Failure::default()),
        (json!({ "Error": "E", "Cause": "C" }), Failure::new("E", "C")),
        (json!({ "ErrorPath": "$.e", "CausePath": "$.c" }), Failure::new("from input", "why")),
        (
            json!({ "Error": "422", "CausePath": "States.Format('{}: {}', $.e, $$.Execution.Name)" }),
            Failure::new("422", "from input: run-1"),
        ),
    ];
    for (fields, expected) in cases {
        let stage = Stage::bare();
        let state = crate::fakes::merged(json!({ "Type": "Fail" }), fields);
        let outcome = stage.run(only(state.clone()), json!({ "e": "from input", "c": "why" }));
        assert_eq!(outcome, Outcome::Failed(expected), "{state}");
        assert_eq!(stage.story(), ["1 <- 0 ExecutionStarted", "2 <- 0 FailStateEntered", "3 <- 2 ExecutionFailed"]);
    }
}

#[test]
fn fail_states_need_text_from_their_paths() {
    for path in ["$.gone", "$.n"] {
        let outcome = Stage::bare().run(only(json!({ "Type": "Fail", "CausePath": path })), json!({ "n": 1 }));
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("States.Runtime"), "{path}");
    }
}

#[test]
fn a_machine_that_takes_too_long_times_out() {
    let mut definition = only(task(json!({})));
    definition["TimeoutSeconds"] = json!(60);
    let stage = Stage::new(|_| ok(json!(1)).after_seconds(61));
    assert_eq!(stage.run(definition, json!({})), Outcome::TimedOut(Failure::default()));
    assert_eq!(stage.seconds(), 60);
    assert_eq!(
        stage.story(),
        [
            "1 <- 0 ExecutionStarted",
            "2 <- 0 TaskStateEntered",
            "3 <- 2 TaskScheduled",
            "4 <- 3 TaskStarted",
            "5 <- 0 ExecutionTimedOut",
        ]
    );
    assert_eq!(*stage.dropped.lock().expect("dropped"), ["S"]);
}

#[test]
fn a_stopped_execution_is_aborted_where_it_is() {
    let stage = Stage::new(|_| ok(json!(1)).after_seconds(1_000));
    let why = Failure::new("Operator", "wrong day");
    let outcome = stage.run_beside(only(task(json!({}))), |switch| {
        let clock = &stage.clock;
        async move {
            clock.sleep(Duration::from_secs(7)).await;
            switch.stop(Failure::new("Operator", "wrong day"));
            switch.stop(Failure::new("Operator", "too late to matter"));
        }
        .boxed()
    });
    assert_eq!(outcome, Outcome::Aborted(why));
    assert_eq!(stage.seconds(), 7);
    assert_eq!(stage.story().last().map(String::as_str), Some("5 <- 0 ExecutionAborted"));
    assert_eq!(stage.details("ExecutionAborted"), json!({ "error": "Operator", "cause": "wrong day" }));
    assert_eq!(*stage.dropped.lock().expect("dropped"), ["S"]);
}

#[test]
fn a_switch_that_is_dropped_stops_nothing() {
    let stage = Stage::new(|_| ok(json!("done")).after_seconds(5));
    let outcome = stage.run_beside(only(task(json!({}))), |switch| async move { drop(switch) }.boxed());
    assert_eq!(outcome, Outcome::Succeeded(json!("done")));
}

#[test]
fn a_loop_that_never_waits_can_be_stopped() {
    let stage = Stage::bare();
    let outcome = stage.run_beside(endless(), |switch| {
        async move {
            tokio::task::yield_now().await;
            switch.stop(Failure::default());
        }
        .boxed()
    });
    assert_eq!(outcome, Outcome::Aborted(Failure::default()));
    assert_eq!(stage.details("ExecutionAborted"), json!({}));
}

#[test]
fn a_history_of_25_000_events_is_the_end() {
    let stage = Stage::bare();
    let cause = "The execution reached the maximum number of history events (25000).";
    assert_eq!(stage.run(endless(), json!({})), Outcome::Failed(Failure::new("States.Runtime", cause)));
    let events = stage.events();
    assert_eq!(events.len(), 25_000);
    assert_eq!(events.last().map(|event| event.kind.type_name()), Some("ExecutionFailed".to_owned()));
}

fn endless() -> Value {
    json!({
        "StartAt": "Loop",
        "States": {
            "Loop": { "Type": "Pass", "Next": "Again?" },
            "Again?": { "Type": "Choice", "Choices": [{ "Variable": "$.stop", "IsPresent": true, "Next": "Done" }], "Default": "Loop" },
            "Done": { "Type": "Succeed" },
        },
    })
}

#[test]
fn executions_run_on_tokio_by_the_computers_clock() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let definition = json!({
        "StartAt": "Wait",
        "States": { "Wait": { "Type": "Wait", "Timestamp": "2020-04-01T10:00:00Z", "Next": "Pass" }, "Pass": { "Type": "Pass", "End": true } },
    });
    let (machine, stage, context) = (machine(&definition), Stage::bare(), context());
    let before = chrono::Utc::now();
    let outcome = runtime.block_on(Execution::new(&machine, &context, json!({ "a": 1 })).history(&stage).run());
    assert_eq!(outcome, Outcome::Succeeded(json!({ "a": 1 })));
    assert!(stage.events().iter().all(|event| event.timestamp >= before));
}

#[test]
fn an_execution_can_be_spawned() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let machine = machine(&only(json!({ "Type": "Succeed" })));
    let outcome = runtime.block_on(async {
        let execution = tokio::spawn(async move {
            let (stage, context) = (Stage::bare(), context());
            Execution::new(&machine, &context, json!(1)).tasks(&stage).history(&stage).run().await
        });
        execution.await.expect("no panic")
    });
    assert_eq!(outcome, Outcome::Succeeded(json!(1)));
}

#[test]
fn without_tasks_each_task_fails() {
    let (machine, context) = (machine(&only(task(json!({})))), context());
    let outcome = VirtualClock::default().run(Execution::new(&machine, &context, json!({})).run());
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.error.as_deref(), Some("States.TaskFailed"));
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html>
#[test]
fn a_redriven_execution_continues_in_the_state_that_had_not_succeeded() {
    let definition = json!({
        "StartAt": "First",
        "States": {
            "First": task(json!({ "ResultPath": "$.first", "End": null, "Next": "Second" })),
            "Second": task(json!({ "Parameters": { "first.$": "$.first", "redrives.$": "$$.Execution.RedriveCount" } })),
        },
    });
    let stage = Stage::new(|called| match called.state.as_str() {
        "Second" if called.input["redrives"] == 0 => fails("Broken"),
        "Second" => ok(called.input.clone()),
        _ => ok(json!(7)),
    });
    let input = json!({ "day": 1 });
    assert_eq!(
        stage.run(definition.clone(), input.clone()),
        Outcome::Failed(Failure::new("Broken", "Broken happened"))
    );
    let redrive = Redrive {
        variables: serde_json::Map::new(),
        state: "Second".to_owned(),
        input: json!({ "day": 1, "first": 7 }),
        entered_event: 7,
        last_event: 11,
        count: 1,
    };
    assert_eq!(stage.events().last().map(|event| event.id), Some(11));
    let outcome = stage.redrive(definition, input, redrive);
    assert_eq!(outcome, Outcome::Succeeded(json!({ "first": 7, "redrives": 1 })));
    assert_eq!(
        stage.story()[11..],
        [
            "12 <- 11 ExecutionRedriven",
            "13 <- 12 TaskScheduled",
            "14 <- 13 TaskStarted",
            "15 <- 14 TaskSucceeded",
            "16 <- 15 TaskStateExited",
            "17 <- 16 ExecutionSucceeded",
        ]
    );
    assert_eq!(stage.details("ExecutionRedriven"), json!({ "redriveCount": 1 }));
    assert_eq!(stage.calls().iter().filter(|called| called.state == "First").count(), 1);
}

#[test]
fn a_redriven_execution_cannot_continue_in_a_map_or_in_its_states() {
    let inner = json!({ "StartAt": "Inner", "States": { "Inner": { "Type": "Pass", "End": true } } });
    let machine = machine(&json!({
        "StartAt": "Map",
        "States": {
            "Map": { "Type": "Map", "ItemProcessor": inner, "Next": "Wait" },
            "Wait": { "Type": "Wait", "Seconds": 1, "End": true },
        },
    }));
    let can = |state| (machine.has_state(state), machine.can_resume(state));
    assert_eq!([can("Map"), can("Inner"), can("Wait")], [(true, false), (false, false), (true, true)]);
}
