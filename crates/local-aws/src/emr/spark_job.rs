//! The Spark job that this endpoint runs, as the arguments of a step: `spark-sql -f s3://.../etl.sql -d from=...`.

use std::collections::BTreeMap;

use lake::keys;
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::table::TableName;

use super::step::HadoopJarStep;
use crate::s3::StoreError;
use crate::s3_uri::S3Uri;

const SUPPORTED: &str = "this endpoint runs the step `command-runner.jar` with the arguments `spark-sql -f s3://BUCKET/JOB.sql \
    -d from=YYYY-MM-DD -d to=YYYY-MM-DD -d days={YYYY-MM-DD,...} -d run=ID -d raw=s3://BUCKET -d lake=s3://BUCKET`";

/// An error of a Spark step.
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
    /// The reason in the step's `FailureDetails`.
    pub(super) fn reason(&self) -> &'static str {
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

/// The arguments of the job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SparkJob {
    pub(super) script: S3Uri,
    pub(super) days: DateRange,
    pub(super) run: RunId,
    pub(super) raw: S3Uri,
    pub(super) lake: S3Uri,
}

impl SparkJob {
    /// Parses the arguments of a step.
    ///
    /// # Errors
    /// [`SparkError::Arguments`] for any other job.
    pub(super) fn parse(step: &HadoopJarStep) -> Result<SparkJob, SparkError> {
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
                // Settings of Spark's distribution over machines have no effect on one machine.
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
        let days = DateRange::new(date("from")?, date("to")?).map_err(|error| unsupported(error.to_string()))?;
        // The job reads the folders that this glob matches, and fails if it does not match each day.
        let (glob, expected) = (variable("days")?, market::spark_job::days(days));
        if glob != expected {
            return Err(unsupported(format!("the variable days is {glob}, and {expected} for {days}")));
        }
        Ok(SparkJob {
            script: uri("-f", file)?,
            days,
            run: variable("run")?.parse().map_err(|error: market::run::InvalidRunId| unsupported(error.to_string()))?,
            raw: uri("raw", variable("raw")?)?.folder(),
            lake: uri("lake", variable("lake")?)?.folder(),
        })
    }

    /// Returns the prefixes of the keys of this run's files.
    pub(super) fn run_folders(&self) -> Vec<String> {
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

    const JOB: [&str; 15] = [
        "spark-sql",
        "-f",
        "s3://pregao-results/jobs/etl.sql",
        "-d",
        "from=2020-04-01",
        "-d",
        "to=2020-04-02",
        "-d",
        "days={2020-04-01,2020-04-02}",
        "-d",
        "run=r1",
        "-d",
        "raw=s3://pregao-raw",
        "-d",
        "lake=s3://pregao-lake/",
    ];

    #[test]
    fn the_job_is_read_from_the_arguments() {
        let job = SparkJob::parse(&step(&JOB)).unwrap();
        assert_eq!(job.days.to_string(), "2020-04-01 to 2020-04-02");
        assert_eq!(job.raw.child("quotes/").to_string(), "s3://pregao-raw/quotes/");
        let folders = job.run_folders();
        assert_eq!(folders.len(), 6);
        assert_eq!(folders[0], "runs/run=r1/quotes/year=2020/month=4/day=1/");
        let tuned: Vec<&str> = JOB.into_iter().chain(["--conf", "spark.executor.cores=2"]).collect();
        assert_eq!(SparkJob::parse(&step(&tuned)).unwrap(), job);
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
            (without("days={2020-04-01,2020-04-02}"), "the variable days is not given"),
            (
                with("days={2020-04-01,2020-04-02}", "days=2020-04-01"),
                "days is 2020-04-01, and {2020-04-01,2020-04-02} for",
            ),
            (with("run=r1", "run=a b"), "cannot name a run"),
            (with("raw=s3://pregao-raw", "raw=/tmp"), "raw: "),
        ];
        for (arguments, expected) in cases {
            let error = SparkJob::parse(&step(&arguments)).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(SUPPORTED), "{arguments:?}: {error}");
        }
    }
}
