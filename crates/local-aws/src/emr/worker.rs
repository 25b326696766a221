//! What moves a cluster through its states: one task per living cluster, which takes its steps in turn.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::clusters::{Cluster, ClusterState, Reason};
use super::steps::{ActionOnFailure, FailureDetails, Step, StepState};
use super::{Emr, Worker, spark_step};
use crate::aws_json::AwsError;
use crate::faults::{Called, Service};

/// Why a cluster ends of which a step failed.
const STEP_FAILURE: &str = "STEP_FAILURE";

/// What the queue of a cluster says is to be done.
enum Next {
    Run(Box<Step>),
    /// Nothing to do, and the cluster stays; for this long, if it has a limit.
    Wait(Option<Duration>),
    /// The cluster ends in this way.
    End(ClusterState, Reason),
}

impl Emr {
    /// Begins to work for a cluster.
    pub(super) fn start_worker(&self, id: &str) {
        let awake = Arc::new(Notify::new());
        let (emr, cluster, woken) = (self.clone(), id.to_owned(), Arc::clone(&awake));
        // Under the lock, so that a worker that is done at once is not entered after it left.
        self.workers.with(|workers| {
            let task = tokio::spawn(async move {
                if let Err(error) = emr.work(&cluster, &woken).await {
                    emr.state.give_up("the state of a cluster", error.message());
                }
                emr.workers.with(|workers| workers.remove(&cluster));
            });
            workers.insert(id.to_owned(), Worker { awake, task: task.abort_handle() });
        });
    }

    /// Tells a cluster's worker that something was added or taken.
    pub(super) fn wake(&self, id: &str) {
        self.workers.with(|workers| {
            if let Some(worker) = workers.get(id) {
                worker.awake.notify_one();
            }
        });
    }

    async fn work(&self, id: &str, awake: &Notify) -> Result<(), AwsError> {
        self.enter(id, ClusterState::Bootstrapping)?;
        self.enter(id, ClusterState::Running)?;
        loop {
            match self.next(id)? {
                Next::Run(step) => self.run(*step).await?,
                Next::Wait(None) => awake.notified().await,
                Next::Wait(Some(idle)) => {
                    if tokio::time::timeout(idle, awake.notified()).await.is_err() {
                        self.end_if_idle(id)?;
                    }
                }
                Next::End(state, reason) => {
                    self.state.write(|rows| Cluster::set_state(rows, id, state, &reason))?;
                    return Ok(());
                }
            }
        }
    }

    /// The next state of a cluster that nobody is ending.
    fn enter(&self, id: &str, state: ClusterState) -> Result<(), AwsError> {
        self.state.write(|rows| {
            if Cluster::find(rows, id)?.state.is_alive() {
                Cluster::set_state(rows, id, state, &Reason::default())?;
            }
            Ok(())
        })
    }

    fn next(&self, id: &str) -> Result<Next, AwsError> {
        self.state.write(|rows| {
            let cluster = Cluster::find(rows, id)?;
            if !cluster.state.is_alive() {
                let failed = cluster.reason.code.as_deref() == Some(STEP_FAILURE);
                let end = if failed { ClusterState::TerminatedWithErrors } else { ClusterState::Terminated };
                return Ok(Next::End(end, cluster.reason));
            }
            if let Some(step) = Step::start_next(rows, id)? {
                Cluster::set_state(rows, id, ClusterState::Running, &Reason::new("", "Running step"))?;
                return Ok(Next::Run(Box::new(step)));
            }
            if !cluster.request.instances.keep_job_flow_alive_when_no_steps {
                return Ok(Next::End(ClusterState::Terminated, Reason::new("ALL_STEPS_COMPLETED", "Steps completed")));
            }
            let waiting = Reason::new("", "Cluster ready to run steps.");
            Cluster::set_state(rows, id, ClusterState::Waiting, &waiting)?;
            let policy = cluster.request.auto_termination_policy;
            Ok(Next::Wait(policy.and_then(|policy| policy.idle_timeout).map(Duration::from_secs)))
        })
    }

    fn end_if_idle(&self, id: &str) -> Result<(), AwsError> {
        self.state.write(|rows| {
            // A step may have been added in the instant between the timeout and this transaction.
            if Cluster::find(rows, id)?.state == ClusterState::Waiting && !Step::has_pending(rows, id)? {
                let reason = Reason::new("USER_REQUEST", "Auto-terminated after the idle timeout");
                Cluster::set_state(rows, id, ClusterState::Terminating, &reason)?;
            }
            Ok(())
        })
    }

    async fn run(&self, step: Step) -> Result<(), AwsError> {
        let (emr, running) = (self.clone(), step.clone());
        let called = Called::new(Service::Spark, "RunStep", "");
        let work = async move { spawn_blocking(move || spark_step::run(&emr, &running)).await };
        let failure = match self.faults.face(&called, work).await.whole() {
            Ok(Ok(Ok(()))) => return self.end_step(&step, None),
            Ok(Ok(Err(failure))) => failure,
            Err(refusal) => FailureDetails {
                reason: "The step was lost.".to_owned(),
                message: format!("{refusal:?}, as the fault plan of this endpoint has it"),
                log_file: None,
            },
            Ok(Err(panic)) => FailureDetails {
                reason: "The engine panicked.".to_owned(),
                message: format!("{panic}; this is a bug, please report it"),
                log_file: None,
            },
        };
        self.end_step(&step, Some(&failure))
    }

    fn end_step(&self, step: &Step, failure: Option<&FailureDetails>) -> Result<(), AwsError> {
        Ok(self.state.write(|rows| {
            let state = if failure.is_some() { StepState::Failed } else { StepState::Completed };
            let ended_now = Step::end(rows, &step.id, state, &Reason::default(), failure)?;
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
                    let reason = Reason::new(STEP_FAILURE, "Shut down as step failed");
                    Cluster::set_state(rows, &step.cluster, ClusterState::Terminating, &reason)
                }
            }
        })?)
    }

    /// Settles what a dead process left: its steps failed; a cluster that was kept alive waits again, another ends.
    pub(super) fn resume(&self) -> rusqlite::Result<()> {
        let kept = self.state.write(|rows| {
            Step::fail_lost(rows)?;
            let mut kept = Vec::new();
            for cluster in Cluster::alive(rows)? {
                Step::cancel_all(rows, &cluster.id, "The process that ran the cluster ended")?;
                if cluster.state.is_alive() && cluster.request.instances.keep_job_flow_alive_when_no_steps {
                    kept.push(cluster.id);
                } else {
                    let reason = Reason::new("INTERNAL_ERROR", "The process that ran the cluster ended");
                    Cluster::set_state(rows, &cluster.id, ClusterState::TerminatedWithErrors, &reason)?;
                }
            }
            Ok::<_, rusqlite::Error>(kept)
        })?;
        kept.iter().for_each(|id| self.start_worker(id));
        Ok(())
    }
}
