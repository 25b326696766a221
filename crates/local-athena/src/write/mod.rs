//! Executes the statements that write the rows of a query to objects: CREATE TABLE AS, INSERT INTO and UNLOAD.
//!
//! The objects are written first, and then one transaction of the catalog makes them part of a table. A statement that fails
//! leaves objects that no table names, as on Athena.

mod encoder;
mod partitions;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;

use self::partitions::PartitionedWriter;
use crate::catalog::{Catalog, Format, Partition, Table, TableColumn, TableKind};
use crate::ddl::{check_columns, now};
use crate::error::{ErrorKind, QueryError};
use crate::location::{key_of, list};
use crate::objects::ObjectFiles;
use crate::partition_name;
use crate::result_set::{Column, Row};
use crate::select::PlannedQuery;
use crate::select::errors::from_execution_error;
use crate::sql::{Compression, QualifiedName, Write, WriteFormat, WriteOptions, WriteTarget};
use crate::types::{HiveType, JSON, common_type, type_name};

/// Where a statement puts the objects that it writes without a location of their own, and how it names them.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// `s3://bucket/prefix/`, the location of results.
    pub location: String,
    /// The id of the execution.
    pub id: String,
}

/// What a statement wrote.
pub(crate) struct Written {
    pub(crate) rows: u64,
    /// The URIs of the objects.
    pub(crate) objects: Vec<String>,
}

impl Written {
    /// Returns the result of the statement: the number of rows.
    pub(crate) fn result(&self) -> (Vec<Column>, Vec<Row>) {
        let column = Column { name: "rows".to_owned(), ty: "bigint".to_owned(), precision: 19, scale: 0 };
        (vec![column], vec![vec![Some(self.rows.to_string())]])
    }
}

/// Executes a statement whose query is planned.
pub(crate) async fn run(
    catalog: &Catalog,
    objects: &dyn ObjectFiles,
    statement: &Write,
    planned: PlannedQuery,
    database: &str,
    output: &Output,
) -> Result<Written, QueryError> {
    match &statement.target {
        WriteTarget::NewTable { name, if_not_exists, with_data, options } => {
            let new = NewTable { name, if_not_exists: *if_not_exists, with_data: *with_data, options };
            create_table_as(catalog, objects, new, planned, database, output).await
        }
        WriteTarget::Table { name, columns } => {
            insert(catalog, objects, name, columns.as_deref(), planned, database, output).await
        }
        WriteTarget::Objects { location, options } => unload(objects, location, options, planned, output).await,
    }
}

struct NewTable<'a> {
    name: &'a QualifiedName,
    if_not_exists: bool,
    with_data: bool,
    options: &'a WriteOptions,
}

async fn create_table_as(
    catalog: &Catalog,
    objects: &dyn ObjectFiles,
    new: NewTable<'_>,
    planned: PlannedQuery,
    database: &str,
    output: &Output,
) -> Result<Written, QueryError> {
    let database = new.name.database.as_deref().unwrap_or(database);
    let nothing = Written { rows: 0, objects: Vec::new() };
    if catalog.database(database)?.is_none() {
        return Err(QueryError::new(ErrorKind::SchemaNotFound, format_args!("Schema '{database}' does not exist")));
    }
    let exists = || {
        let message = format!("Destination table 'awsdatacatalog.{database}.{}' already exists", new.name.table);
        QueryError::new(ErrorKind::AlreadyExists, message)
    };
    match catalog.table(database, &new.name.table)? {
        Some(_) if new.if_not_exists => return Ok(nothing),
        Some(_) => return Err(exists()),
        None => {}
    }
    let columns = storable_columns(&planned)?;
    let partition_keys = partition_keys(&columns, &new.options.partitioned_by)?;
    let format = match new.options.format {
        WriteFormat::Json => Format::Json,
        _ => Format::Parquet,
    };
    let location = new.options.location.clone().unwrap_or_else(|| format!("{}tables/{}/", output.location, output.id));
    refuse_objects(
        objects,
        &location,
        &format!("Target directory for table '{database}.{}' already exists", new.name.table),
    )?;
    let table = Table {
        database: database.to_owned(),
        name: new.name.table.clone(),
        columns: columns[..columns.len() - partition_keys.len()].to_vec(),
        partition_keys,
        comment: None,
        properties: Vec::new(),
        kind: TableKind::External { location: location.clone(), format },
        created: now(),
        details: None,
    };
    check_columns(&table)?;
    let target = Target { table: &table, options: new.options, output, partitions: &[] };
    let (written, partitions) =
        if new.with_data { target.write(objects, planned, columns).await? } else { (nothing, Vec::new()) };
    catalog.change(|changes| {
        if changes.table(database, &table.name)?.is_some() {
            return Err(exists());
        }
        changes.add_table(&table)?;
        partitions.iter().try_for_each(|partition| changes.add_partition(&table, partition).map(drop))
    })?;
    Ok(written)
}

/// Returns the columns of a query as those of a table.
///
/// # Errors
/// A column has a type that tables do not have.
fn storable_columns(planned: &PlannedQuery) -> Result<Vec<TableColumn>, QueryError> {
    for (column, ty) in planned.columns().iter().zip(planned.types()) {
        let is_storable = ty != JSON && !ty.is_null() && !matches!(ty, DataType::Timestamp(_, Some(_)));
        if !is_storable {
            let message = format!("Unsupported Hive type: {} of column {}", type_name(&ty), column.name);
            return Err(QueryError::new(ErrorKind::NotSupported, message));
        }
    }
    planned.view_columns()
}

/// Returns the partition keys of a new table: its last columns.
fn partition_keys(columns: &[TableColumn], names: &[String]) -> Result<Vec<TableColumn>, QueryError> {
    let last = columns.len().checked_sub(names.len()).map(|at| &columns[at..]).unwrap_or_default();
    let fits = last.len() == names.len() && last.iter().zip(names).all(|(column, name)| column.name == *name);
    if !fits || !names.is_empty() && names.len() == columns.len() {
        let message = format!(
            "Partition keys must be the last columns in the table and in the same order as the table properties: [{}]",
            names.join(", ")
        );
        return Err(QueryError::new(ErrorKind::Semantic, message));
    }
    Ok(last.to_vec())
}

fn refuse_objects(objects: &dyn ObjectFiles, location: &str, message: &str) -> Result<(), QueryError> {
    if list(objects, location)?.is_empty() {
        return Ok(());
    }
    Err(QueryError::new(ErrorKind::PathAlreadyExists, format_args!("{message}: {location} has objects")))
}

async fn insert(
    catalog: &Catalog,
    objects: &dyn ObjectFiles,
    name: &QualifiedName,
    columns: Option<&[String]>,
    planned: PlannedQuery,
    database: &str,
    output: &Output,
) -> Result<Written, QueryError> {
    let database = name.database.as_deref().unwrap_or(database);
    let table = catalog.table(database, &name.table)?.ok_or_else(|| {
        let message = format!("Table 'awsdatacatalog.{database}.{}' does not exist", name.table);
        QueryError::new(ErrorKind::TableNotFound, message)
    })?;
    let TableKind::External { location, format } = &table.kind else {
        return Err(QueryError::new(ErrorKind::NotSupported, "Inserting into views is not supported"));
    };
    refuse_published(objects, &table, location)?;
    let all: Vec<TableColumn> = table.all_columns().cloned().collect();
    let order = insertion_order(&all, columns)?;
    let given = planned.types();
    let fits = given.len() == order.len()
        && order.iter().zip(&given).all(|(at, ty)| {
            let wanted = all[*at].ty.arrow();
            ty.is_string() && wanted.is_string() && *ty != JSON || common_type(&wanted, ty) == Some(wanted)
        });
    if !fits {
        let wanted: Vec<_> = order.iter().map(|at| all[*at].ty.trino()).collect();
        let given: Vec<_> = given.iter().map(type_name).collect();
        let message = format!(
            "Insert query has mismatched column types: Table: [{}], Query: [{}]",
            wanted.join(", "),
            given.join(", ")
        );
        return Err(QueryError::new(ErrorKind::TypeMismatch, message));
    }
    let options = WriteOptions {
        format: if *format == Format::Json { WriteFormat::Json } else { WriteFormat::Parquet },
        compression: Compression::Gzip,
        location: None,
        partitioned_by: Vec::new(),
    };
    let known = catalog.partitions(database, &table.name)?;
    let target = Target { table: &table, options: &options, output, partitions: &known };
    let positions = (0..all.len()).map(|at| order.iter().position(|column| *column == at)).collect::<Vec<_>>();
    let (written, partitions) = target.write_columns(objects, planned, &all, &positions).await?;
    catalog.change(|changes| {
        partitions.iter().try_for_each(|partition| changes.add_partition(&table, partition).map(drop))
    })?;
    Ok(written)
}

/// Refuses a table whose partitions are published with a manifest: an object that the manifest does not name would be no part of
/// them.
fn refuse_published(objects: &dyn ObjectFiles, table: &Table, location: &str) -> Result<(), QueryError> {
    let is_manifest = |key: &str| key.rsplit('/').next().is_some_and(|name| name == manifest::NAME);
    if list(objects, location)?.iter().any(|object| is_manifest(&object.key)) {
        let message = format!("INSERT INTO {}, whose partitions are published by a pipeline,", table.name);
        return Err(QueryError::not_supported(&message));
    }
    Ok(())
}

/// Returns the positions of the table's columns in the order of the query's.
fn insertion_order(all: &[TableColumn], columns: Option<&[String]>) -> Result<Vec<usize>, QueryError> {
    let Some(names) = columns else { return Ok((0..all.len()).collect()) };
    let mut order: Vec<usize> = Vec::new();
    for name in names {
        let at = all.iter().position(|column| column.name == *name);
        let at = at.ok_or_else(|| {
            QueryError::new(
                ErrorKind::ColumnNotFound,
                format_args!("Insert column name does not exist in target table: {name}"),
            )
        })?;
        if order.contains(&at) {
            let message = format!("Insert column name is specified more than once: {name}");
            return Err(QueryError::new(ErrorKind::Semantic, message));
        }
        order.push(at);
    }
    Ok(order)
}

async fn unload(
    objects: &dyn ObjectFiles,
    location: &str,
    options: &WriteOptions,
    planned: PlannedQuery,
    output: &Output,
) -> Result<Written, QueryError> {
    refuse_objects(objects, location, "Target directory of UNLOAD is not empty")?;
    let columns = storable_columns(&planned)?;
    let keys = partition_keys(&columns, &options.partitioned_by)?;
    let table = Table {
        database: String::new(),
        name: "unload".to_owned(),
        columns: columns[..columns.len() - keys.len()].to_vec(),
        partition_keys: keys,
        comment: None,
        properties: Vec::new(),
        kind: TableKind::External { location: location.to_owned(), format: Format::Parquet },
        created: 0,
        details: None,
    };
    let target = Target { table: &table, options, output, partitions: &[] };
    Ok(target.write(objects, planned, columns).await?.0)
}

/// What rows are written to.
struct Target<'a> {
    table: &'a Table,
    options: &'a WriteOptions,
    output: &'a Output,
    /// The partitions that the table has.
    partitions: &'a [Partition],
}

impl Target<'_> {
    async fn write(
        &self,
        objects: &dyn ObjectFiles,
        planned: PlannedQuery,
        columns: Vec<TableColumn>,
    ) -> Result<(Written, Vec<Partition>), QueryError> {
        let positions: Vec<_> = (0..columns.len()).map(Some).collect();
        self.write_columns(objects, planned, &columns, &positions).await
    }

    /// Writes the rows of a query. `positions` says which of its columns is each column of the table; `None` is NULL. Returns also
    /// the partitions that the table has not yet.
    async fn write_columns(
        &self,
        objects: &dyn ObjectFiles,
        planned: PlannedQuery,
        columns: &[TableColumn],
        positions: &[Option<usize>],
    ) -> Result<(Written, Vec<Partition>), QueryError> {
        let schema = schema(columns);
        let mut running = planned.start().await?;
        let mut writer = PartitionedWriter::new(self.table, self.options, &self.output.id, Arc::clone(&schema));
        let location_of = |values: &[String]| self.location(values);
        while let Some(batch) = running.stream.next().await {
            let batch = batch.map_err(|error| from_execution_error(&error))?;
            writer.write(objects, &as_table(&batch, &schema, positions)?, location_of)?;
        }
        let (written, values) = writer.finish(objects)?;
        let is_known = |values: &Vec<String>| self.partitions.iter().any(|partition| partition.values == *values);
        let new = values.into_iter().filter(|values| !values.is_empty() && !is_known(values));
        let partitions = new.map(|values| Partition { location: self.location(&values), values, lacks: 0 });
        Ok((written, partitions.collect()))
    }

    /// Returns the location of a partition; of the table when it has none.
    fn location(&self, values: &[String]) -> String {
        if let Some(known) = self.partitions.iter().find(|partition| partition.values == values) {
            return known.location.clone();
        }
        let base = match &self.table.kind {
            TableKind::External { location, .. } => location.as_str(),
            TableKind::View { .. } => "",
        };
        if values.is_empty() {
            base.to_owned()
        } else {
            format!("{base}{}/", partition_name::format(self.table, values))
        }
    }
}

fn schema(columns: &[TableColumn]) -> SchemaRef {
    let plain = |ty: &HiveType| match ty.arrow() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other,
    };
    let fields: Vec<_> = columns.iter().map(|column| Field::new(&column.name, plain(&column.ty), true)).collect();
    Arc::new(Schema::new(fields))
}

/// Returns a batch with the columns of a table.
fn as_table(batch: &RecordBatch, schema: &SchemaRef, positions: &[Option<usize>]) -> Result<RecordBatch, QueryError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = schema.fields().iter().zip(positions).map(|(field, position)| {
        let Some(position) = position else { return Ok(new_null_array(field.data_type(), batch.num_rows())) };
        let column = batch.column(*position);
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast_with_options(column, field.data_type(), &options).map_err(|error| from_execution_error(&error.into()))
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, QueryError>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| from_execution_error(&error.into()))
}

/// Returns the URI of an object in a location.
fn uri(location: &str, name: &str) -> String {
    crate::location::uri(location, &format!("{}{name}", key_of(location)))
}
