//! The two feeds of raw snapshots: their columns, their separators, and the names of their files.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

use crate::partition::{Partition, YEARS};

/// A source of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Feed {
    /// The trading panel: `..._flashpanel.csv`.
    Quotes,
    /// The option chains: `..._options.csv`.
    Options,
}

impl Feed {
    /// Both feeds.
    pub const ALL: [Feed; 2] = [Feed::Quotes, Feed::Options];

    /// Returns the name of the feed, which is also the name of its table.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the part of the file names of this feed after the time.
    pub fn file_stem(self) -> &'static str {
        match self {
            Feed::Quotes => "flashpanel",
            Feed::Options => "options",
        }
    }

    /// Returns the byte between two fields.
    pub fn separator(self) -> u8 {
        match self {
            Feed::Quotes => b',',
            Feed::Options => b';',
        }
    }

    /// Returns the names of the raw columns after the first one. The first column holds the ticker, and its name is a time.
    pub fn raw_columns(self) -> &'static [&'static str] {
        match self {
            Feed::Quotes => &[
                "Abe", "Ajuste", "Fec", "Max", "Min", "Ofc", "Ofv", "QOfc", "QOfv", "QUlt", "Ult", "Grupo", "NNeg",
                "Nome", "QTot", "Strike", "VCTO", "VolTot",
            ],
            Feed::Options => &[
                "Du",
                "ExrcPric",
                "OptnStyle",
                "OptnTp",
                "TradgEndDt",
                "Underlying",
                "bid_opton",
                "bid_undly",
                "ask_opton",
                "ask_undly",
                "sector",
                "bs_ask",
                "bs_bid",
                "my_ask",
                "my_bid",
                "bid_vol_imp",
                "ask_vol_imp",
                "bid_vol_cone",
                "ask_vol_cone",
                "bs_delta",
                "new_bid_vol_imp",
                "new_ask_vol_imp",
            ],
        }
    }
}

/// The minute of a snapshot, in the time zone of Sao Paulo. Displays as `202004011320`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotTime(NaiveDateTime);

impl SnapshotTime {
    /// Returns the minute of `time` on `date`, or `None` outside of [`YEARS`].
    pub fn new(date: NaiveDate, time: NaiveTime) -> Option<Self> {
        let minute = NaiveTime::from_hms_opt(time.hour(), time.minute(), 0)?;
        YEARS.contains(&date.year()).then(|| Self(date.and_time(minute)))
    }

    /// Returns the day.
    pub fn date(self) -> NaiveDate {
        self.0.date()
    }

    /// Returns the time of day.
    pub fn time(self) -> NaiveTime {
        self.0.time()
    }

    /// Returns the partition of the snapshot.
    pub fn partition(self) -> Partition {
        self.date().into()
    }

    /// Returns the value of the column `intdate`: `YYYYMMDDHHmm` as a number.
    pub fn intdate(self) -> i64 {
        let (date, time) = (self.0.date(), self.0.time());
        [date.month(), date.day(), time.hour(), time.minute()]
            .into_iter()
            .fold(i64::from(date.year()), |n, part| n * 100 + i64::from(part))
    }
}

impl fmt::Display for SnapshotTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.intdate())
    }
}

/// The error for a text that is not a minute within [`YEARS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time of the form YYYYMMDDHHMM")]
pub struct InvalidSnapshotTime(String);

impl FromStr for SnapshotTime {
    type Err = InvalidSnapshotTime;

    fn from_str(text: &str) -> Result<Self, InvalidSnapshotTime> {
        let digits = |at: std::ops::Range<usize>| text.get(at)?.parse::<u32>().ok();
        let parse = || {
            if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let date = NaiveDate::from_ymd_opt(digits(0..4)? as i32, digits(4..6)?, digits(6..8)?)?;
            Self::new(date, NaiveTime::from_hms_opt(digits(8..10)?, digits(10..12)?, 0)?)
        };
        parse().ok_or_else(|| InvalidSnapshotTime(text.to_owned()))
    }
}

/// The name of a raw file: `202004011320_flashpanel.csv`, `202004011320_options.csv.gz`. It states the time, the feed and the
/// compression of the snapshot.
///
/// ```
/// use market::snapshot::{Feed, SnapshotName};
///
/// let name: SnapshotName = "202004011320_flashpanel.csv.gz".parse().unwrap();
/// assert_eq!((name.feed, name.gzip, name.time.intdate()), (Feed::Quotes, true, 202004011320));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    /// The time of the snapshot.
    pub time: SnapshotTime,
    /// The feed of the snapshot.
    pub feed: Feed,
    /// Whether the file is compressed with gzip.
    pub gzip: bool,
}

/// The error for a file name that is not the name of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a snapshot: expected YYYYMMDDHHMM_flashpanel.csv or YYYYMMDDHHMM_options.csv, \
     with .gz at the end if it is compressed"
)]
pub struct InvalidSnapshotName(String);

impl FromStr for SnapshotName {
    type Err = InvalidSnapshotName;

    fn from_str(text: &str) -> Result<Self, InvalidSnapshotName> {
        let parse = || {
            let (time, rest) = text.split_once('_')?;
            let time = time.parse().ok()?;
            let (stem, gzip) = match rest.strip_suffix(".csv.gz") {
                Some(stem) => (stem, true),
                None => (rest.strip_suffix(".csv")?, false),
            };
            let feed = Feed::ALL.into_iter().find(|feed| feed.file_stem() == stem)?;
            Some(Self { time, feed, gzip })
        };
        parse().ok_or_else(|| InvalidSnapshotName(text.to_owned()))
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}.csv{}", self.time, self.feed.file_stem(), if self.gzip { ".gz" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [
            "202004011320_flashpanel.csv",
            "202004011320_flashpanel.csv.gz",
            "202004011320_options.csv",
            "199912312359_options.csv.gz",
        ] {
            assert_eq!(name.parse::<SnapshotName>().expect(name).to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "foo.csv",
            "202004011320_flashpanel.CSV",
            "202004011320_flashpanel.csv.zip",
            "202004011320_quotes.csv",
            "20200401132_options.csv",
            "2020040113200_options.csv",
            "202013011320_options.csv",
            "202002301320_options.csv",
            "202004012420_options.csv",
            "202004011360_options.csv",
            "+02004011320_options.csv",
            "000104011320_options.csv",
            "x202004011320_options.csv",
            "202004011320_options.csv ",
            "２02004011320_options.csv",
        ] {
            assert!(name.parse::<SnapshotName>().is_err(), "{name:?}");
        }
    }
}
