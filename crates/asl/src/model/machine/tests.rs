//! Definitions that are refused, each with the location and the kind of its error, and some that are accepted.

use serde_json::{Value, json};

use super::*;
use crate::syntax::DefinitionErrorCode;

fn parse(definition: &Value) -> Result<StateMachine, DefinitionError> {
    StateMachine::parse(&definition.to_string())
}

/// Returns a machine with the state `S`, which may transition to `T`.
fn with_state(state: Value) -> Value {
    json!({
        "StartAt": "S",
        "States": {
            "S": state,
            "T": { "Type": "Pass", "End": true },
            // Makes each state reachable.
            "Start": { "Type": "Choice", "Choices": [{ "Variable": "$", "IsNull": true, "Next": "S" }], "Default": "T" },
        },
    })
    .tap(|machine| machine["StartAt"] = json!("Start"))
}

trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Value {}

/// Checks that a state is refused with an error at `place` within it, whose message contains `words`.
fn refused(state: Value, place: &str, words: &str) {
    let error = parse(&with_state(state.clone())).err().unwrap_or_else(|| panic!("{state} is not refused"));
    assert_eq!(error.location, format!("/States/S{place}"), "{state}: {error}");
    assert!(error.message.contains(words), "{state}: {error}");
}

fn accepted(state: Value) {
    if let Err(error) = parse(&with_state(state.clone())) {
        panic!("{state}: {error}");
    }
}

fn task(more: Value) -> Value {
    let mut task = json!({ "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true });
    for (field, value) in more.as_object().expect("fields") {
        task[field] = value.clone();
    }
    task
}

fn map(more: Value) -> Value {
    let processor = json!({ "StartAt": "I", "States": { "I": { "Type": "Pass", "End": true } } });
    let mut map = json!({ "Type": "Map", "ItemProcessor": processor, "End": true });
    for (field, value) in more.as_object().expect("fields") {
        match value.is_null() && field == "ItemProcessor" {
            true => map.as_object_mut().expect("an object").remove(field),
            false => map.as_object_mut().expect("an object").insert(field.clone(), value.clone()),
        };
    }
    map
}

#[test]
fn text_that_is_not_json_is_refused_with_its_line() {
    let error = StateMachine::parse("{\n  \"StartAt\": ,\n}").expect_err("not JSON");
    assert_eq!(error.code, DefinitionErrorCode::InvalidJson);
    assert!(error.location.ends_with("; line: 2, column: 15]"), "{error}");
    assert!(
        error.to_string().starts_with("INVALID_JSON_DESCRIPTION: Unexpected character (',' (code 44)): "),
        "{error}"
    );
    assert!(error.to_string().ends_with(&format!("\n at {}", error.location)), "{error}");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(StateMachine::parse(&deep).is_err());
}

#[test]
fn machines_need_states_and_a_start() {
    let pass = json!({ "Type": "Pass", "End": true });
    let cases = [
        (json!([]), "", "Definition must be a valid JSON object"),
        (json!("States"), "", "Definition must be a valid JSON object"),
        (json!({}), "/", "These fields are required: [States, StartAt]"),
        (json!({ "StartAt": "A" }), "/", "These fields are required: [States]"),
        (json!({ "StartAt": 1, "States": { "A": pass } }), "/StartAt", "must be a string"),
        (json!({ "StartAt": "B", "States": { "A": pass } }), "/StartAt", "Missing 'Next' target: B"),
        (json!({ "StartAt": "A", "States": [] }), "/States", "must be an object"),
        (json!({ "StartAt": "A", "States": {} }), "/States", "at least one state"),
        (json!({ "StartAt": "A", "States": { "A": 1 } }), "/States/A", "must be an object"),
        (json!({ "StartAt": "A", "States": { "A": pass }, "Start": 1 }), "/Start", "Field 'Start' is not supported"),
        (json!({ "StartAt": "A", "States": { "A": pass }, "Version": "2.0" }), "/Version", "not known"),
        (json!({ "StartAt": "A", "States": { "A": pass }, "TimeoutSeconds": 0 }), "/TimeoutSeconds", "from 1"),
        (json!({ "StartAt": "A", "States": { "A": pass }, "TimeoutSeconds": 1.5 }), "/TimeoutSeconds", "whole"),
    ];
    for (machine, location, words) in cases {
        let error = parse(&machine).expect_err("refused");
        assert_eq!(error.location, location, "{machine}");
        assert!(error.message.contains(words), "{machine}: {error}");
    }
}

#[test]
fn a_whole_machine_is_accepted() {
    let machine = json!({
        "Comment": "One look", "Version": "1.0", "QueryLanguage": "JSONPath", "TimeoutSeconds": 3600,
        "StartAt": "A", "States": { "A": { "Type": "Succeed" } },
    });
    let machine = parse(&machine).expect("a machine");
    assert_eq!(machine.comment(), Some("One look"));
    assert_eq!(machine.timeout, Some(Duration::from_hours(1)));
}

#[test]
fn jsonata_is_refused_in_so_many_words() {
    let error = parse(&with_state(json!({ "Type": "Succeed" })).tap(|m| m["QueryLanguage"] = json!("JSONata")));
    let error = error.expect_err("refused");
    assert_eq!(error.location, "/QueryLanguage");
    assert!(error.message.contains("JSONata is not supported"), "{error}");
    refused(
        json!({ "Type": "Pass", "QueryLanguage": "JSONata", "End": true }),
        "/QueryLanguage",
        "JSONata is not supported",
    );
    refused(json!({ "Type": "Pass", "QueryLanguage": "SQL", "End": true }), "/QueryLanguage", "not a query language");
}

#[test]
fn transitions_lead_somewhere() {
    let cases = [
        (json!({ "Type": "Pass" }), "", "[Next, End]"),
        (json!({ "Type": "Pass", "Next": "T", "End": true }), "", "Only one of these fields may be given: [Next, End]"),
        (json!({ "Type": "Pass", "End": false }), "/End", "must be true"),
        (json!({ "Type": "Pass", "Next": "Gone" }), "/Next", "Missing 'Next' target: Gone"),
        (
            json!({ "Type": "Choice", "Choices": [{ "Variable": "$", "IsNull": true, "Next": "Gone" }] }),
            "/Choices[0]/Next",
            "Gone",
        ),
        (
            json!({ "Type": "Choice", "Choices": [{ "Variable": "$", "IsNull": true, "Next": "T" }], "Default": "Gone" }),
            "/Default",
            "Gone",
        ),
        (task(json!({ "Catch": [{ "ErrorEquals": ["A"], "Next": "Gone" }] })), "/Catch[0]/Next", "Gone"),
    ];
    for (state, place, words) in cases {
        refused(state, place, words);
    }
}

#[test]
fn states_that_nothing_leads_to_are_refused() {
    let machine = json!({
        "StartAt": "A",
        "States": { "A": { "Type": "Pass", "End": true }, "B": { "Type": "Pass", "Next": "A" } },
    });
    let error = parse(&machine).expect_err("B is out of reach");
    assert_eq!(error.to_string(), "MISSING_TRANSITION_TARGET: State \"B\" is not reachable. at /States/B");
}

#[test]
fn workflows_that_cannot_end_are_refused() {
    let machine = json!({
        "StartAt": "A",
        "States": { "A": { "Type": "Pass", "Next": "B" }, "B": { "Type": "Pass", "Next": "A" } },
    });
    let error = parse(&machine).expect_err("no end");
    assert_eq!(error.to_string(), "MISSING_END_STATE: Workflow has no terminal state at /States");
}

#[test]
fn names_are_unique_across_branches() {
    let branch = json!({ "StartAt": "T", "States": { "T": { "Type": "Succeed" } } });
    let error = parse(&with_state(json!({ "Type": "Parallel", "Branches": [branch], "End": true })));
    let error = error.expect_err("refused");
    assert_eq!(error.code, DefinitionErrorCode::DuplicateState);
    assert_eq!(error.location, "/States/S/Branches[0]/States/T");
    let long = "n".repeat(81);
    let machine = json!({ "StartAt": long, "States": { long: { "Type": "Succeed" } } });
    assert!(parse(&machine).is_err());
}

#[test]
fn branches_are_checked_as_machines_are() {
    let parallel = |branch: Value| json!({ "Type": "Parallel", "Branches": [branch], "End": true });
    let start = "/Branches[0]";
    refused(parallel(json!({})), start, "[States, StartAt]");
    refused(
        parallel(json!({ "StartAt": "X", "States": { "X": { "Type": "Pass", "Next": "T" } } })),
        "/Branches[0]/States/X/Next",
        "Missing 'Next' target: T",
    );
    refused(
        parallel(json!({ "StartAt": "X", "States": { "X": { "Type": "Succeed" } }, "TimeoutSeconds": 1 })),
        "/Branches[0]/TimeoutSeconds",
        "not supported",
    );
    refused(json!({ "Type": "Parallel", "End": true }), "", "[Branches]");
    refused(json!({ "Type": "Parallel", "Branches": [], "End": true }), "/Branches", "at least one branch");
}

#[test]
fn an_inner_scope_assigns_no_variable_of_an_outer_one() {
    let branch = |name: &str, assign: Value| json!({ "StartAt": name, "States": { name: { "Type": "Pass", "Assign": assign, "End": true } } });
    let parallel = |assign: Value, branches: Value| json!({ "Type": "Parallel", "Branches": branches, "Assign": assign, "End": true });
    accepted(parallel(json!({ "a": 1 }), json!([branch("X", json!({ "b": 1 })), branch("Y", json!({ "b": 2 }))])));
    refused(
        parallel(json!({ "a": 1 }), json!([branch("X", json!({ "b": 1 })), branch("Y", json!({ "a.$": "$" }))])),
        "/Branches[1]/States/Y/Assign/a",
        "The variable 'a' is assigned in an outer scope",
    );
    refused(
        json!({ "Type": "Map", "ItemProcessor": branch("X", json!({ "e": 1 })), "End": true,
            "Catch": [{ "ErrorEquals": ["A"], "Assign": { "e.$": "$.Error" }, "Next": "T" }] }),
        "/ItemProcessor/States/X/Assign/e",
        "The variable 'e' is assigned in an outer scope",
    );
}

#[test]
fn each_type_has_its_own_fields() {
    let cases = [
        (json!({}), "", "[Type]"),
        (json!({ "Type": "Loop" }), "/Type", "'Loop' is not a type of state"),
        (json!({ "Type": "Pass", "Resource": "x", "End": true }), "/Resource", "not supported"),
        (json!({ "Type": "Pass", "Retry": [], "End": true }), "/Retry", "not supported"),
        (json!({ "Type": "Succeed", "Assign": {} }), "/Assign", "Field 'Assign' is not supported: states that go on"),
        (json!({ "Type": "Fail", "Assign": {} }), "/Assign", "Field 'Assign' is not supported"),
        (json!({ "Type": "Pass", "Assign": 1, "End": true }), "/Assign", "Value must be an object"),
        (json!({ "Type": "Pass", "Assign": { "a-b": 1 }, "End": true }), "/Assign/a-b", "not the name of a variable"),
        (json!({ "Type": "Pass", "Assign": { "states.$": "$" }, "End": true }), "/Assign/states", "is reserved"),
        (json!({ "Type": "Pass", "Assign": { "a.$": "x" }, "End": true }), "/Assign", "must be a valid JSONPath"),
        (json!({ "Type": "Pass", "Assign": { "a": 1, "a.$": "$" }, "End": true }), "/Assign/a.$", "given twice"),
        (json!({ "Type": "Pass", "InputPath": "$states.input", "End": true }), "/InputPath", "is reserved"),
        (json!({ "Type": "Pass", "ResultPath": "$a", "End": true }), "/ResultPath", "context object or a variable"),
        (json!({ "Type": "Pass", "InputPath": "$a b", "End": true }), "/InputPath", "expected '.' or '['"),
        (json!({ "Type": "Succeed", "Output": {} }), "/Output", "JSONata is not supported"),
        (task(json!({ "Arguments": {} })), "/Arguments", "JSONata is not supported"),
        (
            json!({ "Type": "Choice", "Choices": [{ "Not": { "Variable": "$", "IsNull": true, "Assign": {} }, "Next": "T" }] }),
            "/Choices[0]/Not/Assign",
            "rules at the top level of a Choice",
        ),
        (json!({ "Type": "Succeed", "End": true }), "/End", "not supported"),
        (json!({ "Type": "Fail", "Next": "T" }), "/Next", "not supported"),
        (json!({ "Type": "Fail", "InputPath": "$" }), "/InputPath", "not supported"),
        (json!({ "Type": "Fail", "Error": "E", "ErrorPath": "$.e" }), "", "[Error, ErrorPath]"),
        (json!({ "Type": "Fail", "CausePath": "cause" }), "/CausePath", "not a valid intrinsic"),
        (json!({ "Type": "Wait", "End": true }), "", "[Seconds, SecondsPath, Timestamp, TimestampPath]"),
        (json!({ "Type": "Wait", "Seconds": 1, "Timestamp": "2020-04-01T10:00:00Z", "End": true }), "", "Only one"),
        (json!({ "Type": "Wait", "Seconds": -1, "End": true }), "/Seconds", "whole number"),
        (json!({ "Type": "Wait", "Seconds": 100_000_000, "End": true }), "/Seconds", "to 99999999"),
        (
            json!({ "Type": "Wait", "Timestamp": "tomorrow", "End": true }),
            "/Timestamp",
            "String does not match RFC3339 timestamp",
        ),
        (json!({ "Type": "Wait", "SecondsPath": "$.a[*]", "End": true }), "/SecondsPath", "Reference Path"),
        (json!({ "Type": "Wait", "Seconds": 1, "ResultPath": null, "End": true }), "/ResultPath", "not supported"),
        (json!({ "Type": "Choice" }), "", "[Choices]"),
        (json!({ "Type": "Choice", "Choices": [] }), "/Choices", "at least one choice"),
        (
            json!({ "Type": "Choice", "Choices": [{ "Variable": "$", "IsNull": true, "Next": "T" }], "End": true }),
            "/End",
            "not supported",
        ),
        (json!({ "Type": "Choice", "Choices": [{ "Variable": "$", "IsNull": true }] }), "/Choices[0]", "[Next]"),
        (
            json!({ "Type": "Pass", "InputPath": "a", "End": true }),
            "/InputPath",
            "Value must be a valid JSONPath. Path 'a' is not valid: it does not start with '$'",
        ),
        (json!({ "Type": "Pass", "OutputPath": 1, "End": true }), "/OutputPath", "path or null"),
        (json!({ "Type": "Pass", "ResultPath": "$.a[*]", "End": true }), "/ResultPath", "Reference Path"),
        (
            json!({ "Type": "Pass", "Parameters": { "a.$": "$.a[" }, "End": true }),
            "/Parameters",
            "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call",
        ),
    ];
    for (state, place, words) in cases {
        refused(state, place, words);
    }
}

#[test]
fn tasks_name_a_resource_and_sane_limits() {
    let cases = [
        (json!({ "Type": "Task", "End": true }), "", "[Resource]"),
        (task(json!({ "Resource": "ingest" })), "/Resource", "Value is not a valid resource ARN"),
        (
            task(json!({ "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken" })),
            "/Resource",
            "not supported",
        ),
        (task(json!({ "TimeoutSeconds": 0 })), "/TimeoutSeconds", "from 1"),
        (task(json!({ "TimeoutSeconds": 5, "TimeoutSecondsPath": "$.t" })), "", "Only one"),
        (task(json!({ "TimeoutSeconds": 5, "HeartbeatSeconds": 5 })), "/HeartbeatSeconds", "less than TimeoutSeconds"),
        (task(json!({ "Retry": {} })), "/Retry", "must be an array"),
        (task(json!({ "Catch": [{ "Next": "T" }] })), "/Catch[0]", "[ErrorEquals]"),
        (task(json!({ "Catch": [{ "ErrorEquals": ["A"] }] })), "/Catch[0]", "[Next]"),
        (
            task(json!({ "Catch": [{ "ErrorEquals": ["A"], "Next": "T", "Retry": 1 }] })),
            "/Catch[0]/Retry",
            "not supported",
        ),
        (task(json!({ "Credentials": {} })), "/Credentials", "not supported"),
    ];
    for (state, place, words) in cases {
        refused(state, place, words);
    }
    accepted(task(json!({ "TimeoutSeconds": 5, "HeartbeatSeconds": 4, "Retry": [], "Catch": [] })));
    accepted(task(json!({ "TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h", "Comment": "x" })));
}

#[test]
fn resources_are_listed_with_their_locations() {
    let inner = |name: &str, action: &str| {
        json!({ "StartAt": name, "States": { name: {
            "Type": "Task", "Resource": format!("arn:aws:states:::dynamodb:{action}"), "End": true,
        } } })
    };
    let machine = json!({
        "StartAt": "P",
        "States": {
            "P": { "Type": "Parallel", "Branches": [inner("A", "a"), inner("B", "b")], "Next": "M" },
            "M": { "Type": "Map", "Iterator": inner("C", "c"), "Next": "T" },
            "T": task(json!({})),
        },
    });
    let machine = parse(&machine).expect("a machine");
    let listed: Vec<(&str, &str)> =
        machine.resources().into_iter().map(|(place, found)| (place, found.arn())).collect();
    assert_eq!(
        listed,
        [
            ("/States/P/Branches[0]/States/A/Resource", "arn:aws:states:::dynamodb:a"),
            ("/States/P/Branches[1]/States/B/Resource", "arn:aws:states:::dynamodb:b"),
            ("/States/M/Iterator/States/C/Resource", "arn:aws:states:::dynamodb:c"),
            ("/States/T/Resource", "arn:aws:states:::lambda:invoke"),
        ]
    );
}

#[test]
fn maps_are_inline() {
    let iterator = json!({ "StartAt": "J", "States": { "J": { "Type": "Succeed" } } });
    let cases = [
        (map(json!({ "ItemProcessor": null })), "", "[ItemProcessor]"),
        (map(json!({ "Iterator": iterator })), "", "[ItemProcessor, Iterator]"),
        (map(json!({ "ItemSelector": {}, "Parameters": {} })), "", "Only one"),
        (map(json!({ "MaxConcurrency": -1 })), "/MaxConcurrency", "whole number"),
        (map(json!({ "MaxConcurrency": 1, "MaxConcurrencyPath": "$.m" })), "", "Only one"),
        (map(json!({ "ItemsPath": "items" })), "/ItemsPath", "Reference Path"),
        (map(json!({ "ItemReader": {} })), "/ItemReader", "distributed mode"),
        (map(json!({ "ToleratedFailurePercentage": 5 })), "/ToleratedFailurePercentage", "distributed mode"),
        (
            map(json!({ "ItemProcessor": { "ProcessorConfig": { "Mode": "DISTRIBUTED" } } })),
            "/ItemProcessor/ProcessorConfig/Mode",
            "distributed mode",
        ),
        (
            map(json!({ "ItemProcessor": { "ProcessorConfig": { "Mode": "BOTH" } } })),
            "/ItemProcessor/ProcessorConfig/Mode",
            "not a mode",
        ),
    ];
    for (state, place, words) in cases {
        refused(state, place, words);
    }
    accepted(map(json!({ "ItemProcessor": null, "Iterator": iterator, "Parameters": { "i.$": "$$.Map.Item.Value" } })));
    accepted(map(
        json!({ "ItemProcessor": { "ProcessorConfig": { "Mode": "INLINE" }, "StartAt": "J", "States": { "J": { "Type": "Succeed" } } } }),
    ));
    accepted(map(json!({ "MaxConcurrencyPath": "$.m", "ItemSelector": {}, "ItemsPath": "$$.Execution.Input.items" })));
}
