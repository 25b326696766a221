//! The Spark job that this endpoint runs, by the arguments of a step (`spark-sql -f s3://.../etl.sql -d from=...`) or of a job run
//! (`s3://.../run_sql.py s3://.../etl.sql from=...`).

use std::collections::BTreeMap;

use lake::keys;
use market::partition::{DateRange, Partition};
use market::run::{InvalidRunId, RunId};
use market::table::TableName;

use crate::s3::StoreError;
use crate::s3_uri::S3Uri;

const STEP: &str = "this endpoint runs the step `command-runner.jar` with the arguments `spark-sql -f s3://BUCKET/JOB.sql \
    -d from=YYYY-MM-DD -d to=YYYY-MM-DD -d days={YYYY-MM-DD,...} -d run=ID -d raw=s3://BUCKET -d lake=s3://BUCKET`";

const JOB_RUN: &str = "this endpoint runs the entry point `s3://BUCKET/run_sql-DIGEST.py` with the arguments \
    `s3://BUCKET/JOB.sql from=YYYY-MM-DD to=YYYY-MM-DD days={YYYY-MM-DD,...} run=ID raw=s3://BUCKET lake=s3://BUCKET`";

/// Options of Spark for its distribution over machines, which have no effect on one machine.
const SETTINGS: [&str; 8] = [
    "--conf",
    "--name",
    "--master",
    "--deploy-mode",
    "--driver-memory",
    "--executor-memory",
    "--executor-cores",
    "--num-executors",
];

/// An error of a Spark job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SparkError {
    #[error("{what}: {supported}")]
    Arguments { what: String, supported: &'static str },
    #[error("the job file {uri} cannot be read: {source}")]
    JobFile { uri: String, source: StoreError },
    #[error("the raw bucket: {0}")]
    Raw(StoreError),
    #[error(
        "s3://{bucket}/{key} is among the raw files and is not named as a snapshot: move it away and start the job again"
    )]
    NotASnapshot { bucket: String, key: String },
    #[error("{0}")]
    Engine(String),
    #[error("the files of the tables could not be put into the lake: {0}")]
    Publish(StoreError),
    #[error("the job was cancelled")]
    Cancelled,
}

impl SparkError {
    /// The reason in the description of a failure.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            SparkError::Arguments { .. } => "The arguments of the job are not supported.",
            SparkError::JobFile { .. } => "The job file could not be read.",
            SparkError::Raw(_) | SparkError::NotASnapshot { .. } => "The raw files could not be listed.",
            SparkError::Engine(_) => "The engine failed.",
            SparkError::Publish(_) => "The results could not be written.",
            SparkError::Cancelled => "The job was cancelled.",
        }
    }
}

/// The arguments of the job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SparkJob {
    /// The program that runs the SQL, if it is not `spark-sql`.
    program: Option<S3Uri>,
    /// The SQL.
    pub(super) script: S3Uri,
    pub(super) days: DateRange,
    pub(super) run: RunId,
    pub(super) raw: S3Uri,
    pub(super) lake: S3Uri,
}

impl SparkJob {
    /// Parses the arguments of a step of EMR.
    ///
    /// # Errors
    /// [`SparkError::Arguments`] for any other job.
    pub(crate) fn from_step(jar: &str, arguments: &[String]) -> Result<SparkJob, SparkError> {
        parse_step(jar, arguments).map_err(|what| SparkError::Arguments { what, supported: STEP })
    }

    /// Parses the entry point of a job run of EMR Serverless, its arguments, and the parameters of `spark-submit`.
    ///
    /// # Errors
    /// [`SparkError::Arguments`] for any other job.
    pub(crate) fn from_job_run(
        entry_point: &str,
        arguments: &[String],
        parameters: &str,
    ) -> Result<SparkJob, SparkError> {
        parse_job_run(entry_point, arguments, parameters)
            .map_err(|what| SparkError::Arguments { what, supported: JOB_RUN })
    }

    /// Returns the objects that have to exist for the job to run.
    pub(super) fn files(&self) -> impl Iterator<Item = &S3Uri> {
        self.program.iter().chain([&self.script])
    }

    /// Returns the prefixes of the keys of this run's files.
    pub(super) fn run_folders(&self) -> Vec<String> {
        let folders = self.days.days().flat_map(|date| {
            TableName::ALL.map(|table| self.lake.child(&keys::run_folder(table, Partition::from(date), &self.run)).key)
        });
        folders.collect()
    }
}

/// Parses the arguments of a step. The error says what is not supported.
fn parse_step(jar: &str, arguments: &[String]) -> Result<SparkJob, String> {
    if jar != "command-runner.jar" {
        return Err(format!("the jar {jar:?} is not supported"));
    }
    let mut arguments = arguments.iter().map(String::as_str);
    let command = arguments.next().unwrap_or_default();
    if command != "spark-sql" {
        return Err(format!("the command {command:?} is not supported"));
    }
    let mut script = None;
    let mut variables = Variables::default();
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("the argument {option:?} has no value"))?;
        match option {
            "-f" => script = Some(value),
            "-d" | "--define" | "--hivevar" => variables.define(value)?,
            _ if SETTINGS.contains(&option) => {}
            _ => return Err(format!("the argument {option:?} is not supported")),
        }
    }
    let script = script.ok_or_else(|| "there is no -f".to_owned())?;
    variables.into_job(None, uri("-f", script)?)
}

/// Parses a job run. The error says what is not supported.
fn parse_job_run(entry_point: &str, arguments: &[String], parameters: &str) -> Result<SparkJob, String> {
    let program = uri("the entry point", entry_point)?;
    let name = keys::file_name(&program.key);
    if !(name.starts_with("run_sql") && name.ends_with(".py")) {
        return Err(format!("the entry point {entry_point:?} is not supported"));
    }
    let is_unknown = |word: &&str| {
        let option = word.split('=').next().unwrap_or_default();
        word.starts_with("--") && !SETTINGS.contains(&option)
    };
    if let Some(option) = parameters.split_whitespace().find(is_unknown) {
        return Err(format!("the parameter {option:?} is not supported"));
    }
    let (script, definitions) = arguments.split_first().ok_or_else(|| "there are no arguments".to_owned())?;
    let mut variables = Variables::default();
    for definition in definitions {
        variables.define(definition)?;
    }
    variables.into_job(Some(program), uri("the first argument", script)?)
}

/// The variables of the job.
#[derive(Default)]
struct Variables<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Variables<'a> {
    /// Adds a variable, given as `NAME=VALUE`.
    fn define(&mut self, definition: &'a str) -> Result<(), String> {
        let (name, value) = definition.split_once('=').ok_or_else(|| format!("{definition:?} is not NAME=VALUE"))?;
        self.0.insert(name, value);
        Ok(())
    }

    fn get(&self, name: &str) -> Result<&'a str, String> {
        self.0.get(name).copied().ok_or_else(|| format!("the variable {name} is not given"))
    }

    fn into_job(self, program: Option<S3Uri>, script: S3Uri) -> Result<SparkJob, String> {
        let date =
            |name: &str| self.get(name)?.parse().map_err(|error| format!("the variable {name} is no date: {error}"));
        let days = DateRange::new(date("from")?, date("to")?).map_err(|error| error.to_string())?;
        // The job reads the folders that this glob matches, and fails if it does not match each day.
        let (glob, expected) = (self.get("days")?, market::spark_job::days(days));
        if glob != expected {
            return Err(format!("the variable days is {glob}, and {expected} for {days}"));
        }
        Ok(SparkJob {
            program,
            script,
            days,
            run: self.get("run")?.parse().map_err(|error: InvalidRunId| error.to_string())?,
            raw: uri("raw", self.get("raw")?)?.folder(),
            lake: uri("lake", self.get("lake")?)?.folder(),
        })
    }
}

fn uri(name: &str, text: &str) -> Result<S3Uri, String> {
    S3Uri::parse(text).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    const PROGRAM: &str = "s3://pregao-results/jobs/run_sql-ab12.py";

    fn owned(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    fn step(arguments: &[&str]) -> Result<SparkJob, SparkError> {
        SparkJob::from_step("command-runner.jar", &owned(arguments))
    }

    /// The arguments of the program that are those of [`JOB`].
    fn program_arguments() -> Vec<&'static str> {
        JOB.into_iter().skip(2).filter(|argument| *argument != "-d").collect()
    }

    fn job_run(arguments: &[&str]) -> Result<SparkJob, SparkError> {
        SparkJob::from_job_run(PROGRAM, &owned(arguments), "")
    }

    #[test]
    fn the_job_is_read_from_the_arguments() {
        let job = step(&JOB).unwrap();
        assert_eq!(job.days.to_string(), "2020-04-01 to 2020-04-02");
        assert_eq!(job.raw.child("quotes/").to_string(), "s3://pregao-raw/quotes/");
        let folders = job.run_folders();
        assert_eq!(folders.len(), 6);
        assert_eq!(folders[0], "runs/run=r1/quotes/year=2020/month=4/day=1/");
        let files: Vec<String> = job.files().map(S3Uri::to_string).collect();
        assert_eq!(files, ["s3://pregao-results/jobs/etl.sql"]);
        let tuned: Vec<&str> = JOB.into_iter().chain(["--conf", "spark.executor.cores=2"]).collect();
        assert_eq!(step(&tuned).unwrap(), job);
    }

    #[test]
    fn a_job_run_is_the_same_job_with_a_program() {
        let arguments = program_arguments();
        assert_eq!(
            arguments.join(" "),
            "s3://pregao-results/jobs/etl.sql from=2020-04-01 to=2020-04-02 days={2020-04-01,2020-04-02} run=r1 \
             raw=s3://pregao-raw lake=s3://pregao-lake/"
        );
        let job = job_run(&arguments).unwrap();
        assert_eq!(job, SparkJob { program: Some(S3Uri::parse(PROGRAM).unwrap()), ..step(&JOB).unwrap() });
        let files: Vec<String> = job.files().map(S3Uri::to_string).collect();
        assert_eq!(files, [PROGRAM, "s3://pregao-results/jobs/etl.sql"]);
        let tuned = "--conf spark.executor.cores=4 --conf spark.sql.catalogImplementation=in-memory --name x";
        assert_eq!(SparkJob::from_job_run(PROGRAM, &owned(&arguments), tuned).unwrap(), job);
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
            (with("run=r1", "r1"), "\"r1\" is not NAME=VALUE"),
            (with("raw=s3://pregao-raw", "raw=/tmp"), "raw: "),
        ];
        for (arguments, expected) in cases {
            let error = step(&arguments).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(STEP), "{arguments:?}: {error}");
        }
        let error = SparkJob::from_step("my.jar", &owned(&JOB)).unwrap_err().to_string();
        assert!(error.contains("the jar \"my.jar\" is not supported"), "{error}");
    }

    #[test]
    fn another_job_run_is_refused_with_what_is_supported() {
        let job = program_arguments();
        let with = |argument: &str, other: &'static str| -> Vec<&str> {
            job.iter().map(|text| if *text == argument { other } else { text }).collect()
        };
        let cases = [
            ("s3://b/other.py", job.clone(), "", "the entry point \"s3://b/other.py\" is not supported"),
            ("s3://b/run_sql.jar", job.clone(), "", "is not supported"),
            ("run_sql.py", job.clone(), "", "the entry point: "),
            (PROGRAM, vec![], "", "there are no arguments"),
            (PROGRAM, job[1..].to_vec(), "", "the first argument: "),
            (PROGRAM, with("run=r1", "r1"), "", "\"r1\" is not NAME=VALUE"),
            (PROGRAM, job[..job.len() - 1].to_vec(), "", "the variable lake is not given"),
            (PROGRAM, job.clone(), "--conf a=b --jars s3://b/x.jar", "the parameter \"--jars\" is not supported"),
        ];
        for (program, arguments, parameters, expected) in cases {
            let error = SparkJob::from_job_run(program, &owned(&arguments), parameters).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(JOB_RUN), "{arguments:?}: {error}");
        }
    }
}
