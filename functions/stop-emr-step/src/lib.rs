//! Stops the Spark job of a run whose execution has ended: its step, its transient cluster, or its job run of EMR Serverless.
//!
//! An execution that is aborted or times out runs no more states, so the workflow cannot clean up. Instead, EventBridge
//! invokes this function for each execution of `create_datalake` that ended without success.

use aws_sdk_emr::types::{StepCancellationOption, StepState};
use lake::lambda::parse_event;
use lake::{Error, Lake, cluster, invocation, job_run, workflow};
use market::run::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `{"run"}` by hand, or EventBridge's "Step Functions Execution Status Change".
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Event {
    ByHand { run: RunId },
    StatusChange { detail: Detail },
}

/// The execution has the name of its run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    name: RunId,
    execution_arn: String,
}

/// What was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The run.
    pub run: RunId,
    /// The terminated clusters: transient clusters of the run that were still active.
    pub clusters: Vec<String>,
    /// The cancelled steps on a cluster that serves all runs.
    pub steps: Vec<String>,
    /// The cancelled job runs of EMR Serverless.
    pub job_runs: Vec<String>,
}

/// Stops steps and clusters of the run of the event. Idempotent: a second invocation finds nothing.
///
/// An event may arrive up to 24 hours late, or twice. If its execution was redriven since and runs again, nothing is stopped:
/// an event follows when it ends.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; the errors of EMR and Step Functions.
pub async fn handle(lake: &Lake, event: Value) -> Result<Stopped, Error> {
    let form = r#"{"run": "..."}, or a "Step Functions Execution Status Change" of EventBridge"#;
    let run = match parse_event(event, form)? {
        Event::ByHand { run } => run,
        Event::StatusChange { detail: Detail { name: run, execution_arn } } => {
            invocation::record_run(&run);
            if workflow::is_running(lake, &execution_arn).await? {
                tracing::info!(%run, "nothing is stopped: the execution was redriven");
                return Ok(Stopped { run, clusters: Vec::new(), steps: Vec::new(), job_runs: Vec::new() });
            }
            run
        }
    };
    let (mut clusters, mut shared) = (Vec::new(), Vec::from_iter(lake.config.emr.cluster_id.clone()));
    let standing = cluster::standing(lake);
    for found in cluster::list(lake, &cluster::ALIVE).await? {
        let name = found.name().unwrap_or_default();
        let Some(id) = found.id() else { continue };
        if cluster::is_of_run(name, &run) {
            if cluster::is_of_lake(lake, id).await? {
                cluster::end(lake, id).await?;
                clusters.push(id.to_owned());
            }
        } else if name == standing {
            shared.push(id.to_owned());
        }
    }
    let mut steps = Vec::new();
    for id in shared {
        steps.extend(cancel(lake, &id, &run).await?);
    }
    let job_runs = cancel_job_runs(lake, &run).await?;
    tracing::info!(%run, ?clusters, ?steps, ?job_runs, "stopped");
    Ok(Stopped { run, clusters, steps, job_runs })
}

/// Cancels the job runs of the run. Without an application there are none.
async fn cancel_job_runs(lake: &Lake, run: &RunId) -> Result<Vec<String>, Error> {
    let Some(application) = &lake.config.emr.application_id else { return Ok(Vec::new()) };
    let mut cancelled = Vec::new();
    for job in job_run::list(lake, application, &job_run::UNDER_WAY).await? {
        if job.name().is_some_and(|name| cluster::is_of_run(name, run)) {
            job_run::cancel(lake, application, job.id()).await?;
            cancelled.push(job.id);
        }
    }
    Ok(cancelled)
}

/// Cancels the steps of the run on a shared cluster.
async fn cancel(lake: &Lake, cluster: &str, run: &RunId) -> Result<Vec<String>, Error> {
    let steps = cluster::steps(lake, cluster).await?.into_iter();
    let of_run = steps.filter(|step| {
        let state = step.status().and_then(|status| status.state());
        step.name().is_some_and(|name| cluster::is_of_run(name, run))
            && matches!(state, Some(StepState::Pending | StepState::Running))
    });
    let steps: Vec<String> = of_run.filter_map(|step| step.id).collect();
    if steps.is_empty() {
        return Ok(steps);
    }
    let request = lake.emr.cancel_steps().cluster_id(cluster).set_step_ids(Some(steps.clone()));
    let request = request.step_cancellation_option(StepCancellationOption::TerminateProcess);
    request.send().await.map_err(Error::aws(format!("cancelling {} on cluster {cluster}", steps.join(", "))))?;
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run_of(event: Value) -> Option<RunId> {
        match serde_json::from_value(event).ok()? {
            Event::ByHand { run } | Event::StatusChange { detail: Detail { name: run, .. } } => Some(run),
        }
    }

    #[test]
    fn the_run_is_the_name_of_the_execution() {
        let run = "2020-04-01_7".parse().ok();
        assert_eq!(run_of(json!({"run": "2020-04-01_7"})), run);
        let change = json!({
            "version": "0", "source": "aws.states", "detail-type": "Step Functions Execution Status Change",
            "detail": {
                "name": "2020-04-01_7", "status": "ABORTED", "stateMachineArn": "arn:aws:states:x",
                "executionArn": "arn:aws:states:x:2020-04-01_7",
            },
        });
        assert_eq!(run_of(change), run);
        for other in [json!({}), json!({"run": "a/b"}), json!({"detail": {}}), json!("run"), json!(null)] {
            assert_eq!(run_of(other.clone()), None, "{other}");
        }
    }
}
