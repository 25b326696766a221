//! Trading hours of a day, and of a range of days.

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use super::text;

/// The hours of a day, in the time zone of Sao Paulo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The time of the first snapshot.
    pub open: NaiveTime,
    /// The time from which on no snapshot is expected.
    pub close: NaiveTime,
}

/// The hours of a range of days: one entry of `[[session.hours]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedHours {
    /// The first day: `2020-11-03`.
    #[serde(with = "text::date")]
    pub from: NaiveDate,
    /// The last day. `None`: the hours apply until the first day of the next entry.
    #[serde(with = "text::optional_date", default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
    /// The time of the first snapshot of each day: `"10:00"`.
    #[serde(with = "text::required_time")]
    pub open: NaiveTime,
    /// The time from which on no snapshot is expected: `"18:00"`.
    #[serde(with = "text::required_time")]
    pub close: NaiveTime,
}

impl DatedHours {
    /// Returns whether `date` is in the range.
    pub fn covers(&self, date: NaiveDate) -> bool {
        self.from <= date && self.to.is_none_or(|to| date <= to)
    }

    /// Returns whether the range is one day.
    pub fn is_one_day(&self) -> bool {
        self.to == Some(self.from)
    }

    /// Returns the hours without the dates.
    pub fn hours(&self) -> Hours {
        Hours { open: self.open, close: self.close }
    }
}
