//! The object store as the file source of the query engine.

use std::io;

use local_athena::{ObjectFile, ObjectFiles};

use crate::clock::system_time;
use crate::s3::{ObjectStore, StoreError};
use crate::s3_uri::S3Uri;

impl ObjectFiles for ObjectStore {
    fn list(&self, location: &str) -> io::Result<Vec<ObjectFile>> {
        let place = S3Uri::parse(location).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let files = self.files_with_prefix(&place.bucket, &place.key).map_err(|error| match error {
            StoreError::NoSuchBucket(_) => io::Error::new(io::ErrorKind::NotFound, error.to_string()),
            StoreError::Io { source, .. } => source,
            error => io::Error::other(error.to_string()),
        })?;
        let file = |(object, path): (crate::s3::Object, std::path::PathBuf)| ObjectFile {
            key: object.key,
            size: object.size,
            etag: Some(object.etag),
            path,
            last_modified: system_time(object.modified),
        };
        Ok(files.into_iter().map(file).collect())
    }
}
