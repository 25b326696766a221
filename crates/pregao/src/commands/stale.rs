//! `pregao run --stale`: processes the days whose raw files differ from what is published, and adds published days to the catalog
//! that an interrupted run has not added.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use chrono::{NaiveDate, Utc};
use lake::engine::EngineChoice;
use lake::{Lake, catalog_lag};
use lake_client::days::{self, Facts};
use market::partition::DateRange;
use serde_json::json;

use crate::args::OutputFormat;
use crate::commands::run::{self, Done};
use crate::format;
use crate::interrupt::Interrupted;
use crate::migrate;
use crate::output::{self, Partial, StaleRuns};
use crate::progress::Progress;

/// Runs `create_datalake` for each range of stale days, and for the days that are published and not in the catalog, one after the
/// other. After a range that fails, it continues with the
/// next one.
///
/// # Errors
/// The first failure, after all ranges were tried; an interruption immediately.
pub(crate) async fn run(
    lake: &Lake,
    asked: Option<DateRange>,
    engine: Option<EngineChoice>,
    home: Option<&Path>,
    format: OutputFormat,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    migrate::ensure(lake).await?;
    let facts = Facts::read(lake, asked).await?;
    let Some(range) = asked.or_else(|| facts.span()) else { return nothing(&[], format) };
    let chosen = days::to_do(range, &facts);
    let others: Vec<String> = days::judge(&lake.config, range, &facts, Utc::now())
        .iter()
        .filter(|day| (day.stale.is_some() || day.failed.is_some()) && !chosen.contains(&day.day))
        .map(|day| format!("{} ({})", day.day, day.state.as_str()))
        .collect();
    let mut behind = catalog_lag::days_behind(lake, &facts.records).await?;
    behind.retain(|day| !chosen.contains(day));
    if chosen.is_empty() && behind.is_empty() {
        return nothing(&others, format);
    }
    let mut ranges = days::contiguous(&chosen);
    if !ranges.is_empty() {
        let count = format::counted(chosen.len() as u64, "day");
        progress.line(&format!("{count} to make, in {}", format::counted(ranges.len() as u64, "run")));
    }
    if !behind.is_empty() {
        let count = format::counted(behind.len() as u64, "day");
        progress.line(&format!("{count} published and not in the catalog"));
        // After the runs that publish, so that these have nothing to publish.
        ranges.extend(catalog_lag::by_year(&behind)?.into_iter().map(|range| (range.from(), range.to())));
    }
    let mut done: Vec<Done> = Vec::new();
    let mut failures: Vec<anyhow::Error> = Vec::new();
    for (from, to) in &ranges {
        match of_range(lake, *from, *to, engine, progress).await {
            Ok(published) => {
                if format == OutputFormat::Table {
                    published.print_text(lake, home)?;
                }
                done.push(published);
            }
            Err(error) if error.chain().any(|cause| cause.is::<Interrupted>()) => return Err(error),
            Err(error) => {
                progress.line(&format!("{from} to {to}: {error}"));
                failures.push(error);
            }
        }
    }
    if format == OutputFormat::Table && !others.is_empty() {
        print_others(&others)?;
    }
    let document = StaleRuns {
        ranges: ranges.iter().map(|(from, to)| output::Days { from: from.to_string(), to: to.to_string() }).collect(),
        runs: done.iter().map(Done::document).collect(),
        error: None,
    };
    let failed = failures.len();
    match failures.into_iter().next() {
        None if format == OutputFormat::Json => output::print(&document).map(|()| ExitCode::SUCCESS),
        None => Ok(ExitCode::SUCCESS),
        Some(first) => {
            let error = first.context(format!("{failed} of {} failed", format::counted(ranges.len() as u64, "run")));
            Err(Partial::error(&document, None, error))
        }
    }
}

async fn of_range(
    lake: &Lake,
    from: NaiveDate,
    to: NaiveDate,
    engine: Option<EngineChoice>,
    progress: &Progress,
) -> anyhow::Result<Done> {
    let purpose = if from == to { format!("stale_{from}") } else { format!("stale_{from}_{to}") };
    let mut input = json!({ "from": from, "to": to, "stale": true });
    run::request_engine(&mut input, engine);
    run::execute(lake, &purpose, &input, progress).await
}

fn nothing(others: &[String], format: OutputFormat) -> anyhow::Result<ExitCode> {
    if format == OutputFormat::Json {
        output::print(&StaleRuns { ranges: Vec::new(), runs: Vec::new(), error: None })?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(io::stdout().lock(), "nothing to do: no day is stale or unpublished")?;
    if !others.is_empty() {
        print_others(others)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the days that were skipped although their raw files differ from what is published.
fn print_others(others: &[String]) -> io::Result<()> {
    const NAMED: usize = 5;
    let more = if others.len() > NAMED { ", ..." } else { "" };
    let named = others[..others.len().min(NAMED)].join(", ");
    writeln!(io::stdout().lock(), "left alone: {named}{more}")
}
