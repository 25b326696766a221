//! Encodes batches of rows as one object.

use std::io::Write as _;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use flate2::write::GzEncoder;

use crate::error::{ErrorKind, QueryError};
use crate::functions::write_json;
use crate::result_text;
use crate::sql::{Compression, WriteFormat};

/// An object that is being written, in memory.
pub(super) enum Encoder {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Lines { lines: Lines, format: WriteFormat },
}

/// Text, compressed or not.
pub(super) enum Lines {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

fn failed(error: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::Internal, format_args!("rows cannot be encoded: {error}"))
}

impl Encoder {
    pub(super) fn new(format: WriteFormat, compression: Compression, schema: &SchemaRef) -> Result<Self, QueryError> {
        if format != WriteFormat::Parquet {
            let lines = match compression {
                Compression::Gzip => Lines::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::default()))),
                _ => Lines::Plain(Vec::new()),
            };
            return Ok(Self::Lines { lines, format });
        }
        let compression = match compression {
            Compression::None => ParquetCompression::UNCOMPRESSED,
            Compression::Gzip => ParquetCompression::GZIP(GzipLevel::default()),
            Compression::Snappy => ParquetCompression::SNAPPY,
            Compression::Zstd => ParquetCompression::ZSTD(ZstdLevel::default()),
        };
        let properties = WriterProperties::builder().set_compression(compression).build();
        // The table's types are those of the catalog, and not Arrow's.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer =
            ArrowWriter::try_new_with_options(Vec::new(), SchemaRef::clone(schema), options).map_err(failed)?;
        Ok(Self::Parquet(Box::new(writer)))
    }

    /// Returns the end of an object's name.
    pub(super) fn extension(&self) -> &'static str {
        match self {
            Self::Parquet(_) => ".parquet",
            Self::Lines { lines: Lines::Gzip(_), .. } => ".gz",
            Self::Lines { .. } => ".txt",
        }
    }

    /// Returns the size so far in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Parquet(writer) => writer.bytes_written() + writer.in_progress_size(),
            Self::Lines { lines: Lines::Plain(bytes), .. } => bytes.len(),
            Self::Lines { lines: Lines::Gzip(encoder), .. } => encoder.get_ref().len(),
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        match self {
            Self::Parquet(writer) => writer.write(batch).map_err(failed),
            Self::Lines { lines, format } => {
                let mut text = String::new();
                for row in 0..batch.num_rows() {
                    match format {
                        WriteFormat::Text { delimiter } => text_line(batch, row, *delimiter, &mut text)?,
                        _ => json_line(batch, row, &mut text)?,
                    }
                    text.push('\n');
                }
                match lines {
                    Lines::Plain(bytes) => bytes.extend_from_slice(text.as_bytes()),
                    Lines::Gzip(encoder) => encoder.write_all(text.as_bytes()).map_err(failed)?,
                }
                Ok(())
            }
        }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, QueryError> {
        match self {
            Self::Parquet(writer) => writer.into_inner().map_err(failed),
            Self::Lines { lines: Lines::Plain(bytes), .. } => Ok(bytes),
            Self::Lines { lines: Lines::Gzip(encoder), .. } => encoder.finish().map_err(failed),
        }
    }
}

/// Appends a row as a JSON object. A NULL has no field.
fn json_line(batch: &RecordBatch, row: usize, out: &mut String) -> Result<(), QueryError> {
    out.push('{');
    let mut is_first = true;
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if column.is_null(row) {
            continue;
        }
        if !is_first {
            out.push(',');
        }
        is_first = false;
        out.push_str(&serde_json::Value::from(field.name().as_str()).to_string());
        out.push(':');
        write_json(column, row, out)?;
    }
    out.push('}');
    Ok(())
}

/// Appends a row as Hive's text: fields between delimiters, NULL as `\N`.
fn text_line(batch: &RecordBatch, row: usize, delimiter: char, out: &mut String) -> Result<(), QueryError> {
    for (at, column) in batch.columns().iter().enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        out.push_str(result_text::value(column, row)?.as_deref().unwrap_or("\\N"));
    }
    Ok(())
}
