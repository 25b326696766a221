//! EMR Serverless: job runs of an application, and finding those of a run.
//!
//! A job run has the name of the step that it would be on a cluster ([`cluster::step_name`]).

use std::time::SystemTime;

use aws_sdk_emrserverless::primitives::DateTime;
pub use aws_sdk_emrserverless::types::JobRunState;
use aws_sdk_emrserverless::types::{
    ApplicationState, ConfigurationOverrides, JobDriver, JobRun, JobRunSummary, MonitoringConfiguration,
    S3MonitoringConfiguration, SparkSubmit,
};
use sha2::{Digest, Sha256};

use crate::config::Emr;
use crate::error::Error;
use crate::{Lake, cluster, keys};

/// Virtual CPUs and GB of memory of the driver.
pub const DRIVER: Worker = Worker { processors: 2, gigabytes: 8 };

/// Virtual CPUs and GB of memory of an executor: those of the smallest node of a cluster.
pub const EXECUTOR: Worker = Worker { processors: 4, gigabytes: 16 };

/// A machine of a job run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Virtual CPUs.
    pub processors: u32,
    /// Memory in GB.
    pub gigabytes: u32,
}

impl Worker {
    /// Returns Spark's share of the memory in GB. EMR Serverless adds a tenth to it, and rounds up to a size that it has
    /// (<https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html>).
    fn heap(self) -> u32 {
        self.gigabytes * 10 / 11
    }
}

/// The states of a job run that has not ended.
pub const UNDER_WAY: [JobRunState; 5] =
    [JobRunState::Submitted, JobRunState::Pending, JobRunState::Queued, JobRunState::Scheduled, JobRunState::Running];

/// The longest time that a job may run in minutes: that of an execution of `create_datalake`. EMR Serverless cancels a longer one.
const MAX_MINUTES: i64 = 12 * 60;

/// Whether this is the id of an application, and not that of a cluster, which begins with `j-`.
pub fn is_application(id: &str) -> bool {
    !id.contains('-')
}

/// Returns the id of the configured application.
///
/// # Errors
/// [`Error::InvalidInput`] if none is configured.
pub fn application(lake: &Lake) -> Result<&str, Error> {
    configured(lake.config.emr.application_id.as_deref(), "application_id")
}

fn configured<'a>(value: Option<&'a str>, key: &str) -> Result<&'a str, Error> {
    let missing = || {
        Error::invalid_input(format!(
            "emr.kind is \"serverless\", and emr.{key} is empty: deploy the stack with this configuration, or set it"
        ))
    };
    value.ok_or_else(missing)
}

/// Starts the job run `name` of a Python program in S3. Returns its id. Idempotent: a repetition returns the id of the first one.
///
/// # Errors
/// [`Error::InvalidInput`] if no application or role is configured; whatever EMR Serverless refuses.
pub async fn start(lake: &Lake, name: &str, program: String, arguments: Vec<String>) -> Result<String, Error> {
    let emr = &lake.config.emr;
    let application = application(lake)?;
    let missing = |error| Error::malformed(format!("the job run {name} is incomplete"), error);
    let job = SparkSubmit::builder()
        .entry_point(program)
        .set_entry_point_arguments(Some(arguments))
        .spark_submit_parameters(parameters(emr))
        .build()
        .map_err(missing)?;
    let logs =
        S3MonitoringConfiguration::builder().log_uri(keys::uri(&lake.config.buckets.results, keys::LOGS)).build();
    let monitoring = MonitoringConfiguration::builder().s3_monitoring_configuration(logs).build();
    let request = lake
        .emr_serverless
        .start_job_run()
        .application_id(application)
        .client_token(token(lake, name))
        .execution_role_arn(configured(emr.job_role.as_deref(), "job_role")?)
        .name(name)
        .job_driver(JobDriver::SparkSubmit(job))
        .configuration_overrides(ConfigurationOverrides::builder().monitoring_configuration(monitoring).build())
        .execution_timeout_minutes(MAX_MINUTES)
        .set_tags(Some(cluster::cost_tags(&lake.config).map(|(key, value)| (key.to_owned(), value.to_owned())).into()));
    let started = request.send().await.map_err(Error::aws(format!("starting the job run {name}")))?;
    Ok(started.job_run_id)
}

/// Returns the token by which EMR Serverless recognises a repetition. It may have 64 characters.
fn token(lake: &Lake, name: &str) -> String {
    hex::encode(Sha256::digest(format!("{} {name}", lake.config.buckets.lake)))
}

/// Returns the parameters of `spark-submit`: the settings of the job, and the sizes of the machines.
fn parameters(emr: &Emr) -> String {
    let sizes = [
        format!("spark.driver.cores={}", DRIVER.processors),
        format!("spark.driver.memory={}g", DRIVER.heap()),
        format!("spark.executor.cores={}", EXECUTOR.processors),
        format!("spark.executor.memory={}g", EXECUTOR.heap()),
        // By default it begins with three.
        "spark.executor.instances=1".to_owned(),
        "spark.dynamicAllocation.initialExecutors=1".to_owned(),
        format!("spark.dynamicAllocation.maxExecutors={}", emr.core_instances),
    ];
    let settings = cluster::JOB_SETTINGS.iter().map(|setting| (*setting).to_owned());
    settings.chain(sizes).map(|setting| format!("--conf {setting}")).collect::<Vec<_>>().join(" ")
}

/// Finds the job run of this name, in any state.
///
/// # Errors
/// [`Error::InvalidInput`] if no application is configured; whatever EMR Serverless refuses.
pub async fn find(lake: &Lake, name: &str) -> Result<Option<String>, Error> {
    let found = list(lake, application(lake)?, &[]).await?;
    Ok(found.into_iter().find(|job| job.name() == Some(name)).map(|job| job.id))
}

/// Lists the job runs of an application that are young enough to be of a run, youngest first: those in `states`, or in all
/// states if it is empty.
///
/// # Errors
/// Whatever EMR Serverless refuses.
pub async fn list(lake: &Lake, application: &str, states: &[JobRunState]) -> Result<Vec<JobRunSummary>, Error> {
    let since = SystemTime::now().checked_sub(cluster::LONGEST_LIFE).unwrap_or(SystemTime::UNIX_EPOCH);
    let states = Some(states.to_vec()).filter(|states| !states.is_empty());
    let request = lake.emr_serverless.list_job_runs().application_id(application);
    let mut pages = request.created_at_after(DateTime::from(since)).set_states(states).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.map_err(Error::aws(format!("listing the job runs of {application}")))?.job_runs);
    }
    Ok(found)
}

/// Describes a job run.
///
/// # Errors
/// [`Error::Emr`] if the response is empty; whatever EMR Serverless refuses.
pub async fn describe(lake: &Lake, application: &str, id: &str) -> Result<JobRun, Error> {
    let request = lake.emr_serverless.get_job_run().application_id(application).job_run_id(id);
    let described = request.send().await.map_err(Error::aws(format!("looking at the job run {id}")))?;
    described.job_run.ok_or_else(|| Error::Emr(format!("application {application} has no job run {id}")))
}

/// Cancels a job run.
///
/// # Errors
/// Whatever EMR Serverless refuses.
pub async fn cancel(lake: &Lake, application: &str, id: &str) -> Result<(), Error> {
    let request = lake.emr_serverless.cancel_job_run().application_id(application).job_run_id(id);
    request.send().await.map_err(Error::aws(format!("cancelling the job run {id}"))).map(drop)
}

/// Stops an application whose job runs have ended. Returns whether it has stopped; call it again until it has.
///
/// # Errors
/// Whatever EMR Serverless refuses.
pub async fn stop_application(lake: &Lake, application: &str) -> Result<bool, Error> {
    let doing = || format!("stopping the application {application}");
    let states = [&UNDER_WAY[..], &[JobRunState::Cancelling]].concat();
    if !list(lake, application, &states).await?.is_empty() {
        return Ok(false);
    }
    let described = lake.emr_serverless.get_application().application_id(application).send().await;
    let state = described.map_err(Error::aws(doing()))?.application.map(|found| found.state);
    match state {
        // It accepts no request to stop in any other state.
        Some(ApplicationState::Starting | ApplicationState::Started) => {
            let request = lake.emr_serverless.stop_application().application_id(application);
            request.send().await.map_err(Error::aws(doing()))?;
            Ok(false)
        }
        Some(ApplicationState::Creating | ApplicationState::Stopping) => Ok(false),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_clusters_and_applications_differ() {
        // Examples of the API references of EMR and EMR Serverless.
        assert!(is_application("00f1r05p2u2tlj09"));
        assert!(!is_application("j-1K48XXXXXXHCB"));
    }

    #[test]
    fn machines_have_the_sizes_of_the_service() {
        // Spark adds max(384 MB, a tenth) to the heap: 7.7 GB and 15.4 GB, which are rounded up to whole GB.
        let emr = Emr { core_instances: 3.try_into().expect("not zero"), ..Emr::default() };
        assert_eq!(
            parameters(&emr),
            "--conf spark.sql.catalogImplementation=in-memory \
             --conf spark.hadoop.fs.s3a.committer.abort.pending.uploads=false \
             --conf spark.driver.cores=2 --conf spark.driver.memory=7g \
             --conf spark.executor.cores=4 --conf spark.executor.memory=14g \
             --conf spark.executor.instances=1 --conf spark.dynamicAllocation.initialExecutors=1 \
             --conf spark.dynamicAllocation.maxExecutors=3"
        );
    }
}
