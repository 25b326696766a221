//! What the raw bucket holds already of the files of a folder, so that an upload that was broken off goes on where it
//! was, and one that is repeated sends nothing.

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

use crate::folder::File;

/// The objects that a file may be there as, by their keys.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, Object>);

impl Known {
    /// Lists what has landed, and what lies in its place of these days.
    pub async fn of(lake: &Lake, days: Option<DateRange>) -> Result<Known, Error> {
        let landed = objects::list(lake, &lake.config.buckets.raw, keys::LANDING).await?;
        // What lies among the raw files and does not belong there is for a run to refuse.
        let placed = match days {
            Some(days) => raw_files::scan(lake, days).await?,
            None => raw_files::RawListing::default(),
        };
        let placed = placed.files().iter().map(|file| file.object.clone());
        Ok(Known(landed.into_iter().chain(placed).map(|object| (object.key.clone(), object)).collect()))
    }

    /// Whether the bytes of `file` have landed under `landing`, or are in their place.
    ///
    /// An object's tag is the MD5 of its bytes where it was sent in one piece and is encrypted with S3's own key. Where
    /// it is something else, the file is sent once more, and the workflow finds that it is there.
    pub async fn hold(&self, file: &File, landing: &str) -> anyhow::Result<bool> {
        let places = [Some(landing.to_owned()), place(&file.path)];
        let same_size = |object: &&Object| object.bytes == file.bytes;
        let tags: Vec<&str> = places
            .iter()
            .flatten()
            .filter_map(|key| self.0.get(key))
            .filter(same_size)
            .map(|object| object.etag.as_str())
            .collect();
        if tags.is_empty() {
            return Ok(false);
        }
        let path = file.path.clone();
        let digest = spawn_blocking(move || md5_of(&path).with_context(|| format!("cannot read {}", path.display())));
        let digest = digest.await.context("the reading of a file was given up")??;
        Ok(tags.contains(&digest.as_str()))
    }
}

/// The key of an accepted snapshot of this name.
fn place(path: &Path) -> Option<String> {
    let name: SnapshotName = path.file_name()?.to_str()?.parse().ok()?;
    Some(keys::raw(name))
}

/// The MD5 of a file, as an object's tag has it.
pub fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = OpenFile::open(path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(&buffer[..read]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
        let known =
            |objects: Vec<Object>| Known(objects.into_iter().map(|object| (object.key.clone(), object)).collect());
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        let raw = "quotes/date=2020-04-01/202004011320_flashpanel.csv";
        let landing = "landing/202004011320_flashpanel.csv";
        for (objects, there) in [
            (vec![], false),
            (vec![object(raw, 3, abc)], true),
            (vec![object(landing, 3, abc)], true),
            (vec![object(raw, 3, "0123")], false),
            (vec![object(raw, 4, abc)], false),
            (vec![object("landing/another.csv", 3, abc)], false),
            (vec![object(raw, 3, "0123"), object(landing, 3, abc)], true),
        ] {
            let words = format!("{objects:?}");
            assert_eq!(known(objects).hold(&file, landing).await.expect("it is read"), there, "{words}");
        }
    }
}
