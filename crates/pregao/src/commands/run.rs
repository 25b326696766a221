//! `pregao run`: raw files to published tables.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use lake::quality::Report;
use lake::raw::Coverage;
use lake::{Lake, keys};
use market::partition::DateRange;
use market::run::RunId;
use market::table::TableName;
use serde::Deserialize;
use serde_json::json;

use crate::args::{Global, RunArgs};
use crate::endpoint::{Use, on_aws, with_lake_on};
use crate::follow::{Ending, follow};
use crate::hint::Hint;
use crate::progress::Progress;
use crate::workflow::{self, Workflow};
use crate::{coverage, human, rows};

/// What `create_datalake` says at its end.
#[derive(Debug, Deserialize)]
struct Outcome {
    run: RunId,
    #[serde(flatten)]
    days: DateRange,
    /// Raw files of these days.
    files: u64,
    #[serde(flatten)]
    coverage: Coverage,
    /// Nothing, where there was nothing to do.
    #[serde(default)]
    published: Vec<Published>,
}

#[derive(Debug, Deserialize)]
struct Published {
    table: TableName,
    partitions: u64,
    rows: u64,
}

/// Runs `create_datalake` and says what it published.
pub fn run(global: &Global, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let days = args
        .from
        .map(|from| DateRange::new(from, args.to.unwrap_or(from)))
        .transpose()
        .hint("pregao run --from FIRST --to LAST")?;
    let home = (!on_aws(global)?).then_some(global.home.as_path());
    let publish = async |lake: &Lake| publish(lake, home, days, &Progress::new()).await;
    with_lake_on(global, Use::Workflows, args.engine, publish)
}

/// Starts the workflow for these days, or for the day before, and follows it to its end. `home` is where objects are
/// files, if they are.
pub async fn publish(
    lake: &Lake,
    home: Option<&Path>,
    days: Option<DateRange>,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let (purpose, input) = match days {
        Some(days) if days.from() == days.to() => (days.from().to_string(), json!({ "date": days.from() })),
        Some(days) => (format!("{}_{}", days.from(), days.to()), json!(days)),
        None => ("day-before".to_owned(), json!({})),
    };
    let name = workflow::new_name(&purpose)?;
    progress.line(&format!("create_datalake {name}"));
    let arn = workflow::start(lake, Workflow::CreateDatalake, &name, &input).await?;
    match follow(lake, &arn, progress).await? {
        Ending::Succeeded(output) => {
            let outcome = Outcome::deserialize(output).context("create_datalake gave an output of another form")?;
            tell(lake, home, &outcome).await?;
            Ok(ExitCode::SUCCESS)
        }
        ending => workflow::not_succeeded(Workflow::CreateDatalake, &name, ending),
    }
}

async fn tell(lake: &Lake, home: Option<&Path>, outcome: &Outcome) -> anyhow::Result<()> {
    let mut reports = Vec::new();
    for published in &outcome.published {
        reports.push((published, Report::passed(lake, &outcome.run, published.table).await?));
    }
    let mut out = io::stdout().lock();
    if reports.is_empty() {
        writeln!(out, "nothing to do: there are no raw files of {}", outcome.days)?;
    } else {
        writeln!(
            out,
            "published {} from {}\n\n{}\n",
            outcome.days,
            human::counted(outcome.files, "raw file"),
            accounts(&reports)
        )?;
        for (_, report) in &reports {
            writeln!(out, "{}", verdict(report))?;
        }
        tell_places(&mut out, lake, home, &outcome.run)?;
    }
    for line in coverage::lines(&outcome.coverage) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Where the Parquet files and the quality reports lie.
fn tell_places(out: &mut impl Write, lake: &Lake, home: Option<&Path>, run: &RunId) -> io::Result<()> {
    let bucket = &lake.config.buckets.lake;
    let root = home
        .map_or_else(|| keys::uri(bucket, ""), |home| format!("{}/", home.join("s3").join(bucket.as_str()).display()));
    writeln!(out, "files    {root}TABLE/year=*/month=*/day=*/run={run}/")?;
    let report = keys::quality_report(run, TableName::Quotes);
    let reports = report.rsplit_once('/').map_or("", |(folder, _)| folder);
    writeln!(out, "reports  {root}{reports}/")
}

/// The account of each table: what was published of how many records, and what became of the others.
fn accounts(reports: &[(&Published, Report)]) -> String {
    let columns = rows::columns([
        ("table", "varchar"),
        ("partitions", "bigint"),
        ("rows", "bigint"),
        ("duplicates", "bigint"),
        ("raw records", "bigint"),
        ("blank_ticker", "bigint"),
        ("header_repeat", "bigint"),
        ("ragged", "bigint"),
    ]);
    let rows: Vec<rows::Row> = reports
        .iter()
        .map(|(Published { table, partitions, rows }, Report { records, duplicates, .. })| {
            let mut counts = vec![*partitions, *rows];
            if table.feed().is_some() {
                counts.push(duplicates.rows - duplicates.keys);
                counts.extend([records.records, records.blank_ticker, records.header_repeat, records.ragged]);
            }
            let mut row: rows::Row = counts.into_iter().map(|count| Some(human::count(count))).collect();
            row.insert(0, Some(table.to_string()));
            // The rejects are made from the records of both feeds, which stand in the lines above.
            row.resize(columns.len(), Some(String::new()));
            row
        })
        .collect();
    rows::table(&columns, &rows, None)
}

/// How many checks a table passed, and what those found that found anything.
fn verdict(report: &Report) -> String {
    let mut text = format!("{:<8} passed {}", report.table, human::counted(report.checks.len() as u64, "check"));
    let findings: Vec<String> = report
        .checks
        .iter()
        .filter(|check| check.failing > 0)
        .map(|check| {
            format!("{} {} of {} {}", check.name, human::count(check.failing), human::count(check.checked), check.unit)
        })
        .collect();
    if !findings.is_empty() {
        text += &format!("; within their limits: {}", findings.join(", "));
    }
    text
}
