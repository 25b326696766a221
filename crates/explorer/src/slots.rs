//! The time axis of the views: for each published day the snapshots that are there, and those that ought to be.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use market::session::Session;
use market::snapshot::SnapshotTime;
use serde::Serialize;

/// The slots of some days, in order.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Slots(Vec<Day>);

/// One day of them.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Day {
    date: NaiveDate,
    /// The snapshots that are there, and in between the expected times for which there is none: `intdate`s, ascending.
    slots: Vec<i64>,
    /// How many of them are only expected.
    missing: usize,
}

impl Slots {
    /// The slots of `days`, of which those `present` have a snapshot.
    pub fn new(session: &Session, days: &[NaiveDate], present: &BTreeSet<i64>) -> Self {
        let mut there: BTreeMap<NaiveDate, Vec<SnapshotTime>> = BTreeMap::new();
        for time in present.iter().filter_map(|intdate| intdate.to_string().parse::<SnapshotTime>().ok()) {
            there.entry(time.date()).or_default().push(time);
        }
        let day = |date: &NaiveDate| {
            let there = there.get(date).map_or(&[][..], Vec::as_slice);
            let missing = session.missing(*date, there);
            let slots: BTreeSet<i64> = there.iter().chain(&missing).map(|time| time.intdate()).collect();
            Day { date: *date, slots: slots.into_iter().collect(), missing: missing.len() }
        };
        Self(days.iter().map(day).collect())
    }

    /// The place of each slot among all of them.
    pub fn places(&self) -> BTreeMap<i64, usize> {
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
        let slots = Slots::new(&Session::default(), &days, &present);
        let [thursday, friday] = slots.0.as_slice() else { panic!("two days") };
        assert_eq!(thursday.slots[..5], [202004090950, 202004091000, 202004091011, 202004091019, 202004091020]);
        assert_eq!((thursday.slots.len(), thursday.missing), (44, 41));
        // No session is expected on a holiday, but what is there is shown.
        assert_eq!((friday.slots.as_slice(), friday.missing), (&[202004101200][..], 0));
        assert_eq!(slots.places()[&202004101200], 44);
    }
}
