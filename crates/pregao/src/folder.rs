//! The files of a folder, at any depth.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::hint::{Hint, fail};

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    pub bytes: u64,
}

/// Every file below `folder`, in the order of their paths. A folder without a file is an error: nobody means it.
pub fn files(folder: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    collect(folder, &mut files).hint("give the path of a folder of raw files that can be read")?;
    if files.is_empty() {
        return fail(
            format!("{} is empty: there is no file in it", folder.display()),
            "pregao sample --out DIR writes some raw files",
        );
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<File>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    for entry in entries {
        let mut path = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?.path();
        // Of tens of thousands of files, most of the memory is that of their paths.
        path.shrink_to_fit();
        // Links are followed: a raw file may lie on another disk.
        let data = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if data.is_dir() {
            collect(&path, files)?;
        } else if data.is_file() {
            files.push(File { path, bytes: data.len() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_at_any_depth_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("b/c")).expect("a folder");
        for name in ["z", "b/y", "b/c/x"] {
            fs::write(folder.path().join(name), name).expect("a file");
        }
        let files = files(folder.path()).expect("files");
        let found: Vec<_> = files.iter().map(|file| file.path.strip_prefix(folder.path()).expect("below")).collect();
        assert_eq!(found, [Path::new("b/c/x"), Path::new("b/y"), Path::new("z")]);
        assert_eq!(files[0].bytes, 5);
    }

    #[test]
    fn a_folder_that_is_missing_or_empty_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = files(folder.path()).expect_err("no files").to_string();
        assert!(empty.contains("is empty"), "{empty}");
        let missing = files(&folder.path().join("nowhere")).expect_err("no folder").to_string();
        assert!(missing.contains("nowhere"), "{missing}");
    }
}
