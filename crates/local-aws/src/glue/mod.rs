//! Glue's data catalog: the API over the same catalog that the statements of Athena read and change.
//!
//! The catalog holds what DDL can say. An input that says more (parameters of a partition, columns of its own, another
//! format than Parquet, a member that is not known here) is refused with `InvalidInputException`, and nothing of it is
//! kept.

mod descriptor;
mod partitions;
mod tables;

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
use crate::aws_json::{Answer, AwsError};
use crate::identity::ACCOUNT;
use crate::paging::Page;

/// The service.
pub(crate) struct Glue {
    athena: Arc<Athena>,
}

/// What stands for the name of a database, a table or a partition in the texts of tokens.
type Key = String;

impl Glue {
    /// The API of the catalog that this Athena has.
    pub(crate) fn new(athena: Arc<Athena>) -> Arc<Glue> {
        Arc::new(Glue { athena })
    }

    /// One operation of the API. A change of the catalog, once begun, is carried out, whatever becomes of its caller.
    pub(crate) async fn call(self: &Arc<Self>, operation: &str, value: Value) -> Answer {
        let (glue, operation) = (Arc::clone(self), operation.to_owned());
        spawn_blocking(move || glue.answer(&operation, value)).await.map_err(internal)?
    }

    fn answer(&self, operation: &str, value: Value) -> Answer {
        match operation {
            "GetDatabase" => self.get_database(input(value)?),
            "GetDatabases" => self.get_databases(input(value)?),
            "CreateDatabase" => self.create_database(input(value)?),
            "DeleteDatabase" => self.delete_database(input(value)?),
            "GetTable" => self.get_table(input(value)?),
            "GetTables" => self.get_tables(input(value)?),
            "CreateTable" => self.create_table(input(value)?),
            "DeleteTable" => self.delete_table(input(value)?),
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

    /// A table or a view that is there.
    fn table(&self, database: &str, name: &str) -> Result<Table, AwsError> {
        let (database, name) = (database.to_lowercase(), name.to_lowercase());
        if self.catalog().database(&database).map_err(internal)?.is_none() {
            return Err(refused(ChangeError::NoDatabase(database)));
        }
        self.catalog().table(&database, &name).map_err(internal)?.ok_or_else(|| refused(ChangeError::NoTable(name)))
    }
}

/// The account whose catalog is meant. There is one.
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

/// The operation's input in its type, which names all members that have a meaning here.
fn input<T: DeserializeOwned>(value: Value) -> Result<T, AwsError> {
    serde_json::from_value(value)
        .map_err(|error| invalid(format!("this endpoint cannot do as the input says: {error}")))
}

/// A page of what is listed, at most `most`.
fn page<K: FromStr + Display>(wanted: Option<u32>, most: u32, token: Option<&str>) -> Result<Page<K>, AwsError> {
    let wanted = wanted.unwrap_or(most);
    if !(1..=most).contains(&wanted) {
        return Err(constraint("maxResults", &wanted.to_string(), &format!("be from 1 to {most}")));
    }
    Page::new(Some(wanted), most, most, token.filter(|token| !token.is_empty())).map_err(invalid)
}

/// Refuses a list that is longer than the service's limit.
fn at_most(most: usize, member: &str, found: usize) -> Result<(), AwsError> {
    match found <= most {
        true => Ok(()),
        false => {
            Err(constraint(member, &format!("{found} items"), &format!("have length less than or equal to {most}")))
        }
    }
}

/// What AWS answers with before the service itself looks at a request.
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

/// A change that was not made, under the service's names.
fn refused(why: ChangeError) -> AwsError {
    match &why {
        ChangeError::Internal(error) => internal(error),
        _ => AwsError::new(code_of(&why), why.to_string()),
    }
}

fn code_of(why: &ChangeError) -> &'static str {
    match why {
        ChangeError::NoDatabase(_) | ChangeError::NoTable(_) | ChangeError::NoPartition => "EntityNotFoundException",
        ChangeError::AlreadyExists(_) => "AlreadyExistsException",
        ChangeError::Invalid(_) => "InvalidInputException",
        ChangeError::Internal(_) => "InternalServiceException",
    }
}

/// The detail of what was passed over in a batch.
fn detail(why: &ChangeError) -> Value {
    json!({ "ErrorCode": code_of(why), "ErrorMessage": why.to_string() })
}

/// Refuses a member of an input, if it says anything.
fn nothing(member: &str, said: Option<&Map<String, Value>>) -> Result<(), AwsError> {
    match said.is_none_or(Map::is_empty) {
        true => Ok(()),
        false => Err(invalid(format!("this endpoint keeps no {member}: leave them out"))),
    }
}

/// For `map_err` behind reading the catalog.
fn unreadable(error: QueryError) -> AwsError {
    internal(error)
}
