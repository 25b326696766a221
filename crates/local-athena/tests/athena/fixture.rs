//! A test fixture: a folder of buckets with Parquet files, and an engine that reads them.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use local_athena::{Column, Engine, Limits, ObjectFile, ObjectFiles, Output, QueryError, ResultSet, Row, Statement};
use tempfile::TempDir;

/// Buckets as folders: `ROOT/<bucket>/<key>`.
pub(crate) struct Buckets {
    root: PathBuf,
}

/// Adds the files in `folder`, and in the folders below it.
fn add_files(bucket: &Path, folder: &Path, found: &mut Vec<ObjectFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_files(bucket, &path, found)?;
            continue;
        }
        let metadata = path.metadata()?;
        let key = path.strip_prefix(bucket).map_err(io::Error::other)?;
        found.push(ObjectFile {
            key: key.to_string_lossy().into_owned(),
            size: metadata.len(),
            etag: etag(&path)?,
            last_modified: metadata.modified()?,
            path,
        });
    }
    Ok(())
}

impl ObjectFiles for Buckets {
    fn list(&self, location: &str) -> io::Result<Vec<ObjectFile>> {
        let rest = location.strip_prefix("s3://").expect("a location begins with s3://");
        let (bucket, prefix) = rest.split_once('/').expect("a location ends with a slash");
        let bucket = self.root.join(bucket);
        let mut found = Vec::new();
        add_files(&bucket, &bucket, &mut found)?;
        found.retain(|object| object.key.starts_with(prefix));
        Ok(found)
    }

    fn write(&self, uri: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(uri.strip_prefix("s3://").expect("an URI begins with s3://"));
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(path, bytes)
    }
}

/// Returns the ETag of a manifest. Data files have none here, so that only their bytes can reveal a change.
fn etag(path: &Path) -> io::Result<Option<String>> {
    if path.file_name().is_none_or(|name| name != manifest::NAME) {
        return Ok(None);
    }
    let mut hasher = DefaultHasher::new();
    fs::read(path)?.hash(&mut hasher);
    Ok(Some(format!("{:x}", hasher.finish())))
}

/// An engine with a temporary folder.
pub(crate) struct Fixture {
    pub engine: Engine,
    pub folder: TempDir,
    /// Number of executed statements.
    statements: AtomicUsize,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("s3/lake")).expect("a bucket");
        let engine = open(folder.path(), limits);
        Self { engine, folder, statements: AtomicUsize::new(0) }
    }

    /// Opens the folder again, as a new process does.
    pub(crate) fn reopened(self) -> Self {
        let Self { engine, folder, statements } = self;
        drop(engine);
        Self { engine: open(folder.path(), Limits::default()), folder, statements }
    }

    /// Creates a fixture with the database `market` and its tables `quotes`, `options` and `kinds`.
    pub(crate) async fn market() -> Self {
        let fixture = Self::new();
        fixture.make_market().await;
        fixture
    }

    /// Returns the file of an object in the bucket `lake`.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("s3/lake").join(key)
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("an object");
    }

    pub(crate) fn put_parquet(&self, key: &str, columns: Vec<(&str, ArrayRef)>) {
        self.put_rows(key, columns, 1024);
    }

    /// Writes row groups of at most `group` rows.
    pub(crate) fn put_rows(&self, key: &str, columns: Vec<(&str, ArrayRef)>, group: usize) {
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let file = File::create(path).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("a footer");
    }

    pub(crate) async fn execute(&self, sql: &str) -> Result<ResultSet, QueryError> {
        let statement = Statement::parse(sql, &[])?;
        let id = self.statements.fetch_add(1, Ordering::Relaxed).to_string();
        let output = Output { location: "s3://lake/results/".to_owned(), id };
        self.engine.execute(&statement, "market", &output).await
    }

    /// Returns all columns and rows of a statement.
    pub(crate) async fn ask(&self, sql: &str) -> Result<(Vec<Column>, Vec<Row>), QueryError> {
        let mut answer = self.execute(sql).await?;
        let mut rows = Vec::new();
        while let Some(batch) = answer.rows.next().await? {
            rows.extend(batch);
        }
        Ok((answer.columns, rows))
    }

    /// Returns the rows of a statement that has to succeed, each as its cells joined by commas.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let (_, rows) = self.ask(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(joined).collect()
    }

    /// Executes a statement that has to succeed.
    pub(crate) async fn run(&self, sql: &str) {
        self.rows(sql).await;
    }

    /// Returns the message of a statement that has to fail.
    pub(crate) async fn refusal(&self, sql: &str) -> QueryError {
        match self.ask(sql).await {
            Ok((_, rows)) => panic!("{sql} succeeded with {rows:?}"),
            Err(error) => error,
        }
    }

    async fn make_market(&self) {
        self.run("CREATE DATABASE market").await;
        self.run(
            "CREATE EXTERNAL TABLE quotes (intdate bigint, ticker string, last double, bid double, ask double, qty_total double)
             PARTITIONED BY (year int, month int, day int) STORED AS PARQUET LOCATION 's3://lake/quotes'",
        )
        .await;
        self.put_parquet(
            "quotes/year=2020/month=4/day=1/run=a/part-0.parquet",
            quotes(&[
                (202004011000, "PETR4", Some(15.5), Some(15.4), Some(15.6), Some(100.0)),
                (202004011010, "PETR4", Some(15.75), Some(15.7), Some(15.8), Some(300.0)),
                (202004011000, "VALE3", Some(43.2), Some(43.0), None, Some(1e10)),
            ]),
        );
        self.put_parquet(
            "quotes/year=2020/month=4/day=2/run=a/part-0.parquet",
            quotes(&[
                (202004021000, "PETR4", Some(16.0), Some(15.9), Some(16.1), Some(50.0)),
                (202004021010, "ABEV3", None, None, None, None),
            ]),
        );
        self.put("quotes/year=2020/month=4/day=2/run=a/_SUCCESS", b"done");
        self.put("quotes/year=2020/month=4/day=2/run=a/.part-1.parquet.tmp", b"half");
        self.run(
            "ALTER TABLE quotes ADD
             PARTITION (year = 2020, month = 4, day = 1) LOCATION 's3://lake/quotes/year=2020/month=4/day=1/run=a/'
             PARTITION (year = 2020, month = 4, day = 2) LOCATION 's3://lake/quotes/year=2020/month=4/day=2/run=a/'",
        )
        .await;
        self.run("CREATE EXTERNAL TABLE options (ticker string, optn_ua string, strike double) STORED AS PARQUET LOCATION 's3://lake/options/'").await;
        self.put_parquet(
            "options/part-0.parquet",
            vec![
                ("ticker", Arc::new(StringArray::from(vec!["PETRD160", "PETRP150", "ABEVD130"]))),
                ("optn_ua", Arc::new(StringArray::from(vec!["PETR4", "PETR4", "ABEV3"]))),
                ("strike", Arc::new(Float64Array::from(vec![16.0, 15.0, 13.0]))),
            ],
        );
        self.make_kinds().await;
    }

    async fn make_kinds(&self) {
        self.run(
            "CREATE EXTERNAL TABLE kinds (b boolean, i int, l bigint, f float, d double, s string, day date, at timestamp,
             m decimal(10,2), list array<bigint>, raw binary, missing string) STORED AS PARQUET LOCATION 's3://lake/kinds/'",
        )
        .await;
        let lists = vec![Some(vec![Some(1), None, Some(3)]), Some(vec![]), None];
        let decimals = Decimal128Array::from(vec![Some(1050), Some(-5), None]).with_precision_and_scale(10, 2);
        self.put_parquet(
            "kinds/part-0.parquet",
            vec![
                ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
                ("i", Arc::new(Int32Array::from(vec![Some(1), Some(-2), None]))),
                ("l", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(0), None]))),
                ("f", Arc::new(Float32Array::from(vec![Some(1.5), Some(-0.1), None]))),
                ("D", Arc::new(Float64Array::from(vec![Some(15.73), Some(f64::NAN), None]))),
                ("s", Arc::new(StringArray::from(vec![Some("ação"), Some(""), None]))),
                ("day", Arc::new(Date32Array::from(vec![Some(18_353), Some(0), None]))),
                ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_585_747_200_123_456), Some(0), None]))),
                ("m", Arc::new(decimals.expect("decimals"))),
                ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
                ("raw", Arc::new(BinaryArray::from(vec![Some(&b"\x0a\xff"[..]), Some(b""), None]))),
            ],
        );
    }
}

pub(crate) fn open(folder: &Path, limits: Limits) -> Engine {
    let buckets = Buckets { root: folder.join("s3") };
    Engine::open_with(&folder.join("catalog.db"), Arc::new(buckets), limits).expect("an engine")
}

pub(crate) fn joined(row: &Row) -> String {
    let cells: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL")).collect();
    cells.join(",")
}

type Quote<'a> = (i64, &'a str, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

pub(crate) fn quotes(rows: &[Quote<'_>]) -> Vec<(&'static str, ArrayRef)> {
    let doubles =
        |of: fn(&Quote<'_>) -> Option<f64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Float64Array>()) };
    vec![
        ("intdate", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>())),
        ("ticker", Arc::new(rows.iter().map(|r| Some(r.1)).collect::<StringArray>())),
        ("last", doubles(|r| r.2)),
        ("bid", doubles(|r| r.3)),
        ("ask", doubles(|r| r.4)),
        ("qty_total", doubles(|r| r.5)),
    ]
}
