//! Lines and fields of a raw file, however its bytes come in pieces.
//!
//! Held against `fuzz::judge`, a state machine over single characters. The quick way, which tells what becomes of a record
//! without taking it apart, has to say the same.

use std::collections::VecDeque;
use std::io::{self, Read};

use etl::fuzzing::{Buffer, Lines};
use fuzz::judge::{Fate, Record, records};
use fuzz::{Random, Target};
use market::header::Header;
use market::record::{Disposition, Splitter, decode};
use market::snapshot::Feed;

#[test]
fn csv() {
    let quotes = Feed::Quotes.raw_columns().join(",");
    let options = Feed::Options.raw_columns().join(";");
    let cells = "1,".repeat(18);
    let pieces = [
        "\n", "\r\n", "\r", "\n\n", ",", ";", "\"", "\"\"", "\",\"", "\";\"", "\"\n", "PETR4", " ", "\t", "\u{a0}",
        "\u{feff}", "Itaú", "15,73", "10k12", "Abe", "a", "0",
    ];
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec());
    let more = [quotes.into_bytes(), options.into_bytes(), cells.into_bytes(), b"\xe9".to_vec(), b"\xc3".to_vec()];
    Target::new("csv").pieces(pieces.chain(more)).build(long_lines).fixed_cases(5000).run(check);
}

/// Mostly a few records; now and then a line near the longest one that is kept.
fn long_lines(random: &mut Random) -> Vec<u8> {
    if !random.once_in(100) {
        let lines = random.below(6);
        return (0..lines).flat_map(|_| line(random)).collect();
    }
    let longest = market::record::MAX_LINE_BYTES;
    let letter = ["x", "é", "€", "\"\"", "1,", "\u{1F600}"][random.below(6)];
    let mut line = ["\u{feff}", "", "\"", "PETR4,"][random.below(4)].as_bytes().to_vec();
    let length = (longest + random.below(12)).saturating_sub(6);
    while line.len() < length {
        line.extend_from_slice(letter.as_bytes());
    }
    if random.once_in(2) {
        line.truncate(length);
    }
    line.extend_from_slice(["", "\n", "\r\n", "\r", "\nPETR4,1\n"][random.below(5)].as_bytes());
    line
}

fn line(random: &mut Random) -> Vec<u8> {
    let separator = [",", ";"][random.below(2)];
    let fields = [1, 18, 19, 20, 23][random.below(5)];
    let field = |random: &mut Random| {
        let text = ["", "1", "15,73", "PETR4", "a;b", "Ita\u{fa}", " ", "\u{a0}"][random.below(8)];
        match random.below(6) {
            0 => format!("\"{text}\""),
            1 => format!("\"{text}\"\"{text}\"{text}"),
            2 => format!("{text}\""),
            _ => text.to_owned(),
        }
    };
    let fields: Vec<String> = (0..fields).map(|_| field(random)).collect();
    let end = ["\n", "\r\n", "\r", ""][random.below(4)];
    format!("{}{end}", fields.join(separator)).into_bytes()
}

fn check(file: &[u8]) {
    for feed in Feed::ALL {
        let expected = records(file, feed.separator());
        let mut random = Random::of(file);
        let longest = [1, 7, 300, 1 << 20][random.below(4)];
        // A byte at a time takes too long where there are millions.
        let longest = if file.len() > 1 << 16 { longest.max(1 << 16) } else { longest };
        let pieces = Pieces(random.cut(file, longest).into());
        let added = &["Vwap", "Lote"][..random.below(3)];
        let found = read(feed, added, pieces, &expected);
        assert_eq!(found, expected, "{feed}");
    }
}

/// What the engine's reader and splitter make of a file; each record is also held against what is said of it undivided.
/// The header of the file has the columns of the feed, and those that were added.
fn read(feed: Feed, added: &[&str], pieces: Pieces<'_>, expected: &[Record]) -> Vec<Record> {
    let names = [feed.raw_columns(), added].concat();
    let separator = char::from(feed.separator()).to_string();
    let header = Header::parse(feed, format!("{separator}{}", names.join(&separator)).as_bytes()).expect("a header");
    let mut buffer = Buffer::default();
    let mut lines = Lines::new(pieces, &mut buffer);
    let (mut whole, mut splitter) = (Splitter::new(feed.separator()), Splitter::new(feed.separator()));
    let mut records = Vec::new();
    while let Some(line) = lines.next_line().expect("memory can be read") {
        let (bytes, cut) = (line.bytes.to_vec(), line.cut);
        let text = decode(&bytes).into_owned();
        let record = splitter.split(text.as_bytes());
        let fields = record.fields().map(|field| String::from_utf8(field.to_vec()).expect("UTF-8")).collect();
        let fate = record.disposition(&header);
        assert_eq!(whole.disposition(&bytes, &header), fate, "undivided: {}", bytes.escape_ascii());
        if let Some(expected) = expected.get(records.len())
            && !cut
        {
            assert_eq!(named(fate), expected.fate(&names), "{}", bytes.escape_ascii());
        }
        // Whether a quote is open is seen from outside in what becomes of the record only.
        let closed = expected.get(records.len()).is_none_or(|expected| expected.closed);
        records.push(Record { number: lines.number(), text, fields, closed, cut });
    }
    records
}

fn named(fate: Disposition) -> Fate {
    match fate {
        Disposition::Publish => Fate::Published,
        Disposition::BlankTicker => Fate::BlankTicker,
        Disposition::HeaderRepeat => Fate::HeaderRepeat,
        Disposition::Ragged(why) => Fate::Ragged(why.as_str()),
    }
}

/// Returns its bytes a piece at a time, as a decoder may.
struct Pieces<'a>(VecDeque<&'a [u8]>);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.front_mut() else { return Ok(0) };
        let read = piece.read(buffer)?;
        if piece.is_empty() {
            self.0.pop_front();
        }
        Ok(read)
    }
}
