//! A raw file as the recorder writes it: separators, quotes, line ends, encoding, compression.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use market::record::BYTE_ORDER_MARK;

use crate::corruption::FileFormat;

/// The cells of one record, in one reused string, so that writing a record does not allocate.
#[derive(Default)]
pub(crate) struct Row {
    text: String,
    /// The end of each cell in `text`.
    ends: Vec<usize>,
}

impl Row {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds a cell, whose text `write` appends.
    pub(crate) fn cell(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// Adds a cell of this text.
    pub(crate) fn text(&mut self, text: &str) {
        self.cell(|out| out.push_str(text));
    }

    /// Returns the text of the cell at `at`, unquoted.
    pub(crate) fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Replaces the text of the cell at `at`.
    pub(crate) fn replace(&mut self, at: usize, text: &str) {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        let end = self.ends[at];
        self.text.replace_range(start..end, text);
        for later in &mut self.ends[at..] {
            *later = *later - (end - start) + text.len();
        }
    }

    /// Keeps the first `count` cells.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// A raw file in memory: several hundred kilobytes.
pub(crate) struct RawFile {
    body: String,
    separator: char,
    format: FileFormat,
}

impl RawFile {
    pub(crate) fn new(separator: u8, format: FileFormat) -> RawFile {
        RawFile { body: String::with_capacity(1 << 20), separator: char::from(separator), format }
    }

    /// Adds a record, quoting cells where necessary.
    pub(crate) fn push(&mut self, row: &Row) {
        self.push_cells(row, row.len());
        self.body.push_str(self.format.line_end());
    }

    /// Adds a record whose last cell opens a quote that is never closed.
    pub(crate) fn push_unclosed(&mut self, row: &Row) {
        let last = row.len() - 1;
        self.push_cells(row, last);
        self.body.push(self.separator);
        self.body.push('"');
        self.body.push_str(row.get(last));
        self.body.push_str(self.format.line_end());
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

    /// Returns the bytes of the file.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        if self.format.no_last_line_end {
            self.body.truncate(self.body.len() - self.format.line_end().len());
        }
        let mut bytes = Vec::new();
        if self.format.byte_order_mark {
            bytes.extend_from_slice(&BYTE_ORDER_MARK);
        }
        if self.format.windows_1252 {
            bytes.extend_from_slice(&encoding_rs::WINDOWS_1252.encode(&self.body).0);
        } else {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        if self.format.gzip { compress(&bytes) } else { bytes }
    }
}

/// Compresses with gzip, without a time or a name in the header: they would change the bytes from run to run.
fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("a Vec takes all bytes")
}

/// Writes `bytes` to `path` atomically: under a temporary name, then by a rename.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}
