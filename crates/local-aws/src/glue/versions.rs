//! Operations on the versions of tables. Each `UpdateTable` keeps the table as it was, unless it says not to.

use serde::Deserialize;
use serde_json::{Value, json};

use super::details::Details;
use super::tables::table;
use super::{CatalogId, Glue, at_most, detail, invalid, not_found, page, refused, unreadable};
use crate::aws_json::{AwsError, AwsResult};

/// The service's limit for versions of a page and of a batch.
const PAGE: u32 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListVersions {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VersionReference {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchDeleteVersions {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    version_ids: Vec<String>,
}

impl Glue {
    /// Lists the versions of a table, the current one first.
    pub(super) fn get_table_versions(&self, list: ListVersions) -> AwsResult {
        list.catalog_id.check()?;
        let page = page::<i64>(list.max_results, PAGE, list.next_token.as_deref())?;
        let all = self.versions(&list.database_name, &list.table_name)?;
        let rest = all.into_iter().filter(|(number, _)| page.after().is_none_or(|after| number < after));
        let listed = rest.take(page.query_limit() as usize).map(|(number, table)| (number, version(number, table)));
        let listed = listed.collect();
        Ok(page.into_output("TableVersions", "NextToken", listed))
    }

    pub(super) fn get_table_version(&self, named: VersionReference) -> AwsResult {
        named.catalog_id.check()?;
        let wanted = named.version_id.as_deref().map(number).transpose()?;
        let all = self.versions(&named.database_name, &named.table_name)?;
        let found = all.into_iter().find(|(number, _)| wanted.is_none_or(|wanted| wanted == *number));
        match found {
            Some((number, table)) => Ok(json!({ "TableVersion": version(number, table) })),
            None => Err(not_found("Version not found.")),
        }
    }

    pub(super) fn delete_table_version(&self, named: VersionReference) -> AwsResult {
        named.catalog_id.check()?;
        let id = named.version_id.ok_or_else(|| invalid("VersionId: give the one to delete"))?;
        let mut failed = self.remove_versions(&named.database_name, &named.table_name, &[id])?;
        failed.pop().map_or_else(|| Ok(json!({})), |(_, error)| Err(error))
    }

    pub(super) fn batch_delete_table_version(&self, batch: BatchDeleteVersions) -> AwsResult {
        batch.catalog_id.check()?;
        at_most(PAGE as usize, "versionIds", batch.version_ids.len())?;
        let failed = self.remove_versions(&batch.database_name, &batch.table_name, &batch.version_ids)?;
        let error = |(id, error): (String, AwsError)| json!({ "TableName": batch.table_name, "VersionId": id, "ErrorDetail": detail(&error) });
        Ok(json!({ "Errors": failed.into_iter().map(error).collect::<Vec<_>>() }))
    }

    /// Returns all versions of a table, the current one first.
    fn versions(&self, database: &str, name: &str) -> Result<Vec<(i64, Value)>, AwsError> {
        let current = self.table(database, name)?;
        let kept = self.catalog().table_versions(&current.database, &current.name).map_err(unreadable)?;
        let mut all = vec![(Details::of(&current).version, table(&current))];
        for (number, text) in kept.into_iter().rev() {
            all.push((number, serde_json::from_str(&text).map_err(AwsError::internal)?));
        }
        Ok(all)
    }

    /// Removes versions. Returns those that could not be.
    fn remove_versions(&self, database: &str, name: &str, ids: &[String]) -> Result<Vec<(String, AwsError)>, AwsError> {
        let current = Details::of(&self.table(database, name)?).version;
        let mut failed = Vec::new();
        let mut numbers = Vec::new();
        for id in ids {
            match number(id) {
                Ok(number) if number == current => {
                    failed.push((id.clone(), invalid("The current version of a table cannot be deleted")));
                }
                Ok(number) => numbers.push(number),
                Err(error) => failed.push((id.clone(), error)),
            }
        }
        let missing = self.catalog().remove_table_versions(database, name, numbers).map_err(refused)?;
        failed.extend(missing.into_iter().map(|number| (number.to_string(), not_found("Version not found."))));
        Ok(failed)
    }
}

fn number(id: &str) -> Result<i64, AwsError> {
    id.parse().map_err(|_| invalid(format!("VersionId: '{id}' is no number")))
}

fn version(number: i64, table: Value) -> Value {
    json!({ "Table": table, "VersionId": number.to_string() })
}
