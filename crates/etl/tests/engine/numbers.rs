//! The published vectors of the number contract, through every column of every kind.

#[path = "../../../market/tests/number_contract/vectors.rs"]
mod vectors;

use std::collections::HashMap;

use market::snapshot::Feed;
use market::table::{Column, ColumnType, Kind, Source, TableName};

use crate::lake::{Lake, Row, Value, record, text};
use vectors::{Vector, vectors};

/// Returns the raw name and the column of every cell of `kind`.
fn columns(feed: Feed, kind: Kind) -> impl Iterator<Item = (&'static str, &'static Column)> {
    TableName::from(feed).columns().iter().filter_map(move |column| match column.source {
        Source::Cell { raw, kind: of_column } if of_column == kind => Some((raw, column)),
        _ => None,
    })
}

/// Returns the value in a column of type `ty`, and whether the cell is a reject.
fn expected_value(ty: ColumnType, expected: &str, outcome: &str) -> (Value, bool) {
    match (outcome, ty) {
        ("null", _) => (Value::Null, false),
        ("reject", _) => (Value::Null, true),
        ("value", ColumnType::Double) => (Value::Double(expected.parse().expect("a number")), false),
        ("value", ColumnType::Int) if expected.parse::<i32>().is_err() => (Value::Null, true),
        ("value", _) => (Value::Int(expected.parse().expect("a whole number")), false),
        other => panic!("unknown outcome {other:?}"),
    }
}

#[test]
fn every_vector_holds_in_every_column_of_its_kind() {
    for feed in Feed::ALL {
        let mut lines = Vec::new();
        let mut expected = HashMap::new();
        for Vector { kind, text: cell, expected: value, outcome } in vectors() {
            for (raw, column) in columns(feed, kind) {
                let ticker = format!("T{}", lines.len());
                lines.push(record(feed, &ticker, &[(raw, &cell)]));
                let (value, reject) = expected_value(column.ty, &value, &outcome);
                expected.insert(ticker, (column.name, raw, cell.clone(), value, reject));
            }
        }
        let mut lake = Lake::new();
        lake.snapshot(feed, "202004011320", &lines);
        let report = lake.run();

        let rows = lake.rows(feed.into());
        assert_eq!((rows.len() as u64, rows.len()), (report.totals.published, lines.len()));
        let rejects: HashMap<String, Row> = lake.rejects().into_iter().map(|row| (ticker_of(&row), row)).collect();
        assert_eq!(rejects.len() as u64, report.totals.rejected_cells);
        for row in &rows {
            let (column, raw, cell, value, reject) = &expected[&ticker_of(row)];
            assert_eq!(&row[*column], value, "{feed}.{column} of {cell:?}");
            let others = row.iter().filter(|(name, _)| name != column && *name != "ticker" && *name != "intdate");
            others.for_each(|(name, value)| assert_eq!(value, &Value::Null, "{feed}.{name}"));

            let rejected = rejects.get(&ticker_of(row));
            assert_eq!(rejected.is_some(), *reject, "{feed}.{column} of {cell:?}");
            if let Some(rejected) = rejected {
                assert_eq!((&rejected["column_name"], &rejected["text"]), (&text(raw), &text(cell)));
                assert_eq!(rejected["table_name"], text(feed.as_str()));
            }
        }
    }
}

fn ticker_of(row: &Row) -> String {
    match &row["ticker"] {
        Value::Text(ticker) => ticker.clone(),
        other => panic!("the ticker is {other:?}"),
    }
}

#[test]
fn limits_of_the_integer_types() {
    let mut lake = Lake::new();
    let days = [("A", "2147483647"), ("B", "2147483648"), ("C", "-1"), ("D", "1,5")];
    lake.snapshot(
        Feed::Options,
        "202004011320",
        days.map(|(ticker, days)| record(Feed::Options, ticker, &[("Du", days)])),
    );
    let quantities = [("A", "9223372036854775807"), ("B", "9223372036854775808")];
    lake.snapshot(
        Feed::Quotes,
        "202004011320",
        quantities.map(|(ticker, cell)| crate::lake::quote(ticker, &[("QOfc", cell), ("QTot", cell)])),
    );
    lake.run();
    let days: Vec<_> = lake.rows(TableName::Options).iter().map(|row| row["optn_expn_days"].clone()).collect();
    assert_eq!(days, [Value::Int(2147483647), Value::Null, Value::Null, Value::Null]);
    let quotes: Vec<_> = lake.quotes().iter().map(|row| (row["qty_bid"].clone(), row["qty_total"].clone())).collect();
    assert_eq!(quotes, [(Value::Int(i64::MAX), Value::Double(9223372036854775807.0)), (Value::Null, Value::Null)]);
    let reasons: Vec<_> = lake.rejects().iter().map(|row| row["reason"].clone()).collect();
    let expected = ["out_of_range", "negative", "not_whole", "out_of_range", "out_of_range"];
    assert_eq!(reasons, expected.map(text));
}
