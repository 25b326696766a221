//! The iterations of Map states.

use asl::{Failure, Outcome};
use serde_json::{Value, json};

use crate::fakes::{Stage, caught, fails, merged, ok, only, task};

/// Returns a Map state with one task per item.
fn map(more: Value) -> Value {
    let processor = json!({ "StartAt": "T", "States": { "T": task(json!({})) } });
    merged(json!({ "Type": "Map", "ItemProcessor": processor, "End": true }), more)
}

/// Returns a Map state with one Pass state per item.
fn passing(more: Value) -> Value {
    let processor = json!({ "StartAt": "P", "States": { "P": { "Type": "Pass", "End": true } } });
    map(merged(json!({ "ItemProcessor": processor }), more))
}

#[test]
fn results_are_in_the_order_of_the_items_whichever_ends_first() {
    let stage = Stage::new(|called| ok(json!([called.input])).after_seconds(called.input.as_u64().expect("seconds")));
    let outcome = stage.run(only(map(json!({}))), json!([5, 1, 3]));
    assert_eq!(outcome, Outcome::Succeeded(json!([[5], [1], [3]])));
    assert_eq!(stage.seconds(), 5);
}

#[test]
fn no_more_iterations_run_together_than_allowed() {
    let cases = [
        (json!({ "MaxConcurrency": 1 }), 60),
        (json!({ "MaxConcurrency": 2 }), 30),
        (json!({ "MaxConcurrency": 4 }), 20),
        (json!({ "MaxConcurrency": 0 }), 10),
        (json!({}), 10),
        (json!({ "MaxConcurrencyPath": "$.most", "ItemsPath": "$.items" }), 30),
    ];
    for (fields, seconds) in cases {
        let items = json!([1, 2, 3, 4, 5, 6]);
        let input = match fields.get("ItemsPath") {
            Some(_) => json!({ "most": 2, "items": items }),
            None => items.clone(),
        };
        let stage = Stage::new(|called| ok(called.input.clone()).after_seconds(10));
        assert_eq!(stage.run(only(map(fields.clone())), input), Outcome::Succeeded(items), "{fields}");
        assert_eq!(stage.seconds(), seconds, "{fields}");
    }
    // AWS runs at most 40 at a time.
    let stage = Stage::new(|_| ok(json!(null)).after_seconds(10));
    let items: Vec<u32> = (0..41).collect();
    stage.run(only(map(json!({ "MaxConcurrency": 1_000 }))), json!(items));
    assert_eq!(stage.seconds(), 20);
}

#[test]
fn a_limit_that_is_none_ends_the_execution_in_awss_words() {
    let cases = [
        (json!({}), "The MaxConcurrencyPath parameter does not reference an input value: $.most"),
        (json!({ "most": -1 }), "Expected non-negative integer for MaxConcurrency, got '-1' instead."),
        (
            json!({ "most": "many" }),
            "The MaxConcurrencyPath field refers to value \"many\" which is not a valid integer: $.most",
        ),
        (
            json!({ "most": 1.5 }),
            "The MaxConcurrencyPath field refers to value \"1.5\" which is not a valid integer: $.most",
        ),
        (json!({ "most": 1 }), "Invalid path '$.items' : No results for path: $['items']"),
        (json!({ "most": 1, "items": {} }), "Reference path \"$.items\" must point to array."),
    ];
    for (input, words) in cases {
        let outcome =
            Stage::bare().run(only(map(json!({ "MaxConcurrencyPath": "$.most", "ItemsPath": "$.items" }))), input);
        let Outcome::Failed(failure) = outcome else { panic!("{words}: {outcome:?}") };
        assert!(failure.cause.as_deref().is_some_and(|cause| cause.ends_with(words)), "{words}: {failure:?}");
    }
}

#[test]
fn the_history_of_one_at_a_time() {
    let stage = Stage::bare();
    stage.run(only(passing(json!({ "MaxConcurrency": 1 }))), json!(["a", "b"]));
    assert_eq!(
        stage.story(),
        [
            "1 <- 0 ExecutionStarted",
            "2 <- 0 MapStateEntered",
            "3 <- 2 MapStateStarted",
            "4 <- 3 MapIterationStarted",
            "5 <- 4 PassStateEntered",
            "6 <- 5 PassStateExited",
            "7 <- 6 MapIterationSucceeded",
            "8 <- 6 MapIterationStarted",
            "9 <- 8 PassStateEntered",
            "10 <- 9 PassStateExited",
            "11 <- 10 MapIterationSucceeded",
            "12 <- 11 MapStateSucceeded",
            "13 <- 11 MapStateExited",
            "14 <- 13 ExecutionSucceeded",
        ]
    );
    assert_eq!(stage.details("MapStateStarted"), json!({ "length": 2 }));
}

#[test]
fn the_history_of_all_at_once() {
    let stage = Stage::bare();
    stage.run(only(passing(json!({}))), json!(["a", "b"]));
    assert_eq!(
        stage.story()[2..6],
        [
            "3 <- 2 MapStateStarted",
            "4 <- 3 MapIterationStarted",
            "5 <- 3 MapIterationStarted",
            "6 <- 4 PassStateEntered"
        ]
    );
    let last = serde_json::to_value(&stage.events()[4]).expect("JSON");
    assert_eq!(last["mapIterationStartedEventDetails"], json!({ "name": "S", "index": 1 }));
}

#[test]
fn no_items_give_no_results() {
    let stage = Stage::bare();
    assert_eq!(stage.run(only(map(json!({}))), json!([])), Outcome::Succeeded(json!([])));
    assert_eq!(
        stage.story()[2..],
        ["3 <- 2 MapStateStarted", "4 <- 3 MapStateSucceeded", "5 <- 3 MapStateExited", "6 <- 5 ExecutionSucceeded"]
    );
}

#[test]
fn items_are_selected_from_the_input_and_the_context_object() {
    let selector = json!({
        "index.$": "$$.Map.Item.Index",
        "prod.$": "$$.Map.Item.Value.prod",
        "courier.$": "$.delivery-partner",
        "run.$": "$$.Execution.Name",
    });
    let input = json!({ "detail": { "delivery-partner": "UQS", "shipped": [{ "prod": "R31" }, { "prod": "S39" }] } });
    let expected = json!([
        { "index": 0, "prod": "R31", "courier": "UQS", "run": "run-1" },
        { "index": 1, "prod": "S39", "courier": "UQS", "run": "run-1" },
    ]);
    for name in ["ItemSelector", "Parameters"] {
        let state = passing(json!({ "InputPath": "$.detail", "ItemsPath": "$.shipped", name: selector }));
        assert_eq!(Stage::bare().run(only(state), input.clone()), Outcome::Succeeded(expected.clone()), "{name}");
    }
}

#[test]
fn the_older_iterator_works_too() {
    let iterator = json!({ "StartAt": "P", "States": { "P": { "Type": "Pass", "OutputPath": "$.a", "End": true } } });
    let state = json!({ "Type": "Map", "Iterator": iterator, "ItemsPath": "$.list", "ResultPath": "$.out", "OutputPath": "$.out", "End": true });
    let outcome = Stage::bare().run(only(state), json!({ "list": [{ "a": 1 }, { "a": 2 }] }));
    assert_eq!(outcome, Outcome::Succeeded(json!([1, 2])));
}

#[test]
fn what_is_not_an_array_cannot_be_iterated() {
    for (input, words) in [
        (json!({ "x": 1 }), "Reference path \"$.x\" must point to array."),
        (json!({}), "Invalid path '$.x' : No results for path: $['x']"),
    ] {
        let outcome = Stage::bare().run(only(map(json!({ "ItemsPath": "$.x" }))), input);
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.error.as_deref(), Some("States.Runtime"));
        assert!(failure.cause.as_deref().is_some_and(|cause| cause.ends_with(words)), "{failure:?}");
    }
}

#[test]
fn an_iteration_that_fails_aborts_the_others() {
    let stage = Stage::new(|called| match called.input.as_u64() {
        Some(2) => fails("E").after_seconds(1),
        _ => ok(json!(1)).after_seconds(50),
    });
    let outcome = stage.run(caught(map(json!({})), json!(["E"])), json!([1, 2, 3]));
    assert_eq!(outcome, Outcome::Succeeded(json!({ "Error": "E", "Cause": "E happened" })));
    assert_eq!(stage.seconds(), 1);
    let story = stage.story();
    let failed = story.iter().position(|event| event.ends_with("TaskFailed")).expect("a failed task");
    assert_eq!(
        story[failed..failed + 9],
        [
            "16 <- 12 TaskFailed",
            "17 <- 16 MapIterationFailed",
            "18 <- 16 MapIterationAborted",
            "19 <- 16 TaskStateAborted",
            "20 <- 16 TaskStateAborted",
            "21 <- 16 MapIterationAborted",
            "22 <- 16 TaskStateAborted",
            "23 <- 16 MapStateFailed",
            "24 <- 23 MapStateExited",
        ]
    );
    assert_eq!(stage.details("MapIterationFailed"), json!({ "name": "S", "index": 1 }));
}

#[test]
fn items_that_have_not_started_are_not_recorded() {
    let fail = json!({ "StartAt": "F", "States": { "F": { "Type": "Fail", "Error": "E", "Cause": "C" } } });
    let stage = Stage::bare();
    let outcome = stage.run(only(map(json!({ "ItemProcessor": fail, "MaxConcurrency": 1 }))), json!([1, 2, 3]));
    assert_eq!(outcome, Outcome::Failed(Failure::new("E", "C")));
    assert_eq!(
        stage.story()[3..],
        [
            "4 <- 3 MapIterationStarted",
            "5 <- 4 FailStateEntered",
            "6 <- 5 MapIterationFailed",
            "7 <- 5 MapStateFailed",
            "8 <- 7 ExecutionFailed",
        ]
    );
}

#[test]
fn a_failed_map_starts_over_without_saying_that_it_failed() {
    let fail = json!({ "StartAt": "F", "States": { "F": { "Type": "Fail", "Error": "E" } } });
    let retry = json!([{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 1 }]);
    let stage = Stage::bare();
    stage.run(only(map(json!({ "ItemProcessor": fail, "Retry": retry }))), json!([1]));
    assert_eq!(
        stage.story()[2..],
        [
            "3 <- 2 MapStateStarted",
            "4 <- 3 MapIterationStarted",
            "5 <- 4 FailStateEntered",
            "6 <- 5 MapIterationFailed",
            "7 <- 5 MapStateStarted",
            "8 <- 7 MapIterationStarted",
            "9 <- 8 FailStateEntered",
            "10 <- 9 MapIterationFailed",
            "11 <- 9 MapStateFailed",
            "12 <- 11 ExecutionFailed",
        ]
    );
}

#[test]
fn a_runtime_error_in_an_iteration_ends_the_execution() {
    let stage = Stage::bare();
    let state = passing(json!({ "ItemSelector": { "x.$": "$.gone" }, "ItemsPath": "$.items" }));
    let outcome = stage.run(caught(state, json!(["States.ALL"])), json!({ "items": [1] }));
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    let expected = "An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.gone' specified for the field 'x.$' could not be found in the input '{\"items\":[1]}'";
    assert_eq!(failure, Failure::new("States.Runtime", expected));
    assert_eq!(stage.types().last().map(String::as_str), Some("ExecutionFailed"));
}

#[test]
fn maps_nest_and_see_their_own_item() {
    let inner = passing(json!({
        "ItemsPath": "$.row",
        "ItemSelector": { "cell.$": "$$.Map.Item.Value", "row.$": "$.index" },
    }));
    let processor = json!({ "StartAt": "Inner", "States": { "Inner": inner } });
    let outer = map(json!({
        "ItemProcessor": processor,
        "ItemSelector": { "row.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index" },
    }));
    let outcome = Stage::bare().run(only(outer), json!([["a", "b"], ["c"]]));
    let expected = json!([
        [{ "cell": "a", "row": 0 }, { "cell": "b", "row": 0 }],
        [{ "cell": "c", "row": 1 }],
    ]);
    assert_eq!(outcome, Outcome::Succeeded(expected));
}
