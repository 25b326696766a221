//! The objects of a location, checked against the manifest that the audit wrote there.
//!
//! A table whose properties name a manifest ([`manifest::PROPERTY`]) has one in each partition. A partition without a
//! manifest, or whose files differ from it, is therefore an error; without this check the query would return fewer
//! rows, and nobody would notice. A table without the property has whatever files are there, as on Athena.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use manifest::{AuditedFile, Damage, ListedFile, Manifest};

use crate::catalog::Table;
use crate::error::{ErrorKind, QueryError};
use crate::location::{is_hidden, key_of, list, uri};
use crate::objects::{ObjectFile, ObjectFiles};

/// Lists the objects of tables, and caches their manifests.
pub(crate) struct AuditedObjects {
    all: Arc<dyn ObjectFiles>,
    /// By location. An entry is valid while the object has the same [`Version`].
    manifests: Mutex<HashMap<String, CachedManifest>>,
}

struct CachedManifest {
    version: Version,
    manifest: Arc<Manifest>,
}

/// The identity of one version of an object.
#[derive(PartialEq, Eq)]
struct Version {
    size: u64,
    etag: Option<String>,
    last_modified: SystemTime,
}

/// A file of a table, with its entry in the manifest if the table has one.
pub(super) struct TableFile {
    pub(super) object: ObjectFile,
    pub(super) audited: Option<Audited>,
}

/// The entry of a file in its manifest: size, row count and checksums.
#[derive(Debug, Clone)]
pub(super) struct Audited {
    manifest: Arc<Manifest>,
    at: usize,
    /// Advice for the user in case the file differs from its entry.
    repair: Arc<str>,
}

impl Audited {
    fn file(&self) -> Option<&AuditedFile> {
        self.manifest.files.get(self.at)
    }

    /// Returns the range to read so that `range` can be verified: checksums cover whole blocks.
    pub(super) fn around(&self, range: &Range<u64>) -> Range<u64> {
        self.file().map_or_else(|| range.clone(), |file| file.checksums.around(range, file.bytes))
    }

    /// Verifies the bytes of a range that [`Audited::around`] returned.
    pub(super) fn verify(&self, start: u64, bytes: &[u8]) -> Result<(), Damage> {
        self.file().map_or(Ok(()), |file| file.checksums.verify(start, bytes))
    }

    /// Returns the number of rows that the audit counted.
    pub(super) fn rows(&self) -> Option<u64> {
        self.file().map(|file| file.rows)
    }

    pub(super) fn repair(&self) -> &str {
        &self.repair
    }
}

impl AuditedObjects {
    pub(super) fn new(all: Arc<dyn ObjectFiles>) -> Self {
        Self { all, manifests: Mutex::default() }
    }

    /// Returns the object with the URI `s3://bucket/key`, or `None` when it does not exist.
    pub(super) fn find(&self, uri: &str) -> Result<Option<ObjectFile>, QueryError> {
        let folder = uri.rsplit_once('/').map_or(uri, |(folder, _)| folder);
        let listed = list(&*self.all, &format!("{folder}/"))?;
        Ok(listed.into_iter().find(|object| object.key == key_of(uri)))
    }

    /// Returns the files of a partition, or of a table without partitions (no `values`).
    ///
    /// # Errors
    /// The location cannot be listed, or the files differ from the manifest.
    pub(super) fn files(&self, table: &Table, values: &[String], location: &str) -> Result<Vec<TableFile>, QueryError> {
        let listed = list(&*self.all, location)?;
        let Some(name) = table.properties.iter().find(|(key, _)| key == manifest::PROPERTY).map(|(_, name)| name)
        else {
            let files = listed.into_iter().filter(|object| object.size > 0 && !is_hidden(location, object));
            return Ok(files.map(|object| TableFile { object, audited: None }).collect());
        };
        let repair: Arc<str> = repair(table, values).into();
        let folder = key_of(location);
        let fail = |kind: ErrorKind, name: &str, why: &dyn std::fmt::Display| {
            let uri = uri(location, &format!("{folder}{name}"));
            QueryError::new(kind, format_args!("Error opening Hive split {uri}: {why}; {repair}"))
        };
        let place = format!("{folder}{name}");
        let Some(found) = listed.iter().find(|object| object.key == place) else {
            let why = "it is missing, so that nobody knows which files were audited";
            return Err(fail(ErrorKind::CannotOpenSplit, name, &why));
        };
        let manifest = self.manifest(location, found).map_err(|why| fail(ErrorKind::BadData, name, &why))?;
        // Empty files are compared too, so that a truncated file is reported as such and not as missing.
        let is_marker = |object: &ObjectFile| object.size == 0 && object.key.ends_with('/');
        let files: Vec<ObjectFile> =
            listed.into_iter().filter(|object| !is_marker(object) && !is_hidden(location, object)).collect();
        let name_of = |object: &ObjectFile| object.key.get(folder.len()..).unwrap_or_default().to_owned();
        let names: Vec<String> = files.iter().map(name_of).collect();
        let compared = names.iter().zip(&files).map(|(name, object)| ListedFile {
            name,
            bytes: object.size,
            etag: object.etag.as_deref(),
        });
        manifest
            .check(folder, compared)
            .map_err(|difference| fail(ErrorKind::CannotOpenSplit, difference.name(), &difference))?;
        let audited = |name: &str| {
            let at = manifest.files.iter().position(|file| file.name == name);
            at.map(|at| Audited { manifest: manifest.clone(), at, repair: repair.clone() })
        };
        let files = names.iter().zip(files).map(|(name, object)| TableFile { object, audited: audited(name) });
        Ok(files.collect())
    }

    /// Returns the manifest from the cache, or reads it. An error is a message.
    fn manifest(&self, location: &str, object: &ObjectFile) -> Result<Arc<Manifest>, String> {
        let version = Version { size: object.size, etag: object.etag.clone(), last_modified: object.last_modified };
        let known = || self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        // Without an ETag, two writes within the resolution of the clock could not be told apart: do not use the cache.
        let is_known = |known: &&CachedManifest| object.etag.is_some() && known.version == version;
        if let Some(known) = known().get(location).filter(is_known) {
            return Ok(known.manifest.clone());
        }
        let bytes = fs::read(&object.path).map_err(|error| error.to_string())?;
        let manifest = Arc::new(Manifest::from_json(&bytes).map_err(|error| error.to_string())?);
        known().insert(location.to_owned(), CachedManifest { version, manifest: manifest.clone() });
        Ok(manifest)
    }
}

/// Returns advice on how to rewrite the files of a partition.
fn repair(table: &Table, values: &[String]) -> String {
    let keys: Vec<&str> = table.partition_keys.iter().map(|key| key.name.as_str()).collect();
    let day = match (&keys[..], values) {
        (["year", "month", "day"], [year, month, day]) => Some((year.parse(), month.parse(), day.parse())),
        _ => None,
    };
    match day {
        Some((Ok(year), Ok(month), Ok(day))) => {
            let (year, month, day): (i32, u32, u32) = (year, month, day);
            format!("write the day again: pregao run --from {year:04}-{month:02}-{day:02}")
        }
        _ => "write the partition again".to_owned(),
    }
}
