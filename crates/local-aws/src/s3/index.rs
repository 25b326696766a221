//! The index of objects, in SQLite. A file without a row is not an object: an object is created, replaced and deleted
//! atomically, by the commit of its row.
//!
//! The table `object_intents` is a write-ahead log of file changes: SQLite's transactions do not cover the file system, so
//! what is about to happen to a file is recorded first, and the next start completes or drops what a crash interrupted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use s3s::dto;
use serde::{Deserialize, Serialize};

use super::digest::StoredChecksum;
use super::multipart::CompletionId;
use super::object_path::ObjectPath;
use crate::state::{json, to_json};

pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    location TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
-- Write-ahead intents: a rename or removal that is about to happen. The next start resolves those that a crash left.
CREATE TABLE IF NOT EXISTS object_intents (
    location TEXT PRIMARY KEY,
    temporary TEXT,
    bucket TEXT NOT NULL,
    object TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key TEXT NOT NULL,
    initiated INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    checksum TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
-- Uploads whose key had an object that was deleted since they had begun.
CREATE TABLE IF NOT EXISTS overtaken_uploads (
    upload TEXT PRIMARY KEY REFERENCES uploads (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_parts (
    upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    checksum TEXT,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
";

/// The metadata of an object: what a client set, and what was computed from its bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<dto::Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
    /// None: `STANDARD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<StoredChecksum>,
    /// The sizes of the parts of a multipart object, in order. Empty for other objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<u64>,
    /// The completed upload of a multipart object, by which a repeated completion is recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completed: Option<CompletionId>,
}

impl Attributes {
    pub(super) const STANDARD: &str = "STANDARD";

    /// Returns S3's storage class.
    pub(super) fn storage_class(&self) -> &str {
        self.storage_class.as_deref().unwrap_or(Attributes::STANDARD)
    }

    pub(crate) fn with_content_type(content_type: &str) -> Attributes {
        Attributes { content_type: Some(content_type.to_owned()), ..Attributes::default() }
    }
}

/// A row of the index: one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(super) path: ObjectPath,
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) modified: i64,
    pub(super) attributes: Attributes,
}

const COLUMNS: &str = "key, location, size, etag, modified, attributes";

impl Object {
    /// Returns the path of the object's file in a home.
    pub(crate) fn file(&self, home: &Path) -> PathBuf {
        self.path.in_home(home)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Object> {
        Ok(Object {
            key: row.get(0)?,
            path: ObjectPath::from_stored(row.get(1)?),
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            etag: row.get(3)?,
            modified: row.get(4)?,
            attributes: json(row, 5)?,
        })
    }
}

pub(super) fn bucket_exists(rows: &Connection, bucket: &str) -> rusqlite::Result<bool> {
    rows.prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?.exists([bucket])
}

pub(crate) fn find(rows: &Connection, bucket: &str, key: &str) -> rusqlite::Result<Option<Object>> {
    rows.prepare_cached(&format!("SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2"))?
        .query_row([bucket, key], Object::from_row)
        .optional()
}

/// Returns at most `limit` objects with a prefix, in key order. It is a range scan of the primary key: no row outside of the
/// prefix is read.
pub(super) fn scan(
    rows: &Connection,
    bucket: &str,
    prefix: &str,
    from: &ScanStart,
    limit: usize,
) -> rusqlite::Result<Vec<Object>> {
    let (comparison, key) = match from {
        ScanStart::At(key) => (">=", key),
        ScanStart::After(key) => (">", key),
    };
    // Without an upper bound, an empty blob: SQLite sorts blobs after all texts.
    let end = prefix_successor(prefix).map_or(Value::Blob(Vec::new()), Value::Text);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = rows.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key {comparison} ?2 AND key < ?3 ORDER BY key LIMIT ?4"
    ))?;
    statement.query_map(params![bucket, key, end, limit], Object::from_row)?.collect()
}

/// Calls `take` with each object and its bucket, ordered by bucket and key.
pub(crate) fn for_each(rows: &Connection, mut take: impl FnMut(&str, Object)) -> rusqlite::Result<()> {
    let mut statement = rows.prepare(&format!("SELECT {COLUMNS}, bucket FROM objects ORDER BY bucket, key"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bucket: String = row.get(6)?;
        take(&bucket, Object::from_row(row)?);
    }
    Ok(())
}

/// Returns the smallest text that is greater than all texts with this prefix, the exclusive end of a prefix scan. `None` if
/// no text is greater.
pub(super) fn prefix_successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// The first key of a scan, inclusive or exclusive. It is not less than the scan's prefix.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ScanStart {
    At(String),
    After(String),
}

/// Inserts or replaces the row of an object.
pub(super) fn upsert(rows: &Connection, bucket: &str, object: &Object) -> rusqlite::Result<()> {
    let insert = format!("INSERT OR REPLACE INTO objects (bucket, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    let row = params![
        bucket,
        object.key,
        object.path.as_str(),
        object.size.cast_signed(),
        object.etag,
        object.modified,
        to_json(&object.attributes)?
    ];
    rows.prepare_cached(&insert)?.execute(row).map(drop)
}

/// Deletes the row of an object.
pub(super) fn remove(rows: &Connection, bucket: &str, key: &str) -> rusqlite::Result<()> {
    rows.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?.execute([bucket, key])?;
    let overtaken = "INSERT OR IGNORE INTO overtaken_uploads SELECT id FROM uploads WHERE bucket = ?1 AND key = ?2";
    rows.prepare_cached(overtaken)?.execute([bucket, key]).map(drop)
}

/// Whether an object with the key of the upload was deleted since the upload had begun.
pub(super) fn is_overtaken(rows: &Connection, upload: &str) -> rusqlite::Result<bool> {
    rows.prepare_cached("SELECT 1 FROM overtaken_uploads WHERE upload = ?1")?.exists([upload])
}

/// A write-ahead intent: a change of a file and its row, which a crash may have interrupted.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) path: ObjectPath,
    pub(super) bucket: String,
    pub(super) kind: IntentKind,
}

#[derive(Debug)]
pub(super) enum IntentKind {
    /// A temporary file is renamed to the path, then this row is written.
    Put(Box<Object>),
    /// The row is deleted, then the file is removed.
    Remove,
}

/// An [`Object`] without its path, which is the key of the intent.
#[derive(Serialize, Deserialize)]
struct IntendedObject {
    key: String,
    size: u64,
    etag: String,
    modified: i64,
    attributes: Attributes,
}

/// Records that the temporary file will become the object.
pub(super) fn insert_put_intent(
    rows: &Connection,
    bucket: &str,
    object: &Object,
    temporary: &str,
) -> rusqlite::Result<()> {
    let intended = IntendedObject {
        key: object.key.clone(),
        size: object.size,
        etag: object.etag.clone(),
        modified: object.modified,
        attributes: object.attributes.clone(),
    };
    rows.prepare_cached(
        "INSERT OR REPLACE INTO object_intents (location, temporary, bucket, object) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![object.path.as_str(), temporary, bucket, to_json(&intended)?])
    .map(drop)
}

/// Records that the file will be removed.
pub(super) fn insert_removal_intent(rows: &Connection, bucket: &str, path: &ObjectPath) -> rusqlite::Result<()> {
    rows.prepare_cached("INSERT OR REPLACE INTO object_intents (location, bucket) VALUES (?1, ?2)")?
        .execute([path.as_str(), bucket])
        .map(drop)
}

/// Deletes the intent of a path: its change is complete or was dropped.
pub(super) fn delete_intent(rows: &Connection, path: &ObjectPath) -> rusqlite::Result<()> {
    rows.prepare_cached("DELETE FROM object_intents WHERE location = ?1")?.execute([path.as_str()]).map(drop)
}

pub(super) fn intents(rows: &Connection) -> rusqlite::Result<Vec<Intent>> {
    let mut statement = rows.prepare("SELECT location, temporary, bucket, object FROM object_intents")?;
    let intents = statement.query_map([], |row| {
        let path = ObjectPath::from_stored(row.get(0)?);
        let kind = match row.get::<_, Option<String>>(1)? {
            None => IntentKind::Remove,
            Some(_) => {
                let intended: IntendedObject = json(row, 3)?;
                let IntendedObject { key, size, etag, modified, attributes } = intended;
                let path = path.clone();
                IntentKind::Put(Box::new(Object { key, path, size, etag, modified, attributes }))
            }
        };
        Ok(Intent { path, bucket: row.get(2)?, kind })
    })?;
    intents.collect()
}
