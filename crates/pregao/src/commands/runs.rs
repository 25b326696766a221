//! `pregao runs`: what ran, and how one run went.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sfn::types::ExecutionListItem;
use chrono::{DateTime, Local};
use lake::{Error, Lake};

use crate::args::{Global, RunsArgs};
use crate::endpoint::{Use, with_lake};
use crate::human;
use crate::rows::{self, Row};
use crate::workflow;
use lake::history::{Change, Failure, Timeline, between, millis};

/// Lists executions, or shows one.
pub fn runs(global: &Global, args: &RunsArgs) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Questions, async |lake| match &args.id {
        None => list(lake, args.limit as usize).await,
        Some(id) => show(lake, &workflow::find(lake, id).await?).await,
    })
}

async fn list(lake: &Lake, limit: usize) -> anyhow::Result<ExitCode> {
    let mut all: Vec<(String, ExecutionListItem)> = Vec::new();
    for machine in workflow::machines(lake).await? {
        for item in workflow::executions(lake, &machine, None, limit).await? {
            all.push((machine.workflow.name().to_owned(), item));
        }
    }
    all.sort_by_key(|(_, item)| std::cmp::Reverse(millis(&item.start_date)));
    all.truncate(limit);

    let mut out = io::stdout().lock();
    if all.is_empty() {
        writeln!(out, "nothing has run here yet: pregao upload DIR, then pregao run --from DATE")?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = rows::columns(["workflow", "id", "status", "started", "took"].map(|name| (name, "varchar")));
    let rows: Vec<Row> = all
        .iter()
        .map(|(machine, item)| {
            let started = millis(&item.start_date);
            let took = between(started, item.stop_date.as_ref().map_or_else(now, millis));
            texts([machine, &item.name, item.status.as_str(), &clock(started), &human::duration(took)])
        })
        .collect();
    writeln!(out, "{}", rows::table(&columns, &rows, rows::terminal_width()))?;
    Ok(ExitCode::SUCCESS)
}

async fn show(lake: &Lake, arn: &str) -> anyhow::Result<ExitCode> {
    let described = lake.sfn.describe_execution().execution_arn(arn).send().await;
    let execution = described.map_err(Error::aws(format!("asking for {arn}")))?;
    let started = millis(&execution.start_date);
    let stopped = execution.stop_date.as_ref().map(millis);

    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} {}\n  started {}, took {}\n  input   {}",
        execution.name.as_deref().unwrap_or(arn),
        execution.status.as_str(),
        clock(started),
        human::duration(between(started, stopped.unwrap_or_else(now))),
        execution.input.as_deref().unwrap_or_default(),
    )?;
    if let Some(output) = &execution.output {
        writeln!(out, "  output  {output}")?;
    }

    let (lines, failure) = states(lake, arn, "").await?;
    let columns = rows::columns(["state", "entered", "took", "error"].map(|name| (name, "varchar")));
    writeln!(out, "\n{}", rows::table(&columns, &lines, rows::terminal_width()))?;
    if let Some(Failure { error, cause }) = failure {
        writeln!(out, "\n{error}: {cause}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each state that an execution went through, those of the executions that it started below their states.
async fn states(lake: &Lake, arn: &str, indent: &str) -> anyhow::Result<(Vec<Row>, Option<Failure>)> {
    let mut timeline = Timeline::of(arn);
    let changes = timeline.update(lake).await?;
    let mut lines = Vec::new();
    for (at, visit) in timeline.visits.iter().enumerate() {
        let took = visit.duration().map_or_else(String::new, human::duration);
        let errors: Vec<String> = visit.failures.iter().map(|f| format!("{}: {}", f.error, f.cause)).collect();
        lines.push(texts([&format!("{indent}{}", visit.state), &clock(visit.entered), &took, &errors.join("\n")]));
        for change in &changes {
            if let Change::Nested { visit, arn } = change
                && *visit == at
            {
                let below = Box::pin(states(lake, arn, &format!("{indent}  "))).await?;
                lines.extend(below.0);
            }
        }
    }
    Ok((lines, timeline.failure))
}

fn texts<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(|cell| Some(cell.to_owned())).to_vec()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as i64
}

/// A time as the clock on the wall shows it.
fn clock(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis)
        .map(|time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}
