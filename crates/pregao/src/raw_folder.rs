//! Finds the raw files below a folder.
//!
//! Symbolic links are followed, because a raw file may be on another disk, except to folders that were visited already.
//! Entries that cannot be read are reported and skipped, so that one of them does not prevent the upload of the others.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error_report::{Hint, fail, hinted};
use crate::format;
use crate::progress::Progress;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub path: PathBuf,
    pub bytes: u64,
}

/// The content of a folder.
#[derive(Debug, Default)]
pub(crate) struct FolderContent {
    /// Its files, sorted by path.
    pub files: Vec<File>,
    /// Skipped entries, sorted by path.
    pub skipped: Vec<SkippedEntry>,
}

/// A skipped entry of a folder.
#[derive(Debug)]
pub(crate) struct SkippedEntry {
    pub path: PathBuf,
    pub reason: SkipReason,
}

/// Why an entry of a folder was skipped.
#[derive(Debug)]
pub(crate) enum SkipReason {
    /// A dangling symbolic link: the lock file of an editor, or a link whose target was moved.
    BrokenLink,
    /// A symbolic link to a folder that was visited already.
    Loop,
    /// A pipe, a socket, a device.
    NotAFile,
    /// It exists and cannot be read.
    Unreadable(io::Error),
}

impl SkipReason {
    /// Whether the entry may be a raw file that is missing from the result.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self, SkipReason::Unreadable(_))
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::BrokenLink => f.write_str("it is a link to nothing"),
            SkipReason::Loop => f.write_str("it is a link to a folder that is read already"),
            SkipReason::NotAFile => f.write_str("it is neither a file nor a folder"),
            SkipReason::Unreadable(error) => write!(f, "it cannot be read: {error}"),
        }
    }
}

/// Finds all files below `folder`.
///
/// # Errors
/// If the folder cannot be read or has no file, which is never intended.
pub(crate) fn scan(folder: &Path) -> anyhow::Result<FolderContent> {
    let found = read(folder)?;
    if found.files.is_empty() && !found.skipped.iter().any(|passed| passed.reason.is_loss()) {
        return fail(
            format!("{} is empty: there is no file in it", folder.display()),
            "pregao sample --out DIR writes some raw files",
        );
    }
    Ok(found)
}

/// [`scan`] of a folder that may be empty.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn read(folder: &Path) -> anyhow::Result<FolderContent> {
    let mut found = FolderContent::default();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()));
    let entries = entries.hint("give the path of a folder of raw files that can be read")?;
    let own = fs::canonicalize(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut seen = BTreeSet::from([own]);
    found.collect(folder, entries, &mut seen);
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

impl FolderContent {
    /// Prints a warning for each skipped entry.
    pub(crate) fn warn(&self, progress: &Progress) {
        for SkippedEntry { path, reason } in &self.skipped {
            progress.warning(&format!("warning: {} is passed over: {reason}", path.display()));
        }
    }

    /// Returns an error if any entry could not be read.
    pub(crate) fn refused(&self) -> Option<anyhow::Error> {
        let lost = self.skipped.iter().filter(|passed| passed.reason.is_loss()).count();
        (lost > 0).then(|| {
            hinted(
                anyhow::anyhow!("{} of the folder cannot be read; all others were taken", format::counted(lost as u64, "item")),
                "make them readable, each of which is named with its reason, and start again; or move them out of the folder",
            )
        })
    }

    fn skip(&mut self, path: PathBuf, reason: SkipReason) {
        self.skipped.push(SkippedEntry { path, reason });
    }

    // Not the crate walkdir: it finds only links to a folder that contains them, so a folder with two links would be read
    // twice; and its error for a link to an unreadable folder does not name the link.
    fn collect(&mut self, folder: &Path, entries: fs::ReadDir, seen: &mut BTreeSet<PathBuf>) {
        // Links come last: a link to a folder inside is then the one that is skipped.
        let mut linked = Vec::new();
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) if kind.is_symlink() => linked.push(entry),
                Ok((kind, entry)) => self.add(path_of(&entry), kind, seen),
                Err(error) => self.skip(folder.to_owned(), SkipReason::Unreadable(error)),
            }
        }
        for entry in linked {
            let path = path_of(&entry);
            match fs::metadata(&path) {
                Ok(target) => self.add(path, target.file_type(), seen),
                Err(error) if leads_nowhere(&error) => self.skip(path, SkipReason::BrokenLink),
                Err(error) => self.skip(path, SkipReason::Unreadable(error)),
            }
        }
    }

    /// Adds a file, or the files below a folder.
    fn add(&mut self, path: PathBuf, kind: FileType, seen: &mut BTreeSet<PathBuf>) {
        if kind.is_dir() {
            match fs::canonicalize(&path) {
                Ok(own) => match (seen.insert(own), fs::read_dir(&path)) {
                    (false, _) => self.skip(path, SkipReason::Loop),
                    (true, Ok(entries)) => self.collect(&path, entries, seen),
                    (true, Err(error)) => self.skip(path, SkipReason::Unreadable(error)),
                },
                Err(error) => self.skip(path, SkipReason::Unreadable(error)),
            }
        } else if kind.is_file() {
            // Opened, because only opening shows whether it can be read.
            match fs::File::open(&path).and_then(|file| file.metadata()) {
                Ok(data) => self.files.push(File { path, bytes: data.len() }),
                Err(error) => self.skip(path, SkipReason::Unreadable(error)),
            }
        } else {
            self.skip(path, SkipReason::NotAFile);
        }
    }
}

fn path_of(entry: &DirEntry) -> PathBuf {
    let mut path = entry.path();
    // With tens of thousands of files, most of the memory is their paths.
    path.shrink_to_fit();
    path
}

/// Whether an error means that a symbolic link is dangling or leads back to itself.
fn leads_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    // `ErrorKind` has no stable variant for a loop of links; on Linux it is ELOOP.
    const LOOP: i32 = 40;
    matches!(error.kind(), NotFound | NotADirectory) || error.raw_os_error() == Some(LOOP)
}

/// Returns an error if the two folders are the same, or one is inside the other, after resolving links.
pub(crate) fn refuse_overlap(raw: &Path, out: &Path) -> anyhow::Result<()> {
    let of_raw = fs::canonicalize(raw).with_context(|| format!("cannot read the folder {}", raw.display()));
    let of_raw = of_raw.hint("give the path of a folder of raw files that can be read")?;
    let of_out = canonical(out).with_context(|| format!("cannot read the folder {}", out.display()))?;
    let how = if of_raw == of_out {
        "is the folder of the raw files"
    } else if of_out.starts_with(&of_raw) {
        "lies in the folder of the raw files"
    } else if of_raw.starts_with(&of_out) {
        "holds the folder of the raw files"
    } else {
        return Ok(());
    };
    fail(
        format!("--out {} {how}, --raw {}: tables would be written among them", out.display(), raw.display()),
        "name another folder for --out",
    )
}

/// Resolves links in a path, also if its last parts do not exist yet.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match fs::canonicalize(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(parent), Some(name)) = (path.parent(), path.components().next_back()) else { return Err(error) };
            let parent = canonical(parent)?;
            Ok(match name {
                std::path::Component::ParentDir => parent.parent().map_or(parent.clone(), Path::to_owned),
                name => parent.join(name),
            })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path) -> (Vec<PathBuf>, Vec<(PathBuf, String)>) {
        let found = scan(folder).expect("files");
        let below = |path: &Path| path.strip_prefix(folder).expect("below").to_owned();
        let passed = found.skipped.iter().map(|passed| (below(&passed.path), passed.reason.to_string()));
        (found.files.iter().map(|file| below(&file.path)).collect(), passed.collect())
    }

    fn written(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, name).expect("a file");
        }
    }

    #[test]
    fn files_are_found_at_any_depth_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), &["z", "b/y", "b/c/x"]);
        let found = scan(folder.path()).expect("files");
        let paths: Vec<_> =
            found.files.iter().map(|file| file.path.strip_prefix(folder.path()).expect("below")).collect();
        assert_eq!(paths, [Path::new("b/c/x"), Path::new("b/y"), Path::new("z")]);
        assert_eq!(found.files[0].bytes, 5);
        assert!(found.skipped.is_empty() && found.refused().is_none());
    }

    #[test]
    fn a_folder_that_is_missing_or_empty_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = scan(folder.path()).expect_err("no files").to_string();
        assert!(empty.contains("is empty"), "{empty}");
        let missing = scan(&folder.path().join("nowhere")).expect_err("no folder").to_string();
        assert!(missing.contains("nowhere"), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_unless_they_lead_nowhere_or_back() {
        use std::os::unix::fs::symlink;
        let (folder, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (root, other) = (folder.path(), elsewhere.path());
        written(root, &["a/x", "good"]);
        written(other, &["one", "more/two"]);
        for (target, link) in [
            (Path::new("user@host.1234"), ".#good"),
            (Path::new("good/x"), "through a file"),
            (Path::new("itself"), "itself"),
            (Path::new("."), "loop"),
            (Path::new(".."), "a/up"),
            (Path::new("a"), "b"),
            (&other.join("one"), "file"),
            (&other.join("more"), "folder"),
            (&other.join("more"), "folder again"),
        ] {
            symlink(target, root.join(link)).expect("a link");
        }
        let nowhere = "it is a link to nothing";
        let back = "it is a link to a folder that is read already";
        let (files, passed) = found(root);
        assert_eq!(files[..2], ["a/x", "file"].map(PathBuf::from));
        assert_eq!(files.len(), 4, "{files:?}");
        assert!(files.iter().any(|path| path.ends_with("two")) && files.iter().any(|path| path.ends_with("good")));
        let told = |path: &str| {
            let found = passed.iter().find(|(passed, _)| passed == Path::new(path));
            found.map(|(_, why)| why.as_str())
        };
        for (path, why) in [
            (".#good", nowhere),
            ("through a file", nowhere),
            ("itself", nowhere),
            ("loop", back),
            ("a/up", back),
            ("b", back),
        ] {
            assert_eq!(told(path), Some(why), "{path}");
        }
        assert_eq!(passed.len(), 7, "and one of the two links to one folder: {passed:?}");
        assert!(scan(root).expect("files").refused().is_none(), "nothing of these is a raw file that is left out");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_in_the_end() {
        let mut found = FolderContent::default();
        found.skip("x".into(), SkipReason::Unreadable(io::ErrorKind::PermissionDenied.into()));
        found.skip("y".into(), SkipReason::BrokenLink);
        let refused = found.refused().expect("an error").to_string();
        assert!(refused.starts_with("1 item of the folder cannot be read"), "{refused}");
    }

    #[test]
    fn folders_that_overlap_are_refused_however_they_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), &["raw/x", "other/y"]);
        let at = |path: &str| folder.path().join(path);
        for (out, how) in [
            ("raw", "is the folder"),
            ("raw/", "is the folder"),
            ("other/../raw", "is the folder"),
            ("raw/new/deeper", "lies in"),
            ("", "holds"),
            ("new/..", "holds"),
        ] {
            let refused =
                refuse_overlap(&at("raw"), &at(out)).map_or_else(|error| error.to_string(), |()| out.to_owned());
            assert!(refused.contains(how), "{out}: {refused}");
        }
        for out in ["other", "raw2", "rawer/raw", "new"] {
            refuse_overlap(&at("raw"), &at(out)).unwrap_or_else(|error| panic!("{out}: {error}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_raw_files_is_the_folder_of_the_raw_files() {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), &["raw/x"]);
        std::os::unix::fs::symlink("raw", folder.path().join("out")).expect("a link");
        for (raw, out) in [("raw", "out"), ("out", "raw"), ("raw", "out/new")] {
            assert!(refuse_overlap(&folder.path().join(raw), &folder.path().join(out)).is_err(), "{out}");
        }
    }
}
