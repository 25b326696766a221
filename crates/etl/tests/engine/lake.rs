//! A folder of raw files and the tables that the engine makes of them, read back row by row.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use etl::{EtlError, Input, Job, Report};
use market::snapshot::Feed;
use market::table::TableName;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Raw files and tables, removed when dropped.
pub(crate) struct Lake {
    folder: tempfile::TempDir,
    inputs: Vec<Input>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
}

/// A row of a table by its columns.
pub(crate) type Row = BTreeMap<String, Value>;

impl Lake {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), inputs: Vec::new() }
    }

    /// Writes a raw file, which is an input of every run from now on.
    pub(crate) fn file(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("raw").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        self.inputs.push(Input::from_path(path.clone()).expect("the name of a snapshot"));
        path
    }

    /// Writes a raw file of `feed`: the header and the lines.
    pub(crate) fn snapshot(&mut self, feed: Feed, time: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut text = header(feed);
        for line in lines {
            text.push_str(line.as_ref());
            text.push('\n');
        }
        self.file(&name(feed, time), text);
    }

    pub(crate) fn forget_inputs(&mut self) {
        self.inputs.clear();
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub(crate) fn job(&self) -> Job {
        Job { inputs: self.inputs.clone(), out: self.out(), threads: 2, run: None }
    }

    pub(crate) fn try_run(&self) -> Result<Report, EtlError> {
        etl::run(&self.job(), &|_| ())
    }

    pub(crate) fn run(&self) -> Report {
        self.try_run().expect("the job succeeds")
    }

    /// Returns the rows of a table on all days, in the order of the file names and of the rows in each file.
    pub(crate) fn rows(&self, table: TableName) -> Vec<Row> {
        self.parquet_files(table).iter().flat_map(|path| read(path)).collect()
    }

    pub(crate) fn quotes(&self) -> Vec<Row> {
        self.rows(TableName::Quotes)
    }

    pub(crate) fn rejects(&self) -> Vec<Row> {
        self.rows(TableName::Rejects)
    }

    pub(crate) fn parquet_files(&self, table: TableName) -> Vec<PathBuf> {
        self.published()
            .into_iter()
            .filter(|name| name.starts_with(table.as_str()))
            .map(|n| self.out().join(n))
            .collect()
    }

    /// Returns all files below `out`, also hidden ones, in order.
    pub(crate) fn published(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.out()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(self.out()).expect("below out").to_string_lossy().into_owned());
                }
            }
        }
        files.sort();
        files
    }
}

pub(crate) fn name(feed: Feed, time: &str) -> String {
    format!("{time}_{}.csv", feed.file_stem())
}

/// Returns the first line of a file, with its line end.
pub(crate) fn header(feed: Feed) -> String {
    let separator = char::from(feed.separator()).to_string();
    format!("202004011320{separator}{}\n", feed.raw_columns().join(&separator))
}

/// Returns a record with these raw cells; the others are empty.
pub(crate) fn record(feed: Feed, ticker: &str, cells: &[(&str, &str)]) -> String {
    let separator = char::from(feed.separator());
    let mut line = ticker.to_owned();
    for column in feed.raw_columns() {
        let cell = cells.iter().find(|(name, _)| name == column).map_or("", |(_, text)| text);
        line.push(separator);
        let quoted = cell.contains([separator, '"']);
        line.push_str(&if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() });
    }
    for (column, _) in cells {
        assert!(feed.raw_columns().contains(column), "{column} is no column of {feed}");
    }
    line
}

pub(crate) fn quote(ticker: &str, cells: &[(&str, &str)]) -> String {
    record(Feed::Quotes, ticker, cells)
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Returns all rows of one Parquet file.
pub(crate) fn read(path: &Path) -> Vec<Row> {
    let file = File::open(path).expect("a file");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    batches.flat_map(|batch| rows_of(&batch.expect("rows"))).collect()
}

pub(crate) fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let cell = |column: &dyn Array, at: usize| match column.data_type() {
        _ if column.is_null(at) => Value::Null,
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(at)),
        DataType::Int32 => Value::Int(column.as_primitive::<Int32Type>().value(at).into()),
        DataType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(at)),
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(at).to_owned()),
        other => panic!("a column of {other}"),
    };
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    (0..batch.num_rows())
        .map(|at| names.iter().cloned().zip(batch.columns().iter().map(|column| cell(column, at))).collect())
        .collect()
}
