//! Versions of state machines: numbered snapshots, which executions may be started of.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-version.html>

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::aliases;
use super::machines::{Machine, StateMachineArn};
use super::names::{Qualifier, qualified};
use super::settings::Settings;
use super::{StepFunctions, invalid};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::state_machine_arn;
use crate::paging::PageRequest;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state_machine_versions (
    machine TEXT NOT NULL,
    number INTEGER NOT NULL,
    definition TEXT NOT NULL,
    role TEXT NOT NULL,
    revision TEXT NOT NULL,
    description TEXT,
    settings TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (machine, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state_machine_version_numbers (
    machine TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// AWS's limit.
const MAX_VERSIONS: i64 = 1000;

/// The revision of a machine that was not updated, in AWS's words.
const INITIAL: &str = "INITIAL";

/// A row of the state: a version.
#[derive(Debug, Clone)]
pub(super) struct Version {
    machine: String,
    number: i64,
    pub(super) definition: String,
    pub(super) role: String,
    pub(super) revision: String,
    pub(super) description: Option<String>,
    pub(super) settings: String,
    pub(super) created: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublishVersion {
    state_machine_arn: String,
    revision_id: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionArn {
    state_machine_version_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOfMachine {
    pub(super) state_machine_arn: String,
    pub(super) max_results: Option<u32>,
    pub(super) next_token: Option<String>,
}

impl Version {
    const COLUMNS: &str = "machine, number, definition, role, revision, description, settings, created";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Version> {
        Ok(Version {
            machine: row.get(0)?,
            number: row.get(1)?,
            definition: row.get(2)?,
            role: row.get(3)?,
            revision: row.get(4)?,
            description: row.get(5)?,
            settings: row.get(6)?,
            created: row.get(7)?,
        })
    }

    /// Returns the newest version for which `condition` holds.
    fn newest(rows: &Connection, machine: &str, condition: &str, value: &str) -> rusqlite::Result<Option<Version>> {
        let columns = Version::COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM state_machine_versions WHERE machine = ?1 AND {condition} = ?2 ORDER BY number DESC"
        );
        rows.query_row(&sql, [machine, value], Version::from_row).optional()
    }

    /// Returns the version of an ARN. `None` if it is the ARN of anything else, or there is none.
    pub(super) fn find(rows: &Connection, arn: &str) -> Result<Option<Version>, AwsError> {
        match qualified(arn)? {
            (name, Some(Qualifier::Version(number))) => {
                let machine = state_machine_arn(name);
                Ok(Version::newest(rows, &machine, "CAST(number AS TEXT)", number)?)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn arn(&self) -> String {
        format!("{}:{}", self.machine, self.number)
    }

    /// Returns the version of the current revision of a machine.
    pub(super) fn of_revision(rows: &Connection, machine: &Machine) -> rusqlite::Result<Option<Version>> {
        Version::newest(rows, &machine.arn, "revision", &machine.revision)
    }

    /// Publishes the current revision of a machine. Idempotent: the version that there is of it already.
    pub(super) fn publish(
        rows: &Connection,
        machine: &Machine,
        description: Option<String>,
    ) -> Result<Version, AwsError> {
        if let Some(version) = Version::of_revision(rows, machine)? {
            return Ok(version);
        }
        let count = "SELECT count(*) FROM state_machine_versions WHERE machine = ?1";
        if rows.query_row(count, [&machine.arn], |row| row.get::<_, i64>(0))? >= MAX_VERSIONS {
            let message = format!("A state machine has at most {MAX_VERSIONS} versions: delete one");
            return Err(AwsError::new("ServiceQuotaExceededException", message));
        }
        // A number is not given twice, even if its version was deleted.
        let next = "INSERT INTO state_machine_version_numbers (machine, last) VALUES (?1, 1)
            ON CONFLICT (machine) DO UPDATE SET last = last + 1 RETURNING last";
        let version = Version {
            machine: machine.arn.clone(),
            number: rows.query_row(next, [&machine.arn], |row| row.get(0))?,
            definition: machine.definition.clone(),
            role: machine.role.clone(),
            revision: machine.revision.clone(),
            description,
            settings: Settings::text(rows, &machine.arn)?,
            created: now_millis(),
        };
        version.insert(rows)?;
        Ok(version)
    }

    fn insert(&self, rows: &Connection) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT INTO state_machine_versions ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            Version::COLUMNS
        );
        let Version { machine, number, definition, role, revision, description, settings, created } = self;
        rows.execute(&sql, params![machine, number, definition, role, revision, description, settings, created])
            .map(drop)
    }

    /// Deletes all versions of a machine.
    pub(super) fn delete_all(rows: &Connection, machine: &str) -> rusqlite::Result<()> {
        rows.execute("DELETE FROM state_machine_versions WHERE machine = ?1", [machine])?;
        rows.execute("DELETE FROM state_machine_version_numbers WHERE machine = ?1", [machine]).map(drop)
    }
}

impl StepFunctions {
    pub(super) fn publish_version(&self, publish: PublishVersion) -> AwsResult {
        let machine = self.machine(&publish.state_machine_arn)?;
        let current = if machine.revision.is_empty() { INITIAL } else { &machine.revision };
        if let Some(asked) = publish.revision_id.filter(|asked| asked != current) {
            let message = format!(
                "Failed to publish the State Machine version for revision {asked}. The current State Machine revision is \
                 {current}."
            );
            return Err(AwsError::new("ConflictException", message));
        }
        let version = self.state.write(|rows| Version::publish(rows, &machine, publish.description))?;
        Ok(json!({ "stateMachineVersionArn": version.arn(), "creationDate": epoch_seconds(version.created) }))
    }

    /// Deletes a version, unless an alias routes to it. Does nothing if there is none.
    pub(super) fn delete_version(&self, named: &VersionArn) -> AwsResult {
        let arn = &named.state_machine_version_arn;
        let (name, Some(Qualifier::Version(number))) = qualified(arn)? else {
            return Err(AwsError::new("InvalidArn", format!("Invalid Arn: '{arn}': it is not that of a version")));
        };
        let machine = state_machine_arn(name);
        self.state.write(|rows| {
            let referring = aliases::routing_to(rows, &machine, arn)?;
            if !referring.is_empty() {
                let message = format!(
                    "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this \
                     version: [{}]",
                    referring.join(", ")
                );
                return Err(AwsError::new("ConflictException", message));
            }
            rows.execute(
                "DELETE FROM state_machine_versions WHERE machine = ?1 AND CAST(number AS TEXT) = ?2",
                [machine.as_str(), number],
            )?;
            Ok(json!({}))
        })
    }

    /// Lists the versions of a machine, newest first.
    pub(super) fn list_versions(&self, list: &ListOfMachine) -> AwsResult {
        let (name, _) = qualified(&list.state_machine_arn)?;
        let machine = state_machine_arn(name);
        let page = PageRequest::new(list.max_results, 100, 1000, list.next_token.as_deref()).map_err(invalid)?;
        let rows = self.state.lock();
        let mut statement = rows.prepare(
            "SELECT number, created FROM state_machine_versions WHERE machine = ?1
             AND number < coalesce(?2, 9223372036854775807) ORDER BY number DESC LIMIT ?3",
        )?;
        let versions = statement.query_map(params![machine, page.after(), page.query_limit()], |row| {
            let (number, created): (i64, i64) = (row.get(0)?, row.get(1)?);
            let arn = format!("{machine}:{number}");
            Ok((number, json!({ "stateMachineVersionArn": arn, "creationDate": epoch_seconds(created) })))
        })?;
        let versions: Vec<(i64, Value)> = versions.collect::<Result<_, _>>()?;
        Ok(page.into_output("stateMachineVersions", "nextToken", versions))
    }

    /// Refuses the ARN of a version or an alias, where only a machine may be named.
    pub(super) fn refuse_qualified(named: &StateMachineArn) -> Result<(), AwsError> {
        match qualified(&named.state_machine_arn)? {
            (_, None) => Ok(()),
            (_, Some(_)) => Err(AwsError::new(
                "ValidationException",
                format!("'{}' is qualified: name the state machine alone", named.state_machine_arn),
            )),
        }
    }
}
