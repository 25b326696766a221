//! The one Spark job that runs here: raw snapshots to the three tables, by the Rust engine or by a real Spark.
//!
//! A step asks for it as it asks EMR, `command-runner.jar spark-sql -f s3://.../etl.sql -d from=... `. The engine reads the raw objects'
//! files where they lie, writes to a folder of its own, and the finished files become objects in one step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, iter, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use lake::keys;
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::snapshot::{Feed, SnapshotName};
use market::table::TableName;
use tempfile::TempPath;

use super::Emr;
use super::clusters::Cluster;
use super::spark_sql::SparkSql;
use super::steps::{FailureDetails, HadoopJarStep, Step};
use crate::s3::{Attributes, ObjectStore, Staged, StoreError};
use crate::s3_uri::S3Uri;

/// What runs the Spark steps of the embedded EMR.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SparkEngine {
    /// The Rust engine, which gives the same rows.
    #[default]
    Embedded,
    /// A Spark that is installed on this machine.
    SparkSql(SparkSql),
}

const SUPPORTED: &str = "this endpoint runs the step `command-runner.jar` with the arguments `spark-sql -f s3://BUCKET/JOB.sql \
    -d from=YYYY-MM-DD -d to=YYYY-MM-DD -d run=ID -d raw=s3://BUCKET -d lake=s3://BUCKET`";

/// Why the job did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SparkError {
    #[error("{what}: {SUPPORTED}")]
    Arguments { what: String },
    #[error("the job file {uri} cannot be read: {source}")]
    JobFile { uri: String, source: StoreError },
    #[error("the raw bucket: {0}")]
    Raw(StoreError),
    #[error(
        "s3://{bucket}/{key} is among the raw files and is not named as a snapshot: move it away and add the step again"
    )]
    NotASnapshot { bucket: String, key: String },
    #[error("{0}")]
    Engine(String),
    #[error("the files of the tables could not be put into the lake: {0}")]
    Publish(StoreError),
    #[error("the step was cancelled")]
    Cancelled,
}

impl SparkError {
    fn reason(&self) -> &'static str {
        match self {
            SparkError::Arguments { .. } => "The step's arguments are not supported.",
            SparkError::JobFile { .. } => "The job file could not be read.",
            SparkError::Raw(_) | SparkError::NotASnapshot { .. } => "The raw files could not be listed.",
            SparkError::Engine(_) => "The engine failed.",
            SparkError::Publish(_) => "The results could not be written.",
            SparkError::Cancelled => "The step was cancelled.",
        }
    }
}

/// What the job is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) job: S3Uri,
    pub(super) days: DateRange,
    pub(super) run: RunId,
    raw: S3Uri,
    lake: S3Uri,
}

/// Runs the step, and keeps its log as EMR does.
pub(super) fn run(emr: &Emr, step: &Step) -> Result<(), FailureDetails> {
    let mut log = String::new();
    let result = run_job(emr, step, &mut log);
    if let Err(error) = &result {
        let _ = writeln!(log, "ERROR: {error}");
    }
    let log_file = keep_log(emr, step, &log);
    result.map_err(|error| FailureDetails { reason: error.reason().to_owned(), message: error.to_string(), log_file })
}

fn run_job(emr: &Emr, step: &Step, log: &mut String) -> Result<(), SparkError> {
    let request = Request::parse(&step.config.hadoop_jar_step)?;
    let store = &emr.store;
    store
        .find(&request.job.bucket, &request.job.key)
        .map_err(|source| SparkError::JobFile { uri: request.job.to_string(), source })?;
    let inputs = inputs(store, &request)?;
    let _ = writeln!(log, "{} raw files of {}, run {}", inputs.len(), request.days, request.run);
    let folder = Folder::new(store.temporary_folder().join(format!("step-{}", step.id)));
    let goes_on = || Step::is_running(&emr.state.lock(), &step.id).unwrap_or(false);
    let (out, files) = match &emr.engine {
        SparkEngine::Embedded => {
            let job = etl::Job { inputs, out: folder.0.clone(), threads: 0, run: Some(request.run.clone()) };
            let report = etl::run(&job, &|_| {}).map_err(|error| SparkError::Engine(error.to_string()))?;
            write_report(log, &report);
            (folder.0.clone(), report.partitions.into_iter().flat_map(|partition| partition.files).collect())
        }
        SparkEngine::SparkSql(spark) => {
            (folder.0.join("lake"), spark.run(store, &request, &inputs, &folder.0, log, goes_on)?)
        }
    };
    let staged = staged(&files, &request, &out).map_err(SparkError::Publish)?;
    if !goes_on() {
        return Err(SparkError::Cancelled);
    }
    store.replace(&request.lake.bucket, &request.run_folders(), staged).map_err(SparkError::Publish)
}

/// All raw files of the days.
fn inputs(store: &ObjectStore, request: &Request) -> Result<Vec<etl::Input>, SparkError> {
    let mut inputs = Vec::new();
    for date in request.days.days() {
        for feed in Feed::ALL {
            let prefix = request.raw.child(&keys::raw_day(feed, date));
            for (object, path) in store.files_under(&prefix.bucket, &prefix.key).map_err(SparkError::Raw)? {
                let snapshot: SnapshotName = keys::file_name(&object.key)
                    .parse()
                    .map_err(|_| SparkError::NotASnapshot { bucket: prefix.bucket.clone(), key: object.key.clone() })?;
                inputs.push(etl::Input { path, snapshot });
            }
        }
    }
    Ok(inputs)
}

/// The files below `out`, as objects to be. For its ETag each of them is read once more, on all cores.
fn staged(files: &[String], request: &Request, out: &Path) -> Result<Vec<Staged>, StoreError> {
    let stage = |file: &String| {
        let path = out.join(file);
        let temporary = TempPath::try_from_path(&path).map_err(StoreError::io(&path))?;
        Staged::of_file(&request.lake.child(file).key, temporary, Attributes::of_type("application/vnd.apache.parquet"))
    };
    let remaining = Mutex::new(files.iter());
    let next = || remaining.lock().expect("no thread panics while it holds this").next();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    thread::scope(|scope| {
        let work = || iter::from_fn(next).map(stage).collect::<Vec<_>>();
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let staged = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        staged.flatten().collect()
    })
}

fn write_report(log: &mut String, report: &etl::Report) {
    let line = |log: &mut String, name: &dyn std::fmt::Display, counts: &etl::Counts| {
        let etl::Counts { bytes, records, published, blank_ticker, header_repeat, ragged, rejected_cells } = counts;
        let _ = writeln!(
            log,
            "{name}: {bytes} bytes, {records} records = {published} published + {blank_ticker} blank_ticker \
             + {header_repeat} header_repeat + {ragged} ragged; {rejected_cells} rejected cells"
        );
    };
    for file in &report.files {
        line(log, &file.name, &file.counts);
    }
    for partition in &report.partitions {
        let files = partition.files.len();
        let _ = writeln!(log, "{}/{}: {} rows in {files} files", partition.table, partition.partition, partition.rows);
    }
    line(log, &"all files", &report.totals);
}

/// Where EMR would put it: `LOGS/<cluster>/steps/<step>/stderr.gz`. `None` when it cannot be kept.
fn keep_log(emr: &Emr, step: &Step, log: &str) -> Option<String> {
    let cluster = Cluster::find(&emr.state.lock(), &step.cluster).ok()?;
    let logs =
        cluster.request.log_uri.as_deref().and_then(|uri| S3Uri::parse(uri).ok()).unwrap_or_else(|| emr.logs.clone());
    let place = logs.child(&format!("{}/steps/{}/stderr.gz", step.cluster, step.id));
    let kept = write_log(&emr.store, &place, log);
    if let Err(error) = &kept {
        tracing::warn!(%error, %place, "the log of a step could not be kept");
    }
    kept.ok().map(|()| place.to_string())
}

fn write_log(store: &ObjectStore, place: &S3Uri, log: &str) -> Result<(), StoreError> {
    let (file, path) = store.temporary_file()?;
    let mut gzip = GzEncoder::new(file, Compression::default());
    gzip.write_all(log.as_bytes()).and_then(|()| gzip.finish()).map_err(StoreError::io(&path))?;
    let staged = Staged::of_file(&place.key, path, Attributes::of_type("application/gzip"))?;
    store.put(&place.bucket, staged, &crate::s3::WriteCondition::default()).map(|_| ())
}

/// A folder that goes when the step ends.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf) -> Folder {
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now goes with the temporary folder at the next start.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Request {
    fn parse(step: &HadoopJarStep) -> Result<Request, SparkError> {
        if step.jar != "command-runner.jar" {
            return Err(unsupported(format!("the jar {:?} is not supported", step.jar)));
        }
        let mut arguments = step.args.iter().map(String::as_str);
        if arguments.next() != Some("spark-sql") {
            return Err(unsupported(format!(
                "the command {:?} is not supported",
                step.args.first().map_or("", |command| command)
            )));
        }
        let mut file = None;
        let mut variables = BTreeMap::new();
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| unsupported(format!("the argument {option:?} has no value")))?;
            match option {
                "-f" => file = Some(value),
                "-d" | "--define" | "--hivevar" => {
                    let (name, value) =
                        value.split_once('=').ok_or_else(|| unsupported(format!("-d {value:?} is not NAME=VALUE")))?;
                    variables.insert(name, value);
                }
                // How Spark spreads the work over machines says nothing to an engine on one.
                "--conf" | "--name" | "--master" | "--deploy-mode" | "--driver-memory" | "--executor-memory"
                | "--executor-cores" | "--num-executors" => {}
                _ => return Err(unsupported(format!("the argument {option:?} is not supported"))),
            }
        }
        let file = file.ok_or_else(|| unsupported("there is no -f".to_owned()))?;
        let variable = |name: &str| {
            variables.get(name).copied().ok_or_else(|| unsupported(format!("the variable {name} is not given")))
        };
        let uri = |name: &str, text: &str| S3Uri::parse(text).map_err(|error| unsupported(format!("{name}: {error}")));
        let date = |name: &str| {
            variable(name)?.parse().map_err(|error| unsupported(format!("the variable {name} is no date: {error}")))
        };
        Ok(Request {
            job: uri("-f", file)?,
            days: DateRange::new(date("from")?, date("to")?).map_err(|error| unsupported(error.to_string()))?,
            run: variable("run")?.parse().map_err(|error: market::run::InvalidRunId| unsupported(error.to_string()))?,
            raw: uri("raw", variable("raw")?)?.folder(),
            lake: uri("lake", variable("lake")?)?.folder(),
        })
    }

    /// What the keys of this run's files start with.
    fn run_folders(&self) -> Vec<String> {
        let folders = self.days.days().flat_map(|date| {
            TableName::ALL.map(|table| self.lake.child(&keys::run_folder(table, Partition::from(date), &self.run)).key)
        });
        folders.collect()
    }
}

fn unsupported(what: String) -> SparkError {
    SparkError::Arguments { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(args: &[&str]) -> HadoopJarStep {
        let args: Vec<&str> = args.to_vec();
        serde_json::from_value(serde_json::json!({ "Jar": "command-runner.jar", "Args": args })).unwrap()
    }

    const JOB: [&str; 13] = [
        "spark-sql",
        "-f",
        "s3://pregao-results/jobs/etl.sql",
        "-d",
        "from=2020-04-01",
        "-d",
        "to=2020-04-02",
        "-d",
        "run=r1",
        "-d",
        "raw=s3://pregao-raw",
        "-d",
        "lake=s3://pregao-lake/",
    ];

    #[test]
    fn the_job_is_read_from_the_arguments() {
        let request = Request::parse(&step(&JOB)).unwrap();
        assert_eq!(request.days.to_string(), "2020-04-01 to 2020-04-02");
        assert_eq!(request.raw.child("quotes/").to_string(), "s3://pregao-raw/quotes/");
        let folders = request.run_folders();
        assert_eq!(folders.len(), 6);
        assert_eq!(folders[0], "runs/run=r1/quotes/year=2020/month=4/day=1/");
        let tuned: Vec<&str> = JOB.into_iter().chain(["--conf", "spark.executor.cores=2"]).collect();
        assert_eq!(Request::parse(&step(&tuned)).unwrap(), request);
    }

    #[test]
    fn anything_else_is_refused_with_what_is_supported() {
        let without = |argument: &str| -> Vec<&str> {
            let place = JOB.iter().position(|other| *other == argument).unwrap();
            JOB.iter().enumerate().filter(|(at, _)| *at != place && *at != place - 1).map(|(_, text)| *text).collect()
        };
        let with = |argument: &str, other: &'static str| -> Vec<&str> {
            JOB.iter().map(|text| if *text == argument { other } else { text }).collect()
        };
        let cases = [
            (vec!["spark-submit", "x.py"], "the command \"spark-submit\" is not supported"),
            (vec!["spark-sql", "-e", "SELECT 1"], "the argument \"-e\" is not supported"),
            (vec!["spark-sql", "-f"], "has no value"),
            (vec![], "the command \"\""),
            (without("run=r1"), "the variable run is not given"),
            (without("s3://pregao-results/jobs/etl.sql"), "there is no -f"),
            (with("from=2020-04-01", "from=2020-04-03"), "reversed"),
            (with("from=2020-04-01", "from=1 April"), "the variable from is no date"),
            (with("run=r1", "run=a b"), "cannot name a run"),
            (with("raw=s3://pregao-raw", "raw=/tmp"), "raw: "),
        ];
        for (arguments, expected) in cases {
            let error = Request::parse(&step(&arguments)).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(SUPPORTED), "{arguments:?}: {error}");
        }
    }
}
