//! Step Functions: the API, on the interpreter of `asl`. State machines, executions and their events are rows of the state.

mod aliases;
mod executions;
mod history;
mod integrations;
mod machines;
mod model;
mod names;
mod payloads;
mod settings;
mod tasks;
mod test_state;
mod versions;

use std::sync::Arc;

pub(crate) use executions::is_end_of_process;

use serde_json::Value;

use crate::aws_json::{AwsError, AwsResult, input};
use crate::faults::Faults;
use crate::lambda::Functions;
use crate::rules::Rules;
use crate::state::State;

/// The tables of the service.
pub(crate) const SCHEMAS: [&str; 7] = [
    machines::SCHEMA,
    settings::SCHEMA,
    versions::SCHEMA,
    aliases::SCHEMA,
    executions::SCHEMA,
    history::SCHEMA,
    payloads::SCHEMA,
];

/// The service.
#[derive(Debug)]
pub(crate) struct StepFunctions {
    state: Arc<State>,
    functions: Functions,
    faults: Faults,
    /// The rules that follow from the ends of executions. `None`: there are none.
    rules: Option<Rules>,
    running: executions::RunningExecutions,
}

impl StepFunctions {
    /// Registers this project's state machines, and ends the executions of a crashed process.
    pub(crate) fn open(
        state: Arc<State>,
        functions: Functions,
        faults: Faults,
        rules: Option<Rules>,
    ) -> rusqlite::Result<Arc<StepFunctions>> {
        let service =
            StepFunctions { state, functions, faults, rules, running: executions::RunningExecutions::default() };
        service.end_lost()?;
        service.register_built_in()?;
        Ok(Arc::new(service))
    }

    /// Handles an operation of the API.
    pub(crate) async fn call(self: &Arc<Self>, operation: &str, value: Value) -> AwsResult {
        model::check(operation, &value)?;
        match operation {
            "CreateStateMachine" => self.create(input(value)?),
            "UpdateStateMachine" => self.update(input(value)?),
            "DeleteStateMachine" => self.delete(&input(value)?),
            "DescribeStateMachine" => self.describe(&input(value)?),
            "ListStateMachines" => self.list(&input(value)?),
            "ValidateStateMachineDefinition" => StepFunctions::validate(&input(value)?),
            "PublishStateMachineVersion" => self.publish_version(input(value)?),
            "DeleteStateMachineVersion" => self.delete_version(&input(value)?),
            "ListStateMachineVersions" => self.list_versions(&input(value)?),
            "CreateStateMachineAlias" => self.create_alias(input(value)?),
            "UpdateStateMachineAlias" => self.update_alias(input(value)?),
            "DeleteStateMachineAlias" => self.delete_alias(&input(value)?),
            "DescribeStateMachineAlias" => self.describe_alias(&input(value)?),
            "ListStateMachineAliases" => self.list_aliases(&input(value)?),
            "StartExecution" => self.start_execution(input(value)?),
            "RedriveExecution" => self.redrive(&input(value)?),
            "StopExecution" => self.stop(input(value)?).await,
            "DescribeExecution" => self.describe_execution(&input(value)?),
            "DescribeStateMachineForExecution" => self.describe_machine_of(&input(value)?),
            "ListExecutions" => self.list_executions(&input(value)?),
            "GetExecutionHistory" => self.history(&input(value)?),
            "TagResource" => self.tag(input(value)?),
            "UntagResource" => self.untag(&input(value)?),
            "ListTagsForResource" => self.list_tags(&input(value)?),
            "TestState" => self.test_state(input(value)?).await,
            "StartSyncExecution" => Err(AwsError::new(
                "StateMachineTypeNotSupported",
                "This operation is not supported by this type of state machine",
            )),
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }
}

/// The error of an invalid page request.
fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidToken", message)
}
