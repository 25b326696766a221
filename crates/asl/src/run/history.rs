//! The events of an execution.
//!
//! They have the types, order, ids and details of AWS: serialized one after another, they are the response of
//! `GetExecutionHistory`.

use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::syntax::Failure;

/// Receives an execution's events, in the order of their ids.
pub trait History: Send + Sync {
    /// Stores an event. The execution calls it synchronously, so it must not block for long.
    fn record(&self, event: Event);

    /// Returns a cause if the history is full. The execution then fails with this cause; the event of that failure is
    /// still recorded.
    fn full(&self) -> Option<String> {
        None
    }
}

/// An event. Serializes as the API's `HistoryEvent`: the timestamp in seconds since the Unix epoch, payloads as JSON text.
///
/// ```
/// let event = asl::Event {
///     id: 3,
///     previous_event_id: 2,
///     timestamp: "2020-04-01T10:00:00.250Z".parse().unwrap(),
///     kind: asl::EventKind::MapStateStarted(7),
/// };
/// assert_eq!(
///     serde_json::to_value(&event).unwrap(),
///     serde_json::json!({
///         "timestamp": 1585735200.25,
///         "type": "MapStateStarted",
///         "id": 3,
///         "previousEventId": 2,
///         "mapStateStartedEventDetails": { "length": 7 },
///     })
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// 1 for `ExecutionStarted`, then without gaps.
    pub id: u64,
    /// The id of the event that this one follows from. As on AWS it is 0 for the first two events, and for the last one
    /// after a timeout or a stop.
    pub previous_event_id: u64,
    /// The time of the event.
    pub timestamp: DateTime<Utc>,
    /// The type of the event, with its details.
    pub kind: EventKind,
}

/// The type of a state, as in event types such as `TaskStateEntered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display)]
pub enum StateType {
    /// `Task`
    Task,
    /// `Choice`
    Choice,
    /// `Wait`
    Wait,
    /// `Map`
    Map,
    /// `Parallel`
    Parallel,
    /// `Pass`
    Pass,
    /// `Succeed`
    Succeed,
    /// `Fail`
    Fail,
}

/// The history of an execution that keeps none.
pub(super) struct NoHistory;

impl History for NoHistory {
    fn record(&self, _: Event) {}
}

/// The type of an event, with its details. Inputs, outputs and parameters are values here, and JSON text in the
/// serialized event.
#[derive(Clone, Debug, PartialEq, strum::IntoStaticStr)]
pub enum EventKind {
    /// `ExecutionStarted`
    ExecutionStarted {
        /// The execution's input.
        input: Value,
        /// The ARN of the execution's role.
        role_arn: String,
    },
    /// `ExecutionSucceeded`, with the execution's output.
    ExecutionSucceeded(Value),
    /// `ExecutionFailed`
    ExecutionFailed(Failure),
    /// `ExecutionTimedOut`. As on AWS the failure is empty.
    ExecutionTimedOut(Failure),
    /// `ExecutionAborted`, with the argument of [`StopSwitch::stop`](crate::StopSwitch::stop).
    ExecutionAborted(Failure),
    /// `ExecutionRedriven`, with the number of redrives so far.
    ExecutionRedriven(u64),
    /// `TaskStateEntered`, `ChoiceStateEntered`, ...
    StateEntered {
        /// The state's type.
        state: StateType,
        /// The state's name.
        name: String,
        /// Its raw input.
        input: Value,
    },
    /// `TaskStateExited`, `ChoiceStateExited`, ... A Fail state has no such event.
    StateExited {
        /// The state's type.
        state: StateType,
        /// The state's name.
        name: String,
        /// The input of the next state.
        output: Value,
        /// The variables that it assigned.
        assigned: Map<String, Value>,
    },
    /// `TaskStateAborted`, `WaitStateAborted`, `MapStateAborted`, `ParallelStateAborted`: a sibling branch failed.
    StateAborted(StateType),
    /// `LambdaFunctionScheduled`
    LambdaFunctionScheduled {
        /// The function's ARN.
        resource: String,
        /// The function's payload.
        input: Value,
        /// The state's timeout, in seconds.
        timeout_in_seconds: Option<u64>,
    },
    /// `LambdaFunctionStarted`
    LambdaFunctionStarted,
    /// `LambdaFunctionSucceeded`, with the function's result.
    LambdaFunctionSucceeded(Value),
    /// `LambdaFunctionFailed`
    LambdaFunctionFailed(Failure),
    /// `LambdaFunctionTimedOut`
    LambdaFunctionTimedOut(Failure),
    /// `TaskScheduled`
    TaskScheduled {
        /// The integration.
        task: Integration,
        /// The region of the service.
        region: String,
        /// The task's effective input.
        parameters: Value,
        /// The state's timeout, in seconds.
        timeout_in_seconds: Option<u64>,
        /// The state's heartbeat interval, in seconds.
        heartbeat_in_seconds: Option<u64>,
    },
    /// `TaskStarted`
    TaskStarted(Integration),
    /// `TaskSubmitted`, with the service's response to the submission of the job.
    TaskSubmitted(Integration, Value),
    /// `TaskSucceeded`, with the task's result.
    TaskSucceeded(Integration, Value),
    /// `TaskFailed`
    TaskFailed(Integration, Failure),
    /// `TaskTimedOut`
    TaskTimedOut(Integration, Failure),
    /// `MapStateStarted`, with the number of items.
    MapStateStarted(u64),
    /// `MapStateSucceeded`
    MapStateSucceeded,
    /// `MapStateFailed`
    MapStateFailed,
    /// `MapIterationStarted`
    MapIterationStarted(Iteration),
    /// `MapIterationSucceeded`
    MapIterationSucceeded(Iteration),
    /// `MapIterationFailed`
    MapIterationFailed(Iteration),
    /// `MapIterationAborted`
    MapIterationAborted(Iteration),
    /// `ParallelStateStarted`
    ParallelStateStarted,
    /// `ParallelStateSucceeded`
    ParallelStateSucceeded,
    /// `ParallelStateFailed`
    ParallelStateFailed,
}

/// A service integration in events: `lambda` and `invoke`, `states` and `startExecution.sync:2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// The service, `resourceType` in the event.
    pub service: String,
    /// The action, `resource` in the event.
    pub action: String,
}

/// One iteration of a Map state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iteration {
    /// The Map state's name.
    pub name: String,
    /// The index of the item, from 0.
    pub index: u64,
}

impl EventKind {
    /// Returns the API's name of the event type: `TaskStateEntered`, `MapIterationFailed`.
    pub fn type_name(&self) -> String {
        let name: &str = self.into();
        match self {
            Self::StateEntered { state, .. } | Self::StateExited { state, .. } | Self::StateAborted(state) => {
                format!("{state}{name}")
            }
            _ => name.to_owned(),
        }
    }

    /// Returns the name and value of the field of details; `None` for an event that has none.
    fn details(&self) -> Option<(&'static str, Value)> {
        Some(match self {
            Self::ExecutionStarted { input, role_arn } => {
                ("executionStartedEventDetails", with_input(input, json!({ "roleArn": role_arn })))
            }
            Self::ExecutionSucceeded(output) => ("executionSucceededEventDetails", with_output(output, json!({}))),
            Self::ExecutionFailed(why) => ("executionFailedEventDetails", json!(why)),
            Self::ExecutionTimedOut(why) => ("executionTimedOutEventDetails", json!(why)),
            Self::ExecutionAborted(why) => ("executionAbortedEventDetails", json!(why)),
            Self::ExecutionRedriven(count) => ("executionRedrivenEventDetails", json!({ "redriveCount": count })),
            Self::StateEntered { name, input, .. } => {
                ("stateEnteredEventDetails", with_input(input, json!({ "name": name })))
            }
            Self::StateExited { name, output, assigned, .. } => {
                ("stateExitedEventDetails", with_assigned(assigned, with_output(output, json!({ "name": name }))))
            }
            Self::LambdaFunctionScheduled { resource, input, timeout_in_seconds } => (
                "lambdaFunctionScheduledEventDetails",
                with_seconds(
                    with_input(input, json!({ "resource": resource })),
                    "timeoutInSeconds",
                    *timeout_in_seconds,
                ),
            ),
            Self::LambdaFunctionSucceeded(output) => {
                ("lambdaFunctionSucceededEventDetails", with_output(output, json!({})))
            }
            Self::LambdaFunctionFailed(why) => ("lambdaFunctionFailedEventDetails", json!(why)),
            Self::LambdaFunctionTimedOut(why) => ("lambdaFunctionTimedOutEventDetails", json!(why)),
            Self::TaskScheduled { task, region, parameters, timeout_in_seconds, heartbeat_in_seconds } => {
                let mut details = task.details();
                details["region"] = json!(region);
                details["parameters"] = json!(parameters.to_string());
                let details = with_seconds(details, "timeoutInSeconds", *timeout_in_seconds);
                ("taskScheduledEventDetails", with_seconds(details, "heartbeatInSeconds", *heartbeat_in_seconds))
            }
            Self::TaskStarted(task) => ("taskStartedEventDetails", task.details()),
            Self::TaskSubmitted(task, output) => ("taskSubmittedEventDetails", with_output(output, task.details())),
            Self::TaskSucceeded(task, output) => ("taskSucceededEventDetails", with_output(output, task.details())),
            Self::TaskFailed(task, why) => ("taskFailedEventDetails", task.failure_details(why)),
            Self::TaskTimedOut(task, why) => ("taskTimedOutEventDetails", task.failure_details(why)),
            Self::MapStateStarted(length) => ("mapStateStartedEventDetails", json!({ "length": length })),
            Self::MapIterationStarted(iteration) => ("mapIterationStartedEventDetails", iteration.details()),
            Self::MapIterationSucceeded(iteration) => ("mapIterationSucceededEventDetails", iteration.details()),
            Self::MapIterationFailed(iteration) => ("mapIterationFailedEventDetails", iteration.details()),
            Self::MapIterationAborted(iteration) => ("mapIterationAbortedEventDetails", iteration.details()),
            Self::StateAborted(_)
            | Self::LambdaFunctionStarted
            | Self::MapStateSucceeded
            | Self::MapStateFailed
            | Self::ParallelStateStarted
            | Self::ParallelStateSucceeded
            | Self::ParallelStateFailed => return None,
        })
    }
}

impl Integration {
    fn details(&self) -> Value {
        json!({ "resourceType": self.service, "resource": self.action })
    }

    fn failure_details(&self, why: &Failure) -> Value {
        let mut details = self.details();
        for (part, text) in [("error", &why.error), ("cause", &why.cause)] {
            if let Some(text) = text {
                details[part] = json!(text);
            }
        }
        details
    }
}

impl Iteration {
    fn details(&self) -> Value {
        json!({ "name": self.name, "index": self.index })
    }
}

fn with_input(input: &Value, mut details: Value) -> Value {
    details["input"] = json!(input.to_string());
    details["inputDetails"] = json!({ "truncated": false });
    details
}

fn with_output(output: &Value, mut details: Value) -> Value {
    details["output"] = json!(output.to_string());
    details["outputDetails"] = json!({ "truncated": false });
    details
}

fn with_assigned(assigned: &Map<String, Value>, mut details: Value) -> Value {
    if !assigned.is_empty() {
        let texts = assigned.iter().map(|(name, value)| (name.clone(), Value::from(value.to_string())));
        details["assignedVariables"] = Value::Object(texts.collect());
        details["assignedVariablesDetails"] = json!({ "truncated": false });
    }
    details
}

fn with_seconds(mut details: Value, field: &str, seconds: Option<u64>) -> Value {
    if let Some(seconds) = seconds {
        details[field] = json!(seconds);
    }
    details
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = self.timestamp.timestamp_millis() as f64 / 1000.0;
        let mut event = serializer.serialize_map(None)?;
        event.serialize_entry("timestamp", &seconds)?;
        event.serialize_entry("type", &self.kind.type_name())?;
        event.serialize_entry("id", &self.id)?;
        event.serialize_entry("previousEventId", &self.previous_event_id)?;
        if let Some((field, details)) = self.kind.details() {
            event.serialize_entry(field, &details)?;
        }
        event.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serialized(kind: EventKind) -> Value {
        let event = Event {
            id: 5,
            previous_event_id: 4,
            timestamp: DateTime::from_timestamp_millis(1_585_735_200_123).expect("a moment"),
            kind,
        };
        serde_json::to_value(event).expect("JSON")
    }

    fn integration() -> Integration {
        Integration { service: "lambda".to_owned(), action: "invoke".to_owned() }
    }

    #[test]
    fn events_have_the_shape_of_the_api() {
        let scheduled = serialized(EventKind::TaskScheduled {
            task: integration(),
            region: "us-east-1".to_owned(),
            parameters: json!({ "FunctionName": "ingest", "Payload": {} }),
            timeout_in_seconds: Some(60),
            heartbeat_in_seconds: None,
        });
        let expected = json!({
            "timestamp": 1585735200.123,
            "type": "TaskScheduled",
            "id": 5,
            "previousEventId": 4,
            "taskScheduledEventDetails": {
                "resourceType": "lambda",
                "resource": "invoke",
                "region": "us-east-1",
                "parameters": "{\"FunctionName\":\"ingest\",\"Payload\":{}}",
                "timeoutInSeconds": 60,
            },
        });
        assert_eq!(scheduled, expected);
    }

    #[test]
    fn payloads_are_json_text() {
        let entered = serialized(EventKind::StateEntered {
            state: StateType::Choice,
            name: "Which?".to_owned(),
            input: json!({ "b": 1, "a": [null, "x"] }),
        });
        assert_eq!(entered["type"], "ChoiceStateEntered");
        assert_eq!(
            entered["stateEnteredEventDetails"],
            json!({ "name": "Which?", "input": "{\"b\":1,\"a\":[null,\"x\"]}", "inputDetails": { "truncated": false } })
        );
        let succeeded = serialized(EventKind::TaskSucceeded(integration(), json!("done")));
        assert_eq!(
            succeeded["taskSucceededEventDetails"],
            json!({ "resourceType": "lambda", "resource": "invoke", "output": "\"done\"", "outputDetails": { "truncated": false } })
        );
    }

    #[test]
    fn absent_parts_of_a_failure_stay_absent() {
        let failed = serialized(EventKind::ExecutionFailed(Failure::default()));
        assert_eq!(failed["executionFailedEventDetails"], json!({}));
        let timed_out = serialized(EventKind::TaskTimedOut(integration(), Failure::timeout()));
        assert_eq!(
            timed_out["taskTimedOutEventDetails"],
            json!({ "resourceType": "lambda", "resource": "invoke", "error": "States.Timeout" })
        );
    }

    #[test]
    fn events_without_details_have_none() {
        for (kind, name) in [
            (EventKind::MapStateFailed, "MapStateFailed"),
            (EventKind::ParallelStateStarted, "ParallelStateStarted"),
            (EventKind::StateAborted(StateType::Wait), "WaitStateAborted"),
        ] {
            let event = serialized(kind);
            assert_eq!(event["type"], name);
            assert_eq!(event.as_object().map(serde_json::Map::len), Some(4), "{event}");
        }
    }
}
