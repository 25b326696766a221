//! Days as partitions of a table, and ranges of days.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

/// The names of the partition keys, outermost first; each is an `int`.
pub const KEYS: [&str; 3] = ["year", "month", "day"];

/// The years that the lake accepts. Earlier days have no data, and later ones are typing errors.
pub const YEARS: std::ops::RangeInclusive<i32> = 1990..=2199;

/// One day of a table. Displays as its folder, `year=2020/month=4/day=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    date: NaiveDate,
}

impl Partition {
    /// Returns the day of this partition.
    pub fn date(self) -> NaiveDate {
        self.date
    }

    /// Returns the values of [`KEYS`].
    pub fn values(self) -> [i32; 3] {
        [self.date.year(), self.date.month() as i32, self.date.day() as i32]
    }
}

impl From<NaiveDate> for Partition {
    fn from(date: NaiveDate) -> Self {
        Self { date }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day] = self.values();
        write!(f, "year={year}/month={month}/day={day}")
    }
}

/// The error for a text that is not the folder of a partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a partition: expected year=2020/month=4/day=1, unpadded")]
pub struct InvalidPartition(String);

impl FromStr for Partition {
    type Err = InvalidPartition;

    /// Parses `year=2020/month=4/day=1`, exactly as displayed.
    fn from_str(text: &str) -> Result<Self, InvalidPartition> {
        let invalid = || InvalidPartition(text.to_owned());
        let mut values = [0u32; 3];
        let mut folders = text.split('/');
        for (value, key) in values.iter_mut().zip(KEYS) {
            let (name, number) = folders.next().and_then(|f| f.split_once('=')).ok_or_else(invalid)?;
            *value = number.parse().ok().filter(|_| name == key).ok_or_else(invalid)?;
        }
        let [year, month, day] = values;
        let partition = i32::try_from(year)
            .ok()
            .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
            .map(Self::from)
            .ok_or_else(invalid)?;
        // Padded numbers or further folders would be a second name of the same partition.
        if partition.to_string() == text { Ok(partition) } else { Err(invalid()) }
    }
}

/// A range of days, inclusive at both ends and never empty. In JSON: `{"from": "2020-04-01", "to": "2020-04-09"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Ends", into = "Ends")]
pub struct DateRange {
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Serialize, Deserialize)]
struct Ends {
    from: NaiveDate,
    to: NaiveDate,
}

/// The error for two days that are not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDateRange {
    /// The first day is after the last.
    #[error("the range is reversed: from {from} is after to {to}; swap them")]
    Reversed {
        /// The first day, as given.
        from: NaiveDate,
        /// The last day, as given.
        to: NaiveDate,
    },
    /// A day outside [`YEARS`].
    #[error("{0} is outside the years {first} to {last} that the lake holds", first = YEARS.start(), last = YEARS.end())]
    Year(NaiveDate),
}

impl DateRange {
    /// Returns the range from `from` to `to`, inclusive at both ends.
    ///
    /// # Errors
    /// [`InvalidDateRange`] if the range is reversed, or not within [`YEARS`].
    pub fn new(from: NaiveDate, to: NaiveDate) -> Result<Self, InvalidDateRange> {
        if let Some(date) = [from, to].into_iter().find(|date| !YEARS.contains(&date.year())) {
            return Err(InvalidDateRange::Year(date));
        }
        if from > to { Err(InvalidDateRange::Reversed { from, to }) } else { Ok(Self { from, to }) }
    }

    /// Returns the range of one day.
    ///
    /// # Errors
    /// [`InvalidDateRange::Year`] if the day is not within [`YEARS`].
    pub fn day(date: NaiveDate) -> Result<Self, InvalidDateRange> {
        Self::new(date, date)
    }

    /// Returns the first day.
    pub fn from(self) -> NaiveDate {
        self.from
    }

    /// Returns the last day.
    pub fn to(self) -> NaiveDate {
        self.to
    }

    /// Returns whether `date` is in the range.
    pub fn contains(self, date: NaiveDate) -> bool {
        (self.from..=self.to).contains(&date)
    }

    /// Returns all days of the range, in order.
    pub fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.from.iter_days().take_while(move |date| *date <= self.to)
    }
}

impl TryFrom<Ends> for DateRange {
    type Error = InvalidDateRange;

    fn try_from(ends: Ends) -> Result<Self, InvalidDateRange> {
        Self::new(ends.from, ends.to)
    }
}

impl From<DateRange> for Ends {
    fn from(range: DateRange) -> Self {
        Self { from: range.from, to: range.to }
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{} to {}", self.from, self.to) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).expect("a date")
    }

    #[test]
    fn partitions_are_unpadded_folders() {
        let partition = Partition::from(date(2020, 4, 1));
        assert_eq!(partition.to_string(), "year=2020/month=4/day=1");
        assert_eq!("year=2020/month=4/day=1".parse(), Ok(partition));
        for bad in [
            "",
            "year=2020/month=04/day=1",
            "year=2020/month=4",
            "year=2020/month=4/day=1/run=x",
            "year=2020/day=1/month=4",
            "year=2020/month=2/day=30",
            "year=+2020/month=4/day=1",
        ] {
            assert!(bad.parse::<Partition>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ranges_have_both_ends_in_them() {
        let range = DateRange::new(date(2020, 2, 28), date(2020, 3, 1)).expect("a range");
        assert_eq!(range.days().count(), 3);
        assert!(range.contains(date(2020, 3, 1)) && !range.contains(date(2020, 3, 2)));
        assert_eq!(range.to_string(), "2020-02-28 to 2020-03-01");
        assert!(matches!(DateRange::new(date(2020, 3, 1), date(2020, 2, 28)), Err(InvalidDateRange::Reversed { .. })));
        assert!(matches!(DateRange::day(date(20, 4, 1)), Err(InvalidDateRange::Year(_))));
    }
}
