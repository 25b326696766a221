//! What becomes of the records of a raw file, found by reading it anew and not taken from the engine.
//!
//! Bytes are pushed through as they come, so that the memory is that of the longest line that is kept.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use lake::objects;
use lake::quality::Records;
use lake::raw::RawFile;
use lake::{Error, Lake, keys};
use market::record::{self, BYTE_ORDER_MARK, Disposition, MAX_LINE_BYTES, Splitter};
use market::snapshot::{Feed, SnapshotName};
use memchr::memchr;

/// Counts the records of a raw file.
///
/// # Errors
/// [`Error::Quality`] when it is no longer the file that was listed, or cannot be read to its end.
pub async fn recount(lake: &Lake, file: &RawFile) -> Result<Records, Error> {
    let bucket = &lake.config.buckets.raw;
    let uri = keys::uri(bucket, &file.object.key);
    let mut body = objects::open(lake, bucket, &file.object)
        .await?
        .ok_or_else(|| Error::Quality(format!("{uri} was replaced while the run was audited; start it again")))?;
    let mut counter = Counter::new(file.name);
    while let Some(bytes) = body.next().await.transpose().map_err(Error::body(&uri))? {
        counter.push(&bytes).map_err(|error| unreadable(&uri, &error))?;
    }
    counter.finish().map_err(|error| unreadable(&uri, &error))
}

fn unreadable(uri: &str, error: &io::Error) -> Error {
    Error::Quality(format!("{uri} cannot be read to its end: {error}; upload the file again"))
}

enum Counter {
    Plain(Lines),
    Gzip(Box<MultiGzDecoder<Lines>>),
}

impl Counter {
    fn new(name: SnapshotName) -> Self {
        let lines = Lines::new(name.feed);
        if name.gzip { Self::Gzip(Box::new(MultiGzDecoder::new(lines))) } else { Self::Plain(lines) }
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(lines) => lines.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<Records> {
        let lines = match self {
            Self::Plain(lines) => lines,
            Self::Gzip(decoder) => decoder.finish()?,
        };
        Ok(lines.finish())
    }
}

/// What is kept of a line: enough to see that it is too long, whatever marks stand before and behind it.
const KEPT_BYTES: usize = MAX_LINE_BYTES + BYTE_ORDER_MARK.len() + 2;

/// The text of a file, cut into lines.
struct Lines {
    feed: Feed,
    splitter: Splitter,
    /// The line that has not ended yet.
    begun: Vec<u8>,
    first: bool,
    header_seen: bool,
    records: Records,
}

impl Lines {
    fn new(feed: Feed) -> Self {
        let splitter = Splitter::new(feed.separator());
        Self { feed, splitter, begun: Vec::new(), first: true, header_seen: false, records: Records::default() }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES - self.begun.len();
        self.begun.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn end_of_begun(&mut self) {
        let mut line = std::mem::take(&mut self.begun);
        self.line(&line);
        line.clear();
        self.begun = line;
    }

    fn line(&mut self, line: &[u8]) {
        let marked = std::mem::take(&mut self.first).then(|| line.strip_prefix(&BYTE_ORDER_MARK)).flatten();
        let line = record::without_line_end(marked.unwrap_or(line));
        if line.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.header_seen, true) {
            return;
        }
        let too_long = line.len() > MAX_LINE_BYTES;
        let line = if too_long { whole_characters(&line[..MAX_LINE_BYTES]) } else { line };
        let count = match self.splitter.disposition(line, self.feed) {
            Disposition::BlankTicker => &mut self.records.blank_ticker,
            _ if too_long => &mut self.records.ragged,
            Disposition::HeaderRepeat => &mut self.records.header_repeat,
            Disposition::Ragged(_) => &mut self.records.ragged,
            Disposition::Publish => &mut self.records.published,
        };
        *count += 1;
        self.records.records += 1;
    }

    fn finish(mut self) -> Records {
        self.end_of_begun();
        self.records
    }
}

impl Write for Lines {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len();
        while let Some(end) = memchr(b'\n', bytes) {
            if self.begun.is_empty() {
                self.line(&bytes[..end.min(KEPT_BYTES)]);
            } else {
                self.keep(&bytes[..end]);
                self.end_of_begun();
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without a UTF-8 character that was cut in two at the end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn count(name: &str, file: &[u8], piece: usize) -> io::Result<Records> {
        let mut counter = Counter::new(name.parse().expect(name));
        file.chunks(piece).try_for_each(|bytes| counter.push(bytes))?;
        counter.finish()
    }

    fn quotes(records: &[&str]) -> Vec<u8> {
        let header = format!("202004011320,{}", Feed::Quotes.raw_columns().join(","));
        let cells = ["1"; 18].join(",");
        let mut file = BYTE_ORDER_MARK.to_vec();
        for line in [header.as_str()].iter().chain(records) {
            file.extend(line.replace("CELLS", &cells).replace("HEADER", &header[13..]).bytes());
            file.push(b'\n');
        }
        file
    }

    #[test]
    fn every_record_is_counted_as_one_thing() {
        let mut file = quotes(&[
            "PETR4,CELLS",
            "\r",
            "",
            "PETR4,CELLS\r",
            ",CELLS",
            "\u{a0},CELLS",
            "202004011320,HEADER",
            "PETR4,CELLS,",
            "PETR4",
            "\"PETR4,CELLS",
        ]);
        // Windows-1252: a no-break space is no ticker, in whatever encoding.
        file.extend(b"\xa0,1\nIta\xfa,1\nVALE3,");
        file.extend(["1"; 18].join(",").bytes());
        let expected = Records { records: 11, published: 3, blank_ticker: 3, header_repeat: 1, ragged: 4 };
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&file).expect("memory");
        let gzip = gzip.finish().expect("memory");
        for piece in [1, 7, 100, 1 << 20] {
            assert_eq!(count("202004011320_flashpanel.csv", &file, piece).expect("plain"), expected, "{piece}");
            assert_eq!(count("202004011320_flashpanel.csv.gz", &gzip, piece).expect("gzip"), expected, "{piece}");
        }
        assert!(count("202004011320_flashpanel.csv.gz", &gzip[..gzip.len() - 9], 100).is_err());
    }

    #[test]
    fn a_file_of_its_header_has_no_records() {
        assert_eq!(count("202004011320_flashpanel.csv", &quotes(&[]), 9).expect("plain"), Records::default());
    }

    #[test]
    fn a_line_is_too_long_behind_its_limit() {
        let padded = |length: usize, end: &str| {
            format!("PETR4,{}1{end}", "1,".repeat(17)).replacen("1,", &format!("{},", "1".repeat(length - 40)), 1)
        };
        let of_length = |length: usize, end: &str| {
            let line = padded(length, "");
            let missing = length - line.len();
            padded(length + missing, end)
        };
        let cases = [
            (of_length(MAX_LINE_BYTES, ""), 1, 0),
            (of_length(MAX_LINE_BYTES, "\r"), 1, 0),
            (of_length(MAX_LINE_BYTES + 1, ""), 0, 1),
            (of_length(MAX_LINE_BYTES + 1, "\r"), 0, 1),
            (of_length(3 * MAX_LINE_BYTES, ""), 0, 1),
        ];
        for (line, published, ragged) in cases {
            let length = line.len();
            for piece in [10_000, 10 * MAX_LINE_BYTES] {
                let records = count("202004011320_flashpanel.csv", &quotes(&[&line]), piece).expect("plain");
                assert_eq!((records.published, records.ragged), (published, ragged), "{length} by {piece}");
            }
        }
    }
}
