//! Runs of `pregao smoke`: started, followed to their ends, stopped and redriven.

use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_emr::types::{ClusterState, StepState};
use aws_sdk_sfn::types::ExecutionStatus;
use lake::cluster;
use lake::config::EmrKind;
use lake::engine::EngineChoice;
use lake::{Error, Lake, backoff, job_run};
use lake_client::execution_history::ExecutionFailure;
use market::partition::DateRange;
use market::run::RunId;
use serde_json::{Value, json};

use super::PREFIX;
use super::verdict::Stopped;
use crate::commands::run::request_engine;
use crate::interrupt::Interrupted;
use crate::progress::Progress;
use crate::watch_execution::{Ending, watch};
use crate::workflow::{self, Workflow};

/// A run of `create_datalake`.
pub(super) struct Run {
    pub name: RunId,
    pub arn: String,
}

impl Run {
    /// Starts a run of these days.
    pub(super) async fn start(
        lake: &Lake,
        purpose: &str,
        days: DateRange,
        engine: EngineChoice,
        progress: &Progress,
    ) -> anyhow::Result<Run> {
        let mut input: Value = json!(days);
        request_engine(&mut input, Some(engine));
        let name = workflow::new_name(&format!("{PREFIX}{purpose}"))?;
        progress.line(&format!("create_datalake {name}"));
        let arn = workflow::start(lake, Workflow::CreateDatalake, &name, &input).await?;
        Ok(Run { name, arn })
    }

    /// Watches the run to its end. Returns its failure, if it failed.
    ///
    /// # Errors
    /// The interruption by the user, which has stopped the run; whatever Step Functions refuses.
    pub(super) async fn end(&self, lake: &Lake, progress: &Progress) -> anyhow::Result<Option<ExecutionFailure>> {
        match watch(lake, &self.arn, progress).await? {
            Ending::Succeeded(_) => Ok(None),
            Ending::Failed(failure) => Ok(Some(failure)),
            Ending::Stopped(signal) => Err(Interrupted(signal).into()),
        }
    }

    /// Continues the run, which was aborted, and waits for its end. Returns its number of redrives, and its failure, if it failed.
    pub(super) async fn redrive(&self, lake: &Lake) -> anyhow::Result<(i32, Option<ExecutionFailure>)> {
        let request = lake.sfn.redrive_execution().execution_arn(&self.arn);
        request.send().await.map_err(Error::aws(format!("redriving {}", self.name)))?;
        let begun = Instant::now();
        loop {
            let described = lake.sfn.describe_execution().execution_arn(&self.arn).send().await;
            let described = described.map_err(Error::aws(format!("looking at {}", self.name)))?;
            let redrives = described.redrive_count.unwrap_or_default();
            // The description is eventually consistent: at first, it may be that from before the redrive.
            match described.status {
                ExecutionStatus::Running | ExecutionStatus::PendingRedrive => {}
                _ if redrives == 0 => {}
                ExecutionStatus::Succeeded => return Ok((redrives, None)),
                status => {
                    let error = described.error.unwrap_or_else(|| status.as_str().to_owned());
                    let cause = described.cause.unwrap_or_default();
                    return Ok((redrives, Some(ExecutionFailure { error, cause })));
                }
            }
            tokio::time::sleep(backoff::delay(begun.elapsed(), MIN_DELAY, MAX_DELAY)).await;
        }
    }

    /// Waits until the run has a step on EMR, or a job run. Returns its cluster or application.
    pub(super) async fn cluster(&self, lake: &Lake) -> anyhow::Result<String> {
        let found = backoff::poll_until(LAUNCHED_WITHIN, || async {
            Ok::<_, Error>(self.step(lake).await?.map(|(cluster, _)| cluster))
        });
        found.await?.with_context(|| format!("run {} has not started a cluster", self.name))
    }

    /// Finds the cluster or application in which the job of the run is, and whether it still runs.
    pub(super) async fn step(&self, lake: &Lake) -> Result<Option<(String, Stopped)>, Error> {
        if lake.config.emr.kind == EmrKind::Serverless {
            let application = job_run::application(lake)?;
            let mut found = job_run::list(lake, application, &[]).await?.into_iter();
            let own = found.find(|job| job.name().is_some_and(|name| cluster::is_of_run(name, &self.name)));
            return Ok(own.map(|job| (application.to_owned(), Stopped::JobRun(job.state))));
        }
        let mut shared = Vec::from_iter(lake.config.emr.cluster_id.clone());
        let standing = cluster::standing(lake);
        for found in cluster::list(lake, &[]).await? {
            let (Some(id), Some(name)) = (found.id(), found.name()) else { continue };
            if cluster::is_of_run(name, &self.name) && cluster::is_of_lake(lake, id).await? {
                return Ok(Some((id.to_owned(), state(lake, id).await?)));
            }
            if name == standing && cluster::is_alive(&found) {
                shared.push(id.to_owned());
            }
        }
        for id in shared {
            let steps = cluster::steps(lake, &id).await?;
            let own =
                steps.into_iter().find(|step| step.name().is_some_and(|name| cluster::is_of_run(name, &self.name)));
            if let Some(step) = own {
                let state = step.status().and_then(|status| status.state()).cloned();
                return Ok(Some((id, Stopped::Step(state.unwrap_or(StepState::Pending)))));
            }
        }
        Ok(None)
    }
}

const MIN_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(15);

/// How long a run may take until it has launched its step.
const LAUNCHED_WITHIN: Duration = Duration::from_mins(5);

/// Returns the state of a cluster, with the code of its reason.
async fn state(lake: &Lake, cluster: &str) -> Result<Stopped, Error> {
    let described = cluster::describe(lake, cluster).await?;
    let status = described.status();
    let state = status.and_then(|status| status.state()).cloned().unwrap_or(ClusterState::Starting);
    let code = status.and_then(|status| status.state_change_reason()).and_then(|reason| reason.code());
    Ok(Stopped::Cluster(state, code.map(|code| code.as_str().to_owned())))
}
