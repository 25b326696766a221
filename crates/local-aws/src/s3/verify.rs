//! Comparison of a file with the object's row in the index.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::digest::{self, Digester};
use super::index::Object;
use super::store::for_each_chunk;

/// A difference between a file and its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    Missing,
    Size(u64),
    /// The ETag or checksum of the row, and that of the bytes.
    Bytes {
        expected: String,
        found: String,
    },
}

/// Compares the size of a file with that of the object. With `deep`, also computes the ETag and the checksum of its bytes.
/// Returns `None` if they are equal.
pub(crate) fn difference(file: &Path, object: &Object, deep: bool) -> io::Result<Option<Difference>> {
    let size = match file.metadata() {
        Err(error) if is_missing(&error) => return Ok(Some(Difference::Missing)),
        found => found?.len(),
    };
    if size != object.size {
        return Ok(Some(Difference::Size(size)));
    }
    if !deep {
        return Ok(None);
    }
    let attributes = &object.attributes;
    let full_checksum = attributes.checksum.as_ref().filter(|checksum| !checksum.composite);
    let mut whole = Digester::new(full_checksum.map(|checksum| checksum.algorithm), false);
    let mut parts = Vec::with_capacity(attributes.parts.len());
    let mut file = File::open(file)?;
    for part in &attributes.parts {
        let mut digester = Digester::new(None, false);
        for_each_chunk(&mut (&mut file).take(*part), |piece| {
            whole.update(piece);
            digester.update(piece);
            Ok(())
        })?;
        parts.push(digester.finish().md5);
    }
    for_each_chunk(&mut file, |piece| {
        whole.update(piece);
        Ok(())
    })?;
    let found = whole.finish();
    let etag = if parts.is_empty() { hex::encode(found.md5) } else { digest::multipart_etag(&parts) };
    if etag != object.etag {
        let (expected, found) = (format!("the ETag {}", object.etag), format!("the ETag {etag}"));
        return Ok(Some(Difference::Bytes { expected, found }));
    }
    match (full_checksum, found.checksum) {
        (Some(expected), Some(found)) if expected.value != found.value => {
            let name = found.algorithm.name();
            let (expected, found) = (format!("the {name} {}", expected.value), format!("the {name} {}", found.value));
            Ok(Some(Difference::Bytes { expected, found }))
        }
        _ => Ok(None),
    }
}

/// Whether the file does not exist, or a folder of its path is missing or a file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
