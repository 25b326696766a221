//! The definition of the command line. Its doc comments are the help texts.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use lake::config::MAX_PARALLEL;
use lake::engine::EngineChoice;
use local_aws::FaultPlan;
use market::run::RunId;
use market::table::TableName;

/// The output of `pregao --version` after the name: the version, with commit and date if the build knew them.
pub(crate) const VERSION: &str = env!("PREGAO_VERSION");

/// Heading of the global options, which follow those of the command itself.
pub(crate) const GLOBAL: &str = "Global options";

/// Formats the examples of a command, one per line, for the end of its help. The escapes are those of clap's headings; clap
/// removes them if there is no colour.
macro_rules! examples {
    ($($line:literal),+ $(,)?) => { concat!("\x1b[1m\x1b[4mExamples:\x1b[0m" $(, "\n  ", $line)+) };
}

/// A data lake of B3 market snapshots: raw files in, SQL out.
#[derive(Debug, Parser)]
#[command(name = "pregao", version = VERSION, max_term_width = 100)]
#[command(after_help = examples!(
    "pregao demo                           # the whole pipeline on generated files",
    "pregao upload DIR                     # raw files of your own",
    "pregao run --from 2020-04-01          # their day, cleaned, audited, published",
))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder that holds the lake on this machine: objects, executions, catalog; unless it is named, that of `PREGAO_HOME`, or the
    /// nearest .pregao of this folder and those above (for demo: .pregao-demo, for smoke: .pregao-smoke)
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_HOME, help_heading = GLOBAL)]
    pub home: PathBuf,

    /// Overrides a value of the configuration, as in `quality.max_reject_share=0.05` (repeatable)
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = setting, help_heading = GLOBAL)]
    pub settings: Vec<Setting>,

    /// Talks to the stack in the AWS account instead of the lake on this machine
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub aws: bool,

    /// Configuration file [default: confs/pregao.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub config: Option<PathBuf>,

    /// Prints results, warnings and errors only: no progress, no notes
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,

    /// Logs what the program does to the standard error; twice: also each request to AWS or to the embedded endpoint
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,

    /// When to use colour: auto is on a terminal, unless `NO_COLOR` is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto, help_heading = GLOBAL)]
    pub color: When,
}

const DEFAULT_HOME: &str = ".pregao";

/// The default homes of the demo and of the smoke test, which never work on a user's lake.
const DEMO_HOME: &str = ".pregao-demo";
const SMOKE_HOME: &str = ".pregao-smoke";

impl Cli {
    /// Parses the matches of the command line, and sets the default home.
    ///
    /// `named` is the value of `PREGAO_HOME`, and `here` the current folder.
    pub(crate) fn from_matches(matches: &ArgMatches, named: Option<OsString>, here: &Path) -> Result<Cli, clap::Error> {
        let mut cli = Cli::from_arg_matches(matches)?;
        let is_named = matches.value_source("home") != Some(ValueSource::DefaultValue);
        match cli.command {
            Command::Demo if !is_named => cli.global.home = DEMO_HOME.into(),
            Command::Smoke(_) if !is_named => cli.global.home = SMOKE_HOME.into(),
            _ if !is_named => cli.global.home = found_home(named, here),
            _ => {}
        }
        Ok(cli)
    }
}

/// Returns the home that is named by the environment, or else the nearest one, as git finds a repository. The Python package finds
/// the same one.
fn found_home(named: Option<OsString>, here: &Path) -> PathBuf {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return named.into();
    }
    let mut above = here.ancestors().skip(1).map(|folder| folder.join(DEFAULT_HOME));
    match is_home(&here.join(DEFAULT_HOME)) {
        true => DEFAULT_HOME.into(),
        false => above.find(|home| is_home(home)).unwrap_or_else(|| DEFAULT_HOME.into()),
    }
}

/// A home has objects.
fn is_home(folder: &Path) -> bool {
    folder.join("s3").is_dir()
}

impl Global {
    /// Returns the beginning of another command on the same lake: `pregao`, with the options that select the lake.
    pub(crate) fn program(&self) -> String {
        let mut text = "pregao".to_owned();
        if self.home != Path::new(DEFAULT_HOME) {
            text += &format!(" --home {}", self.home.display());
        }
        if let Some(config) = &self.config {
            text += &format!(" --config {}", config.display());
        }
        if self.aws {
            text += " --aws";
        }
        text
    }
}

/// When the output is coloured. The values have no help texts, because clap would print them as three more lines in the help
/// of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// One `KEY=VALUE` of `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the whole pipeline on a generated sample, and a first query, in a home of its own. Needs nothing
    #[command(after_help = examples!("pregao demo", "pregao --home other demo"))]
    Demo,
    /// Writes realistic raw files
    #[command(after_help = examples!(
        "pregao sample --out raw",
        "pregao sample --out raw --from 2020-04-01 --days 5 --seed 7",
    ))]
    Sample(SampleArgs),
    /// Brings raw files into the lake: to landing/, then the workflow `upload_raw_data`
    #[command(after_help = examples!("pregao upload raw", "pregao --aws upload raw --format json"))]
    Upload(UploadArgs),
    /// Uploads the snapshots that a recorder saves into a folder, as soon as they are complete, until it is interrupted
    #[command(after_help = examples!("pregao watch /data/snapshots", "pregao --aws watch /data/snapshots --settle 10"))]
    Watch(WatchArgs),
    /// Makes and publishes the tables of some days: the workflow `create_datalake`
    #[command(after_help = examples!(
        "pregao run --from 2020-04-01 --to 2020-04-09",
        "pregao --aws run --from 2020-04-01 --plan    # what it would do and cost; starts nothing",
        "pregao run --stale    # all days of which other raw files are published than are there",
    ))]
    Run(RunArgs),
    /// Makes and publishes the tables of a long range of days in chunks, and continues where it was stopped: the workflow `backfill`
    #[command(after_help = examples!(
        "pregao backfill --from 2010-01-04 --to 2019-12-30",
        "pregao --aws backfill --from 2010-01-04 --to 2019-12-30 --plan    # its chunks and costs; starts nothing",
        "pregao backfill --from 2019-01-02 --to 2019-12-30 --force --engine lambda    # days that are current too",
    ))]
    Backfill(BackfillArgs),
    /// Shows each day: its raw files, what is published of it, whether it is stale, failed or missing, and what to do next
    #[command(after_help = examples!(
        "pregao status",
        "pregao status --from 2020-04-01 --to 2020-04-30 --format json",
        "pregao status --check > /dev/null || alarm    # in a crontab",
    ))]
    Status(StatusArgs),
    /// Compares catalog, files, checksums, reports and raw files, and names each problem with what repairs it
    #[command(after_help = examples!(
        "pregao verify",
        "pregao verify --deep",
        "pregao verify --deep --from 2020-04-01 --to 2020-04-30 --format json",
    ))]
    Verify(VerifyArgs),
    /// Removes the files of runs that were replaced, failed, or never came to be published
    #[command(after_help = examples!(
        "pregao vacuum --dry-run",
        "pregao vacuum --keep-days 90 --format json",
    ))]
    Vacuum(VacuumArgs),
    /// Lists the published Parquet files of a table, for readers that do not ask Athena
    #[command(after_help = examples!(
        "pregao files quotes --paths > files.txt",
        "pregao files quotes --from 2020-04-01 --to 2020-04-30 --format json",
    ))]
    Files(FilesArgs),
    /// Lists what has been published of a day, by which run and since when
    #[command(after_help = examples!(
        "pregao history 2020-04-01",
        "pregao history 2020-04-01 --format json",
    ))]
    History(HistoryArgs),
    /// Publishes an earlier run of a day once more, and holds the day until it is released
    #[command(after_help = examples!(
        "pregao rollback 2020-04-01                       # what was published before",
        "pregao rollback 2020-04-01 --to 2020-04-01_20260301T120000-000000",
        "pregao rollback 2020-04-01 --release             # runs may publish it again",
    ))]
    Rollback(RollbackArgs),
    /// Compares what two runs wrote for a day: the rows added, removed and changed of each table
    #[command(after_help = examples!(
        "pregao diff 2020-04-01 RUN-1 RUN-2",
        "pregao diff 2020-04-01 RUN-1 RUN-2 --table quotes --format json",
    ))]
    Diff(DiffArgs),
    /// Makes the catalog once more from the publication records, after it was lost
    #[command(after_help = examples!("pregao recatalog", "pregao --aws recatalog"))]
    Recatalog,
    /// Lists the executions of all workflows, or shows one
    #[command(after_help = examples!(
        "pregao runs --limit 5",
        "pregao runs 2020-04-01_20260301T120000-000000",
    ))]
    Runs(RunsArgs),
    /// Asks Athena
    #[command(after_help = examples!(
        "pregao query \"SELECT ticker, count(*) AS n FROM quotes GROUP BY ticker ORDER BY n DESC LIMIT 5\"",
        "pregao query \"SELECT * FROM quotes WHERE year = 2020 AND month = 4 AND day = 1\" --format csv > day.csv",
        "pregao query --as-of 2026-11-20T09:00:00Z \"SELECT count(*) FROM quotes\"",
    ))]
    Query(QueryArgs),
    /// Cleans a folder of raw files to Parquet, without the rest of the pipeline
    #[command(after_help = examples!("pregao etl --raw raw --out tables"))]
    Etl(EtlArgs),
    /// Serves the web application, until it is interrupted: market, quality, runs and SQL in the browser
    #[command(after_help = examples!("pregao explore", "pregao --aws explore --port 8080"))]
    Explore(ExploreArgs),
    /// Serves the embedded AWS endpoint to other clients, until it is interrupted
    #[command(after_help = examples!(
        "pregao local --port 4566",
        "pregao local --faults service=s3:throttle@0.05,op=PutObject:lost@0.01 --seed 7",
    ))]
    Local(LocalArgs),
    /// Checks this machine, or with --aws the account, and names what to do about each fault
    #[command(after_help = examples!(
        "pregao doctor            # disk, ports, permissions and databases of the home",
        "pregao doctor --aws      # credentials, quotas, network, names and tools, before and after pregao deploy",
        "pregao doctor --aws --format json",
    ))]
    Doctor(DoctorArgs),
    /// Tries what the documentation promises, on days of its own, and reports the evidence
    #[command(after_help = examples!(
        "pregao smoke                              # on this machine, in a home of its own: some seconds",
        "pregao --aws smoke --report report.json   # in the stack: less than an hour and 2 USD; asks first",
    ))]
    Smoke(SmokeArgs),
    /// Builds the functions, and creates or updates the stack in the AWS account
    #[command(after_help = examples!("pregao deploy", "pregao --set aws.region=sa-east-1 deploy"))]
    Deploy(DeployArgs),
    /// Removes the stack from the AWS account, and says what it keeps
    #[command(after_help = examples!("pregao destroy", "pregao destroy --yes"))]
    Destroy(DestroyArgs),
    /// A cluster that takes the steps of all runs, by hand
    #[command(after_help = examples!("pregao --aws cluster start", "pregao --aws cluster status"))]
    Cluster(ClusterArgs),
    /// Prints the completions of a shell
    #[command(after_help = examples!(
        "pregao completions bash > ~/.local/share/bash-completion/completions/pregao",
        "pregao completions zsh > ~/.zfunc/_pregao       # a folder of fpath",
        "pregao completions fish > ~/.config/fish/completions/pregao.fish",
    ))]
    Completions(CompletionsArgs),
    /// Prints the manual page pregao(1), or writes it and one page for each command to a folder
    #[command(after_help = examples!(
        "pregao man | man -l -",
        "pregao man --out ~/.local/share/man/man1",
    ))]
    Man(ManArgs),
}

impl Command {
    /// Whether stdout is one JSON document, even if the command fails.
    pub(crate) fn is_json(&self) -> bool {
        let format = match self {
            Command::Upload(args) => args.format,
            Command::Run(args) => args.format,
            Command::Backfill(args) => args.format,
            Command::Status(args) => args.format,
            Command::Verify(args) => args.format,
            Command::Vacuum(args) => args.format,
            Command::Doctor(args) => args.format,
            Command::Smoke(args) => args.format,
            Command::Files(args) => args.format,
            Command::History(args) => args.format,
            Command::Rollback(args) => args.format,
            Command::Diff(args) => args.format,
            Command::Runs(args) => args.format,
            Command::Etl(args) => args.format,
            Command::Cluster(ClusterArgs { action: ClusterAction::Status { format } }) => *format,
            _ => OutputFormat::Table,
        };
        format == OutputFormat::Json
    }
}

/// How a command writes what it found or did: for the eye, or as one JSON document, also when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How the checks are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Does not ask
    #[arg(long)]
    pub yes: bool,
    /// Starts nothing if all steps are estimated to cost more, in USD
    #[arg(long, value_name = "USD", default_value_t = 2.0, value_parser = usd)]
    pub max_cost: f64,
    /// Leaves out the steps that start clusters
    #[arg(long)]
    pub without_emr: bool,
    /// File for the report, as a JSON document
    #[arg(long, value_name = "FILE", default_value = "smoke-report.json")]
    pub report: PathBuf,
    /// Tries nothing: removes what an interrupted one has left
    #[arg(long, conflicts_with_all = ["max_cost", "without_emr", "report", "format"])]
    pub clean: bool,
    /// How the report is written to the standard output: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Deploys although checks of `pregao doctor --aws` fail
    #[arg(long)]
    pub skip_checks: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DestroyArgs {
    /// Does not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub action: ClusterAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum ClusterAction {
    /// Starts one, which runs use until it has been idle for `emr.idle_minutes`
    #[command(after_help = examples!("pregao --aws cluster start"))]
    Start,
    /// Lists the living clusters of the lake, those of single runs among them
    #[command(after_help = examples!("pregao --aws cluster status --format json"))]
    Status {
        /// How the clusters are written: for the eye, or as one JSON document
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
    /// Ends all of them, and what runs on them
    #[command(after_help = examples!("pregao --aws cluster stop"))]
    Stop,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that completions can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for pregao.1 and a page for each command; it is created where it is missing
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Folder to write to; it has to be empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Business days to write
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub days: u32,
    /// First day; the next business day if it is none
    #[arg(long, value_name = "DATE", default_value = "2020-04-01", value_parser = date)]
    pub from: NaiveDate,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct UploadArgs {
    /// Folder of raw files, at any depth
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// How the result is written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Folder of raw files, at any depth. Files that do not have the name of a snapshot are ignored
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Seconds for which a file must not change before it is complete. One whose last record does not end waits 15 times as long
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub settle: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// First day [default: yesterday in Sao Paulo]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last day [default: the first]
    #[arg(long, value_name = "DATE", value_parser = date, requires = "from")]
    pub to: Option<NaiveDate>,
    /// What converts the raw files [default: transform.engine of the configuration]
    #[arg(long, value_enum)]
    pub engine: Option<RunEngine>,
    /// Starts nothing: prints the days, the raw files, the engine, and what a run on AWS would cost
    #[arg(long)]
    pub plan: bool,
    /// Makes those days, of all or of these, that have raw files and of which others or none are published. Days that a
    /// rollback holds are left alone, and so are those of which an audit failed with these files
    #[arg(long, conflicts_with = "plan")]
    pub stale: bool,
    /// Starts nothing: records that a business day has no or too few raw files, and is to alarm nobody any more
    #[arg(long, value_name = "DAY", value_parser = date, conflicts_with_all = ["from", "stale", "plan", "engine"])]
    pub accept_missing: Option<NaiveDate>,
    /// Who accepts it [default: the user of this machine]
    #[arg(long, value_name = "NAME", requires = "accept_missing")]
    pub by: Option<String>,
    /// How the result is written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct BackfillArgs {
    /// First day
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: NaiveDate,
    /// Last day
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: NaiveDate,
    /// Makes all days that have raw files, also those that are current
    #[arg(long)]
    pub force: bool,
    /// What converts the raw files [default: transform.engine of the configuration]
    #[arg(long, value_enum)]
    pub engine: Option<RunEngine>,
    /// How many chunks run at the same time: 1 to 10 [default: backfill.parallel of the configuration]
    #[arg(long, value_name = "N", value_parser = parallel)]
    pub parallel: Option<NonZeroU16>,
    /// Starts nothing: prints the days, the chunks, and what they would cost on AWS
    #[arg(long)]
    pub plan: bool,
    /// How the result is written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

fn parallel(text: &str) -> Result<NonZeroU16, String> {
    let number = text.parse::<NonZeroU16>().ok().filter(|number| number.get() <= MAX_PARALLEL);
    number.ok_or_else(|| format!("it takes a number from 1 to {MAX_PARALLEL}"))
}

/// What converts the raw files of a run. All give the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunEngine {
    /// `lambda` if each day fits, otherwise `emr`
    Auto,
    /// The function transform, one invocation for each day
    Lambda,
    /// A step of a Spark cluster; on this machine the Rust engine runs it
    #[value(alias = "embedded")]
    Emr,
    /// As `emr`, by the spark-sql of `SPARK_HOME` or the PATH of this machine
    Spark,
}

impl RunEngine {
    /// Returns the engine that is requested of the workflow.
    pub(crate) fn choice(self) -> EngineChoice {
        match self {
            RunEngine::Auto => EngineChoice::Auto,
            RunEngine::Lambda => EngineChoice::Lambda,
            RunEngine::Emr | RunEngine::Spark => EngineChoice::Emr,
        }
    }

    /// Returns what runs Spark steps on this machine.
    pub(crate) fn spark(self) -> Engine {
        if self == RunEngine::Spark { Engine::Spark } else { Engine::Embedded }
    }
}

/// What runs Spark steps on this machine. Both give the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The Rust engine
    Embedded,
    /// The spark-sql of `SPARK_HOME` or the PATH
    Spark,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// First day [default: the first of which there is anything]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last day [default: the last of which there is anything; with --check, yesterday in Sao Paulo or a later one]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<NaiveDate>,
    /// Ends with exit code 3 when a day that is over is stale, failed, unpublished, missing or incomplete
    #[arg(long)]
    pub check: bool,
    /// How the days are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Reads every byte: checksums of all objects, all pages of the published Parquet files
    #[arg(long)]
    pub deep: bool,
    /// First day to look at [default: the first that is published]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last day to look at [default: the last that is published]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<NaiveDate>,
    /// How the problems are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// The table: quotes, options or rejects
    #[arg(value_name = "TABLE")]
    pub table: TableName,
    /// First day [default: the first that is published]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last day [default: the last that is published]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<NaiveDate>,
    /// Prints paths of files on this machine instead of URIs
    #[arg(long)]
    pub paths: bool,
    /// How the files are written: one a line, or as one JSON document, with day, rows, size and ETag
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct VacuumArgs {
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How many days a run stays after another one has replaced it; an hour in any case [default: `vacuum.keep_days`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub keep_days: Option<u32>,
    /// How the runs are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The day
    #[arg(value_name = "DAY", value_parser = date)]
    pub day: NaiveDate,
    /// How the records are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The day
    #[arg(value_name = "DAY", value_parser = date)]
    pub day: NaiveDate,
    /// The run to publish once more [default: the one before the current one]
    #[arg(long, value_name = "RUN", conflicts_with = "release")]
    pub to: Option<RunId>,
    /// Ends the hold of an earlier rollback; what is published stays as it is
    #[arg(long)]
    pub release: bool,
    /// How the result is written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The day
    #[arg(value_name = "DAY", value_parser = date)]
    pub day: NaiveDate,
    /// The run that is taken for the old one
    #[arg(value_name = "OLD")]
    pub old: RunId,
    /// The run that is taken for the new one
    #[arg(value_name = "NEW")]
    pub new: RunId,
    /// The table to compare [default: all]
    #[arg(long, value_name = "TABLE")]
    pub table: Option<TableName>,
    /// How the differences are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Name or ARN of the execution to show
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// How many executions to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
    /// How the executions are written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The statement; - reads it from the standard input
    #[arg(value_name = "SQL", required_unless_present = "print_database")]
    pub sql: Option<String>,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Database of names without one [default: the configuration's]
    #[arg(long, value_name = "DB", conflicts_with = "as_of")]
    pub database: Option<String>,
    /// Asks the tables as they were published at a moment: 2026-11-20T09:00:00Z, with its offset, or a day, which is its end
    /// in UTC
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub as_of: Option<DateTime<Utc>>,
    /// Prints the database that --as-of makes and asks nothing, for other clients. It lasts a day at least
    #[arg(long, requires = "as_of", conflicts_with = "sql")]
    pub print_database: bool,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for the eye
    Table,
    /// RFC 4180, with a header
    Csv,
    /// One array of objects, one a row
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct EtlArgs {
    /// Folder of raw files, at any depth
    #[arg(long, value_name = "DIR")]
    pub raw: PathBuf,
    /// Folder for quotes/, options/ and rejects/
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub threads: Option<u32>,
    /// How the account of the records is written: for the eye, or as one JSON document
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ExploreArgs {
    /// Port on the loopback interface [default: a free one]
    #[arg(long, value_name = "P")]
    pub port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    /// Port on the loopback interface [default: a free one]
    #[arg(long, value_name = "P")]
    pub port: Option<u16>,
    /// What runs Spark steps
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    pub engine: Engine,
    /// What goes wrong, to test clients with: n=17:lost,op=PutObject:reject@0.01 (see docs/faults.md)
    #[arg(long, value_name = "PLAN")]
    pub faults: Option<FaultPlan>,
    /// Decides where a fault has a probability; the same seed decides in the same way
    #[arg(long, value_name = "N", default_value_t = 1, requires = "faults")]
    pub seed: u64,
    /// Leaves objects that are put under landing/ there, instead of ingesting them
    #[arg(long)]
    pub keep_landed: bool,
}

/// Parses a number of seconds, which may have a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| "not a number of seconds above zero".to_owned())
}

/// Parses `2020-04-01` in exactly this form.
fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| "not a date: write it as YYYY-MM-DD, like 2020-04-01".to_owned())
}

/// Parses a time with its UTC offset, or a day, which means its last millisecond in UTC: all that was published on that day.
/// A time without an offset is refused, because its meaning would depend on the machine.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    let day = date(text).ok().and_then(|day| day.and_hms_milli_opt(23, 59, 59, 999));
    day.map(|end| end.and_utc()).ok_or_else(|| {
        "not a moment: write it with its offset, like 2026-11-20T09:00:00Z or 2026-11-20T06:00:00-03:00, or as a day, like \
         2026-11-20, which is its end in UTC"
            .to_owned()
    })
}

/// Parses an amount in USD.
fn usd(text: &str) -> Result<f64, String> {
    let amount = text.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount >= 0.0);
    amount.ok_or_else(|| "not an amount in USD: write it like 0.50".to_owned())
}

fn setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(Setting { key: key.to_owned(), value: value.to_owned() }),
        _ => Err("write it as KEY=VALUE, like quality.max_reject_share=0.05".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        let before = parse("pregao --home h --set a.b=1 --set c=d=e run --from 2020-04-01").expect("a command");
        let behind = parse("pregao run --from 2020-04-01 --set a.b=1 --home h --set c=d=e").expect("a command");
        for cli in [before, behind] {
            assert_eq!(cli.global.home, PathBuf::from("h"));
            let settings: Vec<_> = cli.global.settings.iter().map(|s| (s.key.as_str(), s.value.as_str())).collect();
            assert_eq!(settings, [("a.b", "1"), ("c", "d=e")]);
        }
        assert_eq!(parse("pregao runs").expect("a command").global.home, PathBuf::from(".pregao"));
    }

    #[test]
    fn the_demo_has_a_home_of_its_own_unless_one_is_named() {
        for (line, home) in [
            ("pregao demo", ".pregao-demo"),
            ("pregao --home h demo", "h"),
            ("pregao demo --home h", "h"),
            ("pregao demo --home .pregao", ".pregao"),
            ("pregao smoke", ".pregao-smoke"),
            ("pregao --home h smoke", "h"),
            ("pregao runs", ".pregao"),
        ] {
            let matches = Cli::command().try_get_matches_from(line.split_whitespace()).expect("a command");
            let cli = Cli::from_matches(&matches, None, Path::new("/nowhere")).expect("a command");
            assert_eq!(cli.global.home, PathBuf::from(home), "{line}");
        }
    }

    #[test]
    fn the_home_is_named_or_the_nearest_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [lake, below] = ["lake", "lake/a/b"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(&below).expect("a folder");
        let home = |line: &str, named: Option<&str>, here: &Path| {
            let matches = Cli::command().try_get_matches_from(line.split_whitespace()).expect("a command");
            Cli::from_matches(&matches, named.map(Into::into), here).expect("a command").global.home
        };
        // An empty folder of that name is none.
        std::fs::create_dir(below.join(".pregao")).expect("a folder");
        assert_eq!(home("pregao runs", None, &below), Path::new(".pregao"));
        std::fs::create_dir_all(lake.join(".pregao/s3")).expect("a home");
        for (line, named, here, found) in [
            ("pregao runs", None, &lake, PathBuf::from(".pregao")),
            ("pregao runs", None, &below, lake.join(".pregao")),
            ("pregao runs", Some(""), &below, lake.join(".pregao")),
            ("pregao runs", Some("/other"), &below, PathBuf::from("/other")),
            ("pregao --home h runs", Some("/other"), &below, PathBuf::from("h")),
            // The demo never works on a user's lake.
            ("pregao demo", Some("/other"), &below, PathBuf::from(".pregao-demo")),
        ] {
            assert_eq!(home(line, named, here), found, "{line} in {}", here.display());
        }
    }

    #[test]
    fn dates_are_written_in_one_way() {
        for good in ["2020-04-01", "2024-02-29"] {
            assert_eq!(date(good).map(|date| date.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "2020-4-1", "20200401", "2020-02-30", "2020-04-01 ", "01/04/2020", "+2020-04-01"] {
            assert!(date(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_moment_has_an_offset_or_is_the_end_of_a_day() {
        for (text, expected) in [
            ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00.000Z"),
            ("2026-11-20T06:00:00.5-03:00", "2026-11-20T09:00:00.500Z"),
            ("2026-11-20", "2026-11-20T23:59:59.999Z"),
        ] {
            let found = moment(text).map(|moment| moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
            assert_eq!(found.as_deref(), Ok(expected));
        }
        for bad in ["", "2026-11-20T09:00:00", "09:00", "yesterday", "2026-11-31"] {
            assert!(moment(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "pregao",
            "pregao run --to 2020-04-01",
            "pregao run --from yesterday",
            "pregao run --stale --plan",
            "pregao run --accept-missing 2020-04-01 --stale",
            "pregao run --by ana",
            "pregao sample",
            "pregao sample --out x --days 0",
            "pregao etl --raw x",
            "pregao etl --raw x --out y --threads 0",
            "pregao query",
            "pregao query x --format xml",
            "pregao query x --as-of 2026-11-20T09:00:00",
            "pregao query x --as-of 2026-11-20 --database d",
            "pregao query x --print-database",
            "pregao query x --as-of 2026-11-20 --print-database",
            "pregao diff 2020-04-01 a",
            "pregao diff 2020-04-01 a b --table quotas",
            "pregao local --port 70000",
            "pregao local --faults n=x:lost",
            "pregao local --seed 7",
            "pregao demo --set nonsense",
            "pregao demo --set =1",
            "pregao upload",
            "pregao files",
            "pregao files trades",
            "pregao cluster",
            "pregao cluster pause",
            "pregao completions powershell",
            "pregao runs --format csv",
            "pregao history",
            "pregao rollback 2020-4-1",
            "pregao rollback 2020-04-01 --to x --release",
            "pregao runs --color sometimes",
            "pregao smoke --max-cost -1",
            "pregao smoke --max-cost nan",
            "pregao smoke --clean --report x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_command_has_examples_and_they_can_be_parsed() {
        fn check(command: &clap::Command) {
            if command.get_name() == "help" {
                return;
            }
            let help = command.get_after_help().unwrap_or_else(|| panic!("{} has no examples", command.get_name()));
            let help = help.to_string();
            let mut lines = help.lines();
            assert_eq!(lines.next(), Some("Examples:"), "{}", command.get_name());
            let examples: Vec<&str> = lines.map(str::trim).collect();
            assert!((1..=3).contains(&examples.len()), "{}", command.get_name());
            for example in examples {
                let line = example.split(['#', '|', '<', '>']).next().unwrap_or_default();
                // The statement of `query` is one argument.
                let words: Vec<&str> = match line.split('"').collect::<Vec<_>>()[..] {
                    [before, statement, behind] => {
                        before.split_whitespace().chain([statement]).chain(behind.split_whitespace()).collect()
                    }
                    _ => line.split_whitespace().collect(),
                };
                assert!(Cli::try_parse_from(&words).is_ok(), "{example}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn the_options_of_a_command_stand_above_the_global_ones() {
        let mut cli = Cli::command();
        cli.build();
        let run = cli.find_subcommand_mut("run").expect("a command");
        let help = run.render_help().to_string();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("no {text} in {help}"));
        assert!(at("Options:") < at("--from") && at("--plan") < at("Global options:"));
        assert!(at("Global options:") < at("--home") && at("--color") < at("Examples:"));
    }

    #[test]
    fn commands_for_the_same_lake_repeat_its_options() {
        let program = |line: &str| parse(line).expect("a command").global.program();
        assert_eq!(program("pregao demo"), "pregao");
        assert_eq!(program("pregao --home h --aws runs --config c.toml -q"), "pregao --home h --config c.toml --aws");
    }

    #[test]
    fn defaults_are_a_day_of_real_size() {
        let Command::Sample(sample) = parse("pregao sample --out x").expect("a command").command else {
            panic!("not a sample");
        };
        assert_eq!((sample.days, sample.from.to_string().as_str(), sample.seed), (1, "2020-04-01", 1));
    }
}
