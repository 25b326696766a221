//! The workflows and their executions: finds, lists and starts them.

use std::time::Duration;

use aws_sdk_sfn::types::ExecutionListItem;
use lake::workflow::executions_where;
pub use lake::workflow::{Machine, Workflow, executions, machine, machines, new_name};
use lake::{Error, Lake, backoff};
use market::run::RunId;
use serde_json::Value;

use crate::execution_history::millis;

/// Starts an execution of this name. Returns its ARN.
///
/// # Errors
/// As [`machine`], and whatever Step Functions refuses, such as a name that is in use.
pub async fn start(lake: &Lake, workflow: Workflow, name: &RunId, input: &Value) -> Result<String, Error> {
    let request = lake
        .sfn
        .start_execution()
        .state_machine_arn(machine(lake, workflow).await?.arn)
        .name(name.as_str())
        .input(input.to_string());
    let started = request.send().await.map_err(Error::aws(format!("starting {}", workflow.name())))?;
    let arn = started.execution_arn;
    // DescribeExecution is eventually consistent: without this wait, the caller's next request may be answered with
    // ExecutionDoesNotExist. If the execution stays unknown, that request returns the error.
    let known = backoff::poll_until(KNOWN_WITHIN, || async {
        let described = lake.sfn.describe_execution().execution_arn(&arn).send().await;
        let unknown = described
            .is_err_and(|error| error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()));
        Ok::<_, Error>((!unknown).then_some(()))
    });
    known.await?;
    Ok(arn)
}

/// How long to wait until a started execution is known.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

/// [`executions`] without those that were started after `until`, in milliseconds since 1970: so that the pages of a list do
/// not shift while more are started.
///
/// # Errors
/// Whatever Step Functions refuses.
pub async fn executions_until(
    lake: &Lake,
    machine: &Machine,
    status: Option<&str>,
    until: i64,
    limit: usize,
) -> Result<Vec<ExecutionListItem>, Error> {
    executions_where(lake, machine, status, limit, |item| millis(&item.start_date) <= until).await
}

/// Returns the ARN of the execution with this ARN, or with this name in any of the state machines; `None` if there is none.
///
/// # Errors
/// Whatever Step Functions refuses.
pub async fn find(lake: &Lake, id: &str) -> Result<Option<String>, Error> {
    if id.starts_with("arn:") {
        return Ok(Some(id.to_owned()));
    }
    for machine in machines(lake).await? {
        // The ARN of an execution is that of its state machine, with `execution` for `stateMachine`, and its name at the end.
        let arn = format!("{}:{id}", machine.arn.replacen(":stateMachine:", ":execution:", 1));
        match lake.sfn.describe_execution().execution_arn(&arn).send().await {
            Ok(_) => return Ok(Some(arn)),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_execution_does_not_exist() || e.is_invalid_arn()) => {}
            Err(error) => return Err(Error::aws(format!("looking for {id}"))(error)),
        }
    }
    Ok(None)
}
