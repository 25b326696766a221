//! Raw files once more, as the data contract has them: one byte after the other, without a buffer and with no eye on speed.
//! It shares no code with the engine.

use std::collections::BTreeSet;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The longest line whose fields count, in bytes.
const LONGEST_LINE: usize = 1 << 20;

/// A line that has any byte in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The number of the line in the file, from 1.
    pub number: u64,
    /// The line without its end and without a byte-order mark.
    pub text: String,
    /// Its fields, unquoted.
    pub fields: Vec<String>,
    /// Whether its last quote was closed.
    pub closed: bool,
    /// Whether the line was too long, and this is its beginning.
    pub cut: bool,
}

/// What becomes of a record, by the names that reports and `rejects` have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A row.
    Published,
    /// Dropped and counted.
    BlankTicker,
    /// Dropped and counted.
    HeaderRepeat,
    /// In `rejects`, with this reason.
    Ragged(&'static str),
}

/// All records of a file, its header among them.
pub fn records(file: &[u8], separator: u8) -> Vec<Record> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut records = Vec::new();
    let (mut number, mut line) = (1, Vec::new());
    for byte in file.iter().copied().map(Some).chain([None]) {
        match byte {
            Some(byte) if byte != b'\n' => line.push(byte),
            end => {
                if end.is_some() || !line.is_empty() {
                    records.extend(record(number, &line, separator));
                }
                number += 1;
                line.clear();
            }
        }
    }
    records
}

fn record(number: u64, line: &[u8], separator: u8) -> Option<Record> {
    let line = match line {
        [rest @ .., b'\r'] => rest,
        line => line,
    };
    let cut = line.len() > LONGEST_LINE;
    let line = if cut { beginning(line) } else { line };
    let text = decoded(line);
    let (fields, closed) = fields(&text, char::from(separator));
    (!line.is_empty()).then_some(Record { number, text, fields, closed, cut })
}

/// The part of a line that is kept. Of a character that would be cut in two, nothing.
fn beginning(line: &[u8]) -> &[u8] {
    let kept = &line[..LONGEST_LINE];
    (0..4)
        .map(|less| &line[..LONGEST_LINE - less])
        .find(|kept| UTF_8.decode_without_bom_handling_and_without_replacement(kept).is_some())
        .unwrap_or(kept)
}

fn decoded(line: &[u8]) -> String {
    let by = |encoding: &'static Encoding| encoding.decode_without_bom_handling_and_without_replacement(line);
    by(UTF_8).or_else(|| by(WINDOWS_1252)).expect("Windows-1252 has a character for every byte").into_owned()
}

/// Where in a field a character stands.
enum At {
    /// Before it.
    Start,
    /// In a field, or behind its closing quote.
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: the end of it, or the first of two.
    Quote,
}

/// The fields of a line, and whether its last quote was closed.
fn fields(line: &str, separator: char) -> (Vec<String>, bool) {
    let (mut fields, mut field, mut at) = (Vec::new(), String::new(), At::Start);
    for letter in line.chars() {
        at = match (at, letter) {
            (At::Start, '"') => At::Quoted,
            (At::Quoted, '"') => At::Quote,
            (At::Quoted, letter) => {
                field.push(letter);
                At::Quoted
            }
            (At::Quote, '"') => {
                field.push('"');
                At::Quoted
            }
            (_, letter) if letter == separator => {
                fields.push(std::mem::take(&mut field));
                At::Start
            }
            (_, letter) => {
                field.push(letter);
                At::Plain
            }
        };
    }
    fields.push(field);
    (fields, !matches!(at, At::Quoted))
}

impl Record {
    /// What becomes of the record in a file whose header has these names behind the first.
    pub fn fate(&self, header: &[&str]) -> Fate {
        let names = self.fields.iter().skip(1).map(|field| trimmed(field));
        if self.fields.first().is_none_or(|ticker| trimmed(ticker).is_empty()) {
            Fate::BlankTicker
        } else if self.cut {
            Fate::Ragged("line_too_long")
        } else if names.eq(header.iter().copied()) {
            Fate::HeaderRepeat
        } else if !self.closed {
            Fate::Ragged("unclosed_quote")
        } else if self.fields.len() != header.len() + 1 {
            Fate::Ragged("field_count")
        } else {
            Fate::Published
        }
    }
}

/// The names in a header behind the first, if a file of a feed with these columns can be read under it: the columns stand in
/// their places, and each column behind them has a name of its own.
pub fn names<'a>(header: &'a Record, columns: &[&str]) -> Option<Vec<&'a str>> {
    let names: Vec<&str> = header.fields.iter().skip(1).map(|field| trimmed(field)).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    let fits = names.starts_with(columns) && distinct.len() == names.len() && !distinct.contains("") && !header.cut;
    fits.then_some(names)
}

/// A cell without the white space around it.
pub fn trimmed(cell: &str) -> &str {
    cell.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}', '\u{a0}'])
}
