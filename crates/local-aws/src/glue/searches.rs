//! `SearchTables`, and the operations on what this catalog never has: indexes of partitions, statistics, functions.

use local_athena::catalog::Table;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tables::{PAGE, table};
use super::{CatalogId, Glue, PageKey, invalid, not_found, page, unreadable};
use crate::aws_json::{AwsError, AwsResult};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SearchTables {
    #[serde(default)]
    catalog_id: CatalogId,
    search_text: Option<String>,
    filters: Option<Vec<Filter>>,
    sort_criteria: Option<Vec<Value>>,
    resource_share_type: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    value: String,
    comparator: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OfTable {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    #[serde(rename = "ColumnNames")]
    _column_names: Option<Vec<String>>,
    #[serde(rename = "PartitionValues")]
    _partition_values: Option<Vec<String>>,
    #[serde(rename = "NextToken")]
    _next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Functions {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: Option<String>,
    function_name: Option<String>,
    #[serde(rename = "Pattern")]
    _pattern: Option<String>,
    #[serde(rename = "MaxResults")]
    _max_results: Option<u32>,
    #[serde(rename = "NextToken")]
    _next_token: Option<String>,
}

impl Filter {
    fn check(&self) -> Result<(), AwsError> {
        let is_equality = self.comparator.as_deref().is_none_or(|comparator| comparator == "EQUALS");
        match self.key.as_str() {
            "DatabaseName" | "Name" if is_equality => Ok(()),
            key => Err(invalid(format!(
                "Filters: this endpoint compares DatabaseName and Name by EQUALS, not {key} by {}",
                self.comparator.as_deref().unwrap_or("EQUALS")
            ))),
        }
    }

    fn matches(&self, table: &Table) -> bool {
        let found = if self.key == "Name" { &table.name } else { &table.database };
        *found == self.value.to_lowercase()
    }
}

impl Glue {
    pub(super) fn search_tables(&self, search: SearchTables) -> AwsResult {
        search.catalog_id.check()?;
        if search.sort_criteria.is_some_and(|criteria| !criteria.is_empty()) {
            return Err(invalid("SortCriteria: this endpoint orders tables by database and name, leave them out"));
        }
        let filters = search.filters.unwrap_or_default();
        filters.iter().try_for_each(Filter::check)?;
        let is_foreign = search.resource_share_type.as_deref() == Some("FOREIGN");
        let text = search.search_text.unwrap_or_default();
        let page = page::<PageKey>(search.max_results, PAGE, search.next_token.as_deref())?;
        let mut found = Vec::new();
        for database in self.catalog().databases().map_err(unreadable)? {
            found.extend(self.catalog().tables(&database.name).map_err(unreadable)?);
        }
        let listed = found
            .iter()
            .filter(|found| !is_foreign && filters.iter().all(|filter| filter.matches(found)) && has(found, &text))
            .map(|found| (format!("{}/{}", found.database, found.name), found))
            .filter(|(key, _)| page.after().is_none_or(|after| key > after))
            .take(page.query_limit() as usize)
            .map(|(key, found)| (key, table(found)))
            .collect();
        Ok(page.into_output("TableList", "NextToken", listed))
    }

    pub(super) fn get_partition_indexes(&self, named: &OfTable) -> AwsResult {
        named.catalog_id.check()?;
        self.table(&named.database_name, &named.table_name)?;
        Ok(json!({ "PartitionIndexDescriptorList": [] }))
    }

    /// Returns no statistics: none is ever stored.
    pub(super) fn get_column_statistics(&self, named: &OfTable) -> AwsResult {
        named.catalog_id.check()?;
        self.table(&named.database_name, &named.table_name)?;
        Ok(json!({ "ColumnStatisticsList": [], "Errors": [] }))
    }

    pub(super) fn get_functions(&self, list: &Functions) -> AwsResult {
        list.catalog_id.check()?;
        list.database_name.as_deref().map_or(Ok(()), |name| self.require_database(name))?;
        Ok(json!({ "UserDefinedFunctions": [] }))
    }

    pub(super) fn get_function(&self, named: &Functions) -> AwsResult {
        named.catalog_id.check()?;
        named.database_name.as_deref().map_or(Ok(()), |name| self.require_database(name))?;
        let name = named.function_name.as_deref().unwrap_or_default();
        Err(not_found(format!("Function {name} not found.")))
    }
}

/// Whether a table has a text: each of its words in a name or the comment, or the whole in quotes as a name.
fn has(table: &Table, text: &str) -> bool {
    let text = text.to_lowercase();
    let names = || table.columns.iter().chain(&table.partition_keys).map(|column| column.name.as_str());
    let mut all = names().chain([table.name.as_str(), table.database.as_str()]);
    if let Some(exact) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return all.any(|name| name == exact);
    }
    let comment = table.comment.as_deref().unwrap_or_default().to_lowercase();
    let all: Vec<&str> = all.chain([comment.as_str()]).collect();
    text.split_whitespace().all(|word| all.iter().any(|name| name.contains(word)))
}
