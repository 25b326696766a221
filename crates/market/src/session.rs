//! When the exchange is open, and so which snapshots ought to exist.

use bdays::HolidayCalendar;
use chrono::{Duration, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use crate::snapshot::SnapshotTime;

/// The hours of continuous trading and how often a snapshot is saved: configuration, because the hours follow the
/// season.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// The first snapshot of the day, Sao Paulo time: `"10:00"`.
    #[serde(with = "clock")]
    pub open: NaiveTime,
    /// No snapshot is expected from here on: `"17:00"`.
    #[serde(with = "clock")]
    pub close: NaiveTime,
    /// Minutes from one snapshot to the next, at least 1.
    pub step_minutes: u32,
}

impl Default for Session {
    /// From 10:00 to 17:00, every 10 minutes.
    fn default() -> Self {
        let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("a full hour");
        Self { open: hour(10), close: hour(17), step_minutes: 10 }
    }
}

impl Session {
    /// The snapshots that a day ought to have: none where the exchange is closed.
    pub fn expected(&self, date: NaiveDate) -> Vec<SnapshotTime> {
        if !is_business_day(date) {
            return Vec::new();
        }
        let step = Duration::minutes(i64::from(self.step_minutes.max(1)));
        let close = date.and_time(self.close);
        std::iter::successors(Some(date.and_time(self.open)), |time| time.checked_add_signed(step))
            .take_while(|time| *time < close)
            .filter_map(|time| SnapshotTime::new(time.date(), time.time()))
            .collect()
    }

    /// The expected snapshots of `date` for which there is none in `present`.
    ///
    /// Snapshots are saved about every step, not on the minute: one counts for the slot from its expected time to
    /// the next.
    pub fn missing(&self, date: NaiveDate, present: &[SnapshotTime]) -> Vec<SnapshotTime> {
        let minute = |time: SnapshotTime| time.time().signed_duration_since(self.open).num_minutes();
        let step = i64::from(self.step_minutes.max(1));
        let mut expected = self.expected(date);
        expected.retain(|slot| {
            !present.iter().any(|time| time.date() == date && minute(*time).div_euclid(step) == minute(*slot) / step)
        });
        expected
    }
}

/// Whether B3 trades on `date`: no weekend, no national holiday, Carnival, Good Friday, Corpus Christi, 24 or 31 December.
///
/// ```
/// use market::session::is_business_day;
/// let day = |d| chrono::NaiveDate::from_ymd_opt(2020, 4, d).unwrap();
/// assert!(is_business_day(day(9)));
/// assert!(!is_business_day(day(10)), "Good Friday");
/// ```
pub fn is_business_day(date: NaiveDate) -> bool {
    bdays::calendars::brazil::BrazilExchange.is_bday(date)
}

/// Times of day as `HH:MM`, as a person writes them in a configuration.
mod clock {
    use chrono::NaiveTime;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(time: &NaiveTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.format("%H:%M"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        NaiveTime::parse_from_str(&text, "%H:%M").map_err(|_| D::Error::custom(format!("{text:?} is not a time HH:MM")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, m, d).expect("a date")
    }

    #[test]
    fn the_exchange_is_closed_on_its_holidays() {
        for (m, d) in
            [(1, 1), (2, 24), (2, 25), (4, 10), (4, 21), (5, 1), (6, 11), (12, 24), (12, 25), (12, 31), (4, 4)]
        {
            assert!(!is_business_day(date(m, d)), "2020-{m}-{d}");
        }
        for (m, d) in [(4, 1), (4, 9), (4, 13), (2, 26), (12, 23)] {
            assert!(is_business_day(date(m, d)), "2020-{m}-{d}");
        }
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

        // Before the opening is no slot's.
        assert_eq!(Session::default().missing(date(4, 1), &["202004010955".parse().expect("a time")]).len(), 42);
        assert!(Session::default().missing(date(4, 10), &[]).is_empty(), "a holiday misses nothing");
    }
}
