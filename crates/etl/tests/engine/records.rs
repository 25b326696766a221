//! Tests that each record is published, dropped and counted, or rejected. Nothing is lost in silence.

use etl::Counts;
use market::record::MAX_LINE_BYTES;
use market::snapshot::Feed;
use market::table::TableName;
use proptest::prelude::*;

use crate::lake::{Lake, Row, Value, header, name, quote, record, text};

#[test]
fn the_cells_of_added_columns_are_read_over() {
    let added = |feed: Feed, names: &str| {
        let separator = char::from(feed.separator());
        header(feed).replace('\n', &format!("{separator}{names}\n"))
    };
    let mut lake = Lake::new();
    let quotes = [
        format!("{},15.2,\"1,5\"", quote("PETR4", &[("Ult", "15,73")])),
        format!("{},,", quote("VALE3", &[("VolTot", "x")])),
        quote("ABEV3", &[]),
        format!("{},15.2", quote("BBDC4", &[])),
        added(Feed::Quotes, "Vwap, Lote").trim_end().to_owned(),
        header(Feed::Quotes).trim_end().to_owned(),
    ];
    lake.file(&name(Feed::Quotes, "202004011320"), added(Feed::Quotes, "Vwap,Lote") + &quotes.join("\n"));
    let options = [record(Feed::Options, "PETRD1", &[("Du", "50")]) + ";x", record(Feed::Options, "PETRD2", &[])];
    lake.file(&name(Feed::Options, "202004011321"), added(Feed::Options, "\"a;b\"") + &options.join("\r\n"));
    lake.snapshot(Feed::Quotes, "202004011330", [quote("PETR4", &[("Ult", "15,74")])]);
    let report = lake.run();
    let files: Vec<_> = report.files.iter().map(|file| file.added_columns.as_slice()).collect();
    assert_eq!(files, [&["Vwap".to_owned(), "Lote".to_owned()][..], &[], &["a;b".to_owned()]]);
    let counts = |at: usize| {
        let counts = report.files[at].counts;
        [counts.records, counts.published, counts.header_repeat, counts.ragged, counts.rejected_cells]
    };
    assert_eq!([counts(0), counts(1), counts(2)], [[6, 2, 1, 3, 1], [1, 1, 0, 0, 0], [2, 1, 0, 1, 0]]);
    let column = |rows: &[Row], name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let quotes = lake.quotes();
    assert_eq!(column(&quotes, "ticker"), ["PETR4", "PETR4", "VALE3"].map(text));
    assert_eq!(column(&quotes, "last")[..2], [Value::Double(15.73), Value::Double(15.74)]);
    assert_eq!(column(&lake.rows(TableName::Options), "optn_expn_days"), [Value::Int(50)]);
    let mut rejects = column(&lake.rejects(), "ticker");
    rejects.sort_by_key(|value| format!("{value:?}"));
    assert_eq!(rejects, ["202004011320", "ABEV3", "BBDC4", "PETRD2", "VALE3"].map(text));
}

#[test]
fn a_record_of_each_fate() {
    let repeated = header(Feed::Quotes).trim_end().replace("202004011320", "13:30");
    let lines = [
        quote("PETR4", &[("Ult", "15,73"), ("QTot", "10k12"), ("Nome", "not published")]),
        quote(" VALE3\u{a0}", &[("Ult", " 12a "), ("VolTot", "-5"), ("Abe", "Abe")]),
        quote("", &[("Ult", "15,73")]),
        " \t\u{a0}".to_owned(),
        repeated.clone(),
        String::new(),
        format!("{},", quote("ABEV3", &[])),
        "  BBDC4 ,1".to_owned(),
        "ITUB4,\"15,73".to_owned(),
        quote("PETR4", &[("Ult", "15,73")]),
    ];
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", &lines);
    let report = lake.run();

    let counts = report.files[0].counts;
    let bytes = (header(Feed::Quotes).len() + lines.iter().map(|line| line.len() + 1).sum::<usize>()) as u64;
    assert_eq!(
        counts,
        Counts { bytes, records: 9, published: 3, blank_ticker: 2, header_repeat: 1, ragged: 3, rejected_cells: 2 }
    );
    assert_eq!(report.totals, counts);

    let quotes = lake.quotes();
    let column = |name: &str| quotes.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("ticker"), ["PETR4", "PETR4", "VALE3"].map(text));
    assert_eq!(column("intdate"), [202004011320; 3].map(Value::Int));
    assert_eq!(column("last"), [Value::Double(15.73), Value::Double(15.73), Value::Null]);
    assert_eq!(column("qty_total"), [Value::Double(10120.0), Value::Null, Value::Null]);
    assert_eq!(column("open"), [Value::Null, Value::Null, Value::Null]);

    let reject = |ticker: &str, column: &str, cell: &str, reason: &str| -> Row {
        let texts = [
            ("source_file", "202004011320_flashpanel.csv"),
            ("table_name", "quotes"),
            ("ticker", ticker),
            ("column_name", column),
            ("text", cell),
            ("reason", reason),
        ];
        let mut row: Row = texts.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
        row.insert("intdate".to_owned(), Value::Int(202004011320));
        row
    };
    assert_eq!(
        lake.rejects(),
        [
            reject("ABEV3", "", &lines[6], "field_count"),
            reject("BBDC4", "", "  BBDC4 ,1", "field_count"),
            reject("ITUB4", "", "ITUB4,\"15,73", "unclosed_quote"),
            reject("VALE3", "Ult", " 12a ", "not_a_number"),
            reject("VALE3", "VolTot", "-5", "negative"),
        ]
    );
}

#[test]
fn text_is_trimmed_and_nothing_else() {
    let mut lake = Lake::new();
    lake.snapshot(
        Feed::Options,
        "202004011320",
        [
            record(
                Feed::Options,
                "A",
                &[("Underlying", " PE;TR\"4\u{a0}"), ("OptnStyle", ""), ("TradgEndDt", "2020-06-15")],
            ),
            record(Feed::Options, "B", &[("Underlying", "\u{a0} \t"), ("OptnStyle", "nan"), ("OptnTp", "CALL")]),
        ],
    );
    assert_eq!(lake.run().totals.rejected_cells, 0);
    let rows = lake.rows(TableName::Options);
    let row = |at: usize| ["optn_ua", "optn_style", "optn_tp", "optn_expn_date"].map(|column| rows[at][column].clone());
    assert_eq!(row(0), [text("PE;TR\"4"), Value::Null, Value::Null, text("2020-06-15")]);
    assert_eq!(row(1), [Value::Null, text("nan"), text("CALL"), Value::Null]);
}

#[test]
fn each_line_is_utf_8_or_windows_1252() {
    let option = |underlying: &str| record(Feed::Options, "A", &[("Underlying", underlying), ("Du", "é")]);
    let mut bytes = header(Feed::Options).into_bytes();
    bytes.extend(option("Itaú").as_bytes());
    bytes.push(b'\n');
    bytes.extend(encoding_rs::WINDOWS_1252.encode(&option("€ Itaú\u{a0}")).0.as_ref());
    let mut lake = Lake::new();
    lake.file(&name(Feed::Options, "202004011320"), bytes);
    lake.run();
    let underlyings: Vec<_> = lake.rows(TableName::Options).iter().map(|row| row["optn_ua"].clone()).collect();
    assert_eq!(underlyings, ["Itaú", "€ Itaú"].map(text));
    assert_eq!(lake.rejects().iter().map(|row| row["text"].clone()).collect::<Vec<_>>(), ["é", "é"].map(text));
}

#[test]
fn a_line_too_long_is_rejected_with_its_beginning() {
    let long = quote("PETR4", &[("Nome", &"x".repeat(MAX_LINE_BYTES))]);
    let longest = quote("VALE3", &[("Nome", &"x".repeat(MAX_LINE_BYTES - quote("VALE3", &[]).len()))]);
    let blank = quote("", &[("Nome", &"x".repeat(MAX_LINE_BYTES))]);
    let mut lake = Lake::new();
    lake.snapshot(Feed::Quotes, "202004011320", [&long, &longest, &blank, &quote("ABEV3", &[])]);
    let counts = lake.run().totals;
    assert_eq!((counts.published, counts.ragged, counts.blank_ticker), (2, 1, 1));
    let rejects = lake.rejects();
    assert_eq!((&rejects[0]["ticker"], &rejects[0]["reason"]), (&text("PETR4"), &text("line_too_long")));
    assert!(rejects[0]["text"] == text(&long[..MAX_LINE_BYTES]));
    assert_eq!(lake.quotes().iter().map(|row| row["ticker"].clone()).collect::<Vec<_>>(), ["ABEV3", "VALE3"].map(text));
}

/// The expected counts, by a second implementation that shares no code with the engine.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    records: u64,
    blank_ticker: u64,
    header_repeat: u64,
    /// Tickers of published records, sorted.
    published: Vec<String>,
    /// Whole records in `rejects`, sorted.
    ragged: Vec<String>,
}

fn trimmed(cell: &str) -> &str {
    cell.trim_matches(|c| " \t\n\r\u{b}\u{c}\u{a0}".contains(c))
}

/// Splits a line one character at a time. Returns whether the last quote was closed.
fn cells(line: &str, separator: char) -> (Vec<String>, bool) {
    let mut cells = vec![String::new()];
    let (mut at_start, mut quoted) = (true, false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let cell = cells.last_mut().expect("one cell");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if at_start => quoted = true,
            c if c == separator && !quoted => {
                cells.push(String::new());
                at_start = true;
                continue;
            }
            c => cell.push(c),
        }
        at_start = false;
    }
    (cells, !quoted)
}

fn expected(feed: Feed, body: &[u8]) -> Expected {
    let mut expected = Expected::default();
    for line in body.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let line = match str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(line).0.into_owned(),
        };
        let (cells, closed) = cells(&line, char::from(feed.separator()));
        let columns = feed.raw_columns();
        let complete = cells.len() == columns.len() + 1;
        expected.records += 1;
        if trimmed(&cells[0]).is_empty() {
            expected.blank_ticker += 1;
        } else if complete && cells[1..].iter().map(|cell| trimmed(cell)).eq(columns.iter().copied()) {
            expected.header_repeat += 1;
        } else if complete && closed {
            expected.published.push(trimmed(&cells[0]).to_owned());
        } else {
            expected.ragged.push(line);
        }
    }
    expected.published.sort();
    expected.ragged.sort();
    expected
}

fn texts(rows: &[Row], column: &str) -> Vec<String> {
    let mut texts: Vec<String> = rows
        .iter()
        .map(|row| match &row[column] {
            Value::Text(text) => text.clone(),
            other => panic!("{column} is {other:?}"),
        })
        .collect();
    texts.sort();
    texts
}

/// Bytes that look like raw lines, more or less.
fn body(feed: Feed) -> impl Strategy<Value = Vec<u8>> {
    let separators = feed.raw_columns().len();
    let separator = feed.separator();
    let cell = prop_oneof![
        "[0-9]{0,3}[.,kmb]?[0-9]{0,4}".prop_map(String::into_bytes),
        Just(b"Abe".to_vec()),
        "\"[0-9,;]{0,5}(\"\")?\"?".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    let line = prop_oneof![
        8 => proptest::collection::vec(cell, separators..separators + 3).prop_map(move |cells| cells.join(&separator)),
        1 => Just(header(feed).into_bytes()),
        1 => Just(vec![separator; separators]),
        1 => proptest::collection::vec(any::<u8>(), 0..80),
    ];
    let end = prop_oneof![Just(b"\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"\n\n".to_vec())];
    proptest::collection::vec((line, end), 0..40).prop_map(|lines| {
        let mut bytes: Vec<u8> = lines.into_iter().flat_map(|(line, end)| [line, end].concat()).collect();
        bytes.pop();
        bytes
    })
}

fn feed_and_body() -> impl Strategy<Value = (Feed, Vec<u8>)> {
    prop_oneof![Just(Feed::Quotes), Just(Feed::Options)].prop_flat_map(|feed| (Just(feed), body(feed)))
}

proptest! {
    #[test]
    fn nothing_is_lost_in_silence((feed, body) in feed_and_body()) {
        let mut lake = Lake::new();
        let bytes = [header(feed).as_bytes(), &body].concat();
        lake.file(&name(feed, "202004011320"), &bytes);
        let counts = lake.run().totals;

        let expected = expected(feed, &body);
        prop_assert_eq!(counts.bytes, bytes.len() as u64);
        prop_assert_eq!(counts.records, expected.records);
        prop_assert_eq!(counts.blank_ticker, expected.blank_ticker);
        prop_assert_eq!(counts.header_repeat, expected.header_repeat);
        prop_assert_eq!(counts.published, expected.published.len() as u64);
        prop_assert_eq!(counts.ragged, expected.ragged.len() as u64);
        prop_assert_eq!(counts.records, counts.published + counts.blank_ticker + counts.header_repeat + counts.ragged);

        prop_assert_eq!(texts(&lake.rows(feed.into()), "ticker"), expected.published);
        let (records, cells): (Vec<Row>, Vec<Row>) =
            lake.rejects().into_iter().partition(|row| row["column_name"] == text(""));
        prop_assert_eq!(texts(&records, "text"), expected.ragged);
        prop_assert_eq!(cells.len() as u64, counts.rejected_cells);
    }
}
