//! Operations on job runs, and the tasks that run them.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use tracing::{Instrument as _, debug_span};

use super::job_run::{JobRun, JobRunState};
use super::query::Query;
use super::request::StartJobRun;
use super::{APPLICATION, EmrServerless, conflict, not_found, validation};
use crate::aws_json::{AwsError, AwsResult};
use crate::s3_uri::S3Uri;
use crate::spark::{SparkError, SparkFailure, SparkJob, SparkTask};

/// The job run that a task runs.
struct RunningJob {
    service: EmrServerless,
    job_run: JobRun,
}

impl SparkTask for RunningJob {
    const OPERATION: &'static str = "RunJob";

    fn name(&self) -> &str {
        self.job_run.request.name.as_deref().unwrap_or_default()
    }

    fn id(&self) -> &str {
        &self.job_run.id
    }

    fn job(&self) -> Result<SparkJob, SparkError> {
        let submit = &self.job_run.request.job_driver.spark_submit;
        let parameters = submit.spark_submit_parameters.as_deref().unwrap_or_default();
        SparkJob::from_job_run(&submit.entry_point, &submit.entry_point_arguments, parameters)
    }

    fn is_running(&self) -> rusqlite::Result<bool> {
        JobRun::is_running(&self.service.state.lock(), &self.job_run.id)
    }

    fn log(&self) -> Option<S3Uri> {
        let logs = self.job_run.request.logs().unwrap_or_else(|| self.service.logs.clone());
        S3Uri::parse(&lake::keys::job_run_log(&logs.to_string(), APPLICATION, &self.job_run.id)).ok()
    }
}

impl EmrServerless {
    pub(super) fn start_job_run(&self, start: StartJobRun) -> AwsResult {
        start.check()?;
        let StartJobRun { client_token: token, request, .. } = start;
        let (job_run, is_new) = self.state.write(|rows| match JobRun::find_by_token(rows, &token)? {
            Some(known) if known.request == request => Ok((known, false)),
            Some(known) => Err(conflict(format!(
                "The clientToken {token} was used for the job run {} with other parameters: choose another one",
                known.id
            ))),
            None => {
                let job_run = JobRun::new(request);
                job_run.insert(rows, &token)?;
                Ok((job_run, true))
            }
        })?;
        let output = json!({ "applicationId": APPLICATION, "jobRunId": job_run.id, "arn": job_run.arn() });
        if is_new {
            self.spawn(job_run);
        }
        Ok(output)
    }

    pub(super) fn get_job_run(&self, id: &str, query: &Query) -> AwsResult {
        let job_run = JobRun::find(&self.state.lock(), id)?;
        if let Some(attempt) = query.get("attempt").filter(|attempt| *attempt != "1") {
            return Err(not_found(format!("JobRun {id} has one attempt, and no attempt {attempt}")));
        }
        Ok(json!({ "jobRun": job_run.description(&self.release) }))
    }

    pub(super) fn list_job_runs(&self, query: &Query) -> AwsResult {
        let page = query.page()?;
        let states: Vec<JobRunState> = query.parsed("states", "state of a job run")?;
        let (after, before) = (query.time("createdAtAfter")?, query.time("createdAtBefore")?);
        let has_mode = match query.get("mode") {
            None | Some("BATCH") => true,
            Some("STREAMING") => false,
            Some(mode) => return Err(validation(format!("'{mode}' is no mode of a job run: BATCH or STREAMING"))),
        };
        let is_listed = |job_run: &JobRun| {
            has_mode
                && (states.is_empty() || states.contains(&job_run.state))
                && after.is_none_or(|instant| job_run.created >= instant)
                && before.is_none_or(|instant| job_run.created <= instant)
        };
        let rows = self.state.lock();
        let sql = format!(
            "SELECT {}, number FROM emr_job_runs WHERE number < coalesce(?1, 9223372036854775807) ORDER BY number DESC",
            JobRun::COLUMNS
        );
        let mut statement = rows.prepare(&sql)?;
        let found = statement.query_map([page.after()], |row| Ok((row.get("number")?, JobRun::from_row(row)?)))?;
        let listed = found.filter(|row| row.as_ref().map_or(true, |(_, job_run)| is_listed(job_run)));
        let summaries = listed
            .take(page.query_limit() as usize)
            .map(|row| row.map(|(number, job_run)| (number, job_run.summary(&self.release))));
        let summaries = summaries.collect::<Result<_, _>>()?;
        Ok(page.into_output("jobRuns", "nextToken", summaries))
    }

    pub(super) fn cancel_job_run(&self, id: &str) -> AwsResult {
        self.state.write(|rows| {
            let state = JobRun::find(rows, id)?.state;
            if state.has_ended() {
                return Err(validation(format!(
                    "Job run {id} is not in a cancellable state: it has ended, as {}",
                    state.name()
                )));
            }
            // Its task polls whether it is to be cancelled, and ends it. What it wrote until then is discarded.
            JobRun::set_state(rows, id, JobRunState::Cancelling, "Cancelled by user request")?;
            Ok(())
        })?;
        Ok(json!({ "applicationId": APPLICATION, "jobRunId": id }))
    }

    /// Starts the task of a job run.
    fn spawn(&self, job_run: JobRun) {
        let span = debug_span!("job_run", id = job_run.id, name = job_run.request.name, application = APPLICATION);
        let limit = Duration::from_mins(job_run.request.execution_timeout_minutes);
        let service = self.clone();
        let run = async move {
            let task = Arc::new(RunningJob { service, job_run });
            if let Err(error) = run(&task, limit).await {
                task.service.state.report_failure("the state of a job run", error.message());
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Drops the finished ones, so that the set stays small.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(run.instrument(span));
    }
}

/// Runs a job run to its end. It is cancelled when it runs for longer than `limit`.
async fn run(task: &Arc<RunningJob>, limit: Duration) -> Result<(), AwsError> {
    let (state, id) = (&task.service.state, &task.job_run.id);
    let mut is_running = true;
    for next in [JobRunState::Pending, JobRunState::Scheduled, JobRunState::Running] {
        is_running = is_running && state.write(|rows| JobRun::set_state(rows, id, next, ""))?;
    }
    let result = if is_running { run_within(task, limit).await? } else { Ok(()) };
    let failure = result.err().map(|SparkFailure { reason, message, .. }| format!("{reason} {message}"));
    Ok(state.write(|rows| JobRun::end(rows, id, failure.as_deref()))?)
}

async fn run_within(task: &Arc<RunningJob>, limit: Duration) -> Result<Result<(), SparkFailure>, AwsError> {
    let mut running = std::pin::pin!(task.service.spark.run(task));
    tokio::select! {
        result = running.as_mut() => return Ok(result),
        () = sleep(limit) => {}
    }
    let minutes = task.job_run.request.execution_timeout_minutes;
    let why = format!("It ran for longer than its executionTimeoutMinutes, {minutes}");
    task.service.state.write(|rows| JobRun::set_state(rows, &task.job_run.id, JobRunState::Cancelling, &why))?;
    Ok(running.await)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::emr_serverless::SCHEMA;
    use crate::faults::Faults;
    use crate::home::Home;
    use crate::identity::role_arn;
    use crate::s3::{self, Attributes, ObjectStore, Staged, WriteCondition};
    use crate::spark::{Spark, SparkEngine, SparkSql};
    use crate::state::State;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_run_that_takes_too_long_is_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("spark-sql");
        fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let home = Arc::new(Home::own(&folder.path().join("home")).unwrap());
        let state = Arc::new(State::open(&home.state(), &[s3::SCHEMA, SCHEMA]).unwrap());
        let store = Arc::new(ObjectStore::open(&home, Arc::clone(&state)).unwrap());
        home.clear_temporary().unwrap();
        store.ensure_bucket("b").unwrap();
        for key in ["run_sql.py", "etl.sql"] {
            let path = store.temporary_path().unwrap();
            fs::write(&path, "text").unwrap();
            let staged = Staged::from_file(key, path, Attributes::default()).unwrap();
            store.put("b", staged, &WriteCondition::default()).unwrap();
        }
        let spark = Spark::new(SparkEngine::SparkSql(SparkSql::new(program)), store, Faults::default());
        let logs = S3Uri::parse("s3://b/logs").unwrap();
        let service = EmrServerless::open(Arc::clone(&state), spark, logs, "emr-7.13.0").unwrap();
        let request = json!({
            "executionRoleArn": role_arn(),
            "executionTimeoutMinutes": 5,
            "jobDriver": { "sparkSubmit": {
                "entryPoint": "s3://b/run_sql.py",
                "entryPointArguments":
                    ["s3://b/etl.sql", "from=2020-04-01", "to=2020-04-01", "days=2020-04-01", "run=r1", "raw=s3://b", "lake=s3://b"],
            } },
        });
        let job_run = JobRun::new(serde_json::from_value(request).unwrap());
        job_run.insert(&state.lock(), "token").unwrap();
        let task = Arc::new(RunningJob { service, job_run });
        run(&task, Duration::from_millis(100)).await.unwrap();
        let ended = JobRun::find(&state.lock(), &task.job_run.id).unwrap();
        assert_eq!(ended.state, JobRunState::Cancelled);
        let description = ended.description("emr-7.13.0");
        assert_eq!(description["stateDetails"], "It ran for longer than its executionTimeoutMinutes, 5");
        assert!(description["startedAt"].as_f64() < description["endedAt"].as_f64(), "{description}");
    }
}
