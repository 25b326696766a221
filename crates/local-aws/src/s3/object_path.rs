//! The paths of objects' files.
//!
//! A key that is a valid path is used as one, `HOME/s3/<bucket>/<key>`, so that any tool reads the lake as plain files. The
//! file of any other key (`a//b`, `../x`, a trailing `/`, a component longer than a file name, `a` where `a/b` exists) is
//! named by the key's SHA-256, in `HOME/s3-odd/<bucket>/`. No key can leave the folder of its bucket (path traversal).

use std::io;
use std::path::{Path, PathBuf};

use s3s::crypto::{Checksum as _, Sha256};

/// The maximum length of a file name on common file systems, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The folders of a home that hold objects.
pub(crate) const OBJECT_FOLDERS: [&str; 2] = ["s3", "s3-odd"];

/// The path of an object's file, relative to the home. It is stored in the index, because it depends on which files existed
/// when the object was first written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ObjectPath(String);

impl ObjectPath {
    /// Returns the key as a path. `None` if file systems cannot have that path.
    pub(super) fn from_key(bucket: &str, key: &str) -> Option<ObjectPath> {
        key.split('/').all(is_file_name).then(|| ObjectPath(format!("s3/{bucket}/{key}")))
    }

    /// Returns the path with the hash of the key, which exists for any key.
    pub(super) fn hashed(bucket: &str, key: &str) -> ObjectPath {
        ObjectPath(format!("s3-odd/{bucket}/{}", hex::encode(Sha256::checksum(key.as_bytes()))))
    }

    /// Returns a path that was read from the index.
    pub(super) fn from_stored(text: String) -> ObjectPath {
        ObjectPath(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the bucket of the object.
    pub(super) fn bucket(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// Returns the absolute path.
    pub(super) fn in_home(&self, home: &Path) -> PathBuf {
        home.join(&self.0)
    }
}

fn is_file_name(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && component.len() <= MAX_NAME_BYTES && !component.contains('\0')
}

/// Whether an error of creating or renaming a file means that the file system cannot have this path, though it may have
/// another one.
pub(super) fn is_path_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
    matches!(
        error.kind(),
        AlreadyExists | DirectoryNotEmpty | InvalidFilename | InvalidInput | IsADirectory | NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_paths_are_plain() {
        let long = "x".repeat(255);
        let too_long = "x".repeat(256);
        for key in ["a", "quotes/date=2020-04-01/202004011320_flashpanel.csv", "...", "a b/ç", ".hidden", long.as_str()]
        {
            let plain = ObjectPath::from_key("b", key).unwrap_or_else(|| panic!("{key} is a path"));
            assert_eq!(plain.as_str(), format!("s3/b/{key}"));
        }
        for key in ["", "/a", "a/", "a//b", ".", "..", "../b", "a/../b", "a/./b", "a\0b", too_long.as_str()] {
            assert_eq!(ObjectPath::from_key("b", key), None, "{key:?}");
        }
    }

    #[test]
    fn odd_places_are_one_file_name_and_differ() {
        let (one, other) = (ObjectPath::hashed("b", "../../etc/passwd"), ObjectPath::hashed("b", "a//b"));
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), "s3-odd/b/".len() + 64);
        assert!(!one.as_str().contains(".."));
    }
}
