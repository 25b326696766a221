//! Times each stage of the engine alone, on one core: `stages RAW SCRATCH` prints JSON. `python3 bench stages` runs it and
//! makes the table.
//!
//! The engine streams, so that in a job no stage has a beginning and an end that could be timed. Here each stage processes a
//! whole file or a whole row group, with its input in memory. The stages are private modules of the engine; this program
//! compiles their sources a second time.
//!
//! Reading the bytes, splitting the fields and writing the same Parquet from finished columns is the lower bound of a job:
//! faster number parsing cannot go below it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "only parts of the engine's sources are called here, and none is exported"
)]

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::ArrayRef;
use arrow_array::types::Int64Type;
use market::header::Header;
use market::number::trim;
use market::record::{Disposition, Splitter, decode};
use market::snapshot::Feed;
use market::table::{Source, TableName};

#[path = "../src/cells.rs"]
mod cells;
#[path = "../src/columns.rs"]
mod columns;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/job.rs"]
mod job;
#[path = "../src/lines.rs"]
mod lines;
#[path = "../src/page_checksums.rs"]
mod page_checksums;
#[path = "../src/raw_file.rs"]
mod raw_file;
#[path = "../src/rows.rs"]
mod rows;
#[path = "../src/schema.rs"]
mod schema;
#[path = "../src/storage.rs"]
mod storage;
#[path = "../src/table_file.rs"]
mod table_file;
#[path = "../src/tickers.rs"]
mod tickers;

use cells::Cells;
use columns::Numbers;
use job::Input;
use lines::{Buffer, Lines};
use raw_file::Tally;
use rows::FeedRows;
use table_file::{ROW_GROUP_ROWS, TableFile};
use tickers::Tickers;

/// The size of the engine's reads.
const READ_BYTES: usize = 256 << 10;

#[derive(Default, serde::Serialize)]
struct Stages {
    /// The size of the raw files on disk.
    disk_bytes: u64,
    /// The size of their text, decompressed.
    text_bytes: u64,
    records: u64,
    rows: u64,
    parquet_bytes: u64,
    seconds: Seconds,
}

#[derive(Default, serde::Serialize)]
struct Seconds {
    /// Reading from the page cache, and decompressing gzip.
    read: f64,
    /// Cutting lines, decoding them and splitting them into fields.
    split: f64,
    /// Parsing the fields of published records into columns.
    parse: f64,
    /// Sorting the rows of a row group.
    sort: f64,
    /// Encoding columns as pages: dictionaries, encodings, Snappy, statistics.
    encode: f64,
    /// Writing the encoded bytes to files.
    write: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [raw, scratch] = &arguments[..] else { return Err("usage: stages RAW SCRATCH".into()) };
    let mut inputs = Vec::new();
    find(raw, &mut inputs)?;
    if inputs.is_empty() {
        return Err(format!("{} holds no raw files", raw.display()).into());
    }
    inputs.sort_by_key(|input| (input.snapshot.feed, input.snapshot.time));

    let mut stages = Stages::default();
    // One file per feed and day, as the engine writes them.
    for day in inputs.chunk_by(|a, b| key(a) == key(b)) {
        measure_day(day, scratch, &mut stages)?;
    }
    println!("{}", serde_json::to_string(&stages)?);
    Ok(())
}

fn key(input: &Input) -> impl PartialEq + use<> {
    (input.snapshot.feed, input.snapshot.time.partition())
}

fn find(folder: &Path, inputs: &mut Vec<Input>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, inputs)?;
        } else {
            inputs.push(Input::from_path(path)?);
        }
    }
    Ok(())
}

fn measure_day(inputs: &[Input], scratch: &Path, stages: &mut Stages) -> Result<(), Box<dyn Error>> {
    let feed = inputs[0].snapshot.feed;
    let path = scratch.join("stages.parquet");
    let mut table = TableFile::new(TableName::from(feed), path.clone(), Box::new(File::create(&path)?))?;
    let mut buffer = Buffer::default();
    let mut step = vec![0; READ_BYTES];
    let mut columns = Columns::new(feed);
    for input in inputs {
        timed(&mut stages.seconds.read, || {
            read(input, &mut step, |bytes| {
                black_box(bytes);
            })
        })?;
        let mut text = Vec::new();
        read(input, &mut step, |bytes| text.extend_from_slice(bytes))?;
        stages.disk_bytes += fs::metadata(&input.path)?.len();
        stages.text_bytes += text.len() as u64;

        let mut split = 0.0;
        let (records, _) = timed(&mut split, || walk(input, &text, &mut buffer, None))?;
        let mut parsed = 0.0;
        let mut rows = FeedRows::new(feed);
        let (_, published) = timed(&mut parsed, || walk(input, &text, &mut buffer, Some(&mut rows)))?;
        stages.seconds.split += split;
        stages.seconds.parse += parsed - split;
        stages.records += records;
        stages.rows += published;

        columns.fill(input, &text, &mut buffer)?;
        if columns.tickers.len() >= ROW_GROUP_ROWS {
            columns.write(&mut table, &mut stages.seconds)?;
        }
    }
    columns.write(&mut table, &mut stages.seconds)?;
    timed(&mut stages.seconds.encode, || table.close())?;

    // `encode` includes writing to the page cache. Write the same bytes again to measure that part, and subtract it.
    let bytes = fs::read(&path)?;
    fs::remove_file(&path)?;
    let mut write = 0.0;
    timed(&mut write, || fs::write(&path, &bytes))?;
    fs::remove_file(&path)?;
    stages.parquet_bytes += bytes.len() as u64;
    stages.seconds.write += write;
    stages.seconds.encode -= write;
    Ok(())
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    *seconds += started.elapsed().as_secs_f64();
    done
}

/// Reads a file as the engine does: into one buffer, in reads of a fixed size.
fn read(input: &Input, step: &mut [u8], mut take: impl FnMut(&[u8])) -> Result<(), Box<dyn Error>> {
    let tally = Tally::new(0, &|_| {});
    let mut file = raw_file::text(input, Box::new(File::open(&input.path)?), &tally);
    loop {
        match file.read(step)? {
            0 => return Ok(()),
            read => take(&step[..read]),
        }
    }
}

/// Splits all records after the header and, with `rows`, parses those that are published. Returns the numbers of records
/// and of published records.
fn walk(
    input: &Input,
    text: &[u8],
    buffer: &mut Buffer,
    mut rows: Option<&mut FeedRows>,
) -> Result<(u64, u64), Box<dyn Error>> {
    let feed = input.snapshot.feed;
    let mut lines = Lines::new(text, buffer);
    let mut splitter = Splitter::new(feed.separator());
    lines.next_line()?;
    let header = Header::from(feed);
    let (mut records, mut published) = (0, 0);
    while let Some(line) = lines.next_line()? {
        let text = decode(line.bytes);
        let record = splitter.split(text.as_bytes());
        records += 1;
        match &mut rows {
            None => {
                black_box(record.len());
            }
            Some(rows) if record.disposition(&header) == Disposition::Publish => {
                published += 1;
                rows.push(input.snapshot.time.intdate(), record, |cell| {
                    black_box(cell.text);
                });
            }
            Some(_) => {}
        }
    }
    Ok((records, published))
}

/// The columns of a row group, filled outside of the timed sections.
struct Columns {
    feed: Feed,
    tickers: Tickers,
    intdates: Numbers<Int64Type>,
    cells: Vec<(usize, Cells)>,
}

impl Columns {
    fn new(feed: Feed) -> Self {
        let columns = TableName::from(feed).columns().iter();
        let cells = columns.filter_map(|column| match column.source {
            Source::Cell { kind, .. } => Some((column.source.raw_index(feed)?, Cells::new(kind, column.ty)?)),
            _ => None,
        });
        Self { feed, tickers: Tickers::default(), intdates: Numbers::default(), cells: cells.collect() }
    }

    fn fill(&mut self, input: &Input, text: &[u8], buffer: &mut Buffer) -> Result<(), Box<dyn Error>> {
        let mut lines = Lines::new(text, buffer);
        let mut splitter = Splitter::new(self.feed.separator());
        lines.next_line()?;
        let header = Header::from(self.feed);
        while let Some(line) = lines.next_line()? {
            let text = decode(line.bytes);
            let record = splitter.split(text.as_bytes());
            if record.disposition(&header) == Disposition::Publish {
                self.tickers.push(trim(record.field(0)));
                self.intdates.push(input.snapshot.time.intdate(), true);
                for (at, cells) in &mut self.cells {
                    cells.push(record.cell(*at));
                }
            }
        }
        Ok(())
    }

    /// Sorts and writes the buffered rows, and times both.
    fn write(&mut self, table: &mut TableFile, seconds: &mut Seconds) -> Result<(), Box<dyn Error>> {
        if self.tickers.len() == 0 {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = timed(&mut seconds.sort, || {
            let sorted = self.tickers.sort();
            let keys: [ArrayRef; 2] = [self.intdates.finish(&sorted.order), Arc::new(sorted.tickers)];
            let cells = self.cells.iter_mut().map(|(_, cells)| cells.finish(&sorted.order));
            keys.into_iter().chain(cells).collect()
        });
        timed(&mut seconds.encode, || table.write_row_group(columns.into_iter()))?;
        Ok(())
    }
}
