//! Uploads in parts. A part is a file beside the bucket until the upload is complete, when the parts are
//! strung together into one temporary file that becomes the object in one step.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use s3s::crypto::{Checksum as _, Sha256};
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

/// What a client says of the whole object when it completes the upload.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) checksum: Option<(Algorithm, String)>,
    pub(super) composite: Option<bool>,
    pub(super) size: Option<u64>,
}

/// Which upload an object is of, and of which parts: a client that lost the answer asks for the same once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Completed {
    id: String,
    /// The SHA-256 over the numbers and ETags of the claimed parts.
    parts: String,
}

impl Completed {
    fn of(id: &str, claimed: &[ClaimedPart]) -> Completed {
        let mut hasher = Sha256::new();
        for part in claimed {
            hasher.update(format!("{}:{}\n", part.number, part.etag.as_deref().unwrap_or_default()).as_bytes());
        }
        Completed { id: id.to_owned(), parts: hex(&hasher.finalize()) }
    }
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
        // Durable before its row: a part that is acknowledged is read when the upload is completed.
        self.files.sync_files(&[temporary.to_path_buf()]).map_err(|(path, error)| StoreError::io(&path)(error))?;
        let replaced = self.state.write(|rows| {
            find_upload(rows, bucket, key, id)?;
            self.make_parents(&part.file).map_err(StoreError::io(&folder))?;
            self.files.rename(temporary, &part.file).map_err(StoreError::io(&part.file))?;
            self.sync_names(std::slice::from_ref(&part.file))?;
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
        self.sync_index()?;
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

    /// Makes the claimed parts the object, if they are what was uploaded and the condition holds. Where they are the
    /// object already, by an earlier call whose answer may have been lost, that object is the answer.
    pub(super) fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        claimed: &[ClaimedPart],
        expected: &Expected,
        condition: &WriteCondition,
    ) -> Result<Object, StoreError> {
        let completed = Completed::of(id, claimed);
        if let Some(object) = self.find_completed(bucket, key, &completed)? {
            self.forget(id)?;
            return Ok(object);
        }
        let made = self.make_whole(bucket, key, &completed, claimed, expected, condition);
        match made {
            Ok(object) => {
                self.forget(id)?;
                Ok(object)
            }
            // The same call, a moment earlier, may have taken the parts away.
            Err(error) => self.find_completed(bucket, key, &completed)?.ok_or(error),
        }
    }

    fn find_completed(&self, bucket: &str, key: &str, completed: &Completed) -> Result<Option<Object>, StoreError> {
        let object = index::find(&self.state.lock(), bucket, key)?;
        Ok(object.filter(|object| object.attributes.completed.as_ref() == Some(completed)))
    }

    fn make_whole(
        &self,
        bucket: &str,
        key: &str,
        completed: &Completed,
        claimed: &[ClaimedPart],
        expected: &Expected,
        condition: &WriteCondition,
    ) -> Result<Object, StoreError> {
        let upload = self.upload(bucket, key, &completed.id)?;
        let parts = chosen_parts(&self.parts(&completed.id, 0, 10_000)?, claimed)?;
        check_expected_form(upload.checksum, &parts, expected)?;
        let mut staged = self.string_together(upload, &parts, expected.checksum.as_ref())?;
        check_expected(&staged, expected.checksum.as_ref())?;
        staged.attributes.completed = Some(completed.clone());
        self.put(bucket, staged, condition)
    }

    /// Ends an upload whose parts are no longer needed.
    fn forget(&self, id: &str) -> Result<(), StoreError> {
        self.state.write(|rows| forget_upload(rows, id))?;
        // Durable before the parts go: an upload without them could not be completed once more.
        self.sync_index()?;
        self.remove_parts(id);
        Ok(())
    }

    /// One file of all parts. Where the upload has no checksum, the one that is expected is computed.
    fn string_together(
        &self,
        upload: Upload,
        parts: &[Part],
        expected: Option<&(Algorithm, String)>,
    ) -> Result<Staged, StoreError> {
        let whole = match upload.checksum {
            None => expected.map(|(algorithm, _)| *algorithm),
            Some(checksum) => Some(checksum.algorithm).filter(|_| !checksum.composite),
        };
        let (mut file, path) = self.temporary_file()?;
        let mut digester = Digester::new(whole, false);
        for part in parts {
            let mut bytes = File::open(&part.file).map_err(StoreError::io(&part.file))?;
            let mut own = Digester::new(None, false);
            copy_through(&mut bytes, |piece| {
                digester.update(piece);
                own.update(piece);
                file.write_all(piece)
            })
            .map_err(StoreError::io(&path))?;
            if hex(&own.finish().md5) != part.etag {
                return Err(StoreError::DamagedPart { number: part.number, path: part.file.clone() });
            }
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
        (Some((algorithm, value)), Some(checksum)) => *algorithm == checksum.algorithm && *value == checksum.value,
        (Some(_), None) => false,
        (None, _) => true,
    };
    etag_holds && checksum_holds
}

/// What is said of the object before its bytes are read: its size, and what its checksum is of.
fn check_expected_form(
    checksum: Option<UploadChecksum>,
    parts: &[Part],
    expected: &Expected,
) -> Result<(), StoreError> {
    let size: u64 = parts.iter().map(|part| part.size).sum();
    if let Some(expected) = expected.size.filter(|expected| *expected != size) {
        let text = format!("The parts have {size} bytes together, and x-amz-mp-object-size says {expected}");
        return Err(StoreError::NotAsExpected(text));
    }
    // Without a checksum of its own, the one that is claimed now is of the whole.
    let is_composite = checksum.is_some_and(|checksum| checksum.composite);
    if expected.composite.is_some_and(|composite| composite != is_composite) {
        let text = "The upload was created with another checksum type than x-amz-checksum-type says";
        return Err(StoreError::NotAsExpected(text.to_owned()));
    }
    let Some(checksum) = checksum else { return Ok(()) };
    match &expected.checksum {
        Some((algorithm, _)) if *algorithm != checksum.algorithm => Err(StoreError::NotAsExpected(format!(
            "The upload was created with the checksum algorithm {}, and not with {}",
            checksum.algorithm.name(),
            algorithm.name()
        ))),
        _ => Ok(()),
    }
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
