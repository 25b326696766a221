//! Whether a file holds what its row says.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::digest::{self, Digester, hex};
use super::index::Object;
use super::store::copy_through;

/// What a file has in place of what its row says.
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

/// Compares a file with the row of the object that it is to hold: its size, and with `deep` all of its bytes with the
/// ETag and the checksum.
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
    let of_bytes = attributes.checksum.as_ref().filter(|checksum| !checksum.composite);
    let mut whole = Digester::new(of_bytes.map(|checksum| checksum.algorithm), false);
    let mut parts = Vec::with_capacity(attributes.parts.len());
    let mut file = File::open(file)?;
    for part in &attributes.parts {
        let mut digester = Digester::new(None, false);
        copy_through(&mut (&mut file).take(*part), |piece| {
            whole.update(piece);
            digester.update(piece);
            Ok(())
        })?;
        parts.push(digester.finish().md5);
    }
    copy_through(&mut file, |piece| {
        whole.update(piece);
        Ok(())
    })?;
    let found = whole.finish();
    let etag = if parts.is_empty() { hex(&found.md5) } else { digest::multipart_etag(&parts) };
    if etag != object.etag {
        let (expected, found) = (format!("the ETag {}", object.etag), format!("the ETag {etag}"));
        return Ok(Some(Difference::Bytes { expected, found }));
    }
    match (of_bytes, found.checksum) {
        (Some(said), Some(found)) if said.value != found.value => {
            let name = found.algorithm.name();
            let (expected, found) = (format!("the {name} {}", said.value), format!("the {name} {}", found.value));
            Ok(Some(Difference::Bytes { expected, found }))
        }
        _ => Ok(None),
    }
}

/// Whether there is no file of this name, because the name or a folder of it is gone or is something else.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
