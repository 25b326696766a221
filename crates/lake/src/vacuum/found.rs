//! Lists the files of runs in the lake bucket.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use market::partition::Partition;
use market::run::RunId;
use market::table::TableName;

use super::{Folders, FreedRun};
use crate::error::Error;
use crate::objects::{self, Object};
use crate::{Lake, keys};

/// The objects of each run.
#[derive(Debug, Default)]
pub(super) struct Found {
    runs: BTreeMap<RunId, Written>,
    /// URI of the lake bucket.
    bucket: String,
}

/// The objects of a run.
#[derive(Debug, Default)]
struct Written {
    /// Objects of each day, in all tables and both layouts.
    days: BTreeMap<NaiveDate, Vec<Object>>,
    /// Its plan, its audit, and other objects that belong to no day.
    others: Vec<Object>,
}

/// What an object of a run belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Day(RunId, NaiveDate),
    Run(RunId),
}

impl Found {
    /// Lists all objects in the folders of runs.
    pub(super) async fn list(lake: &Lake) -> Result<Self, Error> {
        let bucket = &lake.config.buckets.lake;
        let mut found = Self { bucket: keys::uri(bucket, ""), ..Self::default() };
        let tables = TableName::ALL.iter().map(|name| keys::table(*name));
        for prefix in std::iter::once(keys::RUNS.to_owned()).chain(tables) {
            for object in objects::list(lake, bucket, &prefix).await? {
                found.add(object);
            }
        }
        Ok(found)
    }

    fn add(&mut self, object: Object) {
        match place(&object.key) {
            Some(Place::Day(run, day)) => self.runs.entry(run).or_default().days.entry(day).or_default().push(object),
            Some(Place::Run(run)) => self.runs.entry(run).or_default().others.push(object),
            // Not an object of a run.
            None => {}
        }
    }

    /// Drops each run that has written an object after `since` from the list, so that it is kept.
    pub(super) fn leave_young(&mut self, since: DateTime<Utc>) {
        self.runs.retain(|_, written| {
            let mut objects = written.days.values().flatten().chain(&written.others);
            // Objects of a listing always have a time.
            objects.all(|object| object.last_modified.is_some_and(|at| at < since))
        });
    }

    /// Drops each run for which `stays` holds from the list, so that it is kept.
    pub(super) fn leave(&mut self, stays: impl Fn(&RunId) -> bool) {
        self.runs.retain(|run, _| !stays(run));
    }

    /// Returns the folders of each day.
    pub(super) fn by_day(&self) -> Folders {
        let mut days = Folders::new();
        for (run, written) in &self.runs {
            for (day, objects) in &written.days {
                let folders = objects.iter().filter_map(|object| object.key.rsplit_once('/'));
                let folders = folders.map(|(folder, _)| format!("{}{folder}/", self.bucket));
                days.entry(*day).or_default().entry(run.clone()).or_default().extend(folders);
            }
        }
        days
    }

    /// Returns the keys to delete, in order, and a summary by run, for these runs of each day. Objects that belong to a whole
    /// run are deleted with its last day.
    pub(super) fn removable(self, claimed: &BTreeMap<NaiveDate, BTreeSet<RunId>>) -> (Vec<String>, Vec<FreedRun>) {
        let (mut keys, mut last) = (Vec::new(), Vec::new());
        let mut freed = Vec::new();
        for (run, written) in self.runs {
            let is_claimed = |day: &NaiveDate| claimed.get(day).is_some_and(|runs| runs.contains(&run));
            let is_whole = written.days.keys().all(is_claimed);
            let mut of_run = FreedRun { run: run.clone(), days: Vec::new(), objects: 0, bytes: 0 };
            let mut count = |object: &Object| {
                of_run.objects += 1;
                of_run.bytes += object.bytes;
            };
            let mut days = Vec::new();
            for (day, objects) in written.days.into_iter().filter(|(day, _)| is_claimed(day)) {
                objects.iter().for_each(&mut count);
                keys.extend(objects.into_iter().map(|object| object.key));
                days.push(day);
            }
            if is_whole {
                written.others.iter().for_each(&mut count);
                last.extend(written.others.into_iter().map(|object| object.key));
            }
            of_run.days = days;
            if of_run.objects > 0 {
                freed.push(of_run);
            }
        }
        keys.extend(last);
        (keys, freed)
    }
}

/// Returns run and day of an object in the lake bucket: `runs/run=R/...`, or the older `TABLE/PARTITION/run=R/...`.
fn place(key: &str) -> Option<Place> {
    if let Some(rest) = key.strip_prefix(keys::RUNS) {
        let (run, rest) = rest.strip_prefix("run=")?.split_once('/')?;
        let run: RunId = run.parse().ok()?;
        let of_table = TableName::ALL.iter().find_map(|table| rest.strip_prefix(&keys::table(*table)));
        return match of_table {
            Some(rest) => Some(Place::Day(run, day(rest)?.0)),
            None => Some(Place::Run(run)),
        };
    }
    let rest = TableName::ALL.iter().find_map(|table| key.strip_prefix(&keys::table(*table)))?;
    let (day, rest) = day(rest)?;
    let (run, _) = rest.strip_prefix("run=")?.split_once('/')?;
    Some(Place::Day(run.parse().ok()?, day))
}

/// Parses the partition at the start of a key. Returns its day and the rest of the key.
fn day(rest: &str) -> Option<(NaiveDate, &str)> {
    let end = rest.match_indices('/').nth(2)?.0;
    let partition: Partition = rest[..end].parse().ok()?;
    Some((partition.date(), &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> RunId {
        name.parse().expect("a run")
    }

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, 4, day).expect("a day")
    }

    #[test]
    fn an_object_is_of_a_run_in_both_layouts_or_of_nobody() {
        for (key, expected) in [
            ("runs/run=a/quotes/year=2020/month=4/day=1/p.parquet", Some(Place::Day(run("a"), date(1)))),
            ("runs/run=a.2/rejects/year=2020/month=4/day=1/_manifest.json", Some(Place::Day(run("a.2"), date(1)))),
            ("quotes/year=2020/month=4/day=2/run=a/p.parquet", Some(Place::Day(run("a"), date(2)))),
            ("runs/run=a/plan.json", Some(Place::Run(run("a")))),
            ("runs/run=a/audit.json", Some(Place::Run(run("a")))),
            ("runs/run=/plan.json", None),
            ("runs/run=a", None),
            ("runs/other.json", None),
            ("runs/run=a/quotes/elsewhere.parquet", None),
            ("quotes/year=2020/month=04/day=2/run=a/p.parquet", None),
            ("quotes/year=2020/month=4/day=2/p.parquet", None),
            ("published/year=2020/month=4/day=1.json", None),
        ] {
            assert_eq!(place(key), expected, "{key}");
        }
    }

    #[test]
    fn the_plan_of_a_run_goes_with_its_last_day_and_behind_it() {
        let found = |keys: &[&str]| {
            let mut found = Found::default();
            for key in keys {
                let object =
                    Object { key: (*key).to_owned(), bytes: 10, etag: String::new(), last_modified: Some(Utc::now()) };
                found.add(object);
            }
            found
        };
        let all = [
            "runs/run=a/plan.json",
            "runs/run=a/quotes/year=2020/month=4/day=1/p.parquet",
            "runs/run=a/quotes/year=2020/month=4/day=2/p.parquet",
            "runs/run=b/plan.json",
            "runs/run=b/quotes/year=2020/month=4/day=1/p.parquet",
        ];
        let one: BTreeMap<_, _> = [(date(1), [run("a")].into())].into();
        let (keys, freed) = found(&all).removable(&one);
        assert_eq!(keys, [all[1]]);
        assert_eq!(freed, [FreedRun { run: run("a"), days: vec![date(1)], objects: 1, bytes: 10 }]);
        let both: BTreeMap<_, _> = [(date(1), [run("a")].into()), (date(2), [run("a")].into())].into();
        let (keys, freed) = found(&all).removable(&both);
        assert_eq!(keys, [all[1], all[2], all[0]]);
        assert_eq!((freed[0].days.len(), freed[0].objects, freed[0].bytes), (2, 3, 30));
        assert_eq!(found(&all[3..4]).removable(&BTreeMap::new()).0, [all[3]], "a plan of which no rows came");
    }

    #[test]
    fn a_run_that_still_writes_is_left_alone() {
        let object = |key: &str, at: &str| Object {
            key: key.to_owned(),
            bytes: 1,
            etag: String::new(),
            last_modified: Some(at.parse().expect("a time")),
        };
        let mut found = Found::default();
        found.add(object("runs/run=a/plan.json", "2026-01-01T10:00:00Z"));
        found.add(object("runs/run=a/quotes/year=2020/month=4/day=1/p.parquet", "2026-01-01T12:00:00Z"));
        found.add(object("runs/run=b/plan.json", "2026-01-01T10:00:00Z"));
        found.leave_young("2026-01-01T11:00:00Z".parse().expect("a time"));
        assert_eq!(found.runs.keys().map(RunId::as_str).collect::<Vec<_>>(), ["b"]);
        found.leave(|run| run.execution() == "b");
        assert!(found.runs.is_empty());
    }
}
