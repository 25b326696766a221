//! One Parquet file of one table.
//!
//! Rows are gathered in memory until there are enough for a row group, sorted by ticker and time, and written column by
//! column, so that never more than one column exists twice.
//!
//! A row group holds [`ROW_GROUP_ROWS`] rows, about fourteen snapshots. That is large enough to compress well and to be
//! read in long stretches, and small enough for a fixed budget of memory: about 16 MB a thread. Since it is sorted, the
//! statistics of its pages ([`PAGE_ROWS`] rows each) let a reader that looks for one ticker skip nearly all of them.

use std::fs::File;
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
use crate::tickers::Tickers;

/// Rows in a row group; the last one of a file has what is left.
pub const ROW_GROUP_ROWS: usize = 1 << 16;

/// Bytes of text in a row group, behind which it is written whatever its rows. [`ROW_GROUP_ROWS`] real rows have half
/// of it; cells of a megabyte may not decide how much memory is needed.
pub const ROW_GROUP_BYTES: usize = 4 << 20;

/// Rows in a page: the unit that a reader can skip.
const PAGE_ROWS: usize = 8192;

/// A column whose distinct values take more than this is written without a dictionary from there on: prices and
/// names repeat and stay below it, model values hardly ever repeat and are not worth looking up.
const DICTIONARY_BYTES: usize = 128 << 10;

/// A Parquet file that is being written.
pub struct TableFile {
    table: TableName,
    path: PathBuf,
    schema: SchemaRef,
    writer: SerializedFileWriter<File>,
    columns: ArrowRowGroupWriterFactory,
    pages: Arc<ChecksummedPages>,
}

impl TableFile {
    /// Creates the file at `path`.
    pub fn create(table: TableName, path: PathBuf) -> Result<Self, EtlError> {
        let file = File::create(&path).map_err(|source| EtlError::Write { path: path.clone(), source })?;
        let schema = Arc::new(schema(table));
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(|error| write_error(&path, error))?;
        let writer = SerializedFileWriter::new(file, parquet_schema.root_schema_ptr(), properties(table))
            .map_err(|error| write_error(&path, error))?;
        let pages = Arc::new(ChecksummedPages::default());
        let columns =
            ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema)).with_page_store_factory(pages.clone());
        Ok(Self { table, path, schema, writer, columns, pages })
    }

    /// Writes one row group and leaves `tickers` empty. `other` gives the columns of the table but for the tickers, by
    /// their number, with their rows in the order that it is told; each is asked for only when the one before it is
    /// written.
    pub fn write_row_group(
        &mut self,
        tickers: &mut Tickers,
        other: impl FnMut(usize, &[u32]) -> Option<ArrayRef>,
    ) -> Result<(), EtlError> {
        self.try_write_row_group(tickers, other).map_err(|error| write_error(&self.path, error))
    }

    fn try_write_row_group(
        &mut self,
        tickers: &mut Tickers,
        mut other: impl FnMut(usize, &[u32]) -> Option<ArrayRef>,
    ) -> Result<(), ParquetError> {
        let sorted = tickers.sort();
        let sorted_tickers: ArrayRef = Arc::new(sorted.tickers);
        let mut others = 0..;
        let encoders = self.columns.create_column_writers(self.writer.flushed_row_groups().len())?;
        let encoders = self.pages.of_columns(encoders)?;
        let mut row_group = self.writer.next_row_group()?;
        for ((column, field), (mut encoder, pages)) in
            self.table.columns().iter().zip(self.schema.fields()).zip(encoders)
        {
            let values = match column.source {
                Source::Ticker => Arc::clone(&sorted_tickers),
                _ => others.next().and_then(|at| other(at, &sorted.order)).ok_or_else(|| missing(column.name))?,
            };
            for leaf in compute_leaves(field, &values)? {
                encoder.write(&leaf)?;
            }
            pages.append_to_row_group(encoder.close()?, &mut row_group)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// Writes the footer. Gives the number of rows in the file.
    pub fn close(self) -> Result<u64, EtlError> {
        let metadata = self.writer.close().map_err(|error| write_error(&self.path, error))?;
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

/// Tells a full disk from a refusal of the library, which wraps both.
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
        let mut file = TableFile::create(TableName::Quotes, folder.path().join("x")).expect("a file");
        let mut tickers = Tickers::default();
        tickers.push(b"PETR4");
        let error = file.write_row_group(&mut tickers, |_, _| None).expect_err("no columns").to_string();
        assert!(error.contains("no values for column intdate"), "{error}");
    }
}
