//! `pregao vacuum`: removes the files of runs that no reader can reach.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chrono::{NaiveDate, TimeDelta};
use lake::vacuum::{self, Freed, Options, Retention};

use crate::args::{Global, OutputFormat, VacuumArgs};
use crate::endpoint::{Use, with_lake};
use crate::format;
use crate::output::{self, Vacuum, VacuumedRun};

/// Environment variable with the minimum age of removed files in seconds, instead of an hour. For tests without concurrency.
const FLOOR: &str = "PREGAO_VACUUM_FLOOR_SECONDS";

/// Removes the files, or prints what would be removed.
pub(crate) fn vacuum(global: &Global, args: &VacuumArgs) -> anyhow::Result<ExitCode> {
    let floor = floor()?;
    // It may be interrupted: the next vacuum continues.
    with_lake(global, Use::Questions, async |lake| {
        let keep_days = args.keep_days.unwrap_or(lake.config.vacuum.keep_days);
        let retention = Retention { floor, ..Retention::days(keep_days) };
        let options = Options { retention, dry_run: args.dry_run, state_machine: None };
        let freed = vacuum::vacuum(lake, options).await?;
        let document = document(args.dry_run, keep_days, &freed);
        if args.format == OutputFormat::Json {
            output::print(&document)?;
        } else {
            print_text(&document)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn floor() -> anyhow::Result<TimeDelta> {
    let Some(text) = std::env::var_os(FLOOR) else { return Ok(vacuum::FLOOR) };
    let seconds = text.to_str().and_then(|text| text.parse::<u32>().ok());
    let seconds = seconds.with_context(|| format!("{FLOOR} is {}, which is no number of seconds", text.display()))?;
    Ok(TimeDelta::seconds(seconds.into()))
}

fn document(dry_run: bool, keep_days: u32, freed: &Freed) -> Vacuum {
    let runs = freed.runs.iter().map(|run| VacuumedRun {
        run: run.run.to_string(),
        days: run.days.iter().map(NaiveDate::to_string).collect(),
        objects: run.objects,
        bytes: run.bytes,
    });
    Vacuum {
        dry_run,
        keep_days,
        runs: runs.collect(),
        days: freed.days(),
        objects: freed.objects(),
        bytes: freed.bytes(),
        uploads: freed.uploads,
        databases: freed.databases.clone(),
    }
}

fn print_text(document: &Vacuum) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for VacuumedRun { run, days, objects, bytes } in &document.runs {
        let days = match days.as_slice() {
            [] => "its plan alone".to_owned(),
            [day] => day.clone(),
            [first, .., last] => format!("{} from {first} to {last}", format::counted(days.len() as u64, "day")),
        };
        writeln!(out, "{run}  {days}  {}  {}", format::counted(*objects, "object"), format::bytes(*bytes))?;
    }
    let freed = if document.dry_run { "would be freed" } else { "freed" };
    let runs = format::counted(document.runs.len() as u64, "run");
    writeln!(
        out,
        "{freed}: {runs}, {}, {}",
        format::counted(document.objects, "object"),
        format::bytes(document.bytes)
    )?;
    if document.uploads > 0 {
        writeln!(out, "{freed}: {} that nobody completed", format::counted(document.uploads, "upload"))?;
    }
    for database in &document.databases {
        writeln!(out, "{freed}: the database {database} of queries about the past")?;
    }
    Ok(())
}
