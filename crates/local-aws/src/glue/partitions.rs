//! Operations on partitions, one or a batch.

use local_athena::PartitionFilter;
use local_athena::catalog::{
    ChangeError, Format, Partition, PartitionError, Replacement, Table, TableColumn, TableKind,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::descriptor::{StorageDescriptor, descriptor};
use super::details::{Details, StorageDetails};
use super::{CatalogId, Glue, PageKey, at_most, constraint, detail, invalid, page, refused, require_empty, unreadable};
use crate::aws_json::{AwsError, AwsResult};
use crate::identity::ACCOUNT;

/// The service's limits: partitions of a page and of each kind of batch, and segments.
const PAGE: u32 = 1_000;
const MAX_CREATED: usize = 100;
const MAX_UPDATED: usize = 100;
const MAX_DELETED: usize = 25;
const MAX_SEGMENTS: u32 = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetPartitions {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    expression: Option<String>,
    segment: Option<Segment>,
    exclude_column_schema: Option<bool>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Segment {
    segment_number: u32,
    total_segments: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PartitionReference {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    partition_values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchGetPartition {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    partitions_to_get: Vec<PartitionValues>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PartitionValues {
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreatePartition {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    partition_input: PartitionInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchCreatePartition {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    partition_input_list: Vec<PartitionInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UpdatePartition {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    partition_value_list: Vec<String>,
    partition_input: PartitionInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchUpdatePartition {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    entries: Vec<UpdateEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateEntry {
    partition_value_list: Vec<String>,
    partition_input: PartitionInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchDeletePartition {
    #[serde(default)]
    catalog_id: CatalogId,
    database_name: String,
    table_name: String,
    partitions_to_delete: Vec<PartitionValues>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PartitionInput {
    values: Option<Vec<String>>,
    storage_descriptor: Option<StorageDescriptor>,
    parameters: Option<Map<String, Value>>,
}

impl PartitionInput {
    /// Converts the input.
    ///
    /// # Errors
    /// If the partition differs from its table in more than the location and the last columns, which it may lack.
    fn read(self, table: &Table) -> Result<Partition, ChangeError> {
        let invalid = |error: AwsError| ChangeError::Invalid(error.message().to_owned());
        require_empty("Parameters of a partition", self.parameters.as_ref()).map_err(invalid)?;
        let descriptor = self.storage_descriptor;
        let descriptor =
            descriptor.ok_or_else(|| ChangeError::Invalid("a partition has a StorageDescriptor".to_owned()))?;
        let described = descriptor.read().map_err(invalid)?;
        require_empty("StorageDescriptor.Parameters of a partition", Some(&described.details.parameters))
            .map_err(invalid)?;
        if !begins_with(&table.columns, &described.columns) || described.format != format_of(table) {
            let message = format!(
                "StorageDescriptor: a partition has the columns and the format of its table {}.{}, whose StorageDescriptor \
                 is to be copied; only the last columns may be missing",
                table.database, table.name
            );
            return Err(ChangeError::Invalid(message));
        }
        let lacks = table.columns.len() - described.columns.len();
        Ok(Partition { values: self.values.unwrap_or_default(), location: described.location, lacks })
    }
}

impl Glue {
    pub(super) fn get_partitions(&self, list: GetPartitions) -> AwsResult {
        list.catalog_id.check()?;
        if let Some(Segment { segment_number, total_segments }) = list.segment {
            if !(1..=MAX_SEGMENTS).contains(&total_segments) {
                let must = format!("be from 1 to {MAX_SEGMENTS}");
                return Err(constraint("segment.totalSegments", &total_segments.to_string(), &must));
            }
            if segment_number >= total_segments {
                return Err(invalid(format!("of {total_segments} segments there is none of number {segment_number}")));
            }
        }
        let page = page::<PageKey>(list.max_results, PAGE, list.next_token.as_deref())?;
        let table = self.table(&list.database_name, &list.table_name)?;
        let expression = list.expression.as_deref().filter(|expression| !expression.is_empty());
        let filter = expression.map(|text| PartitionFilter::parse(text, &table.partition_keys));
        let filter = filter.transpose().map_err(|wrong| invalid(format!("Expression: {wrong}")))?;
        let with_columns = !list.exclude_column_schema.unwrap_or(false);
        let all = self.catalog().partitions(&table.database, &table.name).map_err(unreadable)?;
        let mut keyed: Vec<(PageKey, Partition)> = all
            .into_iter()
            .filter(|partition| filter.as_ref().is_none_or(|filter| filter.matches(&partition.values)))
            .map(|partition| (key(&partition.values), partition))
            .filter(|(key, _)| page.after().is_none_or(|after| key > after))
            .filter(|(key, _)| list.segment.is_none_or(|segment| segment.has(key)))
            .collect();
        keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
        let listed = keyed.into_iter().take(page.query_limit() as usize);
        let listed = listed.map(|(key, found)| (key, partition(&table, &found, with_columns))).collect();
        Ok(page.into_output("Partitions", "NextToken", listed))
    }

    pub(super) fn get_partition(&self, named: PartitionReference) -> AwsResult {
        named.catalog_id.check()?;
        let table = self.table(&named.database_name, &named.table_name)?;
        let mut found = self.found(&table, &[named.partition_values])?;
        match found.pop() {
            Some(found) => Ok(json!({ "Partition": partition(&table, &found, true) })),
            None => Err(refused(ChangeError::NoPartition)),
        }
    }

    /// Returns the partitions that exist. Skips others, as AWS does.
    pub(super) fn batch_get_partition(&self, batch: BatchGetPartition) -> AwsResult {
        batch.catalog_id.check()?;
        at_most(PAGE as usize, "partitionsToGet", batch.partitions_to_get.len())?;
        let table = self.table(&batch.database_name, &batch.table_name)?;
        let wanted: Vec<Vec<String>> = batch.partitions_to_get.into_iter().map(|values| values.values).collect();
        let found = self.found(&table, &wanted)?;
        let found: Vec<Value> = found.iter().map(|found| partition(&table, found, true)).collect();
        Ok(json!({ "Partitions": found, "UnprocessedKeys": [] }))
    }

    fn found(&self, table: &Table, wanted: &[Vec<String>]) -> Result<Vec<Partition>, AwsError> {
        if wanted.iter().any(|values| values.len() != table.partition_keys.len()) {
            return Err(invalid("The number of partition keys do not match the number of partition values"));
        }
        let mut all = self.catalog().partitions(&table.database, &table.name).map_err(unreadable)?;
        all.retain(|partition| wanted.contains(&partition.values));
        Ok(all)
    }

    pub(super) fn create_partition(&self, create: CreatePartition) -> AwsResult {
        create.catalog_id.check()?;
        let input = create.partition_input;
        let add = |table: &Table| Ok(vec![input.read(table)?]);
        single_output(self.catalog().add_partitions(&create.database_name, &create.table_name, add))
    }

    pub(super) fn batch_create_partition(&self, batch: BatchCreatePartition) -> AwsResult {
        batch.catalog_id.check()?;
        at_most(MAX_CREATED, "partitionInputList", batch.partition_input_list.len())?;
        let inputs = batch.partition_input_list;
        let add = |table: &Table| inputs.into_iter().map(|input| input.read(table)).collect();
        let failed = self.catalog().add_partitions(&batch.database_name, &batch.table_name, add);
        Ok(batch_output("PartitionValues", failed.map_err(refused)?))
    }

    pub(super) fn update_partition(&self, update: UpdatePartition) -> AwsResult {
        update.catalog_id.check()?;
        let entry =
            UpdateEntry { partition_value_list: update.partition_value_list, partition_input: update.partition_input };
        let replace = |table: &Table| Ok(vec![entry.read(table)?]);
        single_output(self.catalog().replace_partitions(&update.database_name, &update.table_name, replace))
    }

    pub(super) fn batch_update_partition(&self, batch: BatchUpdatePartition) -> AwsResult {
        batch.catalog_id.check()?;
        at_most(MAX_UPDATED, "entries", batch.entries.len())?;
        if batch.entries.is_empty() {
            return Err(constraint("entries", "[]", "have length greater than or equal to 1"));
        }
        let entries = batch.entries;
        let replace = |table: &Table| entries.into_iter().map(|entry| entry.read(table)).collect();
        let failed = self.catalog().replace_partitions(&batch.database_name, &batch.table_name, replace);
        Ok(batch_output("PartitionValueList", failed.map_err(refused)?))
    }

    pub(super) fn delete_partition(&self, named: PartitionReference) -> AwsResult {
        named.catalog_id.check()?;
        let values = vec![named.partition_values];
        single_output(self.catalog().remove_partitions(&named.database_name, &named.table_name, values))
    }

    pub(super) fn batch_delete_partition(&self, batch: BatchDeletePartition) -> AwsResult {
        batch.catalog_id.check()?;
        at_most(MAX_DELETED, "partitionsToDelete", batch.partitions_to_delete.len())?;
        let values = batch.partitions_to_delete.into_iter().map(|values| values.values).collect();
        let failed = self.catalog().remove_partitions(&batch.database_name, &batch.table_name, values);
        Ok(batch_output("PartitionValues", failed.map_err(refused)?))
    }
}

impl UpdateEntry {
    fn read(self, table: &Table) -> Result<Replacement, ChangeError> {
        Ok(Replacement { values: self.partition_value_list, by: self.partition_input.read(table)? })
    }
}

impl Segment {
    /// Whether a partition belongs to this segment: its hash decides, so that each belongs to one, whatever others exist.
    fn has(self, key: &str) -> bool {
        let hash = key.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        hash % self.total_segments == self.segment_number
    }
}

/// Whether the first columns are these, by name and type. A partition need not repeat the comments of its table.
fn begins_with(columns: &[TableColumn], first: &[TableColumn]) -> bool {
    let is_same =
        |(one, other): (&TableColumn, &TableColumn)| one.name == other.name && one.type_name() == other.type_name();
    first.len() <= columns.len() && columns.iter().zip(first).all(is_same)
}

/// The key of a partition, by which pages are ordered.
fn key(values: &[String]) -> PageKey {
    Value::from(values.to_vec()).to_string()
}

/// Converts the result of a change of one partition.
fn single_output(failed: Result<Vec<PartitionError>, ChangeError>) -> AwsResult {
    match failed.map_err(refused)?.pop() {
        None => Ok(json!({})),
        Some(one) => Err(refused(one.error)),
    }
}

/// Converts the result of a batch, of which these items failed.
fn batch_output(values: &str, failed: Vec<PartitionError>) -> Value {
    let errors =
        failed.into_iter().map(|one| json!({ values: one.values, "ErrorDetail": detail(&refused(one.error)) }));
    json!({ "Errors": errors.collect::<Vec<_>>() })
}

/// The format of a table's files. A view has no partitions.
fn format_of(table: &Table) -> Format {
    match table.kind {
        TableKind::External { format, .. } => format,
        TableKind::View { .. } => Format::Parquet,
    }
}

fn partition(table: &Table, partition: &Partition, with_columns: bool) -> Value {
    let columns = with_columns.then(|| partition.columns(table));
    // A partition is compressed as its table is: only the table's flag is kept.
    let storage = StorageDetails { compressed: Details::of(table).storage.compressed, ..StorageDetails::default() };
    json!({
        "Values": partition.values,
        "DatabaseName": table.database,
        "TableName": table.name,
        "CatalogId": ACCOUNT,
        "StorageDescriptor": descriptor(&partition.location, format_of(table), columns, &storage),
        "Parameters": {},
    })
}
