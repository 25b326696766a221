//! The tables of columns and of number styles in `docs/tables.md` are what the code does.

use market::number::{Cell, parse_amount, parse_decimal, parse_quantity};
use market::table::{Source, TableName};

const PAGE: &str = include_str!("../../../docs/tables.md");

/// Returns the cells of each row of the first table after `heading`, without its header.
fn table_under(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PAGE.split_once(heading).unwrap_or_else(|| panic!("docs/tables.md has no {heading:?}"));
    section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn the_page_lists_every_column() {
    for table in TableName::ALL {
        let rows = table_under(&format!("\n### {table}\n"));
        assert_eq!(rows.len(), table.columns().len(), "rows of the page's table of {table}");
        for (row, column) in rows.iter().zip(table.columns()) {
            assert_eq!(row[..2], [column.name, column.ty.hive_name()], "{table}");
            match column.source {
                Source::Cell { raw, .. } => assert_eq!(row[2], raw, "{table}.{}", column.name),
                Source::FileTime if table != TableName::Rejects => assert_eq!(row[2], "file name"),
                _ => {}
            }
            let meaning = row.last().map(|cell| cell.replace('`', ""));
            assert_eq!(meaning.as_deref(), Some(column.meaning), "{table}.{}", column.name);
        }
    }
}

#[test]
fn the_page_reads_numbers_as_the_contract_does() {
    fn shown<T: ToString>(cell: Cell<T>) -> String {
        match cell {
            Cell::Value(value) => value.to_string(),
            Cell::Null => "NULL".to_owned(),
            Cell::Reject(_) => "reject".to_owned(),
        }
    }
    let rows = table_under("How a number is read");
    assert_eq!(rows.len(), 8);
    for row in rows {
        for text in row[0].split('`').skip(1).step_by(2) {
            let got = [
                shown(parse_decimal(text.as_bytes())),
                shown(parse_quantity(text.as_bytes())),
                shown(parse_amount(text.as_bytes())),
            ];
            assert_eq!(got, row[1..], "{text}");
        }
    }
}
