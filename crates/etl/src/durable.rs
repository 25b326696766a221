//! Makes files and folders durable (`fsync`), so that they survive a power failure.
//!
//! The kernel keeps written bytes in memory for a while. A file is durable after an fsync of its bytes *and* of the folder
//! that holds its name, and of that folder's parent if the folder is new. Each fsync is a round trip to the disk; concurrent
//! ones share it (group commit of the file system's journal), so several run at the same time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// For more paths than this, one `syncfs` of the whole file system is cheaper than an fsync of each.
const MANY: usize = 256;

/// Concurrent fsyncs. More do not make a disk faster.
const THREADS: usize = 8;

/// Syncs the bytes of the files, or the entries of the folders, at `paths`.
///
/// # Errors
/// A path that could not be synced, with the error of the system. Some of the others may be durable.
pub fn sync(paths: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
    match paths {
        [] => Ok(()),
        [path] => sync_one(path).map_err(|error| (path.clone(), error)),
        [path, ..] if paths.len() > MANY && sync_file_system(path).is_some_and(|synced| synced.is_ok()) => Ok(()),
        _ => sync_each(paths),
    }
}

/// Syncs the bytes of one file, or the entries of one folder.
///
/// # Errors
/// The error of the system.
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

/// Syncs the whole file system that holds `path`. Returns `None` on systems without `syncfs`.
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
        for path in &paths {
            std::fs::write(path, "x").expect("a file");
        }
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
        for path in &paths {
            std::fs::write(path, "x").expect("a file");
        }
        sync(&paths).expect("synced");
    }
}
