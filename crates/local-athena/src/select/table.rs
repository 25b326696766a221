//! An external table as a DataFusion [`TableProvider`]: the partitions of one catalog snapshot, and their files.
//!
//! Partition pruning: filters on partition keys are evaluated on the catalog's values before any object is listed. They
//! run as the same physical expressions that would run on rows, so pruning is exact and cannot differ from filtering.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, Statistics, not_impl_err};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::audited::{Audited, AuditedObjects, TableFile};
use super::errors::external;
use super::json_files::JsonFiles;
use super::parquet_files::{CaseInsensitiveColumns, LocalFile, ParquetReaderFactory};
use super::partitions_table::key_values;
use crate::catalog::{Format, Partition, Table, TableKind};
use crate::location::uri;
use crate::objects::ObjectFile;

/// The pseudo-column with the URI of each row's object, `s3://bucket/key`.
pub(super) const PATH: &str = "$path";

/// An external table with its partitions in the query's snapshot.
pub(super) struct HiveTable {
    table: Table,
    partitions: Vec<Partition>,
    objects: Arc<AuditedObjects>,
    files: SchemaRef,
    layout: TableSchema,
    keys: usize,
}

impl std::fmt::Debug for HiveTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.table.database, self.table.name)
    }
}

/// A file to scan, with the partition values that all its rows have.
struct ScanFile {
    object: ObjectFile,
    audited: Option<Audited>,
    uri: String,
    values: Vec<ScalarValue>,
}

/// The location of a partition, or of a table without partitions.
struct PartitionLocation {
    location: String,
    /// The values of the partition keys as text, as in the catalog.
    written: Vec<String>,
    /// The same values in the types of the keys.
    values: Vec<ScalarValue>,
}

impl HiveTable {
    /// `with_path` adds the column `$path`.
    pub(super) fn new(table: Table, partitions: Vec<Partition>, objects: Arc<AuditedObjects>, with_path: bool) -> Self {
        let field = |column: &crate::catalog::TableColumn| Field::new(&column.name, column.ty.arrow(), true);
        let files: SchemaRef = Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()));
        let mut by_partition: Vec<_> = table.partition_keys.iter().map(field).collect();
        if with_path {
            by_partition.push(Field::new(PATH, DataType::Utf8, true));
        }
        let layout = TableSchema::builder(files.clone())
            .with_table_partition_cols(by_partition.into_iter().map(Arc::new).collect::<Vec<_>>())
            .build();
        Self { keys: table.partition_keys.len(), table, partitions, objects, files, layout }
    }

    fn key_fields(&self) -> Vec<Field> {
        let fields = self.layout.table_partition_cols().iter();
        fields.take(self.keys).map(|f| f.as_ref().clone()).collect()
    }

    fn is_about_partitions(&self, filter: &Expr) -> bool {
        let keys = &self.table.partition_keys;
        let columns = filter.column_refs();
        !columns.is_empty()
            && columns.iter().all(|c| keys.iter().any(|key| key.name == c.name))
            && !filter.is_volatile()
    }

    /// Returns the partitions whose values pass all filters on partition keys.
    fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<(&Partition, Vec<ScalarValue>)>> {
        let values = self.partition_values()?;
        let about_partitions = filters.iter().filter(|filter| self.is_about_partitions(filter)).cloned();
        let keep = match conjunction(about_partitions) {
            Some(filter) => Some(self.evaluate(state, filter, &values)?),
            None => None,
        };
        let mut chosen = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            let passes = keep.as_ref().is_none_or(|keep| {
                let keep = keep.as_boolean();
                keep.is_valid(index) && keep.value(index)
            });
            if passes {
                let row = values.iter().map(|c| ScalarValue::try_from_array(c, index));
                chosen.push((partition, row.collect::<Result<_>>()?));
            }
        }
        Ok(chosen)
    }

    /// Returns the values of all partitions: one array per key, in the key's type.
    fn partition_values(&self) -> Result<Vec<ArrayRef>> {
        let fields = self.key_fields();
        let columns = fields.iter().enumerate();
        columns.map(|(at, field)| key_values(&self.partitions, at, field.data_type())).collect()
    }

    fn evaluate(&self, state: &dyn Session, filter: Expr, values: &[ArrayRef]) -> Result<ArrayRef> {
        let schema = Arc::new(Schema::new(self.key_fields()));
        let expression = state.create_physical_expr(filter, &DFSchema::try_from(schema.clone())?)?;
        let count = self.partitions.len();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(schema, values.to_vec(), &options)?;
        expression.evaluate(&batch)?.into_array(count)
    }

    /// Returns the files of the chosen partitions, or of an unpartitioned table's location.
    async fn find(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<ScanFile>> {
        let TableKind::External { location, .. } = &self.table.kind else {
            return not_impl_err!("a view has no files");
        };
        let places: Vec<PartitionLocation> = if self.keys == 0 {
            vec![PartitionLocation { location: location.clone(), written: Vec::new(), values: Vec::new() }]
        } else {
            let chosen = self.chosen(state, filters)?.into_iter();
            let place = |(partition, values): (&Partition, Vec<ScalarValue>)| PartitionLocation {
                location: partition.location.clone(),
                written: partition.values.clone(),
                values,
            };
            chosen.map(place).collect()
        };
        let (objects, table) = (self.objects.clone(), self.table.clone());
        let listed = tokio::task::spawn_blocking(move || find(&objects, &table, places)).await;
        listed.map_err(|error| DataFusionError::External(Box::new(error)))?
    }

    fn partitioned(&self, found: ScanFile) -> PartitionedFile {
        let (mut values, size) = (found.values, found.object.size);
        if self.layout.table_partition_cols().len() > self.keys {
            values.push(ScalarValue::from(found.uri.as_str()));
        }
        let ObjectFile { path, etag, .. } = found.object;
        let file = LocalFile { path, uri: found.uri.clone(), etag, audited: found.audited };
        PartitionedFile::new(found.uri, size).with_partition_values(values).with_extension(file)
    }
}

fn find(objects: &AuditedObjects, table: &Table, places: Vec<PartitionLocation>) -> Result<Vec<ScanFile>> {
    let mut found = Vec::new();
    for PartitionLocation { location, written, values } in places {
        for TableFile { object, audited } in objects.files(table, &written, &location).map_err(external)? {
            found.push(ScanFile { uri: uri(&location, &object.key), object, audited, values: values.clone() });
        }
    }
    Ok(found)
}

#[async_trait]
impl TableProvider for HiveTable {
    fn schema(&self) -> SchemaRef {
        self.layout.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let exact = |filter: &&Expr| match self.is_about_partitions(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(exact).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let found = self.find(state, filters).await?;
        if found.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let bytes: u64 = found.iter().map(|f| f.object.size).sum();
        let files: Vec<_> = found.into_iter().map(|f| self.partitioned(f)).collect();
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        let source: Arc<dyn FileSource> = match self.table.kind {
            TableKind::External { format: Format::Json, .. } => {
                Arc::new(JsonFiles::new(&self.table, self.objects.clone(), self.layout.clone()))
            }
            _ => self.parquet(state, projection, filters)?,
        };
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(CaseInsensitiveColumns)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

impl HiveTable {
    fn parquet(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Arc<ParquetSource>> {
        let mut options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        // Spark may write timestamps as INT96, which would be read in nanoseconds, unlike all others.
        options.global.coerce_int96 = Some("ms".to_owned());
        let files = ParquetReaderFactory::new(&self.table, self.columns_read(projection, filters));
        let source = ParquetSource::new(self.layout.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(files));
        let on_rows =
            filters.iter().filter(|filter| !self.is_about_partitions(filter) && !filter.is_volatile()).cloned();
        let Some(filter) = conjunction(on_rows) else {
            return Ok(Arc::new(source));
        };
        let schema = DFSchema::try_from(self.schema())?;
        let predicate = state.create_physical_expr(filter, &schema)?;
        Ok(Arc::new(source.with_predicate(predicate)))
    }

    /// Returns the names of the file columns that the query needs.
    fn columns_read(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> Vec<String> {
        let selected = |index: &usize| projection.is_none_or(|columns| columns.contains(index));
        let filtered = |name: &str| filters.iter().any(|filter| filter.column_refs().iter().any(|c| c.name == name));
        let fields = self.files.fields().iter().enumerate();
        fields
            .filter(|(index, field)| selected(index) || filtered(field.name()))
            .map(|(_, field)| field.name().clone())
            .collect()
    }
}
