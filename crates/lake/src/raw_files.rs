//! The accepted raw files of some days, and what is missing among them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use market::partition::DateRange;
use market::session::{Session, is_business_day};
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::objects::{self, Object};
use crate::truncated_list::TruncatedList;
use crate::{Lake, keys};

/// An accepted raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFile {
    /// Its name.
    pub name: SnapshotName,
    /// The object that holds it.
    pub object: Object,
}

/// What lies where the raw files of some days are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawListing {
    range: Option<DateRange>,
    bucket: String,
    /// Accepted files, by feed and time.
    files: Vec<RawFile>,
    /// Objects that `ingest` would not have put there.
    strangers: Vec<String>,
}

impl RawListing {
    /// Exactly one file for each snapshot, for those who read them.
    ///
    /// # Errors
    /// [`Error::Quality`] for objects among them that `ingest` would not have put there, one that is no snapshot or that
    /// lies in another's folder, and for a snapshot that is there plain and compressed. Whatever a job made of them would
    /// be wrong.
    pub fn unique(self) -> Result<Vec<RawFile>, Error> {
        self.refuse_strangers()?;
        let Some([one, other]) = self.duplicated().next() else { return Ok(self.files) };
        Err(Error::Quality(format!(
            "{} snapshots in {} are there plain and compressed, the first of them as {} and {}: an upload was broken off \
             while it replaced one by the other. Upload the folder again, or start upload_raw_data for these days",
            self.duplicated().count(),
            self.bucket,
            one.object.key,
            other.object.key,
        )))
    }

    /// One file for each snapshot, for those who only ask which are there: while an upload replaces one form by the other,
    /// both stand for a moment.
    ///
    /// # Errors
    /// [`Error::Quality`] for objects among them that `ingest` would not have put there.
    pub fn deduplicated(mut self) -> Result<Vec<RawFile>, Error> {
        self.refuse_strangers()?;
        self.files.dedup_by_key(|file| (file.name.feed, file.name.time));
        Ok(self.files)
    }

    /// Every accepted file, whatever else is there.
    pub fn files(&self) -> &[RawFile] {
        &self.files
    }

    /// Whether the bytes of a landed file are all that stands for its snapshot, so that to take it in would change nothing:
    /// what an upload leaves that was broken off at its end.
    pub fn holds(&self, landed: &RawFile) -> bool {
        let mut forms =
            self.files.iter().filter(|file| (file.name.feed, file.name.time) == (landed.name.feed, landed.name.time));
        let is_it = |file: &RawFile| {
            let (placed, other) = (&file.object, &landed.object);
            file.name == landed.name && (placed.bytes, &placed.etag) == (other.bytes, &other.etag)
        };
        forms.next().is_some_and(is_it) && forms.next().is_none()
    }

    /// The snapshots that are there in both forms.
    fn duplicated(&self) -> impl Iterator<Item = &[RawFile; 2]> {
        let pairs = self.files.array_windows();
        pairs.filter(|[one, other]| (one.name.feed, one.name.time) == (other.name.feed, other.name.time))
    }

    fn refuse_strangers(&self) -> Result<(), Error> {
        let [first, ..] = &self.strangers[..] else { return Ok(()) };
        let range = self.range.map(|range| range.to_string()).unwrap_or_default();
        Err(Error::Quality(format!(
            "{} of the objects in {} for {range} are no accepted snapshots, the first of them {first}: \
             move them to landing/ and start upload_raw_data",
            self.strangers.len(),
            self.bucket,
        )))
    }
}

/// Looks at what lies where the raw files of `range` are.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn scan(lake: &Lake, range: DateRange) -> Result<RawListing, Error> {
    let bucket = &lake.config.buckets.raw;
    let mut listing = RawListing { range: Some(range), bucket: keys::uri(bucket, ""), ..RawListing::default() };
    for feed in Feed::ALL {
        // Dates sort as their texts do, so the days of a range lie side by side.
        let (after, last) = (keys::raw_day(feed, range.from()), keys::raw_day(feed, range.to()));
        let before = format!("{}0", last.trim_end_matches('/')); // '0' comes right behind '/'.
        let prefix = keys::raw_feed(feed);
        for object in objects::list_between(lake, bucket, &prefix, Some(&after), Some(&before)).await? {
            match keys::file_name(&object.key).parse::<SnapshotName>() {
                Ok(name) if keys::raw(name) == object.key => listing.files.push(RawFile { name, object }),
                _ if object.is_folder_marker() => {}
                _ => listing.strangers.push(object.key),
            }
        }
    }
    Ok(listing)
}

/// The raw files of `range`, by feed and time: exactly one for each snapshot.
///
/// # Errors
/// As [`RawListing::unique`]; whatever S3 refuses.
pub async fn list(lake: &Lake, range: DateRange) -> Result<Vec<RawFile>, Error> {
    scan(lake, range).await?.unique()
}

/// The snapshots of `range` that have landed and are not taken in yet.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn landed(lake: &Lake, range: DateRange) -> Result<Vec<RawFile>, Error> {
    let landed = objects::list(lake, &lake.config.buckets.raw, keys::LANDING).await?;
    let snapshot = |object: Object| {
        let name = keys::file_name(&object.key).parse::<SnapshotName>().ok()?;
        range.contains(name.time.date()).then_some(RawFile { name, object })
    };
    Ok(landed.into_iter().filter_map(snapshot).collect())
}

/// What ought to be there and is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Business days without any file.
    pub gaps: TruncatedList<NaiveDate>,
    /// The other business days on which snapshots are missing, by feed.
    pub missing_snapshots: TruncatedList<Missing>,
}

/// The snapshots of one feed that a day ought to have and has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The day.
    pub date: NaiveDate,
    /// The feed.
    pub feed: Feed,
    /// Their times, `HH:MM` in Sao Paulo.
    pub times: TruncatedList<String>,
}

impl Coverage {
    /// Holds the snapshots of `feeds` that are there against those that `session` expects on the days of `range`.
    pub fn new(
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
                let times: TruncatedList<String> =
                    missing.iter().map(|t| t.time().format("%H:%M").to_string()).collect();
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
        let coverage = Coverage::new(&session, range.expect("a range"), &Feed::ALL, names);
        let expected = serde_json::json!({
            "gaps": {"count": 2, "first": ["2020-04-09", "2020-04-13"]},
            "missing_snapshots": {"count": 1, "first": [
                {"date": "2020-04-08", "feed": "options", "times": {"count": 2, "first": ["10:00", "13:00"]}}]},
        });
        assert_eq!(serde_json::to_value(coverage).expect("JSON"), expected);
    }
}
