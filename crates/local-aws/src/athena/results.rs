//! The result objects of queries, in Athena's formats: CSV for rows, plain lines for the output of DDL.
//!
//! `GetQueryResults` reads a page from the object, at the byte offset where the page before it ended, so that a result of any
//! size needs the memory of one page.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, SeekFrom};

use local_athena::{Row, StatementKind};

/// The format of a result object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `.csv`: a header, all values quoted, NULL as an empty field.
    Csv,
    /// `.txt`: one row per line, cells separated by tabs.
    Text,
}

impl Format {
    pub(super) fn from_kind(kind: StatementKind) -> Format {
        match kind {
            StatementKind::Dml => Format::Csv,
            StatementKind::Ddl | StatementKind::Utility => Format::Text,
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Text => "txt",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Text => "text/plain",
        }
    }

    /// Appends a row to the text of an object.
    pub(super) fn write(self, text: &mut String, row: &Row) {
        for (at, cell) in row.iter().enumerate() {
            match (self, cell) {
                (Format::Csv, Some(cell)) => {
                    let comma = if at > 0 { "," } else { "" };
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{comma}\"{}\"", cell.replace('"', "\"\""));
                }
                (Format::Csv, None) => text.push_str(if at > 0 { "," } else { "" }),
                (Format::Text, cell) => {
                    text.push_str(if at > 0 { "\t" } else { "" });
                    text.push_str(cell.as_deref().unwrap_or_default());
                }
            }
        }
        text.push('\n');
    }
}

/// A page of rows, and the byte offset of the next page. `None` after the last one.
#[derive(Debug, PartialEq)]
pub(super) struct ResultPage {
    pub(super) rows: Vec<Row>,
    pub(super) next: Option<u64>,
}

/// Reads at most `limit` rows of `columns` cells, starting at byte `from`.
pub(super) fn read_page(
    format: Format,
    mut object: impl Read + std::io::Seek,
    from: u64,
    columns: usize,
    limit: usize,
) -> std::io::Result<ResultPage> {
    object.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(object);
    let mut rows = Vec::new();
    let mut read = from;
    while rows.len() < limit {
        let mut record = Vec::new();
        match format {
            Format::Csv => read_record(&mut reader, &mut record)?,
            Format::Text => reader.read_until(b'\n', &mut record).map(|_| ())?,
        }
        if record.is_empty() {
            return Ok(ResultPage { rows, next: None });
        }
        read += record.len() as u64;
        let text = String::from_utf8_lossy(&record);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        rows.push(match format {
            Format::Csv => lake::result_csv::cells(text),
            Format::Text => text.splitn(columns.max(1), '\t').map(|cell| Some(cell.to_owned())).collect(),
        });
    }
    let more = !reader.fill_buf()?.is_empty();
    Ok(ResultPage { rows, next: more.then_some(read) })
}

/// Reads a CSV record with its line end: lines until all quotes are closed.
fn read_record(reader: &mut impl BufRead, record: &mut Vec<u8>) -> std::io::Result<()> {
    let mut quotes = 0;
    loop {
        let start = record.len();
        if reader.read_until(b'\n', record)? == 0 {
            return Ok(());
        }
        quotes += memchr::memchr_iter(b'"', &record[start..]).count();
        if quotes % 2 == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn row(cells: &[Option<&str>]) -> Row {
        cells.iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    #[test]
    fn csv_is_read_as_it_was_written_in_pages_of_any_size() {
        let rows = [
            row(&[Some("a"), Some("b"), Some("c")]),
            row(&[Some("PETR4"), None, Some("")]),
            row(&[None, None, None]),
            row(&[Some("a \"quote\""), Some("two\nlines\n"), Some(",")]),
            row(&[Some("\""), Some("\"\""), Some("é\t")]),
        ];
        let mut text = String::new();
        for row in &rows {
            Format::Csv.write(&mut text, row);
        }
        assert!(text.starts_with("\"a\",\"b\",\"c\"\n\"PETR4\",,\"\"\n,,\n"), "{text}");
        for limit in 1..=6 {
            let mut found = Vec::new();
            let mut from = Some(0);
            while let Some(start) = from {
                let page = read_page(Format::Csv, Cursor::new(&text), start, 3, limit).unwrap();
                assert!(page.rows.len() <= limit);
                found.extend(page.rows);
                from = page.next;
            }
            assert_eq!(found, rows, "pages of {limit}");
        }
    }

    #[test]
    fn a_single_null_is_an_empty_line() {
        let mut text = String::new();
        Format::Csv.write(&mut text, &row(&[None]));
        assert_eq!(text, "\n");
        assert_eq!(read_page(Format::Csv, Cursor::new(&text), 0, 1, 9).unwrap().rows, [row(&[None])]);
    }

    #[test]
    fn text_has_tabs_and_the_last_column_keeps_its_own() {
        let mut text = String::new();
        Format::Text.write(&mut text, &row(&[Some("ticker"), Some("string"), Some("with\ttab")]));
        assert_eq!(text, "ticker\tstring\twith\ttab\n");
        let page = read_page(Format::Text, Cursor::new(&text), 0, 3, 9).unwrap();
        assert_eq!(page.rows, [row(&[Some("ticker"), Some("string"), Some("with\ttab")])]);
        let page = read_page(Format::Text, Cursor::new(&text), 0, 1, 9).unwrap();
        assert_eq!(page.rows, [row(&[Some("ticker\tstring\twith\ttab")])]);
    }
}
