//! A raw file as the recorder leaves it: separators, quotes, line ends, encoding, compression.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use market::record::BYTE_ORDER_MARK;

use super::mess::Dress;

/// The cells of one record, kept in one string so that writing a record allocates nothing.
#[derive(Default)]
pub struct Row {
    text: String,
    /// Where each cell ends.
    ends: Vec<usize>,
}

impl Row {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds a cell, whose text `write` appends.
    pub fn cell(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// Adds a cell of this text.
    pub fn text(&mut self, text: &str) {
        self.cell(|out| out.push_str(text));
    }

    /// The text of the cell at `at`, unquoted.
    pub fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Puts another text into the cell at `at`.
    pub fn replace(&mut self, at: usize, text: &str) {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        let end = self.ends[at];
        self.text.replace_range(start..end, text);
        for later in &mut self.ends[at..] {
            *later = *later - (end - start) + text.len();
        }
    }

    /// Keeps the first `count` cells.
    pub fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// A raw file in memory: some hundred kilobytes.
pub struct RawFile {
    body: String,
    separator: char,
    dress: Dress,
}

impl RawFile {
    pub fn new(separator: u8, dress: Dress) -> RawFile {
        RawFile { body: String::with_capacity(1 << 20), separator: char::from(separator), dress }
    }

    /// Adds a record, quoting what has to be quoted.
    pub fn push(&mut self, row: &Row) {
        self.push_cells(row, row.len());
        self.body.push_str(self.dress.line_end());
    }

    /// Adds a record whose last cell opens a quote and never closes it.
    pub fn push_unclosed(&mut self, row: &Row) {
        let last = row.len() - 1;
        self.push_cells(row, last);
        self.body.push(self.separator);
        self.body.push('"');
        self.body.push_str(row.get(last));
        self.body.push_str(self.dress.line_end());
    }

    fn push_cells(&mut self, row: &Row, count: usize) {
        for at in 0..count {
            if at > 0 {
                self.body.push(self.separator);
            }
            let cell = row.get(at);
            if cell.bytes().any(|byte| byte == self.separator as u8 || byte == b'"') {
                self.push_quoted(cell);
            } else {
                self.body.push_str(cell);
            }
        }
    }

    fn push_quoted(&mut self, cell: &str) {
        self.body.push('"');
        for character in cell.chars() {
            if character == '"' {
                self.body.push('"');
            }
            self.body.push(character);
        }
        self.body.push('"');
    }

    /// The bytes of the file.
    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.dress.no_last_line_end {
            self.body.truncate(self.body.len() - self.dress.line_end().len());
        }
        let mut bytes = Vec::new();
        if self.dress.byte_order_mark {
            bytes.extend_from_slice(&BYTE_ORDER_MARK);
        }
        if self.dress.windows_1252 {
            bytes.extend_from_slice(&encoding_rs::WINDOWS_1252.encode(&self.body).0);
        } else {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        if self.dress.gzip { compress(&bytes) } else { bytes }
    }
}

/// gzip without a time or a name in it, which would make the bytes differ from run to run.
fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("a Vec takes all bytes")
}

/// Writes `bytes` to `path`, under its name only when complete.
pub fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}
