//! Whether a home holds what its endpoint left there: its databases, and its objects against the index. What is wrong comes
//! back as values, each with the file, what was expected and what was found.
//!
//! [`databases`] is for a home that no process owns; [`objects`] also for one that is in use.

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

/// An object, or a file among the objects, that is not what the index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub file: PathBuf,
    /// Bucket and key of the object; `None` for a file that is none.
    pub object: Option<(String, String)>,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// There is no such file.
    Missing {
        /// The bytes that it is to have.
        expected: u64,
    },
    /// The file has another size.
    Size {
        /// The bytes that it is to have.
        expected: u64,
        /// The bytes that it has.
        found: u64,
    },
    /// The file has the size and other bytes.
    Bytes {
        /// The ETag or checksum that the index has.
        expected: String,
        /// The one of the bytes.
        found: String,
    },
    /// The file cannot be read.
    Unreadable {
        /// The system's reason.
        reason: String,
    },
    /// A file among the objects that is none of them.
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

/// The databases of a home that are not what was closed, or that SQLite finds damaged. Changes nothing.
pub fn databases(home: &Path) -> Vec<Damaged> {
    ["state.db", "catalog.db"].iter().filter_map(|name| seal::check(&home.join(name)).err()).collect()
}

/// The objects of a home that are not what the index says, ordered by their files, and the files among them that are
/// no objects. Compares sizes; with `deep` every byte with the ETag and the checksum.
///
/// # Errors
/// [`Damaged`] when the index cannot be read.
pub fn objects(home: &Path, deep: bool) -> Result<Vec<Problem>, Damaged> {
    let database = home.join("state.db");
    let failed = |error: rusqlite::Error| Damaged::unreadable(&database, &error);
    let index = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let mut rows = Vec::new();
    s3::each(&index, |bucket, object| rows.push((bucket.to_owned(), object))).map_err(failed)?;
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
        // In a home that is in use it may have been replaced or deleted meanwhile.
        if s3::find(&index, bucket, &object.key).map_err(failed)?.as_ref() == Some(object) {
            problems.push(problem);
        }
    }
    let known: HashSet<PathBuf> = rows.iter().map(|(_, object)| object.file(home)).collect();
    let mut others = Vec::new();
    for folder in s3::FOLDERS {
        files_below(&home.join(folder), &mut others);
    }
    others.retain(|file| !known.contains(file));
    if !others.is_empty() {
        let mut now = HashSet::new();
        s3::each(&index, |_, object| _ = now.insert(object.file(home))).map_err(failed)?;
        others.retain(|file| !now.contains(file));
    }
    problems.extend(others.into_iter().map(|file| Problem { file, object: None, kind: ProblemKind::Additional }));
    problems.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(problems)
}

/// What is wrong with the file of an object, if anything.
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

/// All files below a folder; none when it is not there. A folder that cannot be read has objects that cannot be read either.
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
            let staged = Staged::of_file(key, file, Attributes::default()).unwrap();
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
