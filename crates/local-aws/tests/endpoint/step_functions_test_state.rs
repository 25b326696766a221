//! `TestState`: a single state with its inspection data, mocks and refusals, as recorded on AWS.

use local_aws::function_arn;
use serde_json::{Value, json};

use crate::World;
use crate::step_functions_as_recorded::{ROLE, ok, refused};

const PUT: &str = "arn:aws:states:::dynamodb:putItem";
const INVOKE: &str = "arn:aws:states:::lambda:invoke";
const START: &str = "arn:aws:states:::states:startExecution";

/// Tests a state at the level DEBUG. JSON texts in the answer are values.
fn tested(world: &World, state: &Value, input: &Value, more: Value) -> Value {
    let mut test = json!({ "definition": state.to_string(), "input": input.to_string(), "inspectionLevel": "DEBUG" });
    test.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut answer = ok(world, "TestState", &test);
    let parsed = |value: &mut Value| {
        if let Some(text) = value.as_str() {
            *value = serde_json::from_str(text).unwrap();
        }
    };
    if let Some(output) = answer.get_mut("output") {
        parsed(output);
    }
    answer["inspectionData"].as_object_mut().unwrap().iter_mut().for_each(|(_, value)| parsed(value));
    answer
}

fn task(resource: &str, more: Value) -> Value {
    let mut state = json!({ "Type": "Task", "Resource": resource, "End": true });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    state
}

fn result(value: &Value) -> Value {
    json!({ "mock": { "result": value.to_string() } })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_state_shows_the_data_after_its_steps() {
    let world = World::new().await;
    let input = json!({ "initial": { "field": "x", "other": 1 }, "rest": 2 });
    let shaped = json!({ "Type": "Pass", "InputPath": "$.initial", "Parameters": { "s": 1, "v.$": "$.field" }, "ResultPath": "$.new", "Next": "N" });
    let output = json!({ "initial": { "field": "x", "other": 1 }, "rest": 2, "new": { "s": 1, "v": "x" } });
    assert_eq!(
        tested(&world, &shaped, &input, json!({})),
        json!({
            "status": "SUCCEEDED", "nextState": "N", "output": output,
            "inspectionData": {
                "input": input, "afterInputPath": { "field": "x", "other": 1 }, "afterParameters": { "s": 1, "v": "x" },
                "afterResultSelector": { "s": 1, "v": "x" }, "afterResultPath": output,
            },
        })
    );
    let fixed = json!({ "Type": "Pass", "Result": { "r": 1 }, "End": true });
    assert_eq!(
        tested(&world, &fixed, &json!({ "a": 1 }), json!({})),
        json!({
            "status": "SUCCEEDED", "output": { "r": 1 },
            "inspectionData": { "input": { "a": 1 }, "result": { "r": 1 }, "afterResultSelector": { "r": 1 }, "afterResultPath": { "r": 1 } },
        })
    );
    let simple = [
        (json!({ "Type": "Succeed" }), json!({ "output": { "v": 22 } })),
        (json!({ "Type": "Wait", "Seconds": 0, "Next": "N" }), json!({ "output": { "v": 22 }, "nextState": "N" })),
        (
            json!({ "Type": "Choice", "Choices": [{ "Variable": "$.v", "NumericGreaterThan": 20, "Next": "Big" }], "Default": "Small" }),
            json!({ "output": { "v": 22 }, "nextState": "Big" }),
        ),
    ];
    for (state, expected) in simple {
        let mut expected = expected;
        expected["status"] = "SUCCEEDED".into();
        expected["inspectionData"] = json!({ "input": { "v": 22 }, "afterInputPath": { "v": 22 } });
        assert_eq!(tested(&world, &state, &json!({ "v": 22 }), json!({})), expected, "{state}");
    }
    let fail = json!({ "Type": "Fail", "Error": "E", "CausePath": "$.v" });
    assert_eq!(
        tested(&world, &fail, &json!({ "v": "why" }), json!({})),
        json!({
            "status": "FAILED", "error": "E", "cause": "why",
            "inspectionData": { "input": { "v": "why" }, "afterInputPath": { "v": "why" } },
        })
    );
    let info = ok(&world, "TestState", &json!({ "definition": fixed.to_string() }));
    assert_eq!(info, json!({ "status": "SUCCEEDED", "output": "{\"r\":1}" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_or_is_mocked() {
    let world = World::new().await;
    let unmocked = task(&function_arn("ingest"), json!({ "ResultPath": "$.files" }));
    let input = json!({ "from": "2020-04-01", "to": "2020-04-01" });
    let answer = tested(&world, &unmocked, &input, json!({ "roleArn": ROLE }));
    assert_eq!(answer["status"], "SUCCEEDED", "{answer}");
    assert_eq!(answer["output"]["files"], answer["inspectionData"]["result"]);

    let mocked = task(
        PUT,
        json!({ "Parameters": { "Item.$": "$" }, "ResultSelector": { "ok.$": "$.answer" }, "ResultPath": "$.put", "Next": "N" }),
    );
    let mut mocked = mocked;
    mocked.as_object_mut().unwrap().remove("End");
    let expected = json!({
        "status": "SUCCEEDED", "nextState": "N", "output": { "a": 1, "put": { "ok": true } },
        "inspectionData": {
            "input": { "a": 1 }, "afterInputPath": { "a": 1 }, "afterParameters": { "Item": { "a": 1 } }, "result": { "answer": true },
            "afterResultSelector": { "ok": true }, "afterResultPath": { "a": 1, "put": { "ok": true } },
        },
    });
    assert_eq!(tested(&world, &mocked, &json!({ "a": 1 }), result(&json!({ "answer": true }))), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mocked_error_says_who_would_handle_it() {
    let world = World::new().await;
    let state = task(
        PUT,
        json!({
            "Retry": [{ "ErrorEquals": ["Other"] }, { "ErrorEquals": ["Mock"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": 5 }],
            "Catch": [
                { "ErrorEquals": ["Another"], "Next": "N" },
                { "ErrorEquals": ["States.TaskFailed"], "Assign": { "why.$": "$.Error" }, "ResultPath": "$.error", "Next": "Handle" },
            ],
        }),
    );
    let error = |error: &str, retries: u64| {
        json!({
            "mock": { "errorOutput": { "error": error, "cause": "c" } },
            "stateConfiguration": { "retrierRetryCount": retries },
        })
    };
    let seen = json!({ "input": { "a": 1 }, "afterInputPath": { "a": 1 }, "afterParameters": { "a": 1 } });
    let inspected = |details: Value, variables: Option<Value>| {
        let mut data = seen.clone();
        data["errorDetails"] = details;
        if let Some(variables) = variables {
            data["variables"] = variables;
        }
        data
    };
    let input = json!({ "a": 1 });
    assert_eq!(
        tested(&world, &state, &input, error("Mock", 4)),
        json!({
            "status": "RETRIABLE", "error": "Mock", "cause": "c",
            "inspectionData": inspected(json!({ "retryIndex": 1, "retryBackoffIntervalSeconds": 16 }), None),
        })
    );
    let caught = |error: &str, details: Value| {
        let output = json!({ "a": 1, "error": { "Error": error, "Cause": "c" } });
        let data = inspected(details, Some(json!({ "why": error })));
        json!({ "status": "CAUGHT_ERROR", "error": error, "cause": "c", "nextState": "Handle", "output": output, "inspectionData": data })
    };
    assert_eq!(tested(&world, &state, &input, error("New", 0)), caught("New", json!({ "catchIndex": 1 })));
    assert_eq!(
        tested(&world, &state, &input, error("Mock", 5)),
        caught("Mock", json!({ "retryIndex": 1, "catchIndex": 1 }))
    );
    let retries = json!({ "Retry": [{ "ErrorEquals": ["States.ALL"], "MaxAttempts": 5 }] });
    assert_eq!(
        tested(&world, &task(PUT, retries), &input, error("Mock", 5)),
        json!({
            "status": "FAILED", "error": "Mock", "cause": "c", "inspectionData": inspected(json!({ "retryIndex": 0 }), None),
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_a_machine_is_tested_by_its_name() {
    let world = World::new().await;
    let machine = json!({
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map", "ItemsPath": "$.values", "ItemSelector": { "v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index" }, "MaxConcurrency": 2,
                "ItemProcessor": { "StartAt": "Handle", "States": { "Handle": { "Type": "Pass", "Parameters": { "n.$": "$.n" }, "Next": "Left" }, "Left": { "Type": "Succeed" } } },
                "ResultPath": "$.done", "Next": "Both",
            },
            "Both": { "Type": "Parallel", "Branches": [{ "StartAt": "B", "States": { "B": { "Type": "Succeed" } } }], "End": true },
        },
    });
    let named = |name: &str, more: Value| {
        let mut test = more;
        test["stateName"] = name.into();
        test
    };
    let input = json!({ "values": [5, 6] });
    assert_eq!(
        tested(&world, &machine, &input, named("Each", result(&json!(["x", "y"])))),
        json!({
            "status": "SUCCEEDED", "nextState": "Both", "output": { "values": [5, 6], "done": ["x", "y"] },
            "inspectionData": {
                "input": input, "afterInputPath": input, "afterItemsPath": [5, 6],
                "afterItemSelector": [{ "v": 5, "i": 0 }, { "v": 6, "i": 1 }], "maxConcurrency": 2,
                "afterResultSelector": ["x", "y"], "afterResultPath": { "values": [5, 6], "done": ["x", "y"] },
            },
        })
    );
    let error = json!({ "mock": { "errorOutput": { "error": "E", "cause": "c" } }, "stateConfiguration": { "errorCausedByState": "Handle" } });
    let failed = tested(&world, &machine, &input, named("Each", error.clone()));
    assert_eq!(
        (&failed["status"], &failed["error"], &failed["inspectionData"]["afterItemsPath"]),
        (&json!("FAILED"), &json!("E"), &json!([5, 6]))
    );
    let failed = tested(&world, &machine, &json!({ "values": 1 }), named("Each", result(&json!([]))));
    assert_eq!(
        failed,
        json!({
            "status": "FAILED", "error": "States.Runtime", "cause": "Reference path \"$.values\" must point to array.",
            "inspectionData": { "input": { "values": 1 }, "afterInputPath": { "values": 1 } },
        })
    );
    let mut given = named("Each", result(&json!([])));
    given["context"] = json!({ "State": { "Name": "Each" } }).to_string().into();
    let items = tested(&world, &machine, &input, given)["inspectionData"]["afterItemSelector"].clone();
    assert_eq!(items[1], json!({ "v": 6, "i": 1 }), "a given context has the items too");
    let inner = tested(&world, &machine, &json!({ "n": 1 }), named("Handle", json!({})));
    assert_eq!((&inner["output"], &inner["nextState"]), (&json!({ "n": 1 }), &json!("Left")));
    let both = tested(&world, &machine, &json!({}), named("Both", result(&json!([7]))));
    assert_eq!((&both["output"], both.get("nextState")), (&json!([7]), None));

    let refused = |more: Value, code: &str, message: &str| {
        let mut test = json!({ "definition": machine.to_string(), "input": input.to_string() });
        test.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refused(&world, "TestState", &test, code, message);
    };
    let unsupported = "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]";
    refused(named("Each", json!({})), "InvalidDefinition", unsupported);
    refused(named("Both", json!({})), "InvalidDefinition", unsupported);
    let array = "Mocked result must be an array.";
    refused(named("Each", result(&json!({}))), "ValidationException", array);
    refused(named("Both", result(&json!(1))), "ValidationException", array);
    refused(
        named("Both", result(&json!([1, 2]))),
        "ValidationException",
        "Mocked result must contain the same number of items as number of Parallel branches.",
    );
    refused(named("Nowhere", json!({})), "ValidationException", "State not found in definition");
    let elsewhere =
        json!({ "mock": { "errorOutput": { "error": "E" } }, "stateConfiguration": { "errorCausedByState": "B" } });
    refused(
        named("Each", elsewhere),
        "ValidationException",
        "errorCausedByState 'B' is no state within the tested state",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_the_context_are_given() {
    let world = World::new().await;
    let state =
        json!({ "Type": "Pass", "Parameters": { "v.$": "$known.n" }, "Assign": { "other.$": "$.v" }, "End": true });
    let given = json!({ "variables": json!({ "known": { "n": 1 } }).to_string() });
    let answer = tested(&world, &state, &json!({}), given);
    assert_eq!(
        (&answer["output"], &answer["inspectionData"]["variables"]),
        (&json!({ "v": 1 }), &json!({ "known": { "n": 1 }, "other": 1 }))
    );
    let failed = tested(&world, &state, &json!({}), json!({}));
    let cause = "The JSONPath '$known.n' specified for the field 'v.$' could not be found in the input '{}'";
    assert_eq!((&failed["error"], &failed["cause"]), (&json!("States.Runtime"), &json!(cause)));

    let shown = json!({ "Type": "Pass", "Parameters": { "c.$": "$$" }, "End": true });
    let context = tested(&world, &shown, &json!({ "a": 1 }), json!({}))["output"]["c"].clone();
    assert_eq!((&context["State"]["Name"], &context["Execution"]["Input"]), (&json!("StateName"), &json!({ "a": 1 })));
    assert_eq!((&context["Execution"]["RoleArn"], context["Execution"].get("RedriveCount")), (&Value::Null, None));
    let name = context["Execution"]["Name"].as_str().unwrap();
    let machine = context["StateMachine"]["Name"].as_str().unwrap();
    assert_eq!(context["Execution"]["Id"], format!("arn:aws:states:us-east-1:000000000000:express:{machine}:{name}"));

    let mocked = task(PUT, json!({ "ResultSelector": { "c.$": "$$" } }));
    for context in [
        json!({}),
        json!({ "Execution": {}, "State": { "Name": "S", "RetryCount": 3 }, "StateMachine": { "Id": "m" } }),
    ] {
        let mut more = result(&json!({}));
        more["context"] = context.to_string().into();
        assert_eq!(tested(&world, &mocked, &json!({}), more)["output"]["c"], context);
    }
    let refused_context = |context: Value, message: &str| {
        let mut test = result(&json!({}));
        test["definition"] = mocked.to_string().into();
        test["context"] = context.to_string().into();
        refused(
            &world,
            "TestState",
            &test,
            "ValidationException",
            &format!("Invalid Context object provided: {message}"),
        );
    };
    refused_context(json!({ "Execution": { "Id": 1 } }), "Execution.Id must be a string");
    refused_context(json!({ "Map": {} }), "'Map' field is not supported when mocking a Context object");
    refused_context(json!({ "Execution": { "pokemon": 1 } }), "Field 'pokemon' is not allowed");
    refused_context(json!({ "Pokedex": {} }), "Field 'Pokedex' is not allowed");
    refused_context(
        json!({ "Task": { "Token": "t" } }),
        "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' service integration pattern",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tested_is_refused_as_on_aws() {
    let world = World::new().await;
    let refused = |state: Value, more: Value, code: &str, message: &str| {
        let mut test = json!({ "definition": state.to_string() });
        test.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refused(&world, "TestState", &test, code, message);
    };
    let invalid = "ValidationException";
    for (kind, state) in [
        ("Pass", json!({ "Type": "Pass", "End": true })),
        ("Fail", json!({ "Type": "Fail" })),
        ("Succeed", json!({ "Type": "Succeed" })),
    ] {
        let message = format!("State type '{kind}' is not supported when a mock is specified");
        refused(state, result(&json!(1)), invalid, &message);
    }
    let both = json!({ "mock": { "result": "1", "errorOutput": { "error": "E" } } });
    refused(
        task(PUT, json!({})),
        both,
        invalid,
        "A test mock should have only one of the following fields: [result, errorOutput].",
    );
    let mut secrets = result(&json!(1));
    secrets["revealSecrets"] = true.into();
    refused(
        task(PUT, json!({})),
        secrets,
        invalid,
        "TestState does not support RevealSecrets when a mock is specified.",
    );
    refused(task(INVOKE, json!({})), json!({}), invalid, "RoleArn must be specified when testing a Task state");
    refused(task(INVOKE, json!({})), json!({ "roleArn": "role" }), "InvalidArn", "Invalid Role Arn: 'role'");
    let context = json!({ "context": "{}", "roleArn": ROLE });
    refused(
        task(INVOKE, json!({})),
        context,
        invalid,
        "A Context object can only be specified when a mock is specified",
    );
    refused(
        json!({ "Type": "Pass", "Nexxt": "A" }),
        json!({}),
        "InvalidDefinition",
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: One of these fields is required: [Next, End] at /'",
    );
    refused(
        task("arn:aws:states:::states:startExecution.sync:2", json!({})),
        json!({ "roleArn": ROLE }),
        "InvalidDefinition",
        "The resource arn:aws:states:::states:startExecution.sync:2 waits for a job: specify a mock to test the state",
    );
    refused(
        task(INVOKE, json!({})),
        json!({ "variables": "[]" }),
        invalid,
        "RoleArn must be specified when testing a Task state",
    );
    refused(json!({ "Type": "Succeed" }), json!({ "variables": "[]" }), invalid, "The variables must be a JSON object");

    let fault = |message: &str| format!("Mock result schema validation error: {message}");
    let cases = [
        (START, json!({ "executionArn": "x" }), "STRICT", Some("Required field 'ExecutionArn' is missing")),
        (START, json!({ "ExecutionArn": "x", "StartDate": 1 }), "STRICT", Some("Field 'StartDate' must be a string")),
        (START, json!({ "ExecutionArn": 1 }), "PRESENT", Some("Field 'ExecutionArn' must be a string")),
        (START, json!({}), "PRESENT", None),
        (START, json!({ "ExecutionArn": 1 }), "NONE", None),
        (INVOKE, json!({ "StatusCode": "200" }), "STRICT", Some("Field 'StatusCode' must be a number")),
        (INVOKE, json!({ "random": "json" }), "STRICT", None),
        (PUT, json!({}), "STRICT", None),
    ];
    for (resource, value, mode, message) in cases {
        let mut more = result(&value);
        more["mock"]["fieldValidationMode"] = mode.into();
        match message {
            Some(message) => refused(task(resource, json!({})), more, invalid, &fault(message)),
            None => assert_eq!(tested(&world, &task(resource, json!({})), &json!({}), more)["output"], value),
        }
    }
}
