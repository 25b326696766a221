//! Sent files: where each of them is after the ingestion.
//!
//! The output of an execution of `upload_raw_data` has the files that this execution moved. On AWS, an upload into `landing/`
//! starts executions of its own, which may move files before it; and it also moves what others landed. So the raw bucket is
//! asked where the sent files are.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use lake::objects;
use lake::quarantine::{self, Naming, Reason, SUPERSEDED};
use lake::{Error, Lake, keys};
use market::partition::DateRange;
use market::snapshot::SnapshotName;

use crate::dedup::UploadedFiles;

/// A file that was sent to `landing/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentFile {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// The ETag of the object that was created.
    pub etag: String,
}

/// Where a sent file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In the place of its snapshot.
    Accepted,
    /// In quarantine, because another file of the snapshot took its place.
    Superseded,
    /// In quarantine, with the reason.
    Quarantined(String),
    /// In `landing/`.
    Landing,
    /// Nowhere.
    Unknown,
}

/// What became of the sent files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Number of files that were accepted, including those that another file replaced later.
    pub accepted: u64,
    /// Number of files with the bytes of another sent file of the same snapshot.
    pub repeated: u64,
    /// Number of files that a sent file replaced.
    pub superseded: u64,
    /// The files in quarantine: name and reason.
    pub quarantined: Vec<(String, String)>,
    /// The keys of the files that are still in `landing/`, or neither in their place nor in quarantine.
    pub unsettled: Vec<String>,
}

/// Number of concurrent requests.
const AT_ONCE: usize = 16;

/// Finds the sent files in the raw bucket. `before` has the objects that were there before they were sent.
///
/// # Errors
/// Whatever S3 refuses.
pub(crate) async fn settle(
    lake: &Lake,
    days: Option<DateRange>,
    before: &UploadedFiles,
    sent: &[SentFile],
) -> Result<Settled, Error> {
    if sent.is_empty() {
        return Ok(Settled::default());
    }
    let now = UploadedFiles::list(lake, days).await?;
    let places = stream::iter(sent).map(|file| find(lake, &now, file)).buffered(AT_ONCE);
    let places: Vec<Place> = places.try_collect().await?;
    Ok(add_up(before, sent.iter().zip(places)))
}

async fn find(lake: &Lake, now: &UploadedFiles, file: &SentFile) -> Result<Place, Error> {
    let placed = snapshot(file).and_then(|name| now.get(&keys::raw(name))).filter(|object| object.bytes == file.bytes);
    if placed.is_some_and(|placed| placed.etag == file.etag) {
        return Ok(Place::Accepted);
    }
    if now.get(&file.key).is_some_and(|landed| landed.etag == file.etag) {
        return Ok(Place::Landing);
    }
    for name in quarantine::names(&file.key, &file.etag, Naming::AsItWas) {
        let key = keys::quarantine_reason(&keys::quarantine(&name));
        let reason: Option<Reason> = objects::get_json(lake, &lake.config.buckets.raw, &key).await?;
        if let Some(reason) = reason.filter(|reason| reason.etag == file.etag) {
            let superseded = reason.reason == SUPERSEDED;
            return Ok(if superseded { Place::Superseded } else { Place::Quarantined(reason.message) });
        }
    }
    // With encryption by a key of KMS, a copy has another ETag.
    Ok(if placed.is_some() { Place::Accepted } else { Place::Unknown })
}

fn snapshot(file: &SentFile) -> Option<SnapshotName> {
    keys::file_name(&file.key).parse().ok()
}

fn add_up<'a>(before: &UploadedFiles, places: impl Iterator<Item = (&'a SentFile, Place)>) -> Settled {
    let mut settled = Settled::default();
    let mut seen = BTreeSet::new();
    for (file, place) in places {
        match place {
            Place::Accepted | Place::Superseded => {
                let name = keys::file_name(&file.key);
                if !seen.insert((name, &file.etag)) {
                    settled.repeated += 1;
                    continue;
                }
                settled.accepted += 1;
                let replaced = snapshot(file).map_or(0, |name| {
                    let forms = [name, SnapshotName { gzip: !name.gzip, ..name }];
                    forms.iter().filter(|form| before.get(&keys::raw(**form)).is_some()).count() as u64
                });
                settled.superseded += if place == Place::Superseded { 1 } else { replaced };
            }
            Place::Quarantined(reason) => settled.quarantined.push((keys::file_name(&file.key).to_owned(), reason)),
            Place::Landing | Place::Unknown => settled.unsettled.push(file.key.clone()),
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use lake::objects::Object;

    #[test]
    fn each_file_is_counted_once() {
        let file = |folder: &str, name: &str, etag: &str| SentFile {
            key: format!("landing/{folder}/{name}"),
            bytes: 3,
            etag: etag.to_owned(),
        };
        let (quotes, options) = ("202004011000_flashpanel.csv", "202004011000_options.csv");
        let key = "quotes/date=2020-04-01/202004011000_flashpanel.csv.gz".to_owned();
        let before = Object { key, bytes: 3, etag: "old".to_owned(), last_modified: None };
        let before: UploadedFiles = [before].into_iter().collect();
        let sent = [
            // Replaces the compressed form that was there.
            (file("a", quotes, "1"), Place::Accepted),
            // The same bytes.
            (file("b", quotes, "1"), Place::Accepted),
            // One options file of the folder replaces another.
            (file("a", options, "2"), Place::Superseded),
            (file("b", options, "3"), Place::Accepted),
            (file("b", "notes.txt", "4"), Place::Quarantined("it is no snapshot".to_owned())),
            (file("c", quotes, "5"), Place::Unknown),
            (file("d", quotes, "6"), Place::Landing),
        ];
        let settled = add_up(&before, sent.iter().map(|(file, place)| (file, place.clone())));
        assert_eq!(
            settled,
            Settled {
                accepted: 3,
                repeated: 1,
                superseded: 2,
                quarantined: vec![("notes.txt".to_owned(), "it is no snapshot".to_owned())],
                unsettled: vec![format!("landing/c/{quotes}"), format!("landing/d/{quotes}")],
            }
        );
    }
}
