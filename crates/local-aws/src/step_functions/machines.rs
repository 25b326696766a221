//! State machines: those of this project, registered at each start, and those that clients create.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::aliases::{self, Alias};
use super::names::{check_name, check_role, machine_name};
use super::settings::{Logging, Settings, Tag, Tracing};
use super::versions::Version;
use super::{StepFunctions, integrations, invalid};
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
    /// Empty until the machine is updated.
    pub(super) revision: String,
}

/// What an execution is started of.
#[derive(Debug, Clone)]
pub(super) struct Startable {
    /// The machine, with the definition and the role of the version.
    pub(super) machine: Machine,
    /// The ARN of the version.
    pub(super) version: Option<String>,
    /// The ARN of the alias that led to it.
    pub(super) alias: Option<String>,
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
            revision: String::new(),
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

    /// Adds the revision to an output, if the machine was updated.
    fn describe_revision(&self, output: &mut Value) {
        if !self.revision.is_empty() {
            output["revisionId"] = self.revision.as_str().into();
        }
    }

    fn write(&self, rows: &Connection) -> rusqlite::Result<()> {
        let sql =
            format!("INSERT OR REPLACE INTO state_machines ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", Machine::COLUMNS);
        let row = params![self.arn, self.name, self.definition, self.role, self.created, self.updated, self.revision];
        rows.execute(&sql, row).map(|_| ())
    }

    /// Returns the machine with a new definition or role, and a new revision if one differs, or anything else does.
    fn with_changes(mut self, definition: Option<String>, role: Option<String>, others: bool) -> Machine {
        let definition = definition.unwrap_or_else(|| self.definition.clone());
        let role = role.unwrap_or_else(|| self.role.clone());
        if others || (&definition, &role) != (&self.definition, &self.role) {
            self.revision = uuid::Uuid::new_v4().to_string();
        }
        self.definition = definition;
        self.role = role;
        self.updated = now_millis();
        self
    }
}

/// Parses a definition.
pub(super) fn parse(definition: &str) -> Result<asl::StateMachine, AwsError> {
    const LARGEST: usize = 1024 * 1024;
    if definition.len() > LARGEST {
        return Err(AwsError::new("InvalidDefinition", "Invalid State Machine Definition: it is larger than 1 MB"));
    }
    asl::StateMachine::parse(definition).map_err(|error| invalid_definition(&error))
}

pub(super) fn invalid_definition(error: &asl::DefinitionError) -> AwsError {
    AwsError::new("InvalidDefinition", format!("Invalid State Machine Definition: '{error}'"))
}

/// Parses a new definition, and refuses what only AWS can run.
fn check_definition(definition: &str) -> Result<(), AwsError> {
    integrations::check(&parse(definition)?).map_err(|error| invalid_definition(&error))
}

/// Refuses the description of a version that is not published.
fn check_published(publish: bool, description: Option<&str>) -> Result<(), AwsError> {
    match (publish, description) {
        (false, Some(_)) => {
            Err(AwsError::new("ValidationException", "Version description can only be set when publish is true"))
        }
        _ => Ok(()),
    }
}

fn refuse_encryption(encryption: Option<&Value>) -> Result<(), AwsError> {
    let kind = encryption.and_then(|encryption| encryption["type"].as_str());
    match kind {
        None | Some("AWS_OWNED_KEY") => Ok(()),
        Some(other) => Err(AwsError::new(
            "InvalidEncryptionConfiguration",
            format!("This endpoint keeps state machines in the clear: leave out the encryption of type {other}"),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateStateMachine {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    publish: bool,
    version_description: Option<String>,
    logging_configuration: Option<Logging>,
    tracing_configuration: Option<Tracing>,
    encryption_configuration: Option<Value>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateStateMachine {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
    #[serde(default)]
    publish: bool,
    version_description: Option<String>,
    logging_configuration: Option<Logging>,
    tracing_configuration: Option<Tracing>,
    encryption_configuration: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeStateMachine {
    state_machine_arn: String,
    included_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateMachineArn {
    pub(super) state_machine_arn: String,
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
                    Some(machine) => machine.with_changes(Some(definition), None, false).write(rows)?,
                    None => Machine::new(name, &definition, &role_arn()).write(rows)?,
                }
            }
            Ok(())
        })
    }

    /// Returns the machine of an ARN, which is not that of a version or an alias.
    pub(super) fn machine(&self, arn: &str) -> Result<Machine, AwsError> {
        machine_name(arn)?;
        Machine::find(&self.state.lock(), arn)?
            .ok_or_else(|| AwsError::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'")))
    }

    /// Returns what an ARN of a machine, a version or an alias starts.
    pub(super) fn startable(&self, arn: &str) -> Result<Startable, AwsError> {
        let absent = || AwsError::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'"));
        let name = machine_name(arn)?;
        let machine = state_machine_arn(name);
        if machine == arn {
            return Ok(Startable { machine: self.machine(arn)?, version: None, alias: None });
        }
        let rows = self.state.lock();
        let mut machine = Machine::find(&rows, &machine)?.ok_or_else(absent)?;
        let alias = Alias::find(&rows, arn)?;
        let version = match &alias {
            Some(alias) => alias.draw().unwrap_or(arn),
            None => arn,
        };
        let version = Version::find(&rows, version)?.ok_or_else(absent)?;
        machine.definition.clone_from(&version.definition);
        machine.role.clone_from(&version.role);
        Ok(Startable { machine, version: Some(version.arn()), alias: alias.map(|alias| alias.arn()) })
    }

    /// Creates a machine. Idempotent: the same again, whatever its role and tags, is the machine that there is.
    pub(super) fn create(&self, create: CreateStateMachine) -> AwsResult {
        check_name(&create.name)?;
        check_role(&create.role_arn)?;
        if create.kind.as_deref().is_some_and(|kind| kind != "STANDARD") {
            return Err(AwsError::new(
                "StateMachineTypeNotSupported",
                "this endpoint runs STANDARD state machines only",
            ));
        }
        check_published(create.publish, create.version_description.as_deref())?;
        refuse_encryption(create.encryption_configuration.as_ref())?;
        check_definition(&create.definition)?;
        let settings =
            Settings::default().with(create.logging_configuration, create.tracing_configuration, create.tags)?;
        let machine = Machine::new(&create.name, &create.definition, &create.role_arn);
        let (machine, version) = self.state.write(|rows| {
            let description = create.version_description;
            let Some(known) = Machine::find(rows, &machine.arn)? else {
                machine.write(rows)?;
                settings.write(rows, &machine.arn)?;
                let version = match create.publish {
                    false => None,
                    true => Some(Version::publish(rows, &machine, description)?),
                };
                return Ok((machine, version));
            };
            // AWS compares what was published too.
            let version = Version::of_revision(rows, &known)?.filter(|_| create.publish);
            let is_published = version.as_ref().is_some_and(|version| version.description == description);
            let is_same =
                known.definition == machine.definition && Settings::find(rows, &known.arn)?.is_same(&settings);
            match is_same && create.publish == is_published {
                true => Ok((known, version)),
                false => Err(already_exists(&known)),
            }
        })?;
        let mut created = json!({ "stateMachineArn": machine.arn, "creationDate": epoch_seconds(machine.created) });
        describe_version(version.as_ref(), &mut created);
        Ok(created)
    }

    pub(super) fn update(&self, update: UpdateStateMachine) -> AwsResult {
        let UpdateStateMachine { definition, role_arn, logging_configuration, tracing_configuration, .. } = update;
        check_published(update.publish, update.version_description.as_deref())?;
        refuse_encryption(update.encryption_configuration.as_ref())?;
        let (has_logging, has_tracing) = (logging_configuration.is_some(), tracing_configuration.is_some());
        if definition.is_none() && role_arn.is_none() && !has_logging && !has_tracing {
            return Err(AwsError::new(
                "MissingRequiredParameter",
                "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified",
            ));
        }
        definition.as_deref().map_or(Ok(()), check_definition)?;
        role_arn.as_deref().map_or(Ok(()), check_role)?;
        let machine = self.machine(&update.state_machine_arn)?;
        let (machine, version) = self.state.write(|rows| {
            let before = Settings::find(rows, &machine.arn)?;
            let settings = before.clone().with(logging_configuration, tracing_configuration, None)?;
            let machine = machine.with_changes(definition, role_arn, !before.is_same(&settings));
            settings.write(rows, &machine.arn)?;
            machine.write(rows)?;
            let version = match update.publish {
                false => None,
                true => Some(Version::publish(rows, &machine, update.version_description)?),
            };
            Ok::<_, AwsError>((machine, version))
        })?;
        let mut updated = json!({ "updateDate": epoch_seconds(machine.updated) });
        machine.describe_revision(&mut updated);
        describe_version(version.as_ref(), &mut updated);
        Ok(updated)
    }

    pub(super) fn delete(&self, named: &StateMachineArn) -> AwsResult {
        StepFunctions::refuse_qualified(named)?;
        self.state.write(|rows| {
            rows.execute("DELETE FROM state_machines WHERE arn = ?1", [&named.state_machine_arn])?;
            Version::delete_all(rows, &named.state_machine_arn)?;
            aliases::delete_all(rows, &named.state_machine_arn)?;
            Settings::delete(rows, &named.state_machine_arn)
        })?;
        Ok(json!({}))
    }

    pub(super) fn describe(&self, named: &DescribeStateMachine) -> AwsResult {
        let version = Version::find(&self.state.lock(), &named.state_machine_arn)?;
        let (machine, settings) = match &version {
            None => {
                let machine = self.machine(&named.state_machine_arn)?;
                let settings = Settings::find(&self.state.lock(), &machine.arn)?;
                (machine, settings)
            }
            Some(version) => {
                let name = machine_name(&named.state_machine_arn)?;
                let mut machine = Machine::new(name, &version.definition, &version.role);
                machine.arn = version.arn();
                machine.created = version.created;
                machine.revision.clone_from(&version.revision);
                (machine, Settings::from_text(&version.settings)?)
            }
        };
        let mut described = json!({
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": included_definition(&machine.definition, named.included_data.as_deref()),
            "roleArn": machine.role,
            "type": "STANDARD",
            "creationDate": epoch_seconds(machine.created),
            "loggingConfiguration": settings.logging(),
            "tracingConfiguration": settings.tracing(),
        });
        machine.describe_revision(&mut described);
        describe_variables(&machine.definition, &mut described);
        if let Some(description) = version.and_then(|version| version.description) {
            described["description"] = description.into();
        }
        Ok(described)
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
        let checked = asl::StateMachine::parse(&validate.definition)
            .and_then(|machine| integrations::check(&machine))
            .map_err(|error| diagnostic(&error));
        let diagnostics: Vec<Value> = checked.err().into_iter().collect();
        let result = if diagnostics.is_empty() { "OK" } else { "FAIL" };
        Ok(json!({ "result": result, "diagnostics": diagnostics, "truncated": false }))
    }
}

/// The definition in a description: an empty one where the caller wants no data.
pub(super) fn included_definition<'a>(definition: &'a str, included: Option<&str>) -> &'a str {
    if included == Some("METADATA_ONLY") { "{}" } else { definition }
}

fn already_exists(machine: &Machine) -> AwsError {
    AwsError::new("StateMachineAlreadyExists", format!("State Machine Already Exists: '{}'", machine.arn))
}

/// Adds the version that was published to an output.
fn describe_version(version: Option<&Version>, output: &mut Value) {
    if let Some(version) = version {
        output["stateMachineVersionArn"] = version.arn().into();
    }
}

/// Adds the variables that the states read to a description, if there are any.
pub(super) fn describe_variables(definition: &str, described: &mut Value) {
    // A definition that an earlier version took may be refused by this one, and is described all the same.
    let Ok(machine) = asl::StateMachine::parse(definition) else { return };
    let references = machine.variable_references();
    if !references.is_empty() {
        described["variableReferences"] = json!(references);
    }
}

fn diagnostic(error: &asl::DefinitionError) -> Value {
    let mut diagnostic = json!({ "severity": "ERROR", "code": error.code.to_string(), "message": error.message });
    if !error.location.is_empty() {
        diagnostic["location"] = error.location.as_str().into();
    }
    diagnostic
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
