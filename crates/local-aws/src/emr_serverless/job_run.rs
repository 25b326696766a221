//! Job runs, as rows of the state.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr};

use super::request::JobRunRequest;
use super::{APPLICATION, application_arn, not_found};
use crate::aws_json::AwsError;
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::role_arn;
use crate::state::{json, to_json};

pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS emr_job_runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    details TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    request TEXT NOT NULL
) STRICT;
";

/// The service's states of a job run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum JobRunState {
    Submitted,
    Pending,
    /// No job run has this state here: the application has no maximum number of concurrent job runs.
    Queued,
    Scheduled,
    Running,
    Success,
    Failed,
    Cancelling,
    Cancelled,
}

impl JobRunState {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    pub(super) fn has_ended(self) -> bool {
        matches!(self, JobRunState::Success | JobRunState::Failed | JobRunState::Cancelled)
    }
}

/// A row of the state: a job run.
#[derive(Debug, Clone)]
pub(super) struct JobRun {
    pub(super) id: String,
    pub(super) state: JobRunState,
    /// Why it is in its state.
    details: String,
    pub(super) created: i64,
    updated: i64,
    started: Option<i64>,
    ended: Option<i64>,
    pub(super) request: JobRunRequest,
}

impl JobRun {
    pub(super) const COLUMNS: &str = "id, state, details, created, updated, started, ended, request";

    pub(super) fn new(request: JobRunRequest) -> JobRun {
        let created = now_millis();
        JobRun {
            id: new_id(),
            state: JobRunState::Submitted,
            details: String::new(),
            created,
            updated: created,
            started: None,
            ended: None,
            request,
        }
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<JobRun> {
        let state: String = row.get(1)?;
        Ok(JobRun {
            id: row.get(0)?,
            state: state.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
            details: row.get(2)?,
            created: row.get(3)?,
            updated: row.get(4)?,
            started: row.get(5)?,
            ended: row.get(6)?,
            request: json(row, 7)?,
        })
    }

    /// Inserts the job run that was started with this token.
    pub(super) fn insert(&self, rows: &Connection, token: &str) -> rusqlite::Result<()> {
        rows.execute(
            "INSERT INTO emr_job_runs (id, token, state, details, created, updated, request)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                self.id,
                token,
                self.state.name(),
                self.details,
                self.created,
                self.updated,
                to_json(&self.request)?
            ],
        )
        .map(|_| ())
    }

    pub(super) fn find(rows: &Connection, id: &str) -> Result<JobRun, AwsError> {
        JobRun::find_by(rows, "id", id)?.ok_or_else(|| not_found(format!("JobRun {id} does not exist")))
    }

    /// Finds the job run that was started with this token.
    pub(super) fn find_by_token(rows: &Connection, token: &str) -> rusqlite::Result<Option<JobRun>> {
        JobRun::find_by(rows, "token", token)
    }

    fn find_by(rows: &Connection, column: &str, value: &str) -> rusqlite::Result<Option<JobRun>> {
        let sql = format!("SELECT {} FROM emr_job_runs WHERE {column} = ?1", JobRun::COLUMNS);
        rows.query_row(&sql, [value], JobRun::from_row).optional()
    }

    /// Sets the state of a job run, unless it has ended or is to be cancelled. Returns whether it did.
    pub(super) fn set_state(rows: &Connection, id: &str, state: JobRunState, details: &str) -> rusqlite::Result<bool> {
        let now = now_millis();
        let started = (state == JobRunState::Running).then_some(now);
        let changed = rows.execute(
            "UPDATE emr_job_runs SET state = ?2, details = ?3, updated = ?4, started = coalesce(?5, started)
             WHERE id = ?1 AND ended IS NULL AND state <> 'CANCELLING'",
            params![id, state.name(), details, now, started],
        )?;
        Ok(changed > 0)
    }

    /// Ends a job run, unless it has ended: as SUCCESS, or as FAILED with these details; as CANCELLED if it was to be cancelled.
    pub(super) fn end(rows: &Connection, id: &str, failure: Option<&str>) -> rusqlite::Result<()> {
        JobRun::end_those(rows, Some(id), failure)
    }

    /// Fails all job runs that have not ended, whose process ended or is about to end.
    pub(super) fn fail_lost(rows: &Connection) -> rusqlite::Result<()> {
        let lost =
            "The process that ran this job run ended before it did. Nothing of it was published: start it again.";
        JobRun::end_those(rows, None, Some(lost))
    }

    /// Ends the job run `id`, or all, of those that have not ended.
    fn end_those(rows: &Connection, id: Option<&str>, failure: Option<&str>) -> rusqlite::Result<()> {
        let state = if failure.is_some() { JobRunState::Failed } else { JobRunState::Success };
        rows.execute(
            "UPDATE emr_job_runs SET
                 state = iif(state = 'CANCELLING', 'CANCELLED', ?2),
                 details = iif(state = 'CANCELLING', details, ?3),
                 updated = ?4,
                 ended = ?4
             WHERE ended IS NULL AND id = coalesce(?1, id)",
            params![id, state.name(), failure.unwrap_or_default(), now_millis()],
        )
        .map(|_| ())
    }

    /// Whether the job run is still running, and is not to be cancelled.
    pub(super) fn is_running(rows: &Connection, id: &str) -> rusqlite::Result<bool> {
        let found = rows.query_row("SELECT 1 FROM emr_job_runs WHERE id = ?1 AND state = 'RUNNING'", [id], |_| Ok(()));
        found.optional().map(|found| found.is_some())
    }

    pub(super) fn arn(&self) -> String {
        format!("{}/jobruns/{}", application_arn(), self.id)
    }

    /// The members that the description and the summary share.
    fn members(&self, release: &str) -> Value {
        json!({
            "applicationId": APPLICATION,
            "name": self.request.name,
            "arn": self.arn(),
            "createdBy": role_arn(),
            "createdAt": epoch_seconds(self.created),
            "updatedAt": epoch_seconds(self.updated),
            "executionRole": self.request.execution_role_arn,
            "state": self.state.name(),
            "stateDetails": self.details,
            "releaseLabel": release,
            "mode": "BATCH",
            "attempt": 1,
            "attemptCreatedAt": epoch_seconds(self.created),
            "attemptUpdatedAt": epoch_seconds(self.updated),
        })
    }

    pub(super) fn summary(&self, release: &str) -> Value {
        let more = json!({ "id": self.id, "type": "Spark" });
        joined([self.members(release), more])
    }

    pub(super) fn description(&self, release: &str) -> Value {
        let request = &self.request;
        let seconds = |(started, ended): (i64, i64)| (ended - started + 999) / 1000;
        let more = json!({
            "jobRunId": self.id,
            "jobDriver": request.job_driver,
            "configurationOverrides": request.configuration_overrides,
            "executionIamPolicy": request.execution_iam_policy,
            "executionTimeoutMinutes": request.execution_timeout_minutes,
            "tags": request.tags,
            "retryPolicy": { "maxAttempts": 1 },
            "startedAt": self.started.map(epoch_seconds),
            "endedAt": self.ended.map(epoch_seconds),
            "totalExecutionDurationSeconds": self.started.zip(self.ended).map(seconds),
            // There are no machines.
            "billedResourceUtilization": self.ended.map(|_| {
                json!({ "vCPUHour": 0.0, "memoryGBHour": 0.0, "storageGBHour": 0.0 })
            }),
        });
        joined([self.members(release), more])
    }
}

/// Returns an object with the members of all, without those that are null.
fn joined(objects: [Value; 2]) -> Value {
    let members = objects.into_iter().filter_map(|object| match object {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().filter(|(_, value)| !value.is_null()).collect())
}

/// Returns a random id: 16 digits and small letters.
fn new_id() -> String {
    const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let random = uuid::Uuid::new_v4();
    random.as_bytes().iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Connection {
        let rows = Connection::open_in_memory().unwrap();
        rows.execute_batch(SCHEMA).unwrap();
        rows
    }

    fn inserted(rows: &Connection) -> String {
        let request = json!({
            "executionRoleArn": role_arn(),
            "jobDriver": { "sparkSubmit": { "entryPoint": "s3://b/run_sql.py" } },
        });
        let job_run = JobRun::new(serde_json::from_value(request).unwrap());
        job_run.insert(rows, &job_run.id).unwrap();
        job_run.id
    }

    fn state(rows: &Connection, id: &str) -> (JobRunState, String) {
        let job_run = JobRun::find(rows, id).unwrap();
        (job_run.state, job_run.details)
    }

    #[test]
    fn ids_look_as_on_emr_serverless() {
        let id = new_id();
        assert_eq!(id.len(), 16);
        assert!(id.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()), "{id}");
        assert_ne!(id, new_id());
    }

    #[test]
    fn what_is_cancelled_does_not_run_again_and_keeps_its_reason() {
        let rows = rows();
        let id = inserted(&rows);
        assert!(JobRun::set_state(&rows, &id, JobRunState::Running, "").unwrap());
        assert!(JobRun::is_running(&rows, &id).unwrap());
        assert!(JobRun::set_state(&rows, &id, JobRunState::Cancelling, "why").unwrap());
        assert!(!JobRun::set_state(&rows, &id, JobRunState::Running, "").unwrap());
        assert!(!JobRun::is_running(&rows, &id).unwrap());
        JobRun::end(&rows, &id, None).unwrap();
        assert_eq!(state(&rows, &id), (JobRunState::Cancelled, "why".to_owned()));
        JobRun::end(&rows, &id, Some("late")).unwrap();
        assert!(!JobRun::set_state(&rows, &id, JobRunState::Cancelling, "late").unwrap());
        assert_eq!(state(&rows, &id), (JobRunState::Cancelled, "why".to_owned()));
    }

    #[test]
    fn what_was_under_way_is_lost_and_what_has_ended_is_not() {
        let rows = rows();
        let [submitted, succeeded, failed, cancelling] = [(); 4].map(|()| inserted(&rows));
        JobRun::end(&rows, &succeeded, None).unwrap();
        JobRun::end(&rows, &failed, Some("why")).unwrap();
        JobRun::set_state(&rows, &cancelling, JobRunState::Cancelling, "asked").unwrap();
        JobRun::fail_lost(&rows).unwrap();
        let (lost, details) = state(&rows, &submitted);
        assert!(lost == JobRunState::Failed && details.contains("start it again"), "{details}");
        assert_eq!(state(&rows, &succeeded), (JobRunState::Success, String::new()));
        assert_eq!(state(&rows, &failed), (JobRunState::Failed, "why".to_owned()));
        assert_eq!(state(&rows, &cancelling), (JobRunState::Cancelled, "asked".to_owned()));
        assert!(JobRun::find(&rows, &submitted).unwrap().description("emr-7.13.0")["endedAt"].is_number());
    }
}
