//! A raw file through the engine: plain, or as gzip of any members, with or without a byte-order mark, in UTF-8,
//! Windows-1252 or both. Its tables are read back.
//!
//! Held against a recount by `fuzz::judge`: every count of the report, every row and every reject. Numbers have a target of
//! their own, so a cell of one is read by the reader of its column here.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use etl::{Counts, EtlError, Input, Job};
use flate2::Compression;
use flate2::write::GzEncoder;
use fuzz::judge::{Fate, Record, names, records, trimmed};
use fuzz::{Random, Target};
use market::number::{Cell, Reason, parse_amount, parse_decimal, parse_quantity};
use market::snapshot::Feed;
use market::table::{Column, ColumnType, Kind, RejectField, Source, TableName};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const TIME: &str = "202004011320";

/// A column that the source of a file added to it.
const ADDED: &str = "Vwap";

#[test]
fn raw_file() {
    let header = Feed::Quotes.raw_columns().join(",");
    let texts = [
        ",",
        ";",
        "\n",
        "\r\n",
        "\"",
        "PETR4",
        "VALE3F",
        "Itaú",
        "15,73",
        "1.234,56",
        "10k12",
        "Abe",
        "-1",
        "1.5",
        "x",
        " ",
        "\u{a0}",
        "\u{feff}",
        "EURO",
        "CALL",
        "2020-06-15",
        "99999999999",
        header.as_str(),
    ];
    let pieces = texts.iter().map(|text| text.as_bytes().to_vec()).chain([b"Ita\xfa".to_vec(), b"\x81".to_vec()]);
    Target::new("raw_file").pieces(pieces).build(snapshot).fixed_cases(30).run(check);
}

/// Records as they stand in good files, some of them broken.
fn snapshot(random: &mut Random) -> Vec<u8> {
    let feed = Feed::ALL[random.below(2)];
    let separator = char::from(feed.separator()).to_string();
    let fields = feed.raw_columns().len();
    let mut file = Vec::new();
    for _ in 0..random.below(12) {
        let mut cells = vec![["PETR4", "VALE3", "\"A\"\"B\"", "", " PETR4", "\u{a0}"][random.below(6)].to_owned()];
        let more = [fields, fields, fields, fields, fields + 1, fields.saturating_sub(1)][random.below(6)];
        cells.extend((0..more).map(|_| {
            let cell = ["15,73", "15.7", "350k4", "", "197761.0", "EURO", "Abe", "x", "-1", "3b375"][random.below(10)];
            if cell.contains(',') || random.once_in(9) { format!("\"{cell}\"") } else { cell.to_owned() }
        }));
        if random.once_in(8) {
            cells = std::iter::once(TIME).chain(feed.raw_columns().iter().copied()).map(str::to_owned).collect();
            cells.extend((0..random.below(2)).map(|_| ADDED.to_owned()));
        }
        file.extend_from_slice(cells.join(&separator).as_bytes());
        if random.once_in(8) {
            file.extend_from_slice(&[b"\xe9"[..].to_vec(), b"\"".to_vec()].concat()[random.below(2)..]);
        }
        file.extend_from_slice([&b"\n"[..], b"\r\n", b"\n\n", b"\r\r\n"][random.below(4)]);
    }
    if random.once_in(3) {
        file.pop();
    }
    file
}

fn check(body: &[u8]) {
    let mut random = Random::of(body);
    let feed = Feed::ALL[random.below(2)];
    let separator = char::from(feed.separator()).to_string();
    let mut header = [TIME].iter().chain(feed.raw_columns()).copied().collect::<Vec<_>>();
    match random.below(16) {
        0..=3 => header.push(ADDED),
        4 => header.extend([ADDED, ADDED]),
        5 => header.push(" "),
        6 => header.swap(3, 4),
        7 => _ = header.pop(),
        _ => {}
    }
    let header = header.join(&separator);
    let mut text = [&b""[..], b"\xef\xbb\xbf", b"\n"][random.below(3)].to_vec();
    text.extend_from_slice(header.as_bytes());
    text.extend_from_slice([&b"\n"[..], b"\r\n"][random.below(2)]);
    text.extend_from_slice(body);

    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("{TIME}_{}.csv", feed.file_stem());
    let Some(expected) = Expected::of(feed, &text) else {
        let refused = run(folder.path(), &name, &text).expect_err("another header");
        assert!(matches!(refused, EtlError::Header { .. }), "{refused}");
        return;
    };
    let plain = run(folder.path(), &name, &text).expect("a file with its header is read");
    hold(&plain, &expected, text.len());
    assert_eq!(read_back(folder.path(), feed.into()), sorted(expected.rows.clone()), "{feed}");
    assert_eq!(read_back(folder.path(), TableName::Rejects), sorted(expected.rejects(&name)), "rejects");

    let folder = tempfile::tempdir().expect("a folder");
    let packed = members(&mut random, &text);
    let name = format!("{name}.gz");
    let gzip = run(folder.path(), &name, &packed).expect("whole members are read");
    hold(&gzip, &expected, packed.len());
    assert_eq!(read_back(folder.path(), feed.into()), sorted(expected.rows.clone()), "{feed}, packed");
    assert_eq!(read_back(folder.path(), TableName::Rejects), sorted(expected.rejects(&name)), "rejects, packed");

    // A damaged file fails as a whole, or its damage changes nothing.
    let folder = tempfile::tempdir().expect("a folder");
    let mut damaged = packed.clone();
    let at = random.below(damaged.len());
    match random.below(3) {
        0 => damaged.truncate(at),
        1 => damaged[at] ^= 1 << random.below(8),
        _ => damaged.extend_from_slice(&body[..body.len().min(20)]),
    }
    let mut unpacked = Vec::new();
    let is_whole = flate2::read::MultiGzDecoder::new(&damaged[..]).read_to_end(&mut unpacked).is_ok();
    match run(folder.path(), &name, &damaged) {
        Ok(_) => {
            assert!(is_whole, "a damaged file was read");
            let expected = Expected::of(feed, &unpacked).expect("the header of the file");
            assert_eq!(read_back(folder.path(), feed.into()), sorted(expected.rows.clone()), "{feed}, damaged");
        }
        Err(EtlError::Gzip { .. }) => assert!(!is_whole, "a whole file was refused"),
        Err(EtlError::Empty { .. } | EtlError::Header { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    if !folder.path().join("out").join(feed.as_str()).exists() {
        assert_eq!(read_back(folder.path(), TableName::Rejects), Vec::<Row>::new(), "a job that failed left rows");
    }
}

fn run(folder: &Path, name: &str, bytes: &[u8]) -> Result<Counts, EtlError> {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    let input = Input::from_path(path).expect("the name of a snapshot");
    let job = Job { inputs: vec![input], out: folder.join("out"), threads: 1, run: None };
    etl::run(&job, &|_| ()).map(|report| report.totals)
}

/// The text as gzip: one member or several, some of them empty, at any level.
fn members(random: &mut Random, text: &[u8]) -> Vec<u8> {
    let longest = [text.len().max(1), 200, 40][random.below(3)];
    let mut packed = Vec::new();
    for piece in random.cut(text, longest) {
        for piece in [piece, &[]].iter().take(1 + usize::from(random.once_in(8))) {
            let level = Compression::new(u32::try_from(random.below(10)).unwrap_or_default());
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(piece).expect("memory takes all");
            packed.extend(encoder.finish().expect("memory takes all"));
        }
    }
    packed
}

/// The cells of a row as text; doubles by their bits.
type Row = Vec<Option<String>>;

/// What the tables have to hold.
struct Expected {
    feed: Feed,
    counts: Counts,
    rows: Vec<Row>,
    /// Ticker, column, text, reason.
    rejects: Vec<[String; 4]>,
}

impl Expected {
    /// `None` if the first line is not a header under which the file can be read.
    fn of(feed: Feed, file: &[u8]) -> Option<Self> {
        let mut expected = Self { feed, counts: Counts::default(), rows: Vec::new(), rejects: Vec::new() };
        let records = records(file, feed.separator());
        let (header, records) = records.split_first()?;
        let header = names(header, feed.raw_columns())?;
        for record in records {
            expected.counts.records += 1;
            match record.fate(&header) {
                Fate::BlankTicker => expected.counts.blank_ticker += 1,
                Fate::HeaderRepeat => expected.counts.header_repeat += 1,
                Fate::Ragged(reason) => {
                    expected.counts.ragged += 1;
                    let ticker = record.fields.first().map(|field| trimmed(field)).unwrap_or_default();
                    expected.rejects.push([ticker, "", record.text.as_str(), reason].map(str::to_owned));
                }
                Fate::Published => {
                    expected.counts.published += 1;
                    expected.publish(record);
                }
            }
        }
        Some(expected)
    }

    fn publish(&mut self, record: &Record) {
        let mut row = Vec::new();
        for column in TableName::from(self.feed).columns() {
            let field = column.source.raw_index(self.feed).and_then(|at| record.fields.get(at));
            let Some(field) = field else {
                row.push(Some(TIME.to_owned()));
                continue;
            };
            row.push(read(column, field).unwrap_or_else(|(raw, reason)| {
                self.counts.rejected_cells += 1;
                let ticker = trimmed(&record.fields[0]);
                self.rejects.push([ticker, raw, field, reason.as_str()].map(str::to_owned));
                None
            }));
        }
        self.rows.push(row);
    }

    fn rejects(&self, file: &str) -> Vec<Row> {
        let row = |[ticker, column, text, reason]: &[String; 4]| {
            let cells = [TIME, file, self.feed.as_str(), ticker, column, text, reason];
            cells.into_iter().map(|cell| Some(cell.to_owned())).collect()
        };
        self.rejects.iter().map(row).collect()
    }
}

/// The cell of a column as the table has it, or the raw column and why it is rejected.
fn read(column: &Column, field: &str) -> Result<Option<String>, (&'static str, Reason)> {
    let text = field.as_bytes();
    let Source::Cell { raw, kind } = column.source else { return Ok(Some(trimmed(field).to_owned())) };
    let cell = match (kind, column.ty) {
        (Kind::Text, _) => match trimmed(field) {
            "" => Cell::Null,
            text => Cell::Value(text.to_owned()),
        },
        (Kind::Decimal, _) => shown(parse_decimal(text), |value: f64| value.to_bits().to_string()),
        (Kind::Amount, _) => shown(parse_amount(text), |value: f64| value.to_bits().to_string()),
        (Kind::Quantity, ColumnType::Double) => {
            shown(parse_quantity(text), |value| (value as f64).to_bits().to_string())
        }
        (Kind::Quantity, ColumnType::Int) => match parse_quantity(text) {
            Cell::Value(value) if i32::try_from(value).is_err() => Cell::Reject(Reason::OutOfRange),
            cell => shown(cell, |value| value.to_string()),
        },
        (Kind::Quantity, _) => shown(parse_quantity(text), |value| value.to_string()),
    };
    match cell {
        Cell::Value(text) => Ok(Some(text)),
        Cell::Null => Ok(None),
        Cell::Reject(reason) => Err((raw, reason)),
    }
}

fn shown<T>(cell: Cell<T>, show: impl Fn(T) -> String) -> Cell<String> {
    match cell {
        Cell::Value(value) => Cell::Value(show(value)),
        Cell::Null => Cell::Null,
        Cell::Reject(reason) => Cell::Reject(reason),
    }
}

fn hold(counts: &Counts, expected: &Expected, bytes: usize) {
    assert_eq!(*counts, Counts { bytes: bytes as u64, ..expected.counts });
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// All rows of a table, sorted.
fn read_back(folder: &Path, table: TableName) -> Vec<Row> {
    let day = folder.join("out").join(table.as_str()).join("year=2020/month=4/day=1");
    let mut rows = Vec::new();
    for entry in fs::read_dir(day).into_iter().flatten() {
        let file = File::open(entry.expect("an entry").path()).expect("a file of the table");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        for batch in reader.expect("a Parquet file") {
            let batch = batch.expect("a batch");
            let columns: Vec<Vec<Option<String>>> = batch.columns().iter().map(|column| cells(column)).collect();
            rows.extend(
                (0..batch.num_rows()).map(|at| columns.iter().map(|column| column[at].clone()).collect::<Row>()),
            );
        }
    }
    sorted(rows)
}

fn cells(column: &dyn Array) -> Vec<Option<String>> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.iter().map(|text| text.map(str::to_owned)).collect();
    }
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return numbers.iter().map(|number| number.map(|number| number.to_bits().to_string())).collect();
    }
    if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
        return numbers.iter().map(|number| number.map(|number| number.to_string())).collect();
    }
    let numbers = column.as_primitive_opt::<Int32Type>().expect("a type of a table");
    numbers.iter().map(|number| number.map(|number| number.to_string())).collect()
}

/// The columns of `rejects` stand in the order in which a row is put together above.
#[test]
fn the_columns_of_rejects() {
    let sources: Vec<Source> = TableName::Rejects.columns().iter().map(|column| column.source).collect();
    let fields = [RejectField::ColumnName, RejectField::Text, RejectField::Reason].map(Source::Reject);
    assert_eq!(sources[4..], fields);
    assert_eq!(sources[3], Source::Ticker);
}
