//! The workflows (state machines): finds them, and starts, finds and lists their executions.

use std::time::Duration;

use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use chrono::Utc;
use market::run::{InvalidRunId, RunId};
use serde_json::Value;

use crate::execution_history::millis;
use crate::{Error, Lake, backoff};

/// A workflow of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workflow {
    /// Ingests landed files.
    UploadRawData,
    /// Turns the raw files of a range of days into published tables.
    CreateDatalake,
    /// Updates the catalog for a range of days. [`Workflow::CreateDatalake`] starts it once for each table.
    AthenaUpdate,
}

impl Workflow {
    /// All workflows, in the order in which data passes them.
    pub const ALL: [Workflow; 3] = [Workflow::UploadRawData, Workflow::CreateDatalake, Workflow::AthenaUpdate];

    /// Returns the name of its state machine. In an AWS account, the name of the stack precedes it.
    pub fn name(self) -> &'static str {
        match self {
            Workflow::UploadRawData => "upload_raw_data",
            Workflow::CreateDatalake => "create_datalake",
            Workflow::AthenaUpdate => "athena_update",
        }
    }

    /// Returns the workflow of this name.
    pub fn named(name: &str) -> Option<Workflow> {
        Workflow::ALL.into_iter().find(|workflow| workflow.name() == name)
    }
}

/// A state machine of the lake.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its workflow.
    pub workflow: Workflow,
    /// Its ARN.
    pub arn: String,
}

/// Lists the state machines of the lake. An account may have others.
///
/// # Errors
/// Whatever Step Functions refuses.
pub async fn machines(lake: &Lake) -> Result<Vec<Machine>, Error> {
    let mut pages = lake.sfn.list_state_machines().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(item) = pages.next().await {
        found.push(item.map_err(Error::aws("listing the state machines"))?);
    }
    let prefix = format!("{}-", lake.config.aws.stack);
    let named = |name: &str| found.iter().find(|item| item.name == name).map(|item| item.state_machine_arn.clone());
    let machine = |workflow: Workflow| {
        let arn = named(&format!("{prefix}{}", workflow.name())).or_else(|| named(workflow.name()))?;
        Some(Machine { workflow, arn })
    };
    Ok(Workflow::ALL.into_iter().filter_map(machine).collect())
}

/// Finds the state machine of a workflow.
///
/// # Errors
/// [`Error::Refused`] with the code `StateMachineDoesNotExist` if there is none.
pub async fn machine(lake: &Lake, workflow: Workflow) -> Result<Machine, Error> {
    let found = machines(lake).await?.into_iter().find(|machine| machine.workflow == workflow);
    found.ok_or_else(|| {
        let name = workflow.name();
        let message = format!("there is no state machine {name}");
        Error::refused(format!("looking for {name}"), "StateMachineDoesNotExist", message)
    })
}

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

/// Lists the latest executions of a machine, newest first, at most `limit`: of all statuses, or of one `status` (`RUNNING`).
///
/// # Errors
/// Whatever Step Functions refuses.
pub async fn executions(
    lake: &Lake,
    machine: &Machine,
    status: Option<&str>,
    limit: usize,
) -> Result<Vec<ExecutionListItem>, Error> {
    executions_until(lake, machine, status, i64::MAX, limit).await
}

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
    let request = lake.sfn.list_executions().state_machine_arn(&machine.arn).max_results(limit.min(1_000) as i32);
    let request = request.set_status_filter(status.map(ExecutionStatus::from));
    let mut pages = request.into_paginator().items().send();
    let mut items = Vec::new();
    while items.len() < limit
        && let Some(item) = pages.next().await
    {
        let item = item.map_err(Error::aws(format!("listing the executions of {}", machine.workflow.name())))?;
        if millis(&item.start_date) <= until {
            items.push(item);
        }
    }
    Ok(items)
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

/// Returns a unique name for a new execution, which contains its purpose and sorts by time.
///
/// # Errors
/// If the purpose has characters that are invalid in the name of a run.
pub fn new_name(purpose: &str) -> Result<RunId, InvalidRunId> {
    let now = Utc::now();
    // Microseconds make collisions improbable; Step Functions refuses a name that is in use.
    format!("{purpose}_{}-{:06}", now.format("%Y%m%dT%H%M%S"), now.timestamp_subsec_micros()).parse()
}
