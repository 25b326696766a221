//! Reads Parquet files on this machine. Verifies the checksums of audited files, and checks that the column types of a
//! file fit those of the table.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Cursor};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::parquet::file::reader::{ChunkReader, Length};
use datafusion::parquet::schema::types::SchemaDescriptor;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::audited::Audited;
use crate::catalog::{Table, TableColumn};
use crate::error::{ErrorKind, QueryError};

/// The local file of an object. DataFusion's plan carries it as an extension of its [`PartitionedFile`].
#[derive(Debug, Clone)]
pub(super) struct LocalFile {
    pub(super) path: PathBuf,
    /// The object's URI, `s3://bucket/key`, for messages.
    pub(super) uri: String,
    /// The ETag of the object when it was listed.
    pub(super) etag: Option<String>,
    /// The file's entry in the manifest, if the table has one.
    pub(super) audited: Option<Audited>,
}

/// An open file.
struct OpenFile<'a> {
    file: &'a File,
    local: &'a LocalFile,
}

impl OpenFile<'_> {
    /// Reads a range of the file. Reads and verifies the whole checksum blocks around it if the file is audited.
    fn read(&self, range: Range<u64>) -> std::result::Result<Bytes, ParquetError> {
        let around = self.local.audited.as_ref().map_or_else(|| range.clone(), |audited| audited.around(&range));
        let length = usize::try_from(around.end.saturating_sub(around.start))?;
        let mut bytes = vec![0; length];
        let done = self.file.read_exact_at(&mut bytes, around.start);
        done.map_err(|error| self.local.cannot_open(&error))?;
        if let Some(audited) = &self.local.audited {
            audited.verify(around.start, &bytes).map_err(|damage| self.local.damaged(&damage))?;
        }
        let bytes = Bytes::from(bytes);
        let (from, to) = (range.start.checked_sub(around.start), range.end.checked_sub(around.start));
        match (from.map(usize::try_from).transpose()?, to.map(usize::try_from).transpose()?) {
            (Some(from), Some(to)) if from <= to && to <= length => Ok(bytes.slice(from..to)),
            _ => Err(self.local.cannot_open(&io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

impl Length for OpenFile<'_> {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for OpenFile<'_> {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> std::result::Result<Self::T, ParquetError> {
        self.read(start..self.len()).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> std::result::Result<Bytes, ParquetError> {
        self.read(start..start.saturating_add(length as u64))
    }
}

impl LocalFile {
    /// Returns advice for the user, as the end of an error message.
    fn repair(&self) -> String {
        self.audited.as_ref().map_or_else(String::new, |audited| format!("; {}", audited.repair()))
    }

    fn cannot_open(&self, error: &io::Error) -> ParquetError {
        let message = format!("Error opening Hive split {}: {error}{}", self.uri, self.repair());
        wrapped(ErrorKind::CannotOpenSplit, message)
    }

    fn damaged(&self, what: impl Display) -> ParquetError {
        let message = format!("Malformed Parquet file {}: {what}{}", self.uri, self.repair());
        wrapped(ErrorKind::BadData, message)
    }
}

/// Creates a reader for each file of a scan.
#[derive(Debug)]
pub(super) struct ParquetReaderFactory {
    columns: Arc<Vec<TableColumn>>,
}

impl ParquetReaderFactory {
    /// `needed` are the columns that the scan reads. Only these are checked for their type.
    pub(super) fn new(table: &Table, needed: Vec<String>) -> Self {
        let is_needed = |c: &&TableColumn| needed.contains(&c.name);
        let columns = table.columns.iter().filter(is_needed).cloned().collect();
        Self { columns: Arc::new(columns) }
    }
}

impl ParquetFileReaderFactory for ParquetReaderFactory {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let Some(local) = file.extension::<LocalFile>().cloned() else {
            return exec_err!("{} has no local file", file.object_meta.location);
        };
        let uri = local.uri.clone();
        Ok(Box::new(Reader {
            metrics: ParquetFileMetrics::new(partition, &uri, metrics),
            columns: self.columns.clone(),
            local,
            file: None,
        }))
    }
}

/// Reads one file. The file stays open between reads, so that a query finishes although the file is removed meanwhile.
struct Reader {
    metrics: ParquetFileMetrics,
    columns: Arc<Vec<TableColumn>>,
    local: LocalFile,
    file: Option<File>,
}

impl Reader {
    fn file(&mut self) -> std::result::Result<OpenFile<'_>, ParquetError> {
        if self.file.is_none() {
            let file = File::open(&self.local.path).map_err(|e| self.local.cannot_open(&e))?;
            self.file = Some(file);
        }
        let file = self.file.as_ref().ok_or_else(|| ParquetError::General("the file was not opened".to_owned()))?;
        Ok(OpenFile { file, local: &self.local })
    }

    fn read(&mut self, range: Range<u64>) -> std::result::Result<Bytes, ParquetError> {
        let bytes = self.file()?.read(range)?;
        self.metrics.bytes_scanned.add(bytes.len());
        Ok(bytes)
    }

    fn metadata(
        &mut self,
        options: Option<&ArrowReaderOptions>,
    ) -> std::result::Result<Arc<ParquetMetaData>, ParquetError> {
        let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
        let parsed = reader.parse_and_finish(&self.file()?);
        let metadata = parsed.map_err(|error| self.not_parquet(error))?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).ok();
        if let Some(audited) =
            self.local.audited.as_ref().and_then(Audited::rows).filter(|audited| Some(*audited) != rows)
        {
            return Err(self
                .local
                .damaged(format_args!("its footer is not that of the {audited} rows that were audited")));
        }
        self.check(metadata.file_metadata().schema_descr())?;
        Ok(Arc::new(metadata))
    }

    fn check(&self, file: &SchemaDescriptor) -> std::result::Result<(), ParquetError> {
        let schema = parquet_to_arrow_schema(file, None).map_err(|e| self.not_parquet(e))?;
        for column in self.columns.iter() {
            let Some(field) = field_of(&schema, &column.name) else {
                continue;
            };
            if !is_readable_as(field.data_type(), &column.ty.arrow()) {
                return Err(self.wrong_type(file, field, column));
            }
        }
        Ok(())
    }

    fn wrong_type(&self, file: &SchemaDescriptor, field: &Field, column: &TableColumn) -> ParquetError {
        let of_file = file
            .columns()
            .iter()
            .find(|c| c.path().parts().first() == Some(field.name()))
            .map_or_else(|| field.data_type().to_string(), |c| c.physical_type().to_string());
        let message = format!(
            "Malformed Parquet file. Field {}'s type {of_file} in parquet file {} is incompatible with type {} defined in table schema",
            field.name(),
            self.local.uri,
            column.ty.trino(),
        );
        wrapped(ErrorKind::BadData, message)
    }

    /// Wraps an error of the Parquet library. A [`QueryError`] passes unchanged.
    fn not_parquet(&self, error: ParquetError) -> ParquetError {
        match error {
            ParquetError::External(inner) if inner.is::<QueryError>() => ParquetError::External(inner),
            error => self.local.damaged(error),
        }
    }
}

fn wrapped(kind: ErrorKind, message: String) -> ParquetError {
    ParquetError::External(Box::new(QueryError::new(kind, message)))
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, std::result::Result<Bytes, ParquetError>> {
        async move { self.read(range) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, std::result::Result<Arc<ParquetMetaData>, ParquetError>> {
        async move { self.metadata(options) }.boxed()
    }
}

/// Returns the field of this name, compared without case if there is no exact match. This is how Athena finds columns.
fn field_of<'a>(schema: &'a Schema, name: &str) -> Option<&'a Field> {
    let same = |f: &&Arc<Field>| f.name() == name;
    let alike = |f: &&Arc<Field>| f.name().eq_ignore_ascii_case(name);
    let fields = schema.fields();
    fields.iter().find(same).or_else(|| fields.iter().find(alike)).map(Arc::as_ref)
}

/// Returns whether values of the file's type can be read as the table's type without loss.
fn is_readable_as(file: &DataType, table: &DataType) -> bool {
    use DataType as T;
    match (file, table) {
        (T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16, T::Int32 | T::Int64)
        | (T::Int64 | T::UInt32, T::Int64)
        | (T::Int8 | T::Int16 | T::Int32, T::Int8 | T::Int16)
        | (T::Float32 | T::Float64, T::Float64)
        | (T::Float32, T::Float32)
        | (T::Boolean, T::Boolean)
        | (T::Date32, T::Date32)
        | (T::Timestamp(..), T::Timestamp(..))
        | (T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Binary | T::BinaryView, T::Utf8View)
        | (T::Utf8 | T::Binary | T::LargeBinary | T::BinaryView, T::BinaryView)
        | (T::Null, _) => true,
        (T::Decimal128(_, file), T::Decimal128(_, table)) => file == table,
        (T::List(file), T::List(table)) => is_readable_as(file.data_type(), table.data_type()),
        (T::Map(file, _), T::Map(table, _)) => is_readable_as(file.data_type(), table.data_type()),
        (T::Struct(_), T::Struct(_)) => true,
        _ => false,
    }
}

/// Maps a table's columns to a file's when their names differ only in case.
#[derive(Debug)]
pub(super) struct CaseInsensitiveColumns;

impl PhysicalExprAdapterFactory for CaseInsensitiveColumns {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let as_in_file = |field: &Arc<Field>| match field_of(&file, field.name()) {
            Some(found) => field.as_ref().clone().with_name(found.name()),
            None => field.as_ref().clone(),
        };
        let renamed: Vec<_> = table.fields().iter().map(as_in_file).collect();
        let renamed = Arc::new(Schema::new(renamed));
        Ok(Arc::new(CaseInsensitiveAdapter {
            inner: DefaultPhysicalExprAdapterFactory.create(renamed, file.clone())?,
            file,
        }))
    }
}

#[derive(Debug)]
struct CaseInsensitiveAdapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    file: SchemaRef,
}

impl PhysicalExprAdapter for CaseInsensitiveAdapter {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let renamed = expression.transform(|expression| {
            let Some(column) = expression.downcast_ref::<Column>() else {
                return Ok(Transformed::no(expression));
            };
            match field_of(&self.file, column.name()) {
                Some(field) if field.name() != column.name() => {
                    let column = Column::new(field.name(), column.index());
                    Ok(Transformed::yes(Arc::new(column) as _))
                }
                _ => Ok(Transformed::no(expression)),
            }
        });
        self.inner.rewrite(renamed.data()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::HiveType;

    #[test]
    fn types_that_files_may_have() {
        let readable = |file, table: &str| is_readable_as(&file, &table.parse::<HiveType>().unwrap().arrow());
        assert!(readable(DataType::Int32, "bigint"));
        assert!(!readable(DataType::Int64, "int"));
        assert!(!readable(DataType::Float64, "bigint"));
        assert!(!readable(DataType::Int64, "double"));
        assert!(readable(DataType::Float32, "double"));
        assert!(readable(DataType::Binary, "string"));
        assert!(!readable(DataType::Int64, "string"));
        assert!(!readable(DataType::Decimal128(10, 2), "decimal(10,3)"));
    }
}
