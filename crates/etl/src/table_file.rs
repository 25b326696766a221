//! Writes one Parquet file of one table.
//!
//! A row group holds [`ROW_GROUP_ROWS`] rows, about fourteen snapshots: enough to compress well and to be read
//! sequentially, and few enough for a fixed budget of memory, about 16 MB per thread. Its rows are sorted by ticker and
//! time, so that the min/max statistics of its pages ([`PAGE_ROWS`] rows each) let a reader that looks for one ticker skip
//! nearly all of them (page pruning). It is written column by column, so that at most one column is in memory twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{ArrowError, SchemaRef};
use market::table::{Source, TableName};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;

use crate::error::EtlError;
use crate::page_checksums::ChecksummedPages;
use crate::schema::schema;
use crate::storage::TableWriter;

/// Rows in a row group. The last row group of a file may have fewer.
pub(crate) const ROW_GROUP_ROWS: usize = 1 << 16;

/// Bytes of text after which a row group is written even if it has fewer rows, so that cells of a megabyte do not decide how
/// much memory a thread needs. [`ROW_GROUP_ROWS`] rows of real files have half of it.
pub(crate) const ROW_GROUP_BYTES: usize = 4 << 20;

/// Rows in a page: the unit that a reader can skip.
const PAGE_ROWS: usize = 8192;

/// The size at which a column's dictionary is full, after which its values are written in plain encoding. Prices and names
/// repeat, and their dictionaries stay smaller; model values hardly ever repeat, and a dictionary of them would cost time and
/// save nothing.
const DICTIONARY_BYTES: usize = 128 << 10;

/// A Parquet file that is being written.
pub(crate) struct TableFile {
    path: PathBuf,
    schema: SchemaRef,
    writer: SerializedFileWriter<Box<dyn TableWriter>>,
    columns: ArrowRowGroupWriterFactory,
    pages: Arc<ChecksummedPages>,
}

impl TableFile {
    /// Starts the file. Error messages name `path`.
    pub(crate) fn new(table: TableName, path: PathBuf, file: Box<dyn TableWriter>) -> Result<Self, EtlError> {
        let schema = Arc::new(schema(table));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(|error| write_error(&path, error))?;
        let writer = SerializedFileWriter::new(file, parquet_schema.root_schema_ptr(), properties(table))
            .map_err(|error| write_error(&path, error))?;
        let pages = Arc::new(ChecksummedPages::default());
        let columns =
            ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema)).with_page_store_factory(pages.clone());
        Ok(Self { path, schema, writer, columns, pages })
    }

    /// Writes one row group from its columns in the order of the table. Takes each column only when the one before it is
    /// written and freed.
    ///
    /// # Errors
    /// [`EtlError::Write`] if the file cannot be written; [`EtlError::Parquet`] if a column is missing or of another type.
    pub(crate) fn write_row_group(&mut self, columns: impl Iterator<Item = ArrayRef>) -> Result<(), EtlError> {
        self.try_write_row_group(columns).map_err(|error| write_error(&self.path, error))
    }

    fn try_write_row_group(&mut self, mut columns: impl Iterator<Item = ArrayRef>) -> Result<(), ParquetError> {
        let encoders = self.columns.create_column_writers(self.writer.flushed_row_groups().len())?;
        let encoders = self.pages.take_columns(encoders)?;
        let mut row_group = self.writer.next_row_group()?;
        for (field, (mut encoder, pages)) in self.schema.fields().iter().zip(encoders) {
            let values = columns.next().ok_or_else(|| missing(field.name()))?;
            for leaf in compute_leaves(field, &values)? {
                encoder.write(&leaf)?;
            }
            pages.append_to_row_group(encoder.close()?, &mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// Writes the footer, and returns the number of rows in the file.
    pub(crate) fn close(mut self) -> Result<u64, EtlError> {
        let metadata = self.writer.finish().map_err(|error| write_error(&self.path, error))?;
        let completed = self.writer.inner_mut().complete();
        completed.map_err(|source| EtlError::Write { path: self.path, source })?;
        Ok(metadata.file_metadata().num_rows() as u64)
    }
}

fn properties(table: TableName) -> WriterPropertiesPtr {
    let position = |source| table.columns().iter().position(|column| column.source == source);
    let sorting = [Source::Ticker, Source::FileTime]
        .into_iter()
        .filter_map(position)
        .map(|at| SortingColumn { column_idx: at as i32, descending: false, nulls_first: false })
        .collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_sorting_columns(Some(sorting))
        .build();
    Arc::new(properties)
}

fn missing(column: &str) -> ParquetError {
    ParquetError::ArrowError(ArrowError::SchemaError(format!("no values for column {column}")).to_string())
}

/// Converts an error of the library, which also wraps errors of the file system: a full disk is a [`EtlError::Write`].
fn write_error(path: &Path, error: ParquetError) -> EtlError {
    let path = path.to_owned();
    match error {
        ParquetError::External(inner) => match inner.downcast() {
            Ok(source) => EtlError::Write { path, source: *source },
            Err(inner) => EtlError::Parquet { path, source: ParquetError::External(inner) },
        },
        source => EtlError::Parquet { path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;

    use super::*;

    #[test]
    fn a_full_disk_says_so() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = write_error(Path::new("out/x.parquet"), ParquetError::from(full));
        assert!(matches!(error, EtlError::Write { .. }));
        assert!(error.to_string().ends_with("; free some space, or choose another disk"), "{error}");
        let error = write_error(Path::new("out/x.parquet"), missing("ticker"));
        assert!(matches!(error, EtlError::Parquet { .. }));
    }

    #[test]
    fn no_row_group_without_all_columns() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let file = File::create(&path).expect("a file");
        let mut file = TableFile::new(TableName::Quotes, path, Box::new(file)).expect("a table");
        let error = file.write_row_group(std::iter::empty()).expect_err("no columns").to_string();
        assert!(error.contains("no values for column intdate"), "{error}");
    }
}
