//! `pregao runs`: lists executions, or shows one.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sfn::types::ExecutionListItem;
use console::style;
use lake::{Error, Lake};
use lake_client::execution_history::{Change, Timeline, between, millis};
use serde_json::Value;

use crate::args::{Global, OutputFormat, RunsArgs};
use crate::endpoint::{Use, with_lake};
use crate::output::{Execution, Nested, Shown, State, Timestamp};
use crate::tabular::{self, Row};
use crate::workflow::{self, Workflow};
use crate::{color, format, output};

/// Lists executions, or shows one.
pub(crate) fn runs(global: &Global, args: &RunsArgs) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Questions, async |lake| match &args.id {
        None => {
            let runs = list(lake, args.limit as usize).await?;
            if args.format == OutputFormat::Json {
                output::print(&runs)?;
            } else {
                print_list(&runs)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(id) => {
            let shown = show(lake, &workflow::find(lake, id).await?).await?;
            if args.format == OutputFormat::Json {
                output::print(&shown)?;
            } else {
                print_text(&shown)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    })
}

async fn list(lake: &Lake, limit: usize) -> anyhow::Result<output::Runs> {
    let mut all: Vec<(&str, ExecutionListItem)> = Vec::new();
    for machine in workflow::machines(lake).await? {
        for item in workflow::executions(lake, &machine, None, limit).await? {
            all.push((machine.workflow.name(), item));
        }
    }
    all.sort_by_key(|(_, item)| std::cmp::Reverse(millis(&item.start_date)));
    all.truncate(limit);
    let executions = all.into_iter().map(|(workflow, item)| {
        let times = (millis(&item.start_date), item.stop_date.as_ref().map(millis));
        execution(workflow, &item.name, &item.execution_arn, item.status.as_str(), times)
    });
    Ok(output::Runs { executions: executions.collect() })
}

/// Returns the document of an execution, with start and, if it has ended, end.
fn execution(workflow: &str, name: &str, arn: &str, status: &str, times: (i64, Option<i64>)) -> Execution {
    let (started, stopped) = times;
    Execution {
        workflow: workflow.to_owned(),
        name: name.to_owned(),
        arn: arn.to_owned(),
        status: status.to_owned(),
        started: Timestamp::from_millis(started),
        stopped: stopped.map(Timestamp::from_millis),
        seconds: output::seconds(between(started, stopped.unwrap_or_else(now))),
    }
}

fn print_list(runs: &output::Runs) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if runs.executions.is_empty() {
        writeln!(out, "nothing has run here yet: pregao upload DIR, then pregao run --from DATE")?;
        return Ok(());
    }
    let columns = tabular::columns(["workflow", "id", "status", "started", "took"].map(|name| (name, "varchar")));
    let lines = runs.executions.iter().map(|Execution { workflow, name, status, started, seconds, .. }| {
        texts([
            workflow,
            name,
            status,
            &started.local().to_string(),
            &format::duration(Duration::from_secs_f64(*seconds)),
        ])
    });
    let table = tabular::table(&columns, &lines.collect::<Vec<Row>>(), tabular::terminal_width());
    writeln!(out, "{}", tabular::coloured(&table, "status", color::for_status))?;
    Ok(())
}

async fn show(lake: &Lake, arn: &str) -> anyhow::Result<Shown> {
    let described = lake.sfn.describe_execution().execution_arn(arn).send().await;
    let described = described.map_err(Error::aws(format!("asking for {arn}")))?;
    // In an account, the name of the state machine starts with that of the stack.
    let machine = described.state_machine_arn.rsplit(':').next().unwrap_or_default();
    let of_machine = Workflow::ALL.into_iter().map(Workflow::name).find(|name| machine.ends_with(name));
    let times = (millis(&described.start_date), described.stop_date.as_ref().map(millis));
    let name = described.name.as_deref().unwrap_or(arn);
    let (states, failure) = states(lake, arn).await?;
    Ok(Shown {
        execution: execution(of_machine.unwrap_or(machine), name, arn, described.status.as_str(), times),
        input: json(described.input.as_deref().unwrap_or_default()),
        output: described.output.as_deref().map(json),
        failure,
        states,
    })
}

/// Parses JSON; anything else becomes a string.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Reads the states of an execution, with those of the executions that it started.
async fn states(lake: &Lake, arn: &str) -> anyhow::Result<(Vec<State>, Option<output::Failure>)> {
    let mut timeline = Timeline::new(arn);
    let changes = timeline.update(lake).await?;
    let mut states = Vec::new();
    for (at, visit) in timeline.visits.iter().enumerate() {
        let mut executions = Vec::new();
        for change in &changes {
            if let Change::Nested { visit, arn } = change
                && *visit == at
            {
                let (states, _) = Box::pin(self::states(lake, arn)).await?;
                executions.push(Nested { arn: arn.clone(), states });
            }
        }
        states.push(State {
            name: visit.state.clone(),
            entered: Timestamp::from_millis(visit.entered),
            left: visit.left.map(Timestamp::from_millis),
            seconds: visit.duration().map(output::seconds),
            failures: visit.failures.iter().map(output::Failure::from).collect(),
            failed: visit.failed,
            executions,
        });
    }
    Ok((states, timeline.failure.as_ref().map(output::Failure::from)))
}

fn print_text(shown: &Shown) -> anyhow::Result<()> {
    let Shown { execution, input, output, failure, states } = shown;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} {}\n  started {}, took {}\n  input   {input}",
        execution.name,
        color::for_status(&execution.status).apply_to(&execution.status),
        execution.started.local(),
        format::duration(Duration::from_secs_f64(execution.seconds)),
    )?;
    if let Some(output) = output {
        writeln!(out, "  output  {output}")?;
    }
    let mut lines = Vec::new();
    collect(states, "", &mut lines);
    let columns = tabular::columns(["state", "entered", "took", "error"].map(|name| (name, "varchar")));
    writeln!(out, "\n{}", tabular::table(&columns, &lines, tabular::terminal_width()))?;
    if let Some(output::Failure { error, cause }) = failure {
        writeln!(out, "\n{} {cause}", style(format!("{error}:")).red().bold())?;
    }
    Ok(())
}

/// Returns a line for each state, those of nested executions below it.
fn collect(states: &[State], indent: &str, lines: &mut Vec<Row>) {
    for State { name, entered, seconds, failures, executions, .. } in states {
        let took = seconds.map_or_else(String::new, |seconds| format::duration(Duration::from_secs_f64(seconds)));
        let errors: Vec<String> = failures.iter().map(|f| format!("{}: {}", f.error, f.cause)).collect();
        lines.push(texts([&format!("{indent}{name}"), &entered.local().to_string(), &took, &errors.join("\n")]));
        for nested in executions {
            collect(&nested.states, &format!("{indent}  "), lines);
        }
    }
}

fn texts<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(|cell| Some(cell.to_owned())).to_vec()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as i64
}
