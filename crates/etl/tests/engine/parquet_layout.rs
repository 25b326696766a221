//! The layout of the Parquet files: schema, order, row groups, statistics. It does not depend on the number of threads.

use std::fs::{self, File};

use arrow_schema::DataType;
use etl::Job;
use market::snapshot::Feed;
use market::table::{ColumnType, TableName};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Compression;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use crate::lake::{Lake, Value, quote, read, record};

fn metadata(path: &std::path::Path) -> ArrowReaderMetadata {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ArrowReaderMetadata::load(&File::open(path).expect("a file"), options).expect("Parquet")
}

#[test]
fn the_schema_is_the_tables_even_without_rows() {
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [""; 0]);
    lake.snapshot(Feed::Options, "202004011320", [""; 0]);
    lake.run();
    for table in TableName::ALL {
        for path in lake.parquet_files(table) {
            let builder =
                ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file")).expect("Parquet");
            assert_eq!(builder.metadata().file_metadata().num_rows(), 0);
            let found: Vec<_> = builder
                .schema()
                .fields()
                .iter()
                .map(|f| (f.name().as_str(), f.data_type().clone(), f.is_nullable()))
                .collect();
            let expected: Vec<_> = table
                .columns()
                .iter()
                .map(|column| {
                    let ty = match column.ty {
                        ColumnType::BigInt => DataType::Int64,
                        ColumnType::Int => DataType::Int32,
                        ColumnType::Double => DataType::Float64,
                        ColumnType::String => DataType::Utf8,
                    };
                    (column.name, ty, true)
                })
                .collect();
            assert_eq!(found, expected, "{table}");
        }
    }
}

/// Adds three snapshots that make several row groups. The number of trades is the position of the row in its file.
fn three_large_snapshots(lake: &mut Lake) -> usize {
    let mut rows = 0;
    for time in ["202004011340", "202004011320", "202004011330"] {
        // Out of order, and one ticker twice in each snapshot.
        let tickers = (0..50_000).map(|n| (n * 7919) % 50_000).chain([5]);
        let lines = tickers.enumerate().map(|(at, n)| quote(&format!("T{n:05}"), &[("NNeg", &at.to_string())]));
        let lines: Vec<String> = lines.collect();
        rows += lines.len();
        lake.snapshot(Feed::Quotes, time, lines);
    }
    rows
}

fn key(row: &crate::lake::Row) -> (String, i64, f64) {
    match (&row["ticker"], &row["intdate"], &row["num_trades"]) {
        (Value::Text(ticker), Value::Int(time), Value::Double(at)) => (ticker.clone(), *time, *at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn row_groups_are_sorted_and_described() {
    let mut lake = Lake::new();
    let rows = three_large_snapshots(&mut lake);
    lake.run();
    let [path] = &lake.parquet_files(TableName::Quotes)[..] else { panic!("{:?}", lake.published()) };
    let metadata = metadata(path);
    let parquet: &ParquetMetaData = metadata.metadata();

    let sizes: Vec<i64> = parquet.row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [65_536, 65_536, rows as i64 - 2 * 65_536]);

    let read = read(path);
    let mut start = 0;
    for (group, description) in parquet.row_groups().iter().enumerate() {
        let end = start + description.num_rows() as usize;
        let keys: Vec<_> = read[start..end].iter().map(key).collect();
        assert!(keys.is_sorted_by(|a, b| a.partial_cmp(b).is_some_and(|order| order.is_le())), "row group {group}");
        let sorting: Vec<_> =
            description.sorting_columns().expect("an order").iter().map(|s| (s.column_idx, s.descending)).collect();
        assert_eq!(sorting, [(1, false), (0, false)]);

        for (column, chunk) in TableName::Quotes.columns().iter().zip(description.columns()) {
            assert_eq!(chunk.compression(), Compression::SNAPPY);
            let statistics = chunk.statistics().expect("statistics");
            assert!(statistics.null_count_opt().is_some());
            let has_values = ["intdate", "ticker", "num_trades"].contains(&column.name);
            assert_eq!(statistics.min_bytes_opt().is_some(), has_values, "{}", column.name);
        }
        let tickers = description.column(1).statistics().expect("statistics");
        let bound = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("a bound").to_vec()).expect("text");
        assert_eq!(bound(tickers.min_bytes_opt()), keys[0].0);
        assert_eq!(bound(tickers.max_bytes_opt()), keys[keys.len() - 1].0);
        let pages = parquet.offset_index().expect("an index")[group][1].page_locations().len();
        assert!(pages > 1, "{pages} pages of tickers");
        start = end;
    }
    assert_eq!(start, rows);
}

/// Writes a file with several pages per column. Returns its path, and the position of the last byte of each page of its first
/// row group, with the name of the column.
fn pages(lake: &mut Lake) -> (std::path::PathBuf, Vec<(usize, String)>) {
    let lines = (0..20_000).map(|n| quote(&format!("T{:05}", n % 900), &[("NNeg", &n.to_string()), ("Ult", "1,5")]));
    lake.snapshot(Feed::Quotes, "202004011320", lines);
    lake.run();
    let [path] = &lake.parquet_files(TableName::Quotes)[..] else { panic!("{:?}", lake.published()) };
    let metadata = metadata(path);
    let group = metadata.metadata().row_group(0);
    let indexes = &metadata.metadata().offset_index().expect("an index")[0];
    let mut ends = Vec::new();
    // The first page is after the magic number.
    let mut place = 4;
    for (chunk, index) in group.columns().iter().zip(indexes) {
        let name = chunk.column_path().string();
        if let Some(dictionary) = chunk.dictionary_page_offset() {
            assert_eq!(dictionary, place, "the dictionary of {name}");
            place = chunk.data_page_offset();
            ends.push((place as usize - 1, name.clone()));
        }
        assert_eq!(chunk.data_page_offset(), place, "the first page of {name}");
        for page in index.page_locations() {
            assert_eq!(page.offset, place, "a page of {name}");
            place += i64::from(page.compressed_page_size);
            ends.push((place as usize - 1, name.clone()));
        }
        let (start, length) = chunk.byte_range();
        assert_eq!(start + length, place as u64, "the end of {name}");
    }
    (path.clone(), ends)
}

#[test]
fn a_flipped_bit_in_any_page_is_noticed() {
    let mut lake = Lake::new();
    let (path, ends) = pages(&mut lake);
    assert!(ends.len() >= 14 * 3, "{} pages", ends.len());
    let whole = fs::read(&path).expect("a file");
    for (end, column) in ends {
        let mut bytes = whole.clone();
        bytes[end] ^= 1;
        fs::write(&path, bytes).expect("a file");
        let mut batches = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file"))
            .expect("Parquet")
            .build()
            .expect("a reader");
        let error = batches.find_map(Result::err).unwrap_or_else(|| panic!("{column}: byte {end}")).to_string();
        assert!(error.contains("Page CRC checksum mismatch"), "{column}: byte {end}: {error}");
    }
}

#[test]
fn a_reader_finds_each_page_by_its_index() {
    let mut lake = Lake::new();
    let (path, _) = pages(&mut lake);
    let all = read(&path);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    for (skipped, taken) in [(0, 5), (8_190, 4), (8_192, 8_192), (16_384, 1), (19_999, 1)] {
        let file = File::open(&path).expect("a file");
        let selection = RowSelection::from(vec![RowSelector::skip(skipped), RowSelector::select(taken)]);
        let batches = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options.clone())
            .expect("Parquet")
            .with_row_selection(selection)
            .build()
            .expect("a reader");
        let rows: Vec<_> = batches.flat_map(|batch| crate::lake::rows_of(&batch.expect("rows"))).collect();
        assert_eq!(rows, all[skipped..skipped + taken], "from {skipped}");
    }
}

#[test]
fn large_cells_make_small_row_groups() {
    let mut lake = Lake::new();
    let large = "x".repeat(500_000);
    let lines = (0..30).map(|n| record(Feed::Options, &format!("T{n:02}"), &[("Underlying", &large), ("Du", &large)]));
    lake.snapshot(Feed::Options, "202004011320", lines);
    lake.run();
    for table in [TableName::Options, TableName::Rejects] {
        let [path] = &lake.parquet_files(table)[..] else { panic!("{:?}", lake.published()) };
        let sizes: Vec<i64> = metadata(path).metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(sizes, [9, 9, 9, 3], "{table}");
        assert_eq!(read(path).len(), 30);
    }
}

/// Adds a day of quotes that is more than one task, and other days.
fn a_large_day(lake: &mut Lake) {
    let name = "x".repeat(700);
    for minute in 0..50 {
        let lines =
            (0..1000).map(|n| quote(&format!("T{}", n * 7 % 1000), &[("Nome", &name), ("Ult", "1,5"), ("Max", "x")]));
        let lines: Vec<String> = lines.collect();
        lake.snapshot(Feed::Quotes, &format!("2020040110{minute:02}"), lines);
    }
    for day in ["02", "03", "06"] {
        lake.snapshot(Feed::Quotes, &format!("202004{day}1000"), [quote("PETR4", &[])]);
        lake.snapshot(Feed::Options, &format!("202004{day}1000"), [record(Feed::Options, "PETRD1", &[("Du", "x")])]);
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let mut lake = Lake::new();
    a_large_day(&mut lake);
    let run = |threads: usize| {
        fs::remove_dir_all(lake.out()).ok();
        let mut inputs = lake.job().inputs;
        inputs.rotate_left(threads);
        let report = etl::run(&Job { inputs, threads, ..lake.job() }, &|_| ()).expect("the job succeeds");
        let files: Vec<_> = lake
            .published()
            .into_iter()
            .map(|name| {
                let bytes = fs::read(lake.out().join(&name)).expect("a file");
                (name, bytes)
            })
            .collect();
        (report, files)
    };
    let (report, files) = run(1);
    let day = report.partitions.iter().find(|p| p.partition.to_string() == "year=2020/month=4/day=1").expect("the day");
    assert_eq!(
        day.files,
        [
            "quotes/year=2020/month=4/day=1/part-quotes-00000.parquet",
            "quotes/year=2020/month=4/day=1/part-quotes-00001.parquet"
        ]
    );
    assert_eq!(day.rows, 50_000);
    assert_eq!(files.len(), 2 * 2 + 3 * 4);
    for threads in [0, 2, 3, 16] {
        let (again, same) = run(threads);
        assert_eq!(report, again);
        assert!(files == same, "{threads} threads");
    }
}
