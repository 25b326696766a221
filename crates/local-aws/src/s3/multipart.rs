//! Uploads in parts. A part is a file beside the bucket until the upload is complete, when the parts are
//! strung together into one temporary file that becomes the object in one step.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;

use super::digest::{self, Algorithm, Digest, Digester, StoredChecksum, hex};
use super::index::{self, Attributes, Object};
use super::store::{ObjectStore, Staged, StoreError, WriteCondition, copy_through};
use crate::clock;
use crate::state::{json, to_json};

/// Every part but the last has at least this many bytes.
const SMALLEST_PART: u64 = 5 * 1024 * 1024;

/// The checksum that an upload's object will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadChecksum {
    pub(super) algorithm: Algorithm,
    pub(super) composite: bool,
}

/// An upload under way.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    /// Milliseconds since 1970.
    pub(super) initiated: i64,
    pub(super) attributes: Attributes,
    pub(super) checksum: Option<UploadChecksum>,
}

/// A part that was uploaded.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified: i64,
    pub(super) checksum: Option<StoredChecksum>,
    file: PathBuf,
}

/// What a client says of a part when it completes the upload.
#[derive(Debug, Clone)]
pub(super) struct ClaimedPart {
    pub(super) number: i32,
    pub(super) etag: Option<String>,
    pub(super) checksum: Option<(Algorithm, String)>,
}

impl Upload {
    const COLUMNS: &str = "id, key, initiated, attributes, checksum";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Upload> {
        Ok(Upload {
            id: row.get(0)?,
            key: row.get(1)?,
            initiated: row.get(2)?,
            attributes: json(row, 3)?,
            checksum: json(row, 4)?,
        })
    }
}

impl Part {
    const COLUMNS: &str = "number, file, size, etag, modified, checksum";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Part> {
        Ok(Part {
            number: row.get(0)?,
            file: row.get::<_, String>(1)?.into(),
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            etag: row.get(3)?,
            modified: row.get(4)?,
            checksum: json(row, 5)?,
        })
    }
}

impl ObjectStore {
    pub(super) fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        attributes: &Attributes,
        checksum: Option<UploadChecksum>,
    ) -> Result<String, StoreError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        self.state.write(|rows| {
            if !index::bucket_exists(rows, bucket)? {
                return Err(StoreError::NoSuchBucket(bucket.to_owned()));
            }
            rows.execute(
                "INSERT INTO uploads (id, bucket, key, initiated, attributes, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, bucket, key, clock::now_millis(), to_json(attributes)?, to_json(&checksum)?],
            )?;
            Ok(())
        })?;
        Ok(id)
    }

    pub(super) fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
        find_upload(&self.state.lock(), bucket, key, id)
    }

    /// The uploads of a bucket under a prefix, in order of key and id, behind the given pair.
    pub(super) fn uploads(
        &self,
        bucket: &str,
        prefix: &str,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Upload>, StoreError> {
        self.require_bucket(bucket)?;
        let rows = self.state.lock();
        let mut statement = rows.prepare(&format!(
            "SELECT {} FROM uploads WHERE bucket = ?1 AND substr(key, 1, length(?2)) = ?2 AND (key, id) > (?3, ?4)
             ORDER BY key, id LIMIT {limit}",
            Upload::COLUMNS
        ))?;
        let uploads = statement.query_map([bucket, prefix, after.0, after.1], Upload::from_row)?;
        Ok(uploads.collect::<Result<_, _>>()?)
    }

    /// Keeps the temporary file as a part, in place of an earlier one of that number.
    pub(super) fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        temporary: &TempPath,
        digest: &Digest,
    ) -> Result<Part, StoreError> {
        let folder = self.parts_folder(id);
        let file = folder.join(format!("{number}-{}", uuid::Uuid::new_v4().simple()));
        let part = Part {
            number,
            size: digest.size,
            etag: hex(&digest.md5),
            modified: clock::now_millis(),
            checksum: digest.checksum.clone(),
            file,
        };
        let replaced = self.state.write(|rows| {
            find_upload(rows, bucket, key, id)?;
            fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
            fs::rename(temporary, &part.file).map_err(StoreError::io(&part.file))?;
            let replaced: Option<String> = rows
                .query_row(
                    "SELECT file FROM upload_parts WHERE upload = ?1 AND number = ?2",
                    params![id, number],
                    |row| row.get(0),
                )
                .optional()?;
            rows.execute(
                &format!(
                    "INSERT OR REPLACE INTO upload_parts (upload, {}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    Part::COLUMNS
                ),
                params![
                    id,
                    number,
                    part.file.to_string_lossy(),
                    part.size.cast_signed(),
                    part.etag,
                    part.modified,
                    to_json(&part.checksum)?
                ],
            )?;
            Ok::<_, StoreError>(replaced)
        })?;
        if let Some(replaced) = replaced {
            let _ = fs::remove_file(replaced);
        }
        Ok(part)
    }

    /// The parts behind number `after`, in order.
    pub(super) fn parts(&self, id: &str, after: i32, limit: usize) -> Result<Vec<Part>, StoreError> {
        let rows = self.state.lock();
        let mut statement = rows.prepare(&format!(
            "SELECT {} FROM upload_parts WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT {limit}",
            Part::COLUMNS
        ))?;
        let parts = statement.query_map(params![id, after], Part::from_row)?;
        Ok(parts.collect::<Result<_, _>>()?)
    }

    pub(super) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<(), StoreError> {
        self.state.write(|rows| {
            find_upload(rows, bucket, key, id)?;
            forget_upload(rows, id)?;
            Ok::<_, StoreError>(())
        })?;
        self.remove_parts(id);
        Ok(())
    }

    /// Makes the claimed parts the object, if they are what was uploaded and the condition holds.
    pub(super) fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        claimed: &[ClaimedPart],
        expected: Option<&(Algorithm, String)>,
        condition: &WriteCondition,
    ) -> Result<Object, StoreError> {
        let upload = self.upload(bucket, key, id)?;
        let parts = chosen_parts(&self.parts(id, 0, 10_000)?, claimed)?;
        let staged = self.string_together(upload, &parts)?;
        check_expected(&staged, expected)?;
        let object = self.put(bucket, staged, condition)?;
        self.state.write(|rows| forget_upload(rows, id))?;
        self.remove_parts(id);
        Ok(object)
    }

    fn string_together(&self, upload: Upload, parts: &[Part]) -> Result<Staged, StoreError> {
        let whole = upload.checksum.filter(|checksum| !checksum.composite).map(|checksum| checksum.algorithm);
        let (mut file, path) = self.temporary_file()?;
        let mut digester = Digester::new(whole, false);
        for part in parts {
            let mut bytes = File::open(&part.file).map_err(StoreError::io(&part.file))?;
            copy_through(&mut bytes, |piece| {
                digester.update(piece);
                file.write_all(piece)
            })
            .map_err(StoreError::io(&path))?;
        }
        let digest = digester.finish();
        let mut staged = Staged::new(&upload.key, path, &digest, upload.attributes);
        let md5s: Vec<[u8; 16]> = parts.iter().filter_map(|part| digest::md5_of_hex(&part.etag)).collect();
        staged.etag = digest::multipart_etag(&md5s);
        staged.attributes.parts = parts.iter().map(|part| part.size).collect();
        if let Some(UploadChecksum { algorithm, composite: true }) = upload.checksum {
            let checksums: Option<Vec<String>> =
                parts.iter().map(|part| part.checksum.as_ref().map(|checksum| checksum.value.clone())).collect();
            staged.attributes.checksum = checksums.and_then(|checksums| digest::composite(algorithm, &checksums));
        }
        Ok(staged)
    }

    fn parts_folder(&self, id: &str) -> PathBuf {
        self.home.join("s3-parts").join(id)
    }

    fn remove_parts(&self, id: &str) {
        // What cannot be removed now is in nobody's way: its upload is gone from the index.
        let _ = fs::remove_dir_all(self.parts_folder(id));
    }
}

fn find_upload(rows: &Connection, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
    rows.query_row(
        &format!("SELECT {} FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3", Upload::COLUMNS),
        [id, bucket, key],
        Upload::from_row,
    )
    .optional()?
    .ok_or_else(|| StoreError::NoSuchUpload(id.to_owned()))
}

fn forget_upload(rows: &Connection, id: &str) -> rusqlite::Result<()> {
    rows.execute("DELETE FROM uploads WHERE id = ?1", [id]).map(|_| ())
}

/// The claimed ones of the uploaded parts, which are in order.
fn chosen_parts(uploaded: &[Part], claimed: &[ClaimedPart]) -> Result<Vec<Part>, StoreError> {
    if claimed.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(StoreError::InvalidPartOrder);
    }
    let mut chosen = Vec::with_capacity(claimed.len());
    for claim in claimed {
        let found = uploaded.binary_search_by_key(&claim.number, |part| part.number).ok();
        let part = found.map(|place| &uploaded[place]).filter(|part| is_as_claimed(part, claim));
        chosen.push(part.ok_or(StoreError::InvalidPart(claim.number))?.clone());
    }
    let all_but_last = &chosen[..chosen.len().saturating_sub(1)];
    match all_but_last.iter().find(|part| part.size < SMALLEST_PART) {
        Some(part) => Err(StoreError::EntityTooSmall { number: part.number, size: part.size }),
        None => Ok(chosen),
    }
}

fn is_as_claimed(part: &Part, claim: &ClaimedPart) -> bool {
    let etag_holds = claim.etag.as_ref().is_none_or(|etag| *etag == part.etag);
    let checksum_holds = match (&claim.checksum, &part.checksum) {
        (Some((algorithm, value)), Some(checksum)) => *algorithm != checksum.algorithm || *value == checksum.value,
        _ => true,
    };
    etag_holds && checksum_holds
}

fn check_expected(staged: &Staged, expected: Option<&(Algorithm, String)>) -> Result<(), StoreError> {
    let Some((algorithm, value)) = expected else { return Ok(()) };
    match &staged.attributes.checksum {
        Some(checksum) if checksum.algorithm == *algorithm && !same_checksum(&checksum.value, value) => {
            Err(StoreError::BadDigest { algorithm: algorithm.name() })
        }
        _ => Ok(()),
    }
}

/// Clients give a composite checksum with or without the number of parts behind it.
fn same_checksum(ours: &str, theirs: &str) -> bool {
    ours == theirs || ours.split_once('-').is_some_and(|(value, _)| value == theirs)
}
