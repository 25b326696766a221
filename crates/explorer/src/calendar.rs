//! The raw files of a day, compared with the snapshots that the session expects.

use chrono::NaiveDate;
use lake::raw_files::RawFile;
use market::session::Session;
use market::snapshot::{Feed, SnapshotTime};
use serde::Serialize;

/// The number of snapshots of a feed on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SnapshotCount {
    /// The slots of the session.
    pub expected: usize,
    /// Slots with a snapshot.
    pub present: usize,
    /// Slots without a snapshot.
    pub missing: usize,
    /// Files outside every slot, or in a slot that has another file.
    pub extra: usize,
    /// Files in quarantine.
    pub quarantined: usize,
}

/// Counts the snapshots of one feed on a day.
pub(crate) fn count(session: &Session, date: NaiveDate, present: &[SnapshotTime], quarantined: usize) -> SnapshotCount {
    let expected = session.expected(date).len();
    let missing = session.missing(date, present).len();
    let filled = expected - missing;
    SnapshotCount { expected, present: filled, missing, extra: present.len() - filled, quarantined }
}

/// A slot with its files.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Slot {
    /// The expected time, `10:00`.
    pub time: String,
    pub files: Vec<File>,
}

/// A raw file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct File {
    pub name: String,
    pub bytes: u64,
    /// The time in its name, `10:03`.
    pub time: String,
}

impl From<&RawFile> for File {
    fn from(file: &RawFile) -> Self {
        Self { name: file.name.to_string(), bytes: file.object.bytes, time: clock(file.name.time) }
    }
}

/// The snapshots of one feed on a day.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FeedDay {
    pub feed: Feed,
    pub slots: Vec<Slot>,
    /// Files outside every slot.
    pub outside: Vec<File>,
}

/// Assigns the files of a feed on a day to the slots of the session.
pub(crate) fn feed_day(session: &Session, date: NaiveDate, feed: Feed, files: &[RawFile]) -> FeedDay {
    let files: Vec<&RawFile> =
        files.iter().filter(|file| file.name.feed == feed && file.name.time.date() == date).collect();
    let expected = session.expected(date);
    // The slot of a file is the one that the session does not report as missing, given this file alone.
    let slot_of_file: Vec<Option<SnapshotTime>> = files
        .iter()
        .map(|file| {
            let missing = session.missing(date, &[file.name.time]);
            expected.iter().copied().find(|slot| !missing.contains(slot))
        })
        .collect();
    let files_in = |slot: Option<SnapshotTime>| {
        let matching = files.iter().zip(&slot_of_file).filter(|(_, file_slot)| **file_slot == slot);
        matching.map(|(file, _)| File::from(*file)).collect()
    };
    let slots = expected.iter().map(|slot| Slot { time: clock(*slot), files: files_in(Some(*slot)) }).collect();
    FeedDay { feed, slots, outside: files_in(None) }
}

/// Formats the time of day as `HH:MM`.
fn clock(time: SnapshotTime) -> String {
    time.time().format("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use lake::objects::Object;

    use super::*;

    fn file(name: &str) -> RawFile {
        let object = Object { key: name.to_owned(), bytes: 7, etag: String::new(), last_modified: None };
        RawFile { name: name.parse().expect(name), object }
    }

    #[test]
    fn every_file_is_in_one_place_and_every_slot_is_counted() {
        let session = Session { step_minutes: 180, ..Session::default() };
        let date = "2020-04-01".parse().expect("a day");
        let files: Vec<RawFile> = [
            "202004010950_flashpanel.csv",
            "202004011003_flashpanel.csv",
            "202004011020_flashpanel.csv.gz",
            "202004011600_flashpanel.csv",
            "202004011300_options.csv",
            "202004021300_flashpanel.csv",
        ]
        .map(file)
        .into();
        let day = feed_day(&session, date, Feed::Quotes, &files);
        let slots: Vec<(&str, usize)> = day.slots.iter().map(|slot| (slot.time.as_str(), slot.files.len())).collect();
        assert_eq!(slots, [("10:00", 2), ("13:00", 0), ("16:00", 1)]);
        assert_eq!(day.outside.len(), 1);
        assert_eq!((day.outside[0].time.as_str(), day.outside[0].bytes), ("09:50", 7));

        let times: Vec<SnapshotTime> = files[..4].iter().map(|file| file.name.time).collect();
        let counted = count(&session, date, &times, 1);
        assert_eq!(counted, SnapshotCount { expected: 3, present: 2, missing: 1, extra: 2, quarantined: 1 });
        // A holiday expects nothing, and what is there is extra.
        let holiday = "2020-04-10".parse().expect("a day");
        let there = ["202004101300".parse().expect("a time")];
        assert_eq!(count(&session, holiday, &there, 0), SnapshotCount { extra: 1, ..SnapshotCount::default() });
    }
}
