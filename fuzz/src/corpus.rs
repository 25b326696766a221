//! The files of a target that are in the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the corpus.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// The files of `corpus/NAME/` in the order of their names. A target without any panics: it would have a wrong name.
pub(crate) fn read(target: &str) -> Vec<Sample> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the corpus").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no file: put one there that the target accepts", folder.display());
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Sample { path, bytes }
        })
        .collect()
}

/// Where a target's files are.
pub(crate) fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
