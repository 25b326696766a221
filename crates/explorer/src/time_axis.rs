//! The time axis of the charts: for each published day, its snapshots and its gaps.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use market::session::Session;
use market::snapshot::SnapshotTime;
use serde::Serialize;

/// The slots of several days, in ascending order.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct TimeAxis(Vec<DaySlots>);

/// The slots of one day.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct DaySlots {
    date: NaiveDate,
    /// `intdate`s, ascending: the times of the snapshots, and for each gap the expected time.
    slots: Vec<i64>,
    /// The number of gaps.
    missing: usize,
}

impl TimeAxis {
    /// The axis of `days`, given the `intdate`s of all snapshots in `present`.
    pub(crate) fn new(session: &Session, days: &[NaiveDate], present: &BTreeSet<i64>) -> Self {
        let mut by_day: BTreeMap<NaiveDate, Vec<SnapshotTime>> = BTreeMap::new();
        for time in present.iter().filter_map(|intdate| intdate.to_string().parse::<SnapshotTime>().ok()) {
            by_day.entry(time.date()).or_default().push(time);
        }
        let day = |date: &NaiveDate| {
            let present = by_day.get(date).map_or(&[][..], Vec::as_slice);
            let missing = session.missing(*date, present);
            let slots: BTreeSet<i64> = present.iter().chain(&missing).map(|time| time.intdate()).collect();
            DaySlots { date: *date, slots: slots.into_iter().collect(), missing: missing.len() }
        };
        Self(days.iter().map(day).collect())
    }

    /// Returns the position on the axis of each `intdate`, from 0.
    pub(crate) fn positions(&self) -> BTreeMap<i64, usize> {
        self.0.iter().flat_map(|day| &day.slots).enumerate().map(|(at, slot)| (*slot, at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_takes_the_place_of_its_slot() {
        let days = ["2020-04-09", "2020-04-10"].map(|day| day.parse().expect("a day"));
        let present = [202004090950, 202004091011, 202004091019, 202004101200].into();
        let axis = TimeAxis::new(&Session::default(), &days, &present);
        let [thursday, friday] = axis.0.as_slice() else { panic!("two days") };
        assert_eq!(thursday.slots[..5], [202004090950, 202004091000, 202004091011, 202004091019, 202004091020]);
        assert_eq!((thursday.slots.len(), thursday.missing), (44, 41));
        // No session is expected on a holiday, but what is there is shown.
        assert_eq!((friday.slots.as_slice(), friday.missing), (&[202004101200][..], 0));
        assert_eq!(axis.positions()[&202004101200], 44);
    }
}
