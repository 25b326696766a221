//! State machines: those of this project, registered at each start, and those that clients create.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::names::{check_name, machine_name};
use super::{StepFunctions, invalid};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::{function_arn, role_arn, state_machine_arn};
use crate::paging::PageRequest;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state_machines (
    arn TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    role TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    revision TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The definitions of this project, as deployed on AWS, with placeholders for ARNs.
const BUILT_IN: [(&str, &str); 4] = [
    ("athena_update", include_str!("../../../../statemachines/athena_update.asl.json")),
    ("backfill", include_str!("../../../../statemachines/backfill.asl.json")),
    ("create_datalake", include_str!("../../../../statemachines/create_datalake.asl.json")),
    ("upload_raw_data", include_str!("../../../../statemachines/upload_raw_data.asl.json")),
];

/// Replaces the placeholders of a definition by ARNs of this endpoint.
fn with_arns(definition: &str) -> String {
    let substitutions = [
        ("${IngestFunctionArn}", function_arn("ingest")),
        ("${LaunchEmrStepFunctionArn}", function_arn("launch-emr-step")),
        ("${PollStepFunctionArn}", function_arn("poll-step")),
        ("${TransformFunctionArn}", function_arn("transform")),
        ("${CreateAthenaTableFunctionArn}", function_arn("create-athena-table")),
        ("${ValidatePartitionsFunctionArn}", function_arn("validate-partitions")),
        ("${AthenaUpdateStateMachineArn}", state_machine_arn("athena_update")),
        ("${CreateDatalakeStateMachineArn}", state_machine_arn("create_datalake")),
    ];
    substitutions.iter().fold(definition.to_owned(), |text, (name, arn)| text.replace(name, arn))
}

/// A row of the state: a state machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) definition: String,
    pub(super) role: String,
    created: i64,
    updated: i64,
    revision: String,
}

impl Machine {
    const COLUMNS: &str = "arn, name, definition, role, created, updated, revision";

    fn new(name: &str, definition: &str, role: &str) -> Machine {
        let now = now_millis();
        Machine {
            arn: state_machine_arn(name),
            name: name.to_owned(),
            definition: definition.to_owned(),
            role: role.to_owned(),
            created: now,
            updated: now,
            revision: uuid::Uuid::new_v4().to_string(),
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Machine> {
        Ok(Machine {
            arn: row.get(0)?,
            name: row.get(1)?,
            definition: row.get(2)?,
            role: row.get(3)?,
            created: row.get(4)?,
            updated: row.get(5)?,
            revision: row.get(6)?,
        })
    }

    fn find(rows: &Connection, arn: &str) -> rusqlite::Result<Option<Machine>> {
        let sql = format!("SELECT {} FROM state_machines WHERE arn = ?1", Machine::COLUMNS);
        rows.query_row(&sql, [arn], Machine::from_row).optional()
    }

    fn write(&self, rows: &Connection) -> rusqlite::Result<()> {
        let sql =
            format!("INSERT OR REPLACE INTO state_machines ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", Machine::COLUMNS);
        let row = params![self.arn, self.name, self.definition, self.role, self.created, self.updated, self.revision];
        rows.execute(&sql, row).map(|_| ())
    }

    /// Returns the machine with a new definition or role, and a new revision.
    fn with_changes(mut self, definition: Option<String>, role: Option<String>) -> Machine {
        self.definition = definition.unwrap_or(self.definition);
        self.role = role.unwrap_or(self.role);
        self.updated = now_millis();
        self.revision = uuid::Uuid::new_v4().to_string();
        self
    }
}

/// Parses a definition.
pub(super) fn parse(definition: &str) -> Result<asl::StateMachine, AwsError> {
    const LARGEST: usize = 1024 * 1024;
    if definition.len() > LARGEST {
        return Err(AwsError::new("InvalidDefinition", "Invalid State Machine Definition: it is larger than 1 MB"));
    }
    asl::StateMachine::parse(definition)
        .map_err(|error| AwsError::new("InvalidDefinition", format!("Invalid State Machine Definition: '{error}'")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateStateMachine {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateStateMachine {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateMachineArn {
    state_machine_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListStateMachines {
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ValidateStateMachineDefinition {
    definition: String,
}

impl StepFunctions {
    /// Registers this project's machines. Idempotent: a machine with the same definition is not changed.
    pub(super) fn register_built_in(&self) -> rusqlite::Result<()> {
        self.state.write(|rows| {
            for (name, definition) in BUILT_IN {
                let definition = with_arns(definition);
                match Machine::find(rows, &state_machine_arn(name))? {
                    Some(machine) if machine.definition == definition => {}
                    Some(machine) => machine.with_changes(Some(definition), None).write(rows)?,
                    None => Machine::new(name, &definition, &role_arn()).write(rows)?,
                }
            }
            Ok(())
        })
    }

    /// Returns the machine of an ARN. Versions and aliases are not implemented.
    pub(super) fn machine(&self, arn: &str) -> Result<Machine, AwsError> {
        machine_name(arn)?;
        Machine::find(&self.state.lock(), arn)?
            .ok_or_else(|| AwsError::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'")))
    }

    pub(super) fn create(&self, create: CreateStateMachine) -> AwsResult {
        check_name(&create.name)?;
        if create.kind.as_deref().is_some_and(|kind| kind != "STANDARD") {
            return Err(AwsError::new(
                "StateMachineTypeNotSupported",
                "this endpoint runs STANDARD state machines only",
            ));
        }
        parse(&create.definition)?;
        let machine = Machine::new(&create.name, &create.definition, &create.role_arn);
        let machine = self.state.write(|rows| match Machine::find(rows, &machine.arn)? {
            None => Ok(machine.write(rows).map(|()| machine)?),
            Some(same) if (&same.definition, &same.role) == (&machine.definition, &machine.role) => Ok(same),
            Some(other) => Err(AwsError::new(
                "StateMachineAlreadyExists",
                format!("State Machine Already Exists: '{}'", other.arn),
            )),
        })?;
        Ok(json!({ "stateMachineArn": machine.arn, "creationDate": epoch_seconds(machine.created) }))
    }

    pub(super) fn update(&self, update: UpdateStateMachine) -> AwsResult {
        if update.definition.is_none() && update.role_arn.is_none() {
            return Err(AwsError::new(
                "MissingRequiredParameter",
                "Either the definition, the role ARN or both have to be given",
            ));
        }
        if let Some(definition) = &update.definition {
            parse(definition)?;
        }
        let machine = self.machine(&update.state_machine_arn)?.with_changes(update.definition, update.role_arn);
        machine.write(&self.state.lock())?;
        Ok(json!({ "updateDate": epoch_seconds(machine.updated), "revisionId": machine.revision }))
    }

    pub(super) fn delete(&self, named: &StateMachineArn) -> AwsResult {
        machine_name(&named.state_machine_arn)?;
        self.state.lock().execute("DELETE FROM state_machines WHERE arn = ?1", [&named.state_machine_arn])?;
        Ok(json!({}))
    }

    pub(super) fn describe(&self, named: &StateMachineArn) -> AwsResult {
        let machine = self.machine(&named.state_machine_arn)?;
        Ok(json!({
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.definition,
            "roleArn": machine.role,
            "type": "STANDARD",
            "creationDate": epoch_seconds(machine.created),
            "loggingConfiguration": { "level": "OFF", "includeExecutionData": false },
            "tracingConfiguration": { "enabled": false },
            "revisionId": machine.revision,
        }))
    }

    pub(super) fn list(&self, list: &ListStateMachines) -> AwsResult {
        let page = PageRequest::new(list.max_results, 100, 1000, list.next_token.as_deref()).map_err(invalid)?;
        let rows = self.state.lock();
        let sql = format!(
            "SELECT {} FROM state_machines WHERE name > coalesce(?1, '') ORDER BY name LIMIT ?2",
            Machine::COLUMNS
        );
        let mut statement = rows.prepare(&sql)?;
        let machines = statement.query_map(params![page.after(), page.query_limit()], Machine::from_row)?;
        let machines: Vec<(String, Value)> = machines
            .map(|machine| {
                machine.map(|machine| {
                    let listed = json!({
                        "stateMachineArn": machine.arn,
                        "name": machine.name,
                        "type": "STANDARD",
                        "creationDate": epoch_seconds(machine.created),
                    });
                    (machine.name, listed)
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(page.into_output("stateMachines", "nextToken", machines))
    }

    pub(super) fn validate(validate: &ValidateStateMachineDefinition) -> AwsResult {
        let diagnostics = match asl::StateMachine::parse(&validate.definition) {
            Ok(_) => Vec::new(),
            Err(error) => vec![json!({
                "severity": "ERROR",
                "code": "SCHEMA_VALIDATION_FAILED",
                "message": error.message,
                "location": error.location,
            })],
        };
        let result = if diagnostics.is_empty() { "OK" } else { "FAIL" };
        Ok(json!({ "result": result, "diagnostics": diagnostics, "truncated": false }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_definitions_have_every_arn_filled_in() {
        for (name, definition) in BUILT_IN {
            let definition = with_arns(definition);
            assert!(!definition.contains("${"), "{name} has a substitution that nobody fills in");
            asl::StateMachine::parse(&definition).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
