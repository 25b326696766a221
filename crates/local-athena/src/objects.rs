//! Where a table's data is: objects under an S3 location, each one a plain file on this machine.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// One object and the file that holds its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFile {
    /// The object's key inside its bucket, `quotes/year=2020/month=4/day=1/part-0.parquet`.
    pub key: String,
    /// Bytes in the object.
    pub size: u64,
    /// The tag of the object's version, without quotes, where the objects have such tags: the MD5 of its bytes in 32
    /// hexadecimal digits, or another text.
    pub etag: Option<String>,
    /// Absolute path of the file with the object's bytes.
    pub path: PathBuf,
    /// When the object was last written.
    pub last_modified: SystemTime,
}

/// The objects that tables are made of. The embedded S3 implements it; tests use a folder.
pub trait ObjectFiles: Send + Sync {
    /// Every object whose key begins with the location's prefix, at any depth, in any order.
    ///
    /// `location` is `s3://bucket/prefix/` and always ends with a slash. A prefix that no object
    /// has gives an empty list. Called on a thread where blocking is allowed.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the bucket does not exist, otherwise what the disk said.
    fn list(&self, location: &str) -> io::Result<Vec<ObjectFile>>;
}
