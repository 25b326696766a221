//! Operations on databases and tables.

use local_athena::catalog::{CATALOG_NAME, Database, Table, TableKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::descriptor::{Column, StorageDescriptor, column, columns, descriptor};
use super::{CatalogId, Glue, PageKey, invalid, page, refused, require_empty, unreadable};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::epoch_seconds;
use crate::identity::ACCOUNT;

/// The service's limit for databases or tables of a page.
const PAGE: u32 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DatabaseReference {
    #[serde(default)]
    catalog_id: CatalogId,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListDatabases {
    #[serde(default)]
    catalog_id: CatalogId,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateDatabase {
    #[serde(default)]
    catalog_id: CatalogId,
    database_input: DatabaseInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DatabaseInput {
    name: String,
    description: Option<String>,
    location_uri: Option<String>,
    parameters: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TableReference {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListTables {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    expression: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateTable {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_input: TableInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TableInput {
    name: String,
    table_type: Option<String>,
    storage_descriptor: Option<StorageDescriptor>,
    partition_keys: Option<Vec<Column>>,
    parameters: Option<Map<String, Value>>,
    retention: Option<i64>,
}

/// The table parameter with the COMMENT.
const COMMENT: &str = "comment";
/// The table parameter that marks the files as not owned by the catalog.
const EXTERNAL: (&str, &str) = ("EXTERNAL", "TRUE");

impl Glue {
    pub(super) fn get_database(&self, named: DatabaseReference) -> AwsResult {
        named.catalog_id.check()?;
        let name = named.name.to_lowercase();
        match self.catalog().database(&name).map_err(unreadable)? {
            Some(found) => Ok(json!({ "Database": database(&found) })),
            None => Err(refused(local_athena::catalog::ChangeError::NoDatabase(name))),
        }
    }

    pub(super) fn get_databases(&self, list: ListDatabases) -> AwsResult {
        list.catalog_id.check()?;
        let page = page::<PageKey>(list.max_results, PAGE, list.next_token.as_deref())?;
        let all = self.catalog().databases().map_err(unreadable)?;
        let rest = all.iter().filter(|found| page.after().is_none_or(|after| found.name > *after));
        let listed =
            rest.take(page.query_limit() as usize).map(|found| (found.name.clone(), database(found))).collect();
        Ok(page.into_output("DatabaseList", "NextToken", listed))
    }

    pub(super) fn create_database(&self, create: CreateDatabase) -> AwsResult {
        create.catalog_id.check()?;
        let DatabaseInput { name, description, location_uri, parameters } = create.database_input;
        require_empty("Parameters of a database", parameters.as_ref())?;
        let new = Database { name, comment: description, location: location_uri };
        self.catalog().create_database(new).map_err(refused)?;
        Ok(json!({}))
    }

    /// Removes a database with its tables, as Glue does.
    pub(super) fn delete_database(&self, named: DatabaseReference) -> AwsResult {
        named.catalog_id.check()?;
        self.catalog().remove_database(&named.name).map_err(refused)?;
        Ok(json!({}))
    }

    pub(super) fn get_table(&self, named: TableReference) -> AwsResult {
        named.catalog_id.check()?;
        Ok(json!({ "Table": table(&self.table(&named.database_name, &named.name)?) }))
    }

    pub(super) fn get_tables(&self, list: ListTables) -> AwsResult {
        list.catalog_id.check()?;
        if list.expression.is_some_and(|expression| !expression.is_empty()) {
            return Err(invalid("this endpoint lists all tables of a database: leave out the Expression"));
        }
        let page = page::<PageKey>(list.max_results, PAGE, list.next_token.as_deref())?;
        let name = list.database_name.to_lowercase();
        if self.catalog().database(&name).map_err(unreadable)?.is_none() {
            return Err(refused(local_athena::catalog::ChangeError::NoDatabase(name)));
        }
        let all = self.catalog().tables(&name).map_err(unreadable)?;
        let rest = all.iter().filter(|found| page.after().is_none_or(|after| found.name > *after));
        let listed = rest.take(page.query_limit() as usize).map(|found| (found.name.clone(), table(found))).collect();
        Ok(page.into_output("TableList", "NextToken", listed))
    }

    pub(super) fn create_table(&self, create: CreateTable) -> AwsResult {
        create.catalog_id.check()?;
        let new = create.table_input;
        if new.table_type.as_deref() != Some("EXTERNAL_TABLE") {
            let message = format!("TableType is {:?}: this endpoint makes EXTERNAL_TABLE", new.table_type);
            return Err(invalid(message));
        }
        if new.retention.unwrap_or(0) != 0 {
            return Err(invalid("this endpoint keeps no Retention: leave it out"));
        }
        let descriptor = new.storage_descriptor.ok_or_else(|| invalid("a table has a StorageDescriptor"))?;
        let described = descriptor.read()?;
        let Parameters { comment, properties } = Parameters::read(new.parameters.unwrap_or_default())?;
        let new = Table {
            database: create.database_name,
            name: new.name,
            columns: described.columns,
            partition_keys: columns(new.partition_keys.unwrap_or_default())?,
            comment,
            properties,
            kind: TableKind::External { location: described.location, format: described.format },
            // Written by the catalog.
            created: 0,
        };
        self.catalog().create_table(new).map_err(refused)?;
        Ok(json!({}))
    }

    pub(super) fn delete_table(&self, named: TableReference) -> AwsResult {
        named.catalog_id.check()?;
        self.catalog().remove_table(&named.database_name, &named.name).map_err(refused)?;
        Ok(json!({}))
    }
}

/// Returns the parameters of a table that the catalog stores.
#[derive(Default)]
struct Parameters {
    comment: Option<String>,
    properties: Vec<(String, String)>,
}

impl Parameters {
    fn read(parameters: Map<String, Value>) -> Result<Self, AwsError> {
        let mut read = Self::default();
        for (name, value) in parameters {
            let Value::String(value) = value else {
                return Err(invalid(format!("Parameters: {name} is no text")));
            };
            match name.as_str() {
                COMMENT => read.comment = Some(value),
                name if name == EXTERNAL.0 && value.eq_ignore_ascii_case(EXTERNAL.1) => {}
                name if name == EXTERNAL.0 => {
                    return Err(invalid(format!("Parameters: {name} is {value}: this endpoint makes external tables")));
                }
                _ => read.properties.push((name, value)),
            }
        }
        Ok(read)
    }
}

fn database(database: &Database) -> Value {
    let mut described = json!({ "Name": database.name, "CatalogId": ACCOUNT });
    if let Some(comment) = &database.comment {
        described["Description"] = comment.clone().into();
    }
    if let Some(location) = &database.location {
        described["LocationUri"] = location.clone().into();
    }
    described
}

fn table(table: &Table) -> Value {
    let mut parameters: Map<String, Value> =
        table.properties.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    if let Some(comment) = &table.comment {
        parameters.insert(COMMENT.to_owned(), comment.clone().into());
    }
    let mut described = json!({
        "Name": table.name,
        "DatabaseName": table.database,
        "CatalogId": ACCOUNT,
        "CreateTime": epoch_seconds(table.created * 1000),
        "Retention": 0,
        "PartitionKeys": table.partition_keys.iter().map(column).collect::<Vec<_>>(),
        "IsRegisteredWithLakeFormation": false,
    });
    match &table.kind {
        TableKind::External { location, format } => {
            parameters.insert(EXTERNAL.0.to_owned(), EXTERNAL.1.into());
            described["TableType"] = "EXTERNAL_TABLE".into();
            described["StorageDescriptor"] = self::descriptor(location, *format, Some(&table.columns));
        }
        TableKind::View { sql, database } => {
            // Athena's marker of a view, and its text.
            parameters.insert("presto_view".to_owned(), "true".into());
            described["TableType"] = "VIRTUAL_VIEW".into();
            described["ViewOriginalText"] = format!("/* Presto View: {} */", view(table, sql, database)).into();
            described["ViewExpandedText"] = "/* Presto View */".into();
            described["StorageDescriptor"] =
                json!({ "Columns": table.columns.iter().map(column).collect::<Vec<_>>(), "Location": "" });
        }
    }
    described["Parameters"] = parameters.into();
    described
}

/// The text of a view in Athena's form: JSON in base64.
fn view(table: &Table, sql: &str, database: &str) -> String {
    let columns = table.columns.iter().map(|column| json!({ "name": column.name, "type": column.type_name() }));
    let view = json!({
        "originalSql": sql,
        "catalog": CATALOG_NAME,
        "schema": database,
        "columns": columns.collect::<Vec<_>>(),
    });
    base64_simd::STANDARD.encode_to_string(view.to_string())
}
