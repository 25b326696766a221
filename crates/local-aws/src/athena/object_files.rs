//! The object store as the file source of the query engine.

use std::io::{self, Write as _};

use local_athena::{ObjectFile, ObjectFiles};

use crate::clock::system_time;
use crate::s3::{Attributes, ObjectStore, Staged, StoreError, WriteCondition};
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

    fn write(&self, uri: &str, bytes: &[u8]) -> io::Result<()> {
        let place = S3Uri::parse(uri).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let store = |error: StoreError| match error {
            StoreError::NoSuchBucket(_) => io::Error::new(io::ErrorKind::NotFound, error.to_string()),
            StoreError::Io { source, .. } => source,
            error => io::Error::other(error.to_string()),
        };
        let (mut file, path) = self.temporary_file().map_err(store)?;
        file.write_all(bytes)?;
        let attributes = Attributes::with_content_type("application/octet-stream");
        let staged = Staged::from_file(&place.key, path, attributes).map_err(store)?;
        self.put(&place.bucket, staged, &WriteCondition::default()).map(drop).map_err(store)
    }
}
