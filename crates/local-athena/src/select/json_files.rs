//! Reads JSON Lines files, as the OpenX SerDe does: an object per line, gzip-compressed if the name ends with `.gz`.
//! Reads line by line, so that memory does not grow with the file.
//!
//! Not DataFusion's JSON reader: that converts text to numbers, and keeps the last of two fields of one name. This
//! reader returns [exactly the written values](super::json_column), or fails with the file and the line.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
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
use md5::{Digest, Md5};

use super::audited::AuditedObjects;
use super::errors::external;
use super::json_column::{JsonColumn, json_column};
use super::json_line::{LineError, MalformedLine, fields};
use super::parquet_files::LocalFile;
use crate::catalog::{Table, TableColumn};
use crate::error::{ErrorKind, QueryError};

/// Maximum length of a line. A line is held in memory, once per thread.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Size of a batch in bytes of text. A batch ends at this size even if it has few rows.
const BATCH_BYTES: usize = 4 << 20;

/// Default number of rows of a batch; DataFusion sets another one.
const BATCH_ROWS: usize = 8192;

/// Suffixes of files with a compression that is not supported.
const COMPRESSED: [&str; 7] = [".bz2", ".deflate", ".lz4", ".lzo", ".snappy", ".zst", ".zip"];

/// The JSON files of a table as a DataFusion [`FileSource`].
#[derive(Clone)]
pub(super) struct JsonFiles {
    columns: Arc<Vec<TableColumn>>,
    objects: Arc<AuditedObjects>,
    layout: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonFiles {
    pub(super) fn new(table: &Table, objects: Arc<AuditedObjects>, layout: TableSchema) -> Self {
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

    fn file_type(&self) -> &'static str {
        "json"
    }

    /// False: errors name line numbers, so that a file has to be read from its start.
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

/// Opens the files of one partition of a scan.
struct Opener {
    /// The columns that are read, in the order of `schema`.
    columns: Vec<TableColumn>,
    schema: SchemaRef,
    objects: Arc<AuditedObjects>,
    batch_rows: usize,
    bytes: Count,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let Some(local) = file.extension::<LocalFile>().cloned() else {
            return exec_err!("{} has no local file", file.object_meta.location);
        };
        let columns = self.columns.iter().map(|column| json_column(&column.ty)).collect::<Result<_, _>>();
        let mut rows = JsonRowReader {
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

/// Returns a reader of the file's text.
fn reader(
    local: &LocalFile,
    objects: &AuditedObjects,
    size: u64,
    bytes: Count,
) -> Result<Box<dyn BufRead + Send>, QueryError> {
    if let Some(end) = COMPRESSED.iter().find(|end| local.uri.ends_with(**end)) {
        let message = format!("{}: a file of JSON that is compressed as {end} (.gz is read)", local.uri);
        return Err(QueryError::new(ErrorKind::NotSupported, message));
    }
    let counted = CountingReader { file: whole(local, objects, size)?, bytes };
    Ok(match local.uri.ends_with(".gz") {
        true => Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(counted)))),
        false => Box::new(BufReader::new(counted)),
    })
}

/// Opens the file and verifies its size and, if the ETag is an MD5, its digest. JSON Lines have no checksums: a file
/// that was truncated at the end of a line would have fewer rows, and a flipped bit could be another number, without an
/// error. So the file is read completely before its first row. If the object was replaced after it was listed, its next
/// version is opened.
fn whole(local: &LocalFile, objects: &AuditedObjects, listed: u64) -> Result<File, QueryError> {
    let fail = |why: &dyn Display| {
        let message = format!("Error opening Hive split {}: {why}", local.uri);
        QueryError::new(ErrorKind::CannotOpenSplit, message)
    };
    let (mut bytes, mut etag) = (listed, local.etag.clone());
    let mut why = String::new();
    for _ in 0..3 {
        match File::open(&local.path)
            .and_then(|file| difference(&file, bytes, etag.as_deref()).map(|found| (file, found)))
        {
            Ok((file, None)) => return Ok(file),
            Ok((_, Some(difference))) => why = difference,
            Err(error) => why = error.to_string(),
        }
        let now = objects.find(&local.uri)?.ok_or_else(|| fail(&"it was removed while the query ran"))?;
        (bytes, etag) = (now.size, now.etag);
    }
    Err(fail(&format_args!("{why}; pregao verify --deep names all files that are not as they were stored")))
}

/// Returns how the file differs from an object of this size and ETag, or `None` if it does not.
fn difference(mut file: &File, bytes: u64, etag: Option<&str>) -> io::Result<Option<String>> {
    let found = file.metadata()?.len();
    if found != bytes {
        return Ok(Some(format!("its file has {found} bytes, and the object {bytes}")));
    }
    let is_md5 = |etag: &&str| etag.len() == 32 && etag.bytes().all(|digit| digit.is_ascii_hexdigit());
    let Some(etag) = etag.filter(is_md5) else { return Ok(None) };
    let mut digest = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let differs = !found.eq_ignore_ascii_case(etag);
    Ok(differs.then(|| format!("its file has the MD5 {found}, and the object was stored with {etag}")))
}

/// Counts the bytes that are read.
struct CountingReader {
    file: File,
    bytes: Count,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.add(read);
        Ok(read)
    }
}

/// Reads the rows of a file in batches.
struct JsonRowReader {
    uri: String,
    /// The index in `columns` of each field name.
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

impl JsonRowReader {
    /// Reads the next line, without its line feed. Returns false at the end of the file.
    fn read_line(&mut self) -> Result<bool, QueryError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.reader).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut self.line);
        read.map_err(|error| self.malformed_line(format_args!("the file cannot be read on: {error}")))?;
        let ends = self.line.pop_if(|last| *last == b'\n').is_some();
        if !ends && self.line.len() as u64 > MAX_LINE_BYTES {
            return Err(self.malformed_line(format_args!("the line is longer than {MAX_LINE_BYTES} bytes")));
        }
        Ok(ends || !self.line.is_empty())
    }

    /// Parses `line` and appends it as a row. `row` is the number of rows in the columns before.
    fn add_row(&mut self, row: usize) -> Result<(), QueryError> {
        let line = std::str::from_utf8(&self.line);
        let line =
            line.map_err(|error| self.malformed_line(format_args!("no UTF-8 at byte {}", error.valid_up_to() + 1)))?;
        let (names, columns) = (&self.names, &mut self.columns);
        let done = fields(line, |name, value| match names.get(name).and_then(|at| columns.get_mut(*at)) {
            Some(column) => column.push(Some(value)),
            None => Ok(()),
        });
        done.map_err(|error| match error {
            LineError::Malformed(MalformedLine { why, at }) => self.malformed_line(format_args!("{why} at byte {at}")),
            LineError::Value { name, why } => self.no_value(&name, &why),
        })?;
        for column in self.columns.iter_mut().filter(|column| column.len() == row) {
            // A missing field is NULL.
            column.push(None).map_err(|why| QueryError::new(ErrorKind::Internal, why))?;
        }
        Ok(())
    }

    fn malformed_line(&self, why: impl Display) -> QueryError {
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

impl Iterator for JsonRowReader {
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

    /// One object. Each listing returns the next of these contents, and none after the last.
    struct Listed(Mutex<Vec<&'static str>>);

    impl ObjectFiles for Listed {
        fn list(&self, location: &str) -> io::Result<Vec<ObjectFile>> {
            assert_eq!(location, "s3://lake/published/");
            let versions = &mut *self.0.lock().expect("not poisoned");
            let next = (!versions.is_empty()).then(|| versions.remove(0));
            let object = |bytes: &str| ObjectFile {
                key: "published/days.json".to_owned(),
                size: bytes.len() as u64,
                etag: Some(md5(bytes)),
                path: "unused".into(),
                last_modified: SystemTime::UNIX_EPOCH,
            };
            Ok(next.map(object).into_iter().collect())
        }
    }

    fn md5(bytes: &str) -> String {
        Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads a file with the content `file`. The plan saw an object with the content `planned`; later listings see
    /// `then`.
    fn opened(file: Option<&str>, planned: &str, then: &[&'static str]) -> Result<String, String> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("days.json");
        if let Some(bytes) = file {
            std::fs::write(&path, bytes).expect("a file");
        }
        let uri = "s3://lake/published/days.json".to_owned();
        let local = LocalFile { path, uri, etag: Some(md5(planned)), audited: None };
        let objects = AuditedObjects::new(Arc::new(Listed(Mutex::new(then.to_vec()))));
        let opened = whole(&local, &objects, planned.len() as u64).map_err(|error| error.message)?;
        Ok(io::read_to_string(opened).expect("text"))
    }

    #[test]
    fn a_file_has_the_bytes_of_its_object_or_is_an_error() {
        let failed = |file: Option<&str>, then: &[&'static str], why: &str| {
            let error = opened(file, "{\"a\":1}\n", then).expect_err(why);
            let begins = "HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://lake/published/days.json: ";
            assert!(error.starts_with(&format!("{begins}{why}")), "{error}");
        };
        let stored = "{\"a\":1}\n";
        assert_eq!(opened(Some(stored), stored, &[]), Ok(stored.to_owned()));
        let next = "{\"a\":2}\n";
        assert_eq!(opened(Some(next), stored, &[next]), Ok(next.to_owned()), "replaced between the plan and its run");
        failed(Some(next), &[stored; 3], "its file has the MD5 ");
        failed(Some(""), &[stored; 3], "its file has 0 bytes, and the object 8");
        failed(None, &[], "it was removed while the query ran");
        failed(None, &[stored; 3], "No such file");
    }
}
