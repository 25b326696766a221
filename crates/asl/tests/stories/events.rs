//! Histories of sequential machines, as AWS writes them.

use serde_json::json;

use crate::fakes::{Stage, fails, ok, only, task};
use crate::virtual_clock::START;

#[test]
fn a_task_of_an_integration() {
    let stage = Stage::new(|_| ok(json!({ "Payload": 1 })).after_seconds(2));
    let state = task(
        json!({ "Parameters": { "FunctionName": "ingest", "Payload.$": "$" }, "TimeoutSeconds": 60, "HeartbeatSeconds": 30 }),
    );
    stage.run(only(state), json!({ "from": "2020-04-01" }));
    assert_eq!(
        stage.story(),
        [
            "1 <- 0 ExecutionStarted",
            "2 <- 0 TaskStateEntered",
            "3 <- 2 TaskScheduled",
            "4 <- 3 TaskStarted",
            "5 <- 4 TaskSucceeded",
            "6 <- 5 TaskStateExited",
            "7 <- 6 ExecutionSucceeded",
        ]
    );
    assert_eq!(
        stage.details("ExecutionStarted"),
        json!({ "input": "{\"from\":\"2020-04-01\"}", "inputDetails": { "truncated": false }, "roleArn": "arn:aws:iam::000000000000:role/states" })
    );
    assert_eq!(
        stage.details("TaskScheduled"),
        json!({
            "resourceType": "lambda", "resource": "invoke", "region": "us-east-1",
            "parameters": "{\"FunctionName\":\"ingest\",\"Payload\":{\"from\":\"2020-04-01\"}}",
            "timeoutInSeconds": 60, "heartbeatInSeconds": 30,
        })
    );
    assert_eq!(stage.details("TaskStarted"), json!({ "resourceType": "lambda", "resource": "invoke" }));
    assert_eq!(
        stage.details("TaskSucceeded"),
        json!({ "resourceType": "lambda", "resource": "invoke", "output": "{\"Payload\":1}", "outputDetails": { "truncated": false } })
    );
    assert_eq!(
        stage.details("TaskStateExited"),
        json!({ "name": "S", "output": "{\"Payload\":1}", "outputDetails": { "truncated": false } })
    );
    let events = stage.events();
    assert_eq!(events[0].timestamp.to_rfc3339(), START.replace('Z', "+00:00"));
    assert_eq!((events[4].timestamp - events[3].timestamp).num_seconds(), 2);
}

#[test]
fn a_job_tells_when_it_was_submitted() {
    let stage = Stage::new(|_| ok(json!({ "Status": "SUCCEEDED" })));
    stage.run(only(task(json!({ "Resource": "arn:aws:states:::states:startExecution.sync:2" }))), json!({}));
    assert_eq!(stage.story()[3..6], ["4 <- 3 TaskStarted", "5 <- 4 TaskSubmitted", "6 <- 5 TaskSucceeded"]);
    assert_eq!(
        stage.details("TaskSubmitted"),
        json!({ "resourceType": "states", "resource": "startExecution.sync:2", "output": "{\"submitted\":\"S\"}", "outputDetails": { "truncated": false } })
    );
}

#[test]
fn a_task_of_a_function_by_its_arn() {
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:ingest";
    let stage = Stage::new(|_| ok(json!(1)));
    stage.run(only(task(json!({ "Resource": arn, "TimeoutSeconds": 9 }))), json!({ "a": 1 }));
    assert_eq!(
        stage.story()[2..5],
        ["3 <- 2 LambdaFunctionScheduled", "4 <- 3 LambdaFunctionStarted", "5 <- 4 LambdaFunctionSucceeded"]
    );
    assert_eq!(
        stage.details("LambdaFunctionScheduled"),
        json!({ "resource": arn, "input": "{\"a\":1}", "inputDetails": { "truncated": false }, "timeoutInSeconds": 9 })
    );

    let stage = Stage::new(|_| fails("Exception"));
    stage.run(only(task(json!({ "Resource": arn }))), json!({}));
    assert_eq!(stage.story()[4..], ["5 <- 4 LambdaFunctionFailed", "6 <- 5 ExecutionFailed"]);
    assert_eq!(stage.details("LambdaFunctionFailed"), json!({ "error": "Exception", "cause": "Exception happened" }));

    let stage = Stage::new(|_| ok(json!(1)).after_seconds(10));
    stage.run(only(task(json!({ "Resource": arn, "TimeoutSeconds": 9 }))), json!({}));
    assert_eq!(stage.story()[4..], ["5 <- 4 LambdaFunctionTimedOut", "6 <- 5 ExecutionFailed"]);
    assert_eq!(stage.details("LambdaFunctionTimedOut"), json!({ "error": "States.Timeout" }));
}

#[test]
fn every_simple_state_is_entered_and_left() {
    let machine = json!({
        "StartAt": "Pass",
        "States": {
            "Pass": { "Type": "Pass", "Next": "Wait" },
            "Wait": { "Type": "Wait", "Seconds": 1, "Next": "Choice" },
            "Choice": { "Type": "Choice", "Choices": [{ "Variable": "$", "IsNull": true, "Next": "Wait" }], "Default": "Succeed" },
            "Succeed": { "Type": "Succeed" },
        },
    });
    let stage = Stage::bare();
    stage.run(machine, json!({}));
    assert_eq!(
        stage.story(),
        [
            "1 <- 0 ExecutionStarted",
            "2 <- 0 PassStateEntered",
            "3 <- 2 PassStateExited",
            "4 <- 3 WaitStateEntered",
            "5 <- 4 WaitStateExited",
            "6 <- 5 ChoiceStateEntered",
            "7 <- 6 ChoiceStateExited",
            "8 <- 7 SucceedStateEntered",
            "9 <- 8 SucceedStateExited",
            "10 <- 9 ExecutionSucceeded",
        ]
    );
}
