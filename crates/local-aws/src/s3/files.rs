//! What the object store does to files and folders, behind a trait: the disk, and in tests a disk that records each
//! step, so that every state that a power failure could leave can be looked at.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etl::durable;

/// A file system as the object store uses it. Names are durable when their folder is synced, bytes when their file is.
pub(crate) trait Files: Debug + Send + Sync {
    /// Makes the bytes of the files durable.
    fn sync_files(&self, files: &[PathBuf]) -> Result<(), (PathBuf, io::Error)>;
    /// Makes the entries of the folders durable.
    fn sync_folders(&self, folders: &[PathBuf]) -> Result<(), (PathBuf, io::Error)>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, file: &Path) -> io::Result<()>;
    /// One folder, whose parent is there.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// An empty folder.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;
    /// Everything that was committed to the index until now is durable.
    fn index_is_durable(&self) {}
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk;

impl Files for Disk {
    fn sync_files(&self, files: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        durable::sync(files)
    }

    fn sync_folders(&self, folders: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        durable::sync(folders)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir(folder)
    }
}
