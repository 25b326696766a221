//! Lists the accepted raw files of a range of days, and finds missing snapshots.

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

/// The objects at the place of the raw files of a range of days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawListing {
    range: Option<DateRange>,
    bucket: String,
    /// Accepted files, by feed and time.
    files: Vec<RawFile>,
    /// Keys of foreign objects, which `ingest` does not create.
    foreign: Vec<String>,
}

impl RawListing {
    /// Returns exactly one file for each snapshot, for callers that read the files.
    ///
    /// # Errors
    /// [`Error::Quality`] if there are foreign objects (not a snapshot, or in the folder of another day), or if a snapshot
    /// exists both plain and compressed: the result of a job that read them would be wrong.
    pub fn unique(self) -> Result<Vec<RawFile>, Error> {
        self.refuse_foreign()?;
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

    /// Returns one file for each snapshot, for callers that only need to know which snapshots exist. While an upload replaces a
    /// plain file by a compressed one, both exist for a short time.
    ///
    /// # Errors
    /// [`Error::Quality`] if there are foreign objects.
    pub fn deduplicated(mut self) -> Result<Vec<RawFile>, Error> {
        self.refuse_foreign()?;
        self.files.dedup_by_key(|file| (file.name.feed, file.name.time));
        Ok(self.files)
    }

    /// Returns all accepted files, without checks.
    pub fn files(&self) -> &[RawFile] {
        &self.files
    }

    /// Whether a landed file is the only accepted file of its snapshot, byte for byte, so that ingesting it would change
    /// nothing: an interrupted upload leaves such files.
    pub fn holds(&self, landed: &RawFile) -> bool {
        let mut forms =
            self.files.iter().filter(|file| (file.name.feed, file.name.time) == (landed.name.feed, landed.name.time));
        let is_it = |file: &RawFile| {
            let (placed, other) = (&file.object, &landed.object);
            file.name == landed.name && (placed.bytes, &placed.etag) == (other.bytes, &other.etag)
        };
        forms.next().is_some_and(is_it) && forms.next().is_none()
    }

    /// Returns the pairs of files of snapshots that exist both plain and compressed.
    fn duplicated(&self) -> impl Iterator<Item = &[RawFile; 2]> {
        let pairs = self.files.array_windows();
        pairs.filter(|[one, other]| (one.name.feed, one.name.time) == (other.name.feed, other.name.time))
    }

    fn refuse_foreign(&self) -> Result<(), Error> {
        let [first, ..] = &self.foreign[..] else { return Ok(()) };
        let range = self.range.map(|range| range.to_string()).unwrap_or_default();
        Err(Error::Quality(format!(
            "{} of the objects in {} for {range} are no accepted snapshots, the first of them {first}: \
             move them to landing/ and start upload_raw_data",
            self.foreign.len(),
            self.bucket,
        )))
    }
}

/// Lists the objects at the place of the raw files of `range`.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn scan(lake: &Lake, range: DateRange) -> Result<RawListing, Error> {
    let bucket = &lake.config.buckets.raw;
    let mut listing = RawListing { range: Some(range), bucket: keys::uri(bucket, ""), ..RawListing::default() };
    for feed in Feed::ALL {
        // ISO dates sort like their texts, so the keys of a range are consecutive.
        let (after, last) = (keys::raw_day(feed, range.from()), keys::raw_day(feed, range.to()));
        let before = format!("{}0", last.trim_end_matches('/')); // '0' is the character after '/'.
        let prefix = keys::raw_feed(feed);
        for object in objects::list_between(lake, bucket, &prefix, Some(&after), Some(&before)).await? {
            match keys::file_name(&object.key).parse::<SnapshotName>() {
                Ok(name) if keys::raw(name) == object.key => listing.files.push(RawFile { name, object }),
                _ if object.is_folder_marker() => {}
                _ => listing.foreign.push(object.key),
            }
        }
    }
    Ok(listing)
}

/// Lists the raw files of `range`, ordered by feed and time: exactly one for each snapshot.
///
/// # Errors
/// As [`RawListing::unique`]; whatever S3 refuses.
pub async fn list(lake: &Lake, range: DateRange) -> Result<Vec<RawFile>, Error> {
    scan(lake, range).await?.unique()
}

/// Lists the landed snapshots of `range` that are not ingested yet.
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

/// Missing days and snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Business days without any file.
    pub gaps: TruncatedList<NaiveDate>,
    /// The other business days on which snapshots are missing, by feed.
    pub missing_snapshots: TruncatedList<Missing>,
    /// Number of all missing snapshots, of the days without any file too. 0 in outputs of versions without this number.
    #[serde(default)]
    pub missing_count: u64,
}

/// The missing snapshots of one feed on one day.
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
    /// Compares the snapshots of `feeds` that are `present` with those that `session` expects on the days of `range`.
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
            let is_gap = feeds.iter().all(|feed| of_feed(*feed).is_empty());
            coverage.gaps.extend(is_gap.then_some(date));
            for feed in feeds.iter().copied() {
                let missing = session.missing(date, of_feed(feed));
                coverage.missing_count += missing.len() as u64;
                if is_gap {
                    continue;
                }
                let times: TruncatedList<String> =
                    missing.iter().map(|t| t.time().format("%H:%M").to_string()).collect();
                coverage.missing_snapshots.extend((!times.is_empty()).then_some(Missing { date, feed, times }));
            }
        }
        coverage
    }

    /// Appends what is missing on later days.
    pub fn append(&mut self, later: Self) {
        self.gaps.append(later.gaps);
        self.missing_snapshots.append(later.missing_snapshots);
        self.missing_count += later.missing_count;
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
            "missing_count": 2 + 2 * 2 * 3,
        });
        assert_eq!(serde_json::to_value(coverage).expect("JSON"), expected);
    }
}
