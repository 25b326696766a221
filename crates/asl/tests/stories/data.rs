//! The data flow of states.

use asl::{Failure, Outcome};
use serde_json::{Value, json};

use crate::fakes::{Stage, ok, only, task};

fn output(definition: Value, input: Value) -> Value {
    let stage = Stage::new(|called| ok(json!({ "got": called.input })));
    match stage.run(definition, input) {
        Outcome::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

fn failure(definition: Value, input: Value) -> Failure {
    let stage = Stage::new(|called| ok(json!({ "got": called.input })));
    match stage.run(definition, input) {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn pass(more: Value) -> Value {
    only(crate::fakes::merged(json!({ "Type": "Pass", "End": true }), more))
}

#[test]
fn pass_states_reshape_their_input() {
    let input = json!({ "a": { "b": [1, 2] }, "c": "x" });
    let cases = [
        (json!({}), input.clone()),
        (json!({ "Result": { "fixed.$": "$.kept" } }), json!({ "fixed.$": "$.kept" })),
        (json!({ "InputPath": "$.a" }), json!({ "b": [1, 2] })),
        (json!({ "OutputPath": "$.a.b[1]" }), json!(2)),
        (json!({ "Parameters": { "first.$": "$.a.b[0]" } }), json!({ "first": 1 })),
        (
            json!({ "InputPath": "$.a", "Parameters": { "all.$": "$" }, "ResultPath": "$.d", "OutputPath": "$.d.all.b" }),
            json!([1, 2]),
        ),
        (json!({ "Result": 7, "ResultPath": "$.a.b[0]" }), json!({ "a": { "b": [7, 2] }, "c": "x" })),
        (
            json!({ "Parameters": { "run.$": "$$.Execution.Name", "state.$": "$$.State.Name", "entered.$": "$$.State.EnteredTime", "started.$": "$$.Execution.StartTime" } }),
            json!({ "run": "run-1", "state": "S", "entered": "2020-04-01T10:00:00.000Z", "started": "1970-01-01T00:00:00.000Z" }),
        ),
    ];
    for (state, expected) in cases {
        assert_eq!(output(pass(state.clone()), input.clone()), expected, "{state}");
    }
}

#[test]
fn null_paths_discard() {
    let state = |field: &str| json!({ "StartAt": "S", "States": { "S": { "Type": "Pass", field: null, "Result": 1, "End": true } } });
    assert_eq!(output(state("InputPath"), json!({ "a": 1 })), json!(1));
    assert_eq!(output(state("OutputPath"), json!({ "a": 1 })), json!({}));
    assert_eq!(output(state("ResultPath"), json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn a_task_sees_its_parameters_and_its_result_is_selected_and_placed() {
    let state = task(json!({
        "InputPath": "$.request",
        "Parameters": { "FunctionName": "ingest", "Payload": { "from.$": "$.from", "run.$": "$$.Execution.Name" } },
        "ResultSelector": { "payload.$": "$.got.Payload", "state.$": "$$.State.Name" },
        "ResultPath": "$.answer",
        "OutputPath": "$.answer",
    }));
    assert_eq!(
        output(only(state), json!({ "request": { "from": "2020-04-01" } })),
        json!({ "payload": { "from": "2020-04-01", "run": "run-1" }, "state": "S" })
    );
}

#[test]
fn succeed_and_choice_filter_too() {
    let machine = json!({
        "StartAt": "Which?",
        "States": {
            "Which?": {
                "Type": "Choice", "InputPath": "$.a", "OutputPath": "$.b",
                "Choices": [{ "Variable": "$.go", "BooleanEquals": true, "Next": "Done" }], "Default": "Lost",
            },
            "Done": { "Type": "Succeed", "InputPath": "$.c", "OutputPath": "$.d" },
            "Lost": { "Type": "Fail" },
        },
    });
    let input = json!({ "a": { "go": true, "b": { "c": { "d": "here" } } } });
    assert_eq!(output(machine, input), json!("here"));
}

#[test]
fn data_that_is_not_there_ends_the_execution_in_awss_words() {
    let entered = "An error occurred while executing the state 'S' (entered at the event id #2). ";
    let cases = [
        (json!({ "InputPath": "$.x.y" }), "Invalid path '$.x.y' : Missing property in path $['x']"),
        (json!({ "OutputPath": "$.no.such.path" }), "Invalid path '$.no.such.path' : Missing property in path $['no']"),
        (json!({ "OutputPath": "$.x" }), "Invalid path '$.x' : No results for path: $['x']"),
        (
            json!({ "InputPath": "$.a[0]" }),
            "Invalid path '$.a[0]' : Filter: [0] can only be applied to arrays. Current context is: 1",
        ),
        (
            json!({ "Parameters": { "p.$": "States.Array(States.Format('{}', $.x))" } }),
            "The function 'States.Array(States.Format('{}', $.x))' had the following error: The JsonPath argument for the field '$.x' could not be found in the input '{\"a\":1}'",
        ),
        (
            json!({ "Parameters": { "p.$": "$.x" } }),
            "The JSONPath '$.x' specified for the field 'p.$' could not be found in the input '{\"a\":1}'",
        ),
        (
            json!({ "Parameters": { "p.$": "States.MathAdd($.a, 'b')" } }),
            "There was an error while evaluating the intrinsic function: States.MathAdd($.a, 'b'). Invalid arguments in States.MathAdd: argument 2 is not a number",
        ),
    ];
    for (state, words) in cases {
        let expected = Failure::new("States.Runtime", format!("{entered}{words}"));
        assert_eq!(failure(pass(state), json!({ "a": 1 })), expected);
    }
}

#[test]
fn paths_and_texts_are_read_as_on_aws() {
    let input = json!({ "k\\\"\"n\"": 1, "o": { "a": 1, "b": [] }, "items": [7] });
    let cases = [
        (r#"$['k\""n"']"#, json!(1)),
        ("States.Format('{}', $.o)", json!("{a=1, b=[]}")),
        ("$.items[1]", json!(null)),
        ("$['o','none']", json!({ "o": { "a": 1, "b": [] } })),
    ];
    for (path, expected) in cases {
        let state = pass(json!({ "Parameters": { "v.$": path } }));
        assert_eq!(output(state, input.clone()), json!({ "v": expected }), "{path}");
    }
}

#[test]
fn runtime_errors_are_neither_retried_nor_caught() {
    let everything = json!([{ "ErrorEquals": ["States.ALL"] }]);
    for broken in [
        json!({ "OutputPath": "$.x" }),
        json!({ "Parameters": { "p.$": "$.x" } }),
        json!({ "ResultSelector": { "p.$": "$.x" } }),
    ] {
        let mut state = task(broken);
        state["Retry"] = everything.clone();
        let stage = Stage::new(|called| ok(called.input.clone()));
        let outcome = stage.run(crate::fakes::caught(state, json!(["States.ALL"])), json!({ "a": 1 }));
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("States.Runtime"));
        assert!(stage.calls().len() <= 1);
        assert_eq!(stage.types().last().map(String::as_str), Some("ExecutionFailed"));
    }
}

#[test]
fn results_that_cannot_be_placed_can_be_caught() {
    let state = task(json!({ "ResultPath": "$.a.b" }));
    let machine = crate::fakes::caught(state, json!(["States.ResultPathMatchFailure"]));
    let got = output(machine, json!({ "a": 1 }));
    assert_eq!(got["Error"], "States.ResultPathMatchFailure");
    assert_eq!(got["Cause"], "Unable to apply ReferencePath $.a.b to input {\"a\":1}");
}

#[test]
fn an_unmatched_choice_without_default_fails() {
    let machine = json!({
        "StartAt": "S",
        "States": {
            "S": { "Type": "Choice", "Choices": [{ "Variable": "$.n", "NumericEquals": 1, "Next": "One" }] },
            "One": { "Type": "Succeed" },
        },
    });
    assert_eq!(
        failure(machine.clone(), json!({ "n": 2 })),
        Failure::new(
            "States.Runtime",
            "An error occurred while executing the state 'S' (entered at the event id #2). Failed to transition out of the state. The state does not point to a next state."
        )
    );
    assert_eq!(
        failure(machine, json!({})),
        Failure::new(
            "States.Runtime",
            "An error occurred while executing the state 'S' (entered at the event id #2). Invalid path '$.n': The choice state's condition path references an invalid value."
        )
    );
}

#[test]
fn payloads_over_256_kib_are_refused() {
    let huge = "x".repeat(300_000);
    let stage = Stage::new(move |_| ok(json!(huge)));
    let outcome = stage.run(crate::fakes::caught(task(json!({})), json!(["States.ALL"])), json!({}));
    // Recorded on AWS, although its guide says that States.ALL does not catch it.
    let cause =
        "The state/task 'lambda' returned a result with a size exceeding the maximum number of bytes service limit.";
    assert_eq!(outcome, Outcome::Succeeded(json!({ "Error": "States.DataLimitExceeded", "Cause": cause })));
    assert_eq!(stage.details("TaskFailed")["error"], "States.DataLimitExceeded");

    let half = json!({ "a": "x".repeat(200_000) });
    let doubled = failure(pass(json!({ "Parameters": { "l.$": "$.a", "r.$": "$.a" } })), half);
    assert_eq!(doubled.error.as_deref(), Some("States.DataLimitExceeded"));
}

#[test]
fn a_loop_that_wraps_its_data_ends() {
    let wrap = |levels: usize| (0..levels).fold(json!({ "x.$": "$" }), |inner, _| json!({ "x": inner }));
    let machine = json!({
        "StartAt": "Wrap",
        "States": {
            "Wrap": { "Type": "Pass", "Parameters": wrap(100), "Next": "Again?" },
            "Again?": { "Type": "Choice", "Choices": [{ "Variable": "$.stop", "IsPresent": true, "Next": "Done" }], "Default": "Wrap" },
            "Done": { "Type": "Succeed" },
        },
    });
    assert_eq!(failure(machine, json!(1)).error.as_deref(), Some("States.DataLimitExceeded"));
}
