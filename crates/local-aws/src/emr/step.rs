//! Steps, as rows of the state.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::{EnumString, IntoStaticStr};

use super::reason::StateChangeReason;
use super::{invalid_request, validation};
use crate::aws_json::AwsError;
use crate::clock::{epoch_seconds, now_millis};
use crate::spark::SparkFailure;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS emr_steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    cluster TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    failure TEXT,
    created INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    config TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS emr_steps_of_cluster ON emr_steps (cluster, number);
";

/// EMR's states of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum StepState {
    Pending,
    Running,
    Completed,
    Cancelled,
    Failed,
}

impl StepState {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// The action on the cluster when a step fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ActionOnFailure {
    #[serde(alias = "TERMINATE_JOB_FLOW")]
    #[default]
    TerminateCluster,
    CancelAndWait,
    Continue,
}

/// The definition of a step in a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StepConfig {
    pub(super) name: String,
    #[serde(default)]
    pub(super) action_on_failure: ActionOnFailure,
    pub(super) hadoop_jar_step: HadoopJarStep,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HadoopJarStep {
    pub(super) jar: String,
    #[serde(default)]
    pub(super) args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    main_class: Option<String>,
    #[serde(default)]
    properties: Vec<Value>,
}

/// Why a step failed, and where its log is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailureDetails {
    pub(super) reason: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_file: Option<String>,
}

impl From<SparkFailure> for FailureDetails {
    fn from(SparkFailure { reason, message, log_file }: SparkFailure) -> FailureDetails {
        FailureDetails { reason: reason.to_owned(), message, log_file }
    }
}

/// A row of the state: a step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) state: StepState,
    reason: StateChangeReason,
    failure: Option<FailureDetails>,
    created: i64,
    started: Option<i64>,
    ended: Option<i64>,
    pub(super) config: StepConfig,
}

impl Step {
    pub(super) const COLUMNS: &str = "id, cluster, state, reason, failure, created, started, ended, config";

    pub(super) fn new(cluster: &str, config: StepConfig) -> Result<Step, AwsError> {
        if config.hadoop_jar_step.jar.is_empty() {
            return Err(validation("The step's Jar is empty"));
        }
        Ok(Step {
            id: super::new_id("s-"),
            cluster: cluster.to_owned(),
            state: StepState::Pending,
            reason: StateChangeReason::default(),
            failure: None,
            created: now_millis(),
            started: None,
            ended: None,
            config,
        })
    }

    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Step> {
        let state: String = row.get(2)?;
        let failure: Option<String> = row.get(4)?;
        Ok(Step {
            id: row.get(0)?,
            cluster: row.get(1)?,
            state: state.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
            reason: super::json(row, 3)?,
            failure: failure.map(|_| super::json(row, 4)).transpose()?,
            created: row.get(5)?,
            started: row.get(6)?,
            ended: row.get(7)?,
            config: super::json(row, 8)?,
        })
    }

    pub(super) fn insert(&self, rows: &Connection) -> rusqlite::Result<()> {
        rows.execute(
            "INSERT INTO emr_steps (id, cluster, state, reason, created, config) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.id,
                self.cluster,
                self.state.name(),
                super::to_json(&self.reason)?,
                self.created,
                super::to_json(&self.config)?
            ],
        )
        .map(|_| ())
    }

    /// Finds a step of a cluster, which the caller has found.
    pub(super) fn find(rows: &Connection, cluster: &str, id: &str) -> Result<Step, AwsError> {
        let sql = format!("SELECT {} FROM emr_steps WHERE id = ?1 AND cluster = ?2", Step::COLUMNS);
        rows.query_row(&sql, [id, cluster], Step::from_row)
            .optional()?
            .ok_or_else(|| invalid_request(format!("Step id '{id}' is not valid.")).with("ErrorCode", "NoSuchStep"))
    }

    /// Takes the next pending step of a cluster, and sets it to RUNNING, atomically.
    pub(super) fn start_next(rows: &Connection, cluster: &str) -> rusqlite::Result<Option<Step>> {
        let sql = format!(
            "UPDATE emr_steps SET state = 'RUNNING', started = ?2 WHERE number =
             (SELECT min(number) FROM emr_steps WHERE cluster = ?1 AND state = 'PENDING') RETURNING {}",
            Step::COLUMNS
        );
        rows.query_row(&sql, params![cluster, now_millis()], Step::from_row).optional()
    }

    /// Ends the step unless it has ended. Returns whether it did.
    pub(super) fn end(
        rows: &Connection,
        id: &str,
        state: StepState,
        reason: &StateChangeReason,
        failure: Option<&FailureDetails>,
    ) -> rusqlite::Result<bool> {
        let failure = failure.map(super::to_json).transpose()?;
        let changed = rows.execute(
            "UPDATE emr_steps SET state = ?2, reason = ?3, failure = ?4, ended = ?5 WHERE id = ?1 AND ended IS NULL",
            params![id, state.name(), super::to_json(reason)?, failure, now_millis()],
        )?;
        Ok(changed > 0)
    }

    /// Whether the step is still running, and was not cancelled.
    pub(super) fn is_running(rows: &Connection, id: &str) -> rusqlite::Result<bool> {
        let found = rows.query_row("SELECT 1 FROM emr_steps WHERE id = ?1 AND state = 'RUNNING'", [id], |_| Ok(()));
        found.optional().map(|found| found.is_some())
    }

    pub(super) fn has_pending(rows: &Connection, cluster: &str) -> rusqlite::Result<bool> {
        let found =
            rows.query_row("SELECT 1 FROM emr_steps WHERE cluster = ?1 AND state = 'PENDING'", [cluster], |_| Ok(()));
        found.optional().map(|found| found.is_some())
    }

    /// Cancels the steps of a cluster that have not ended.
    pub(super) fn cancel_all(rows: &Connection, cluster: &str, why: &str) -> rusqlite::Result<()> {
        let reason = super::to_json(&StateChangeReason { code: None, message: Some(why.to_owned()) })?;
        rows.execute(
            "UPDATE emr_steps SET state = 'CANCELLED', reason = ?2, ended = ?3 WHERE cluster = ?1 AND ended IS NULL",
            params![cluster, reason, now_millis()],
        )
        .map(|_| ())
    }

    /// Cancels the pending steps of a cluster.
    pub(super) fn cancel_pending(rows: &Connection, cluster: &str, why: &str) -> rusqlite::Result<()> {
        let reason = super::to_json(&StateChangeReason { code: None, message: Some(why.to_owned()) })?;
        rows.execute(
            "UPDATE emr_steps SET state = 'CANCELLED', reason = ?2, ended = ?3 WHERE cluster = ?1 AND state = 'PENDING'",
            params![cluster, reason, now_millis()],
        )
        .map(|_| ())
    }

    /// Fails all running steps, whose process ended or is about to end.
    pub(super) fn fail_lost(rows: &Connection) -> rusqlite::Result<()> {
        let failure = FailureDetails {
            reason: "The process that ran the step ended.".to_owned(),
            message:
                "The process that ran this step ended before it did. Nothing of it was published: add the step again."
                    .to_owned(),
            log_file: None,
        };
        rows.execute(
            "UPDATE emr_steps SET state = 'FAILED', failure = ?1, ended = ?2 WHERE state = 'RUNNING'",
            params![super::to_json(&failure)?, now_millis()],
        )
        .map(|_| ())
    }

    pub(super) fn description(&self) -> Value {
        let jar = &self.config.hadoop_jar_step;
        let properties: serde_json::Map<String, Value> = jar
            .properties
            .iter()
            .filter_map(|pair| Some((pair["Key"].as_str()?.to_owned(), pair["Value"].clone())))
            .collect();
        let mut timeline = json!({ "CreationDateTime": epoch_seconds(self.created) });
        for (name, date) in [("StartDateTime", self.started), ("EndDateTime", self.ended)] {
            if let Some(date) = date {
                timeline[name] = epoch_seconds(date);
            }
        }
        let mut status = json!({ "State": self.state.name(), "StateChangeReason": self.reason, "Timeline": timeline });
        if let Some(failure) = &self.failure {
            status["FailureDetails"] = json!(failure);
        }
        let mut config = json!({ "Jar": jar.jar, "Args": jar.args, "Properties": properties });
        if let Some(class) = &jar.main_class {
            config["MainClass"] = class.clone().into();
        }
        json!({
            "Id": self.id,
            "Name": self.config.name,
            "Config": config,
            "ActionOnFailure": self.config.action_on_failure,
            "Status": status,
        })
    }
}
