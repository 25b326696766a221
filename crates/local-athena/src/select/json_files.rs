//! Files of JSON, an object on each line, as the OpenX SerDe takes them: read line by line, so that memory does not grow
//! with the file, and gzip-compressed where their name says so.
//!
//! DataFusion's own reader of JSON makes a number of a text and keeps the last of two values of a name. This one reads
//! [exactly what is written](super::json_column) or fails with the file and the line.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::apply_expression_roots;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;

use super::audited::Objects;
use super::errors::external;
use super::json_column::{JsonColumn, json_column};
use super::json_line::{LineError, NoRow, fields};
use super::parquet_files::LocalFile;
use crate::catalog::{Table, TableColumn};
use crate::error::{ErrorKind, QueryError};

/// The longest line that is read: it has to fit into memory, once for each thread.
const LONGEST_LINE: u64 = 16 << 20;

/// A batch of rows ends behind this much text, however few rows that are.
const BATCH_BYTES: usize = 4 << 20;

/// The rows of a batch, where DataFusion does not say how many it wants.
const BATCH_ROWS: usize = 8192;

/// Names of files that are compressed in a way that is not read here.
const COMPRESSED: [&str; 7] = [".bz2", ".deflate", ".lz4", ".lzo", ".snappy", ".zst", ".zip"];

/// The files of a table, as a source of DataFusion's.
#[derive(Clone)]
pub(super) struct JsonFiles {
    columns: Arc<Vec<TableColumn>>,
    objects: Arc<Objects>,
    layout: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonFiles {
    pub(super) fn new(table: &Table, objects: Arc<Objects>, layout: TableSchema) -> Self {
        Self {
            columns: Arc::new(table.columns.clone()),
            objects,
            projection: SplitProjection::unprojected(&layout),
            layout,
            batch_rows: BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for JsonFiles {
    fn create_file_opener(
        &self,
        _object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let read = &self.projection.file_indices;
        let opener = Opener {
            columns: read.iter().filter_map(|at| self.columns.get(*at)).cloned().collect(),
            schema: Arc::new(self.layout.file_schema().project(read)?),
            objects: self.objects.clone(),
            batch_rows: self.batch_rows,
            bytes: MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), self.layout.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.layout
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.layout.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "json"
    }

    /// Lines are numbered from the start of a file, which is therefore read as a whole.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

/// Opens the files of one part of a scan.
struct Opener {
    /// The columns that are read, in the order of `schema`.
    columns: Vec<TableColumn>,
    schema: SchemaRef,
    objects: Arc<Objects>,
    batch_rows: usize,
    bytes: Count,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let Some(local) = file.extension::<LocalFile>().cloned() else {
            return exec_err!("{} has no local file", file.object_meta.location);
        };
        let columns = self.columns.iter().map(|column| json_column(&column.ty)).collect::<Result<_, _>>();
        let mut rows = Rows {
            uri: local.uri.clone(),
            names: self.columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect(),
            columns: columns.map_err(external)?,
            schema: self.schema.clone(),
            batch_rows: self.batch_rows.max(1),
            reader: Box::new(io::empty()),
            line: Vec::new(),
            number: 0,
            failed: false,
        };
        let (objects, bytes, size) = (self.objects.clone(), self.bytes.clone(), file.object_meta.size);
        Ok(Box::pin(async move {
            rows.reader = reader(&local, &objects, size, bytes).map_err(external)?;
            Ok(futures::stream::iter(rows).boxed())
        }))
    }
}

/// A reader of the file's text.
fn reader(
    local: &LocalFile,
    objects: &Objects,
    size: u64,
    bytes: Count,
) -> Result<Box<dyn BufRead + Send>, QueryError> {
    if let Some(end) = COMPRESSED.iter().find(|end| local.uri.ends_with(**end)) {
        let message = format!("{}: a file of JSON that is compressed as {end} (.gz is read)", local.uri);
        return Err(QueryError::new(ErrorKind::NotSupported, message));
    }
    let counted = Counted { file: whole(local, objects, size)?, bytes };
    Ok(match local.uri.ends_with(".gz") {
        true => Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(counted)))),
        false => Box::new(BufReader::new(counted)),
    })
}

/// The file, with as many bytes as the object has: one that was cut off at the end of a line would have fewer rows, and
/// nothing else would show it. A file that was replaced since it was listed is one of the object's next version.
fn whole(local: &LocalFile, objects: &Objects, listed: u64) -> Result<File, QueryError> {
    let fail = |why: &dyn Display| {
        let message = format!("Error opening Hive split {}: {why}", local.uri);
        QueryError::new(ErrorKind::CannotOpenSplit, message)
    };
    let mut expected = listed;
    let mut why = String::new();
    for _ in 0..3 {
        match File::open(&local.path).and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((found, file)) if found == expected => return Ok(file),
            Ok((found, _)) => why = format!("its file has {found} bytes, and the object {expected}"),
            Err(error) => why = error.to_string(),
        }
        expected = objects.size(&local.uri)?.ok_or_else(|| fail(&"it was removed while the query ran"))?;
    }
    Err(fail(&why))
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    bytes: Count,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.add(read);
        Ok(read)
    }
}

/// The rows of a file, in batches.
struct Rows {
    uri: String,
    /// Which column a name fills.
    names: HashMap<String, usize>,
    columns: Vec<Box<dyn JsonColumn>>,
    schema: SchemaRef,
    batch_rows: usize,
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// The number of `line`, from 1.
    number: u64,
    failed: bool,
}

impl Rows {
    /// Reads the next line, without its end. Is there one?
    fn read_line(&mut self) -> Result<bool, QueryError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.reader).take(LONGEST_LINE + 1).read_until(b'\n', &mut self.line);
        read.map_err(|error| self.no_row(format_args!("the file cannot be read on: {error}")))?;
        let ends = self.line.pop_if(|last| *last == b'\n').is_some();
        if !ends && self.line.len() as u64 > LONGEST_LINE {
            return Err(self.no_row(format_args!("the line is longer than {LONGEST_LINE} bytes")));
        }
        Ok(ends || !self.line.is_empty())
    }

    /// Adds the row on the line.
    fn add_row(&mut self, row: usize) -> Result<(), QueryError> {
        let line = std::str::from_utf8(&self.line);
        let line = line.map_err(|error| self.no_row(format_args!("no UTF-8 at byte {}", error.valid_up_to() + 1)))?;
        let (names, columns) = (&self.names, &mut self.columns);
        let done = fields(line, |name, value| match names.get(name).and_then(|at| columns.get_mut(*at)) {
            Some(column) => column.push(Some(value)),
            None => Ok(()),
        });
        done.map_err(|error| match error {
            LineError::NoRow(NoRow { why, at }) => self.no_row(format_args!("{why} at byte {at}")),
            LineError::Value { name, why } => self.no_value(&name, &why),
        })?;
        for column in self.columns.iter_mut().filter(|column| column.len() == row) {
            // A field that is not there is NULL, which every column takes.
            column.push(None).map_err(|why| QueryError::new(ErrorKind::Internal, why))?;
        }
        Ok(())
    }

    fn no_row(&self, why: impl Display) -> QueryError {
        let message = format!("Row is not a valid JSON Object - JSONException: {why}; {}", self.place());
        QueryError::new(ErrorKind::Cursor, message)
    }

    fn no_value(&self, name: &str, why: &str) -> QueryError {
        let message = format!("Error Parsing a column in the table: field {name}: {why}; {}", self.place());
        QueryError::new(ErrorKind::BadData, message)
    }

    fn place(&self) -> String {
        format!("line {} of {}", self.number, self.uri)
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut rows, mut bytes) = (0, 0);
        while rows < self.batch_rows && bytes < BATCH_BYTES && self.read_line().map_err(external)? {
            self.add_row(rows).map_err(external)?;
            rows += 1;
            bytes += self.line.len();
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(|column| column.finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        batch.map(Some).map_err(DataFusionError::from)
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.batch();
        self.failed = batch.is_err();
        batch.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;
    use crate::objects::{ObjectFile, ObjectFiles};

    /// One object, whose size at each listing is the next of these; gone behind the last.
    struct Listed(Mutex<Vec<u64>>);

    impl ObjectFiles for Listed {
        fn list(&self, location: &str) -> io::Result<Vec<ObjectFile>> {
            assert_eq!(location, "s3://lake/published/");
            let sizes = &mut *self.0.lock().expect("not poisoned");
            let next = (!sizes.is_empty()).then(|| sizes.remove(0));
            let object = |size| ObjectFile {
                key: "published/days.json".to_owned(),
                size,
                etag: None,
                path: "unused".into(),
                last_modified: SystemTime::UNIX_EPOCH,
            };
            Ok(next.map(object).into_iter().collect())
        }
    }

    /// A file of `bytes` bytes, or none, where the plan saw an object of `planned` bytes and listings see `then`.
    fn opened(bytes: Option<usize>, planned: u64, then: &[u64]) -> Result<u64, String> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("days.json");
        if let Some(bytes) = bytes {
            std::fs::write(&path, vec![b' '; bytes]).expect("a file");
        }
        let local = LocalFile { path, uri: "s3://lake/published/days.json".to_owned(), audited: None };
        let objects = Objects::new(Arc::new(Listed(Mutex::new(then.to_vec()))));
        let file = whole(&local, &objects, planned).map_err(|error| error.message)?;
        Ok(file.metadata().expect("metadata").len())
    }

    #[test]
    fn a_file_has_the_bytes_of_its_object_or_is_an_error() {
        let failed = |why: &str| {
            Err(format!("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://lake/published/days.json: {why}"))
        };
        assert_eq!(opened(Some(10), 10, &[]), Ok(10));
        assert_eq!(opened(Some(20), 10, &[20]), Ok(20), "replaced between the plan and its run");
        assert_eq!(opened(Some(9), 10, &[10, 10, 10]), failed("its file has 9 bytes, and the object 10"));
        assert_eq!(opened(None, 10, &[]), failed("it was removed while the query ran"));
        let missing = opened(None, 10, &[10, 10, 10]).expect_err("no file");
        assert!(missing.contains("No such file"), "{missing}");
    }
}
