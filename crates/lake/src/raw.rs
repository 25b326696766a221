//! The accepted raw files of some days, and what is missing among them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::session::{Session, is_business_day};
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::excerpt::Excerpt;
use crate::objects::{self, Object};
use crate::{Lake, keys};

/// An accepted raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    /// Its name.
    pub name: SnapshotName,
    /// The object that holds it.
    pub object: Object,
}

/// Lists the raw files of `range`, by feed and time.
///
/// # Errors
/// [`Error::Quality`] for objects among them that `ingest` would not have put there: one that is no snapshot, that lies
/// in another's folder, or that is there plain and compressed. Whatever a job made of them would be wrong.
pub async fn list(lake: &Lake, range: DateRange) -> Result<Vec<RawFile>, Error> {
    let bucket = &lake.config.buckets.raw;
    let mut files: Vec<RawFile> = Vec::new();
    let mut strangers = Vec::new();
    for feed in Feed::ALL {
        // Dates sort as their texts do, so the days of a range lie side by side.
        let (after, last) = (keys::raw_day(feed, range.from()), keys::raw_day(feed, range.to()));
        let before = format!("{}0", last.trim_end_matches('/')); // '0' comes right behind '/'.
        let prefix = keys::raw_feed(feed);
        for object in objects::list_between(lake, bucket, &prefix, Some(&after), Some(&before)).await? {
            match keys::file_name(&object.key).parse::<SnapshotName>() {
                Ok(name) if keys::raw(name) == object.key => files.push(RawFile { name, object }),
                _ if object.is_folder_marker() => {}
                _ => strangers.push(object.key),
            }
        }
    }
    let twice = files
        .windows(2)
        .filter(|pair| (pair[0].name.feed, pair[0].name.time) == (pair[1].name.feed, pair[1].name.time));
    strangers.extend(twice.map(|pair| format!("{} (there are two of this snapshot)", pair[1].object.key)));
    match &strangers[..] {
        [] => Ok(files),
        [first, ..] => Err(Error::Quality(format!(
            "{} of the objects in {} for {range} are no accepted snapshots, the first of them {first}: \
             move them to landing/ and start upload_raw_data",
            strangers.len(),
            keys::uri(bucket, ""),
        ))),
    }
}

/// What ought to be there and is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Business days without any file.
    pub gaps: Excerpt<NaiveDate>,
    /// The other business days on which snapshots are missing, by feed.
    pub missing_snapshots: Excerpt<Missing>,
}

/// The snapshots of one feed that a day ought to have and has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The day.
    pub date: NaiveDate,
    /// The feed.
    pub feed: Feed,
    /// Their times, `HH:MM` in Sao Paulo.
    pub times: Excerpt<String>,
}

impl Coverage {
    /// Holds the snapshots of `feeds` that are there against those that `session` expects on the days of `range`.
    pub fn of(
        session: &Session,
        range: DateRange,
        feeds: &[Feed],
        present: impl IntoIterator<Item = SnapshotName>,
    ) -> Self {
        let mut by_day: BTreeMap<(NaiveDate, Feed), Vec<SnapshotTime>> = BTreeMap::new();
        for name in present {
            by_day.entry((name.time.date(), name.feed)).or_default().push(name.time);
        }
        let mut coverage = Self::default();
        for date in range.days().filter(|date| is_business_day(*date)) {
            let of_feed = |feed| by_day.get(&(date, feed)).map_or(&[][..], Vec::as_slice);
            if feeds.iter().all(|feed| of_feed(*feed).is_empty()) {
                coverage.gaps.extend([date]);
                continue;
            }
            for feed in feeds.iter().copied() {
                let missing = session.missing(date, of_feed(feed));
                let times: Excerpt<String> = missing.iter().map(|t| t.time().format("%H:%M").to_string()).collect();
                coverage.missing_snapshots.extend((!times.is_empty()).then_some(Missing { date, feed, times }));
            }
        }
        coverage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_days_and_missing_snapshots_are_times() {
        let session = Session { step_minutes: 180, ..Session::default() };
        let range = DateRange::new("2020-04-08".parse().expect("a day"), "2020-04-13".parse().expect("a day"));
        let names = [
            "202004081000_flashpanel.csv",
            "202004081305_flashpanel.csv.gz",
            "202004081600_flashpanel.csv",
            "202004081601_options.csv",
            // A weekend misses nothing and is no gap, whatever is there.
            "202004111000_options.csv",
        ];
        let names = names.map(|name| name.parse().expect("a name"));
        let coverage = Coverage::of(&session, range.expect("a range"), &Feed::ALL, names);
        let expected = serde_json::json!({
            "gaps": {"count": 2, "first": ["2020-04-09", "2020-04-13"]},
            "missing_snapshots": {"count": 1, "first": [
                {"date": "2020-04-08", "feed": "options", "times": {"count": 2, "first": ["10:00", "13:00"]}}]},
        });
        assert_eq!(serde_json::to_value(coverage).expect("JSON"), expected);
    }
}
