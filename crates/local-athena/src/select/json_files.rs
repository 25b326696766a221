//! Files of JSON, an object on each line, as the OpenX SerDe takes them: read line by line, so that memory does not grow
//! with the file, and gzip-compressed where their name says so.
//!
//! DataFusion's own reader of JSON makes a number of a text and keeps the last of two values of a name. This one reads
//! [exactly what is written](super::json_column) or fails with the file and the line.

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

/// The file, if it holds the bytes that the object was stored with: one that was cut off at the end of a line would have
/// fewer rows, and a flipped bit another number, and nothing else would show it. It is read for that before its first row
/// is. A file that was replaced since it was listed is one of the object's next version.
fn whole(local: &LocalFile, objects: &Objects, listed: u64) -> Result<File, QueryError> {
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

/// How the file differs from an object of these bytes and this tag, if it does.
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

    /// One object, whose bytes at each listing are the next of these; gone behind the last.
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

    /// What is read of a file, or of none, where the plan saw an object of `planned` bytes and listings see `then`.
    fn opened(file: Option<&str>, planned: &str, then: &[&'static str]) -> Result<String, String> {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("days.json");
        if let Some(bytes) = file {
            std::fs::write(&path, bytes).expect("a file");
        }
        let uri = "s3://lake/published/days.json".to_owned();
        let local = LocalFile { path, uri, etag: Some(md5(planned)), audited: None };
        let objects = Objects::new(Arc::new(Listed(Mutex::new(then.to_vec()))));
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
