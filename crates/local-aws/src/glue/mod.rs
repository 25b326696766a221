//! Glue's data catalog: the API, on the catalog that Athena's statements read and change.
//!
//! The catalog stores what DDL can express, and of tables also what the API describes without an effect on queries. An input with
//! more (parameters of a partition, columns of its own, an unknown format, an unknown member) is refused with
//! `InvalidInputException`, and has no effect.

mod descriptor;
mod details;
mod name_pattern;
mod partitions;
mod searches;
mod tables;
mod versions;

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use local_athena::QueryError;
use local_athena::catalog::{Catalog, ChangeError, Table};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use crate::athena::Athena;
use crate::aws_json::{AwsError, AwsResult};
use crate::identity::ACCOUNT;
use crate::paging::PageRequest;

/// The service.
pub(crate) struct Glue {
    athena: Arc<Athena>,
}

/// The key of a page token: the name of a database or a table, or the values of a partition.
type PageKey = String;

impl Glue {
    /// Creates the service on the catalog of this Athena.
    pub(crate) fn new(athena: Arc<Athena>) -> Arc<Glue> {
        Arc::new(Glue { athena })
    }

    /// Handles an operation of the API. A change that has begun is completed, even if the caller disconnects.
    pub(crate) async fn call(self: &Arc<Self>, operation: &str, value: Value) -> AwsResult {
        let (glue, operation) = (Arc::clone(self), operation.to_owned());
        spawn_blocking(move || glue.dispatch(&operation, value)).await.map_err(internal)?
    }

    fn dispatch(&self, operation: &str, value: Value) -> AwsResult {
        match operation {
            "GetDatabase" => self.get_database(input(value)?),
            "GetDatabases" => self.get_databases(input(value)?),
            "CreateDatabase" => self.create_database(input(value)?),
            "UpdateDatabase" => self.update_database(input(value)?),
            "DeleteDatabase" => self.delete_database(input(value)?),
            "GetTable" => self.get_table(input(value)?),
            "GetTables" => self.get_tables(input(value)?),
            "CreateTable" => self.create_table(input(value)?),
            "UpdateTable" => self.update_table(input(value)?),
            "DeleteTable" => self.delete_table(input(value)?),
            "BatchDeleteTable" => self.batch_delete_table(input(value)?),
            "SearchTables" => self.search_tables(input(value)?),
            "GetTableVersion" => self.get_table_version(input(value)?),
            "GetTableVersions" => self.get_table_versions(input(value)?),
            "DeleteTableVersion" => self.delete_table_version(input(value)?),
            "BatchDeleteTableVersion" => self.batch_delete_table_version(input(value)?),
            "GetPartitionIndexes" => self.get_partition_indexes(&input(value)?),
            "GetColumnStatisticsForTable" | "GetColumnStatisticsForPartition" => {
                self.get_column_statistics(&input(value)?)
            }
            "GetUserDefinedFunctions" => self.get_functions(&input(value)?),
            "GetUserDefinedFunction" => self.get_function(&input(value)?),
            "GetPartition" => self.get_partition(input(value)?),
            "GetPartitions" => self.get_partitions(input(value)?),
            "BatchGetPartition" => self.batch_get_partition(input(value)?),
            "CreatePartition" => self.create_partition(input(value)?),
            "BatchCreatePartition" => self.batch_create_partition(input(value)?),
            "UpdatePartition" => self.update_partition(input(value)?),
            "BatchUpdatePartition" => self.batch_update_partition(input(value)?),
            "DeletePartition" => self.delete_partition(input(value)?),
            "BatchDeletePartition" => self.batch_delete_partition(input(value)?),
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }

    fn catalog(&self) -> &Catalog {
        self.athena.catalog()
    }

    /// Returns an existing table or view.
    fn table(&self, database: &str, name: &str) -> Result<Table, AwsError> {
        let (database, name) = (database.to_lowercase(), name.to_lowercase());
        self.require_database(&database)?;
        self.catalog().table(&database, &name).map_err(internal)?.ok_or_else(|| refused(ChangeError::NoTable(name)))
    }
}

impl Glue {
    fn require_database(&self, name: &str) -> Result<(), AwsError> {
        let name = name.to_lowercase();
        match self.catalog().database(&name).map_err(internal)? {
            Some(_) => Ok(()),
            None => Err(refused(ChangeError::NoDatabase(name))),
        }
    }
}

/// The account of the catalog. There is only one.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct CatalogId(Option<String>);

impl CatalogId {
    fn check(&self) -> Result<(), AwsError> {
        match self.0.as_deref() {
            None | Some(ACCOUNT) => Ok(()),
            Some(other) => Err(not_found(format!("Catalog {other} not found."))),
        }
    }
}

/// Deserializes the input of an operation. Unknown members are errors: they would be ignored.
fn input<T: DeserializeOwned>(value: Value) -> Result<T, AwsError> {
    serde_json::from_value(value)
        .map_err(|error| invalid(format!("this endpoint cannot do as the input says: {error}")))
}

/// Parses a page request of at most `max` rows.
fn page<K: FromStr + Display>(limit: Option<u32>, max: u32, token: Option<&str>) -> Result<PageRequest<K>, AwsError> {
    let limit = limit.unwrap_or(max);
    if !(1..=max).contains(&limit) {
        return Err(constraint("maxResults", &limit.to_string(), &format!("be from 1 to {max}")));
    }
    PageRequest::new(Some(limit), max, max, token.filter(|token| !token.is_empty())).map_err(invalid)
}

/// Refuses a list that is longer than the service's limit.
fn at_most(max: usize, member: &str, found: usize) -> Result<(), AwsError> {
    match found <= max {
        true => Ok(()),
        false => {
            Err(constraint(member, &format!("{found} items"), &format!("have length less than or equal to {max}")))
        }
    }
}

/// The error of AWS's request validation, which precedes the service's own checks.
fn constraint(member: &str, value: &str, must: &str) -> AwsError {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {must}"
    );
    AwsError::new("ValidationException", message)
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidInputException", message)
}

fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new("EntityNotFoundException", message)
}

fn internal(error: impl Display) -> AwsError {
    AwsError::internal(error)
}

/// Converts an error of the catalog to the service's error.
fn refused(why: ChangeError) -> AwsError {
    match &why {
        ChangeError::Internal(error) => internal(error),
        _ => AwsError::new(error_code(&why), why.to_string()),
    }
}

fn error_code(why: &ChangeError) -> &'static str {
    match why {
        ChangeError::NoDatabase(_) | ChangeError::NoTable(_) | ChangeError::NoPartition => "EntityNotFoundException",
        ChangeError::AlreadyExists(_) => "AlreadyExistsException",
        ChangeError::Invalid(_) => "InvalidInputException",
        ChangeError::Concurrent => "ConcurrentModificationException",
        ChangeError::Internal(_) => "InternalServiceException",
    }
}

/// The error of one item of a batch.
fn detail(why: &AwsError) -> Value {
    json!({ "ErrorCode": why.code(), "ErrorMessage": why.message() })
}

/// Refuses a member of an input, unless it is empty.
fn require_empty(member: &str, value: Option<&Map<String, Value>>) -> Result<(), AwsError> {
    match value.is_none_or(Map::is_empty) {
        true => Ok(()),
        false => Err(invalid(format!("this endpoint keeps no {member}: leave them out"))),
    }
}

/// The error of a catalog that cannot be read.
fn unreadable(error: QueryError) -> AwsError {
    internal(error)
}
