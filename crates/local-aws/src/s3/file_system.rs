//! The operations on files and folders that the object store needs for durability, as a trait. Tests implement it by a disk
//! that records each step, and check every state that a power failure could leave.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etl::durable;

/// A POSIX file system: a file's bytes are durable after fsync of the file, its name after fsync of its folder.
pub(crate) trait FileSystem: Debug + Send + Sync {
    /// Makes the bytes of the files durable (fsync). An error has the path of the file.
    fn sync_files(&self, files: &[PathBuf]) -> Result<(), (PathBuf, io::Error)>;
    /// Makes the entries of the folders durable (fsync). An error has the path of the folder.
    fn sync_folders(&self, folders: &[PathBuf]) -> Result<(), (PathBuf, io::Error)>;
    /// Renames atomically, replacing a file that has the name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, file: &Path) -> io::Result<()>;
    /// Creates one folder. Its parent exists.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Removes a folder if it is empty.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;
    /// Called after the index was synced: all that was committed to it is durable. For tests.
    fn note_index_synced(&self) {}
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk;

impl FileSystem for Disk {
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
