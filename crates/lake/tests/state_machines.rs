//! Holds the definitions in `statemachines/` to what they promise: no state without an end, no task without its
//! retries and its time, no failure that cannot be redriven, and no name that a deployment does not fill in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const DEFINITIONS: [(&str, &str); 3] = [
    ("upload_raw_data", include_str!("../../../statemachines/upload_raw_data.asl.json")),
    ("create_datalake", include_str!("../../../statemachines/create_datalake.asl.json")),
    ("athena_update", include_str!("../../../statemachines/athena_update.asl.json")),
];

fn definitions() -> impl Iterator<Item = (&'static str, Value)> {
    DEFINITIONS.iter().map(|(name, text)| (*name, serde_json::from_str(text).expect(name)))
}

/// Each machine of a definition: itself, and the branches of its parallel states.
fn machines(definition: &Value) -> Vec<&Value> {
    let branches = states(definition).filter_map(|(_, state)| state["Branches"].as_array()).flatten();
    std::iter::once(definition).chain(branches).collect()
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
/// own error. The others are caught by a state that goes on with the work, and not by one that ends it.
#[test]
fn every_task_is_retried_and_timed_and_can_be_redriven() {
    for (name, definition) in definitions() {
        assert!(definition["TimeoutSeconds"].is_u64(), "{name} has a timeout");
        assert_eq!(definition["QueryLanguage"], "JSONPath", "{name}");
        let mut retries: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (state_name, state) in machines(&definition).into_iter().flat_map(states) {
            let caught = state["Catch"].as_array().into_iter().flatten();
            let known = [
                serde_json::json!({ "ErrorEquals": ["InvalidInput"], "Next": "InputRefused" }),
                serde_json::json!({ "ErrorEquals": ["RawFilesChanged"], "ResultPath": "$.changed", "Next": "PlanAgain" }),
                serde_json::json!({ "ErrorEquals": ["RecordChanged"], "ResultPath": "$.changed", "Next": "ValidateStaged" }),
                serde_json::json!({ "ErrorEquals": ["RecordChanged"], "ResultPath": "$.changed", "Next": "UpdateAgain" }),
            ];
            assert!(
                caught.into_iter().all(|catch| known.contains(catch)),
                "{name}: {state_name} could not be redriven"
            );
            // After these a redrive cannot help: other raw files are needed, and a new run for them.
            let fails = ["InputRefused", "DataMissing", "SomeDaysFailed"].contains(&state_name.as_str());
            assert_eq!(state["Type"] == "Fail", fails, "{name}: {state_name}");
            if state["Type"] != "Task" {
                continue;
            }
            assert!(state["TimeoutSeconds"].is_u64(), "{name}: {state_name} has a timeout");
            let retried = state["Retry"][0]["ErrorEquals"].as_array().expect(state_name);
            let resource = state["Resource"].as_str().expect("a resource");
            let service = if resource == "arn:aws:states:::lambda:invoke" {
                assert!(retried.contains(&"ServiceUnavailable".into()), "{name}: {state_name}");
                "Lambda."
            } else {
                "StepFunctions."
            };
            assert!(retried.iter().any(|e| e.as_str().expect("a name").starts_with(service)), "{name}: {state_name}");
            retries.entry(resource).or_default().insert(state["Retry"][0].to_string());
            // An upload that is going on is over in a moment; one that was broken off is for a person to start again.
            let own = state["Retry"].as_array().expect("retriers").get(1).map(|retry| &retry["ErrorEquals"]);
            let expected = serde_json::json!(["UploadPending"]);
            assert_eq!(
                own,
                ["PlanRun", "PlanAgain"].contains(&state_name.as_str()).then_some(&expected),
                "{name}: {state_name}"
            );
        }
        // The language has no way to share them.
        for (resource, retries) in retries {
            assert_eq!(retries.len(), 1, "{name}: all tasks of {resource} are retried alike");
        }
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
    ]);
    let used: BTreeSet<&str> = DEFINITIONS
        .iter()
        .flat_map(|(_, text)| text.split("${").skip(1))
        .map(|rest| rest.split('}').next().expect("a name"))
        .collect();
    assert_eq!(used, known);
}
