//! Distributes rows over the objects of partitions.

use std::collections::BTreeMap;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::SchemaRef;

use super::encoder::Encoder;
use super::{Written, uri};
use crate::catalog::Table;
use crate::error::{ErrorKind, QueryError};
use crate::objects::ObjectFiles;
use crate::resolve::canonical_value;
use crate::result_text;
use crate::select::errors::from_execution_error;
use crate::sql::WriteOptions;

/// The largest number of partitions that one statement writes, as on Athena.
const MAX_PARTITIONS: usize = 100;

/// The size of an object in bytes from which on another one is begun.
const OBJECT_BYTES: usize = 64 << 20;

/// The bytes that all open objects of a statement may take in memory. The largest is closed when there are more.
const OPEN_BYTES: usize = 128 << 20;

pub(super) struct PartitionedWriter<'a> {
    table: &'a Table,
    options: &'a WriteOptions,
    /// The first part of the names of objects.
    id: &'a str,
    /// The columns of the objects, without the partition keys.
    schema: SchemaRef,
    open: BTreeMap<Vec<String>, Open>,
    /// The partitions that have rows.
    partitions: Vec<Vec<String>>,
    written: Written,
}

/// The object of a partition that is being written.
struct Open {
    location: String,
    encoder: Encoder,
}

impl<'a> PartitionedWriter<'a> {
    /// Creates a writer of rows that have the columns of `schema`, of which the last are the partition keys.
    pub(super) fn new(table: &'a Table, options: &'a WriteOptions, id: &'a str, schema: SchemaRef) -> Self {
        let own: Vec<_> = (0..table.columns.len()).collect();
        let schema = schema.project(&own).map_or(schema, SchemaRef::new);
        let written = Written { rows: 0, objects: Vec::new() };
        Self { table, options, id, schema, open: BTreeMap::new(), partitions: Vec::new(), written }
    }

    pub(super) fn write(
        &mut self,
        objects: &dyn ObjectFiles,
        batch: &RecordBatch,
        location_of: impl Fn(&[String]) -> String,
    ) -> Result<(), QueryError> {
        let mut rows: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            rows.entry(self.values(batch, row)?).or_default().push(row as u32);
        }
        let own: Vec<_> = (0..self.table.columns.len()).collect();
        for (values, rows) in rows {
            self.written.rows += rows.len() as u64;
            let taken = take_record_batch(batch, &UInt32Array::from(rows)).and_then(|taken| taken.project(&own));
            let taken = taken.map_err(|error| from_execution_error(&error.into()))?;
            self.append(objects, values, &taken, &location_of)?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        objects: &dyn ObjectFiles,
        values: Vec<String>,
        batch: &RecordBatch,
        location_of: &impl Fn(&[String]) -> String,
    ) -> Result<(), QueryError> {
        if !self.partitions.contains(&values) {
            if self.partitions.len() == MAX_PARTITIONS {
                let message = format!("Exceeded limit of {MAX_PARTITIONS} open writers for partitions/buckets");
                return Err(QueryError::new(ErrorKind::TooManyOpenPartitions, message));
            }
            self.partitions.push(values.clone());
        }
        if !self.open.contains_key(&values) {
            let encoder = Encoder::new(self.options.format, self.options.compression, &self.schema)?;
            self.open.insert(values.clone(), Open { location: location_of(&values), encoder });
        }
        if let Some(open) = self.open.get_mut(&values) {
            open.encoder.write(batch)?;
            if open.encoder.size() >= OBJECT_BYTES {
                self.close(objects, &values)?;
            }
        }
        if self.open.values().map(|open| open.encoder.size()).sum::<usize>() > OPEN_BYTES {
            let largest =
                self.open.iter().max_by_key(|(_, open)| open.encoder.size()).map(|(values, _)| values.clone());
            if let Some(largest) = largest {
                self.close(objects, &largest)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, objects: &dyn ObjectFiles, values: &[String]) -> Result<(), QueryError> {
        let Some(open) = self.open.remove(values) else { return Ok(()) };
        let name = format!("{}_{:05}{}", self.id, self.written.objects.len(), open.encoder.extension());
        let uri = uri(&open.location, &name);
        let bytes = open.encoder.finish()?;
        objects.write(&uri, &bytes).map_err(|error| {
            QueryError::new(ErrorKind::WriterClose, format_args!("{uri} cannot be written: {error}"))
        })?;
        self.written.objects.push(uri);
        Ok(())
    }

    /// Returns the partition of a row.
    fn values(&self, batch: &RecordBatch, row: usize) -> Result<Vec<String>, QueryError> {
        let keys = self.table.partition_keys.iter().zip(&batch.columns()[self.table.columns.len()..]);
        keys.map(|(key, column)| {
            let text = result_text::value(column, row)?.ok_or_else(|| {
                let message = format!("a row with NULL in the partition key {}", key.name);
                QueryError::not_supported(&message)
            })?;
            canonical_value(key, &text)
        })
        .collect()
    }

    /// Closes all objects. Returns what was written, and the partitions.
    pub(super) fn finish(mut self, objects: &dyn ObjectFiles) -> Result<(Written, Vec<Vec<String>>), QueryError> {
        for values in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(objects, &values)?;
        }
        Ok((self.written, self.partitions))
    }
}
