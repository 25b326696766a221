//! Starts the Spark job of a run on EMR.
//!
//! Cluster and step carry the name of the run, and are looked for by it before anything is started: a function that is
//! invoked once more must not pay for a second cluster.

mod job;

use std::time::{Duration, SystemTime};

use aws_sdk_emr::types::{ActionOnFailure, Application, JobFlowInstancesConfig, StepConfig, Tag};
use lake::lambda::parse_event;
use lake::{Error, Lake, keys};
use market::partition::DateRange;
use market::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Event {
    run: RunId,
    #[serde(flatten)]
    range: DateRange,
}

/// The step that runs the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Launched {
    /// The cluster.
    pub cluster_id: String,
    /// The step on it.
    pub step_id: String,
    /// Seconds to wait between two looks at it.
    pub poll_seconds: u32,
}

/// Starts the job of `{"run", "from", "to"}`, or finds it started: on the configured cluster, or on one of its own.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; whatever EMR or S3 refuse.
pub async fn handle(lake: &Lake, event: Value) -> Result<Launched, Error> {
    let event: Event = parse_event(event, r#"{"run": "...", "from": "2020-04-01", "to": "2020-04-09"}"#)?;
    let name = format!("pregao-{}", event.run);
    let (cluster_id, step_id) = match &lake.config.emr.cluster_id {
        Some(cluster) => {
            let step = match find_step(lake, cluster, &name).await? {
                Some(step) => step,
                None => add_step(lake, cluster, step(lake, &event, &name, ActionOnFailure::Continue).await?).await?,
            };
            (cluster.clone(), step)
        }
        None => {
            let cluster = match find_cluster(lake, &name).await? {
                Some(cluster) => cluster,
                None => {
                    let step = step(lake, &event, &name, ActionOnFailure::TerminateCluster).await?;
                    start_cluster(lake, &name, &event.run, step).await?
                }
            };
            let step = find_step(lake, &cluster, &name).await?;
            let step = step.ok_or_else(|| Error::Emr(format!("cluster {cluster} has no step {name}")))?;
            (cluster, step)
        }
    };
    Ok(Launched { cluster_id, step_id, poll_seconds: lake.config.emr.poll_seconds.get() })
}

async fn step(lake: &Lake, event: &Event, name: &str, on_failure: ActionOnFailure) -> Result<StepConfig, Error> {
    let jar = job::upload(lake, &event.run, event.range).await?;
    Ok(StepConfig::builder().name(name).action_on_failure(on_failure).hadoop_jar_step(jar).build())
}

/// No execution of the workflow lasts longer, so that no older cluster can be one of this run.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 60 * 60);

/// The cluster of this name, in whatever state: one that has ended did so with its step.
async fn find_cluster(lake: &Lake, name: &str) -> Result<Option<String>, Error> {
    let since = SystemTime::now().checked_sub(LONGEST_RUN).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut pages = lake.emr.list_clusters().created_after(since.into()).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws("listing the clusters"))?;
        let found = page.clusters.unwrap_or_default().into_iter().find(|cluster| cluster.name.as_deref() == Some(name));
        if let Some(cluster) = found {
            return Ok(cluster.id);
        }
    }
    Ok(None)
}

async fn find_step(lake: &Lake, cluster: &str, name: &str) -> Result<Option<String>, Error> {
    let mut pages = lake.emr.list_steps().cluster_id(cluster).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing the steps of cluster {cluster}")))?;
        let found = page.steps.unwrap_or_default().into_iter().find(|step| step.name.as_deref() == Some(name));
        if let Some(step) = found {
            return Ok(step.id);
        }
    }
    Ok(None)
}

async fn add_step(lake: &Lake, cluster: &str, step: StepConfig) -> Result<String, Error> {
    let added = lake.emr.add_job_flow_steps().job_flow_id(cluster).steps(step).send().await;
    let ids = added.map_err(Error::aws(format!("adding a step to cluster {cluster}")))?.step_ids.unwrap_or_default();
    ids.into_iter().next().ok_or_else(|| Error::Emr(format!("cluster {cluster} took a step and gave it no id")))
}

/// A cluster that ends with its step.
async fn start_cluster(lake: &Lake, name: &str, run: &RunId, step: StepConfig) -> Result<String, Error> {
    let emr = &lake.config.emr;
    let instances = JobFlowInstancesConfig::builder()
        .master_instance_type(&emr.instance_type)
        .slave_instance_type(&emr.instance_type)
        .instance_count(1 + i32::from(emr.core_instances))
        .set_ec2_subnet_id(emr.subnet_id.clone())
        .keep_job_flow_alive_when_no_steps(false)
        .build();
    let started = lake
        .emr
        .run_job_flow()
        .name(name)
        .release_label(&emr.release)
        .applications(Application::builder().name("Spark").build())
        .instances(instances)
        .steps(step)
        .log_uri(keys::uri(&lake.config.buckets.results, keys::LOGS))
        .service_role(&emr.service_role)
        .job_flow_role(&emr.instance_profile)
        .tags(Tag::builder().key("pregao:run").value(run.as_str()).build())
        .send()
        .await
        .map_err(Error::aws(format!("starting the cluster {name}")))?;
    started.job_flow_id.ok_or_else(|| Error::Emr(format!("the cluster {name} was started and has no id")))
}
