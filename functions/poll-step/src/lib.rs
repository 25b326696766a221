//! One look at a step, and at its cluster: a step does not always learn that its cluster has died.

use aws_sdk_emr::types::{Cluster, ClusterState, Step, StepState};
use lake::lambda::parse_event;
use lake::{Error, Lake, keys};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Event {
    cluster_id: String,
    step_id: String,
}

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Look {
    /// EMR's word: `PENDING`, `RUNNING`, `COMPLETED`, `CANCEL_PENDING`, `CANCELLED`, `FAILED` or `INTERRUPTED`. Of a step
    /// that waits on a cluster that has ended, `FAILED`.
    pub state: String,
    /// Why it ended without completing, and where its log is; else empty.
    pub reason: String,
    /// Where its log is, or will be.
    pub log: String,
}

/// Looks at the step `{"cluster_id", "step_id"}`.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; EMR's own error for a cluster or step that it does not know.
pub async fn handle(lake: &Lake, event: Value) -> Result<Look, Error> {
    let Event { cluster_id, step_id } = parse_event(event, r#"{"cluster_id": "j-...", "step_id": "s-..."}"#)?;
    let request = lake.emr.describe_step().cluster_id(&cluster_id).step_id(&step_id);
    let step = request.send().await.map_err(Error::aws(format!("looking at step {step_id}")))?;
    let step = step.step.ok_or_else(|| Error::Emr(format!("cluster {cluster_id} has no step {step_id}")))?;
    let request = lake.emr.describe_cluster().cluster_id(&cluster_id);
    let cluster = request.send().await.map_err(Error::aws(format!("looking at cluster {cluster_id}")))?;
    let cluster = cluster.cluster.ok_or_else(|| Error::Emr(format!("there is no cluster {cluster_id}")))?;
    let log = keys::uri(&lake.config.buckets.results, &keys::step_log(&cluster_id, &step_id));
    look(&step, &cluster, log)
}

fn look(step: &Step, cluster: &Cluster, log: String) -> Result<Look, Error> {
    let status = step.status();
    let state = status.and_then(|status| status.state());
    let state = state.ok_or_else(|| Error::Emr("EMR gives no state of the step".to_owned()))?;
    let failure = status.and_then(|status| status.failure_details());
    let log = failure.and_then(|failure| failure.log_file()).map_or(log, str::to_owned);

    let cluster_status = cluster.status();
    let cluster_state = cluster_status.and_then(|status| status.state());
    let cluster_ended = matches!(cluster_state, Some(ClusterState::Terminated | ClusterState::TerminatedWithErrors));
    let waiting = matches!(state, StepState::Pending | StepState::Running | StepState::CancelPending);
    if *state == StepState::Completed || (waiting && !cluster_ended) {
        return Ok(Look { state: state.as_str().to_owned(), reason: String::new(), log });
    }

    let of_step = [
        failure.and_then(|failure| failure.reason()),
        failure.and_then(|failure| failure.message()),
        status.and_then(|status| status.state_change_reason()?.message()),
    ];
    let of_step: Vec<&str> = of_step.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let mut reason = format!("the Spark step is {}", state.as_str());
    if !of_step.is_empty() {
        reason = format!("{reason}: {}", of_step.join(": "));
    }
    if let (true, Some(cluster_state)) = (cluster_ended, cluster_state) {
        let why =
            cluster_status.and_then(|status| status.state_change_reason()?.message()).unwrap_or("no reason given");
        reason = format!("{reason}; its cluster is {}: {why}", cluster_state.as_str());
    }
    let state = if waiting { StepState::Failed } else { state.clone() };
    Ok(Look { state: state.as_str().to_owned(), reason: format!("{reason}. Its log: {log}"), log })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_emr::types::{
        ClusterStateChangeReason, ClusterStatus, FailureDetails, StepStateChangeReason, StepStatus,
    };

    fn step(state: StepState, failure: Option<FailureDetails>, message: Option<&str>) -> Step {
        let reason = StepStateChangeReason::builder().set_message(message.map(str::to_owned)).build();
        let status = StepStatus::builder().state(state).set_failure_details(failure).state_change_reason(reason);
        Step::builder().status(status.build()).build()
    }

    fn cluster(state: ClusterState, message: &str) -> Cluster {
        let reason = ClusterStateChangeReason::builder().message(message).build();
        Cluster::builder().status(ClusterStatus::builder().state(state).state_change_reason(reason).build()).build()
    }

    fn told(step: Step, cluster: Cluster) -> (String, String) {
        let look = look(&step, &cluster, "s3://logs/x/".to_owned()).expect("a look");
        (look.state, look.reason)
    }

    #[test]
    fn what_goes_well_needs_no_reason() {
        for (state, on) in [
            (StepState::Pending, ClusterState::Starting),
            (StepState::Running, ClusterState::Running),
            (StepState::CancelPending, ClusterState::Terminating),
            (StepState::Completed, ClusterState::Terminated),
        ] {
            let expected = (state.as_str().to_owned(), String::new());
            assert_eq!(told(step(state, None, None), cluster(on, "all steps completed")), expected);
        }
    }

    #[test]
    fn a_failure_says_why_and_where_to_look() {
        let failure = FailureDetails::builder().reason("Unknown Error.").log_file("s3://logs/stderr.gz").build();
        assert_eq!(
            told(step(StepState::Failed, Some(failure), None), cluster(ClusterState::Terminating, "Step failure")),
            ("FAILED".to_owned(), "the Spark step is FAILED: Unknown Error.. Its log: s3://logs/stderr.gz".to_owned())
        );
        assert_eq!(
            told(step(StepState::Cancelled, None, Some("by hand")), cluster(ClusterState::Waiting, "")),
            ("CANCELLED".to_owned(), "the Spark step is CANCELLED: by hand. Its log: s3://logs/x/".to_owned())
        );
    }

    #[test]
    fn a_step_on_a_dead_cluster_has_failed() {
        let dead = cluster(ClusterState::TerminatedWithErrors, "the instance type is not supported");
        assert_eq!(
            told(step(StepState::Pending, None, None), dead),
            (
                "FAILED".to_owned(),
                "the Spark step is PENDING; its cluster is TERMINATED_WITH_ERRORS: the instance type is not supported. \
                 Its log: s3://logs/x/"
                    .to_owned()
            )
        );
    }
}
