//! The objects of a location, held to the manifest that an audit left there.
//!
//! A table whose properties name a manifest ([`manifest::PROPERTY`]) promises that each of its partitions has one. So a
//! partition that has none, or whose files are not those of its manifest, is an error, and never a day with fewer rows
//! or none. A table without the property is what its files are, as on Athena.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use manifest::{AuditedFile, Damage, ListedFile, Manifest};

use super::table::{is_hidden, key_of, list, uri};
use crate::catalog::Table;
use crate::error::{ErrorKind, QueryError};
use crate::objects::{ObjectFile, ObjectFiles};

/// The objects that tables are made of, and the manifests among them that were read before.
pub(crate) struct Objects {
    all: Arc<dyn ObjectFiles>,
    /// By location. A manifest is read once a process, and again when another version of it is there.
    manifests: Mutex<HashMap<String, Known>>,
}

struct Known {
    version: Version,
    manifest: Arc<Manifest>,
}

/// What tells one version of an object from another.
#[derive(PartialEq, Eq)]
struct Version {
    size: u64,
    etag: Option<String>,
    last_modified: SystemTime,
}

/// A file of a table, and what its audit saw of it.
pub(super) struct TableFile {
    pub(super) object: ObjectFile,
    pub(super) audited: Option<Audited>,
}

/// A file as it was audited.
#[derive(Debug, Clone)]
pub(super) struct Audited {
    manifest: Arc<Manifest>,
    at: usize,
    /// What the user can do when the file is another one.
    repair: Arc<str>,
}

impl Audited {
    fn file(&self) -> Option<&AuditedFile> {
        self.manifest.files.get(self.at)
    }

    /// What has to be read for `range` to be verified.
    pub(super) fn around(&self, range: &Range<u64>) -> Range<u64> {
        self.file().map_or_else(|| range.clone(), |file| file.checksums.around(range, file.bytes))
    }

    /// Verifies what [`Audited::around`] asked for.
    pub(super) fn verify(&self, start: u64, bytes: &[u8]) -> Result<(), Damage> {
        self.file().map_or(Ok(()), |file| file.checksums.verify(start, bytes))
    }

    /// The rows of the file.
    pub(super) fn rows(&self) -> Option<u64> {
        self.file().map(|file| file.rows)
    }

    pub(super) fn repair(&self) -> &str {
        &self.repair
    }
}

impl Objects {
    pub(super) fn new(all: Arc<dyn ObjectFiles>) -> Self {
        Self { all, manifests: Mutex::default() }
    }

    /// An object, `s3://bucket/key`, if it is there.
    pub(super) fn find(&self, uri: &str) -> Result<Option<ObjectFile>, QueryError> {
        let folder = uri.rsplit_once('/').map_or(uri, |(folder, _)| folder);
        let listed = list(&*self.all, &format!("{folder}/"))?;
        Ok(listed.into_iter().find(|object| object.key == key_of(uri)))
    }

    /// The files of one partition, by its values, or of a table without partitions.
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
        // Empty files too: one that was emptied is not one that is missing.
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

    /// Reads a manifest, unless this version of it was read before. An error is what is wrong, in words.
    fn manifest(&self, location: &str, object: &ObjectFile) -> Result<Arc<Manifest>, String> {
        let version = Version { size: object.size, etag: object.etag.clone(), last_modified: object.last_modified };
        let known = || self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a tag, two writes in one tick of the clock would look like one version.
        let is_known = |known: &&Known| object.etag.is_some() && known.version == version;
        if let Some(known) = known().get(location).filter(is_known) {
            return Ok(known.manifest.clone());
        }
        let bytes = fs::read(&object.path).map_err(|error| error.to_string())?;
        let manifest = Arc::new(Manifest::from_json(&bytes).map_err(|error| error.to_string())?);
        known().insert(location.to_owned(), Known { version, manifest: manifest.clone() });
        Ok(manifest)
    }
}

/// How the files of a partition are written once more.
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
