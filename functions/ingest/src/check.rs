//! Is this file a snapshot? Looked at as it streams by, in constant memory, whatever it claims to be.
//!
//! What passes here is what every engine can read to its end: text under the header of its feed, plain or in a whole
//! gzip. Records are not looked at; a bad record costs itself and not its file.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use market::record::{self, BYTE_ORDER_MARK, InvalidHeader};
use market::snapshot::{Feed, InvalidSnapshotName, SnapshotName};

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its name.
    #[error(transparent)]
    Name(#[from] InvalidSnapshotName),
    /// It is empty, or unpacks to nothing.
    #[error("the file is empty")]
    Empty,
    /// It is larger than a snapshot may be.
    #[error("the file has more than {limit} bytes (ingest.max_file_bytes)")]
    TooLarge {
        /// The configured limit.
        limit: u64,
    },
    /// It is called `.gz` and is not compressed.
    #[error("the name ends in .gz, but the file is not compressed with gzip")]
    NotGzip,
    /// It is compressed and not called `.gz`.
    #[error("the file is compressed with gzip, but its name does not end in .gz")]
    Gzip,
    /// It cannot be unpacked to its end.
    #[error("the gzip file is cut off or damaged: {0}")]
    BrokenGzip(String),
    /// The first line is another one than the feed has.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// The first line has no end for so long that it cannot be a header.
    #[error("the first line has more than {MAX_HEADER} bytes")]
    EndlessHeader,
    /// It holds bytes that no text has.
    #[error("the file is not text: byte 0x{byte:02x} at offset {offset}")]
    NotText {
        /// The first such byte.
        byte: u8,
        /// Where it stands in the unpacked file.
        offset: u64,
    },
}

impl Refusal {
    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Name(_) => "not_a_snapshot_name",
            Refusal::Empty => "empty",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::NotGzip => "not_gzip",
            Refusal::Gzip => "gzip_without_gz",
            Refusal::BrokenGzip(_) => "broken_gzip",
            Refusal::Header(_) | Refusal::EndlessHeader => "wrong_header",
            Refusal::NotText { .. } => "not_text",
        }
    }
}

/// The most bytes that a header may have: the longest one of a feed has about 250.
const MAX_HEADER: usize = 1 << 16;

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// How the last line of a snapshot ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLine {
    /// With a line feed, or it is the header.
    Ended,
    /// It is a record without a line end, of which what stands last may have been cut off.
    Unterminated,
}

/// The check of one file, fed with its bytes.
pub struct Check {
    limit: u64,
    bytes: u64,
    layer: Layer,
}

enum Layer {
    Plain(Text),
    Gzip(Box<MultiGzDecoder<Text>>),
}

impl Check {
    /// The check of a file called `name` that may have `limit` bytes, as it lies there and unpacked.
    pub fn new(name: SnapshotName, limit: u64) -> Self {
        let text = Text { feed: name.feed, limit, offset: 0, last: b'\n', header: Some(Vec::new()) };
        let layer = if name.gzip { Layer::Gzip(Box::new(MultiGzDecoder::new(text))) } else { Layer::Plain(text) };
        Self { limit, bytes: 0, layer }
    }

    /// Looks at the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let start = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let magic = || GZIP_MAGIC.iter().skip(start).zip(bytes).all(|(expected, found)| expected == found);
        if self.bytes == 0 && bytes.len() >= GZIP_MAGIC.len() && matches!(self.layer, Layer::Plain(_)) && magic() {
            return Err(Refusal::Gzip);
        }
        if matches!(self.layer, Layer::Gzip(_)) && !magic() {
            return Err(Refusal::NotGzip);
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        match &mut self.layer {
            Layer::Plain(text) => text.push(bytes),
            Layer::Gzip(decoder) => decoder.write_all(bytes).map_err(unpacking),
        }
    }

    /// Looks at the end. Says how the last line ends, which makes no file a refused one.
    pub fn finish(self) -> Result<LastLine, Refusal> {
        let text = match self.layer {
            _ if self.bytes == 0 => return Err(Refusal::Empty),
            Layer::Plain(text) => text,
            Layer::Gzip(decoder) => decoder.finish().map_err(unpacking)?,
        };
        text.finish()
    }
}

/// What the text said on its way through the decoder, or what the decoder says.
fn unpacking(error: io::Error) -> Refusal {
    error.downcast().unwrap_or_else(|error| Refusal::BrokenGzip(error.to_string()))
}

/// The unpacked file.
struct Text {
    feed: Feed,
    limit: u64,
    offset: u64,
    /// The byte that came last.
    last: u8,
    /// The first line, until it is whole and checked.
    header: Option<Vec<u8>>,
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
        let Some(header) = &mut self.header else { return Ok(()) };
        let line_end = bytes.iter().position(|byte| *byte == b'\n');
        header.extend_from_slice(&bytes[..line_end.unwrap_or(bytes.len())]);
        if header.len() > MAX_HEADER {
            return Err(Refusal::EndlessHeader);
        }
        if line_end.is_some() { self.check_header() } else { Ok(()) }
    }

    fn check_header(&mut self) -> Result<(), Refusal> {
        let header = self.header.take().unwrap_or_default();
        let line = header.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&header);
        Ok(record::check_header(self.feed, record::without_line_end(line))?)
    }

    fn finish(mut self) -> Result<LastLine, Refusal> {
        if self.offset == 0 {
            return Err(Refusal::Empty);
        }
        // A header without a line end is a snapshot without records.
        if self.header.is_some() {
            return self.check_header().map(|()| LastLine::Ended);
        }
        Ok(if self.last == b'\n' { LastLine::Ended } else { LastLine::Unterminated })
    }
}

/// Where the first byte stands that no text has. Most files have none: whole blocks are looked at, without a way out at
/// each byte, which the compiler makes into a few instructions each.
fn first_binary(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 4096;
    let holds_one = |block: &[u8]| block.iter().fold(false, |found, byte| found | record::is_binary(*byte));
    let block = bytes.chunks(BLOCK).position(holds_one)?;
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

    /// Checks a file in pieces of some sizes. Which of two faults is told may depend on them, but not whether one is.
    fn check(name: &str, file: &[u8]) -> Result<LastLine, Refusal> {
        let in_pieces = |size: usize| {
            let mut check = Check::new(name.parse().expect(name), LIMIT);
            file.chunks(size).try_for_each(|piece| check.push(piece))?;
            check.finish()
        };
        let whole = in_pieces(file.len().max(1));
        for size in [1, 3, 64, 1000] {
            assert_eq!(in_pieces(size).ok(), whole.as_ref().ok().copied(), "{name} by {size}");
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
            assert_eq!(check(QUOTES, file.as_bytes()).expect("plain"), expected);
            assert_eq!(check(QUOTES_GZ, &gzip(file.as_bytes())).expect("gzip"), expected);
        }
    }

    #[test]
    fn what_is_no_snapshot_is_told_apart() {
        let quotes = text(Feed::Quotes);
        refused(QUOTES, b"", "empty: ");
        refused(QUOTES_GZ, b"", "empty: ");
        refused(QUOTES_GZ, &gzip(b""), "empty: ");
        refused(QUOTES, text(Feed::Options).as_bytes(), "wrong_header: the header is that of a snapshot of options");
        refused(OPTIONS, quotes.as_bytes(), "wrong_header");
        refused(QUOTES, quotes.replace("Abe", "abe").as_bytes(), "wrong_header: column 2");
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
