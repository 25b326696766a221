//! Deduplication of uploads: finds the files that the raw bucket already has, so that an interrupted upload resumes and a
//! repeated one sends nothing.

use std::collections::HashMap;
use std::fs::File as OpenFile;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use lake::objects::{self, Object};
use lake::{Error, Lake, keys, raw_files};
use market::partition::DateRange;
use market::snapshot::SnapshotName;
use md5::{Digest, Md5};
use tokio::task::spawn_blocking;

use crate::raw_folder::File;

/// Whether the raw bucket has a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Uploaded {
    /// It does not.
    No,
    /// In `landing/`, from an interrupted upload.
    Landed { etag: String },
    /// In the place of its snapshot.
    Accepted,
}

/// The landed and the accepted objects of the raw bucket, by key.
#[derive(Debug, Default)]
pub(crate) struct UploadedFiles(HashMap<String, Object>);

impl UploadedFiles {
    /// Lists all landed objects, and the accepted raw files of `days`.
    pub(crate) async fn list(lake: &Lake, days: Option<DateRange>) -> Result<UploadedFiles, Error> {
        let landed = objects::list(lake, &lake.config.buckets.raw, keys::LANDING).await?;
        // Foreign objects among the raw files are ignored here: a run refuses them.
        let placed = match days {
            Some(days) => raw_files::scan(lake, days).await?,
            None => raw_files::RawListing::default(),
        };
        let placed = placed.files().iter().map(|file| file.object.clone());
        Ok(landed.into_iter().chain(placed).collect())
    }

    /// Returns the object at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Object> {
        self.0.get(key)
    }

    /// Looks for an object with the bytes of `file` at the key of the accepted snapshot, and at the key `landing`.
    ///
    /// Compares MD5 with ETag. The ETag of an object is its MD5 if it was uploaded in one part and is encrypted with S3's own
    /// key. If it is something else, the file is uploaded again, and `ingest` recognises it as a repetition.
    pub(crate) async fn find(&self, file: &File, landing: &str) -> anyhow::Result<Uploaded> {
        let same_size = |key: String| self.0.get(&key).filter(|object| object.bytes == file.bytes);
        let accepted = accepted_key(&file.path).and_then(same_size);
        let landed = same_size(landing.to_owned());
        if accepted.is_none() && landed.is_none() {
            return Ok(Uploaded::No);
        }
        let path = file.path.clone();
        let digest = spawn_blocking(move || md5_of(&path).with_context(|| format!("cannot read {}", path.display())));
        let digest = digest.await.context("the reading of a file was given up")??;
        let same_bytes = |object: Option<&Object>| object.is_some_and(|object| object.etag == digest);
        Ok(match (same_bytes(accepted), same_bytes(landed)) {
            // The landed file is moved in any case, and may replace another one.
            (_, true) => Uploaded::Landed { etag: digest },
            (true, false) => Uploaded::Accepted,
            (false, false) => Uploaded::No,
        })
    }
}

impl FromIterator<Object> for UploadedFiles {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        Self(objects.into_iter().map(|object| (object.key.clone(), object)).collect())
    }
}

/// Returns the key of the accepted snapshot of this name.
fn accepted_key(path: &Path) -> Option<String> {
    let name: SnapshotName = path.file_name()?.to_str()?.parse().ok()?;
    Some(keys::raw(name))
}

/// Returns the MD5 of a file in hexadecimal, as in an ETag.
pub(crate) fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = OpenFile::open(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(&buffer[..read]),
        }
    }
    Ok(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_there_when_its_bytes_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("202004011320_flashpanel.csv");
        std::fs::write(&path, "abc").expect("a file");
        let file = File { path, bytes: 3 };
        let object = |key: &str, bytes, etag: &str| Object {
            key: key.to_owned(),
            bytes,
            etag: etag.to_owned(),
            last_modified: None,
        };
        let known = |objects: Vec<Object>| objects.into_iter().collect::<UploadedFiles>();
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        let raw = "quotes/date=2020-04-01/202004011320_flashpanel.csv";
        let landing = "landing/202004011320_flashpanel.csv";
        let landed = Uploaded::Landed { etag: abc.to_owned() };
        for (objects, expected) in [
            (vec![], Uploaded::No),
            (vec![object(raw, 3, abc)], Uploaded::Accepted),
            (vec![object(landing, 3, abc)], landed.clone()),
            (vec![object(raw, 3, "0123")], Uploaded::No),
            (vec![object(raw, 4, abc)], Uploaded::No),
            (vec![object("landing/another.csv", 3, abc)], Uploaded::No),
            (vec![object(raw, 3, "0123"), object(landing, 3, abc)], landed.clone()),
            (vec![object(raw, 3, abc), object(landing, 3, abc)], landed),
            (vec![object(raw, 3, abc), object(landing, 3, "0123")], Uploaded::Accepted),
        ] {
            let words = format!("{objects:?}");
            assert_eq!(known(objects).find(&file, landing).await.expect("it is read"), expected, "{words}");
        }
    }
}
