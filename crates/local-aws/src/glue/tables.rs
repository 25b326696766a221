//! Operations on databases and tables.

use local_athena::catalog::{CATALOG_NAME, ChangeError, Database, Table, TableKind, TableUpdate};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::descriptor::{Column, StorageDescriptor, column, columns};
use super::details::Details;
use super::name_pattern::NamePattern;
use super::{CatalogId, Glue, PageKey, at_most, detail, invalid, page, refused, require_empty, unreadable};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::ACCOUNT;

/// The service's limit for databases or tables of a page.
pub(super) const PAGE: u32 = 100;

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
    resource_share_type: Option<String>,
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
pub(super) struct UpdateDatabase {
    #[serde(default)]
    catalog_id: CatalogId,
    name: String,
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
    description: Option<String>,
    owner: Option<String>,
    last_access_time: Option<Value>,
    last_analyzed_time: Option<Value>,
    table_type: Option<String>,
    storage_descriptor: Option<StorageDescriptor>,
    partition_keys: Option<Vec<Column>>,
    parameters: Option<Map<String, Value>>,
    retention: Option<i64>,
    view_original_text: Option<String>,
    view_expanded_text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdateTable {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    name: Option<String>,
    table_input: TableInput,
    #[serde(default)]
    skip_archive: bool,
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchDeleteTable {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    tables_to_delete: Vec<String>,
}

impl TableInput {
    /// Converts the input to an external table. `version` is the number of changes before it.
    fn read(self, database: &str, version: i64) -> Result<Table, AwsError> {
        let kind = self.table_type.as_deref();
        if kind.is_some_and(|kind| kind != "EXTERNAL_TABLE") {
            return Err(invalid(format!("TableType is {kind:?}: this endpoint makes EXTERNAL_TABLE")));
        }
        let texts = [self.view_original_text, self.view_expanded_text];
        if texts.into_iter().flatten().any(|text| !text.is_empty()) {
            return Err(invalid("a view is made by the statement CREATE VIEW"));
        }
        let descriptor = self.storage_descriptor.ok_or_else(|| invalid("a table has a StorageDescriptor"))?;
        let described = descriptor.read()?;
        let Parameters { comment, properties } = Parameters::read(self.parameters.unwrap_or_default())?;
        let details = Details {
            description: self.description,
            owner: self.owner,
            retention: self.retention.unwrap_or_default(),
            last_access: self.last_access_time,
            last_analyzed: self.last_analyzed_time,
            version,
            updated: (version > 0).then(now_millis),
            storage: described.details,
        };
        Ok(Table {
            database: database.to_owned(),
            name: self.name,
            columns: described.columns,
            partition_keys: columns(self.partition_keys.unwrap_or_default())?,
            comment,
            properties,
            kind: TableKind::External { location: described.location, format: described.format },
            // Written by the catalog.
            created: 0,
            details: details.to_text()?,
        })
    }
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
            None => Err(refused(ChangeError::NoDatabase(name))),
        }
    }

    pub(super) fn get_databases(&self, list: ListDatabases) -> AwsResult {
        list.catalog_id.check()?;
        let page = page::<PageKey>(list.max_results, PAGE, list.next_token.as_deref())?;
        let mut all = self.catalog().databases().map_err(unreadable)?;
        // None is shared by another account.
        all.retain(|_| list.resource_share_type.as_deref() != Some("FOREIGN"));
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

    pub(super) fn update_database(&self, update: UpdateDatabase) -> AwsResult {
        update.catalog_id.check()?;
        let DatabaseInput { name, description, location_uri, parameters } = update.database_input;
        require_empty("Parameters of a database", parameters.as_ref())?;
        if name.to_lowercase() != update.name.to_lowercase() {
            return Err(invalid("DatabaseInput.Name: a database cannot be renamed"));
        }
        let new = Database { name, comment: description, location: location_uri };
        self.catalog().update_database(new).map_err(refused)?;
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
        let expression = list.expression.filter(|expression| !expression.is_empty());
        let pattern = expression.map(|expression| NamePattern::parse(&expression)).transpose()?;
        let page = page::<PageKey>(list.max_results, PAGE, list.next_token.as_deref())?;
        let name = list.database_name.to_lowercase();
        self.require_database(&name)?;
        let all = self.catalog().tables(&name).map_err(unreadable)?;
        let rest = all
            .iter()
            .filter(|found| pattern.as_ref().is_none_or(|pattern| pattern.matches(&found.name)))
            .filter(|found| page.after().is_none_or(|after| found.name > *after));
        let listed = rest.take(page.query_limit() as usize).map(|found| (found.name.clone(), table(found))).collect();
        Ok(page.into_output("TableList", "NextToken", listed))
    }

    pub(super) fn create_table(&self, create: CreateTable) -> AwsResult {
        create.catalog_id.check()?;
        let new = create.table_input.read(&create.database_name, 0)?;
        self.catalog().create_table(new).map_err(refused)?;
        Ok(json!({}))
    }

    /// Changes a table, and keeps it as it was under its version.
    pub(super) fn update_table(&self, update: UpdateTable) -> AwsResult {
        update.catalog_id.check()?;
        let UpdateTable { database_name, name, table_input, skip_archive, version_id, .. } = update;
        let name = name.unwrap_or_else(|| table_input.name.clone());
        if name.to_lowercase() != table_input.name.to_lowercase() {
            return Err(invalid("TableInput.Name: a table cannot be renamed"));
        }
        let change = |old: &Table| {
            let version = Details::of(old).version;
            if version_id.is_some_and(|expected| expected != version.to_string()) {
                return Err(ChangeError::Concurrent);
            }
            let wrong = |error: AwsError| ChangeError::Invalid(error.message().to_owned());
            let new = table_input.read(&old.database, version + 1).map_err(wrong)?;
            let archive = (!skip_archive).then(|| (version, table(old).to_string()));
            Ok(TableUpdate { table: new, archive })
        };
        self.catalog().update_table(&database_name, &name, change).map_err(refused)?;
        Ok(json!({}))
    }

    pub(super) fn batch_delete_table(&self, batch: BatchDeleteTable) -> AwsResult {
        batch.catalog_id.check()?;
        at_most(PAGE as usize, "tablesToDelete", batch.tables_to_delete.len())?;
        self.require_database(&batch.database_name)?;
        let mut errors = Vec::new();
        for name in batch.tables_to_delete {
            if let Err(why) = self.catalog().remove_table(&batch.database_name, &name) {
                errors.push(json!({ "TableName": name, "ErrorDetail": detail(&refused(why)) }));
            }
        }
        Ok(json!({ "Errors": errors }))
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

pub(super) fn table(table: &Table) -> Value {
    let details = Details::of(table);
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
        "UpdateTime": epoch_seconds(details.updated.unwrap_or(table.created * 1000)),
        "VersionId": details.version.to_string(),
        "Retention": details.retention,
        "PartitionKeys": table.partition_keys.iter().map(column).collect::<Vec<_>>(),
        "IsRegisteredWithLakeFormation": false,
    });
    let texts = [("Description", details.description), ("Owner", details.owner)];
    let texts = texts.map(|(name, text)| (name, text.map(Value::from)));
    let times = [("LastAccessTime", details.last_access), ("LastAnalyzedTime", details.last_analyzed)];
    for (name, value) in texts.into_iter().chain(times) {
        if let Some(value) = value {
            described[name] = value;
        }
    }
    match &table.kind {
        TableKind::External { location, format } => {
            parameters.insert(EXTERNAL.0.to_owned(), EXTERNAL.1.into());
            described["TableType"] = "EXTERNAL_TABLE".into();
            described["StorageDescriptor"] =
                super::descriptor::descriptor(location, *format, Some(&table.columns), &details.storage);
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
