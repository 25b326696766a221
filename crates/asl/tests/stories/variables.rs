//! Variables: what each state assigns and reads, in which scope, and what the history says of it.

use asl::{Failure, Outcome};
use serde_json::{Value, json};

use crate::fakes::{Stage, fails, machine, merged, ok, only, task};

/// A machine that assigns `a` and `b`, and then enters the state `S`.
fn after_assignment(state: Value, more: Value) -> Value {
    let first = json!({ "Type": "Pass", "Assign": { "a": { "list": [1, 2] }, "b.$": "$.in" }, "Next": "S" });
    json!({ "StartAt": "First", "States": merged(json!({ "First": first, "S": state }), more) })
}

/// Runs `state` after `a` is `{"list": [1, 2]}` and `b` is `"x"`, without tasks.
fn run(state: Value) -> Outcome {
    Stage::bare().run(after_assignment(state, json!({})), json!({ "in": "x" }))
}

/// Returns the variables that the exits of states of a type assigned, as the history has them.
fn assigned(stage: &Stage, event_type: &str) -> Value {
    stage.details(event_type)["assignedVariables"].clone()
}

fn runtime_error(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(Failure { error, cause }) if error.as_deref() == Some("States.Runtime") => {
            cause.expect("a cause")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_variable_is_read_wherever_a_path_is() {
    let cases = [
        (json!({ "Type": "Pass", "InputPath": "$a.list[1]", "End": true }), json!(2)),
        (json!({ "Type": "Pass", "OutputPath": "$a", "End": true }), json!({ "list": [1, 2] })),
        (
            json!({ "Type": "Pass", "Parameters": { "v.$": "$a.list[*]", "c": "$a" }, "End": true }),
            json!({ "v": [1, 2], "c": "$a" }),
        ),
        (
            json!({ "Type": "Pass", "Parameters": { "v.$": "States.Format('{}-{}', $b, $a['list'][0])" }, "End": true }),
            json!({ "v": "x-1" }),
        ),
        (json!({ "Type": "Pass", "Parameters": { "v.$": "$a.list[?(@ > 1)]" }, "End": true }), json!({ "v": [2] })),
        (json!({ "Type": "Wait", "SecondsPath": "$a.list[0]", "OutputPath": "$b", "End": true }), json!("x")),
        (json!({ "Type": "Succeed", "OutputPath": "$b" }), json!("x")),
        (
            json!({ "Type": "Map", "ItemsPath": "$a.list", "MaxConcurrencyPath": "$a.list[1]", "ItemSelector": { "i.$": "$$.Map.Item.Value", "b.$": "$b" },
                "ItemProcessor": { "StartAt": "I", "States": { "I": { "Type": "Pass", "End": true } } }, "ResultSelector": { "all.$": "$", "b.$": "$b" }, "End": true }),
            json!({ "all": [{ "i": 1, "b": "x" }, { "i": 2, "b": "x" }], "b": "x" }),
        ),
    ];
    for (state, expected) in cases {
        assert_eq!(run(state.clone()), Outcome::Succeeded(expected), "{state}");
    }
    let fail = json!({ "Type": "Fail", "ErrorPath": "$b", "CausePath": "States.Format('{}', $a.list[0])" });
    assert_eq!(run(fail), Outcome::Failed(Failure::new("x", "1")));

    let stage = Stage::new(|_| ok(json!(null)));
    let work = task(
        json!({ "Parameters": { "n.$": "$a.list[0]" }, "TimeoutSecondsPath": "$a.list[1]", "HeartbeatSecondsPath": "$a.list[0]" }),
    );
    stage.run(after_assignment(work, json!({})), json!({ "in": "x" }));
    let call = &stage.calls()[0];
    assert_eq!((&call.input, call.timeout.map(|limit| limit.as_secs())), (&json!({ "n": 1 }), Some(2)));
}

#[test]
fn a_choice_compares_variables_and_each_way_out_assigns_its_own() {
    let choice = json!({
        "Type": "Choice",
        "Choices": [
            { "Variable": "$none", "IsPresent": true, "Next": "Done" },
            { "Variable": "$b", "StringEqualsPath": "$.expected", "Assign": { "way.$": "$.expected", "old.$": "$a.list" }, "Next": "Done" },
        ],
        "Assign": { "way": "default" },
        "Default": "Done",
    });
    let done = json!({ "Done": { "Type": "Pass", "Parameters": { "way.$": "$way" }, "End": true } });
    for (expected, way, variables) in
        [("x", "x", json!({ "way": "\"x\"", "old": "[1,2]" })), ("y", "default", json!({ "way": "\"default\"" }))]
    {
        let stage = Stage::bare();
        let outcome =
            stage.run(after_assignment(choice.clone(), done.clone()), json!({ "in": "x", "expected": expected }));
        assert_eq!(outcome, Outcome::Succeeded(json!({ "way": way })));
        assert_eq!(assigned(&stage, "ChoiceStateExited"), variables);
    }
}

/// What `$` is in the `Assign` of each type of state. Recorded on AWS for Pass, Choice, Wait and the result of a task.
#[test]
fn assignments_read_the_result_of_their_state() {
    let assign = json!({ "v.$": "$" });
    let branch = json!({ "StartAt": "I", "States": { "I": { "Type": "Pass", "End": true } } });
    let input = json!({ "in": { "k": [7] } });
    let cases = [
        ("Pass", json!({ "Type": "Pass", "Result": { "r": 1 }, "ResultPath": "$.kept" }), json!({ "r": 1 })),
        ("Pass", json!({ "Type": "Pass", "Parameters": { "p.$": "$.in.k[0]" } }), json!({ "p": 7 })),
        ("Pass", json!({ "Type": "Pass", "InputPath": "$.in" }), json!({ "k": [7] })),
        ("Wait", json!({ "Type": "Wait", "Seconds": 1, "InputPath": "$.in" }), json!({ "k": [7] })),
        ("Map", json!({ "Type": "Map", "ItemsPath": "$.in.k", "ItemProcessor": branch }), json!([7])),
        ("Parallel", json!({ "Type": "Parallel", "Branches": [branch], "InputPath": "$.in.k" }), json!([[7]])),
        ("Task", task(json!({ "ResultSelector": { "s.$": "$.answer" }, "ResultPath": null })), json!({ "answer": 42 })),
    ];
    for (kind, state, expected) in cases {
        let stage = Stage::new(|_| ok(json!({ "answer": 42 })));
        stage.run(only(merged(state.clone(), json!({ "Assign": assign, "End": true }))), input.clone());
        let events = stage.events();
        let exit = events.iter().rfind(|event| event.kind.type_name() == format!("{kind}StateExited"));
        let exit = serde_json::to_value(exit.expect("an exit")).expect("JSON");
        assert_eq!(
            exit["stateExitedEventDetails"]["assignedVariables"],
            json!({ "v": expected.to_string() }),
            "{state}"
        );
    }
}

#[test]
fn a_catcher_assigns_from_the_error() {
    let stage = Stage::new(|_| fails("Bad"));
    let work = task(json!({
        "Assign": { "answer.$": "$" },
        "Catch": [{ "ErrorEquals": ["Bad"], "Assign": { "why.$": "$.Error", "at.$": "$$.State.Name" }, "ResultPath": null, "Next": "Done" }],
    }));
    let done = json!({ "Done": { "Type": "Pass", "Parameters": { "why.$": "$why", "at.$": "$at" }, "End": true } });
    let outcome = stage.run(after_assignment(work, done), json!({ "in": "x" }));
    assert_eq!(outcome, Outcome::Succeeded(json!({ "why": "Bad", "at": "S" })));
    assert_eq!(assigned(&stage, "TaskStateExited"), json!({ "why": "\"Bad\"", "at": "\"S\"" }));
}

#[test]
fn all_of_a_state_sees_the_values_before_it() {
    let swap = json!({ "Type": "Pass", "Assign": { "a.$": "$b", "b.$": "$a" }, "OutputPath": "$a", "Next": "Done" });
    let done = json!({ "Done": { "Type": "Pass", "Parameters": { "a.$": "$a", "b.$": "$b" }, "End": true } });
    let stage = Stage::bare();
    let outcome = stage.run(after_assignment(swap, done), json!({ "in": "x" }));
    assert_eq!(outcome, Outcome::Succeeded(json!({ "a": "x", "b": { "list": [1, 2] } })));
    let exits = stage.events().into_iter().filter(|event| event.kind.type_name() == "PassStateExited");
    let exits: Vec<Value> = exits.map(|event| serde_json::to_value(event).expect("JSON")).collect();
    assert_eq!(
        exits[1]["stateExitedEventDetails"],
        json!({
            "name": "S",
            "output": "{\"list\":[1,2]}", "outputDetails": { "truncated": false },
            "assignedVariables": { "a": "\"x\"", "b": "{\"list\":[1,2]}" }, "assignedVariablesDetails": { "truncated": false },
        })
    );
    assert_eq!(exits[2]["stateExitedEventDetails"].get("assignedVariables"), None);
}

#[test]
fn an_empty_assignment_leaves_no_trace() {
    let stage = Stage::bare();
    stage.run(only(json!({ "Type": "Pass", "Assign": {}, "End": true })), json!({}));
    assert_eq!(stage.details("PassStateExited").get("assignedVariables"), None);
}

#[test]
fn branches_and_iterations_have_variables_of_their_own() {
    let reads = |name: &str| json!({ "Type": "Pass", "Parameters": { "v.$": name }, "End": true });
    let branch = |first: &str, second: &str, value: Value| {
        json!({ "StartAt": first, "States": {
            first: { "Type": "Pass", "Assign": { "own": value, "outer.$": "$b" }, "Next": second },
            second: { "Type": "Pass", "Parameters": { "own.$": "$own", "outer.$": "$outer" }, "End": true },
        } })
    };
    let parallel = json!({ "Type": "Parallel", "Branches": [branch("P1", "P2", json!(1)), branch("Q1", "Q2", json!(2))], "End": true });
    assert_eq!(run(parallel), Outcome::Succeeded(json!([{ "own": 1, "outer": "x" }, { "own": 2, "outer": "x" }])));

    let count = json!({ "StartAt": "I1", "States": {
        "I1": { "Type": "Choice", "Choices": [{ "Variable": "$seen", "IsPresent": true, "Next": "I3" }], "Default": "I2" },
        "I2": { "Type": "Pass", "Assign": { "seen": true }, "Parameters": { "first": true }, "End": true },
        "I3": { "Type": "Pass", "Parameters": { "first": false }, "End": true },
    } });
    let map =
        json!({ "Type": "Map", "MaxConcurrency": 1, "ItemsPath": "$a.list", "ItemProcessor": count, "End": true });
    assert_eq!(run(map.clone()), Outcome::Succeeded(json!([{ "first": true }, { "first": true }])));

    let after = merged(map, json!({ "End": null, "Next": "Done" }));
    let outcome = Stage::bare().run(after_assignment(after, json!({ "Done": reads("$seen") })), json!({ "in": "x" }));
    assert!(runtime_error(outcome).contains("The JSONPath '$seen' specified for the field 'v.$' could not be found"));
}

#[test]
fn a_variable_that_is_not_there_is_a_path_that_selects_nothing() {
    let cases = [
        (json!({ "Type": "Pass", "InputPath": "$c", "End": true }), "Invalid path '$c' : No results for path: $c"),
        (
            json!({ "Type": "Pass", "InputPath": "$a.x.y", "End": true }),
            "Invalid path '$a.x.y' : Missing property in path $a['x']",
        ),
        (
            json!({ "Type": "Pass", "Assign": { "d": 1, "e.$": "$d" }, "End": true }),
            "The JSONPath '$d' specified for the field 'e.$' could not be found",
        ),
        (
            json!({ "Type": "Wait", "SecondsPath": "$c", "End": true }),
            "The SecondsPath parameter does not reference an input value: $c",
        ),
    ];
    for (state, words) in cases {
        let cause = runtime_error(run(state));
        assert!(cause.contains(words), "{cause}");
    }
}

#[test]
fn too_much_fails_the_execution_and_is_not_caught() {
    let large = json!("x".repeat(262_144));
    for (assign, expected) in
        [(json!({ "v.$": "$.v" }), true), (json!({ "v.$": "$.v", "w.$": "States.Format('{}', $.v)" }), false)]
    {
        let stage = Stage::new(|_| ok(json!({ "v": "x".repeat(140_000) })));
        let state = task(
            json!({ "Assign": assign, "ResultPath": null, "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "T" }] }),
        );
        let machine = json!({ "StartAt": "S", "States": { "S": state, "T": { "Type": "Pass", "End": true } } });
        let outcome = stage.run(machine, json!({}));
        match outcome {
            Outcome::Succeeded(_) => assert!(expected),
            Outcome::Failed(failure) => {
                assert!(!expected);
                assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
            }
            other => panic!("{other:?}"),
        }
    }
    let outcome = run(json!({ "Type": "Pass", "Assign": { "v": large }, "End": true }));
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.error.as_deref(), Some("States.DataLimitExceeded"));
    assert!(failure.cause.expect("a cause").starts_with("The state 'S' assigned variables of more than 262144 bytes"));
}

#[test]
fn the_states_that_read_variables_are_listed() {
    let machine = machine(&after_assignment(
        json!({
            "Type": "Map", "ItemsPath": "$a.list",
            "ItemSelector": { "x.$": "States.Array($b, $.c)", "namePath": "$constant", "y": { "z.$": "$deep[0]" } },
            "ItemProcessor": { "StartAt": "I", "States": { "I": { "Type": "Pass", "Result": { "k.$": "$constant" }, "Assign": { "j.$": "$a" }, "End": true } } },
            "Catch": [{ "ErrorEquals": ["States.ALL"], "Assign": { "e.$": "$caught" }, "Next": "C" }],
            "End": true,
        }),
        json!({ "C": { "Type": "Choice", "Choices": [{ "And": [{ "Variable": "$v", "NumericLessThanPath": "$w" }], "Next": "D" }], "Default": "D" }, "D": { "Type": "Succeed" } }),
    ));
    let expected = json!({ "S": ["a", "b", "caught", "deep"], "I": ["a"], "C": ["v", "w"] });
    assert_eq!(serde_json::to_value(machine.variable_references()).expect("JSON"), expected);
}
