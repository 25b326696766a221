//! Deduplication of the inputs and outputs of events, by content hash: a state's output is the next one's input, and a loop
//! passes on the same text, so each is stored once.
//!
//! A long text in an event's details is replaced by the reference `{"payload": N}`, where N is its row. It is unambiguous,
//! since those fields of the API are strings.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS payloads (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    text TEXT NOT NULL
) STRICT;
";

/// The minimum size of a text that is stored in a row of its own, in bytes.
const MIN_PAYLOAD_BYTES: usize = 1024;

/// The member of a reference.
const REFERENCE: &str = "payload";

/// Replaces the long texts of an event by references. Returns the bytes of those that were not stored yet.
pub(super) fn store(rows: &Connection, event: &mut Value) -> rusqlite::Result<u64> {
    let mut bytes = 0;
    for field in details(event) {
        if let Value::String(text) = field
            && text.len() >= MIN_PAYLOAD_BYTES
        {
            let (number, added) = intern(rows, text)?;
            bytes += added;
            *field = json!({ REFERENCE: number });
        }
    }
    Ok(bytes)
}

/// Returns the number of a text's row, and the bytes that were added: 0 if it was stored already.
fn intern(rows: &Connection, text: &str) -> rusqlite::Result<(i64, u64)> {
    let digest = Sha256::digest(text.as_bytes());
    let known = rows
        .prepare_cached("SELECT number FROM payloads WHERE digest = ?1")?
        .query_row([digest.as_slice()], |row| row.get(0))
        .optional()?;
    if let Some(number) = known {
        return Ok((number, 0));
    }
    rows.prepare_cached("INSERT INTO payloads (digest, text) VALUES (?1, ?2)")?
        .execute(params![digest.as_slice(), text])?;
    Ok((rows.last_insert_rowid(), text.len() as u64))
}

/// Replaces the references in an event by their texts.
pub(super) fn restore(rows: &Connection, event: &mut Value) -> rusqlite::Result<()> {
    for field in details(event) {
        let number = field.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.get(REFERENCE));
        if let Some(number) = number.and_then(Value::as_i64) {
            let text = "SELECT text FROM payloads WHERE number = ?1";
            *field = rows.prepare_cached(text)?.query_row([number], |row| row.get::<_, String>(0))?.into();
        }
    }
    Ok(())
}

/// Iterates over the fields of an event's details.
fn details(event: &mut Value) -> impl Iterator<Item = &mut Value> {
    let details = event.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_object_mut());
    details.flat_map(|details| details.iter_mut().map(|(_, field)| field))
}
