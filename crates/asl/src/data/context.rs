//! The values that paths read: a state's data under `$`, and the context object under `$$`.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::variables::Variables;
use crate::syntax::format_timestamp;

/// The identity of an execution, which paths read from the context object `$$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionContext {
    /// `$$.Execution.Id`: the execution's ARN.
    pub execution_arn: String,
    /// `$$.Execution.Name`.
    pub execution_name: String,
    /// `$$.Execution.RoleArn`, and the role in the `ExecutionStarted` event. Empty in the test of a state without a role.
    pub role_arn: String,
    /// `$$.Execution.StartTime`.
    pub started: DateTime<Utc>,
    /// `$$.StateMachine.Id`: the state machine's ARN.
    pub state_machine_arn: String,
    /// `$$.StateMachine.Name`.
    pub state_machine_name: String,
    /// The region in `TaskScheduled` events, such as `us-east-1`.
    pub region: String,
}

/// The item that an iteration of a Map state processes.
#[derive(Debug)]
pub(crate) struct MapItem {
    pub(crate) index: usize,
    pub(crate) value: Value,
}

/// The context object of one attempt of a state.
pub(crate) struct Context<'a> {
    pub(crate) execution: &'a ExecutionContext,
    pub(crate) execution_input: &'a Value,
    pub(crate) state: &'a str,
    pub(crate) entered: DateTime<Utc>,
    /// How often the execution was redriven. `None` in the test of a state.
    pub(crate) redrives: Option<u64>,
    /// `None` in states that cannot be retried.
    pub(crate) retry_count: Option<u32>,
    pub(crate) item: Option<&'a MapItem>,
    /// What `$name` reads.
    pub(crate) variables: &'a Variables,
    /// The object that the test of a state was given, instead of one of the fields above.
    pub(crate) given: Option<&'a Map<String, Value>>,
    /// The JSON object, built lazily because few states read it.
    pub(crate) object: OnceLock<Value>,
}

impl Context<'_> {
    pub(crate) fn object(&self) -> &Value {
        self.object.get_or_init(|| self.build())
    }

    fn build(&self) -> Value {
        let mut object = match self.given {
            Some(given) => Value::Object(given.clone()),
            None => self.of_execution(),
        };
        if let Some(item) = self.item {
            object["Map"] = json!({ "Item": { "Index": item.index, "Value": item.value } });
        }
        object
    }

    fn of_execution(&self) -> Value {
        let mut object = json!({
            "Execution": {
                "Id": self.execution.execution_arn,
                "Input": self.execution_input,
                "StartTime": format_timestamp(self.execution.started),
                "Name": self.execution.execution_name,
                "RoleArn": Some(&self.execution.role_arn).filter(|role| !role.is_empty()),
            },
            "StateMachine": {
                "Id": self.execution.state_machine_arn,
                "Name": self.execution.state_machine_name,
            },
            "State": { "Name": self.state, "EnteredTime": format_timestamp(self.entered) },
        });
        if let Some(count) = self.redrives {
            object["Execution"]["RedriveCount"] = json!(count);
        }
        if let Some(count) = self.retry_count {
            object["State"]["RetryCount"] = json!(count);
        }
        object
    }
}

/// The values that a path, a template or an intrinsic function can read.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) input: &'a Value,
    pub(crate) context: &'a Context<'a>,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Calls `read` with `input` under `$` and a context object whose execution is named `run-1`.
    pub(crate) fn with_data<T>(input: &Value, read: impl FnOnce(&Data<'_>) -> T) -> T {
        let execution = ExecutionContext {
            execution_arn: "arn:aws:states:us-east-1:000000000000:execution:m:run-1".into(),
            execution_name: "run-1".into(),
            role_arn: "arn:aws:iam::000000000000:role/states".into(),
            started: DateTime::UNIX_EPOCH,
            state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m".into(),
            state_machine_name: "m".into(),
            region: "us-east-1".into(),
        };
        let item = MapItem { index: 3, value: json!({ "who": "bob" }) };
        let variables = Variables::new(serde_json::Map::from_iter([("known".to_owned(), json!({ "list": [1, 2] }))]));
        let context = Context {
            execution: &execution,
            execution_input: input,
            state: "S",
            entered: DateTime::UNIX_EPOCH,
            redrives: Some(0),
            retry_count: Some(0),
            item: Some(&item),
            variables: &variables,
            given: None,
            object: OnceLock::new(),
        };
        read(&Data { input, context: &context })
    }
}
