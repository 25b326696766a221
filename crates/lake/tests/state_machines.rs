//! Holds the definitions in `statemachines/` to what they promise: no state without an end, no task without its
//! retries and its time, no failure that cannot be redriven, and no name that a deployment does not fill in.

use std::collections::BTreeSet;

use serde_json::Value;

const DEFINITIONS: [(&str, &str); 4] = [
    ("upload_raw_data", include_str!("../../../statemachines/upload_raw_data.asl.json")),
    ("create_datalake", include_str!("../../../statemachines/create_datalake.asl.json")),
    ("backfill", include_str!("../../../statemachines/backfill.asl.json")),
    ("athena_update", include_str!("../../../statemachines/athena_update.asl.json")),
];

fn definitions() -> impl Iterator<Item = (&'static str, Value)> {
    DEFINITIONS.iter().map(|(name, text)| (*name, serde_json::from_str(text).expect(name)))
}

/// Each machine of a definition: itself, the branches of its parallel states, and the processors of its Map states.
fn machines(definition: &Value) -> Vec<&Value> {
    let branches = states(definition).filter_map(|(_, state)| state["Branches"].as_array()).flatten();
    let processors =
        states(definition).map(|(_, state)| &state["ItemProcessor"]).filter(|processor| processor.is_object());
    std::iter::once(definition).chain(branches).chain(processors).collect()
}

fn states(machine: &Value) -> impl Iterator<Item = (&String, &Value)> {
    machine["States"].as_object().expect("states").iter()
}

/// All states that a state may go to.
fn targets(state: &Value) -> Vec<&str> {
    let listed = ["Choices", "Catch"].into_iter().filter_map(|key| state[key].as_array()).flatten();
    let nexts = listed.map(|choice| &choice["Next"]).chain([&state["Next"], &state["Default"]]);
    nexts.filter_map(Value::as_str).collect()
}

#[test]
fn every_state_is_reached_and_leads_on() {
    for (name, definition) in definitions() {
        for machine in machines(&definition) {
            let mut reached = BTreeSet::from([machine["StartAt"].as_str().expect("a start")]);
            for (state_name, state) in states(machine) {
                let ends = state["End"] == true || state["Type"] == "Succeed" || state["Type"] == "Fail";
                // What it catches may lead a last state on.
                let goes_on = state["Next"].is_string() || state["Default"].is_string();
                assert_ne!(ends, goes_on, "{name}: {state_name} ends or goes on");
                assert!(
                    state["Type"] != "Choice" || state["Default"].is_string(),
                    "{name}: {state_name} has a default"
                );
                reached.extend(targets(state));
            }
            let known: BTreeSet<&str> = states(machine).map(|(state, _)| state.as_str()).collect();
            assert_eq!(reached, known, "{name}");
        }
    }
}

/// A failed execution can be redriven from the state that failed, with everything before it kept. One that a `Catch`
/// led to a Fail state could not: redriven, it enters the Fail state again. So nothing is caught but an input that makes
/// no sense, which would make none the next time, and an execution fails with the name and the words of the function's
/// own error. The others are caught by a state that goes on with the work, and not by one that ends it: that of a chunk of a
/// backfill by the state that counts what the chunk has published.
#[test]
fn every_task_is_retried_and_timed_and_can_be_redriven() {
    for (name, definition) in definitions() {
        assert!(definition["TimeoutSeconds"].is_u64(), "{name} has a timeout");
        assert_eq!(definition["QueryLanguage"], "JSONPath", "{name}");
        for (state_name, state) in machines(&definition).into_iter().flat_map(states) {
            let caught = state["Catch"].as_array().into_iter().flatten();
            let known = [
                serde_json::json!({ "ErrorEquals": ["InvalidInput"], "Next": "InputRefused" }),
                serde_json::json!({ "ErrorEquals": ["RawFilesChanged"], "ResultPath": "$.changed", "Next": "PlanAgain" }),
                serde_json::json!({ "ErrorEquals": ["RecordChanged"], "ResultPath": null, "Next": "ValidateStaged" }),
                serde_json::json!({ "ErrorEquals": ["RecordChanged"], "ResultPath": "$.changed", "Next": "UpdateAgain" }),
                serde_json::json!({ "ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "ChunkOutcome" }),
            ];
            assert!(
                caught.into_iter().all(|catch| known.contains(catch)),
                "{name}: {state_name} could not be redriven"
            );
            // After these a redrive cannot help: other raw files are needed, and a new run for them.
            let fails =
                ["InputRefused", "DataMissing", "SomeDaysFailed", "ChunksFailed"].contains(&state_name.as_str());
            assert_eq!(state["Type"] == "Fail", fails, "{name}: {state_name}");
            if state["Type"] != "Task" {
                continue;
            }
            assert!(state["TimeoutSeconds"].is_u64(), "{name}: {state_name} has a timeout");
            let resource = state["Resource"].as_str().expect("a resource");
            let mut expected = match resource {
                "arn:aws:states:::lambda:invoke" => vec![retrier(&LAMBDA, 8), retrier(&ENDED, 2)],
                "arn:aws:states:::states:startExecution" | "arn:aws:states:::states:startExecution.sync:2" => {
                    vec![retrier(&STEP_FUNCTIONS, 8)]
                }
                other => panic!("{name}: {state_name} uses {other}"),
            };
            // An upload in progress ends soon; one that was interrupted has to be repeated by a person. Without jitter,
            // because this waits for the upload, and jitter could end the wait at once.
            if ["PlanRun", "PlanAgain"].contains(&state_name.as_str()) {
                expected.push(serde_json::json!({
                    "ErrorEquals": ["UploadPending"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxAttempts": 2,
                }));
            }
            // Of an older run of the same days, which may take an hour.
            if state_name == "PlanRun" {
                expected.push(serde_json::json!({
                    "ErrorEquals": ["RunInProgress"], "IntervalSeconds": 1, "BackoffRate": 1.5, "MaxDelaySeconds": 30,
                    "MaxAttempts": 150,
                }));
            }
            // The language has no way to share retriers.
            assert_eq!(state["Retry"], Value::from(expected), "{name}: {state_name}");
        }
    }
}

/// Transient errors of Lambda, and that of a function whose services throttle it.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html>
const LAMBDA: [&str; 6] = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "ServiceUnavailable",
];

/// A function that ended without a response: it was killed, ran out of memory, or timed out. The same page: Step Functions
/// reports these as `Lambda.Unknown`; the names of Lambda itself are in its logs and in errors of newer runtimes. All
/// functions are idempotent, but an error that occurs three times is not transient.
const ENDED: [&str; 3] = ["Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"];

const STEP_FUNCTIONS: [&str; 4] = [
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.ThrottlingException",
    "StepFunctions.SdkClientException",
    "StepFunctions.SfnException",
];

/// Returns the retrier of a service error. Without jitter, executions that were throttled together would retry together.
fn retrier(errors: &[&str], attempts: u32) -> Value {
    serde_json::json!({
        "ErrorEquals": errors, "IntervalSeconds": 2, "BackoffRate": 2, "MaxDelaySeconds": 60, "MaxAttempts": attempts,
        "JitterStrategy": "FULL",
    })
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-nested-workflows.html>: with this field in the input, the
/// console links the executions.
#[test]
fn a_started_execution_names_the_one_that_started_it() {
    let definitions: Vec<(&str, Value)> = definitions().collect();
    let states = definitions.iter().flat_map(|(_, definition)| machines(definition)).flat_map(states);
    let starting: Vec<&Value> = states
        .map(|(_, state)| state)
        .filter(|state| state["Resource"].as_str().is_some_and(|resource| resource.contains(":states:startExecution")))
        .collect();
    assert_eq!(starting.len(), 7);
    for state in starting {
        let parent = &state["Parameters"]["Input"]["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$"];
        assert_eq!(parent, "$$.Execution.Id", "{state}");
    }
}

#[test]
fn only_known_names_are_filled_in() {
    let known = BTreeSet::from([
        "IngestFunctionArn",
        "LaunchEmrStepFunctionArn",
        "PollStepFunctionArn",
        "TransformFunctionArn",
        "CreateAthenaTableFunctionArn",
        "ValidatePartitionsFunctionArn",
        "AthenaUpdateStateMachineArn",
        "CreateDatalakeStateMachineArn",
    ]);
    let used: BTreeSet<&str> = DEFINITIONS
        .iter()
        .flat_map(|(_, text)| text.split("${").skip(1))
        .map(|rest| rest.split('}').next().expect("a name"))
        .collect();
    assert_eq!(used, known);
}
