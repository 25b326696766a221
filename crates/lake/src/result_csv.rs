//! Parses the CSV object of a query result on Athena: a header, every value in quotes, quotes doubled, and NULL as an empty
//! field without quotes, unlike an empty text.

use memchr::memchr2_iter;

/// A cell for every column; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// An incremental parser: takes bytes in pieces, and returns rows.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// Start of the next record.
    start: usize,
    /// Position up to which the next record was scanned without finding its end, and whether a quote is open there.
    looked: usize,
    open: bool,
}

impl Reader {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.looked -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next complete row.
    pub fn next_row(&mut self) -> Option<Row> {
        for at in memchr2_iter(b'"', b'\n', &self.bytes[self.looked..]) {
            let at = self.looked + at;
            if self.bytes[at] == b'"' {
                self.open = !self.open;
            } else if !self.open {
                let row = cells(&String::from_utf8_lossy(&self.bytes[self.start..at]));
                (self.start, self.looked) = (at + 1, at + 1);
                return Some(row);
            }
        }
        self.looked = self.bytes.len();
        None
    }

    /// Returns the last row if it has no line end, after all bytes were appended. A row that ends within quotes has no cells.
    pub fn last_row(&mut self) -> Option<Row> {
        let rest = &self.bytes[self.start..];
        let whole = |rest: &[u8]| if self.open { Row::new() } else { cells(&String::from_utf8_lossy(rest)) };
        let row = (!rest.is_empty()).then(|| whole(rest));
        (self.start, self.looked, self.open) = (self.bytes.len(), self.bytes.len(), false);
        row
    }
}

/// Splits a record without its line end into cells.
pub fn cells(record: &str) -> Row {
    let mut cells = Vec::new();
    let mut rest = record;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (cell, behind) = rest.split_once(',').map_or((rest, None), |(cell, behind)| (cell, Some(behind)));
            cells.push(Some(cell).filter(|cell| !cell.is_empty()).map(str::to_owned));
            match behind {
                Some(behind) => rest = behind,
                None => return cells,
            }
            continue;
        };
        let end = closing_quote(quoted);
        cells.push(Some(quoted[..end].replace("\"\"", "\"")));
        match quoted[end..].strip_prefix("\",") {
            Some(behind) => rest = behind,
            None => return cells,
        }
    }
}

/// Returns the end of a quoted cell: a quote that is not doubled.
fn closing_quote(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Option<&str>]) -> Row {
        cells.iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    const TEXT: &str = "\"a\",\"b\"\n\"PETR4\",\n,\"\"\n\"a \"\"quote\"\"\",\"two\nlines\n\"\n,\n\"\"\"\",\"é,\t\"\n";

    fn expected() -> Vec<Row> {
        vec![
            row(&[Some("a"), Some("b")]),
            row(&[Some("PETR4"), None]),
            row(&[None, Some("")]),
            row(&[Some("a \"quote\""), Some("two\nlines\n")]),
            row(&[None, None]),
            row(&[Some("\""), Some("é,\t")]),
        ]
    }

    #[test]
    fn rows_are_the_same_in_whatever_pieces_they_come() {
        for size in 1..=TEXT.len() {
            for text in [TEXT, TEXT.trim_end()] {
                let mut reader = Reader::default();
                let mut rows = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    reader.push(piece);
                    rows.extend(std::iter::from_fn(|| reader.next_row()));
                }
                rows.extend(reader.last_row());
                assert_eq!(rows, expected(), "pieces of {size}");
                assert_eq!((reader.next_row(), reader.last_row()), (None, None));
            }
        }
    }

    #[test]
    fn a_row_that_breaks_off_is_none() {
        for text in ["\"a\",\"b", "\"a\",\"", "\"a\"\"", "\"", "\"a\nb"] {
            let mut reader = Reader::default();
            reader.push(text.as_bytes());
            assert_eq!(reader.next_row(), None, "{text}");
            assert_eq!(reader.last_row(), Some(Row::new()), "{text}");
        }
    }

    #[test]
    fn a_record_may_be_anything() {
        for (record, expected) in [
            ("", row(&[None])),
            ("plain,1", row(&[Some("plain"), Some("1")])),
            ("\"open", row(&[Some("open")])),
            ("\"a\"b,\"c\"", row(&[Some("a")])),
        ] {
            assert_eq!(cells(record), expected, "{record}");
        }
    }
}
