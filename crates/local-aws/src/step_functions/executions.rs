//! Executions: started idempotently by name, run as tasks of this process, described from their rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use asl::{Event, EventKind, ExecutionContext, Failure, StopSwitch, stop_switch};
use chrono::DateTime;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr, VariantArray};
use tokio::sync::watch;
use tracing::{Instrument, Span};

use super::history::{EXECUTION_END, HistoryRecorder, append_end, last_state};
use super::machines::{Startable, describe_variables, included_definition, parse};
use super::names::{check_execution_arn, check_name, machine_name, qualified};
use super::settings::Settings;
use super::tasks::ServiceTasks;
use super::versions::Version;
use super::{StepFunctions, invalid};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::{REGION, execution_arn, state_machine_arn};
use crate::paging::PageRequest;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS executions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    machine TEXT NOT NULL,
    definition TEXT NOT NULL,
    role TEXT NOT NULL,
    input TEXT NOT NULL,
    status TEXT NOT NULL,
    started INTEGER NOT NULL,
    stopped INTEGER,
    output TEXT,
    error TEXT,
    cause TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS executions_of_machine ON executions (machine, number);
CREATE TABLE IF NOT EXISTS execution_versions (
    execution TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    alias TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS execution_redrives (
    execution TEXT PRIMARY KEY,
    redrives INTEGER NOT NULL,
    redriven INTEGER NOT NULL
) STRICT;
";

/// The maximum size of an execution's input in bytes.
const MAX_INPUT_BYTES: usize = 256 * 1024;

/// The maximum size of input and output in an event, escaped, in bytes.
const MAX_EVENT_DATA: usize = 248 * 1024;

/// The maximum number of running executions that were started by others. It stops a workflow that starts itself and waits for
/// it. AWS limits all running executions, to a million.
const MAX_NESTED: usize = 1000;

const LIMIT_EXCEEDED: &str = "The maximum number of running executions has been reached. Running executions must end or be \
    stopped before a new execution can be started.";

/// The error of an execution that was running when its process ended.
const PROCESS_ENDED: &str = "Endpoint.ProcessEnded";

/// The error of an execution that was running when the endpoint was shut down.
const SHUTDOWN: &str = "Endpoint.Shutdown";

/// Whether an error means that an execution ended with its process.
pub(crate) fn is_end_of_process(error: &str) -> bool {
    [PROCESS_ENDED, SHUTDOWN].contains(&error)
}

/// Its cause.
const LOST: &str =
    "The process that ran this execution ended before it did. Nothing goes on in its name: start the workflow again.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    /// Returns why an execution of this status cannot be redriven, in AWS's words. `None` if it can.
    fn not_redrivable(self) -> Option<&'static str> {
        match self {
            Status::Running => Some("Execution is RUNNING and cannot be redriven"),
            Status::Succeeded => Some("Execution is SUCCEEDED and cannot be redriven"),
            Status::Failed | Status::TimedOut | Status::Aborted => None,
        }
    }
}

/// A row of the state: an execution.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) machine: String,
    definition: String,
    role: String,
    input: String,
    pub(super) status: Status,
    pub(super) started: i64,
    stopped: Option<i64>,
    output: Option<String>,
    failure: Failure,
    /// How often it was redriven, and when last.
    redrives: u64,
    redriven: Option<i64>,
    /// The ARN of the version that it was started of, and that of the alias that led to it.
    version: Option<String>,
    alias: Option<String>,
}

impl Execution {
    const COLUMNS: &str = "arn, name, machine, definition, role, input, status, started, stopped, output, error, cause, \
         (SELECT redrives FROM execution_redrives WHERE execution = arn), \
         (SELECT redriven FROM execution_redrives WHERE execution = arn), \
         (SELECT version FROM execution_versions WHERE execution = arn), \
         (SELECT alias FROM execution_versions WHERE execution = arn)";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Execution> {
        let status: String = row.get(6)?;
        Ok(Execution {
            arn: row.get(0)?,
            name: row.get(1)?,
            machine: row.get(2)?,
            definition: row.get(3)?,
            role: row.get(4)?,
            input: row.get(5)?,
            status: status.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
            started: row.get(7)?,
            stopped: row.get(8)?,
            output: row.get(9)?,
            failure: Failure { error: row.get(10)?, cause: row.get(11)? },
            redrives: row.get::<_, Option<i64>>(12)?.unwrap_or_default().cast_unsigned(),
            redriven: row.get(13)?,
            version: row.get(14)?,
            alias: row.get(15)?,
        })
    }

    fn find(rows: &Connection, arn: &str) -> rusqlite::Result<Option<Execution>> {
        let sql = format!("SELECT {} FROM executions WHERE arn = ?1", Execution::COLUMNS);
        rows.query_row(&sql, [arn], Execution::from_row).optional()
    }

    fn insert(&self, rows: &Connection) -> rusqlite::Result<()> {
        rows.execute(
            "INSERT INTO executions (arn, name, machine, definition, role, input, status, started) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![self.arn, self.name, self.machine, self.definition, self.role, self.input, self.status.name(), self.started],
        )?;
        if let Some(version) = &self.version {
            let row = params![self.arn, version, self.alias];
            rows.execute("INSERT INTO execution_versions (execution, version, alias) VALUES (?1, ?2, ?3)", row)?;
        }
        Ok(())
    }

    /// The fields of all descriptions. Dates are in milliseconds.
    fn summary(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<Value>| value.map(|value| fields.insert(name.to_owned(), value));
        set("executionArn", Some(self.arn.clone().into()));
        set("stateMachineArn", Some(self.machine.clone().into()));
        set("stateMachineVersionArn", self.version.clone().map(Into::into));
        set("stateMachineAliasArn", self.alias.clone().map(Into::into));
        set("name", Some(self.name.clone().into()));
        set("status", Some(self.status.name().into()));
        set("startDate", Some(self.started.into()));
        set("stopDate", self.stopped.map(Into::into));
        fields
    }

    /// The description without input and output, for a caller who wants no data.
    fn metadata(&self) -> Map<String, Value> {
        let mut fields = self.description();
        for data in ["input", "output"] {
            if fields.shift_remove(data).is_some() {
                fields.insert(format!("{data}Details"), json!({ "included": false }));
            }
        }
        fields
    }

    fn description(&self) -> Map<String, Value> {
        let mut fields = self.summary();
        let mut set = |name: &str, value: Option<&String>| {
            value.map(|value| fields.insert(name.to_owned(), value.clone().into()))
        };
        set("input", Some(&self.input));
        set("output", self.output.as_ref());
        set("error", self.failure.error.as_ref());
        set("cause", self.failure.cause.as_ref());
        fields.insert("inputDetails".to_owned(), json!({ "included": true }));
        if self.output.is_some() {
            fields.insert("outputDetails".to_owned(), json!({ "included": true }));
        }
        fields
    }

    /// The detail of the event that the status has changed. What there is not is null.
    ///
    /// <https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html>
    fn event_detail(&self) -> Value {
        let absent = [
            "executionArn",
            "stateMachineArn",
            "name",
            "status",
            "startDate",
            "stopDate",
            "input",
            "output",
            "stateMachineVersionArn",
            "stateMachineAliasArn",
            "redriveDate",
            "inputDetails",
            "outputDetails",
            "error",
            "cause",
        ];
        let mut detail: Map<String, Value> = absent.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        detail.extend(self.with_redrives(self.description()));
        let escaped =
            |detail: &Map<String, Value>, name: &str| detail.get(name).map_or(0, |text| text.to_string().len());
        // First the input is left out, and then the output, if it alone is too large.
        for data in ["input", "output"] {
            if escaped(&detail, "input") + escaped(&detail, "output") > MAX_EVENT_DATA {
                detail.insert(data.to_owned(), Value::Null);
                detail.insert(format!("{data}Details"), json!({ "included": false }));
            }
        }
        Value::Object(detail)
    }

    /// Adds how often the execution was redriven, and whether it can be.
    fn with_redrives(&self, mut fields: Map<String, Value>) -> Map<String, Value> {
        let status = self.status.not_redrivable().map_or("REDRIVABLE", |_| "NOT_REDRIVABLE");
        fields.insert("redriveCount".to_owned(), self.redrives.into());
        if let Some(redriven) = self.redriven {
            fields.insert("redriveDate".to_owned(), redriven.into());
        }
        fields.insert("redriveStatus".to_owned(), status.into());
        if let Some(reason) = self.status.not_redrivable() {
            fields.insert("redriveStatusReason".to_owned(), reason.into());
        }
        fields
    }

    /// The result of a `startExecution.sync` task, or the cause of its failure: names are capitalised, dates in milliseconds.
    /// With `parsed`, input and output are JSON values, and not texts.
    pub(super) fn task_result(&self, parsed: bool) -> Value {
        let fields = self.with_redrives(self.description()).into_iter().map(|(name, value)| {
            let value = match value {
                Value::String(text) if parsed && (name == "input" || name == "output") => {
                    serde_json::from_str(&text).unwrap_or(Value::String(text))
                }
                Value::Object(_) => json!({ "Included": true }),
                value => value,
            };
            (capitalised(&name), value)
        });
        Value::Object(fields.collect())
    }
}

/// Sets the status of an execution from its last event. Does nothing for other events. Called in the transaction that stores
/// the event, so that both become visible atomically.
pub(super) fn end_with(rows: &Connection, arn: &str, event: &Event) -> rusqlite::Result<()> {
    let nothing = Failure::default();
    let (status, output, failure) = match &event.kind {
        EventKind::ExecutionSucceeded(output) => (Status::Succeeded, Some(output.to_string()), &nothing),
        EventKind::ExecutionFailed(failure) => (Status::Failed, None, failure),
        EventKind::ExecutionTimedOut(failure) => (Status::TimedOut, None, failure),
        EventKind::ExecutionAborted(failure) => (Status::Aborted, None, failure),
        _ => return Ok(()),
    };
    let stopped = event.timestamp.timestamp_millis();
    rows.execute(
        "UPDATE executions SET status = ?2, stopped = ?3, output = ?4, error = ?5, cause = ?6 WHERE arn = ?1",
        params![arn, status.name(), stopped, output, failure.error, failure.cause],
    )
    .map(|_| ())
}

/// Converts the dates to seconds, as the API returns them.
fn with_dates_in_seconds(mut fields: Map<String, Value>) -> Value {
    for name in ["startDate", "stopDate", "redriveDate"] {
        if let Some(date) = fields.get_mut(name) {
            *date = date.as_i64().map_or(Value::Null, epoch_seconds);
        }
    }
    Value::Object(fields)
}

fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The running executions, by ARN.
#[derive(Debug, Default)]
pub(super) struct RunningExecutions(Mutex<HashMap<String, Running>>);

#[derive(Debug, Clone)]
struct Running {
    stop: StopSwitch,
    is_nested: bool,
    /// Becomes true when the last event of the execution is stored.
    ended: watch::Receiver<bool>,
}

impl RunningExecutions {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Running>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, arn: &str) -> Option<Running> {
        self.with(|running| running.get(arn).cloned())
    }

    fn nested(&self) -> usize {
        self.with(|running| running.values().filter(|running| running.is_nested).count())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartExecution {
    pub(super) state_machine_arn: String,
    pub(super) name: Option<String>,
    pub(super) input: Option<String>,
    /// Whether another execution started it.
    #[serde(skip)]
    pub(super) is_nested: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecutionArn {
    pub(super) execution_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeExecution {
    execution_arn: String,
    included_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StopExecution {
    execution_arn: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListExecutions {
    state_machine_arn: Option<String>,
    map_run_arn: Option<String>,
    redrive_filter: Option<String>,
    status_filter: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

impl ListExecutions {
    /// Returns the ARN of the machine whose executions are asked for.
    ///
    /// # Errors
    /// If it is not the one of a machine alone: there are no Map Runs here, and only theirs are filtered by redrives.
    fn machine(&self) -> Result<&str, AwsError> {
        let invalid = |message: &str| Err(AwsError::new("ValidationException", message));
        match (&self.state_machine_arn, &self.map_run_arn) {
            (Some(_), Some(_)) => invalid("You can specify either a mapRunArn or a stateMachineArn, but not both"),
            (None, None) => invalid("Either a stateMachineArn or a mapRunArn must be specified"),
            (None, Some(run)) => Err(AwsError::new(
                "ResourceNotFound",
                format!("Map Run Does Not Exist: '{run}': this endpoint has none"),
            )),
            (Some(_), None) if self.redrive_filter.is_some() => {
                invalid("redriveFilter can only be specified with a mapRunArn, not with a stateMachineArn")
            }
            (Some(machine), None) => Ok(machine),
        }
    }
}

/// What the interpreter runs.
struct Work {
    definition: asl::StateMachine,
    input: Value,
    /// Where it continues, if the execution was redriven.
    redrive: Option<asl::Redrive>,
}

impl StepFunctions {
    /// Starts an execution. Idempotent: if one with the same name and input is running, returns that.
    pub(super) fn start(self: &Arc<Self>, start: StartExecution) -> Result<Execution, AwsError> {
        let Startable { machine, version, alias } = self.startable(&start.state_machine_arn)?;
        let name = start.name.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        check_name(&name)?;
        let text = start.input.unwrap_or_else(|| "{}".to_owned());
        let input = parse_input(&text)?;
        let definition = parse(&machine.definition)?;
        let execution = Execution {
            arn: execution_arn(&machine.name, &name),
            name,
            machine: machine.arn.clone(),
            definition: machine.definition.clone(),
            role: machine.role.clone(),
            input: text,
            status: Status::Running,
            started: now_millis(),
            stopped: None,
            output: None,
            failure: Failure::default(),
            redrives: 0,
            redriven: None,
            version,
            alias,
        };
        let is_nested = start.is_nested;
        let is_full = is_nested && self.running.nested() >= MAX_NESTED;
        let existing = self.state.write(|rows| {
            let existing = Execution::find(rows, &execution.arn)?;
            if existing.is_none() && !is_full {
                execution.insert(rows)?;
            }
            Ok::<_, rusqlite::Error>(existing)
        });
        match existing? {
            None if is_full => Err(AwsError::new("ExecutionLimitExceeded", LIMIT_EXCEEDED)),
            None => {
                self.run(&execution, is_nested, Work { definition, input, redrive: None });
                Ok(execution)
            }
            Some(same) if same.status == Status::Running && serde_json::from_str(&same.input).ok() == Some(input) => {
                Ok(same)
            }
            Some(other) => {
                Err(AwsError::new("ExecutionAlreadyExists", format!("Execution Already Exists: '{}'", other.arn)))
            }
        }
    }

    fn run(self: &Arc<Self>, execution: &Execution, is_nested: bool, work: Work) {
        let (stop, stopped) = stop_switch();
        let (end, ended) = watch::channel(false);
        self.running.with(|running| running.insert(execution.arn.clone(), Running { stop, is_nested, ended }));
        let context = ExecutionContext {
            execution_arn: execution.arn.clone(),
            execution_name: execution.name.clone(),
            role_arn: execution.role.clone(),
            started: DateTime::from_timestamp_millis(execution.started).unwrap_or_default(),
            state_machine_arn: execution.machine.clone(),
            state_machine_name: machine_name(&execution.machine).unwrap_or_default().to_owned(),
            region: REGION.to_owned(),
        };
        let (service, clock) = (Arc::clone(self), self.faults.clone());
        // A nested execution belongs to the state that started it. Others outlive the request that started them.
        let parent = if is_nested { Span::current() } else { Span::none() };
        tokio::spawn(async move {
            let arn = context.execution_arn.clone();
            service.publish_status(&arn);
            let tasks = ServiceTasks::new(Arc::clone(&service));
            let recorder = HistoryRecorder::new(&service.state, &arn);
            let interpreted = async move {
                let Work { definition, input, redrive } = work;
                let mut execution = asl::Execution::new(&definition, &context, input).tasks(&tasks).history(&recorder);
                if let Some(redrive) = redrive {
                    execution = execution.redrive(redrive);
                }
                execution.clock(&clock).stop_on(stopped).run().await
            };
            let mut interpreted = tokio::spawn(interpreted.instrument(parent));
            let outcome = tokio::select! {
                outcome = &mut interpreted => Some(outcome),
                // Stops at the last event that was stored. The status stays RUNNING, and the next start ends the execution.
                _ = service.state.storage_failed() => None,
            };
            interpreted.abort();
            if let Some(Err(panic)) = outcome {
                let cause = format!("the interpreter failed: {panic}; this is a bug, please report it");
                service.end_without_interpreter(&arn, Failure::new("States.Runtime", cause));
            }
            service.running.with(|running| running.remove(&arn));
            let _ = end.send(true);
            service.publish_status(&arn);
        });
    }

    /// Continues an execution that ended without success, in the state that had not succeeded.
    ///
    /// AWS redrives only the iterations and branches of a Map or Parallel state that had not succeeded. This endpoint cannot,
    /// and refuses to redrive an execution that ended within one.
    pub(super) fn redrive(self: &Arc<Self>, named: &ExecutionArn) -> AwsResult {
        let execution = self.execution(&named.execution_arn)?;
        if let Some(reason) = execution.status.not_redrivable() {
            return Err(AwsError::new("ExecutionNotRedrivable", reason));
        }
        let definition = parse(&execution.definition)?;
        let input = parse_input(&execution.input)?;
        let now = now_millis();
        let redrive = self.state.write(|rows| {
            let current = Execution::find(rows, &execution.arn)?;
            if current.is_none_or(|current| current.status != execution.status) {
                return Err(AwsError::new("ExecutionNotRedrivable", "Execution is RUNNING and cannot be redriven"));
            }
            let unfinished = last_state(rows, &execution.arn, |name| definition.has_state(name))?;
            let unfinished = unfinished.filter(|found| definition.can_resume(&found.name)).ok_or_else(|| {
                let reason =
                    "This endpoint redrives no execution that ended in a Map or Parallel state: start another one.";
                AwsError::new("ExecutionNotRedrivable", reason)
            })?;
            rows.execute(
                "INSERT INTO execution_redrives (execution, redrives, redriven) VALUES (?1, 1, ?2)
                 ON CONFLICT (execution) DO UPDATE SET redrives = redrives + 1, redriven = ?2",
                params![execution.arn, now],
            )?;
            rows.execute(
                "UPDATE executions SET status = 'RUNNING', stopped = NULL, error = NULL, cause = NULL WHERE arn = ?1",
                [&execution.arn],
            )?;
            Ok(asl::Redrive {
                state: unfinished.name,
                input: unfinished.input,
                entered_event: unfinished.id,
                last_event: unfinished.last_event,
                count: execution.redrives + 1,
                variables: unfinished.variables,
            })
        })?;
        self.run(&execution, false, Work { definition, input, redrive: Some(redrive) });
        Ok(json!({ "redriveDate": epoch_seconds(now) }))
    }

    /// Publishes the event that the status of an execution has changed, for the rules of the endpoint.
    fn publish_status(&self, arn: &str) {
        let Some(rules) = &self.rules else { return };
        match self.execution(arn) {
            Ok(execution) => rules.status_changed(&self.functions, &execution.event_detail()),
            Err(error) => tracing::warn!(error = error.message(), "the status of an execution was not published"),
        }
    }

    /// Ends an execution whose interpreter panicked.
    fn end_without_interpreter(&self, arn: &str, failure: Failure) {
        let written = self.state.write(|rows| append_end(rows, arn, EventKind::ExecutionFailed(failure)));
        if let Err(error) = written {
            self.state.report_failure(EXECUTION_END, error);
        }
    }

    /// Waits for the end of an execution.
    pub(crate) async fn wait(&self, arn: &str) -> Result<(), AwsError> {
        self.ended(arn).await.map(drop)
    }

    /// Waits for the end of an execution, and returns its row.
    pub(super) async fn ended(&self, arn: &str) -> Result<Execution, AwsError> {
        if let Some(mut running) = self.running.get(arn) {
            let _ = running.ended.wait_for(|ended| *ended).await;
        }
        self.execution(arn)
    }

    /// Stops an execution. Does nothing if it has ended.
    pub(super) fn abort(&self, arn: &str, why: Failure) {
        if let Some(running) = self.running.get(arn) {
            running.stop.stop(why);
        }
    }

    /// Stops all running executions, and waits for their ends.
    pub(crate) async fn shutdown(&self) {
        let all: Vec<String> = self.running.with(|running| running.keys().cloned().collect());
        for arn in &all {
            self.abort(
                arn,
                Failure::new(
                    SHUTDOWN,
                    "The endpoint was shut down while this execution ran: start the workflow again.",
                ),
            );
        }
        for arn in &all {
            let _ = self.ended(arn).await;
        }
    }

    /// Ends the executions that a crashed process left running.
    pub(super) fn end_lost(&self) -> rusqlite::Result<()> {
        self.state.write(|rows| {
            let mut statement = rows.prepare("SELECT arn FROM executions WHERE status = 'RUNNING'")?;
            let lost: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for arn in lost {
                let failure = Failure::new(PROCESS_ENDED, LOST);
                append_end(rows, &arn, EventKind::ExecutionAborted(failure))?;
            }
            Ok(())
        })
    }

    pub(super) fn execution(&self, arn: &str) -> Result<Execution, AwsError> {
        check_execution_arn(arn)?;
        Execution::find(&self.state.lock(), arn)?
            .ok_or_else(|| AwsError::new("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'")))
    }

    pub(super) fn start_execution(self: &Arc<Self>, start: StartExecution) -> AwsResult {
        let execution = self.start(start)?;
        Ok(json!({ "executionArn": execution.arn, "startDate": epoch_seconds(execution.started) }))
    }

    pub(super) async fn stop(&self, stop: StopExecution) -> AwsResult {
        self.execution(&stop.execution_arn)?;
        self.abort(&stop.execution_arn, Failure { error: stop.error, cause: stop.cause });
        let execution = self.ended(&stop.execution_arn).await?;
        Ok(json!({ "stopDate": execution.stopped.map(epoch_seconds) }))
    }

    pub(super) fn describe_execution(&self, named: &DescribeExecution) -> AwsResult {
        let execution = self.execution(&named.execution_arn)?;
        let described = match named.included_data.as_deref() {
            Some("METADATA_ONLY") => execution.metadata(),
            _ => execution.description(),
        };
        Ok(with_dates_in_seconds(execution.with_redrives(described)))
    }

    pub(super) fn describe_machine_of(&self, named: &DescribeExecution) -> AwsResult {
        let execution = self.execution(&named.execution_arn)?;
        let settings = Settings::find(&self.state.lock(), &execution.machine)?;
        let mut described = json!({
            "stateMachineArn": execution.machine,
            "name": machine_name(&execution.machine)?,
            "definition": included_definition(&execution.definition, named.included_data.as_deref()),
            "roleArn": execution.role,
            "updateDate": epoch_seconds(execution.started),
            "loggingConfiguration": settings.logging(),
            "tracingConfiguration": settings.tracing(),
        });
        if let Some(version) = &execution.version {
            let version = Version::find(&self.state.lock(), version)?;
            if let Some(version) = version.filter(|version| !version.revision.is_empty()) {
                described["revisionId"] = version.revision.into();
            }
        }
        describe_variables(&execution.definition, &mut described);
        Ok(described)
    }

    pub(super) fn list_executions(&self, list: &ListExecutions) -> AwsResult {
        let machine = list.machine()?;
        let (machine, of) = match qualified(machine)? {
            (_, None) => (machine.to_owned(), None),
            (name, Some(_)) => (state_machine_arn(name), Some(machine)),
        };
        match of {
            None => self.machine(&machine).map(drop)?,
            Some(arn) => self.startable(arn).map(drop)?,
        }
        let page = PageRequest::new(list.max_results, 100, 1000, list.next_token.as_deref()).map_err(invalid)?;
        let rows = self.state.lock();
        let sql = format!(
            "SELECT {}, number FROM executions WHERE machine = ?1 AND (?2 IS NULL OR status = ?2) \
             AND number < coalesce(?3, 9223372036854775807) AND (?5 IS NULL OR EXISTS (SELECT 1 FROM execution_versions \
             WHERE execution = arn AND ?5 IN (version, alias))) ORDER BY number DESC LIMIT ?4",
            Execution::COLUMNS
        );
        let mut statement = rows.prepare(&sql)?;
        let executions =
            statement.query_map(params![machine, list.status_filter, page.after(), page.query_limit(), of], |row| {
                let execution = Execution::from_row(row)?;
                let mut summary = execution.summary();
                summary.insert("redriveCount".to_owned(), execution.redrives.into());
                Ok((row.get("number")?, with_dates_in_seconds(summary)))
            })?;
        let executions: Vec<(i64, Value)> = executions.collect::<Result<_, _>>()?;
        Ok(page.into_output("executions", "nextToken", executions))
    }
}

pub(super) fn parse_input(text: &str) -> Result<Value, AwsError> {
    if text.len() > MAX_INPUT_BYTES {
        return Err(AwsError::new(
            "InvalidExecutionInput",
            format!(
                "Invalid State Machine Execution Input: it has {} bytes, and may have {MAX_INPUT_BYTES}",
                text.len()
            ),
        ));
    }
    let invalid = |reason: &str| {
        AwsError::new("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{reason}'"))
    };
    match text.trim().is_empty() {
        true => Err(invalid("Invalid execution input.")),
        false => asl::parse_json(text).map_err(|fault| invalid(fault.reason())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution() -> Execution {
        Execution {
            arn: execution_arn("m", "e"),
            name: "e".to_owned(),
            machine: crate::identity::state_machine_arn("m"),
            definition: "{}".to_owned(),
            role: "r".to_owned(),
            input: r#"{"a":1}"#.to_owned(),
            status: Status::Succeeded,
            started: 1_585_750_000_500,
            stopped: Some(1_585_750_001_000),
            output: Some("[2]".to_owned()),
            failure: Failure::default(),
            redrives: 0,
            redriven: None,
            version: None,
            alias: None,
        }
    }

    #[test]
    fn dates_are_seconds_in_the_api_and_milliseconds_in_a_task() {
        let described = with_dates_in_seconds(execution().description());
        assert_eq!(described["startDate"], 1_585_750_000.5);
        assert_eq!(described["output"], "[2]");
        let result = execution().task_result(true);
        assert_eq!(result["StartDate"], 1_585_750_000_500_i64);
        assert_eq!(result["Output"], json!([2]));
        assert_eq!(result["InputDetails"], json!({"Included": true}));
        assert_eq!((&result["RedriveCount"], &result["RedriveStatus"]), (&json!(0), &json!("NOT_REDRIVABLE")));
        let metadata = execution().metadata();
        assert_eq!((metadata.get("input"), metadata.get("output")), (None, None));
        assert_eq!(metadata["outputDetails"], json!({"included": false}));
        assert_eq!(execution().task_result(false)["Output"], "[2]");
    }

    #[test]
    fn an_event_has_every_field_and_data_of_bounded_size() {
        let detail = execution().event_detail();
        assert_eq!((&detail["input"], &detail["output"]), (&json!(r#"{"a":1}"#), &json!("[2]")));
        assert_eq!(detail["startDate"], 1_585_750_000_500_i64);
        for absent in ["error", "cause", "stateMachineVersionArn", "stateMachineAliasArn", "redriveDate"] {
            assert_eq!(detail.get(absent), Some(&Value::Null), "{absent}");
        }
        let text = |size: usize| format!("\"{}\"", "x".repeat(size));
        for (input, output, included) in
            [(100_000, 100_000, (true, true)), (200_000, 100_000, (false, true)), (100_000, 255_000, (false, false))]
        {
            let large = Execution { input: text(input), output: Some(text(output)), ..execution() };
            let detail = large.event_detail();
            let is_included = |data: &str| {
                let said = detail[format!("{data}Details")]["included"].as_bool().unwrap();
                assert_eq!(said, detail[data].is_string(), "{data}");
                said
            };
            assert_eq!((is_included("input"), is_included("output")), included);
        }
    }

    #[test]
    fn whether_an_execution_could_be_redriven_follows_from_its_status() {
        for &status in Status::VARIANTS {
            let execution = Execution { status, ..execution() };
            let fields = execution.with_redrives(execution.description());
            assert_eq!(fields["redriveCount"], 0);
            let (redrivable, reason) = match status {
                Status::Running => ("NOT_REDRIVABLE", json!("Execution is RUNNING and cannot be redriven")),
                Status::Succeeded => ("NOT_REDRIVABLE", json!("Execution is SUCCEEDED and cannot be redriven")),
                _ => ("REDRIVABLE", Value::Null),
            };
            assert_eq!(fields["redriveStatus"], redrivable);
            assert_eq!(fields.get("redriveStatusReason").cloned().unwrap_or_default(), reason);
        }
    }

    #[test]
    fn inputs_are_json_of_bounded_size() {
        assert_eq!(parse_input("[1]").unwrap(), json!([1]));
        for (text, reason) in [
            ("", "Invalid execution input."),
            (
                "not some json",
                "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            ),
            ("{a: 1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name"),
        ] {
            let message = parse_input(text).unwrap_err().message().to_owned();
            assert_eq!(message, format!("Invalid State Machine Execution Input: '{reason}'"));
        }
        for bad in ["{", &format!("\"{}\"", "x".repeat(MAX_INPUT_BYTES))] {
            assert_eq!(parse_input(bad).unwrap_err().code(), "InvalidExecutionInput");
        }
    }
}
