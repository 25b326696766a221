//! The rows that say which objects exist. A file without a row is not an object, so an object becomes
//! visible, changes and goes in the instant in which its row is committed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use s3s::dto;
use serde::{Deserialize, Serialize};

use super::digest::StoredChecksum;
use super::location::Location;
use super::multipart::Completed;
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
-- A rename or removal that is about to happen: settled at the next start if the process dies in between.
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

/// What a client said of an object, besides its bytes.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<StoredChecksum>,
    /// The sizes of the parts of a multipart object, in order; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<u64>,
    /// The upload that made it, of a multipart object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completed: Option<Completed>,
}

impl Attributes {
    pub(crate) fn of_type(content_type: &str) -> Attributes {
        Attributes { content_type: Some(content_type.to_owned()), ..Attributes::default() }
    }
}

/// One object, as its row says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(super) location: Location,
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    /// Milliseconds since 1970.
    pub(crate) modified: i64,
    pub(super) attributes: Attributes,
}

const COLUMNS: &str = "key, location, size, etag, modified, attributes";

impl Object {
    /// The file that holds it, in a home.
    pub(crate) fn file(&self, home: &Path) -> PathBuf {
        self.location.under(home)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Object> {
        Ok(Object {
            key: row.get(0)?,
            location: Location::stored(row.get(1)?),
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

/// The next objects whose keys have a prefix, in key order. None behind them is read.
pub(super) fn scan(
    rows: &Connection,
    bucket: &str,
    prefix: &str,
    from: &Start,
    limit: usize,
) -> rusqlite::Result<Vec<Object>> {
    let (comparison, key) = match from {
        Start::At(key) => (">=", key),
        Start::After(key) => (">", key),
    };
    // A blob sorts behind all texts.
    let behind = after_prefix(prefix).map_or(Value::Blob(Vec::new()), Value::Text);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = rows.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key {comparison} ?2 AND key < ?3 ORDER BY key LIMIT ?4"
    ))?;
    statement.query_map(params![bucket, key, behind, limit], Object::from_row)?.collect()
}

/// Hands each object to `take`, with its bucket, in order.
pub(crate) fn each(rows: &Connection, mut take: impl FnMut(&str, Object)) -> rusqlite::Result<()> {
    let mut statement = rows.prepare(&format!("SELECT {COLUMNS}, bucket FROM objects ORDER BY bucket, key"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bucket: String = row.get(6)?;
        take(&bucket, Object::from_row(row)?);
    }
    Ok(())
}

/// The least text that is greater than all texts with this prefix, or `None` when there is none.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
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

/// Where a scan begins, which is not before its prefix.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Start {
    At(String),
    After(String),
}

pub(super) fn write(rows: &Connection, bucket: &str, object: &Object) -> rusqlite::Result<()> {
    let insert = format!("INSERT OR REPLACE INTO objects (bucket, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    let row = params![
        bucket,
        object.key,
        object.location.as_str(),
        object.size.cast_signed(),
        object.etag,
        object.modified,
        to_json(&object.attributes)?
    ];
    rows.prepare_cached(&insert)?.execute(row).map(drop)
}

pub(super) fn remove(rows: &Connection, bucket: &str, key: &str) -> rusqlite::Result<()> {
    rows.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?.execute([bucket, key]).map(drop)
}

/// A change of a file that a dead process may have left between its two halves.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) location: Location,
    pub(super) bucket: String,
    pub(super) change: Change,
}

#[derive(Debug)]
pub(super) enum Change {
    /// A temporary file is renamed to the location, and this row is written.
    Place(Box<Object>),
    /// The row is gone and the file goes.
    Remove,
}

/// An [`Object`] without the location, which the intent has as its key.
#[derive(Serialize, Deserialize)]
struct PlannedObject {
    key: String,
    size: u64,
    etag: String,
    modified: i64,
    attributes: Attributes,
}

pub(super) fn plan_place(rows: &Connection, bucket: &str, object: &Object, temporary: &str) -> rusqlite::Result<()> {
    let planned = PlannedObject {
        key: object.key.clone(),
        size: object.size,
        etag: object.etag.clone(),
        modified: object.modified,
        attributes: object.attributes.clone(),
    };
    rows.prepare_cached(
        "INSERT OR REPLACE INTO object_intents (location, temporary, bucket, object) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![object.location.as_str(), temporary, bucket, to_json(&planned)?])
    .map(drop)
}

pub(super) fn plan_removal(rows: &Connection, bucket: &str, location: &Location) -> rusqlite::Result<()> {
    rows.prepare_cached("INSERT OR REPLACE INTO object_intents (location, bucket) VALUES (?1, ?2)")?
        .execute([location.as_str(), bucket])
        .map(drop)
}

pub(super) fn settle(rows: &Connection, location: &Location) -> rusqlite::Result<()> {
    rows.prepare_cached("DELETE FROM object_intents WHERE location = ?1")?.execute([location.as_str()]).map(drop)
}

pub(super) fn intents(rows: &Connection) -> rusqlite::Result<Vec<Intent>> {
    let mut statement = rows.prepare("SELECT location, temporary, bucket, object FROM object_intents")?;
    let intents = statement.query_map([], |row| {
        let location = Location::stored(row.get(0)?);
        let change = match row.get::<_, Option<String>>(1)? {
            None => Change::Remove,
            Some(_) => {
                let planned: PlannedObject = json(row, 3)?;
                let PlannedObject { key, size, etag, modified, attributes } = planned;
                let location = location.clone();
                Change::Place(Box::new(Object { key, location, size, etag, modified, attributes }))
            }
        };
        Ok(Intent { location, bucket: row.get(2)?, change })
    })?;
    intents.collect()
}
