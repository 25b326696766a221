//! Compares the raw files with the reports of the published runs: a day whose raw files have changed since is stale.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::primitives::DateTime;
use chrono::NaiveDate;
use lake::raw_files;
use lake::{Error, Lake, keys};
use market::run::RunId;
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use market::table::TableName;

use super::published::Published;
use super::{Findings, Options, range};
use crate::output::FindingKind;

/// Compares names and times of all raw files with those that the published runs counted.
pub(super) async fn check(lake: &Lake, options: &Options, published: &Published, findings: &mut Findings) {
    let folders = match super::folders::raw_days(lake).await {
        Ok(folders) => folders,
        Err(error) => {
            let bucket = keys::uri(&lake.config.buckets.raw, "");
            return findings.unanswered(bucket, &error, "see to the bucket, and verify again");
        }
    };
    let days = published.days().into_iter().chain(folders).filter(|day| options.covers(*day));
    let Some(range) = range(days) else { return };
    // A foreign object fails every run of its day.
    if let Err(error) = raw_files::list(lake, range).await {
        let repair = format!("move it to landing/, then {} upload", options.program);
        let repair = if matches!(error, Error::Quality(_)) { repair } else { "verify again".to_owned() };
        findings.unanswered(keys::uri(&lake.config.buckets.raw, ""), &error, &repair);
    }
    let (files, written) = match (times(lake, published).await, super::folders::raw_files(lake).await) {
        (Ok(written), Ok(files)) => (files, written),
        (Err(error), _) | (_, Err(error)) => {
            return findings.unanswered("the times of reports and raw files", &error, "verify again");
        }
    };
    findings.checked.raw_files += files.iter().filter(|(name, _)| options.covers(name.time.date())).count();
    let mut there: BTreeMap<(Feed, NaiveDate), BTreeMap<SnapshotTime, (SnapshotName, DateTime)>> = BTreeMap::new();
    for (name, time) in files {
        there.entry((name.feed, name.time.date())).or_default().insert(name.time, (name, time));
    }
    for feed in Feed::ALL {
        let table = TableName::from(feed);
        let published_days: BTreeSet<NaiveDate> =
            published.folders.keys().filter(|(published, _)| *published == table).map(|(_, date)| *date).collect();
        for date in published_days {
            let run = &published.folders[&(table, date)].run;
            let Some(report) = published.reports.get(&(run.clone(), table)) else { continue };
            let counted: BTreeMap<SnapshotTime, SnapshotName> = report
                .files
                .iter()
                .filter(|file| file.name.time.date() == date)
                .map(|file| (file.name.time, file.name))
                .collect();
            let now = there.remove(&(feed, date)).unwrap_or_default();
            let audited = written.get(&(run.clone(), table));
            for (name, what) in changes(&counted, &now, audited) {
                let (expected, found) = what.words(run);
                let uri = keys::uri(&lake.config.buckets.raw, &keys::raw(name));
                findings.add(FindingKind::Stale, uri, &expected, found, &options.run(date));
            }
        }
    }
}

/// The difference of a raw file from what a run counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Late,
    Replaced,
    Removed,
}

impl Change {
    fn words(self, run: &RunId) -> (String, &'static str) {
        match self {
            Change::Late => (format!("no file, as run {run} had"), "a file that came later"),
            Change::Replaced => (format!("the file that run {run} counted"), "another, which replaced it"),
            Change::Removed => (format!("the file that run {run} counted"), "no file"),
        }
    }
}

/// Returns the snapshots of a day that differ from the counted ones, for a report that was written at `audited`.
fn changes(
    counted: &BTreeMap<SnapshotTime, SnapshotName>,
    now: &BTreeMap<SnapshotTime, (SnapshotName, DateTime)>,
    audited: Option<&DateTime>,
) -> Vec<(SnapshotName, Change)> {
    let millis = |time: &DateTime| time.to_millis().unwrap_or_default();
    let mut changes = Vec::new();
    for (time, (name, written)) in now {
        match counted.get(time) {
            None => changes.push((*name, Change::Late)),
            Some(before) => {
                let later = audited.is_some_and(|audited| millis(written) > millis(audited));
                if before != name || later {
                    changes.push((*name, Change::Replaced));
                }
            }
        }
    }
    changes
        .extend(counted.iter().filter(|(time, _)| !now.contains_key(time)).map(|(_, name)| (*name, Change::Removed)));
    changes.sort_by_key(|(name, _)| name.time);
    changes
}

/// Returns the times at which the reports of the published runs were written: of several slices, the earliest, which is later
/// than the plan of the run and the raw files in it.
async fn times(lake: &Lake, published: &Published) -> Result<BTreeMap<(RunId, TableName), DateTime>, Error> {
    let mut times = BTreeMap::new();
    for (key, _, time) in super::folders::dated(lake, &lake.config.buckets.lake, keys::QUALITY).await? {
        let Some(run) = key.split('/').find_map(|folder| folder.strip_prefix("run=")) else { continue };
        let name = keys::file_name(&key);
        let Some(table) = TableName::ALL.into_iter().find(|table| name.strip_suffix(".json") == Some(table.as_str()))
        else {
            continue;
        };
        if let Ok(run) = run.parse::<RunId>()
            && published.reports.contains_key(&(run.clone(), table))
        {
            times.entry((run, table)).and_modify(|earliest| *earliest = time.min(*earliest)).or_insert(time);
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_file_may_be_late_replaced_or_removed() {
        let name = |text: &str| text.parse::<SnapshotName>().expect("a name");
        let counted = ["202004011000_flashpanel.csv", "202004011010_flashpanel.csv", "202004011020_flashpanel.csv"];
        let counted: BTreeMap<_, _> = counted.map(name).into_iter().map(|name| (name.time, name)).collect();
        let now = [
            ("202004011000_flashpanel.csv", 7),
            ("202004011010_flashpanel.csv.gz", 7),
            ("202004011030_flashpanel.csv", 7),
            ("202004011005_flashpanel.csv", 11),
        ];
        let mut now: BTreeMap<_, _> = now
            .map(|(text, at)| (name(text), DateTime::from_secs(at)))
            .into_iter()
            .map(|(name, at)| (name.time, (name, at)))
            .collect();
        let audited = DateTime::from_secs(10);
        let found: Vec<_> = changes(&counted, &now, Some(&audited))
            .into_iter()
            .map(|(name, change)| (name.to_string(), change))
            .collect();
        assert_eq!(
            found,
            [
                ("202004011005_flashpanel.csv".to_owned(), Change::Late),
                ("202004011010_flashpanel.csv.gz".to_owned(), Change::Replaced),
                ("202004011020_flashpanel.csv".to_owned(), Change::Removed),
                ("202004011030_flashpanel.csv".to_owned(), Change::Late),
            ]
        );
        // The same name with another time is another version.
        now.retain(|_, (name, _)| name.to_string() == "202004011000_flashpanel.csv");
        let one: BTreeMap<_, _> = now.keys().map(|time| (*time, counted[time])).collect();
        assert_eq!(changes(&one, &now, Some(&audited)), []);
        let before = DateTime::from_secs(6);
        assert_eq!(changes(&one, &now, Some(&before)), [(counted[now.keys().next().expect("one")], Change::Replaced)]);
    }
}
