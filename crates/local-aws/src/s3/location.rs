//! Which file holds which key.
//!
//! A key that can be a path is one: `HOME/s3/<bucket>/<key>`, so that any tool reads the lake as plain
//! files. A key that cannot (`a//b`, `../x`, a trailing `/`, a component longer than a file name, `a` where
//! `a/b` exists) is kept under its hash in `HOME/s3-odd/<bucket>/`. So no key leaves its bucket.

use std::io;
use std::path::{Path, PathBuf};

use s3s::crypto::{Checksum as _, Sha256};

use super::digest::hex;

/// The longest file name that common file systems hold, in bytes.
const LONGEST_NAME: usize = 255;

/// The folders of a home in which objects are.
pub(crate) const FOLDERS: [&str; 2] = ["s3", "s3-odd"];

/// Where a key's bytes are, relative to the home. Kept in the index, because it depends on what
/// existed when the object was first written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Location(String);

impl Location {
    /// The key as a path, unless no file system can hold it.
    pub(super) fn plain(bucket: &str, key: &str) -> Option<Location> {
        key.split('/').all(is_file_name).then(|| Location(format!("s3/{bucket}/{key}")))
    }

    /// The place that any key can have.
    pub(super) fn odd(bucket: &str, key: &str) -> Location {
        Location(format!("s3-odd/{bucket}/{}", hex(&Sha256::checksum(key.as_bytes()))))
    }

    /// As it was stored in the index.
    pub(super) fn stored(text: String) -> Location {
        Location(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The bucket that the key is in.
    pub(super) fn bucket(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    pub(super) fn under(&self, home: &Path) -> PathBuf {
        home.join(&self.0)
    }
}

fn is_file_name(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && component.len() <= LONGEST_NAME && !component.contains('\0')
}

/// Whether an error in making or renaming a file says that this file system cannot have that path, while
/// it may well have another one.
pub(super) fn path_is_refused(error: &io::Error) -> bool {
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
            let plain = Location::plain("b", key).unwrap_or_else(|| panic!("{key} is a path"));
            assert_eq!(plain.as_str(), format!("s3/b/{key}"));
        }
        for key in ["", "/a", "a/", "a//b", ".", "..", "../b", "a/../b", "a/./b", "a\0b", too_long.as_str()] {
            assert_eq!(Location::plain("b", key), None, "{key:?}");
        }
    }

    #[test]
    fn odd_places_are_one_file_name_and_differ() {
        let (one, other) = (Location::odd("b", "../../etc/passwd"), Location::odd("b", "a//b"));
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), "s3-odd/b/".len() + 64);
        assert!(!one.as_str().contains(".."));
    }
}
