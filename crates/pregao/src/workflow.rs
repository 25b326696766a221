//! The workflows (state machines) by their names: finding, starting and listing their executions.

use std::process::ExitCode;

use aws_sdk_sfn::types::ExecutionListItem;
use chrono::Utc;
use lake::{Error, Lake};
use market::run::RunId;
use serde_json::Value;

use crate::follow::{Ending, interrupted};
use crate::hint::{Hint, fail};
use crate::history::Failure;

/// A workflow that commands start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workflow {
    UploadRawData,
    CreateDatalake,
}

impl Workflow {
    /// The name of its state machine; in an account, behind that of the stack.
    fn name(self) -> &'static str {
        match self {
            Workflow::UploadRawData => "upload_raw_data",
            Workflow::CreateDatalake => "create_datalake",
        }
    }
}

/// The names of all three, of which the last is started by another.
const NAMES: [&str; 3] = ["upload_raw_data", "create_datalake", "athena_update"];

/// A state machine of the lake.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The workflow's name, without that of the stack.
    pub name: String,
    pub arn: String,
}

/// The state machines of the lake. An account may have others.
pub async fn machines(lake: &Lake) -> anyhow::Result<Vec<Machine>> {
    let mut pages = lake.sfn.list_state_machines().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(item) = pages.next().await {
        found.push(item.map_err(Error::aws("listing the state machines"))?);
    }
    let prefix = format!("{}-", lake.config.aws.stack);
    let named = |name: &str| found.iter().find(|item| item.name == name).map(|item| item.state_machine_arn.clone());
    let machine = |name: &&str| {
        let arn = named(&format!("{prefix}{name}")).or_else(|| named(name))?;
        Some(Machine { name: (*name).to_owned(), arn })
    };
    Ok(NAMES.iter().filter_map(machine).collect())
}

/// Starts an execution of this name and gives its ARN.
pub async fn start(lake: &Lake, workflow: Workflow, name: &RunId, input: &Value) -> anyhow::Result<String> {
    let Some(machine) = machines(lake).await?.into_iter().find(|machine| machine.name == workflow.name()) else {
        return fail(
            format!("there is no state machine {}", workflow.name()),
            "is this the endpoint of a lake? pregao local serves one, and pregao deploy makes one in an account",
        );
    };
    let started = lake
        .sfn
        .start_execution()
        .state_machine_arn(machine.arn)
        .name(name.as_str())
        .input(input.to_string())
        .send()
        .await
        .map_err(Error::aws(format!("starting {}", workflow.name())))?;
    Ok(started.execution_arn)
}

/// The latest executions of a machine, newest first, at most `limit`.
pub async fn executions(lake: &Lake, machine: &Machine, limit: usize) -> anyhow::Result<Vec<ExecutionListItem>> {
    let request = lake.sfn.list_executions().state_machine_arn(&machine.arn).max_results(limit.min(1_000) as i32);
    let mut pages = request.into_paginator().items().send();
    let mut items = Vec::new();
    while items.len() < limit
        && let Some(item) = pages.next().await
    {
        items.push(item.map_err(Error::aws(format!("listing the executions of {}", machine.name)))?);
    }
    Ok(items)
}

/// The ARN of the execution that a user means: its ARN, or its name in any of the machines.
pub async fn find(lake: &Lake, id: &str) -> anyhow::Result<String> {
    if id.starts_with("arn:") {
        return Ok(id.to_owned());
    }
    for machine in machines(lake).await? {
        // The ARN of an execution is that of its machine with another noun in it and the name behind it.
        let arn = format!("{}:{id}", machine.arn.replacen(":stateMachine:", ":execution:", 1));
        match lake.sfn.describe_execution().execution_arn(&arn).send().await {
            Ok(_) => return Ok(arn),
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_execution_does_not_exist() || e.is_invalid_arn()) => {}
            Err(error) => return Err(Error::aws(format!("looking for {id}"))(error).into()),
        }
    }
    Err(anyhow::anyhow!("there is no execution {id:?}")).hint("pregao runs lists those there are")
}

/// A name for a new execution that sorts by time, says what it is for, and that no other has.
pub fn new_name(purpose: &str) -> anyhow::Result<RunId> {
    let now = Utc::now();
    // The same instant to the microsecond is another process's once in a lifetime; a name in use is refused anyway.
    Ok(format!("{purpose}_{}-{:06}", now.format("%Y%m%dT%H%M%S"), now.timestamp_subsec_micros()).parse()?)
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
