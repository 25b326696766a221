//! `pregao run --plan`: prints what a run would do and cost, and starts nothing.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{NaiveDate, Utc};
use lake::engine::{self, EngineChoice};
use lake::raw_files::{self, Coverage, RawFile};
use lake::workflow_input;
use lake::{Error, Lake, slices};
use market::partition::DateRange;
use market::session::is_business_day;
use market::snapshot::Feed;
use serde_json::json;

use crate::args::{self, OutputFormat};
use crate::output::{Cost, Days, Plan, TruncatedList};
use crate::{coverage, format, output, price};

/// What converts the raw files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Engine {
    /// The function transform.
    Lambda,
    /// The Rust engine, as a step of the embedded EMR.
    Embedded,
    /// Spark on this machine, as a step of the embedded EMR.
    Spark,
    /// Spark on EMR.
    Emr,
}

impl Engine {
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The engines that the command line allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engines {
    /// The requested engine. `None`: that of the configuration.
    pub choice: Option<EngineChoice>,
    /// What runs Spark steps on this machine.
    pub spark: args::Engine,
    /// Whether the run is on AWS.
    pub on_aws: bool,
}

impl Engines {
    /// Returns what converts the raw files of a run whose days have these sizes, in bytes.
    ///
    /// # Errors
    /// As [`EngineChoice::resolve`].
    pub(crate) fn resolve(self, lake: &Lake, sizes: &BTreeMap<NaiveDate, u64>) -> Result<Engine, Error> {
        let limits = &lake.config.transform;
        Ok(match (self.choice.unwrap_or(limits.engine).resolve(limits, sizes)?, self.spark) {
            (engine::Engine::Lambda, _) => Engine::Lambda,
            (engine::Engine::Emr, _) if self.on_aws => Engine::Emr,
            (engine::Engine::Emr, args::Engine::Spark) => Engine::Spark,
            (engine::Engine::Emr, args::Engine::Embedded) => Engine::Embedded,
        })
    }
}

/// Prints what a run of these days, or of yesterday, would do.
pub(crate) async fn plan(
    lake: &Lake,
    days: Option<DateRange>,
    engines: Engines,
    format: OutputFormat,
) -> anyhow::Result<ExitCode> {
    let range = match days {
        Some(days) => days,
        None => day_before()?,
    };
    let files = raw_files::list(lake, range).await?;
    let coverage = Coverage::new(&lake.config.session, range, &Feed::ALL, files.iter().map(|file| file.name));
    let mut sizes = BTreeMap::new();
    for file in &files {
        *sizes.entry(file.name.time.date()).or_default() += file.object.bytes;
    }
    let engine = engines.resolve(lake, &sizes)?;
    // Fails as the run would.
    slices::divide(range, &sizes, lake.config.quality.max_audit_bytes)?;
    let plan = plan_for(lake, range, &files, &coverage, engine, engines.on_aws);
    match format {
        OutputFormat::Json => output::print(&plan)?,
        OutputFormat::Table => print_text(&plan, &coverage, engines.on_aws)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the default day of a run, as the workflow resolves it.
fn day_before() -> Result<DateRange, Error> {
    workflow_input::resolve(&json!({}), Utc::now())?.range()
}

fn plan_for(
    lake: &Lake,
    range: DateRange,
    files: &[RawFile],
    coverage: &Coverage,
    engine: Engine,
    on_aws: bool,
) -> Plan {
    let mut dates: Vec<NaiveDate> = files.iter().map(|file| file.name.time.date()).collect();
    dates.sort_unstable();
    dates.dedup();
    let bytes = files.iter().map(|file| file.object.bytes).sum();
    // Without files the workflow ends before it starts a cluster.
    let count = dates.len() as u64;
    let (costs, seconds) =
        if on_aws && !files.is_empty() { estimate(lake, engine, count, bytes) } else { (Vec::new(), None) };
    Plan {
        days: Days::new(range),
        business_days: range.days().filter(|date| is_business_day(*date)).count() as u64,
        days_with_files: count,
        days_without_files: TruncatedList::new(&coverage.gaps, NaiveDate::to_string),
        files: files.len() as u64,
        bytes,
        engine: engine.as_str().to_owned(),
        seconds,
        usd: costs.iter().try_fold(0.0, |sum, cost| Some(sum + cost.usd?)),
        costs,
    }
}

/// Estimates what a run on AWS of `days` days with `bytes` of raw files costs, and how many seconds its engine takes.
pub(crate) fn estimate(lake: &Lake, engine: Engine, days: u64, bytes: u64) -> (Vec<Cost>, Option<f64>) {
    let emr = &lake.config.emr;
    match engine {
        Engine::Lambda => (price::of_lambda(days, bytes), Some(price::seconds_of_lambda(days, bytes))),
        Engine::Emr | Engine::Embedded | Engine::Spark => {
            (price::of_emr(emr, days, bytes), price::seconds_of_emr(emr, bytes))
        }
    }
}

fn print_text(plan: &Plan, coverage: &Coverage, on_aws: bool) -> io::Result<()> {
    let Plan { days, business_days, days_with_files, files, bytes, engine, seconds, usd, costs, .. } = plan;
    let mut out = io::stdout().lock();
    let range = if days.from == days.to { days.from.clone() } else { format!("{} to {}", days.from, days.to) };
    writeln!(
        out,
        "days     {range}: {}, {} with raw files",
        format::counted(*business_days, "business day"),
        format::counted(*days_with_files, "day")
    )?;
    writeln!(out, "files    {}, {}", format::counted(*files, "raw file"), format::bytes(*bytes))?;
    match seconds {
        Some(seconds) => {
            writeln!(out, "engine   {engine}, about {}", format::duration(Duration::from_secs_f64(*seconds)))?;
        }
        None => writeln!(out, "engine   {engine}")?,
    }
    match usd {
        _ if !on_aws => writeln!(out, "cost     nothing: it runs on this machine")?,
        _ if costs.is_empty() => writeln!(out, "cost     nothing: there is nothing to do")?,
        Some(usd) => writeln!(out, "cost     about {usd:.2} USD, at the list prices of {}", price::SOURCE)?,
        None => writeln!(out, "cost     not known: no price is known of the types in emr.instance_types")?,
    }
    for Cost { service, arithmetic, usd } in costs {
        let usd = usd.map_or_else(|| "?".to_owned(), |usd| format!("{usd:.3}"));
        writeln!(out, "  {service:<15} {usd:>8}  {arithmetic}")?;
    }
    for line in coverage::lines(coverage) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "nothing was started")
}
