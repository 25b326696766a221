//! Hours of trading, of a day and of a range of days.

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use super::text;

/// The hours of a day, Sao Paulo time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first snapshot.
    pub open: NaiveTime,
    /// No snapshot is expected from here on.
    pub close: NaiveTime,
}

/// Hours that hold from a day on: one entry of `[[session.hours]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dated {
    /// The first day: `2020-11-03`.
    #[serde(with = "text::date")]
    pub from: NaiveDate,
    /// The last day. Without it they hold until the entry that begins next.
    #[serde(with = "text::optional_date", default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NaiveDate>,
    /// The first snapshot of each day: `"10:00"`.
    #[serde(with = "text::required_time")]
    pub open: NaiveTime,
    /// No snapshot is expected from here on: `"18:00"`.
    #[serde(with = "text::required_time")]
    pub close: NaiveTime,
}

impl Dated {
    /// Whether they may hold on a day.
    pub fn covers(&self, date: NaiveDate) -> bool {
        self.from <= date && self.to.is_none_or(|to| date <= to)
    }

    /// Whether they are for one day alone.
    pub fn is_one_day(&self) -> bool {
        self.to == Some(self.from)
    }

    /// The hours without the dates.
    pub fn hours(&self) -> Hours {
        Hours { open: self.open, close: self.close }
    }
}
