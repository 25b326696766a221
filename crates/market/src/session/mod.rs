//! Trading hours and business days, and the snapshots that are expected on a day.

use chrono::{Duration, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use crate::snapshot::SnapshotTime;

mod b3;
mod hours;
mod text;

pub use b3::is_business_day;
pub use hours::{DatedHours, Hours};

/// The hours of continuous trading, and the interval of the snapshots.
///
/// Without configuration these are the hours that B3 publishes: the close follows the daylight saving time of New York, and
/// Ash Wednesday opens at 13:00.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// The time of the first snapshot of every day, in the time zone of Sao Paulo: `"10:00"`. `None`: the opening of B3.
    #[serde(with = "text::time")]
    pub open: Option<NaiveTime>,
    /// The time from which on no snapshot is expected: `"17:00"`. `None`: the close of B3.
    #[serde(with = "text::time")]
    pub close: Option<NaiveTime>,
    /// Minutes from one snapshot to the next, at least 1.
    pub step_minutes: u32,
    /// Hours of certain days, which take precedence over `open` and `close`.
    pub hours: Vec<DatedHours>,
}

impl Default for Session {
    /// The hours of B3, every 10 minutes.
    fn default() -> Self {
        Self { open: None, close: None, step_minutes: 10, hours: Vec::new() }
    }
}

impl Session {
    /// Returns the hours of a day. Of the entries of `hours` that cover it, the one with the latest first day applies (of two
    /// with the same first day, the later in the list); without such an entry `open` and `close`; without these the hours of
    /// B3.
    ///
    /// Ash Wednesday does not open before 13:00, unless an entry of `hours` is for that day alone.
    pub fn hours(&self, date: NaiveDate) -> Hours {
        let exchange = b3::hours(date);
        let dated = self.hours.iter().filter(|dated| dated.covers(date)).max_by_key(|dated| dated.from);
        let mut hours = dated.map_or_else(
            || Hours { open: self.open.unwrap_or(exchange.open), close: self.close.unwrap_or(exchange.close) },
            DatedHours::hours,
        );
        if !dated.is_some_and(DatedHours::is_one_day) {
            hours.open = hours.open.max(b3::earliest_opening(date));
        }
        hours
    }

    /// Returns the snapshots that are expected on a day: none on a day on which B3 does not trade.
    pub fn expected(&self, date: NaiveDate) -> Vec<SnapshotTime> {
        if !is_business_day(date) {
            return Vec::new();
        }
        let hours = self.hours(date);
        let step = Duration::minutes(i64::from(self.step_minutes.max(1)));
        let close = date.and_time(hours.close);
        std::iter::successors(Some(date.and_time(hours.open)), |time| time.checked_add_signed(step))
            .take_while(|time| *time < close)
            .filter_map(|time| SnapshotTime::new(time.date(), time.time()))
            .collect()
    }

    /// Returns the expected snapshots of `date` that have no counterpart in `present`.
    ///
    /// Snapshots are saved about once per step and not on the minute, so each counts for the slot in which it was saved.
    pub fn missing(&self, date: NaiveDate, present: &[SnapshotTime]) -> Vec<SnapshotTime> {
        let open = self.hours(date).open;
        let minute = |time: SnapshotTime| time.time().signed_duration_since(open).num_minutes();
        let step = i64::from(self.step_minutes.max(1));
        let mut expected = self.expected(date);
        expected.retain(|slot| {
            !present.iter().any(|time| time.date() == date && minute(*time).div_euclid(step) == minute(*slot) / step)
        });
        expected
    }

    /// Validates the configuration.
    ///
    /// # Errors
    /// A message that names the key, for an opening that is not before its close, for an entry that ends before it begins, and
    /// for a step of 0 minutes.
    pub fn check(&self) -> Result<(), String> {
        let clock = |time: NaiveTime| time.format("%H:%M");
        // If only one of them is configured, it applies together with the hours of B3.
        let open = self.open.unwrap_or(b3::OPEN);
        let close = self.close.unwrap_or(b3::CLOSE);
        if open >= close {
            let (open, close) = (clock(open), clock(close));
            return Err(format!("session.open {open} is not before session.close {close}"));
        }
        if self.step_minutes == 0 {
            return Err("session.step_minutes has to be at least 1".to_owned());
        }
        for DatedHours { from, to, open, close } in &self.hours {
            if let Some(to) = to
                && to < from
            {
                return Err(format!("session.hours from {from}: its last day, {to}, is before its first"));
            }
            if open >= close {
                let (open, close) = (clock(*open), clock(*close));
                return Err(format!("session.hours from {from}: open {open} is not before close {close}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, m, d).expect("a date")
    }

    fn time(text: &str) -> NaiveTime {
        NaiveTime::parse_from_str(text, "%H:%M").expect("a time")
    }

    fn dated(from: NaiveDate, to: Option<NaiveDate>, open: &str, close: &str) -> DatedHours {
        DatedHours { from, to, open: time(open), close: time(close) }
    }

    #[test]
    fn a_snapshot_counts_for_its_slot() {
        let expected = Session::default().expected(date(4, 1));
        assert_eq!(expected.len(), 42);
        assert_eq!(expected[0].intdate(), 202004011000);
        assert_eq!(expected[41].intdate(), 202004011650);

        let mut present = expected.clone();
        present.remove(20);
        present[0] = "202004011007".parse().expect("a time");
        let missing = Session::default().missing(date(4, 1), &present);
        assert_eq!(missing, vec![expected[20]]);

        // A snapshot before the opening counts for no slot.
        assert_eq!(Session::default().missing(date(4, 1), &["202004010955".parse().expect("a time")]).len(), 42);
        assert!(Session::default().missing(date(4, 10), &[]).is_empty(), "a holiday misses nothing");
    }

    #[test]
    fn a_snapshot_of_ash_wednesday_counts_for_a_slot_after_thirteen() {
        let session = Session::default();
        let expected = session.expected(date(2, 26));
        assert_eq!(expected.len(), 30);
        assert_eq!((expected[0].intdate(), expected[29].intdate()), (202002261300, 202002261750));
        assert!(session.missing(date(2, 26), &expected).is_empty());
        let early: Vec<SnapshotTime> = vec!["202002261250".parse().expect("a time")];
        assert_eq!(session.missing(date(2, 26), &early), expected);
    }

    #[test]
    fn a_single_pair_holds_for_every_day() {
        let session = Session { open: Some(time("10:00")), close: Some(time("17:00")), ..Session::default() };
        for day in [date(1, 6), date(4, 1), date(11, 3)] {
            assert_eq!(session.expected(day).len(), 42, "{day}");
        }
        assert_eq!(session.hours(date(2, 26)), Hours { open: time("13:00"), close: time("17:00") });
        let late = Session { close: Some(time("18:00")), ..Session::default() };
        assert_eq!(late.hours(date(4, 1)), Hours { open: time("10:00"), close: time("18:00") });
    }

    #[test]
    fn dated_hours_stand_above_the_others() {
        let session = Session {
            close: Some(time("17:30")),
            hours: vec![
                dated(date(6, 1), None, "10:00", "16:00"),
                dated(date(3, 2), Some(date(3, 6)), "11:00", "15:00"),
                dated(date(9, 1), Some(date(9, 1)), "12:00", "13:00"),
                dated(date(2, 1), Some(date(2, 28)), "09:00", "18:00"),
            ],
            ..Session::default()
        };
        assert_eq!(session.check(), Ok(()));
        for (day, open, close) in [
            (date(1, 6), "10:00", "17:30"),
            (date(3, 2), "11:00", "15:00"),
            (date(3, 6), "11:00", "15:00"),
            (date(3, 9), "10:00", "17:30"),
            (date(6, 1), "10:00", "16:00"),
            (date(9, 1), "12:00", "13:00"),
            (date(9, 2), "10:00", "16:00"),
            (date(2, 27), "09:00", "18:00"),
            // Ash Wednesday.
            (date(2, 26), "13:00", "18:00"),
        ] {
            assert_eq!(session.hours(day), Hours { open: time(open), close: time(close) }, "{day}");
        }
        let alone = vec![dated(date(2, 26), Some(date(2, 26)), "10:30", "18:00")];
        let session = Session { hours: alone, ..Session::default() };
        assert_eq!(session.hours(date(2, 26)).open, time("10:30"), "an entry for the day alone says all of it");
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let with = |hours| Session { hours: vec![hours], ..Session::default() };
        for (session, expected) in [
            (Session { open: Some(time("17:00")), ..Session::default() }, "session.open 17:00 is not before"),
            (Session { close: Some(time("10:00")), ..Session::default() }, "is not before session.close 10:00"),
            (Session { step_minutes: 0, ..Session::default() }, "at least 1"),
            (with(dated(date(3, 2), Some(date(3, 1)), "10:00", "17:00")), "2020-03-01, is before its first"),
            (with(dated(date(3, 2), None, "17:00", "17:00")), "from 2020-03-02: open 17:00 is not before close 17:00"),
        ] {
            let said = session.check().expect_err(expected);
            assert!(said.contains(expected), "{said}");
        }
    }
}
