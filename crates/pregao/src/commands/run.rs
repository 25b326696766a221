//! `pregao run`: turns raw files into published tables.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveDate;
use lake::engine::EngineChoice;
use lake::quality::{Records, Report};
use lake::raw_files::Coverage;
use lake::truncated_list::TruncatedList;
use lake::{Lake, added_columns, keys};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{Instrument, info_span};

use crate::args::{Engine, Global, OutputFormat, RunArgs, RunEngine};
use crate::commands::{accept, plan, stale, upload};
use crate::endpoint::{Use, on_aws, refuse_engine, with_lake, with_lake_on};
use crate::error_report::Hint;
use crate::progress::Progress;
use crate::watch_execution::watch;
use crate::workflow::{self, Workflow};
use crate::{coverage, format, output, tabular};

/// The output of `create_datalake`.
#[derive(Debug, Deserialize)]
struct Outcome {
    run: RunId,
    #[serde(flatten)]
    days: DateRange,
    /// Raw files of these days.
    files: u64,
    /// The number of days that had been published before, and that the run added to the catalog. Absent in the output of older
    /// versions.
    #[serde(default)]
    behind: u64,
    #[serde(flatten)]
    coverage: Coverage,
    /// Absent if there was nothing to do.
    #[serde(default)]
    published: Vec<Published>,
    /// The outcomes of the days. Absent if there was nothing to do.
    #[serde(default, rename = "outcome")]
    records: Recorded,
}

/// The outcomes of the days of a run.
#[derive(Debug, Default, Deserialize)]
struct Recorded {
    /// Number of published days.
    published: u64,
    /// Days of which another run had published the same or newer raw files.
    superseded: TruncatedList<NaiveDate>,
    /// Days that a rollback holds.
    held: TruncatedList<NaiveDate>,
}

#[derive(Debug, Deserialize)]
struct Published {
    table: TableName,
    partitions: u64,
    rows: u64,
}

/// Runs `create_datalake` and prints what it published, or only plans it.
pub(crate) fn run(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let days = args
        .from
        .map(|from| DateRange::new(from, args.to.unwrap_or(from)))
        .transpose()
        .hint("pregao run --from FIRST --to LAST")?;
    if let Some(day) = args.accept_missing {
        return accept::accept(global, day, args.by.as_deref(), args.format);
    }
    let on_aws = on_aws(global)?;
    let spark = args.engine.map_or(Engine::Embedded, RunEngine::spark);
    let choice = args.engine.map(RunEngine::choice);
    if args.plan {
        if on_aws {
            refuse_engine(spark)?;
        }
        return with_lake(global, Use::Questions, async |lake| {
            plan::plan(lake, days, plan::Engines { choice, spark, on_aws }, args.format).await
        });
    }
    let home = (!on_aws).then_some(global.home.as_path());
    with_lake_on(global, Use::Workflows, spark, async |lake| {
        let progress = Progress::new();
        if args.stale {
            return stale::run(lake, days, choice, home, args.format, &progress).await;
        }
        let done = publish(lake, days, choice, &progress).await?;
        // A requested day that a rollback holds is not published, which is an error.
        let code = if done.outcome.records.held.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if args.format == OutputFormat::Json {
            output::print(&done.document())?;
            return Ok(code);
        }
        done.print_text(lake, home)?;
        if let Some(day) = done.outcome.records.held.first.first() {
            progress.line(&format!("next: {} rollback {day} --release lets runs publish it again", global.program()));
        } else if done.reports.is_empty() {
            progress.line(&format!("next: {} upload DIR", global.program()));
        } else {
            progress.line(&format!(
                "next: {program} query \"SELECT * FROM quotes LIMIT 5\", or {program} explore",
                program = global.program()
            ));
        }
        Ok(code)
    })
}

/// The result of a run: its output, and the quality report of each table that it published.
pub(crate) struct Done {
    outcome: Outcome,
    reports: Vec<(Published, Report)>,
}

/// Starts the workflow for these days, or for yesterday, and watches it to its end.
pub(crate) async fn publish(
    lake: &Lake,
    days: Option<DateRange>,
    engine: Option<EngineChoice>,
    progress: &Progress,
) -> anyhow::Result<Done> {
    let (purpose, mut input) = match days {
        Some(days) if days.from() == days.to() => (days.from().to_string(), json!({ "date": days.from() })),
        Some(days) => (format!("{}_{}", days.from(), days.to()), json!(days)),
        None => ("day-before".to_owned(), json!({})),
    };
    request_engine(&mut input, engine);
    execute(lake, &purpose, &input, progress).await
}

/// Adds the requested engine to the input of the workflow.
pub(crate) fn request_engine(input: &mut Value, engine: Option<EngineChoice>) {
    if let Some(engine) = engine {
        input["engine"] = json!(engine);
    }
}

/// Starts the workflow with this input, and watches it to its end.
pub(crate) async fn execute(lake: &Lake, purpose: &str, input: &Value, progress: &Progress) -> anyhow::Result<Done> {
    let name = workflow::new_name(purpose)?;
    progress.line(&format!("create_datalake {name}"));
    let watched = async {
        let arn = workflow::start(lake, Workflow::CreateDatalake, &name, input).await?;
        watch(lake, &arn, progress).await
    };
    let ending = watched.instrument(info_span!("run", run = %name)).await?;
    let output = workflow::succeeded(Workflow::CreateDatalake, &name, ending)?;
    let mut outcome = Outcome::deserialize(output).context("create_datalake gave an output of another form")?;
    let mut reports = Vec::new();
    let tables = std::mem::take(&mut outcome.published);
    for published in tables.into_iter().filter(|_| outcome.records.published > 0) {
        let report = Report::of_run(lake, &outcome.run, published.table).await?;
        let report = report.with_context(|| format!("run {} has no report on {}", outcome.run, published.table))?;
        reports.push((published, report));
    }
    Ok(Done { outcome, reports })
}

impl Done {
    /// Converts it to the JSON document.
    pub(crate) fn document(&self) -> output::Run {
        let Outcome { run, days, files, behind, coverage, .. } = &self.outcome;
        output::Run {
            run: run.to_string(),
            days: output::Days::new(*days),
            files: *files,
            published: self.reports.iter().map(|(published, report)| document(published, report)).collect(),
            superseded: output::TruncatedList::new(&self.outcome.records.superseded, NaiveDate::to_string),
            held: output::TruncatedList::new(&self.outcome.records.held, NaiveDate::to_string),
            catalog_behind: *behind,
            coverage: coverage.into(),
        }
    }

    /// Prints what was published. `home` is the folder with the objects as files, if there is one.
    pub(crate) fn print_text(&self, lake: &Lake, home: Option<&Path>) -> io::Result<()> {
        let Done { outcome, reports } = self;
        let mut out = io::stdout().lock();
        let Recorded { superseded, held, .. } = &outcome.records;
        if !superseded.is_empty() {
            let days = format::counted(superseded.count as u64, "day");
            writeln!(out, "another run has published the same or newer raw files of {days}: {}", first(superseded))?;
        }
        if !held.is_empty() {
            let days = format::counted(held.count as u64, "day");
            writeln!(out, "a rollback holds {days}, which stay as they are: {}", first(held))?;
        }
        if reports.is_empty() && superseded.is_empty() && held.is_empty() {
            let what = if outcome.files == 0 { "there are no raw files" } else { "all raw files are published" };
            writeln!(out, "nothing to do: {what} of {}", outcome.days)?;
        } else if !reports.is_empty() {
            writeln!(
                out,
                "published {} from {}\n\n{}\n",
                outcome.days,
                format::counted(outcome.files, "raw file"),
                accounts(reports)
            )?;
            for (_, report) in reports {
                writeln!(out, "{}", verdict(report))?;
            }
            for (_, report) in reports {
                let names = &report.unterminated_files;
                if let Some(line) = upload::unterminated(names.len(), names.iter()) {
                    writeln!(out, "{:<8} {line}", report.table)?;
                }
            }
            for (_, report) in reports {
                let check = report.checks.iter().find(|check| check.name == added_columns::CHECK);
                let example = check.and_then(|check| check.examples.first()).and_then(Value::as_str);
                if let Some(line) = upload::added_columns(check.map_or(0, |check| check.failing), example) {
                    writeln!(out, "{:<8} {line}", report.table)?;
                }
            }
            print_places(&mut out, lake, home, &outcome.run)?;
        }
        print_catalog(&mut out, outcome.behind)?;
        for line in coverage::lines(&outcome.coverage) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// Prints how many days that had been published before are newly in the catalog.
pub(crate) fn print_catalog(out: &mut impl Write, behind: u64) -> io::Result<()> {
    if behind > 0 {
        let days = format::counted(behind, "day");
        writeln!(out, "the catalog now has {days} that had been published before")?;
    }
    Ok(())
}

/// Returns the first days of a list as text.
pub(crate) fn first(days: &TruncatedList<NaiveDate>) -> String {
    let named: Vec<String> = days.first.iter().take(3).map(NaiveDate::to_string).collect();
    named.join(", ") + if days.count > named.len() { ", ..." } else { "" }
}

fn document(published: &Published, report: &Report) -> output::Published {
    let Published { table, partitions, rows } = published;
    let of_feed = table.feed().is_some();
    let Records { records, published, blank_ticker, header_repeat, ragged } = report.records;
    let checks = report.checks.iter().map(|check| output::Check {
        name: check.name.clone(),
        unit: check.unit.to_string(),
        checked: check.checked,
        failing: check.failing,
        limit: check.limit,
        passed: check.passed,
    });
    output::Published {
        table: table.to_string(),
        partitions: *partitions,
        rows: *rows,
        duplicates: of_feed.then_some(report.duplicates.rows - report.duplicates.keys),
        records: of_feed.then_some(output::Records { records, published, blank_ticker, header_repeat, ragged }),
        checks: checks.collect(),
    }
}

/// Returns the locations of the Parquet files and the quality reports.
fn print_places(out: &mut impl Write, lake: &Lake, home: Option<&Path>, run: &RunId) -> io::Result<()> {
    let bucket = &lake.config.buckets.lake;
    let root = home
        .map_or_else(|| keys::uri(bucket, ""), |home| format!("{}/", home.join("s3").join(bucket.as_str()).display()));
    writeln!(out, "files    {root}{}TABLE/year=*/month=*/day=*/", keys::run(run))?;
    writeln!(out, "reports  {root}{}", keys::quality_reports(run))
}

/// Returns the table of record counts: how many records were published, and what the others were.
fn accounts(reports: &[(Published, Report)]) -> String {
    let columns = tabular::columns([
        ("table", "varchar"),
        ("partitions", "bigint"),
        ("rows", "bigint"),
        ("duplicates", "bigint"),
        ("raw records", "bigint"),
        ("blank_ticker", "bigint"),
        ("header_repeat", "bigint"),
        ("ragged", "bigint"),
    ]);
    let rows: Vec<tabular::Row> = reports
        .iter()
        .map(|(Published { table, partitions, rows }, Report { records, duplicates, .. })| {
            let mut counts = vec![*partitions, *rows];
            if table.feed().is_some() {
                counts.push(duplicates.rows - duplicates.keys);
                counts.extend([records.records, records.blank_ticker, records.header_repeat, records.ragged]);
            }
            let mut row: tabular::Row = counts.into_iter().map(|count| Some(format::count(count))).collect();
            row.insert(0, Some(table.to_string()));
            // `rejects` is made from the records of both feeds, which are in the lines above.
            row.resize(columns.len(), Some(String::new()));
            row
        })
        .collect();
    tabular::table(&columns, &rows, None)
}

/// Returns the number of checks that a table passed, and the findings of those with any.
fn verdict(report: &Report) -> String {
    let mut text = format!("{:<8} passed {}", report.table, format::counted(report.checks.len() as u64, "check"));
    let findings: Vec<String> = report
        .checks
        .iter()
        .filter(|check| check.failing > 0)
        .map(|check| {
            format!(
                "{} {} of {} {}",
                check.name,
                format::count(check.failing),
                format::count(check.checked),
                check.unit
            )
        })
        .collect();
    if !findings.is_empty() {
        text += &format!("; within their limits: {}", findings.join(", "));
    }
    text
}
