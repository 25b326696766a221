//! Reads a raw file from the raw bucket, and counts its records by their disposition.
//!
//! Bytes are processed as they arrive (push), so that the memory is bounded by the longest line that is kept.

use std::io::{self, Write};

use lake::objects;
use lake::quality::{RawFileRecords, Records};
use lake::raw_files::RawFile;
use lake::{Error, Lake, keys};
use market::header::Header;
use market::record::{self, BYTE_ORDER_MARK, Disposition, KEPT_LINE_BYTES, MAX_LINE_BYTES, Splitter, whole_characters};
use market::snapshot::SnapshotName;
use maybe_gzip::Writer;
use memchr::memchr;
use tracing::{Instrument, debug_span};

use crate::last_record;
use crate::raw_file_scan::{Digest, ScannedFile, header_date};

/// Reads a raw file, and counts its records.
///
/// # Errors
/// [`Error::RawFilesChanged`] if the object is no longer the version that was listed; [`Error::Quality`] if it cannot be
/// decompressed to its end.
pub(crate) async fn scan(lake: &Lake, file: &RawFile) -> Result<ScannedFile, Error> {
    read(lake, file).instrument(debug_span!("file", name = %file.name)).await
}

async fn read(lake: &Lake, file: &RawFile) -> Result<ScannedFile, Error> {
    let bucket = &lake.config.buckets.raw;
    let uri = keys::uri(bucket, &file.object.key);
    let mut body = objects::open(lake, bucket, &file.object)
        .await?
        .ok_or_else(|| Error::RawFilesChanged(format!("{uri} was replaced while the run was audited")))?;
    let mut counter = RecordCounter::with_decompression(file.name);
    while let Some(bytes) = body.next().await.transpose().map_err(Error::body(&uri))? {
        counter.write_all(&bytes).map_err(|error| unreadable(&uri, &error))?;
    }
    counter.finish().map(RecordCounter::finish).map_err(|error| unreadable(&uri, &error))
}

fn unreadable(uri: &str, error: &io::Error) -> Error {
    Error::Quality(format!("{uri} cannot be read to its end: {error}; upload the file again"))
}

/// Cuts the text of a file into lines, and counts them. The text is written to it in pieces of any size.
struct RecordCounter {
    name: SnapshotName,
    splitter: Splitter,
    /// The beginning of a line whose end has not arrived yet, at most [`KEPT_LINE_BYTES`] of it.
    partial_line: Vec<u8>,
    first: bool,
    /// The header, after its line. A first line that is not one is taken as the header of the feed: the engines refuse the file.
    header: Option<Header>,
    records: Records,
    other_day: Option<chrono::NaiveDate>,
    digest: Digest,
}

impl RecordCounter {
    /// Returns a counter of the decompressed text, if the file name says that the file is compressed.
    fn with_decompression(name: SnapshotName) -> Writer<Self> {
        Writer::new(Self::new(name), name.gzip)
    }

    fn new(name: SnapshotName) -> Self {
        Self {
            name,
            splitter: Splitter::new(name.feed.separator()),
            partial_line: Vec::new(),
            first: true,
            header: None,
            records: Records::default(),
            other_day: None,
            digest: Digest::default(),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_LINE_BYTES - self.partial_line.len();
        self.partial_line.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn end_partial_line(&mut self) {
        let mut line = std::mem::take(&mut self.partial_line);
        self.line(&line);
        line.clear();
        self.partial_line = line;
    }

    /// Counts a line. Returns whether it is a record.
    fn line(&mut self, line: &[u8]) -> bool {
        let marked = std::mem::take(&mut self.first).then(|| line.strip_prefix(&BYTE_ORDER_MARK)).flatten();
        let line = record::without_line_end(marked.unwrap_or(line));
        if line.is_empty() {
            return false;
        }
        let Some(header) = &self.header else {
            let feed = self.name.feed;
            self.header = Some(Header::parse(feed, line).unwrap_or_else(|_| feed.into()));
            let cell = line.split(|byte| *byte == self.name.feed.separator()).next().unwrap_or_default();
            let day = std::str::from_utf8(cell).ok().and_then(header_date);
            self.other_day = day.filter(|day| *day != self.name.time.date());
            return false;
        };
        let too_long = line.len() > MAX_LINE_BYTES;
        let line = if too_long { whole_characters(&line[..MAX_LINE_BYTES]) } else { line };
        self.digest.add(line);
        let count = match self.splitter.disposition(line, header) {
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

    fn finish(mut self) -> ScannedFile {
        let last = std::mem::take(&mut self.partial_line);
        let unterminated = self.line(&last);
        let header = self.header.unwrap_or_else(|| self.name.feed.into());
        let cut_off = (unterminated && last.len() <= MAX_LINE_BYTES).then(|| {
            let text = record::decode(record::without_line_end(&last));
            last_record::cut_off(self.splitter.split(text.as_bytes()), &header)
        });
        ScannedFile {
            counted: RawFileRecords { name: self.name, records: self.records },
            unterminated,
            cut_off: cut_off.flatten(),
            other_day: self.other_day,
            added_columns: header.added_columns().to_vec(),
            digest: self.digest.finish(),
        }
    }
}

impl Write for RecordCounter {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len();
        while let Some(end) = memchr(b'\n', bytes) {
            if self.partial_line.is_empty() {
                self.line(&bytes[..end.min(KEPT_LINE_BYTES)]);
            } else {
                self.keep(&bytes[..end]);
                self.end_partial_line();
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use market::snapshot::Feed;

    fn read(name: &str, file: &[u8], piece: usize) -> io::Result<ScannedFile> {
        let mut counter = RecordCounter::with_decompression(name.parse().expect(name));
        file.chunks(piece).try_for_each(|bytes| counter.write_all(bytes))?;
        counter.finish().map(RecordCounter::finish)
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
        // Windows-1252: a no-break space is not a ticker, in whatever encoding.
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
    fn records_have_the_columns_that_were_added_to_their_header() {
        let header = format!("202004011320,{}", Feed::Quotes.raw_columns().join(","));
        let cells = ["1"; 18].join(",");
        let added = |names: &str, end: &str| {
            format!(
                "{header}{names}\nPETR4,{cells},15.2\nVALE3,{cells}\nABEV3,{cells},,\n,{cells},1\nx,{},Vwap\n{header}\n\
                 PETR4,{cells},1{end}",
                &header[13..]
            )
        };
        for piece in [1, 7, 1 << 20] {
            let of = |text: &str| read("202004011320_flashpanel.csv", text.as_bytes(), piece).expect("a file");
            let drifted = of(&added(", Vwap ", ""));
            let expected = Records { records: 7, published: 2, blank_ticker: 1, header_repeat: 1, ragged: 3 };
            assert_eq!(drifted.records(), expected);
            assert_eq!(drifted.added_columns, ["Vwap"]);
            assert!(drifted.unterminated && drifted.cut_off.is_none(), "no table has the last field");
            let regular = of(&added("", "\n"));
            let expected = Records { records: 7, published: 1, blank_ticker: 1, header_repeat: 1, ragged: 4 };
            assert_eq!((regular.records(), regular.added_columns.len()), (expected, 0));
        }
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
