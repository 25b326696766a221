//! Aliases of state machines: names of one or two versions, between which executions are shared by weight.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-state-machine-alias.html>

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::names::{Qualifier, check_alias_name, qualified};
use super::versions::{ListOfMachine, Version};
use super::{StepFunctions, invalid};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::state_machine_arn;
use crate::paging::PageRequest;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state_machine_aliases (
    machine TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    routing TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (machine, name)
) STRICT, WITHOUT ROWID;
";

/// AWS's limit.
const MAX_ALIASES: i64 = 100;

/// A row of the state: an alias.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    machine: String,
    name: String,
    description: Option<String>,
    routing: Vec<Route>,
    created: i64,
    updated: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Route {
    state_machine_version_arn: String,
    /// In percent.
    weight: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateAlias {
    name: String,
    description: Option<String>,
    routing_configuration: Vec<Route>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateAlias {
    state_machine_alias_arn: String,
    description: Option<String>,
    routing_configuration: Option<Vec<Route>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AliasArn {
    state_machine_alias_arn: String,
}

impl Alias {
    const COLUMNS: &str = "machine, name, description, routing, created, updated";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Alias> {
        let routing: String = row.get(3)?;
        Ok(Alias {
            machine: row.get(0)?,
            name: row.get(1)?,
            description: row.get(2)?,
            routing: serde_json::from_str(&routing).map_err(|_| rusqlite::Error::InvalidQuery)?,
            created: row.get(4)?,
            updated: row.get(5)?,
        })
    }

    /// Returns the alias of an ARN. `None` if it is the ARN of anything else, or there is none.
    pub(super) fn find(rows: &Connection, arn: &str) -> Result<Option<Alias>, AwsError> {
        let (name, Some(Qualifier::Alias(alias))) = qualified(arn)? else { return Ok(None) };
        let sql = format!("SELECT {} FROM state_machine_aliases WHERE machine = ?1 AND name = ?2", Alias::COLUMNS);
        Ok(rows.query_row(&sql, [&state_machine_arn(name), alias], Alias::from_row).optional()?)
    }

    fn all(rows: &Connection, machine: &str) -> rusqlite::Result<Vec<Alias>> {
        let sql = format!("SELECT {} FROM state_machine_aliases WHERE machine = ?1 ORDER BY name", Alias::COLUMNS);
        rows.prepare(&sql)?.query_map([machine], Alias::from_row)?.collect()
    }

    fn write(&self, rows: &Connection) -> Result<(), AwsError> {
        let sql = format!(
            "INSERT OR REPLACE INTO state_machine_aliases ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            Alias::COLUMNS
        );
        let routing = serde_json::to_string(&self.routing).map_err(AwsError::internal)?;
        let Alias { machine, name, description, created, updated, .. } = self;
        rows.execute(&sql, params![machine, name, description, routing, created, updated])?;
        Ok(())
    }

    pub(super) fn arn(&self) -> String {
        format!("{}:{}", self.machine, self.name)
    }

    /// Draws the version of the next execution, by weight.
    pub(super) fn draw(&self) -> Option<&str> {
        self.at((Uuid::new_v4().as_u128() % 100) as u32)
    }

    /// Returns the version of a number from 0 to 99.
    fn at(&self, mut number: u32) -> Option<&str> {
        let chosen = self.routing.iter().find(|route| {
            let is_within = number < route.weight;
            number = number.saturating_sub(route.weight);
            is_within
        });
        chosen.map(|route| route.state_machine_version_arn.as_str())
    }

    fn routes_to(&self, version: &str) -> bool {
        self.routing.iter().any(|route| route.state_machine_version_arn == version)
    }
}

/// Returns the names of the aliases of a machine that route to a version.
pub(super) fn routing_to(rows: &Connection, machine: &str, version: &str) -> rusqlite::Result<Vec<String>> {
    let aliases = Alias::all(rows, machine)?.into_iter();
    Ok(aliases.filter(|alias| alias.routes_to(version)).map(|alias| alias.name).collect())
}

/// Deletes all aliases of a machine.
pub(super) fn delete_all(rows: &Connection, machine: &str) -> rusqlite::Result<()> {
    rows.execute("DELETE FROM state_machine_aliases WHERE machine = ?1", [machine]).map(drop)
}

/// Checks a routing, and returns the ARN of its machine.
fn check_routing(rows: &Connection, routing: &[Route]) -> Result<String, AwsError> {
    let arns: Vec<&str> = routing.iter().map(|route| route.state_machine_version_arn.as_str()).collect();
    let invalid = |message: String| Err(AwsError::new("ValidationException", message));
    if let Some((at, route)) = routing.iter().enumerate().find(|(_, route)| route.weight > 100) {
        return invalid(format!(
            "1 validation error detected: Value '{}' at 'routingConfiguration.{}.member.weight' failed to satisfy \
             constraint: Member must have value less than or equal to 100",
            route.weight,
            at + 1
        ));
    }
    let mut machines = BTreeSet::new();
    for arn in &arns {
        match qualified(arn)? {
            (name, Some(Qualifier::Version(_))) => machines.insert(name),
            _ => {
                let received = arns.join(", ");
                return invalid(format!(
                    "Routing configuration must contain state machine version ARNs. Received: [{received}]"
                ));
            }
        };
    }
    if arns.iter().collect::<BTreeSet<_>>().len() < arns.len() {
        let received = arns.join(", ");
        return invalid(format!(
            "Routing configuration must contain distinct state machine version ARNs. Received: [{received}]"
        ));
    }
    let weights: Vec<u32> = routing.iter().map(|route| route.weight).collect();
    if weights.iter().sum::<u32>() != 100 {
        return invalid(format!("Sum of routing configuration weights must equal 100. Received: {weights:?}"));
    }
    let Some(machine) = machines.first().filter(|_| machines.len() == 1) else {
        return invalid(format!("The versions are of several state machines: [{}]", arns.join(", ")));
    };
    for arn in &arns {
        Version::find(rows, arn)?.ok_or_else(not_found)?;
    }
    Ok(state_machine_arn(machine))
}

fn not_found() -> AwsError {
    AwsError::new("ResourceNotFound", "Request references a resource that does not exist.")
}

impl StepFunctions {
    /// Creates an alias. Idempotent: the same again is the alias that there is.
    pub(super) fn create_alias(&self, create: CreateAlias) -> AwsResult {
        check_alias_name(&create.name)?;
        let alias = self.state.write(|rows| {
            let machine = check_routing(rows, &create.routing_configuration)?;
            let now = now_millis();
            let CreateAlias { name, description, routing_configuration: routing } = create;
            let alias = Alias { machine, name, description, routing, created: now, updated: now };
            if let Some(same) = Alias::find(rows, &alias.arn())? {
                if (&same.routing, &same.description) == (&alias.routing, &alias.description) {
                    return Ok(same);
                }
                let message = "Failed to create alias because an alias with the same name and a different routing \
                    configuration already exists.";
                return Err(AwsError::new("ConflictException", message));
            }
            if Alias::all(rows, &alias.machine)?.len() as i64 >= MAX_ALIASES {
                let message = format!("A state machine has at most {MAX_ALIASES} aliases: delete one");
                return Err(AwsError::new("ServiceQuotaExceededException", message));
            }
            alias.write(rows)?;
            Ok(alias)
        })?;
        Ok(json!({ "stateMachineAliasArn": alias.arn(), "creationDate": epoch_seconds(alias.created) }))
    }

    pub(super) fn update_alias(&self, update: UpdateAlias) -> AwsResult {
        if update.description.is_none() && update.routing_configuration.is_none() {
            let message = "Either the description or the routing configuration must be specified";
            return Err(AwsError::new("ValidationException", message));
        }
        let updated = self.state.write(|rows| {
            let alias = Alias::find(rows, &update.state_machine_alias_arn)?.ok_or_else(not_found)?;
            if let Some(routing) = &update.routing_configuration
                && check_routing(rows, routing)? != alias.machine
            {
                let message = "The versions are of another state machine than the alias";
                return Err(AwsError::new("ValidationException", message));
            }
            let alias = Alias {
                description: update.description.or(alias.description),
                routing: update.routing_configuration.unwrap_or(alias.routing),
                updated: now_millis(),
                ..alias
            };
            alias.write(rows)?;
            Ok(alias.updated)
        })?;
        Ok(json!({ "updateDate": epoch_seconds(updated) }))
    }

    /// Deletes an alias. Does nothing if there is none.
    pub(super) fn delete_alias(&self, named: &AliasArn) -> AwsResult {
        let (name, alias) = qualified(&named.state_machine_alias_arn)?;
        let Some(Qualifier::Alias(alias)) = alias else {
            let message = format!("Invalid Arn: '{}': it is not that of an alias", named.state_machine_alias_arn);
            return Err(AwsError::new("InvalidArn", message));
        };
        let sql = "DELETE FROM state_machine_aliases WHERE machine = ?1 AND name = ?2";
        self.state.write(|rows| rows.execute(sql, [&state_machine_arn(name), alias]))?;
        Ok(json!({}))
    }

    pub(super) fn describe_alias(&self, named: &AliasArn) -> AwsResult {
        let alias = Alias::find(&self.state.lock(), &named.state_machine_alias_arn)?.ok_or_else(not_found)?;
        let mut described = json!({
            "stateMachineAliasArn": alias.arn(),
            "name": alias.name,
            "routingConfiguration": alias.routing,
            "creationDate": epoch_seconds(alias.created),
            "updateDate": epoch_seconds(alias.updated),
        });
        if let Some(description) = alias.description {
            described["description"] = description.into();
        }
        Ok(described)
    }

    /// Lists the aliases of a machine, or those that route to a version of it.
    pub(super) fn list_aliases(&self, list: &ListOfMachine) -> AwsResult {
        let (name, qualifier) = qualified(&list.state_machine_arn)?;
        let machine = state_machine_arn(name);
        self.machine(&machine)?;
        let version = qualifier.map(|_| list.state_machine_arn.as_str());
        let page = PageRequest::<String>::new(list.max_results, 100, 1000, list.next_token.as_deref());
        let page = page.map_err(invalid)?;
        let aliases = Alias::all(&self.state.lock(), &machine)?.into_iter();
        let aliases = aliases.filter(|alias| version.is_none_or(|version| alias.routes_to(version)));
        let following = aliases.filter(|alias| page.after().is_none_or(|after| alias.name > *after));
        let listed: Vec<(String, Value)> = following
            .take(page.query_limit() as usize)
            .map(|alias| {
                let created = epoch_seconds(alias.created);
                let listed = json!({ "stateMachineAliasArn": alias.arn(), "creationDate": created });
                (alias.name, listed)
            })
            .collect();
        Ok(page.into_output("stateMachineAliases", "nextToken", listed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_shared_by_weight() {
        let route = |version: &str, weight| Route { state_machine_version_arn: version.to_owned(), weight };
        let alias = |routing: Vec<Route>| Alias {
            machine: "m".to_owned(),
            name: "a".to_owned(),
            description: None,
            routing,
            created: 0,
            updated: 0,
        };
        let share = |alias: &Alias, version: &str| (0..100).filter(|number| alias.at(*number) == Some(version)).count();
        let both = alias(vec![route("m:1", 70), route("m:2", 30)]);
        assert_eq!((share(&both, "m:1"), share(&both, "m:2")), (70, 30));
        let all = alias(vec![route("m:1", 0), route("m:2", 100)]);
        assert_eq!((share(&all, "m:1"), share(&all, "m:2")), (0, 100));
        assert!(both.draw().is_some());
    }
}
