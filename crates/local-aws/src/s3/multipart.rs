//! Multipart uploads. Each part is a file of its own, in `HOME/s3-parts`. Completion concatenates them into a temporary
//! file, which becomes the object atomically.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use s3s::crypto::{Checksum as _, Sha256};
use s3s::dto;
use serde::{Deserialize, Serialize};
use tempfile::TempPath;

use super::digest::{self, Algorithm, Digest, Digester, StoredChecksum};
use super::index::{self, Attributes, Object};
use super::listing::common_prefix;
use super::store::{ObjectStore, Staged, StoreError, UploadStart, WriteCondition, for_each_chunk, require_bucket};
use crate::clock;
use crate::state::{json, to_json};

/// The minimum size of a part, except the last.
const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// Algorithm and type of the checksum that an upload's object will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadChecksum {
    pub(super) algorithm: Algorithm,
    pub(super) composite: bool,
}

/// A row of the index: an upload that is not complete.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    /// Milliseconds since the Unix epoch.
    pub(super) initiated: i64,
    pub(super) attributes: Attributes,
    pub(super) checksum: Option<UploadChecksum>,
}

/// An entry in a listing of uploads.
#[derive(Debug, Clone)]
pub(super) enum UploadEntry {
    Upload(Box<Upload>),
    /// A common prefix, with its delimiter.
    Prefix(String),
}

/// A request for a page of uploads.
#[derive(Debug, Clone, Default)]
pub(super) struct UploadListRequest {
    pub(super) prefix: String,
    /// Empty: no grouping.
    pub(super) delimiter: String,
    /// The key of the last entry of the page before, or a common prefix.
    pub(super) key_marker: String,
    /// The id of the last upload of the page before. Without it, the page is after all uploads of the key.
    pub(super) id_marker: Option<String>,
    pub(super) limit: usize,
}

/// One page of uploads. `is_truncated`: more entries follow the last one.
#[derive(Debug, Default)]
pub(super) struct UploadPage {
    pub(super) entries: Vec<UploadEntry>,
    pub(super) is_truncated: bool,
}

/// A row of the index: an uploaded part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified: i64,
    pub(super) checksum: Option<StoredChecksum>,
    file: PathBuf,
}

/// A part in the list with which a client completes an upload.
#[derive(Debug, Clone)]
pub(super) struct RequestedPart {
    pub(super) number: i32,
    pub(super) etag: String,
    pub(super) checksum: Option<(Algorithm, String)>,
}

/// The checksum and size that a client expects of the object when it completes an upload.
#[derive(Debug, Clone, Default)]
pub(super) struct ExpectedObject {
    pub(super) checksum: Option<(Algorithm, String)>,
    pub(super) composite: Option<bool>,
    pub(super) size: Option<u64>,
}

/// The identity of a completion, stored with its object. It makes completion idempotent: a client that lost the response
/// repeats the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CompletionId {
    id: String,
    /// The SHA-256 of the numbers and `ETags` of the requested parts.
    parts: String,
}

impl CompletionId {
    fn new(id: &str, requested: &[RequestedPart]) -> CompletionId {
        let mut hasher = Sha256::new();
        for part in requested {
            hasher.update(format!("{}:{}\n", part.number, part.etag).as_bytes());
        }
        CompletionId { id: id.to_owned(), parts: hex::encode(hasher.finalize()) }
    }
}

impl UploadChecksum {
    /// Returns S3's type of the checksum.
    pub(super) fn kind(self) -> dto::ChecksumType {
        digest::checksum_type(self.composite)
    }

    /// Checks that a part has a checksum of the upload's algorithm. Without one, it is computed, unless the object's checksum is
    /// composed of those of the parts.
    pub(super) fn check_part(self, sent: Option<Algorithm>) -> Result<(), StoreError> {
        match sent {
            None if !self.composite => Ok(()),
            sent if sent == Some(self.algorithm) => Ok(()),
            sent => Err(StoreError::InvalidRequest(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                self.algorithm.lower_name(),
                sent.map_or_else(|| "null".to_owned(), Algorithm::lower_name)
            ))),
        }
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
            require_bucket(rows, bucket)?;
            // Uploads of one key are listed in the order in which they were begun: no two have the same instant.
            let last: Option<i64> = rows.query_row(
                "SELECT max(initiated) FROM uploads WHERE bucket = ?1 AND key = ?2",
                [bucket, key],
                |row| row.get(0),
            )?;
            let initiated = clock::now_millis().max(last.map_or(0, |last| last + 1));
            rows.execute(
                "INSERT INTO uploads (id, bucket, key, initiated, attributes, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, bucket, key, initiated, to_json(attributes)?, to_json(&checksum)?],
            )?;
            Ok::<_, StoreError>(())
        })?;
        Ok(id)
    }

    pub(super) fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
        find_upload(&self.state.lock(), bucket, key, id)
    }

    /// Lists uploads of a bucket, ordered by key and by the instant at which they were begun (keyset pagination). Returns
    /// `None` if the upload of the marker is not one of its key.
    pub(super) fn uploads(&self, bucket: &str, request: &UploadListRequest) -> Result<Option<UploadPage>, StoreError> {
        let rows = self.state.lock();
        require_bucket(&rows, bucket)?;
        let after = match &request.id_marker {
            None => i64::MAX,
            Some(id) => match find_upload(&rows, bucket, &request.key_marker, id) {
                Ok(upload) => upload.initiated,
                Err(StoreError::NoSuchUpload(_)) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let mut statement = rows.prepare(&format!(
            "SELECT {} FROM uploads WHERE bucket = ?1 AND substr(key, 1, length(?2)) = ?2
             AND (key, initiated) > (?3, ?4) ORDER BY key, initiated",
            Upload::COLUMNS
        ))?;
        let uploads =
            statement.query_map(params![bucket, request.prefix, request.key_marker, after], Upload::from_row)?;
        let mut page = UploadPage::default();
        for upload in uploads {
            let upload = upload?;
            let entry = match common_prefix(&upload.key, &request.prefix, &request.delimiter) {
                None => UploadEntry::Upload(Box::new(upload)),
                Some(prefix) if request.key_marker.starts_with(prefix) || page.ends_with(prefix) => continue,
                Some(prefix) => UploadEntry::Prefix(prefix.to_owned()),
            };
            if page.entries.len() == request.limit {
                page.is_truncated = request.limit > 0;
                break;
            }
            page.entries.push(entry);
        }
        Ok(Some(page))
    }

    /// Stores the temporary file as a part. Replaces an earlier part of that number.
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
            etag: hex::encode(digest.md5),
            modified: clock::now_millis(),
            checksum: digest.checksum.clone(),
            file,
        };
        // The bytes are durable before the row: completion relies on every acknowledged part.
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

    /// Returns the parts with a number greater than `after`, in order.
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
            delete_upload(rows, id)?;
            Ok::<_, StoreError>(())
        })?;
        self.remove_parts(id);
        Ok(())
    }

    /// Makes the requested parts the object, if they match the uploaded ones and the condition holds. Idempotent: if an earlier
    /// call, whose response may have been lost, did the same, its object is returned.
    pub(super) fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        requested: &[RequestedPart],
        expected: &ExpectedObject,
        condition: &WriteCondition,
    ) -> Result<Object, StoreError> {
        let completed = CompletionId::new(id, requested);
        if let Some(object) = self.find_completed(bucket, key, &completed)? {
            self.end_upload(id)?;
            return Ok(object);
        }
        let made = self.assemble(bucket, key, &completed, requested, expected, condition);
        match made {
            Ok(object) => {
                self.notifications.created(bucket, key);
                self.end_upload(id)?;
                Ok(object)
            }
            // A concurrent call of the same completion may have removed the parts.
            Err(error) => self.find_completed(bucket, key, &completed)?.ok_or(error),
        }
    }

    fn find_completed(&self, bucket: &str, key: &str, completed: &CompletionId) -> Result<Option<Object>, StoreError> {
        let object = index::find(&self.state.lock(), bucket, key)?;
        Ok(object.filter(|object| object.attributes.completed.as_ref() == Some(completed)))
    }

    fn assemble(
        &self,
        bucket: &str,
        key: &str,
        completed: &CompletionId,
        requested: &[RequestedPart],
        expected: &ExpectedObject,
        condition: &WriteCondition,
    ) -> Result<Object, StoreError> {
        let upload = self.upload(bucket, key, &completed.id)?;
        let start = UploadStart { id: upload.id.clone(), initiated: upload.initiated };
        let condition = WriteCondition { upload: Some(start), ..condition.clone() };
        if condition.is_some() {
            // Before the work of assembling the parts, and again when the object is written.
            let rows = self.state.lock();
            condition.check(index::find(&rows, bucket, key)?.as_ref(), key)?;
            condition.check_deletions(&rows, key)?;
        }
        if requested.is_empty() {
            return Err(StoreError::InvalidRequest("You must specify at least one part".to_owned()));
        }
        check_checksum_type(upload.checksum, expected)?;
        let parts = select_parts(&upload, &self.parts(&completed.id, 0, 10_000)?, requested)?;
        check_size(&parts, expected)?;
        let mut staged = self.concatenate_parts(upload, &parts, expected.checksum.as_ref())?;
        check_checksum(&staged, expected.checksum.as_ref())?;
        staged.attributes.completed = Some(completed.clone());
        self.put(bucket, staged, &condition)
    }

    /// Deletes an upload and its parts.
    fn end_upload(&self, id: &str) -> Result<(), StoreError> {
        self.state.write(|rows| delete_upload(rows, id))?;
        // Durable before the parts are removed: an upload without its parts could never be completed.
        self.sync_index()?;
        self.remove_parts(id);
        Ok(())
    }

    /// Concatenates the parts into one staged file, and verifies each by its MD5. Computes the expected checksum if the upload
    /// has none of its own.
    fn concatenate_parts(
        &self,
        upload: Upload,
        parts: &[Part],
        expected: Option<&(Algorithm, String)>,
    ) -> Result<Staged, StoreError> {
        let whole = match upload.checksum {
            None => Some(expected.map_or(Algorithm::DEFAULT, |(algorithm, _)| *algorithm)),
            Some(checksum) => Some(checksum.algorithm).filter(|_| !checksum.composite),
        };
        let (mut file, path) = self.temporary_file()?;
        let mut digester = Digester::new(whole, false);
        for part in parts {
            let mut bytes = File::open(&part.file).map_err(StoreError::io(&part.file))?;
            let mut own = Digester::new(None, false);
            for_each_chunk(&mut bytes, |piece| {
                digester.update(piece);
                own.update(piece);
                file.write_all(piece)
            })
            .map_err(StoreError::io(&path))?;
            if hex::encode(own.finish().md5) != part.etag {
                return Err(StoreError::DamagedPart { number: part.number, path: part.file.clone() });
            }
        }
        let digest = digester.finish();
        let mut staged = Staged::new(&upload.key, path, &digest, upload.attributes);
        let md5s: Vec<[u8; 16]> = parts.iter().filter_map(|part| digest::parse_md5(&part.etag)).collect();
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

    pub(super) fn remove_parts(&self, id: &str) {
        // Files that cannot be removed are harmless: no row refers to them.
        let _ = fs::remove_dir_all(self.parts_folder(id));
    }
}

impl UploadPage {
    fn ends_with(&self, prefix: &str) -> bool {
        matches!(self.entries.last(), Some(UploadEntry::Prefix(last)) if last == prefix)
    }
}

fn find_upload(rows: &Connection, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
    require_bucket(rows, bucket)?;
    rows.query_row(
        &format!("SELECT {} FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3", Upload::COLUMNS),
        [id, bucket, key],
        Upload::from_row,
    )
    .optional()?
    .ok_or_else(|| StoreError::NoSuchUpload(id.to_owned()))
}

fn delete_upload(rows: &Connection, id: &str) -> rusqlite::Result<()> {
    rows.execute("DELETE FROM uploads WHERE id = ?1", [id]).map(|_| ())
}

/// Deletes the uploads of a bucket, and returns their ids.
pub(super) fn delete_uploads(rows: &Connection, bucket: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = rows.prepare("DELETE FROM uploads WHERE bucket = ?1 RETURNING id")?;
    statement.query_map([bucket], |row| row.get(0))?.collect()
}

/// Returns the uploaded parts that a client requests. `uploaded` is sorted by number.
fn select_parts(upload: &Upload, uploaded: &[Part], requested: &[RequestedPart]) -> Result<Vec<Part>, StoreError> {
    let is_composite = upload.checksum.is_some_and(|checksum| checksum.composite);
    let is_ordered = requested.windows(2).all(|pair| pair[0].number < pair[1].number);
    // Parts whose checksums are composed are numbered from 1 without gaps.
    let is_complete = !is_composite || (1..).zip(requested).all(|(number, part)| part.number == number);
    if !is_ordered {
        return Err(StoreError::InvalidPartOrder { upload: upload.id.clone() });
    }
    let mut chosen = Vec::with_capacity(requested.len());
    for request in requested {
        let found = uploaded.binary_search_by_key(&request.number, |part| part.number).ok();
        chosen.push(check_part(upload, found.map(|place| &uploaded[place]), request)?.clone());
    }
    if !is_complete {
        return Err(StoreError::InvalidPartOrder { upload: upload.id.clone() });
    }
    let all_but_last = &chosen[..chosen.len().saturating_sub(1)];
    match all_but_last.iter().find(|part| part.size < MIN_PART_BYTES) {
        Some(part) => Err(StoreError::EntityTooSmall {
            number: part.number,
            size: part.size,
            minimum: MIN_PART_BYTES,
            etag: part.etag.clone(),
        }),
        None => Ok(chosen),
    }
}

/// Returns the part if it is the one that a client requests.
fn check_part<'a>(upload: &Upload, part: Option<&'a Part>, request: &RequestedPart) -> Result<&'a Part, StoreError> {
    let number = request.number;
    let invalid = || StoreError::InvalidPart { upload: upload.id.clone(), number, etag: request.etag.clone() };
    let part = part.filter(|part| part.etag == request.etag).ok_or_else(invalid)?;
    // Without an algorithm of the upload, its parts have no checksums that a client could name.
    let has_checksum = |algorithm: Algorithm, value: &str| {
        let own = part.checksum.as_ref().filter(|_| upload.checksum.is_some());
        own.is_some_and(|own| own.algorithm == algorithm && own.value == value)
    };
    match (upload.checksum.filter(|checksum| checksum.composite), &request.checksum) {
        (_, Some((algorithm, value))) if has_checksum(*algorithm, value) => Ok(part),
        (Some(own), Some((algorithm, _))) if own.algorithm != *algorithm => {
            Err(StoreError::BadPartDigest { algorithm: algorithm.lower_name(), number })
        }
        (_, Some(_)) => Err(invalid()),
        (None, None) => Ok(part),
        (Some(own), None) => Err(StoreError::InvalidRequest(format!(
            "The upload was created using a {} checksum. The complete request must include the checksum for each part. \
             It was missing for part {number} in the request.",
            own.algorithm.lower_name()
        ))),
    }
}

fn check_size(parts: &[Part], expected: &ExpectedObject) -> Result<(), StoreError> {
    let size: u64 = parts.iter().map(|part| part.size).sum();
    match expected.size {
        Some(expected) if expected != size => Err(StoreError::InvalidRequest(format!(
            "The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {size}"
        ))),
        _ => Ok(()),
    }
}

/// Checks the type and the algorithm of the object's checksum.
fn check_checksum_type(checksum: Option<UploadChecksum>, expected: &ExpectedObject) -> Result<(), StoreError> {
    // The checksum of an upload that was created without one is over the whole object.
    let is_composite = checksum.is_some_and(|checksum| checksum.composite);
    if expected.composite.is_some_and(|composite| composite != is_composite) {
        let kind = checksum.map(UploadChecksum::kind);
        return Err(StoreError::InvalidRequest(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            kind.as_ref().map_or("null", dto::ChecksumType::as_str)
        )));
    }
    match (checksum, &expected.checksum) {
        (Some(checksum), Some((algorithm, _))) if *algorithm != checksum.algorithm => {
            Err(StoreError::InvalidRequest(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                checksum.algorithm.lower_name(),
                algorithm.lower_name()
            )))
        }
        _ => Ok(()),
    }
}

fn check_checksum(staged: &Staged, expected: Option<&(Algorithm, String)>) -> Result<(), StoreError> {
    let Some((algorithm, value)) = expected else { return Ok(()) };
    match &staged.attributes.checksum {
        Some(checksum) if checksum.algorithm == *algorithm && !same_checksum(&checksum.value, value) => {
            Err(StoreError::BadDigest { algorithm: algorithm.lower_name() })
        }
        _ => Ok(()),
    }
}

/// Compares checksums. Clients send a composite one with or without its suffix, the number of parts.
fn same_checksum(ours: &str, theirs: &str) -> bool {
    ours == theirs || ours.split_once('-').is_some_and(|(value, _)| value == theirs)
}
