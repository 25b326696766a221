//! A job run of EMR Serverless.

use std::time::SystemTime;

use aws_sdk_emrserverless::primitives::DateTime;
use aws_sdk_emrserverless::types::{JobRun, JobRunState};
use lake::metrics::Metric;
use lake::{Error, Lake, backoff, cluster, invocation, job_run, keys, price};

use crate::{PolledStep, longest_pause, pause_since};

/// Polls a job run once.
pub(crate) async fn poll(lake: &Lake, application: String, id: String) -> Result<PolledStep, Error> {
    let job = job_run::describe(lake, &application, &id).await?;
    if let Some(run) = job.name().and_then(cluster::run_of) {
        invocation::record_run(&run);
    }
    if let (Some(seconds), true) = (seconds_of(&job), job.ended_at().is_some()) {
        let cost = cost_of(&job).map(|cost| (Metric::Cost, cost));
        let values: Vec<_> = std::iter::once((Metric::StepSeconds, seconds)).chain(cost).collect();
        lake.measure(&values);
    }
    let logs = keys::uri(&lake.config.buckets.results, keys::LOGS);
    let log = keys::job_run_log(&logs, &application, &id);
    let (state, reason) = evaluate(&job, &log);
    let time = |time: &DateTime| SystemTime::try_from(*time).ok();
    let pause = pause_since(job.started_at().and_then(time), time(job.created_at()), longest_pause(lake));
    let look_at = backoff::timestamp_after(pause);
    Ok(PolledStep { cluster_id: application, step_id: id, state, reason, log, look_at })
}

/// Returns the state of a step that corresponds to that of the job run, and why it ended without success.
fn evaluate(job: &JobRun, log: &str) -> (String, String) {
    let state = match job.state() {
        JobRunState::Submitted | JobRunState::Pending | JobRunState::Queued | JobRunState::Scheduled => "PENDING",
        JobRunState::Cancelling => "CANCEL_PENDING",
        JobRunState::Success => "COMPLETED",
        // RUNNING, FAILED and CANCELLED. An unknown state of a later version counts as not ended.
        state => state.as_str(),
    };
    let reason = match job.state() {
        JobRunState::Failed | JobRunState::Cancelled => {
            let details = job.state_details().trim_end_matches('.');
            let details = if details.is_empty() { String::new() } else { format!(": {details}") };
            format!("the Spark job is {state}{details}. Its log: {log}")
        }
        _ => String::new(),
    };
    (state.to_owned(), reason)
}

/// Returns the seconds from the creation of a job run to its end, or to its last change.
fn seconds_of(job: &JobRun) -> Option<f64> {
    let end = job.ended_at()?;
    Some((end.as_secs_f64() - job.created_at().as_secs_f64()).max(0.0))
}

/// Returns the cost in USD of what EMR Serverless bills. It is known some time after the end.
fn cost_of(job: &JobRun) -> Option<f64> {
    let billed = job.billed_resource_utilization()?;
    Some(price::job_run(billed.v_cpu_hour()?, billed.memory_gb_hour()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobRunState, details: &str) -> JobRun {
        let time = DateTime::from_secs(1_600_000_000);
        JobRun::builder()
            .application_id("00f1r05p2u2tlj09")
            .job_run_id("00f1r2j5jhsqc80b")
            .arn("arn")
            .created_by("role")
            .created_at(time)
            .updated_at(time)
            .execution_role("role")
            .release_label("emr-7.13.0")
            .state(state)
            .state_details(details)
            .build()
            .expect("all fields")
    }

    #[test]
    fn the_states_of_a_job_run_are_those_of_a_step() {
        for (state, expected) in [
            (JobRunState::Submitted, "PENDING"),
            (JobRunState::Queued, "PENDING"),
            (JobRunState::Pending, "PENDING"),
            (JobRunState::Scheduled, "PENDING"),
            (JobRunState::Running, "RUNNING"),
            (JobRunState::Success, "COMPLETED"),
            (JobRunState::Cancelling, "CANCEL_PENDING"),
            (JobRunState::from("NEW"), "NEW"),
        ] {
            assert_eq!(evaluate(&job(state, ""), "s3://log"), (expected.to_owned(), String::new()));
        }
    }

    #[test]
    fn a_failure_says_why_and_where_to_look() {
        let failed = evaluate(&job(JobRunState::Failed, "Job failed, please check complete logs."), "s3://log");
        let expected = "the Spark job is FAILED: Job failed, please check complete logs. Its log: s3://log";
        assert_eq!(failed, ("FAILED".to_owned(), expected.to_owned()));
        let cancelled = evaluate(&job(JobRunState::Cancelled, ""), "s3://log");
        assert_eq!(cancelled.1, "the Spark job is CANCELLED. Its log: s3://log");
    }
}
