//! What can be said on the command line.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A data lake of B3 market snapshots: raw files in, SQL out.
#[derive(Debug, Parser)]
#[command(name = "pregao", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Folder that holds the lake on this machine: objects, executions, catalog
    #[arg(long, global = true, value_name = "DIR", default_value = ".pregao")]
    pub home: PathBuf,

    /// Overrides a value of the configuration, as in quality.max_reject_share=0.05 (repeatable)
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<Setting>,

    /// Talks to the stack in the AWS account instead of the lake on this machine
    #[arg(long, global = true)]
    pub aws: bool,

    /// Configuration file [default: confs/pregao.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// One `KEY=VALUE` of `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the whole pipeline on a generated sample, and a first query. Needs nothing
    Demo,
    /// Writes realistic raw files
    Sample(SampleArgs),
    /// Brings raw files into the lake: to landing/, then the workflow upload_raw_data
    Upload(UploadArgs),
    /// Makes and publishes the tables of some days: the workflow create_datalake
    Run(RunArgs),
    /// Lists the executions of all workflows, or shows one
    Runs(RunsArgs),
    /// Asks Athena
    Query(QueryArgs),
    /// Cleans a folder of raw files to Parquet, without the rest of the pipeline
    Etl(EtlArgs),
    /// Serves the web application, until it is interrupted: market, quality, runs and SQL in the browser
    Explore(ExploreArgs),
    /// Serves the embedded AWS endpoint to other clients, until it is interrupted
    Local(LocalArgs),
    /// Builds the functions, and creates or updates the stack in the AWS account
    Deploy,
    /// Removes the stack from the AWS account, and says what it keeps
    Destroy(DestroyArgs),
    /// A cluster that takes the steps of all runs, by hand
    Cluster(ClusterArgs),
}

#[derive(Debug, Args)]
pub struct DestroyArgs {
    /// Does not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ClusterArgs {
    #[command(subcommand)]
    pub action: ClusterAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ClusterAction {
    /// Starts one, which runs use until it has been idle for emr.idle_minutes
    Start,
    /// Lists the living clusters of the lake, those of single runs among them
    Status,
    /// Ends all of them, and what runs on them
    Stop,
}

#[derive(Debug, Args)]
pub struct SampleArgs {
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
pub struct UploadArgs {
    /// Folder of raw files, at any depth
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// First day [default: yesterday in Sao Paulo]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last day [default: the first]
    #[arg(long, value_name = "DATE", value_parser = date, requires = "from")]
    pub to: Option<NaiveDate>,
    /// What runs the Spark step on this machine
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    pub engine: Engine,
}

/// What runs Spark steps on this machine. Both give the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The Rust engine
    Embedded,
    /// The spark-sql of SPARK_HOME or the PATH
    Spark,
}

#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Name or ARN of the execution to show
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// How many executions to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The statement; - reads it from the standard input
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Database of names without one [default: the configuration's]
    #[arg(long, value_name = "DB")]
    pub database: Option<String>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for the eye
    Table,
    /// RFC 4180, with a header
    Csv,
    /// One array of objects, one a row
    Json,
}

#[derive(Debug, Args)]
pub struct EtlArgs {
    /// Folder of raw files, at any depth
    #[arg(long, value_name = "DIR")]
    pub raw: PathBuf,
    /// Folder for quotes/, options/ and rejects/
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub threads: Option<u32>,
}

#[derive(Debug, Args)]
pub struct ExploreArgs {
    /// Port on the loopback interface [default: a free one]
    #[arg(long, value_name = "P")]
    pub port: Option<u16>,
}

#[derive(Debug, Args)]
pub struct LocalArgs {
    /// Port on the loopback interface [default: a free one]
    #[arg(long, value_name = "P")]
    pub port: Option<u16>,
    /// What runs Spark steps
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    pub engine: Engine,
}

/// Reads `2020-04-01`, and nothing that is only like it.
fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| "not a date: write it as YYYY-MM-DD, like 2020-04-01".to_owned())
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
        assert_eq!(parse("pregao demo").expect("a command").global.home, PathBuf::from(".pregao"));
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
    fn what_makes_no_sense_is_refused() {
        for line in [
            "pregao",
            "pregao run --to 2020-04-01",
            "pregao run --from yesterday",
            "pregao sample",
            "pregao sample --out x --days 0",
            "pregao etl --raw x",
            "pregao etl --raw x --out y --threads 0",
            "pregao query",
            "pregao query x --format xml",
            "pregao local --port 70000",
            "pregao demo --set nonsense",
            "pregao demo --set =1",
            "pregao upload",
            "pregao cluster",
            "pregao cluster pause",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn defaults_are_a_day_of_real_size() {
        let Command::Sample(sample) = parse("pregao sample --out x").expect("a command").command else {
            panic!("not a sample");
        };
        assert_eq!((sample.days, sample.from.to_string().as_str(), sample.seed), (1, "2020-04-01", 1));
    }
}
