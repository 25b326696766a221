//! One look at a step, and at its cluster: a step does not always learn that its cluster has died.

use std::time::{Duration, SystemTime};

use aws_sdk_emr::types::{Cluster, ClusterState, ClusterStateChangeReasonCode, ClusterStatus, Step, StepState};
use lake::lambda::parse_event;
use lake::{Error, Lake, cluster, keys, polling};
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
    /// The cluster.
    pub cluster_id: String,
    /// The step on it.
    pub step_id: String,
    /// EMR's word: `PENDING`, `RUNNING`, `COMPLETED`, `CANCEL_PENDING`, `CANCELLED`, `FAILED` or `INTERRUPTED`. Of a step
    /// that waits on a cluster that has ended, `FAILED`.
    pub state: String,
    /// Why it ended without completing, and where its log is; else empty.
    pub reason: String,
    /// Where its log is, or will be.
    pub log: String,
    /// When to look again: `2020-04-01T10:00:00.250Z`.
    pub look_at: String,
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
    let cluster = cluster::describe(lake, &cluster_id).await?;
    let ours = keys::uri(&lake.config.buckets.results, keys::LOGS);
    let log = keys::step_log(cluster.log_uri().unwrap_or(&ours), &cluster_id, &step_id);
    let (state, reason, log) = look(&step, &cluster, log)?;
    let longest = Duration::from_secs(lake.config.emr.poll_seconds.get().into());
    let look_at = polling::moment_after(pause(&step, longest));
    Ok(Look { cluster_id, step_id, state: state.as_str().to_owned(), reason, log, look_at })
}

/// How long to wait before the next look: short for what began a moment ago, and never more than `longest`. A step that
/// waits for its cluster waits for minutes, and nobody asks EMR ten times a second about that.
fn pause(step: &Step, longest: Duration) -> Duration {
    let timeline = step.status().and_then(|status| status.timeline());
    let began = timeline.and_then(|timeline| timeline.start_date_time());
    let created = timeline.and_then(|timeline| timeline.creation_date_time());
    let (since, shortest) = match began {
        Some(began) => (Some(began), cluster::SHORTEST_LOOK),
        None => (created, LOOKS_AT_WAITING),
    };
    let since = since.and_then(|since| SystemTime::try_from(*since).ok());
    let passed = since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
    polling::pause(passed, shortest, longest)
}

/// The shortest time between looks at a step that has not begun.
const LOOKS_AT_WAITING: Duration = Duration::from_secs(1);

/// The state of a step, why it ended without completing, and where its log is.
fn look(step: &Step, cluster: &Cluster, log: String) -> Result<(StepState, String, String), Error> {
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
        return Ok((state.clone(), String::new(), log));
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
    if let (Some(status), Some(cluster_state)) = (cluster_status.filter(|_| cluster_ended), cluster_state) {
        reason = format!("{reason}; its cluster is {}: {}", cluster_state.as_str(), end_of_cluster(status));
    }
    let state = if waiting { StepState::Failed } else { state.clone() };
    Ok((state, format!("{reason}. Its log: {log}"), log))
}

/// Why a cluster ended, in EMR's words, and what can be done about it.
fn end_of_cluster(status: &ClusterStatus) -> String {
    let change = status.state_change_reason();
    let message = change.and_then(|change| change.message()).filter(|message| !message.is_empty());
    let details = status.error_details().iter().filter_map(|detail| {
        let texts = [detail.error_code(), detail.error_message()];
        let texts: Vec<&str> = texts.into_iter().flatten().collect();
        (!texts.is_empty()).then(|| texts.join(": "))
    });
    let mut reasons: Vec<String> = message.map(str::to_owned).into_iter().chain(details).collect();
    if reasons.is_empty() {
        reasons.push("no reason given".to_owned());
    }
    let spot = reasons.iter().any(|reason| reason.to_lowercase().contains("spot"));
    let advice = match change.and_then(|change| change.code()) {
        _ if spot => Some(
            "its Spot instances were taken away or never came: name more emr.instance_types, or set emr.spot = false",
        ),
        Some(ClusterStateChangeReasonCode::ValidationError) => {
            Some("EMR refused what it was asked for: see to the emr section of the configuration, and deploy it")
        }
        Some(ClusterStateChangeReasonCode::InstanceFailure | ClusterStateChangeReasonCode::InstanceFleetTimeout) => {
            Some("EC2 had no such instances or lost them: name more emr.instance_types")
        }
        Some(ClusterStateChangeReasonCode::UserRequest) => Some("somebody ended it, or it was idle for too long"),
        _ => None,
    };
    let reasons = reasons.join("; ");
    advice.map_or(reasons.clone(), |advice| format!("{reasons} ({advice})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_emr::types::{
        ClusterStateChangeReason, ErrorDetail, FailureDetails, StepStateChangeReason, StepStatus, StepTimeline,
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
        let (state, reason, _) = look(&step, &cluster, "s3://logs/x/".to_owned()).expect("a look");
        (state.as_str().to_owned(), reason)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// Of a step that began, or was created, so long ago.
    fn pause_of(began: bool, ago: Duration) -> Duration {
        let since = Some((SystemTime::now() - ago).into());
        let timeline = StepTimeline::builder();
        let timeline = if began { timeline.set_start_date_time(since) } else { timeline.set_creation_date_time(since) };
        let status = StepStatus::builder().timeline(timeline.build()).build();
        pause(&Step::builder().status(status).build(), MINUTE)
    }

    #[test]
    fn looks_come_fast_at_first() {
        for (began, seconds, expected) in [
            (true, 0, cluster::SHORTEST_LOOK),
            (true, 8, Duration::from_secs(1)),
            (true, 40_000, MINUTE),
            (false, 0, LOOKS_AT_WAITING),
            (false, 80, Duration::from_secs(10)),
            (false, 40_000, MINUTE),
        ] {
            let pause = pause_of(began, Duration::from_secs(seconds));
            assert!(pause.abs_diff(expected) < Duration::from_millis(500), "{began} {seconds}: {pause:?}");
        }
        assert_eq!(pause(&Step::builder().build(), MINUTE), LOOKS_AT_WAITING, "EMR says nothing of when");
    }

    #[test]
    fn the_history_of_an_execution_has_room_for_all_looks() {
        // For 25,000 events, and a look takes ten.
        let (mut looks, mut passed) = (0, Duration::ZERO);
        while passed < 12 * 60 * MINUTE {
            passed += polling::pause(passed, cluster::SHORTEST_LOOK, MINUTE);
            looks += 1;
        }
        assert!(looks < 1_000, "{looks}");
    }

    #[test]
    fn the_end_of_a_cluster_says_what_can_be_done() {
        let ended = |code, message: &str, details: &[(&str, &str)]| {
            let change = ClusterStateChangeReason::builder().code(code).message(message).build();
            let details =
                details.iter().map(|(code, text)| ErrorDetail::builder().error_code(*code).error_message(*text));
            let details = details.map(|detail| detail.build()).collect();
            end_of_cluster(
                &ClusterStatus::builder().state_change_reason(change).set_error_details(Some(details)).build(),
            )
        };
        use ClusterStateChangeReasonCode as Code;
        let spot = ended(Code::InstanceFailure, "Master - 1: Spot instance was terminated", &[]);
        assert!(spot.starts_with("Master - 1: Spot") && spot.contains("emr.spot = false"), "{spot}");
        let refused = ended(
            Code::ValidationError,
            "",
            &[("INVALID_SSH_KEY_NOT_FOUND", "The key pair does not exist"), ("INTERNAL", "")],
        );
        assert!(refused.starts_with("INVALID_SSH_KEY_NOT_FOUND: The key pair does not exist; INTERNAL"), "{refused}");
        assert!(refused.contains("emr section"), "{refused}");
        assert!(ended(Code::UserRequest, "Terminated by user request", &[]).contains("somebody ended it"));
        assert_eq!(ended(Code::StepFailure, "Steps completed with errors", &[]), "Steps completed with errors");
        assert_eq!(end_of_cluster(&ClusterStatus::builder().build()), "no reason given");
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
