//! The manifest that an audit leaves beside the files of a folder, as far as it is needed to compare them: read here by itself,
//! so that what writes manifests is not what judges them.

use flate2::Crc;
use serde::Deserialize;

/// The name of a manifest in its folder. Names that begin with `_` are no data to any engine.
pub const NAME: &str = "_manifest.json";

/// The property of a table of which each partition has a manifest.
pub const PROPERTY: &str = "pregao.manifest";

/// The version that this program knows.
const VERSION: u32 = 1;

/// What an audit saw of a folder.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    version: u32,
    /// What the keys of the files start with.
    folder: String,
    /// The files.
    pub files: Vec<Audited>,
}

/// A file as it was audited.
#[derive(Debug, Deserialize)]
pub struct Audited {
    /// What its key has behind the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    etag: String,
    /// Its rows.
    pub rows: u64,
    checksums: Checksums,
}

/// The CRC-32 of each block of a file, as eight hexadecimal digits each.
#[derive(Debug, Deserialize)]
struct Checksums {
    block_bytes: usize,
    crc32: String,
}

impl Manifest {
    /// Reads a manifest, which has to be that of `folder`: the key's beginning, or the end of a path.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(bytes: &[u8], folder: &str) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))?;
        if manifest.version != VERSION {
            return Err(format!("it has version {}, and this program knows {VERSION}", manifest.version));
        }
        if !folder.ends_with(&manifest.folder) {
            return Err(format!("it is that of {}", manifest.folder));
        }
        Ok(manifest)
    }

    /// The rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).fold(0, u64::saturating_add)
    }

    /// How files, each with name, size and ETag, differ from those that were audited: the name, what is expected, what was found.
    pub fn differences<'a>(
        &self,
        files: impl Iterator<Item = (&'a str, u64, &'a str)>,
    ) -> Vec<(String, String, String)> {
        let files: Vec<_> = files.collect();
        let mut differences = Vec::new();
        for Audited { name, bytes, etag, .. } in &self.files {
            let expected = format!("{bytes} bytes with the ETag {etag}, as audited");
            match files.iter().find(|(found, ..)| found == name) {
                None => differences.push((name.clone(), expected, "no file".to_owned())),
                Some((_, found, tag)) if found != bytes || tag != etag => {
                    differences.push((name.clone(), expected, format!("{found} bytes with the ETag {tag}")));
                }
                Some(_) => {}
            }
        }
        for (name, bytes, _) in files {
            if !self.files.iter().any(|audited| audited.name == name) {
                let found = format!("a file of {bytes} bytes");
                differences.push((name.to_owned(), "no file, as audited".to_owned(), found));
            }
        }
        differences
    }
}

impl Audited {
    /// The first bytes that are not those that were audited, if any: what is expected, and what was found.
    pub fn damage(&self, bytes: &[u8]) -> Option<(String, String)> {
        if bytes.len() as u64 != self.bytes {
            return Some((format!("{} bytes, as audited", self.bytes), format!("{} bytes", bytes.len())));
        }
        let block = self.checksums.block_bytes.max(1);
        let mut at = 0;
        let mut digits = self.checksums.crc32.as_bytes().chunks(8);
        for bytes in bytes.chunks(block) {
            let mut crc = Crc::new();
            crc.update(bytes);
            let found = format!("{:08x}", crc.sum());
            let expected = String::from_utf8_lossy(digits.next().unwrap_or_default()).into_owned();
            if !expected.eq_ignore_ascii_case(&found) {
                let place = format!("bytes {at} to {}", at + bytes.len());
                return Some((format!("the CRC-32 {expected} of {place}, as audited"), format!("the CRC-32 {found}")));
            }
            at += bytes.len();
        }
        digits.next().map(|_| ("checksums of the whole file".to_owned(), "more of them".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "quotes/year=2020/month=4/day=1/run=a/";

    fn manifest(crc: &str) -> Vec<u8> {
        let checksums = serde_json::json!({ "block_bytes": 4, "crc32": crc });
        let file = serde_json::json!({ "name": "a", "bytes": 9, "etag": "e", "rows": 7, "checksums": checksums });
        serde_json::to_vec(&serde_json::json!({ "version": 1, "folder": FOLDER, "files": [file] })).expect("JSON")
    }

    /// The CRC-32 of `1234`, `5678` and `9`, by zlib.
    const CRC: &str = "9be3e0a37e5256078d076785";

    #[test]
    fn files_are_compared_by_name_size_and_etag() {
        let manifest = Manifest::read(&manifest(CRC), FOLDER).expect("a manifest");
        assert_eq!(manifest.rows(), 7);
        assert!(manifest.differences([("a", 9, "e")].into_iter()).is_empty());
        for files in [vec![], vec![("a", 8, "e")], vec![("a", 9, "f")], vec![("a", 9, "e"), ("b", 1, "e")]] {
            assert_eq!(manifest.differences(files.iter().copied()).len(), 1, "{files:?}");
        }
    }

    #[test]
    fn a_manifest_of_another_folder_is_none() {
        for (bytes, said) in [(manifest(CRC), "it is that of"), (b"{".to_vec(), "it is damaged")] {
            let error = Manifest::read(&bytes, "quotes/year=2020/month=4/day=2/run=a/").expect_err(said);
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let good = b"123456789";
        let manifest = Manifest::read(&manifest(CRC), FOLDER).expect("a manifest");
        assert_eq!(manifest.files[0].damage(good), None);
        for at in 0..good.len() {
            let mut bytes = *good;
            bytes[at] ^= 1;
            let (_, found) = manifest.files[0].damage(&bytes).expect("damage");
            assert!(found.starts_with("the CRC-32"), "{found}");
        }
        assert!(manifest.files[0].damage(&good[..8]).is_some());
    }
}
