//! Starts the Spark job of a run on EMR: as a step of a cluster, or as a job run of EMR Serverless.
//!
//! Idempotent: cluster, step and job run have the name of the run, and the cluster has the tag of the lake. The function looks them
//! up before it starts anything, so that a repeated invocation does not start a second one.

mod job;

use aws_sdk_emr::types::{ActionOnFailure, ClusterSummary, StepConfig};
use chrono::{DateTime, Utc};
use lake::cluster::{self, Purpose};
use lake::config::EmrKind;
use lake::lambda::parse_event;
use lake::{Error, Lake, backoff, invocation, job_run};
use market::partition::DateRange;
use market::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Event {
    run: RunId,
    #[serde(flatten)]
    range: DateRange,
    /// The failed step, if the workflow reports one.
    failed: Option<FailedStep>,
    /// The execution that invokes the function.
    #[serde(default)]
    execution: Execution,
}

#[derive(Debug, Deserialize)]
struct FailedStep {
    step_id: String,
    reason: String,
}

/// The execution in the context object of Step Functions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Execution {
    /// Number of redrives.
    redrive_count: u64,
}

/// What runs the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Launched {
    /// The cluster, or the application of EMR Serverless.
    pub cluster_id: String,
    /// The step of the cluster, or the job run of the application.
    pub step_id: String,
    /// When to poll for the first time. Serialized as `2020-04-01T10:00:00.250Z`.
    #[serde(serialize_with = "backoff::serialize_timestamp")]
    pub look_at: DateTime<Utc>,
}

/// Starts the job of the run `{"run", "from", "to"}`, or finds the started one: as a step of the configured cluster, of the standing
/// cluster, or of a transient cluster of its own; or as a job run of EMR Serverless.
///
/// With `"failed"`, a step and the reason of its failure, it fails with this reason. If the execution was redriven since that
/// step was started, it starts another one instead.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; [`Error::Emr`] for a step that failed; the errors of EMR and S3.
pub async fn handle(lake: &Lake, event: Value) -> Result<Launched, Error> {
    let event: Event = parse_event(event, r#"{"run": "...", "from": "2020-04-01", "to": "2020-04-09"}"#)?;
    invocation::record_days(event.range);
    let name = cluster::step_name(&event.run, event.execution.redrive_count);
    let (cluster_id, step_id) = match lake.config.emr.kind {
        EmrKind::Ec2 => launch_step(lake, &event, &name).await?,
        EmrKind::Serverless => launch_job_run(lake, &event, &name).await?,
    };
    match event.failed {
        Some(failed) if failed.step_id == step_id => Err(Error::Emr(failed.reason)),
        _ => Ok(Launched { cluster_id, step_id, look_at: backoff::timestamp_after(cluster::MIN_POLL_DELAY) }),
    }
}

/// Returns the application and the job run.
async fn launch_job_run(lake: &Lake, event: &Event, name: &str) -> Result<(String, String), Error> {
    let job_run = match job_run::find(lake, name).await? {
        Some(started) => started,
        None => {
            let (program, arguments) = job::program(lake, &event.run, event.range).await?;
            job_run::start(lake, name, program, arguments).await?
        }
    };
    Ok((job_run::application(lake)?.to_owned(), job_run))
}

/// Returns the cluster and the step.
async fn launch_step(lake: &Lake, event: &Event, name: &str) -> Result<(String, String), Error> {
    match find(lake, name).await? {
        Started::Step { cluster, step } => Ok((cluster, step)),
        Started::Cluster(cluster) => {
            let step = step(lake, event, name, ActionOnFailure::Continue).await?;
            let step = add_step(lake, &cluster, step).await?;
            Ok((cluster, step))
        }
        Started::Nothing => {
            let step = step(lake, event, name, ActionOnFailure::TerminateCluster).await?;
            let cluster = cluster::start(lake, Purpose::Run(&event.run, Box::new(step))).await?;
            let step = find_step(lake, &cluster, name).await?;
            let step = step.ok_or_else(|| Error::Emr(format!("cluster {cluster} has no step {name}")))?;
            Ok((cluster, step))
        }
    }
}

/// What exists already.
enum Started {
    /// The step, from an earlier invocation.
    Step { cluster: String, step: String },
    /// A cluster that accepts the steps of all runs.
    Cluster(String),
    /// Nothing.
    Nothing,
}

async fn find(lake: &Lake, name: &str) -> Result<Started, Error> {
    let shared = match &lake.config.emr.cluster_id {
        Some(cluster) => Some(cluster.clone()),
        None => {
            let clusters = cluster::list(lake, &[]).await?;
            if let Some(own) = transient_cluster(lake, &clusters, name).await? {
                let step = find_step(lake, &own, name).await?;
                let step = step.ok_or_else(|| Error::Emr(format!("cluster {own} has no step {name}")))?;
                return Ok(Started::Step { cluster: own, step });
            }
            let standing = cluster::standing(lake);
            let is_standing =
                |cluster: &&ClusterSummary| cluster.name() == Some(&standing) && cluster::is_alive(cluster);
            clusters.iter().find(is_standing).and_then(|cluster| cluster.id.clone())
        }
    };
    let Some(cluster) = shared else { return Ok(Started::Nothing) };
    Ok(match find_step(lake, &cluster, name).await? {
        Some(step) => Started::Step { cluster, step },
        None => Started::Cluster(cluster),
    })
}

/// Finds the transient cluster of this step, in any state: a terminated one ended with the step.
async fn transient_cluster(lake: &Lake, clusters: &[ClusterSummary], name: &str) -> Result<Option<String>, Error> {
    for id in clusters.iter().filter(|cluster| cluster.name() == Some(name)).filter_map(ClusterSummary::id) {
        if cluster::is_of_lake(lake, id).await? {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

async fn find_step(lake: &Lake, cluster: &str, name: &str) -> Result<Option<String>, Error> {
    let steps = cluster::steps(lake, cluster).await?;
    Ok(steps.into_iter().find(|step| step.name() == Some(name)).and_then(|step| step.id))
}

async fn step(lake: &Lake, event: &Event, name: &str, on_failure: ActionOnFailure) -> Result<StepConfig, Error> {
    let jar = job::step(lake, &event.run, event.range).await?;
    Ok(StepConfig::builder().name(name).action_on_failure(on_failure).hadoop_jar_step(jar).build())
}

async fn add_step(lake: &Lake, cluster: &str, step: StepConfig) -> Result<String, Error> {
    let added = lake.emr.add_job_flow_steps().job_flow_id(cluster).steps(step).send().await;
    let ids = added.map_err(Error::aws(format!("adding a step to cluster {cluster}")))?.step_ids.unwrap_or_default();
    ids.into_iter().next().ok_or_else(|| Error::Emr(format!("cluster {cluster} accepted a step and returned no id")))
}
