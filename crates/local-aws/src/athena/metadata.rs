//! Operations on the catalog and the workgroups.

use local_athena::QueryError;
use local_athena::catalog::{Database, Table, TableColumn, TableKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::queries::check_catalog;
use super::{Athena, CATALOG, engine_version, invalid_request};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::epoch_seconds;
use crate::paging::PageRequest;

/// The workgroup that every account has.
pub(super) const PRIMARY: &str = "primary";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WorkGroupReference {
    work_group: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListWorkGroups {
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CatalogReference {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListDatabases {
    catalog_name: String,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DatabaseReference {
    catalog_name: String,
    database_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTables {
    catalog_name: String,
    database_name: String,
    expression: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableReference {
    catalog_name: String,
    database_name: String,
    table_name: String,
}

impl Athena {
    /// Returns the name of an existing workgroup, `primary` by default.
    pub(super) fn check_workgroup(&self, name: Option<&str>) -> Result<String, AwsError> {
        match name.unwrap_or(PRIMARY) {
            name if self.workgroups.iter().any(|known| known == name) => Ok(name.to_owned()),
            name => Err(invalid_request(format!("WorkGroup {name} is not found."))),
        }
    }

    pub(super) fn get_workgroup(&self, named: &WorkGroupReference) -> AwsResult {
        let name = self.check_workgroup(Some(&named.work_group))?;
        Ok(json!({ "WorkGroup": {
            "Name": name,
            "State": "ENABLED",
            "Configuration": {
                "ResultConfiguration": { "OutputLocation": self.results.to_string() },
                "EnforceWorkGroupConfiguration": false,
                "PublishCloudWatchMetricsEnabled": false,
                "RequesterPaysEnabled": false,
                "EngineVersion": engine_version(),
            },
        }}))
    }

    pub(super) fn list_workgroups(&self, list: &ListWorkGroups) -> AwsResult {
        let page = PageRequest::<String>::new(list.max_results, 50, 50, list.next_token.as_deref());
        let page = page.map_err(invalid_request)?;
        let mut names = self.workgroups.clone();
        names.sort();
        let group = |name: String| {
            let described = json!({ "Name": name, "State": "ENABLED", "EngineVersion": engine_version() });
            (name, described)
        };
        let rest = names.into_iter().filter(|name| page.after().is_none_or(|after| name > after));
        let listed = rest.take(page.query_limit() as usize).map(group).collect();
        Ok(page.into_output("WorkGroups", "NextToken", listed))
    }

    pub(super) fn list_catalogs() -> AwsResult {
        Ok(json!({ "DataCatalogsSummary": [{ "CatalogName": CATALOG, "Type": "GLUE", "Status": "CREATE_COMPLETE" }] }))
    }

    pub(super) fn get_catalog(named: &CatalogReference) -> AwsResult {
        check_catalog(Some(&named.name))?;
        Ok(json!({ "DataCatalog": { "Name": CATALOG, "Type": "GLUE", "Status": "CREATE_COMPLETE" } }))
    }

    pub(super) fn list_databases(&self, list: &ListDatabases) -> AwsResult {
        check_catalog(Some(&list.catalog_name))?;
        let page = PageRequest::new(list.max_results, 50, 50, list.next_token.as_deref()).map_err(invalid_request)?;
        let databases = self.engine.catalog().databases().map_err(unreadable)?;
        // They are ordered by name.
        let rest = databases.iter().filter(|found| page.after().is_none_or(|after| found.name > *after));
        let listed = rest.take(page.query_limit() as usize).map(|found| (found.name.clone(), database(found)));
        let listed = listed.collect();
        Ok(page.into_output("DatabaseList", "NextToken", listed))
    }

    pub(super) fn get_database(&self, named: &DatabaseReference) -> AwsResult {
        let found = self.database(&named.catalog_name, &named.database_name)?;
        Ok(json!({ "Database": database(&found) }))
    }

    pub(super) fn list_tables(&self, list: &ListTables) -> AwsResult {
        let found = self.database(&list.catalog_name, &list.database_name)?;
        if list.expression.as_deref().is_some_and(|expression| !expression.is_empty()) {
            return Err(invalid_request("This endpoint lists all tables of a database: leave out the Expression"));
        }
        let page = PageRequest::new(list.max_results, 50, 50, list.next_token.as_deref()).map_err(invalid_request)?;
        let tables = self.engine.catalog().tables(&found.name).map_err(unreadable)?;
        let rest = tables.iter().filter(|found| page.after().is_none_or(|after| found.name > *after));
        let listed = rest.take(page.query_limit() as usize).map(|found| (found.name.clone(), table(found)));
        let listed = listed.collect();
        Ok(page.into_output("TableMetadataList", "NextToken", listed))
    }

    pub(super) fn get_table(&self, named: &TableReference) -> AwsResult {
        let found_in = self.database(&named.catalog_name, &named.database_name)?;
        let name = named.table_name.to_lowercase();
        let found = self.engine.catalog().table(&found_in.name, &name).map_err(unreadable)?;
        let found = found.ok_or_else(|| not_found(&format!("table {name} from {}", found_in.name)))?;
        Ok(json!({ "TableMetadata": table(&found) }))
    }

    fn database(&self, catalog: &str, name: &str) -> Result<Database, AwsError> {
        check_catalog(Some(catalog))?;
        let found = self.engine.catalog().database(&name.to_lowercase()).map_err(unreadable)?;
        found.ok_or_else(|| not_found(&format!("database {name}")))
    }
}

fn database(database: &Database) -> Value {
    let mut described = json!({ "Name": database.name });
    if let Some(comment) = &database.comment {
        described["Description"] = comment.clone().into();
    }
    if let Some(location) = &database.location {
        described["Parameters"] = json!({ "location": location });
    }
    described
}

fn table(table: &Table) -> Value {
    let mut parameters: Map<String, Value> =
        table.properties.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let kind = match &table.kind {
        TableKind::External { location, format } => {
            for (name, value) in [
                ("EXTERNAL", "TRUE"),
                ("location", location),
                ("serde.serialization.lib", format.serde()),
                ("inputformat", format.input_format()),
                ("outputformat", format.output_format()),
            ] {
                parameters.insert(name.to_owned(), value.into());
            }
            "EXTERNAL_TABLE"
        }
        TableKind::View { .. } => "VIRTUAL_VIEW",
    };
    if let Some(comment) = &table.comment {
        parameters.insert("comment".to_owned(), comment.clone().into());
    }
    json!({
        "Name": table.name,
        "CreateTime": epoch_seconds(table.created * 1000),
        "TableType": kind,
        "Columns": table.columns.iter().map(column).collect::<Vec<_>>(),
        "PartitionKeys": table.partition_keys.iter().map(column).collect::<Vec<_>>(),
        "Parameters": parameters,
    })
}

fn column(column: &TableColumn) -> Value {
    let mut described = json!({ "Name": column.name, "Type": column.type_name() });
    if let Some(comment) = &column.comment {
        described["Comment"] = comment.clone().into();
    }
    described
}

/// The error of a database or a table that is not there. Clients look for the part in brackets, which is that of the catalog's
/// own error: PyAthena does for `has_table`.
fn not_found(what: &str) -> AwsError {
    let request = uuid::Uuid::new_v4();
    let message = format!(
        "Unable to get {what}: Entity Not Found (Service: AmazonDataCatalog; Status Code: 400; Error Code: \
         EntityNotFoundException; Request ID: {request}; Proxy: null)"
    );
    AwsError::new("MetadataException", message)
}

fn unreadable(error: QueryError) -> AwsError {
    AwsError::internal(error)
}
