//! The interface to S3: objects below a location, each stored as a plain file on this machine.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// One object and the file that holds its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFile {
    /// The object's key inside its bucket, `quotes/year=2020/month=4/day=1/part-0.parquet`.
    pub key: String,
    /// Size of the object in bytes.
    pub size: u64,
    /// The object's ETag without quotes, if it has one: the MD5 of its bytes in 32 hexadecimal digits, or another text.
    pub etag: Option<String>,
    /// Absolute path of the file with the object's bytes.
    pub path: PathBuf,
    /// When the object was last written.
    pub last_modified: SystemTime,
}

/// Lists and writes objects. The embedded S3 implements it; tests use a folder.
pub trait ObjectFiles: Send + Sync {
    /// Returns every object whose key begins with the location's prefix, at any depth, in any order. The list is empty
    /// when no key has the prefix.
    ///
    /// `location` is `s3://bucket/prefix/` and always ends with a slash. The engine calls this on a thread that may
    /// block.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the bucket does not exist, otherwise the error of the operating system.
    fn list(&self, location: &str) -> io::Result<Vec<ObjectFile>>;

    /// Writes an object, `s3://bucket/key`, durably. The engine calls this on a thread that may block.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the bucket does not exist, [`io::ErrorKind::Unsupported`] when objects are only read,
    /// otherwise the error of the operating system.
    fn write(&self, uri: &str, bytes: &[u8]) -> io::Result<()> {
        let _ = (uri, bytes);
        Err(io::ErrorKind::Unsupported.into())
    }
}
