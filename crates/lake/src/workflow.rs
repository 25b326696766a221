//! The workflows (state machines): finds them, and lists their executions.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionError;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use chrono::Utc;
use market::run::{InvalidRunId, RunId};
use serde::Deserialize;
use strum::{EnumString, IntoStaticStr};

use crate::{Error, Lake};

/// A workflow of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Workflow {
    /// Ingests landed files.
    UploadRawData,
    /// Turns the raw files of a range of days into published tables.
    CreateDatalake,
    /// Turns the raw files of a long range of days into published tables, in chunks. It starts [`Workflow::CreateDatalake`] for
    /// each.
    Backfill,
    /// Updates the catalog for a range of days. [`Workflow::CreateDatalake`] starts it once for each table.
    AthenaUpdate,
}

impl Workflow {
    /// All workflows, in the order in which data passes them, and each before the one that it starts.
    pub const ALL: [Workflow; 4] =
        [Workflow::UploadRawData, Workflow::Backfill, Workflow::CreateDatalake, Workflow::AthenaUpdate];

    /// Returns the name of its state machine. In an AWS account, the name of the stack precedes it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A run in the output of [`Workflow::UploadRawData`], which starts it and does not wait for its end.
#[derive(Debug, Deserialize)]
pub struct StartedRun {
    /// The ARN of the execution of [`Workflow::CreateDatalake`].
    pub execution: String,
}

/// A state machine of the lake.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its workflow.
    pub workflow: Workflow,
    /// Its ARN.
    pub arn: String,
}

impl Machine {
    /// Returns the machine of an execution, by the ARN of the execution.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the text is no such ARN.
    pub fn of_execution(workflow: Workflow, execution: &str) -> Result<Self, Error> {
        let machine = execution.rsplit_once(':').filter(|(machine, _)| machine.contains(":execution:"));
        let (machine, _) =
            machine.ok_or_else(|| Error::invalid_input(format!("{execution:?} is no ARN of an execution")))?;
        Ok(Self { workflow, arn: machine.replacen(":execution:", ":stateMachine:", 1) })
    }
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

/// Whether an execution runs, by its ARN. One that Step Functions no longer knows does not.
///
/// # Errors
/// Whatever Step Functions refuses.
pub async fn is_running(lake: &Lake, execution: &str) -> Result<bool, Error> {
    match lake.sfn.describe_execution().execution_arn(execution).send().await {
        Ok(described) => Ok(matches!(described.status, ExecutionStatus::Running | ExecutionStatus::PendingRedrive)),
        Err(error) if error.as_service_error().is_some_and(DescribeExecutionError::is_execution_does_not_exist) => {
            Ok(false)
        }
        Err(error) => Err(Error::aws(format!("looking at the execution {execution}"))(error)),
    }
}

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
    executions_where(lake, machine, status, limit, |_| true).await
}

/// [`executions`] that meet a condition.
///
/// # Errors
/// Whatever Step Functions refuses.
pub async fn executions_where(
    lake: &Lake,
    machine: &Machine,
    status: Option<&str>,
    limit: usize,
    is_chosen: impl Fn(&ExecutionListItem) -> bool,
) -> Result<Vec<ExecutionListItem>, Error> {
    let request = lake.sfn.list_executions().state_machine_arn(&machine.arn).max_results(limit.min(1_000) as i32);
    let request = request.set_status_filter(status.map(ExecutionStatus::from));
    let mut pages = request.into_paginator().items().send();
    let mut items = Vec::new();
    while items.len() < limit
        && let Some(item) = pages.next().await
    {
        let item = item.map_err(Error::aws(format!("listing the executions of {}", machine.workflow.name())))?;
        if is_chosen(&item) {
            items.push(item);
        }
    }
    Ok(items)
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
