//! The manifest of a folder of audited Parquet files, by which a later reader gets the audited bytes or an error.
//!
//! A manifest is in the folder of the files, as [`NAME`]. It lists each file with its size, ETag and rows, and with a checksum
//! of each block of its bytes ([`Checksums`]). A reader compares the listing of the folder with it before it reads
//! ([`Manifest::check`]), and verifies each block as it reads it ([`Checksums::verify`]). So it verifies the part of a file that
//! it needs without reading the whole file. The checksums cover all bytes: data, footers, indexes and page headers.
//!
//! Athena ignores objects whose names begin with `_`
//! (<https://docs.aws.amazon.com/athena/latest/ug/other-notable-limitations.html>), and so do Hive, Spark, Trino and
//! `pyarrow.dataset`. Therefore a manifest is never taken for data.

mod checksums;

use std::collections::{BTreeMap, BTreeSet};

pub use checksums::{ChecksumBuilder, Checksums, Damage};
use serde::{Deserialize, Serialize};

/// The name of a manifest in its folder.
pub const NAME: &str = "_manifest.json";

/// The table property that states that each partition of the table has a manifest. Athena keeps properties that it does not
/// know (<https://docs.aws.amazon.com/athena/latest/ug/alter-table-set-tblproperties.html>).
pub const PROPERTY: &str = "pregao.manifest";

/// The format version that this program writes and reads.
pub const VERSION: u32 = 1;

/// The audited files of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// The key prefix of the files: `runs/run=nightly-7/quotes/year=2020/month=4/day=1/`, that is run, table and day. It does not
    /// name the bucket, so that the manifests of a copied lake stay valid.
    pub folder: String,
    /// The files, sorted by name. Empty for a day without rows.
    pub files: Vec<AuditedFile>,
}

/// A file as it was audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditedFile {
    /// The key of the file, relative to the folder.
    pub name: String,
    /// The size in bytes.
    pub bytes: u64,
    /// The ETag, without quotes.
    pub etag: String,
    /// The number of rows, by the footer.
    pub rows: u64,
    /// The checksums of the bytes.
    pub checksums: Checksums,
}

/// A file as a listing of the folder shows it.
#[derive(Debug, Clone, Copy)]
pub struct ListedFile<'a> {
    /// The key of the file, relative to the folder.
    pub name: &'a str,
    /// The size in bytes.
    pub bytes: u64,
    /// The ETag without quotes, if it is known.
    pub etag: Option<&'a str>,
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// They are not JSON of the expected form.
    #[error("it is damaged: {0}")]
    Form(#[from] serde_json::Error),
    /// The manifest has a version that this program does not know.
    #[error("it has version {0}, and this program knows {VERSION}")]
    Version(u32),
    /// A file has another number of checksums than blocks.
    #[error("it is damaged: the checksums of {0} do not fit its size")]
    Checksums(String),
    /// A file is listed twice.
    #[error("it is damaged: it lists {0} twice")]
    Twice(String),
}

/// A difference between a folder and its manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The manifest is of another folder.
    #[error("{NAME} is that of {0}")]
    OtherFolder(String),
    /// An audited file does not exist.
    #[error("{0} is missing")]
    Missing(String),
    /// A file exists that was not audited.
    #[error("{0} was added after the audit")]
    Added(String),
    /// A file has another size.
    #[error("{name} has {found} bytes, and {audited} were audited")]
    Size {
        /// The name of the file.
        name: String,
        /// The size that was found.
        found: u64,
        /// The size that was audited.
        audited: u64,
    },
    /// A file has another ETag: it was overwritten.
    #[error("{name} was written after the audit: its ETag is {found}, and {audited} was audited")]
    Version {
        /// The name of the file.
        name: String,
        /// The ETag that was found.
        found: String,
        /// The ETag that was audited.
        audited: String,
    },
}

impl Difference {
    /// Returns the name of the file that differs, or that of the manifest if it is of another folder.
    pub fn name(&self) -> &str {
        match self {
            Self::OtherFolder(_) => NAME,
            Self::Missing(name) | Self::Added(name) | Self::Size { name, .. } | Self::Version { name, .. } => name,
        }
    }
}

impl Manifest {
    /// Returns the manifest of `folder`, which ends with a slash. The order of `files` does not matter.
    pub fn new(folder: String, mut files: Vec<AuditedFile>) -> Self {
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Self { version: VERSION, folder, files }
    }

    /// Returns the number of rows in all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).fold(0, u64::saturating_add)
    }

    /// Returns the size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// Returns the file called `name`.
    pub fn file(&self, name: &str) -> Option<&AuditedFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Parses a manifest.
    ///
    /// # Errors
    /// [`InvalidManifest`] for anything that [`Manifest::to_json`] did not write.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        if manifest.version != VERSION {
            return Err(InvalidManifest::Version(manifest.version));
        }
        let mut names = BTreeSet::new();
        for file in &manifest.files {
            if !file.checksums.fit(file.bytes) {
                return Err(InvalidManifest::Checksums(file.name.clone()));
            }
            if !names.insert(&file.name) {
                return Err(InvalidManifest::Twice(file.name.clone()));
            }
        }
        Ok(manifest)
    }

    /// Returns the manifest as JSON. The output is deterministic: the same files have the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest is JSON");
        text.push(b'\n');
        text
    }

    /// Compares the files in a folder with the audited files. `folder` is the key prefix of its files, and `found` are all
    /// files that a reader would take for data.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn check<'a>(&self, folder: &str, found: impl IntoIterator<Item = ListedFile<'a>>) -> Result<(), Difference> {
        self.differences(folder, found).into_iter().next().map_or(Ok(()), Err)
    }

    /// Compares like [`Manifest::check`], and returns all differences, those of audited files first.
    pub fn differences<'a>(&self, folder: &str, found: impl IntoIterator<Item = ListedFile<'a>>) -> Vec<Difference> {
        if self.folder != folder {
            return vec![Difference::OtherFolder(self.folder.clone())];
        }
        let found: BTreeMap<&str, ListedFile<'a>> = found.into_iter().map(|file| (file.name, file)).collect();
        let changed = self.files.iter().filter_map(|audited| {
            let name = audited.name.clone();
            let Some(file) = found.get(audited.name.as_str()) else {
                return Some(Difference::Missing(name));
            };
            if file.bytes != audited.bytes {
                return Some(Difference::Size { name, found: file.bytes, audited: audited.bytes });
            }
            let etag = file.etag.filter(|etag| *etag != audited.etag)?;
            Some(Difference::Version { name, found: etag.to_owned(), audited: audited.etag.clone() })
        });
        let added = found.keys().filter(|name| self.file(name).is_none());
        changed.chain(added.map(|name| Difference::Added((*name).to_owned()))).collect()
    }
}

impl AuditedFile {
    /// Verifies all bytes of the file.
    ///
    /// # Errors
    /// [`Damage`] for the first block that differs, and for missing or additional bytes.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Damage> {
        self.checksums.verify(0, bytes)?;
        let found = bytes.len() as u64;
        if found == self.bytes {
            return Ok(());
        }
        Err(Damage { range: found.min(self.bytes)..found.max(self.bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOLDER: &str = "runs/run=nightly-7/quotes/year=2020/month=4/day=1/";

    fn file(name: &str, bytes: &[u8]) -> AuditedFile {
        AuditedFile {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            etag: format!("etag-of-{name}"),
            rows: 7,
            checksums: Checksums::new(bytes),
        }
    }

    fn manifest() -> Manifest {
        Manifest::new(FOLDER.to_owned(), vec![file("b.parquet", &[7; 40_000]), file("a.parquet", b"PAR1")])
    }

    fn listed(manifest: &Manifest) -> Vec<ListedFile<'_>> {
        manifest
            .files
            .iter()
            .map(|file| ListedFile { name: &file.name, bytes: file.bytes, etag: Some(&file.etag) })
            .collect()
    }

    #[test]
    fn a_manifest_reads_back_and_is_the_same_bytes_each_time() {
        let written = manifest().to_json();
        let read = Manifest::from_json(&written).expect("a manifest");
        assert_eq!(read, manifest());
        assert_eq!(read.to_json(), written);
        assert_eq!((read.rows(), read.bytes()), (14, 40_004));
        assert_eq!(read.files[0].name, "a.parquet", "by name");
        let empty = Manifest::new(FOLDER.to_owned(), Vec::new());
        assert_eq!(Manifest::from_json(&empty.to_json()).expect("a manifest"), empty);
    }

    #[test]
    fn a_folder_that_is_as_it_was_audited_passes() {
        let manifest = manifest();
        assert_eq!(manifest.check(FOLDER, listed(&manifest)), Ok(()));
        let untagged = listed(&manifest).into_iter().map(|file| ListedFile { etag: None, ..file });
        assert_eq!(manifest.check(FOLDER, untagged), Ok(()));
        assert_eq!(Manifest::new(FOLDER.to_owned(), Vec::new()).check(FOLDER, []), Ok(()));
    }

    #[test]
    fn each_difference_names_the_file() {
        let manifest = manifest();
        let told = |folder: &str, change: &dyn Fn(&mut Vec<ListedFile<'_>>)| {
            let mut files = listed(&manifest);
            change(&mut files);
            manifest.check(folder, files).expect_err("a difference").to_string()
        };
        assert_eq!(told("quotes/other/", &|_| {}), format!("_manifest.json is that of {FOLDER}"));
        assert_eq!(told(FOLDER, &|files| files.truncate(1)), "b.parquet is missing");
        assert_eq!(
            told(FOLDER, &|files| files.push(ListedFile { name: "c.parquet", bytes: 1, etag: None })),
            "c.parquet was added after the audit"
        );
        assert_eq!(told(FOLDER, &|files| files[0].bytes = 0), "a.parquet has 0 bytes, and 4 were audited");
        assert_eq!(
            told(FOLDER, &|files| files[1].etag = Some("other")),
            "b.parquet was written after the audit: its ETag is other, and etag-of-b.parquet was audited"
        );
        assert_eq!(told(FOLDER, &|files| files.clear()), "a.parquet is missing");
    }

    #[test]
    fn all_differences_are_found_and_all_bytes_verified() {
        let manifest = manifest();
        let other = [ListedFile { name: "c", bytes: 1, etag: None }];
        assert_eq!(manifest.differences(FOLDER, other).len(), 3);
        let file = manifest.file("b.parquet").expect("a file");
        assert_eq!(file.verify(&vec![7; 40_000]), Ok(()));
        for (wrong, from) in [(vec![7; 16_384], 16_384), (vec![7; 39_999], 32_768), (vec![7; 40_001], 32_768)] {
            assert_eq!(file.verify(&wrong).expect_err("damage").range.start, from, "{}", wrong.len());
        }
    }

    #[test]
    fn what_this_program_did_not_write_is_refused() {
        let refused = |text: &str| Manifest::from_json(text.as_bytes()).expect_err(text).to_string();
        assert!(refused("").starts_with("it is damaged"));
        assert!(refused(r#"{"version": 1, "folder": "x/"}"#).contains("missing field `files`"));
        assert!(refused(r#"{"version": 1, "folder": "x/", "files": [], "more": 1}"#).contains("unknown field"));
        assert_eq!(
            refused(r#"{"version": 2, "folder": "x/", "files": []}"#),
            "it has version 2, and this program knows 1"
        );
        let mut short = manifest();
        short.files[1].bytes = 70_000;
        let short = String::from_utf8(short.to_json()).expect("text");
        assert_eq!(refused(&short), "it is damaged: the checksums of b.parquet do not fit its size");
        let twice = Manifest::new(FOLDER.to_owned(), vec![file("a", b"x"), file("a", b"x")]);
        assert_eq!(refused(&String::from_utf8(twice.to_json()).expect("text")), "it is damaged: it lists a twice");
    }

    proptest! {
        /// A flipped bit in a manifest never lets other bytes pass for those that were audited.
        #[test]
        fn a_flipped_bit_changes_no_file_in_silence(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let whole = manifest();
            let mut json = whole.to_json();
            let at = at.index(json.len());
            json[at] ^= 1 << bit;
            if let Ok(flipped) = Manifest::from_json(&json)
                && flipped.check(FOLDER, listed(&whole)).is_ok()
            {
                for (file, flipped) in whole.files.iter().zip(&flipped.files) {
                    prop_assert_eq!(&flipped.name, &file.name);
                    let bytes = if file.bytes == 4 { b"PAR1".to_vec() } else { vec![7; 40_000] };
                    let mut harmed = bytes.clone();
                    harmed[0] ^= 1;
                    prop_assert!(flipped.checksums.verify(0, &harmed).is_err());
                }
            }
        }
    }
}
