//! The tasks of clusters: each cluster has one, which runs its steps in order and moves it through its states.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{Instrument, debug_span};

use super::clusters::{Cluster, ClusterState};
use super::reason::StateChangeReason;
use super::step::{ActionOnFailure, FailureDetails, Step, StepState};
use super::{Emr, Worker};
use crate::aws_json::AwsError;
use crate::s3_uri::S3Uri;
use crate::spark::{SparkError, SparkJob, SparkTask};

/// The reason code of a cluster that is terminated because a step failed.
const STEP_FAILURE: &str = "STEP_FAILURE";

/// A step that a cluster runs.
struct RunningStep {
    emr: Emr,
    step: Step,
}

impl SparkTask for RunningStep {
    const OPERATION: &'static str = "RunStep";

    fn name(&self) -> &str {
        &self.step.config.name
    }

    fn id(&self) -> &str {
        &self.step.id
    }

    fn job(&self) -> Result<SparkJob, SparkError> {
        let jar = &self.step.config.hadoop_jar_step;
        SparkJob::from_step(&jar.jar, &jar.args)
    }

    fn is_running(&self) -> rusqlite::Result<bool> {
        Step::is_running(&self.emr.state.lock(), &self.step.id)
    }

    /// EMR's key: `LOGS/<cluster>/steps/<step>/stderr.gz`.
    fn log(&self) -> Option<S3Uri> {
        let RunningStep { emr, step } = self;
        let cluster = Cluster::find(&emr.state.lock(), &step.cluster).ok()?;
        let logs = cluster.request.log_uri.as_deref().and_then(|uri| S3Uri::parse(uri).ok());
        let logs = logs.unwrap_or_else(|| emr.logs.clone());
        Some(logs.child(&format!("{}/steps/{}/stderr.gz", step.cluster, step.id)))
    }
}

/// The next action of a cluster's task, by its queue of steps.
enum NextAction {
    Run(Box<Step>),
    /// The queue is empty and the cluster is kept alive, for at most this long if it has an idle timeout.
    Wait(Option<Duration>),
    /// The cluster ends, with this state and reason.
    End(ClusterState, StateChangeReason),
}

impl Emr {
    /// Starts the task of a cluster.
    pub(super) fn start_worker(&self, id: &str) {
        let wake = Arc::new(Notify::new());
        let (emr, cluster, woken) = (self.clone(), id.to_owned(), Arc::clone(&wake));
        // Under the lock: a task that ends at once removes its entry only after it was inserted.
        self.workers.with(|workers| {
            let task = tokio::spawn(async move {
                if let Err(error) = emr.run_steps(&cluster, &woken).await {
                    emr.state.report_failure("the state of a cluster", error.message());
                }
                emr.workers.with(|workers| workers.remove(&cluster));
            });
            workers.insert(id.to_owned(), Worker { wake, task: task.abort_handle() });
        });
    }

    /// Wakes the task of a cluster: its queue or its state has changed.
    pub(super) fn wake(&self, id: &str) {
        self.workers.with(|workers| {
            if let Some(worker) = workers.get(id) {
                worker.wake.notify_one();
            }
        });
    }

    async fn run_steps(&self, id: &str, wake: &Notify) -> Result<(), AwsError> {
        self.set_state_if_alive(id, ClusterState::Bootstrapping)?;
        self.set_state_if_alive(id, ClusterState::Running)?;
        loop {
            match self.next(id)? {
                NextAction::Run(step) => {
                    let span = debug_span!("step", id = step.id, name = step.config.name, cluster = step.cluster);
                    self.run(*step).instrument(span).await?;
                }
                NextAction::Wait(None) => wake.notified().await,
                NextAction::Wait(Some(idle)) => {
                    if tokio::time::timeout(idle, wake.notified()).await.is_err() {
                        self.terminate_if_idle(id)?;
                    }
                }
                NextAction::End(state, reason) => {
                    self.state.write(|rows| Cluster::set_state(rows, id, state, &reason))?;
                    return Ok(());
                }
            }
        }
    }

    /// Sets the state of a cluster, unless it is terminating.
    fn set_state_if_alive(&self, id: &str, state: ClusterState) -> Result<(), AwsError> {
        self.state.write(|rows| {
            if Cluster::find(rows, id)?.state.is_alive() {
                Cluster::set_state(rows, id, state, &StateChangeReason::default())?;
            }
            Ok(())
        })
    }

    fn next(&self, id: &str) -> Result<NextAction, AwsError> {
        self.state.write(|rows| {
            let cluster = Cluster::find(rows, id)?;
            if !cluster.state.is_alive() {
                let failed = cluster.reason.code.as_deref() == Some(STEP_FAILURE);
                let end = if failed { ClusterState::TerminatedWithErrors } else { ClusterState::Terminated };
                return Ok(NextAction::End(end, cluster.reason));
            }
            if let Some(step) = Step::start_next(rows, id)? {
                Cluster::set_state(rows, id, ClusterState::Running, &StateChangeReason::of_progress("Running step"))?;
                return Ok(NextAction::Run(Box::new(step)));
            }
            if !cluster.request.instances.keep_job_flow_alive_when_no_steps {
                return Ok(NextAction::End(
                    ClusterState::Terminated,
                    StateChangeReason::new("ALL_STEPS_COMPLETED", "Steps completed"),
                ));
            }
            let waiting = StateChangeReason::of_progress("Cluster ready to run steps.");
            Cluster::set_state(rows, id, ClusterState::Waiting, &waiting)?;
            let policy = cluster.request.auto_termination_policy;
            Ok(NextAction::Wait(policy.and_then(|policy| policy.idle_timeout).map(Duration::from_secs)))
        })
    }

    fn terminate_if_idle(&self, id: &str) -> Result<(), AwsError> {
        self.state.write(|rows| {
            // A step may have been added between the timeout and this transaction.
            if Cluster::find(rows, id)?.state == ClusterState::Waiting && !Step::has_pending(rows, id)? {
                let reason = StateChangeReason::new("USER_REQUEST", "Auto-terminated after the idle timeout");
                Cluster::set_state(rows, id, ClusterState::Terminating, &reason)?;
            }
            Ok(())
        })
    }

    async fn run(&self, step: Step) -> Result<(), AwsError> {
        let task = Arc::new(RunningStep { emr: self.clone(), step });
        let failure = self.spark.run(&task).await.err().map(FailureDetails::from);
        self.end_step(&task.step, failure.as_ref())
    }

    fn end_step(&self, step: &Step, failure: Option<&FailureDetails>) -> Result<(), AwsError> {
        Ok(self.state.write(|rows| {
            let state = if failure.is_some() { StepState::Failed } else { StepState::Completed };
            let ended_now = Step::end(rows, &step.id, state, &StateChangeReason::default(), failure)?;
            if failure.is_none() || !ended_now {
                return Ok(());
            }
            match step.config.action_on_failure {
                ActionOnFailure::Continue => Ok(()),
                ActionOnFailure::CancelAndWait => Step::cancel_pending(
                    rows,
                    &step.cluster,
                    "An earlier step failed, and its ActionOnFailure is CANCEL_AND_WAIT",
                ),
                ActionOnFailure::TerminateCluster => {
                    Step::cancel_pending(
                        rows,
                        &step.cluster,
                        "An earlier step failed, and its ActionOnFailure is TERMINATE_CLUSTER",
                    )?;
                    let reason = StateChangeReason::new(STEP_FAILURE, "Shut down as step failed");
                    Cluster::set_state(rows, &step.cluster, ClusterState::Terminating, &reason)
                }
            }
        })?)
    }

    /// Recovers after a crash: fails the steps that ran. A cluster that is kept alive waits for steps again, any other ends.
    pub(super) fn resume(&self) -> rusqlite::Result<()> {
        let kept = self.state.write(|rows| {
            Step::fail_lost(rows)?;
            let mut kept = Vec::new();
            for cluster in Cluster::alive(rows)? {
                Step::cancel_all(rows, &cluster.id, "The process that ran the cluster ended")?;
                if cluster.state.is_alive() && cluster.request.instances.keep_job_flow_alive_when_no_steps {
                    kept.push(cluster.id);
                } else {
                    let reason = StateChangeReason::new("INTERNAL_ERROR", "The process that ran the cluster ended");
                    Cluster::set_state(rows, &cluster.id, ClusterState::TerminatedWithErrors, &reason)?;
                }
            }
            Ok::<_, rusqlite::Error>(kept)
        })?;
        for id in &kept {
            self.start_worker(id);
        }
        Ok(())
    }
}
