//! Views: lists of the raw files of a day, each file as one version of an object.
//!
//! Published data is never replaced by an older view automatically. Which of two views is older depends only on the files,
//! whose modification times come from S3: the clocks of functions are not compared.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use market::snapshot::{Feed, SnapshotName, SnapshotTime};
use serde::{Deserialize, Serialize};

use crate::raw_files::RawFile;

/// A version of a raw file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RawFileVersion {
    /// Its name.
    #[serde(with = "crate::quality::as_text")]
    pub name: SnapshotName,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its ETag, without quotes. `None` if a pregao version without records published the day, and the file has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When S3 stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<DateTime<Utc>>,
}

impl From<&RawFile> for RawFileVersion {
    fn from(file: &RawFile) -> Self {
        let object = &file.object;
        Self {
            name: file.name,
            bytes: object.bytes,
            etag: Some(object.etag.clone()),
            last_modified: object.last_modified,
        }
    }
}

/// The relation of one view to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The same files in the same versions.
    Same,
    /// It has all snapshots of the other one, in the same or later versions, and at least one difference.
    Newer,
    /// The other one is newer.
    Older,
    /// Each has something that the other one lacks.
    Diverged,
}

impl View {
    /// How `ours` stands to `theirs`.
    pub fn compare(ours: &[RawFileVersion], theirs: &[RawFileVersion]) -> Self {
        let (ours, theirs) = (by_snapshot(ours), by_snapshot(theirs));
        match (covers(&ours, &theirs), covers(&theirs, &ours)) {
            (true, true) => View::Same,
            (true, false) => View::Newer,
            (false, true) => View::Older,
            (false, false) => View::Diverged,
        }
    }
}

type BySnapshot<'a> = BTreeMap<(Feed, SnapshotTime), &'a RawFileVersion>;

/// A snapshot is the same one plain and compressed.
fn by_snapshot(files: &[RawFileVersion]) -> BySnapshot<'_> {
    files.iter().map(|file| ((file.name.feed, file.name.time), file)).collect()
}

/// Whether each of `theirs` is among `ours`, in the same version or a later one.
fn covers(ours: &BySnapshot<'_>, theirs: &BySnapshot<'_>) -> bool {
    theirs.iter().all(|(snapshot, their)| ours.get(snapshot).is_some_and(|our| is_not_older(our, their)))
}

fn is_not_older(our: &RawFileVersion, their: &RawFileVersion) -> bool {
    let is_same = our.name == their.name && our.bytes == their.bytes && our.etag.is_some() && our.etag == their.etag;
    is_same || our.last_modified > their.last_modified
}

/// Returns the differences of two views: files that are only in `new` or in another version, and files that only `old` has.
pub fn differences(old: &[RawFileVersion], new: &[RawFileVersion]) -> Differences {
    let (old, new) = (by_snapshot(old), by_snapshot(new));
    let mut differences = Differences::default();
    for (snapshot, file) in &new {
        match old.get(snapshot) {
            None => differences.added.push(file.name),
            Some(before) if before.name == file.name && before.bytes == file.bytes && before.etag == file.etag => {}
            Some(_) => differences.replaced.push(file.name),
        }
    }
    let removed = old.iter().filter(|(snapshot, _)| !new.contains_key(snapshot));
    differences.removed = removed.map(|(_, file)| file.name).collect();
    differences
}

/// The differences of two views.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Files that are only in the newer view.
    pub added: Vec<SnapshotName>,
    /// Files that were replaced by another version.
    pub replaced: Vec<SnapshotName>,
    /// Files that are only in the older view.
    pub removed: Vec<SnapshotName>,
}

impl Differences {
    /// Whether the views are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.removed.is_empty()
    }
}

impl std::fmt::Display for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (what, files) in [("late", &self.added), ("replaced", &self.replaced), ("removed", &self.removed)] {
            match files.as_slice() {
                [] => {}
                [only] => parts.push(format!("1 {what}: {only}")),
                [first, rest @ ..] => parts.push(format!("{} {what}: {first} and {} more", files.len(), rest.len())),
            }
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use proptest::prelude::*;

    use super::*;

    fn file(minute: u32, version: i64, gzip: bool) -> RawFileVersion {
        let suffix = if gzip { ".gz" } else { "" };
        RawFileVersion {
            name: format!("2020040110{minute:02}_flashpanel.csv{suffix}").parse().expect("a name"),
            bytes: 100,
            etag: Some(format!("{minute}-{version}")),
            last_modified: DateTime::from_timestamp(1_585_780_000 + version, 0),
        }
    }

    #[test]
    fn more_files_and_later_ones_are_newer() {
        let (a, b, late) = (file(0, 0, false), file(10, 0, false), file(20, 5, false));
        let corrected = file(0, 9, false);
        let of = |files: &[&RawFileVersion]| files.iter().map(|file| (*file).clone()).collect::<Vec<_>>();
        for (ours, theirs, expected) in [
            (of(&[]), of(&[]), View::Same),
            (of(&[&a, &b]), of(&[&b, &a]), View::Same),
            (of(&[&a, &b, &late]), of(&[&a, &b]), View::Newer),
            (of(&[&corrected, &b]), of(&[&a, &b]), View::Newer),
            (of(&[&a]), of(&[&a, &b]), View::Older),
            (of(&[&corrected]), of(&[&a, &b]), View::Diverged),
            (of(&[&a, &b]), of(&[&a, &late]), View::Diverged),
            // The same snapshot in another form, which came later.
            (of(&[&file(0, 1, true)]), of(&[&a]), View::Newer),
        ] {
            assert_eq!(View::compare(&ours, &theirs), expected, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn two_versions_of_one_second_are_of_no_order() {
        let (one, mut other) = (file(0, 0, false), file(0, 0, false));
        other.etag = Some("other".to_owned());
        assert_eq!(View::compare(&[one], &[other]), View::Diverged);
    }

    #[test]
    fn what_is_not_known_of_a_file_is_another_version() {
        let known = file(0, 0, false);
        let unknown = RawFileVersion { etag: None, last_modified: None, ..known.clone() };
        assert_eq!(View::compare(slice::from_ref(&known), slice::from_ref(&unknown)), View::Newer);
        assert_eq!(differences(&[unknown], slice::from_ref(&known)).replaced, [known.name]);
    }

    #[test]
    fn differences_are_named() {
        let (a, b, c) = (file(0, 0, false), file(10, 0, false), file(20, 0, false));
        let found = differences(&[a.clone(), b.clone()], &[file(0, 3, false), c.clone(), file(30, 0, false)]);
        assert_eq!(
            found.to_string(),
            "2 late: 202004011020_flashpanel.csv and 1 more; 1 replaced: 202004011000_flashpanel.csv; \
             1 removed: 202004011010_flashpanel.csv"
        );
        assert!(differences(slice::from_ref(&a), slice::from_ref(&a)).is_empty());
    }

    proptest! {
        /// A feed in which files only arrive and are only replaced: a view that was listed later is never older.
        #[test]
        fn a_view_that_was_listed_later_is_not_older(events in prop::collection::vec(0_u32..6, 1..30), cut in any::<prop::sample::Index>()) {
            let view = |upto: usize| {
                let mut files = BTreeMap::new();
                for (at, minute) in events[..upto].iter().enumerate() {
                    files.insert(*minute, file(*minute, at as i64, false));
                }
                files.into_values().collect::<Vec<_>>()
            };
            let cut = cut.index(events.len());
            prop_assert_eq!(View::compare(&view(events.len()), &view(cut)), View::Newer);
            prop_assert_eq!(View::compare(&view(cut), &view(events.len())), View::Older);
        }
    }
}
