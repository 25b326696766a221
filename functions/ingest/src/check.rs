//! Checks whether a file is a snapshot, as a stream and in constant memory.
//!
//! A file that passes can be read to its end by both engines: it is text under the header of its feed, plain or in a complete
//! gzip file. Records are not checked; the engine rejects single records, not files.

use std::io::{self, Write};

use market::header::{Header, InvalidHeader};
use market::record::{self, BYTE_ORDER_MARK};
use market::snapshot::{Feed, InvalidSnapshotName, SnapshotName};
use maybe_gzip::Writer;

/// The reason why a file is not a snapshot.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// The name is not the name of a snapshot.
    #[error(transparent)]
    #[strum(serialize = "not_a_snapshot_name")]
    Name(#[from] InvalidSnapshotName),
    /// The file is empty, or its decompressed text is.
    #[error("the file is empty")]
    Empty,
    /// The file or its decompressed text is larger than the limit.
    #[error("the file has more than {limit} bytes (ingest.max_file_bytes)")]
    TooLarge {
        /// The configured limit.
        limit: u64,
    },
    /// The name ends in `.gz`, but the file is not compressed.
    #[error("the name ends in .gz, but the file is not compressed with gzip")]
    NotGzip,
    /// The file is compressed, but its name does not end in `.gz`.
    #[error("the file is compressed with gzip, but its name does not end in .gz")]
    #[strum(serialize = "gzip_without_gz")]
    Gzip,
    /// The file cannot be decompressed to its end.
    #[error("the gzip file is cut off or damaged: {0}")]
    BrokenGzip(String),
    /// The first line is not the header of the feed.
    #[error(transparent)]
    #[strum(serialize = "wrong_header")]
    Header(#[from] InvalidHeader),
    /// The first line is too long for a header.
    #[error("the first line has more than {MAX_HEADER} bytes")]
    #[strum(serialize = "wrong_header")]
    EndlessHeader,
    /// The file has control characters, which no text has.
    #[error("the file is not text: byte 0x{byte:02x} at offset {offset}")]
    NotText {
        /// The first such byte.
        byte: u8,
        /// Its offset in the decompressed file.
        offset: u64,
    },
}

impl Refusal {
    /// Returns a stable name of the reason, for programs.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}

/// The maximum size of a header in bytes. The longest header of a feed has about 250.
const MAX_HEADER: usize = 1 << 16;

/// The first bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// The end of the last line of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLine {
    /// It ends with a line feed, or it is the header.
    Ended,
    /// It is a record without a line end, whose last field may have been cut off.
    Unterminated,
}

/// What is remarkable about a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The end of its last line.
    pub last_line: LastLine,
    /// The columns of its header behind those of its feed.
    pub added_columns: Vec<String>,
}

/// The check of one file, which takes its bytes in pieces.
pub(crate) struct Check {
    gzip: bool,
    limit: u64,
    /// The size so far, as stored.
    bytes: u64,
    text: Writer<Text>,
}

impl Check {
    /// Starts the check of a file called `name`, whose size is limited to `limit` bytes, as stored and decompressed.
    pub(crate) fn new(name: SnapshotName, limit: u64) -> Self {
        let header = FirstLine::Partial(Vec::new());
        let text = Text { feed: name.feed, limit, offset: 0, last: b'\n', header };
        Self { gzip: name.gzip, limit, bytes: 0, text: Writer::new(text, name.gzip) }
    }

    /// Checks the next bytes of the file.
    ///
    /// # Errors
    /// The reason if the file is not a snapshot.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let start = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let magic = || GZIP_MAGIC.iter().skip(start).zip(bytes).all(|(expected, found)| expected == found);
        if self.bytes == 0 && bytes.len() >= GZIP_MAGIC.len() && !self.gzip && magic() {
            return Err(Refusal::Gzip);
        }
        if self.gzip && !magic() {
            return Err(Refusal::NotGzip);
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        self.text.write_all(bytes).map_err(refusal)
    }

    /// Checks the end of the file. A file with an unterminated line is accepted, and so is one with added columns.
    ///
    /// # Errors
    /// The reason if the file is not a snapshot.
    pub(crate) fn finish(self) -> Result<Checked, Refusal> {
        if self.bytes == 0 {
            return Err(Refusal::Empty);
        }
        self.text.finish().map_err(refusal)?.finish()
    }
}

/// Returns the refusal of [`Text`], which passes through the decompression as an I/O error, or that of the decoder.
fn refusal(error: io::Error) -> Refusal {
    error.downcast().unwrap_or_else(|error| Refusal::BrokenGzip(error.to_string()))
}

/// The check of the decompressed text.
struct Text {
    feed: Feed,
    limit: u64,
    offset: u64,
    /// The last byte so far.
    last: u8,
    header: FirstLine,
}

/// The first line of a file.
enum FirstLine {
    /// Its beginning.
    Partial(Vec<u8>),
    /// It is complete and checked.
    Checked(Header),
}

impl Text {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(at) = first_binary(bytes) {
            return Err(Refusal::NotText { byte: bytes[at], offset: self.offset + at as u64 });
        }
        self.offset += bytes.len() as u64;
        self.last = bytes.last().copied().unwrap_or(self.last);
        if self.offset > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        let FirstLine::Partial(header) = &mut self.header else { return Ok(()) };
        let line_end = bytes.iter().position(|byte| *byte == b'\n');
        header.extend_from_slice(&bytes[..line_end.unwrap_or(bytes.len())]);
        if header.len() > MAX_HEADER {
            return Err(Refusal::EndlessHeader);
        }
        if line_end.is_some() {
            self.header = FirstLine::Checked(parse_header(self.feed, header)?);
        }
        Ok(())
    }

    fn finish(self) -> Result<Checked, Refusal> {
        if self.offset == 0 {
            return Err(Refusal::Empty);
        }
        let (header, last_line) = match self.header {
            // A header without a line end is a snapshot without records.
            FirstLine::Partial(line) => (parse_header(self.feed, &line)?, LastLine::Ended),
            FirstLine::Checked(header) if self.last == b'\n' => (header, LastLine::Ended),
            FirstLine::Checked(header) => (header, LastLine::Unterminated),
        };
        Ok(Checked { last_line, added_columns: header.added_columns().to_vec() })
    }
}

fn parse_header(feed: Feed, line: &[u8]) -> Result<Header, InvalidHeader> {
    let line = line.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(line);
    Header::parse(feed, record::without_line_end(line))
}

/// Returns the position of the first byte that no text has. Most files have none, so it tests whole blocks without an early
/// exit, which the compiler vectorizes.
fn first_binary(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 4096;
    let has_binary = |block: &[u8]| block.iter().fold(false, |found, byte| found | record::is_binary(*byte));
    let block = bytes.chunks(BLOCK).position(has_binary)?;
    let at = bytes[block * BLOCK..].iter().position(|byte| record::is_binary(*byte))?;
    Some(block * BLOCK + at)
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map(|()| bytes.len()).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    const LIMIT: u64 = 1 << 20;

    /// Checks a file in pieces of several sizes. The size may decide which of two faults is found, but not whether one is.
    fn check(name: &str, file: &[u8]) -> Result<Checked, Refusal> {
        let in_pieces = |size: usize| {
            let mut check = Check::new(name.parse().expect(name), LIMIT);
            file.chunks(size).try_for_each(|piece| check.push(piece))?;
            check.finish()
        };
        let whole = in_pieces(file.len().max(1));
        for size in [1, 3, 64, 1000] {
            assert_eq!(in_pieces(size).ok().as_ref(), whole.as_ref().ok(), "{name} by {size}");
        }
        whole
    }

    fn refused(name: &str, file: &[u8], expected: &str) {
        let refusal = check(name, file).expect_err(expected);
        let text = format!("{}: {refusal}", refusal.code());
        assert!(text.contains(expected), "{text}");
    }

    fn text(feed: Feed) -> String {
        let separator = char::from(feed.separator()).to_string();
        let record = vec!["1"; feed.raw_columns().len() + 1].join(&separator);
        format!("202004011320{separator}{}\n{record}\n{record}", feed.raw_columns().join(&separator))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    const QUOTES: &str = "202004011320_flashpanel.csv";
    const QUOTES_GZ: &str = "202004011320_flashpanel.csv.gz";
    const OPTIONS: &str = "202004011320_options.csv";

    #[test]
    fn snapshots_of_every_style_pass() {
        let quotes = text(Feed::Quotes);
        let header = quotes.lines().next().expect("a header");
        for file in [
            quotes.clone().into_bytes(),
            quotes.replace('\n', "\r\n").into_bytes(),
            [&BYTE_ORDER_MARK[..], quotes.as_bytes()].concat(),
            [quotes.as_bytes(), b"\nITA\xda4,\x80"].concat(),
            header.as_bytes().to_vec(),
            format!("{header}\r\n").into_bytes(),
        ] {
            check(QUOTES, &file).expect("plain");
            check(QUOTES_GZ, &gzip(&file)).expect("gzip");
        }
        check(OPTIONS, text(Feed::Options).as_bytes()).expect("options");
        let (first, second) = quotes.split_at(100);
        check(QUOTES_GZ, &[gzip(first.as_bytes()), gzip(second.as_bytes())].concat()).expect("two gzip members");
    }

    #[test]
    fn a_record_without_a_line_end_is_noted() {
        let unterminated = text(Feed::Quotes);
        let header = unterminated.lines().next().expect("a header").to_owned();
        for (file, expected) in [
            (unterminated.clone(), LastLine::Unterminated),
            (format!("{unterminated}\n"), LastLine::Ended),
            (format!("{unterminated}\r\n"), LastLine::Ended),
            (header, LastLine::Ended),
        ] {
            assert_eq!(check(QUOTES, file.as_bytes()).expect("plain").last_line, expected);
            assert_eq!(check(QUOTES_GZ, &gzip(file.as_bytes())).expect("gzip").last_line, expected);
        }
    }

    #[test]
    fn added_columns_are_noted() {
        let (quotes, options) = (text(Feed::Quotes), text(Feed::Options));
        for (name, file, expected) in [
            (QUOTES, quotes.clone(), &[][..]),
            (QUOTES, quotes.replace("VolTot", "VolTot,Vwap, Lote "), &["Vwap", "Lote"]),
            (QUOTES, quotes.replace("VolTot", "VolTot,Vwap\r"), &["Vwap"]),
            (QUOTES, "x,".to_owned() + &Feed::Quotes.raw_columns().join(",") + ",Vwap", &["Vwap"]),
            (OPTIONS, options.replace("new_ask_vol_imp", "new_ask_vol_imp;vega"), &["vega"]),
        ] {
            assert_eq!(check(name, file.as_bytes()).expect(&file).added_columns, expected);
        }
    }

    #[test]
    fn files_that_are_no_snapshots_are_recognized() {
        let quotes = text(Feed::Quotes);
        refused(QUOTES, b"", "empty: ");
        refused(QUOTES_GZ, b"", "empty: ");
        refused(QUOTES_GZ, &gzip(b""), "empty: ");
        refused(QUOTES, text(Feed::Options).as_bytes(), "wrong_header: the header is that of a snapshot of options");
        refused(OPTIONS, quotes.as_bytes(), "wrong_header");
        for (changed, reason) in [
            (
                quotes.replace("Abe", "abe"),
                "column 2 of the header is \"abe\", a snapshot of quotes has \"Abe\" there: it was renamed",
            ),
            (quotes.replace("Max,Min", "Min,Max"), "it was moved to column 6"),
            (quotes.replace("Max,", ""), "it is missing"),
            (quotes.replace(",VolTot", ""), "the header ends before column 19, which is \"VolTot\""),
            (quotes.replace("VolTot", "VolTot,"), "column 20 of the header has no name"),
            (quotes.replace("VolTot", "VolTot,Ult"), "column 20 of the header is \"Ult\", as is another column"),
        ] {
            refused(QUOTES, changed.as_bytes(), reason);
            refused(QUOTES, changed.as_bytes(), "wrong_header: ");
        }
        refused(QUOTES, format!("\n{quotes}").as_bytes(), "wrong_header");
        refused(QUOTES, "x".repeat(MAX_HEADER + 1).as_bytes(), "wrong_header: the first line has more");
        refused(QUOTES, &gzip(quotes.as_bytes()), "gzip_without_gz");
        refused(QUOTES_GZ, quotes.as_bytes(), "not_gzip");
        refused(QUOTES, format!("{quotes}\0").as_bytes(), &format!("0x00 at offset {}", quotes.len()));
        refused(QUOTES_GZ, &gzip(format!("{quotes}\x1b").as_bytes()), "not_text");
        refused(QUOTES, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not_text");
        refused(QUOTES_GZ, &[gzip(quotes.as_bytes()), b"junk behind it".to_vec()].concat(), "broken_gzip");
    }

    #[test]
    fn the_first_binary_byte_is_found_wherever_it_stands() {
        for length in [0, 1, 4095, 4096, 4097, 10_000] {
            let text = vec![b'a'; length];
            assert_eq!(first_binary(&text), None, "{length}");
            for at in [0, length / 2, 4095, 4096, length.saturating_sub(1)].into_iter().filter(|at| *at < length) {
                let mut bytes = text.clone();
                bytes[at] = 0;
                bytes[length - 1] = 0;
                assert_eq!(first_binary(&bytes), Some(at), "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_gzip_is_read_to_its_end() {
        let whole = gzip(text(Feed::Quotes).as_bytes());
        for cut in 2..whole.len() {
            refused(QUOTES_GZ, &whole[..cut], "broken_gzip");
        }
        let mut damaged = whole.clone();
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        refused(QUOTES_GZ, &damaged, "broken_gzip");
    }

    #[test]
    fn size_is_limited_packed_and_unpacked() {
        let long = text(Feed::Quotes) + &"\n".repeat(LIMIT as usize);
        refused(QUOTES, long.as_bytes(), "too_large");
        let bomb = gzip(long.as_bytes());
        assert!(bomb.len() < 100_000);
        refused(QUOTES_GZ, &bomb, "too_large");
    }
}
