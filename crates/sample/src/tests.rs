//! Reads generated samples back by the number contract: the summary counts what the files contain, and the simulated market
//! is plausible.

use std::collections::BTreeMap;
use std::io::Read;

use market::header::Header;
use market::number::{Cell, parse_amount, parse_decimal, parse_quantity};
use market::record::{self, Disposition, Splitter};

use super::*;

fn sample(seed: u64, days: u32) -> Sample {
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("a time");
    Sample {
        from: NaiveDate::from_ymd_opt(2020, 4, 9).expect("a date"),
        days,
        seed,
        session: Session { open: Some(time(10)), close: Some(time(17)), step_minutes: 30, hours: Vec::new() },
    }
}

/// The files of a folder, by path, in order.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for day in fs::read_dir(folder).expect("a folder") {
        for file in fs::read_dir(day.expect("an entry").path()).expect("a folder of a day") {
            let path = file.expect("an entry").path();
            files.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    files
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folders = [1, 1, 2].map(|seed| {
        let folder = tempfile::tempdir().expect("a folder");
        sample(seed, 1).write(folder.path(), || ()).expect("a sample");
        folder
    });
    let names = |at: usize| {
        let root = folders[at].path();
        files(root)
            .into_iter()
            .map(|(path, bytes)| (path.strip_prefix(root).expect("below").to_owned(), bytes))
            .collect::<Vec<_>>()
    };
    assert!(names(0) == names(1), "two samples of one seed differ");
    assert!(names(0) != names(2), "two seeds give one sample");
}

#[test]
fn a_folder_of_other_files_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    sample(1, 1).write(folder.path(), || ()).expect("a sample");
    sample(1, 1).write(folder.path(), || ()).expect("the same sample once more");
    let refused = sample(2, 1).write(folder.path(), || ()).expect_err("another sample");
    assert!(refused.to_string().contains("is not part of this sample"), "{refused}");
}

#[test]
fn what_is_read_back_is_what_was_counted_and_a_sound_market() {
    for seed in 1..=3 {
        let folder = tempfile::tempdir().expect("a folder");
        let summary = sample(seed, 2).write(folder.path(), || ()).expect("a sample");
        let days: Vec<String> = summary.days.iter().map(NaiveDate::to_string).collect();
        assert_eq!(days, ["2020-04-09", "2020-04-13"], "Good Friday and the weekend are no business days");

        let mut reader = Reader::default();
        for (path, bytes) in files(folder.path()) {
            reader.read(&path, bytes);
        }
        for feed in Feed::ALL {
            let counted = reader.summary.feed(feed).clone();
            let FeedSummary { duplicates, missing, .. } = *(match feed {
                Feed::Quotes => &summary.quotes,
                Feed::Options => &summary.options,
            });
            let mut written = summary.clone();
            // Neither can be seen in the files alone.
            assert_eq!(*written.feed(feed), FeedSummary { duplicates, missing, ..counted.clone() });
            assert_eq!(missing, 2 * 14 - counted.files);
            assert_eq!(counted.files, 2 * 9);
            assert!(counted.unreadable_cells * 1_000 < counted.published * 10, "far below a percent");
            for count in [counted.blank_ticker, counted.header_repeat, counted.ragged, duplicates, counted.gzip] {
                assert!(count > 0, "every corruption is in every sample: {counted:?}");
            }
        }
        assert!(reader.checked > 30_000, "only {} rows could be checked", reader.checked);
    }
}

/// Reads files as the contract says, counts what is in them, and checks the market.
#[derive(Default)]
struct Reader {
    summary: Summary,
    /// By day and ticker: trades, quantity, volume so far.
    totals: BTreeMap<(NaiveDate, String), [f64; 3]>,
    checked: u64,
}

impl Reader {
    fn read(&mut self, path: &Path, bytes: Vec<u8>) {
        let name: SnapshotName =
            path.file_name().and_then(|n| n.to_str()).expect("a name").parse().expect("a snapshot");
        let day = path.parent().and_then(Path::file_name).and_then(|n| n.to_str());
        assert_eq!(day, Some(name.time.date().to_string().as_str()));

        let mut count =
            FeedSummary { files: 1, bytes: bytes.len() as u64, gzip: name.gzip.into(), ..FeedSummary::default() };
        let bytes = if name.gzip {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).expect("a gzip");
            text
        } else {
            bytes
        };
        let body = match bytes.strip_prefix(&record::BYTE_ORDER_MARK) {
            Some(body) => {
                count.byte_order_mark = 1;
                body
            }
            None => &bytes,
        };
        count.windows_1252 = std::str::from_utf8(body).is_err().into();
        count.no_last_line_end = (!body.ends_with(b"\n")).into();

        let mut splitter = Splitter::new(name.feed.separator());
        for (at, raw) in body.split_inclusive(|byte| *byte == b'\n').enumerate() {
            count.crlf |= u64::from(raw.ends_with(b"\r\n"));
            let line = record::decode(record::without_line_end(raw)).into_owned();
            if at == 0 {
                let header = Header::parse(name.feed, line.as_bytes()).expect("a header");
                assert_eq!(header, name.feed.into(), "the header of the feed");
                continue;
            }
            count.records += 1;
            let record = splitter.split(line.as_bytes());
            match record.disposition(&name.feed.into()) {
                Disposition::Publish => {
                    count.published += 1;
                    count.unreadable_cells +=
                        self.check(name, &record.fields().map(<[u8]>::to_vec).collect::<Vec<_>>());
                }
                Disposition::BlankTicker => count.blank_ticker += 1,
                Disposition::HeaderRepeat => count.header_repeat += 1,
                Disposition::Ragged(_) => count.ragged += 1,
            }
        }
        self.summary.feed(name.feed).add(&count);
    }

    /// Reads the numbers of a record and checks what has to hold between them. Returns how many are not numbers.
    fn check(&mut self, name: SnapshotName, fields: &[Vec<u8>]) -> u64 {
        let mut values: BTreeMap<&str, f64> = BTreeMap::new();
        let mut unreadable = 0;
        for column in TableName::from(name.feed).columns() {
            let Source::Cell { kind, .. } = column.source else { continue };
            let text = &fields[column.source.raw_index(name.feed).expect("a cell")];
            let cell = match kind {
                Kind::Text => continue,
                Kind::Decimal => parse_decimal(text),
                Kind::Amount => parse_amount(text),
                Kind::Quantity => match parse_quantity(text) {
                    Cell::Value(quantity) => Cell::Value(quantity as f64),
                    Cell::Null => Cell::Null,
                    Cell::Reject(reason) => Cell::Reject(reason),
                },
            };
            match cell {
                Cell::Value(value) => {
                    values.insert(column.name, value);
                }
                Cell::Null => {}
                Cell::Reject(_) => unreadable += 1,
            }
        }
        let ticker = String::from_utf8(fields[0].clone()).expect("UTF-8");
        match name.feed {
            Feed::Quotes => self.check_quote((name.time.date(), ticker), &values),
            Feed::Options => check_option(&ticker, &values),
        }
        unreadable
    }

    fn check_quote(&mut self, instrument: (NaiveDate, String), values: &BTreeMap<&str, f64>) {
        let value = |name: &str| values.get(name).copied();
        if let (Some(bid), Some(ask)) = (value("bid"), value("ask")) {
            assert!(0.0 < bid && bid < ask, "{instrument:?}: bid {bid}, ask {ask}");
        }
        if let (Some(min), Some(last), Some(max)) = (value("min"), value("last"), value("max")) {
            assert!(0.0 < min && min <= last && last <= max, "{instrument:?}: {min} {last} {max}");
        }
        let (trades, quantity, volume) = (value("num_trades"), value("qty_total"), value("total_volume"));
        if let (Some(min), Some(max), Some(quantity), Some(volume)) = (value("min"), value("max"), quantity, volume) {
            let average = volume / quantity;
            assert!(min <= average && average <= max, "{instrument:?}: {min} {average} {max}");
            self.checked += 1;
        }
        let before = self.totals.entry(instrument).or_default();
        for (before, now) in before.iter_mut().zip([trades, quantity, volume]) {
            if let Some(now) = now {
                assert!(*before <= now, "a total falls from {before} to {now}");
                *before = now;
            }
        }
    }
}

fn check_option(ticker: &str, values: &BTreeMap<&str, f64>) {
    let value = |name: &str| values.get(name).copied();
    if let (Some(bid), Some(ask)) = (value("optn_mkt_bid"), value("optn_mkt_ask")) {
        assert!(0.0 < bid && bid < ask, "{ticker}: bid {bid}, ask {ask}");
    }
    if let Some(delta) = value("optn_bs_delta") {
        assert!(delta.abs() <= 1.0, "{ticker}: delta {delta}");
    }
    for name in ["bid_volimp", "ask_volimp", "bid_volcone", "ask_volcone"] {
        if let Some(volatility) = value(name) {
            assert!((0.05..5.0).contains(&volatility), "{ticker}: {name} {volatility}");
        }
    }
    for (own, market, model) in
        [("optn_mktbs_bid", "optn_mkt_bid", "optn_bs_bid"), ("optn_mktbs_ask", "optn_mkt_ask", "optn_bs_ask")]
    {
        if let (Some(own), Some(market)) = (value(own), value(market)) {
            assert_eq!(own, market, "{ticker}");
        } else if let (Some(own), Some(model)) = (value(own), value(model)) {
            // In auction, or where the market's cell cannot be read, the own price may still be the market's.
            assert!(own >= 0.0 && model >= 0.0, "{ticker}");
        }
    }
}
