//! Polls the Spark job of a run once: a step and its cluster, or a job run of EMR Serverless. EMR does not always update a step whose
//! cluster has terminated.
//!
//! The two descriptions are read one after the other, and the step may end in between. So a step counts as failed with its
//! cluster only if a second description, read after that of the cluster, still shows it as unfinished.

mod serverless;

use std::time::{Duration, SystemTime};

use aws_sdk_emr::types::{Cluster, ClusterState, ClusterStateChangeReasonCode, ClusterStatus, Step, StepState};
use chrono::{DateTime, Utc};
use lake::lambda::parse_event;
use lake::metrics::Metric;
use lake::{Error, Lake, backoff, cluster, invocation, job_run, keys, price};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Event {
    cluster_id: String,
    step_id: String,
}

/// The state of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolledStep {
    /// The cluster, or the application of EMR Serverless.
    pub cluster_id: String,
    /// The step on it, or the job run.
    pub step_id: String,
    /// EMR's state of a step: `PENDING`, `RUNNING`, `COMPLETED`, `CANCEL_PENDING`, `CANCELLED`, `FAILED` or `INTERRUPTED`. `FAILED` for
    /// an unfinished step on a terminated cluster. The states of a job run have these names too.
    pub state: String,
    /// Why it ended without completing, and where its log is; otherwise empty.
    pub reason: String,
    /// URI of its log, which may not exist yet.
    pub log: String,
    /// When to poll again. Serialized as `2020-04-01T10:00:00.250Z`.
    #[serde(serialize_with = "backoff::serialize_timestamp")]
    pub look_at: DateTime<Utc>,
}

/// Polls the step, or job run, `{"cluster_id", "step_id"}` once.
///
/// # Errors
/// [`Error::InvalidInput`] for an event of another form; EMR's error for an unknown cluster or step.
pub async fn handle(lake: &Lake, event: Value) -> Result<PolledStep, Error> {
    let Event { cluster_id, step_id } = parse_event(event, r#"{"cluster_id": "j-...", "step_id": "s-..."}"#)?;
    if job_run::is_application(&cluster_id) {
        return serverless::poll(lake, cluster_id, step_id).await;
    }
    let mut step = describe(lake, &cluster_id, &step_id).await?;
    if let Some(run) = step.name().and_then(cluster::run_of) {
        invocation::record_run(&run);
    }
    let cluster = cluster::describe(lake, &cluster_id).await?;
    if has_ended(&cluster) && state_of(&step).is_some_and(is_under_way) {
        step = describe(lake, &cluster_id, &step_id).await?;
    }
    let ours = keys::uri(&lake.config.buckets.results, keys::LOGS);
    let log = keys::step_log(cluster.log_uri().unwrap_or(&ours), &cluster_id, &step_id);
    let (state, reason, log) = evaluate(&step, &cluster, log)?;
    if !is_under_way(&state)
        && let Some(seconds) = seconds_of(&step)
    {
        // A cluster that the configuration names is there for all runs.
        let hour = if lake.config.emr.cluster_id.is_some() { None } else { price::cluster_hour(&lake.config.emr) };
        let cost = hour.map(|hour| (Metric::Cost, seconds / 3600.0 * hour));
        let values: Vec<_> = std::iter::once((Metric::StepSeconds, seconds)).chain(cost).collect();
        lake.measure(&values);
    }
    let look_at = backoff::timestamp_after(pause(&step, longest_pause(lake)));
    Ok(PolledStep { cluster_id, step_id, state: state.as_str().to_owned(), reason, log, look_at })
}

/// Describes a step.
async fn describe(lake: &Lake, cluster: &str, step: &str) -> Result<Step, Error> {
    let request = lake.emr.describe_step().cluster_id(cluster).step_id(step);
    let described = request.send().await.map_err(Error::aws(format!("looking at step {step}")))?;
    described.step.ok_or_else(|| Error::Emr(format!("cluster {cluster} has no step {step}")))
}

fn state_of(step: &Step) -> Option<&StepState> {
    step.status()?.state()
}

/// Whether a step in this state has not ended. Unknown states of later EMR versions count as not ended.
fn is_under_way(state: &StepState) -> bool {
    !matches!(state, StepState::Completed | StepState::Cancelled | StepState::Failed | StepState::Interrupted)
}

/// Returns the seconds from the creation of a step that has ended to its end. In a cluster of the run, they include its start.
fn seconds_of(step: &Step) -> Option<f64> {
    let timeline = step.status()?.timeline()?;
    let seconds = timeline.end_date_time()?.as_secs_f64() - timeline.creation_date_time()?.as_secs_f64();
    Some(seconds.max(0.0))
}

fn has_ended(cluster: &Cluster) -> bool {
    let state = cluster.status().and_then(|status| status.state());
    matches!(state, Some(ClusterState::Terminated | ClusterState::TerminatedWithErrors))
}

/// Whether a cluster terminated because all its steps were complete.
fn ended_after_its_steps(cluster: &Cluster) -> bool {
    let code = cluster.status().and_then(|status| status.state_change_reason()?.code());
    code == Some(&ClusterStateChangeReasonCode::AllStepsCompleted)
}

/// How long EMR may still describe a step as running after its cluster has terminated with all steps complete: descriptions
/// are eventually consistent.
const LAG: Duration = Duration::from_mins(10);

/// Whether a cluster terminated recently because all its steps were complete.
fn ended_just_now(cluster: &Cluster) -> bool {
    let ended = cluster.status().and_then(|status| status.timeline()?.end_date_time());
    let ended = ended.and_then(|ended| SystemTime::try_from(*ended).ok());
    // If this clock is behind EMR's, the end is in the future, which counts as recent.
    ended_after_its_steps(cluster) && ended.is_some_and(|ended| ended.elapsed().unwrap_or_default() < LAG)
}

/// Returns the delay before the next poll, by proportional backoff, at most `longest`. A step that waits for its cluster waits
/// for minutes, so its minimum delay is longer.
fn pause(step: &Step, longest: Duration) -> Duration {
    let timeline = step.status().and_then(|status| status.timeline());
    let began = timeline.and_then(|timeline| timeline.start_date_time());
    let created = timeline.and_then(|timeline| timeline.creation_date_time());
    let time = |time: &aws_sdk_emr::primitives::DateTime| SystemTime::try_from(*time).ok();
    pause_since(began.and_then(time), created.and_then(time), longest)
}

/// [`pause`] for work that began and was created at these times, as far as they are known.
fn pause_since(began: Option<SystemTime>, created: Option<SystemTime>, longest: Duration) -> Duration {
    let (since, shortest) = match began {
        Some(began) => (Some(began), cluster::MIN_POLL_DELAY),
        None => (created, MIN_DELAY_PENDING),
    };
    let passed = since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
    backoff::delay(passed, shortest, longest)
}

/// Returns the maximum delay between two polls.
fn longest_pause(lake: &Lake) -> Duration {
    Duration::from_secs(lake.config.emr.poll_seconds.get().into())
}

/// Minimum delay between polls of a step that has not started.
const MIN_DELAY_PENDING: Duration = Duration::from_secs(1);

/// Returns the state of a step, why it ended without completing, and the URI of its log.
fn evaluate(step: &Step, cluster: &Cluster, log: String) -> Result<(StepState, String, String), Error> {
    let status = step.status();
    let state = state_of(step).ok_or_else(|| Error::Emr("EMR returned no state of the step".to_owned()))?;
    let failure = status.and_then(|status| status.failure_details());
    let log = failure.and_then(|failure| failure.log_file()).map_or(log, str::to_owned);

    let under_way = is_under_way(state);
    let lost = under_way && has_ended(cluster) && !ended_just_now(cluster);
    if *state == StepState::Completed || (under_way && !lost) {
        return Ok((state.clone(), String::new(), log));
    }

    let details = [
        failure.and_then(|failure| failure.reason()),
        failure.and_then(|failure| failure.message()),
        status.and_then(|status| status.state_change_reason()?.message()),
    ];
    let details: Vec<&str> = details.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let mut reason = if lost {
        format!("the Spark step was still {} when its cluster had ended", state.as_str())
    } else {
        format!("the Spark step is {}", state.as_str())
    };
    if !details.is_empty() {
        reason = format!("{reason}: {}", details.join(": "));
    }
    // A cluster that terminated after its steps is not the reason for a failed step.
    if let Some(status) = cluster.status().filter(|_| lost || (has_ended(cluster) && !ended_after_its_steps(cluster))) {
        let cluster_state = status.state().map_or("", |state| state.as_str());
        reason = format!("{reason}; its cluster is {cluster_state}: {}", end_of_cluster(status));
    }
    let state = if lost { StepState::Failed } else { state.clone() };
    Ok((state, format!("{reason}. Its log: {log}"), log))
}

/// Returns EMR's reason for the termination of a cluster, with advice.
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
        _ if spot => {
            Some("EC2 reclaimed its Spot instances, or had none: name more emr.instance_types, or set emr.spot = false")
        }
        Some(ClusterStateChangeReasonCode::ValidationError) => {
            Some("EMR refused the request: correct the emr section of the configuration, and deploy it")
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
    use std::sync::{Arc, Mutex};

    use super::*;
    use aws_sdk_emr::types::{
        ClusterStateChangeReason, ClusterTimeline, ErrorDetail, FailureDetails, StepStateChangeReason, StepStatus,
        StepTimeline,
    };
    use serde_json::json;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    fn step(state: StepState, failure: Option<FailureDetails>, message: Option<&str>) -> Step {
        let reason = StepStateChangeReason::builder().set_message(message.map(str::to_owned)).build();
        let status = StepStatus::builder().state(state).set_failure_details(failure).state_change_reason(reason);
        Step::builder().status(status.build()).build()
    }

    fn cluster(state: ClusterState, message: &str) -> Cluster {
        let reason = ClusterStateChangeReason::builder().message(message).build();
        Cluster::builder().status(ClusterStatus::builder().state(state).state_change_reason(reason).build()).build()
    }

    fn state_and_reason(step: Step, cluster: Cluster) -> (String, String) {
        let (state, reason, _) = evaluate(&step, &cluster, "s3://logs/x/".to_owned()).expect("a look");
        (state.as_str().to_owned(), reason)
    }

    const MINUTE: Duration = Duration::from_mins(1);

    /// Returns the pause for a step that began, or was created, this long ago.
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
            (true, 0, cluster::MIN_POLL_DELAY),
            (true, 8, Duration::from_secs(1)),
            (true, 40_000, MINUTE),
            (false, 0, MIN_DELAY_PENDING),
            (false, 80, Duration::from_secs(10)),
            (false, 40_000, MINUTE),
        ] {
            let pause = pause_of(began, Duration::from_secs(seconds));
            assert!(pause.abs_diff(expected) < Duration::from_millis(500), "{began} {seconds}: {pause:?}");
        }
        assert_eq!(pause(&Step::builder().build(), MINUTE), MIN_DELAY_PENDING, "EMR says nothing of when");
    }

    #[test]
    fn the_history_of_an_execution_has_room_for_all_looks() {
        // A history has at most 25,000 events. A poll adds ten.
        let (mut looks, mut passed) = (0, Duration::ZERO);
        while passed < 12 * 60 * MINUTE {
            passed += backoff::delay(passed, cluster::MIN_POLL_DELAY, MINUTE);
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
            assert_eq!(state_and_reason(step(state, None, None), cluster(on, "all steps completed")), expected);
        }
    }

    #[test]
    fn a_failure_says_why_and_where_to_look() {
        let failure = FailureDetails::builder().reason("Unknown Error.").log_file("s3://logs/stderr.gz").build();
        assert_eq!(
            state_and_reason(
                step(StepState::Failed, Some(failure), None),
                cluster(ClusterState::Terminating, "Step failure")
            ),
            ("FAILED".to_owned(), "the Spark step is FAILED: Unknown Error.. Its log: s3://logs/stderr.gz".to_owned())
        );
        assert_eq!(
            state_and_reason(step(StepState::Cancelled, None, Some("by hand")), cluster(ClusterState::Waiting, "")),
            ("CANCELLED".to_owned(), "the Spark step is CANCELLED: by hand. Its log: s3://logs/x/".to_owned())
        );
    }

    #[test]
    fn a_step_on_a_dead_cluster_has_failed() {
        let dead = cluster(ClusterState::TerminatedWithErrors, "the instance type is not supported");
        assert_eq!(
            state_and_reason(step(StepState::Pending, None, None), dead),
            (
                "FAILED".to_owned(),
                "the Spark step was still PENDING when its cluster had ended; its cluster is TERMINATED_WITH_ERRORS: \
                 the instance type is not supported. Its log: s3://logs/x/"
                    .to_owned()
            )
        );
    }

    /// A cluster that ended so long ago because its steps had.
    fn ended_by_its_steps(ago: Duration) -> Cluster {
        let reason = ClusterStateChangeReason::builder().code(ClusterStateChangeReasonCode::AllStepsCompleted);
        let timeline = ClusterTimeline::builder().end_date_time((SystemTime::now() - ago).into()).build();
        let status = ClusterStatus::builder().state(ClusterState::Terminated).timeline(timeline);
        Cluster::builder().status(status.state_change_reason(reason.message("Steps completed").build()).build()).build()
    }

    #[test]
    fn every_pair_of_states_has_one_meaning() {
        use {ClusterState as On, StepState as Of};
        let later = || Of::from("UNHEARD_OF");
        let steps = || {
            let known = [Of::Pending, Of::Running, Of::CancelPending, Of::Completed, Of::Cancelled, Of::Failed];
            known.into_iter().chain([Of::Interrupted, later()])
        };
        assert_eq!(StepState::values().len() + 1, steps().count(), "all states of a step");
        let mut clusters: Vec<(&str, Cluster)> = ClusterState::values()
            .iter()
            .map(|state| (*state, cluster(On::from(*state), if state.starts_with("TERM") { "its end" } else { "" })))
            .collect();
        assert_eq!(clusters.len(), 7, "all states of a cluster");
        clusters.push(("ENDED_JUST_NOW", ended_by_its_steps(Duration::from_secs(1))));
        clusters.push(("ENDED_LONG_AGO", ended_by_its_steps(LAG + MINUTE)));
        for of in steps() {
            for (on, cluster) in &clusters {
                let pair = format!("{} on {on}", of.as_str());
                let (state, reason) = state_and_reason(step(of.clone(), None, None), cluster.clone());
                let under_way = matches!(of, Of::Pending | Of::Running | Of::CancelPending) || of == later();
                let dead = matches!(*on, "TERMINATED" | "TERMINATED_WITH_ERRORS" | "ENDED_LONG_AGO");
                let expected = if under_way && dead { "FAILED" } else { of.as_str() };
                assert_eq!(state, expected, "{pair}");

                let fine = state == "COMPLETED" || (under_way && !dead);
                assert_eq!(reason.is_empty(), fine, "{pair}: {reason}");
                if !fine {
                    // The reason has the state, ended or not, and names the cluster only if its end explains that of the step.
                    assert_eq!(reason.contains("the Spark step is "), !under_way, "{pair}: {reason}");
                    assert_eq!(reason.contains("the Spark step was still "), under_way, "{pair}: {reason}");
                    let by_cluster = dead && (under_way || *on != "ENDED_LONG_AGO");
                    assert_eq!(reason.contains("; its cluster is TERMINATED"), by_cluster, "{pair}: {reason}");
                    assert!(reason.contains(of.as_str()), "{pair}: {reason}");
                }
            }
        }
    }

    /// A fake EMR. The n-th `DescribeStep` returns the n-th of `steps`, later ones the last of them. Returns its URL and the
    /// operations that were called.
    async fn emr(steps: &'static [&'static str], cluster: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let operations = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&operations);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let mut stream = BufReader::new(stream);
                let (mut operation, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.expect("a line");
                    let line = line.trim_end().to_ascii_lowercase();
                    if let Some(target) = line.strip_prefix("x-amz-target: elasticmapreduce.") {
                        target.clone_into(&mut operation);
                    } else if let Some(bytes) = line.strip_prefix("content-length: ") {
                        length = bytes.parse().expect("a number");
                    } else if line.is_empty() {
                        break;
                    }
                }
                stream.read_exact(&mut vec![0; length]).await.expect("a body");
                let body = {
                    let mut operations = kept.lock().expect("nobody panics with it");
                    let before = operations.iter().filter(|other| **other == operation).count();
                    operations.push(operation.clone());
                    match operation.as_str() {
                        "describestep" => {
                            let state = steps[before.min(steps.len() - 1)];
                            json!({ "Step": { "Id": "s-1", "Status": { "State": state } } })
                        }
                        "describecluster" => {
                            let why = json!({ "Code": "STEP_FAILURE", "Message": "Shut down" });
                            json!({ "Cluster": { "Id": "j-1", "Status": { "State": cluster, "StateChangeReason": why } } })
                        }
                        other => panic!("{other} is not expected"),
                    }
                };
                let body = body.to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("an answer");
                stream.shutdown().await.expect("an end");
            }
        });
        (url, operations)
    }

    #[tokio::test]
    async fn a_step_may_end_while_its_cluster_is_asked_for() {
        for (steps, cluster, expected, looks) in [
            (&["RUNNING", "COMPLETED"][..], "TERMINATED", "COMPLETED", 2),
            (&["RUNNING", "COMPLETED"], "TERMINATED_WITH_ERRORS", "COMPLETED", 2),
            (&["PENDING", "CANCELLED"], "TERMINATED", "CANCELLED", 2),
            (&["CANCEL_PENDING", "INTERRUPTED"], "TERMINATED", "INTERRUPTED", 2),
            (&["RUNNING", "FAILED"], "TERMINATED_WITH_ERRORS", "FAILED", 2),
            // EMR never updates the step after the end of its cluster.
            (&["RUNNING"], "TERMINATED_WITH_ERRORS", "FAILED", 2),
            // No second description is needed.
            (&["RUNNING", "COMPLETED"], "RUNNING", "RUNNING", 1),
            (&["RUNNING", "COMPLETED"], "TERMINATING", "RUNNING", 1),
            (&["COMPLETED"], "TERMINATED", "COMPLETED", 1),
            (&["FAILED"], "TERMINATED", "FAILED", 1),
        ] {
            let (url, operations) = emr(steps, cluster).await;
            let lake = Lake::at_endpoint(lake::Config::default(), &url);
            let look = handle(&lake, json!({ "cluster_id": "j-1", "step_id": "s-1" })).await.expect("a look");
            let what = format!("{steps:?} on {cluster}: {look:?}");
            assert_eq!(look.state, expected, "{what}");
            assert_eq!(look.reason.is_empty(), matches!(expected, "COMPLETED" | "RUNNING"), "{what}");
            let operations = operations.lock().expect("nobody panics with it");
            assert_eq!(operations.iter().filter(|operation| *operation == "describestep").count(), looks, "{what}");
        }
    }
}
