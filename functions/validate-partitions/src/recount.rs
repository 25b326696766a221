//! What becomes of the records of a raw file, and what its form says, found by reading it here and not taken from the
//! engine.
//!
//! Bytes are pushed through as they come, so that the memory is that of the longest line that is kept.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use lake::objects;
use lake::quality::{RawFileRecords, Records};
use lake::raw_files::RawFile;
use lake::{Error, Lake, keys};
use market::record::{self, BYTE_ORDER_MARK, Disposition, MAX_LINE_BYTES, Splitter};
use market::snapshot::SnapshotName;
use memchr::memchr;

use crate::last_record;
use crate::shape::{Digest, ReadFile, day_of_header};

/// Reads a raw file, and counts its records.
///
/// # Errors
/// [`Error::RawFilesChanged`] when it is no longer the file that was listed; [`Error::Quality`] when it cannot be read to its
/// end.
pub async fn recount(lake: &Lake, file: &RawFile) -> Result<ReadFile, Error> {
    let bucket = &lake.config.buckets.raw;
    let uri = keys::uri(bucket, &file.object.key);
    let mut body = objects::open(lake, bucket, &file.object)
        .await?
        .ok_or_else(|| Error::RawFilesChanged(format!("{uri} was replaced while the run was audited")))?;
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
    Plain(Box<Lines>),
    Gzip(Box<MultiGzDecoder<Lines>>),
}

impl Counter {
    fn new(name: SnapshotName) -> Self {
        let lines = Lines::new(name);
        if name.gzip { Self::Gzip(Box::new(MultiGzDecoder::new(lines))) } else { Self::Plain(Box::new(lines)) }
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(lines) => lines.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<ReadFile> {
        let lines = match self {
            Self::Plain(lines) => *lines,
            Self::Gzip(decoder) => decoder.finish()?,
        };
        Ok(lines.finish())
    }
}

/// What is kept of a line: enough to see that it is too long, whatever marks stand before and behind it.
const KEPT_BYTES: usize = MAX_LINE_BYTES + BYTE_ORDER_MARK.len() + 2;

/// The text of a file, cut into lines.
struct Lines {
    name: SnapshotName,
    splitter: Splitter,
    /// The line that has not ended yet.
    begun: Vec<u8>,
    first: bool,
    header_seen: bool,
    records: Records,
    other_day: Option<chrono::NaiveDate>,
    digest: Digest,
}

impl Lines {
    fn new(name: SnapshotName) -> Self {
        Self {
            name,
            splitter: Splitter::new(name.feed.separator()),
            begun: Vec::new(),
            first: true,
            header_seen: false,
            records: Records::default(),
            other_day: None,
            digest: Digest::default(),
        }
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

    /// Counts a line. Says whether it is a record.
    fn line(&mut self, line: &[u8]) -> bool {
        let marked = std::mem::take(&mut self.first).then(|| line.strip_prefix(&BYTE_ORDER_MARK)).flatten();
        let line = record::without_line_end(marked.unwrap_or(line));
        if line.is_empty() {
            return false;
        }
        if !std::mem::replace(&mut self.header_seen, true) {
            let cell = line.split(|byte| *byte == self.name.feed.separator()).next().unwrap_or_default();
            let day = std::str::from_utf8(cell).ok().and_then(day_of_header);
            self.other_day = day.filter(|day| *day != self.name.time.date());
            return false;
        }
        let too_long = line.len() > MAX_LINE_BYTES;
        let line = if too_long { whole_characters(&line[..MAX_LINE_BYTES]) } else { line };
        self.digest.add(line);
        let count = match self.splitter.disposition(line, self.name.feed) {
            Disposition::BlankTicker => &mut self.records.blank_ticker,
            _ if too_long => &mut self.records.ragged,
            Disposition::HeaderRepeat => &mut self.records.header_repeat,
            Disposition::Ragged(_) => &mut self.records.ragged,
            Disposition::Publish => &mut self.records.published,
        };
        *count += 1;
        self.records.records += 1;
        true
    }

    fn finish(mut self) -> ReadFile {
        let last = std::mem::take(&mut self.begun);
        let unterminated = self.line(&last);
        let cut_off = (unterminated && last.len() <= MAX_LINE_BYTES).then(|| {
            let text = record::decode(record::without_line_end(&last));
            last_record::cut_off(self.splitter.split(text.as_bytes()), self.name.feed)
        });
        ReadFile {
            counted: RawFileRecords { name: self.name, records: self.records },
            unterminated,
            cut_off: cut_off.flatten(),
            other_day: self.other_day,
            digest: self.digest.finish(),
        }
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
    use market::snapshot::Feed;

    fn read(name: &str, file: &[u8], piece: usize) -> io::Result<ReadFile> {
        let mut counter = Counter::new(name.parse().expect(name));
        file.chunks(piece).try_for_each(|bytes| counter.push(bytes))?;
        counter.finish()
    }

    fn count(name: &str, file: &[u8], piece: usize) -> io::Result<Records> {
        read(name, file, piece).map(|read| read.records())
    }

    #[test]
    fn a_last_record_without_a_line_end_is_noted_and_looked_at() {
        let record = "PETR4,15,,15,16,15,15,15,100,200,100,15,,1000,X,10000,,,155000";
        let whole = quotes(&[record, record]);
        let name = "202004011320_flashpanel.csv";
        for piece in [1, 7, 1 << 20] {
            let read = |cut: usize| read(name, &whole[..whole.len() - cut], piece).expect("a file");
            assert!(!read(0).unterminated);
            assert!(read(1).unterminated && read(1).cut_off.is_none(), "all but its line end is there");
            for cut in 2..=7 {
                assert!(read(cut).unterminated && read(cut).cut_off.is_some(), "{cut}");
            }
            let ragged = read(8);
            assert!(ragged.unterminated && ragged.cut_off.is_none());
            assert_eq!((ragged.records().published, ragged.records().ragged), (1, 1), "a field less is a reject");
            assert!(!read(record.len() + 1).unterminated, "a cut at a line end cannot be seen");
        }
        assert!(!read(name, &quotes(&[])[..60], 9).expect("a header").unterminated, "a header is no record");
        let odd = [whole.clone(), b"\r".to_vec()].concat();
        assert!(!read(name, &odd, 9).expect("a file").unterminated, "an empty line is no record");
    }

    #[test]
    fn a_header_of_another_day_and_the_same_records_again_are_noted() {
        let [first, second] = ["PETR4,CELLS", "VALE3,CELLS"].map(|record| quotes(&[record]));
        let of = |name: &str, file: &[u8]| read(name, file, 9).expect("a file");
        let at_1320 = of("202004011320_flashpanel.csv", &first);
        assert_eq!(at_1320.other_day, None);
        let at_1330 = of("202004011330_flashpanel.csv", &first);
        assert_eq!((at_1330.other_day, at_1330.digest), (None, at_1320.digest));
        assert_ne!(of("202004011330_flashpanel.csv", &second).digest, at_1320.digest);
        let other = of("202004021320_flashpanel.csv", &first).other_day;
        assert_eq!(other, chrono::NaiveDate::from_ymd_opt(2020, 4, 1));
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
