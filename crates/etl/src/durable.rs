//! Files and folders that survive a power failure.
//!
//! A file system keeps what was written in memory for a while. A file is durable once its bytes are synced *and* the
//! folder that names it is, and that folder's own name in its parent. Each sync is a round trip to the disk, and syncs
//! that run beside one another share it: so many of them are made on several threads.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Where there are more than this to sync, Linux is asked once to write all of the file system.
const MANY: usize = 256;

/// More at once do not make a disk faster.
const THREADS: usize = 8;

/// Makes the bytes of the files, or the entries of the folders, durable.
///
/// # Errors
/// The first path that could not be synced, with the system's reason. Of the others some may be durable.
pub fn sync(paths: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
    match paths {
        [] => Ok(()),
        [path] => sync_one(path).map_err(|error| (path.clone(), error)),
        [path, ..] if paths.len() > MANY && sync_file_system(path).is_some_and(|synced| synced.is_ok()) => Ok(()),
        _ => sync_each(paths),
    }
}

/// Makes the bytes of one file, or the entries of one folder, durable.
///
/// # Errors
/// The system's.
pub fn sync_one(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_each(paths: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync_one(path).map_err(|error| (path.clone(), error))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (1..THREADS.min(paths.len())).map(|_| scope.spawn(work)).collect();
        let own = work();
        workers.into_iter().fold(own, |all, worker| {
            let one = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.and(one)
        })
    })
}

/// Writes the whole file system that holds `path`, which it refuses for nothing that is not of that file system. `None`
/// where the system cannot.
#[cfg(target_os = "linux")]
fn sync_file_system(path: &Path) -> Option<io::Result<()>> {
    Some(File::open(path).and_then(|file| Ok(rustix::fs::syncfs(file)?)))
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> Option<io::Result<()>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_synced_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut paths: Vec<PathBuf> = (0..3).map(|number| folder.path().join(number.to_string())).collect();
        paths.iter().for_each(|path| std::fs::write(path, "x").expect("a file"));
        paths.push(folder.path().to_owned());
        assert!(sync(&paths).is_ok());
        let missing = folder.path().join("missing");
        paths.push(missing.clone());
        let (path, error) = sync(&paths).expect_err("it is missing");
        assert_eq!((path, error.kind()), (missing, io::ErrorKind::NotFound));
    }

    #[test]
    fn many_are_synced_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths: Vec<PathBuf> = (0..=MANY).map(|number| folder.path().join(number.to_string())).collect();
        paths.iter().for_each(|path| std::fs::write(path, "x").expect("a file"));
        sync(&paths).expect("synced");
    }
}
