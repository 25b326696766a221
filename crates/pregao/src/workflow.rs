//! Starts and finds executions of workflows, with hints for users.

use lake::{Error, Lake};
use lake_client::workflow;
pub(crate) use lake_client::workflow::{Workflow, executions, machines, new_name};
use market::run::RunId;
use serde_json::{Value, json};

use crate::error_report::{Hint, fail, hinted};
use crate::interrupt::Interrupted;
use crate::output::{Ended, Partial};
use crate::watch_execution::Ending;
use lake_client::execution_history::ExecutionFailure;

/// Starts an execution of this name. Returns its ARN.
pub(crate) async fn start(lake: &Lake, workflow: Workflow, name: &RunId, input: &Value) -> anyhow::Result<String> {
    tracing::debug!(workflow = workflow.name(), %name, %input, "starting an execution");
    match workflow::start(lake, workflow, name, input).await {
        Err(Error::Refused { code, message, .. }) if code == "StateMachineDoesNotExist" => fail(
            message,
            "is this the endpoint of a lake? pregao local serves one, and pregao deploy makes one in an account",
        ),
        started => Ok(started?),
    }
}

/// Returns the ARN of the execution with this ARN, or with this name in any of the state machines.
pub(crate) async fn find(lake: &Lake, id: &str) -> anyhow::Result<String> {
    match workflow::find(lake, id).await? {
        Some(arn) => Ok(arn),
        None => Err(anyhow::anyhow!("there is no execution {id:?}")).hint("pregao runs lists those there are"),
    }
}

/// Returns the output of an execution, or the error for its command: the failure, or the interruption by the user.
pub(crate) fn succeeded(workflow: Workflow, name: &RunId, ending: Ending) -> anyhow::Result<Value> {
    let (status, error_name, error) = match ending {
        Ending::Succeeded(output) => return Ok(output),
        Ending::Failed(ExecutionFailure { error, cause }) => {
            let failed = anyhow::anyhow!("{} failed: {error}: {cause}", workflow.name());
            ("FAILED", Some(error), hinted(failed, format!("pregao runs {name} shows each of its states")))
        }
        Ending::Stopped(signal) => ("ABORTED", None, Interrupted(signal).into()),
    };
    let ended = Ended { workflow: workflow.name().to_owned(), name: name.to_string(), status: status.to_owned() };
    Err(Partial::error(&json!({ "execution": ended }), error_name.as_deref(), error))
}
