//! Integrity checks of a home: its databases by their checksums, and its objects by the index. Each problem is a value with the
//! file, what was expected and what was found.
//!
//! [`databases`] is for a home that no process owns. [`objects`] also works on one that is in use.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rusqlite::{Connection, OpenFlags};

use crate::s3::{self, Difference, Object};
use crate::seal;

pub use crate::seal::Damaged;

/// A file that does not match the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path.
    pub file: PathBuf,
    /// Bucket and key of the object. `None` for a file that is not an object.
    pub object: Option<(String, String)>,
    /// The kind of problem.
    pub kind: ProblemKind,
}

/// A kind of mismatch between a file and the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file of an object does not exist.
    Missing {
        /// The size by the index, in bytes.
        expected: u64,
    },
    /// The file has another size.
    Size {
        /// The size by the index, in bytes.
        expected: u64,
        /// The size of the file, in bytes.
        found: u64,
    },
    /// The file has the right size and other bytes.
    Bytes {
        /// The ETag or checksum by the index.
        expected: String,
        /// The ETag or checksum of the bytes.
        found: String,
    },
    /// The file cannot be read.
    Unreadable {
        /// The system's reason.
        reason: String,
    },
    /// The file is in a folder of objects, and is not an object.
    Additional,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((bucket, key)) = &self.object {
            write!(f, ", the object {key} of {bucket},")?;
        }
        match &self.kind {
            ProblemKind::Missing { expected } => write!(f, " is missing: it had {expected} bytes"),
            ProblemKind::Size { expected, found } => write!(f, " has {found} bytes, and had {expected}"),
            ProblemKind::Bytes { expected, found } => write!(f, " has {found}, and had {expected}"),
            ProblemKind::Unreadable { reason } => write!(f, " cannot be read: {reason}"),
            ProblemKind::Additional => write!(f, " is no object: it was put there, or is left of a write that died"),
        }
    }
}

/// Returns the databases of a home that differ from what was closed, or that SQLite finds damaged. Read-only.
pub fn databases(home: &Path) -> Vec<Damaged> {
    ["state.db", "catalog.db"].iter().filter_map(|name| seal::check(&home.join(name)).err()).collect()
}

/// Returns the files of a home that do not match the index, ordered by path. Compares sizes; with `deep`, also the ETag and the
/// checksum of each object with its bytes, on all cores.
///
/// # Errors
/// [`Damaged`] when the index cannot be read.
pub fn objects(home: &Path, deep: bool) -> Result<Vec<Problem>, Damaged> {
    let database = home.join("state.db");
    let failed = |error: rusqlite::Error| Damaged::unreadable(&database, &error);
    let index = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let mut rows = Vec::new();
    s3::for_each(&index, |bucket, object| rows.push((bucket.to_owned(), object))).map_err(failed)?;
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let compare = || {
        while let Some((bucket, object)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(problem) = problem(bucket, object, &object.file(home), deep) {
                found.lock().expect("no thread panics while it holds this").push((bucket, object, problem));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(compare);
        }
    });
    let mut problems = Vec::new();
    for (bucket, object, problem) in found.into_inner().expect("no thread panics while it holds this") {
        // If the home is in use, the object may have been replaced or deleted since its row was read.
        if s3::find(&index, bucket, &object.key).map_err(failed)?.as_ref() == Some(object) {
            problems.push(problem);
        }
    }
    let known: HashSet<PathBuf> = rows.iter().map(|(_, object)| object.file(home)).collect();
    let mut others = Vec::new();
    for folder in s3::OBJECT_FOLDERS {
        files_below(&home.join(folder), &mut others);
    }
    others.retain(|file| !known.contains(file));
    if !others.is_empty() {
        let mut now = HashSet::new();
        s3::for_each(&index, |_, object| _ = now.insert(object.file(home))).map_err(failed)?;
        others.retain(|file| !now.contains(file));
    }
    problems.extend(others.into_iter().map(|file| Problem { file, object: None, kind: ProblemKind::Additional }));
    problems.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(problems)
}

/// Compares the file of an object with its row. Returns `None` if they match.
pub(crate) fn problem(bucket: &str, object: &Object, file: &Path, deep: bool) -> Option<Problem> {
    let expected = object.size;
    let kind = match s3::difference(file, object, deep) {
        Ok(None) => return None,
        Ok(Some(Difference::Missing)) => ProblemKind::Missing { expected },
        Ok(Some(Difference::Size(found))) => ProblemKind::Size { expected, found },
        Ok(Some(Difference::Bytes { expected, found })) => ProblemKind::Bytes { expected, found },
        Err(error) => ProblemKind::Unreadable { reason: error.to_string() },
    };
    Some(Problem { file: file.to_owned(), object: Some((bucket.to_owned(), object.key.clone())), kind })
}

/// Collects all files below a folder, which may not exist. A folder that cannot be read is skipped: the objects in it are
/// reported as unreadable.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), files),
            _ => files.push(entry.path()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::home::Home;
    use crate::s3::{Attributes, ObjectStore, SCHEMA, Staged, WriteCondition};
    use crate::state::State;

    #[test]
    fn every_difference_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::own(folder.path()).unwrap());
        let state = Arc::new(State::open(&home.state(), &[SCHEMA]).unwrap());
        let store = ObjectStore::open(&home, Arc::clone(&state)).unwrap();
        store.ensure_bucket("b").unwrap();
        for key in ["cut", "flipped", "gone", "whole", "odd//key"] {
            let file = store.temporary_path().unwrap();
            fs::write(&file, "0123456789").unwrap();
            let staged = Staged::from_file(key, file, Attributes::default()).unwrap();
            store.put("b", staged, &WriteCondition::default()).unwrap();
        }
        let (shallow, deep) = (|| objects(folder.path(), false).unwrap(), || objects(folder.path(), true).unwrap());
        assert_eq!(deep(), []);
        let objects = home.root().join("s3/b");
        fs::write(objects.join("cut"), "012").unwrap();
        fs::write(objects.join("flipped"), "0123456788").unwrap();
        fs::remove_file(objects.join("gone")).unwrap();
        fs::write(objects.join("mine"), "").unwrap();
        let kinds = |problems: Vec<Problem>| -> Vec<(String, ProblemKind)> {
            let name = |problem: &Problem| problem.file.file_name().unwrap().to_string_lossy().into_owned();
            problems.into_iter().map(|problem| (name(&problem), problem.kind)).collect()
        };
        let cut = ("cut".to_owned(), ProblemKind::Size { expected: 10, found: 3 });
        let gone = ("gone".to_owned(), ProblemKind::Missing { expected: 10 });
        let mine = ("mine".to_owned(), ProblemKind::Additional);
        assert_eq!(kinds(shallow()), [cut.clone(), gone.clone(), mine.clone()]);
        let found = kinds(deep());
        assert!(matches!(&found[1], (name, ProblemKind::Bytes { .. }) if name == "flipped"), "{found:?}");
        assert_eq!([&found[0], &found[2], &found[3]], [&cut, &gone, &mine]);

        assert_eq!(databases(folder.path()), []);
        drop(store);
        state.close().unwrap();
        assert_eq!(databases(folder.path()), []);
        let mut bytes = fs::read(home.state()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(home.state(), bytes).unwrap();
        assert_eq!(databases(folder.path()).len(), 1);
    }
}
