//! `pregao smoke`: tries each promise of the documentation, and reports the evidence.
//!
//! In an account it works in the user's own stack, on days of its own. On this machine it has a home of its own.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use lake::{Config, Lake, price};

use crate::args::{Format, Global, OutputFormat, SmokeArgs};
use crate::doctor::{self, Check, Moment};
use crate::endpoint::{Embedded, Use, configuration, is_on_aws, runtime, with_lake, with_lake_in};
use crate::error_report::fail;
use crate::format;
use crate::interrupt::Interrupted;
use crate::output::{self, Smoke, SmokePromise, Verdict};
use crate::own_home::OwnHome;
use crate::progress::Progress;
use crate::smoke::files::Files;
use crate::smoke::{self, ABORTED, PREFIX, Settings};
use crate::tabular::{self, Row};

/// The home on this machine.
const HOME: OwnHome = OwnHome {
    what: "smoke test",
    marker: "smoke.txt",
    text: "This folder is a lake of generated numbers, made by `pregao smoke`. Delete it when you like.\n",
};

/// The folder of the raw files in this home.
const FILES: &str = "smoke-files";

/// Makes the steps, and writes the report. The exit code is 1 if a promise was not kept.
pub(crate) fn smoke(global: &Global, args: &SmokeArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    if is_on_aws(global, &config) {
        if args.clean {
            return with_lake(global, Use::Workflows, async |lake| clean(lake, true).await);
        }
        let folder = tempfile::tempdir().context("cannot create a folder for the raw files")?;
        let prepared = Prepared::new(&config, args, folder.path(), true)?;
        let checks = runtime()?.block_on(doctor::account(&config, Moment::Any));
        confirm(args, &config, &prepared)?;
        return explained(with_lake(global, Use::Workflows, async |lake| prepared.run(lake, args, &checks).await));
    }
    let is_new = !global.home.exists();
    HOME.claim(&global.home)?;
    let embedded = || Embedded { rules: true, faults: Some(delay_of_aborted()) };
    let code = if args.clean {
        with_lake_in(global, Use::Workflows, embedded(), async |lake| clean(lake, false).await)?
    } else {
        let folder = global.home.join(FILES);
        // Those of an earlier one may be of another configuration.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let prepared = match Prepared::new(&config, args, &folder, false) {
            Ok(prepared) => prepared,
            Err(error) => {
                if is_new {
                    HOME.remove(&global.home)?;
                }
                return Err(error);
            }
        };
        let checks = doctor::machine(global);
        let made =
            with_lake_in(global, Use::Workflows, embedded(), async |lake| prepared.run(lake, args, &checks).await);
        explained(made)?
    };
    if code == ExitCode::SUCCESS {
        HOME.remove(&global.home)?;
    } else {
        Progress::new().line(&format!("the executions stay in {} until the next pregao smoke", global.home.display()));
    }
    Ok(code)
}

/// Names what an interrupt leaves, and what removes it.
fn explained(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    if result.as_ref().is_err_and(|error| error.chain().any(|cause| cause.is::<Interrupted>())) {
        Progress::new().warning("what was made is removed by the next pregao smoke, or by pregao smoke --clean");
    }
    result
}

/// The fault by which the embedded endpoint delays the first step of the run that is aborted. A step of EMR waits for its machines,
/// and without a delay there is nothing to abort.
fn delay_of_aborted() -> String {
    format!("service=spark&op=RunStep&key=pregao-{PREFIX}{ABORTED}_*&n=1:delay=40s")
}

/// What is known before anything is started.
struct Prepared {
    files: Files,
    settings: Settings,
}

impl Prepared {
    /// Writes the raw files to `folder`, and estimates the cost.
    fn new(config: &Config, args: &SmokeArgs, folder: &Path, aws: bool) -> anyhow::Result<Prepared> {
        let files = Files::write(config, folder)?;
        let with_emr = !args.without_emr;
        let estimated_usd = smoke::estimate(config, &files, with_emr)?;
        if estimated_usd > args.max_cost {
            return fail(
                format!(
                    "all steps cost about {estimated_usd:.2} USD on AWS, more than --max-cost {:.2}",
                    args.max_cost
                ),
                "raise --max-cost, or leave out the steps that start clusters: --without-emr",
            );
        }
        Ok(Prepared { files, settings: Settings { aws, with_emr, estimated_usd } })
    }

    async fn run(&self, lake: &Lake, args: &SmokeArgs, checks: &[Check]) -> anyhow::Result<ExitCode> {
        let progress = Progress::new();
        let report = smoke::run(lake, self.settings.clone(), &self.files, checks, &progress).await?;
        let text = serde_json::to_vec_pretty(&report)?;
        fs::write(&args.report, text)
            .with_context(|| format!("cannot write the report to {}", args.report.display()))?;
        match args.format {
            OutputFormat::Json => output::print(&report)?,
            OutputFormat::Table => print_text(&report, &args.report)?,
        }
        Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn clean(lake: &Lake, aws: bool) -> anyhow::Result<ExitCode> {
    let text = match smoke::clean_up(lake, aws, &Progress::new()).await? {
        None => "there is nothing to remove".to_owned(),
        Some(objects) => format!("removed {}", format::counted(objects, "object")),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// States what is done and paid for, and asks.
fn confirm(args: &SmokeArgs, config: &Config, prepared: &Prepared) -> anyhow::Result<()> {
    let Settings { with_emr, estimated_usd, .. } = prepared.settings;
    let clusters = if with_emr { "three clusters of EMR, one of which is aborted" } else { "no cluster" };
    let mut err = io::stderr();
    writeln!(
        err,
        "pregao smoke uses the stack {} for about {} minutes: {clusters}, and runs by Lambda.\n\
         It costs about {estimated_usd:.2} USD (list prices of {}), at most {:.2}.\n\
         It uses the days {} only, which are nobody's, and removes them at the end.",
        config.aws.stack,
        smoke::minutes(with_emr),
        price::SOURCE,
        args.max_cost,
        smoke::files::days(),
    )?;
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return fail("nobody is there to be asked", "pregao smoke --yes does not ask");
    }
    write!(err, "Go on? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if matches!(answer.trim(), "y" | "yes" | "Y") { Ok(()) } else { fail("nothing was started", "answer y to go on") }
}

fn print_text(report: &Smoke, path: &Path) -> io::Result<()> {
    let columns = tabular::columns([
        ("step", "varchar"),
        ("result", "varchar"),
        ("took", "varchar"),
        ("usd", "double"),
        ("promise", "varchar"),
    ]);
    let row = |promise: &SmokePromise| -> Row {
        let took = format::duration(Duration::from_secs_f64(promise.seconds));
        [
            promise.name.clone(),
            promise.verdict.as_str().to_owned(),
            took,
            format!("{:.3}", promise.usd),
            promise.promise.clone(),
        ]
        .map(Some)
        .to_vec()
    };
    let rows: Vec<Row> = report.promises.iter().map(row).collect();
    let mut out = io::stdout().lock();
    let mut writer = tabular::Writer::new(&mut out, Format::Table, columns.into(), tabular::terminal_width())?;
    writer.page(&rows)?;
    writer.end()?;
    for promise in report.promises.iter().filter(|promise| promise.verdict != Verdict::Passed) {
        let SmokePromise { name, verdict, reason, document, .. } = promise;
        writeln!(out, "{name} {}: {}", verdict.as_str(), reason.as_deref().unwrap_or_default())?;
        if *verdict == Verdict::Failed {
            writeln!(out, "  promised in {document}")?;
            for evidence in promise.evidence.iter().filter(|evidence| evidence.name == "execution") {
                writeln!(out, "  {} {}", evidence.name, evidence.value)?;
            }
        }
    }
    let Smoke { passed, failed, skipped, seconds, usd, .. } = report;
    let took = format::duration(Duration::from_secs_f64(*seconds));
    let cost = if report.aws { "it cost" } else { "on AWS it costs" };
    writeln!(out, "{passed} passed, {failed} failed, {skipped} skipped, in {took}; {cost} about {usd:.2} USD")?;
    writeln!(out, "report   {}", path.display())
}
