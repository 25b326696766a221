//! Executions of the workflows, with what a user of commands can do when there is none.

use std::process::ExitCode;

pub use lake::workflow::{Workflow, executions, machines, new_name};
use lake::{Error, Lake, workflow};
use market::run::RunId;
use serde_json::Value;

use crate::follow::{Ending, interrupted};
use crate::hint::{Hint, fail};
use lake::history::Failure;

/// Starts an execution of this name and gives its ARN.
pub async fn start(lake: &Lake, workflow: Workflow, name: &RunId, input: &Value) -> anyhow::Result<String> {
    match workflow::start(lake, workflow, name, input).await {
        Err(Error::Refused { code, message, .. }) if code == "StateMachineDoesNotExist" => fail(
            message,
            "is this the endpoint of a lake? pregao local serves one, and pregao deploy makes one in an account",
        ),
        started => Ok(started?),
    }
}

/// The ARN of the execution that a user means: its ARN, or its name in any of the machines.
pub async fn find(lake: &Lake, id: &str) -> anyhow::Result<String> {
    match workflow::find(lake, id).await? {
        Some(arn) => Ok(arn),
        None => Err(anyhow::anyhow!("there is no execution {id:?}")).hint("pregao runs lists those there are"),
    }
}

/// Ends a command whose execution did not succeed: with the real cause, or as the user wished.
pub fn not_succeeded(workflow: Workflow, name: &RunId, ending: Ending) -> anyhow::Result<ExitCode> {
    match ending {
        Ending::Failed(Failure { error, cause }) => fail(
            format!("{} failed: {error}: {cause}", workflow.name()),
            format!("pregao runs {name} shows each of its states"),
        ),
        Ending::Stopped | Ending::Succeeded(_) => Ok(interrupted()),
    }
}
