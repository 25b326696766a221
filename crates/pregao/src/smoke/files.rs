//! The raw files of `pregao smoke`: a generated day in all the mess of the real ones, and a day whose numbers are known.
//!
//! The days are in a year of which the lake has no recordings. They are business days, so that the calendar, the session and the
//! count of snapshots are tested too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ::sample::{Sample, Summary};
use anyhow::Context;
use chrono::NaiveDate;
use lake::Config;
use market::partition::DateRange;
use market::session::Session;
use market::snapshot::{Feed, SnapshotName, SnapshotTime};

use crate::error_report::fail;
use crate::raw_folder::{self, File};

/// The day of a generated market.
pub(crate) const MARKET: NaiveDate = date(2);

/// The day whose numbers are known.
pub(crate) const NUMBERS: NaiveDate = date(3);

const fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(1990, 7, day).expect("a day of the calendar")
}

/// The fewest files of each feed and day.
const FEWEST: usize = 3;

/// The steps of the generated session in minutes, from the fewest files to the most.
const STEPS: [u32; 9] = [140, 105, 60, 40, 24, 16, 10, 5, 2];

/// The raw files, in a folder of this machine.
pub(crate) struct Files {
    /// What the generated day contains.
    pub summary: Summary,
    /// The files of the generated day.
    pub market: Folder,
    /// The files of the day whose numbers are known.
    pub numbers: Folder,
    /// Other versions of its quotes, with cells that are no numbers.
    pub unreadable: Folder,
    /// The first snapshot of the day whose numbers are known.
    pub first: SnapshotTime,
}

/// A folder of raw files.
pub(crate) struct Folder {
    pub path: PathBuf,
    pub files: Vec<File>,
}

impl Folder {
    fn scan(path: PathBuf) -> anyhow::Result<Folder> {
        let files = raw_folder::scan(&path)?.files;
        Ok(Folder { path, files })
    }

    /// The total size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Returns the days, as a range.
pub(crate) fn days() -> DateRange {
    DateRange::new(MARKET, NUMBERS).expect("two days in their order")
}

impl Files {
    /// Writes the files below `folder`.
    ///
    /// # Errors
    /// If the configuration demands more snapshots than can be generated, or the folder cannot be written.
    pub(crate) fn write(config: &Config, folder: &Path) -> anyhow::Result<Files> {
        if config.quality.fail_on_missing_snapshots {
            return fail(
                "quality.fail_on_missing_snapshots is true, and the generated day lacks snapshots of the session",
                "set it to false for the time of pregao smoke",
            );
        }
        let market = folder.join("market");
        let summary = sample(config)?.write(&market, || ())?;
        let times = times(config)?;
        let (numbers, unreadable) = (folder.join("numbers"), folder.join("unreadable"));
        for path in [&numbers, &unreadable] {
            fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        for time in &times {
            put(&numbers, *time, Feed::Quotes, &QUOTES.map(|(ticker, cells, _)| record(ticker, &cells)))?;
            put(&numbers, *time, Feed::Options, &OPTIONS.map(|(ticker, cells)| record(ticker, &cells)))?;
            put(&unreadable, *time, Feed::Quotes, &QUOTES.map(|(ticker, cells, _)| unreadable_record(ticker, &cells)))?;
        }
        Ok(Files {
            summary,
            market: Folder::scan(market)?,
            numbers: Folder::scan(numbers)?,
            unreadable: Folder::scan(unreadable)?,
            first: times[0],
        })
    }

    /// The names of all files, each with the sizes of its versions. By these, a later `pregao smoke` knows what this one left.
    pub(crate) fn known(&self) -> BTreeMap<String, Vec<u64>> {
        let mut known: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for file in [&self.market, &self.numbers, &self.unreadable].into_iter().flat_map(|folder| &folder.files) {
            if let Some(name) = file.path.file_name().and_then(|name| name.to_str()) {
                known.entry(name.to_owned()).or_default().push(file.bytes);
            }
        }
        known
    }
}

/// The number of files of each feed that a day needs, so that it is not incomplete.
fn needed(config: &Config, day: NaiveDate) -> usize {
    config.least_snapshots(day).max(FEWEST)
}

/// Returns the smallest sample that has enough files.
fn sample(config: &Config) -> anyhow::Result<Sample> {
    let needed = needed(config, MARKET);
    let samples = STEPS.into_iter().map(|step_minutes| Sample {
        from: MARKET,
        days: 1,
        seed: 1,
        session: Session { step_minutes, ..config.session.clone() },
    });
    // Both feeds have about the same number of files.
    let enough = samples.into_iter().find(|sample| sample.file_count() / Feed::ALL.len() > needed);
    let found = enough.filter(|sample| sample.dates() == [MARKET]);
    found.with_context(|| {
        format!("quality.min_snapshots demands {needed} snapshots of a day, which are too many to generate")
    })
}

fn times(config: &Config) -> anyhow::Result<Vec<SnapshotTime>> {
    let times: Vec<SnapshotTime> = config.session.expected(NUMBERS).into_iter().take(needed(config, NUMBERS)).collect();
    if times.is_empty() {
        return fail(format!("the session of {NUMBERS} has no snapshots"), "correct [session] in the configuration");
    }
    Ok(times)
}

fn put(folder: &Path, time: SnapshotTime, feed: Feed, rows: &[Vec<&str>]) -> anyhow::Result<()> {
    let path = folder.join(SnapshotName { time, feed, gzip: false }.to_string());
    fs::write(&path, text(time, feed, rows)).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the text of a snapshot.
fn text(time: SnapshotTime, feed: Feed, rows: &[Vec<&str>]) -> String {
    let separator = char::from(feed.separator());
    let time = time.to_string();
    let header = std::iter::once(time.as_str()).chain(feed.raw_columns().iter().copied()).collect();
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push(separator);
            }
            match cell.contains(separator) {
                true => text.extend(["\"", cell, "\""]),
                false => text.push_str(cell),
            }
        }
        text.push('\n');
    }
    text
}

/// A row of `quotes`: the columns of [`PUBLISHED`] in their order. `None` is NULL.
pub(crate) type Numbers = [Option<f64>; PUBLISHED.len()];

/// The published columns of numbers, in the order of [`Numbers`].
pub(crate) const PUBLISHED: [&str; 12] = [
    "open",
    "last_close",
    "max",
    "min",
    "bid",
    "ask",
    "qty_bid",
    "qty_ask",
    "last",
    "num_trades",
    "qty_total",
    "total_volume",
];

const NO: Option<f64> = None;

const fn all(numbers: [f64; PUBLISHED.len()]) -> Numbers {
    let mut row = [NO; PUBLISHED.len()];
    let mut at = 0;
    while at < numbers.len() {
        row[at] = Some(numbers[at]);
        at += 1;
    }
    row
}

/// The records of each snapshot of `quotes`: ticker, cells in the order of the feed, and what is published of them, by the number
/// contract (`docs/tables.md`). The same number is written in several notations, and each kind of column has its own.
pub(crate) const QUOTES: [(&str, [&str; 18], Numbers); 4] = [
    (
        "SMOKA3",
        [
            "12,05", "-", "12.1", "12,50", "12.00", "12,10", "12.20", "10k12", "27300", "100", "12.10", "01", "1391.0",
            "SMOKE ON", "1m5", "-", "-", "18m15",
        ],
        all([12.05, 12.1, 12.5, 12.0, 12.1, 12.2, 10_120.0, 27_300.0, 12.1, 1_391.0, 1_500_000.0, 18_150_000.0]),
    ),
    (
        "SMOKB4",
        [
            "10k",
            "-",
            "9k98",
            "10k5",
            "9k9",
            "10k12",
            "10k2",
            "1.684",
            "10,12k",
            "5",
            "10k12",
            "01",
            "12,00",
            "SMOKE \"PN\"",
            "12.000",
            "-",
            "-",
            "121m44",
        ],
        all([
            10_000.0,
            9_980.0,
            10_500.0,
            9_900.0,
            10_120.0,
            10_200.0,
            1_684.0,
            10_120.0,
            10_120.0,
            12.0,
            12_000.0,
            121_440_000.0,
        ]),
    ),
    (
        "SMOKC5",
        [
            "1.234,50",
            "-",
            "1,234.25",
            "1.240,00",
            "1,230.00",
            "1.234,56",
            "1,234.60",
            "5",
            "7.0",
            "1",
            "1234.56",
            "02",
            "3",
            "SMOKE PNA",
            "100",
            "-",
            "-",
            "123.456,00",
        ],
        all([1_234.5, 1_234.25, 1_240.0, 1_230.0, 1_234.56, 1_234.6, 5.0, 7.0, 1_234.56, 3.0, 100.0, 123_456.0]),
    ),
    (
        "SMOKD6",
        ["-", "-", "5.5", "", "nan", "-", "N/D", "", "-", "-", "-", "02", "-", "NOT TRADED", "-", "-", "-", "-"],
        [NO, Some(5.5), NO, NO, NO, NO, NO, NO, NO, NO, NO, NO],
    ),
];

/// The records of each snapshot of `options`: ticker, and cells in the order of the feed.
const OPTIONS: [(&str, [&str; 22]); 1] = [(
    "SMOKG12",
    [
        "50",
        "12.2",
        "EURO",
        "CALL",
        "1990-08-20",
        "SMOKA3",
        "1.84",
        "12.1",
        "1.97",
        "12.2",
        "Smoke",
        "1.95",
        "1.86",
        "1.97",
        "1.84",
        "0.612",
        "0.668",
        "0.589",
        "0.691",
        "0.5321",
        "0.61",
        "0.67",
    ],
)];

/// A cell that is no number of any kind.
const UNREADABLE: &str = "12.10.5";

fn record<'a>(ticker: &'a str, cells: &[&'a str]) -> Vec<&'a str> {
    std::iter::once(ticker).chain(cells.iter().copied()).collect()
}

/// The record with all numbers but the number of trades unreadable. Groups and names stay.
fn unreadable_record<'a>(ticker: &'a str, cells: &[&'a str]) -> Vec<&'a str> {
    let names = Feed::Quotes.raw_columns();
    let damaged = cells.iter().zip(names).map(|(cell, name)| match *name {
        "Grupo" | "Nome" | "NNeg" | "Strike" | "VCTO" | "Ajuste" => *cell,
        _ => UNREADABLE,
    });
    std::iter::once(ticker).chain(damaged).collect()
}

#[cfg(test)]
mod tests {
    use market::session::is_business_day;

    use super::*;

    fn written(settings: &[(&str, &str)]) -> anyhow::Result<(tempfile::TempDir, Files)> {
        let folder = tempfile::tempdir()?;
        let mut config = Config::default();
        for (key, value) in settings {
            config.set(key, value)?;
        }
        let files = Files::write(&config, folder.path())?;
        Ok((folder, files))
    }

    #[test]
    fn the_days_are_business_days_and_before_all_recordings() {
        assert!(is_business_day(MARKET) && is_business_day(NUMBERS));
        assert!(MARKET < NaiveDate::from_ymd_opt(2000, 1, 1).expect("a day"));
        assert_eq!(days().days().collect::<Vec<_>>(), [MARKET, NUMBERS]);
    }

    #[test]
    fn a_day_has_as_many_files_as_the_configuration_demands() {
        for (least, market, numbers) in [("0", 2 * 4, 2 * 3), ("10", 2 * 11, 2 * 10), ("42", 2 * 43, 2 * 42)] {
            let (_folder, files) = written(&[("quality.min_snapshots", least)]).expect("files");
            assert!(files.market.files.len() >= market, "{least}: {} files", files.market.files.len());
            assert_eq!(files.numbers.files.len(), numbers, "{least}");
            assert_eq!(files.known().len(), files.market.files.len() + numbers);
        }
        assert!(written(&[("quality.fail_on_missing_snapshots", "true")]).is_err());
    }

    #[test]
    fn a_record_has_the_columns_of_its_feed() {
        for (ticker, cells, _) in QUOTES {
            assert_eq!(cells.len(), Feed::Quotes.raw_columns().len(), "{ticker}");
        }
        assert_eq!(OPTIONS[0].1.len(), Feed::Options.raw_columns().len());
        let (_folder, files) = written(&[]).expect("files");
        let name = SnapshotName { time: files.first, feed: Feed::Quotes, gzip: false }.to_string();
        let text = fs::read_to_string(files.numbers.path.join(&name)).expect("a file");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(format!("199007031000,{}", Feed::Quotes.raw_columns().join(",")).as_str()));
        let record = lines.next().expect("a record");
        assert!(record.starts_with("SMOKA3,\"12,05\",-,12.1,\"12,50\",12.00,\"12,10\",12.20,10k12,27300,"), "{record}");
        let unreadable = fs::read_to_string(files.unreadable.path.join(&name)).expect("a file");
        assert_eq!(unreadable.matches(UNREADABLE).count(), QUOTES.len() * 12);
    }
}
