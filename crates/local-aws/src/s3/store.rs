//! The object store: objects are plain files, and change atomically.
//!
//! A write goes to a temporary file. Then a write-ahead intent is committed, the file is renamed to its path, the row is
//! committed and the intent deleted, each step durable before the next ([`super::group_commit`]). At whatever instant the
//! process or the machine dies, recovery can tell from the intent and the file's digest whether the rename happened.
//!
//! All methods block for a few system calls: async callers use `spawn_blocking`.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use s3s::dto::ETagCondition;
use tempfile::TempPath;

use super::digest::{Digest, Digester};
use super::file_system::{Disk, FileSystem};
use super::group_commit::{ChangeRequest, PlannedChange, Queue};
use super::index::{self, Attributes, IntentKind, Object};
use super::multipart::delete_uploads;
use super::notifications::Notifications;
use super::object_path::{ObjectPath, is_path_unsupported};
use super::verify::{Difference, difference};
use crate::check;
use crate::clock;
use crate::home::Home;
use crate::state::{State, SyncError};

/// An error of the object store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("The specified bucket does not exist: {0}")]
    NoSuchBucket(String),
    #[error("The specified key does not exist: {0}")]
    NoSuchKey(String),
    /// With the name of the header whose condition did not hold.
    #[error("At least one of the pre-conditions you specified did not hold: {0}")]
    PreconditionFailed(&'static str),
    #[error("The conditional request cannot succeed due to a conflicting operation against this resource: {condition}")]
    ConditionalRequestConflict { condition: &'static str, key: String },
    #[error("The bucket you tried to delete is not empty: {0}")]
    BucketNotEmpty(String),
    #[error("Your previous request to create the named bucket succeeded and you already own it: {0}")]
    BucketAlreadyOwnedByYou(String),
    #[error("The specified multipart upload does not exist; it may have been aborted or completed: {0}")]
    NoSuchUpload(String),
    #[error("One or more of the specified parts could not be found, or has another ETag or checksum: part {number}")]
    InvalidPart { upload: String, number: i32, etag: String },
    #[error("The list of parts was not in ascending order of part numbers")]
    InvalidPartOrder { upload: String },
    #[error("Your proposed upload is smaller than the minimum allowed size: part {number} has {size} bytes")]
    EntityTooSmall { number: i32, size: u64, minimum: u64, etag: String },
    #[error("The {algorithm} you specified did not match the calculated checksum.")]
    BadDigest { algorithm: String },
    #[error("The {algorithm} you specified for part {number} did not match what we received.")]
    BadPartDigest { algorithm: String, number: i32 },
    #[error("{0}")]
    InvalidRequest(String),
    #[error("no space left on the disk that holds {}: free some and try again; nothing of the object was kept", path.display())]
    DiskFull { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} was changed outside of the endpoint: the index says {expected} bytes, the file has {found}; upload the object again", path.display())]
    ChangedOutside { path: PathBuf, expected: u64, found: u64 },
    #[error("{} is missing; it held an object of {expected} bytes: restore it, or upload the object again", path.display())]
    Missing { path: PathBuf, expected: u64 },
    #[error("part {number} of the upload, in {}, is not what was uploaded: upload it again", path.display())]
    DamagedPart { number: i32, path: PathBuf },
    #[error("the index of objects: {0}")]
    Index(#[from] rusqlite::Error),
    #[error("the index of objects could not be made durable: {0}")]
    Sync(#[from] SyncError),
    /// The error of a group commit, which every change of the group returns.
    #[error(transparent)]
    Shared(Arc<StoreError>),
}

impl StoreError {
    /// The error itself, without [`StoreError::Shared`].
    pub(super) fn root(&self) -> &StoreError {
        match self {
            StoreError::Shared(error) => error.root(),
            error => error,
        }
    }

    /// Returns a conversion of an I/O error on `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path: path.to_owned() },
            _ => StoreError::Io { path: path.to_owned(), source },
        }
    }
}

/// A complete file in the home's temporary folder that is about to become an object.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(super) key: String,
    /// The file is removed on drop, unless it was renamed.
    pub(super) file: TempPath,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) attributes: Attributes,
    /// Whether its bytes need no fsync: it is a hard link to the file of an object.
    pub(super) is_durable: bool,
}

impl Staged {
    pub(super) fn new(key: &str, file: TempPath, digest: &Digest, mut attributes: Attributes) -> Staged {
        attributes.checksum.clone_from(&digest.checksum);
        let etag = hex::encode(digest.md5);
        Staged { key: key.to_owned(), file, size: digest.size, etag, attributes, is_durable: false }
    }

    /// Stages a file that was written without a digest. Reads it once for its size and ETag.
    pub(crate) fn from_file(key: &str, file: TempPath, attributes: Attributes) -> Result<Staged, StoreError> {
        let digest = digest_file(&file).map_err(StoreError::io(&file))?;
        Ok(Staged::new(key, file, &digest, attributes))
    }
}

pub(super) fn digest_file(path: &Path) -> io::Result<Digest> {
    let mut digester = Digester::new(None, false);
    for_each_chunk(&mut File::open(path)?, |bytes| {
        digester.update(bytes);
        Ok(())
    })?;
    Ok(digester.finish())
}

/// Reads `from` to its end, and calls `take` with each chunk.
pub(super) fn for_each_chunk(
    from: &mut impl io::Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => take(&chunk[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The condition of a write on the object that it replaces (compare-and-swap).
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteCondition {
    /// `If-Match`.
    pub(super) matches: Option<ETagCondition>,
    /// `If-None-Match: *`.
    pub(super) absent: bool,
    /// The upload that the write completes.
    pub(super) upload: Option<UploadStart>,
}

/// An upload, and the instant at which it was begun, in milliseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub(super) struct UploadStart {
    pub(super) id: String,
    pub(super) initiated: i64,
}

impl WriteCondition {
    pub(super) const IF_MATCH: &str = "If-Match";
    pub(super) const IF_NONE_MATCH: &str = "If-None-Match";

    /// Whether the condition is on the object that the write replaces.
    pub(super) fn is_some(&self) -> bool {
        self.absent || self.matches.is_some()
    }

    /// # Errors
    /// [`StoreError::PreconditionFailed`], [`StoreError::NoSuchKey`] if an ETag is required and there is no object, or
    /// [`StoreError::ConditionalRequestConflict`] if the object was written after the upload had begun.
    pub(super) fn check(&self, existing: Option<&Object>, key: &str) -> Result<(), StoreError> {
        if self.absent && existing.is_some() {
            return Err(StoreError::PreconditionFailed(WriteCondition::IF_NONE_MATCH));
        }
        let Some(condition) = &self.matches else { return Ok(()) };
        let object = existing.ok_or_else(|| StoreError::NoSuchKey(key.to_owned()))?;
        if condition.as_etag().is_some_and(|etag| etag.value() != object.etag) {
            return Err(StoreError::PreconditionFailed(WriteCondition::IF_MATCH));
        }
        if self.upload.as_ref().is_some_and(|upload| upload.initiated < object.modified) {
            let (condition, key) = (WriteCondition::IF_MATCH, key.to_owned());
            return Err(StoreError::ConditionalRequestConflict { condition, key });
        }
        Ok(())
    }

    /// Checks that the object was not deleted since the upload had begun, where it has to be absent.
    pub(super) fn check_deletions(&self, rows: &Connection, key: &str) -> Result<(), StoreError> {
        match &self.upload {
            Some(upload) if self.absent && index::is_overtaken(rows, &upload.id)? => {
                let (condition, key) = (WriteCondition::IF_NONE_MATCH, key.to_owned());
                Err(StoreError::ConditionalRequestConflict { condition, key })
            }
            _ => Ok(()),
        }
    }
}

/// The number of damaged objects that are logged when a home is opened.
const MAX_WARNINGS: usize = 5;

/// The objects of one home.
#[derive(Debug)]
pub(crate) struct ObjectStore {
    pub(super) home: PathBuf,
    pub(super) state: Arc<State>,
    pub(super) files: Arc<dyn FileSystem>,
    pub(super) queue: Queue,
    /// Notifications about the objects that clients create.
    pub(crate) notifications: Notifications,
    temporary: PathBuf,
    /// Keeps the home locked as long as the store can write to it.
    _owner: Arc<Home>,
}

impl ObjectStore {
    /// Opens the objects of a home, and recovers the changes that a crash interrupted. The temporary folder may be emptied only
    /// after it.
    pub(crate) fn open(home: &Arc<Home>, state: Arc<State>) -> Result<ObjectStore, StoreError> {
        ObjectStore::open_with(Arc::new(Disk), home, state)
    }

    /// [`ObjectStore::open`] on another file system than the disk.
    pub(super) fn open_with(
        files: Arc<dyn FileSystem>,
        home: &Arc<Home>,
        state: Arc<State>,
    ) -> Result<ObjectStore, StoreError> {
        let store = ObjectStore {
            home: home.root().to_owned(),
            state,
            files,
            queue: Queue::default(),
            notifications: Notifications::default(),
            temporary: home.temporary(),
            _owner: Arc::clone(home),
        };
        store.recover()?;
        if !store.state.was_closed() {
            store.warn_of_damage()?;
        }
        Ok(store)
    }

    /// Logs the objects whose files are missing or have another size. Reading them returns an error.
    fn warn_of_damage(&self) -> Result<(), StoreError> {
        let rows = self.state.lock();
        let mut problems = 0;
        index::for_each(&rows, |bucket, object| {
            let file = self.path(&object);
            if let Some(problem) = check::problem(bucket, &object, &file, false) {
                problems += 1;
                if problems <= MAX_WARNINGS {
                    tracing::warn!("{problem}");
                }
            }
        })?;
        if problems > MAX_WARNINGS {
            tracing::warn!("and {} more objects are not what the index says", problems - MAX_WARNINGS);
        }
        Ok(())
    }

    /// Resolves the write-ahead intents: completes those whose file is renamed, and drops the others. Idempotent, so that a crash
    /// during recovery does no harm.
    fn recover(&self) -> Result<(), StoreError> {
        let intents = index::intents(&self.state.lock())?;
        if intents.is_empty() {
            return Ok(());
        }
        let mut placed = Vec::new();
        let mut files = Vec::new();
        for intent in &intents {
            let path = intent.path.in_home(&self.home);
            match &intent.kind {
                // The file's digest tells whether it was renamed. Its existence does not: it may be the version before, or, since
                // the folder was not synced, a name without its bytes.
                IntentKind::Put(object) => {
                    let difference = difference(&path, object, true).map_err(StoreError::io(&path))?;
                    if difference.is_none() {
                        placed.push((intent.bucket.as_str(), object));
                    }
                    if difference != Some(Difference::Missing) {
                        files.push(path);
                    }
                }
                // The row is deleted already. A file that cannot be removed is only logged, since another program may have put
                // something in its place.
                IntentKind::Remove => match self.remove_file(&path) {
                    Ok(()) => files.push(path),
                    Err(error) => tracing::warn!(%error, "a deleted object could not be removed"),
                },
            }
        }
        self.sync_names(&files)?;
        self.state.write(|rows| {
            placed.iter().try_for_each(|(bucket, object)| index::upsert(rows, bucket, object))?;
            intents.iter().try_for_each(|intent| index::delete_intent(rows, &intent.path))
        })?;
        Ok(())
    }

    /// The folder for incomplete files.
    pub(crate) fn temporary_folder(&self) -> &Path {
        &self.temporary
    }

    /// Returns a new path in the temporary folder. Its file is removed on drop, unless it becomes an object.
    pub(crate) fn temporary_path(&self) -> Result<TempPath, StoreError> {
        let path = self.temporary.join(uuid::Uuid::new_v4().simple().to_string());
        TempPath::try_from_path(&path).map_err(StoreError::io(&path))
    }

    /// Creates a file in the temporary folder, with the user's default permissions.
    pub(crate) fn temporary_file(&self) -> Result<(File, TempPath), StoreError> {
        let path = self.temporary_path()?;
        let file = File::create_new(&path).map_err(StoreError::io(&path))?;
        Ok((file, path))
    }

    pub(crate) fn create_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        self.state.write(|rows| {
            if index::bucket_exists(rows, bucket)? {
                return Err(StoreError::BucketAlreadyOwnedByYou(bucket.to_owned()));
            }
            let folder = self.home.join("s3").join(bucket);
            self.make_parents(&folder.join("any")).map_err(StoreError::io(&folder))?;
            rows.execute("INSERT INTO buckets (name, created) VALUES (?1, ?2)", (bucket, clock::now_millis()))?;
            Ok(())
        })?;
        self.sync_index()
    }

    /// Creates the bucket unless it exists. Idempotent.
    pub(crate) fn ensure_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        match self.create_bucket(bucket) {
            Err(StoreError::BucketAlreadyOwnedByYou(_)) => Ok(()),
            created => created,
        }
    }

    /// Deletes a bucket without objects. Uploads that are not complete are aborted.
    pub(super) fn delete_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let _writer = self.lock_writer();
        let uploads = self.state.write(|rows| {
            require_bucket(rows, bucket)?;
            let used = "SELECT 1 FROM objects WHERE bucket = ?1 LIMIT 1";
            if rows.query_row(used, [bucket], |_| Ok(())).optional()?.is_some() {
                return Err(StoreError::BucketNotEmpty(bucket.to_owned()));
            }
            let uploads = delete_uploads(rows, bucket)?;
            rows.execute("DELETE FROM buckets WHERE name = ?1", [bucket])?;
            // Files that are left there belong to other programs. Then the folder stays.
            for folder in super::object_path::OBJECT_FOLDERS {
                self.remove_bucket_folder(&self.home.join(folder).join(bucket));
            }
            Ok(uploads)
        })?;
        self.sync_index()?;
        for id in &uploads {
            self.remove_parts(id);
        }
        Ok(())
    }

    /// Returns the name and the creation time (milliseconds since the Unix epoch) of each bucket, ordered by name.
    pub(super) fn buckets(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = self.state.lock();
        let mut statement = rows.prepare("SELECT name, created FROM buckets ORDER BY name")?;
        let buckets = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(buckets)
    }

    pub(crate) fn has_bucket(&self, bucket: &str) -> Result<bool, StoreError> {
        Ok(index::bucket_exists(&self.state.lock(), bucket)?)
    }

    pub(super) fn require_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        require_bucket(&self.state.lock(), bucket)
    }

    pub(crate) fn find(&self, bucket: &str, key: &str) -> Result<Object, StoreError> {
        let rows = self.state.lock();
        require_object(&rows, bucket, key)
    }

    /// Opens an object. Row and bytes are of the same version, and stay so: a later write renames another file over the name,
    /// and this handle keeps the old one.
    pub(crate) fn open_object(&self, bucket: &str, key: &str) -> Result<(Object, File), StoreError> {
        let rows = self.state.lock();
        let object = require_object(&rows, bucket, key)?;
        let path = self.path(&object);
        let file = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { path: path.clone(), expected: object.size },
            _ => StoreError::io(&path)(error),
        })?;
        let found = file.metadata().map_err(StoreError::io(&path))?.len();
        if found != object.size {
            return Err(StoreError::ChangedOutside { path, expected: object.size, found });
        }
        Ok((object, file))
    }

    /// Returns the path of the file that holds the object.
    pub(crate) fn path(&self, object: &Object) -> PathBuf {
        object.path.in_home(&self.home)
    }

    /// Makes the staged file the object of its key, if the condition holds: atomic, and durable on return.
    pub(crate) fn put(&self, bucket: &str, staged: Staged, condition: &WriteCondition) -> Result<Object, StoreError> {
        let key = staged.key.clone();
        let object = self.submit(bucket, ChangeRequest::Put { staged, condition: condition.clone() })?;
        self.notifications.created(bucket, &key);
        object.ok_or(StoreError::NoSuchKey(key))
    }

    /// Replaces all objects that have one of the prefixes by the staged files, whose keys have them too. Atomic for readers: one
    /// transaction writes all rows, so that no listing shows only some of them. After an error, either nothing has changed or no
    /// object has the prefixes.
    pub(crate) fn replace(&self, bucket: &str, prefixes: &[String], staged: Vec<Staged>) -> Result<(), StoreError> {
        self.sync_staged(&staged)?;
        let _writer = self.lock_writer();
        let mut rows = self.state.lock();
        require_bucket(&rows, bucket)?;
        let mut former = Vec::new();
        for prefix in prefixes {
            former.extend(objects_with_prefix(&rows, bucket, prefix)?);
        }
        let keys: HashSet<&str> = staged.iter().map(|staged| staged.key.as_str()).collect();
        former.retain(|object| !keys.contains(object.key.as_str()));
        let mut changes = Vec::with_capacity(former.len() + staged.len());
        let transaction = rows.transaction()?;
        for object in former {
            changes.push(remove_row(&transaction, bucket, object)?);
        }
        for staged in staged {
            let existing = index::find(&transaction, bucket, &staged.key)?;
            let replaces = existing.is_some();
            let object = self.plan_object(bucket, existing, &staged)?;
            index::insert_put_intent(&transaction, bucket, &object, &staged.file.to_string_lossy())?;
            changes.push(PlannedChange::Put { object, staged, replaces });
        }
        transaction.commit()?;
        // If objects are replaced, readers are blocked, so that none sees the old and the new ones mixed.
        let replaces = changes.iter().any(|change| change.replaces() || matches!(change, PlannedChange::Remove { .. }));
        let done = self.apply(changes, replaces.then_some(rows))?;
        let Some(error) = done.into_iter().find_map(Result::err) else { return Ok(()) };
        let placed = self.state.write(|rows| {
            let mut removals = Vec::new();
            for prefix in prefixes {
                for object in objects_with_prefix(rows, bucket, prefix)? {
                    removals.push(remove_row(rows, bucket, object)?);
                }
            }
            Ok::<_, StoreError>(removals)
        })?;
        self.apply(placed, None)?;
        Err(error)
    }

    /// Returns the row that a staged file will have, at the path of the object that it replaces, or at a new one.
    pub(super) fn plan_object(
        &self,
        bucket: &str,
        existing: Option<Object>,
        staged: &Staged,
    ) -> Result<Object, StoreError> {
        let path = match existing {
            Some(object) => object.path,
            None => self.choose_path(bucket, &staged.key)?,
        };
        Ok(Object {
            key: staged.key.clone(),
            path,
            size: staged.size,
            etag: staged.etag.clone(),
            modified: clock::now_millis(),
            attributes: staged.attributes.clone(),
        })
    }

    /// Returns the path for a new key: the key itself, if the file system can have that path and nothing is there.
    fn choose_path(&self, bucket: &str, key: &str) -> Result<ObjectPath, StoreError> {
        if let Some(plain) = ObjectPath::from_key(bucket, key) {
            let path = plain.in_home(&self.home);
            match self.make_parents(&path) {
                Ok(()) if path.symlink_metadata().is_err_and(|error| !is_path_unsupported(&error)) => return Ok(plain),
                Err(error) if !is_path_unsupported(&error) => return Err(StoreError::io(&path)(error)),
                // `a` where `a/b` is, a name that is too long, or a file of another program.
                _ => self.prune_folders(&path),
            }
        }
        let hashed = ObjectPath::hashed(bucket, key);
        let path = hashed.in_home(&self.home);
        self.make_parents(&path).map_err(StoreError::io(&path))?;
        Ok(hashed)
    }

    /// Changes the attributes of an object, and not its bytes.
    pub(super) fn update_attributes(
        &self,
        bucket: &str,
        key: &str,
        change: impl FnOnce(&mut Attributes),
    ) -> Result<(), StoreError> {
        let rows = self.state.lock();
        let mut object = require_object(&rows, bucket, key)?;
        change(&mut object.attributes);
        index::upsert(&rows, bucket, &object)?;
        drop(rows);
        self.sync_index()
    }

    /// Deletes the object if it exists and the condition holds. Idempotent without a condition.
    pub(super) fn delete(&self, bucket: &str, key: &str, condition: &WriteCondition) -> Result<(), StoreError> {
        self.submit(bucket, ChangeRequest::Delete { key: key.to_owned(), condition: condition.clone() }).map(drop)
    }

    /// Deletes the objects with these keys, as far as they exist, in one group commit. Idempotent.
    pub(crate) fn delete_all(&self, bucket: &str, keys: &[String]) -> Result<(), StoreError> {
        let deletions: Vec<_> = keys.iter().map(|key| (key.clone(), WriteCondition::default())).collect();
        self.delete_batch(bucket, &deletions)?.into_iter().collect()
    }

    /// Deletes the objects with these keys whose conditions hold, as far as they exist, in one group commit. Returns the
    /// result of each deletion.
    pub(super) fn delete_batch(
        &self,
        bucket: &str,
        deletions: &[(String, WriteCondition)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let _writer = self.lock_writer();
        // A change, or why there is none.
        let planned = self.state.write(|rows| {
            require_bucket(rows, bucket)?;
            let mut planned = Vec::with_capacity(deletions.len());
            for (key, condition) in deletions {
                let existing = index::find(rows, bucket, key)?;
                planned.push(match (condition.check(existing.as_ref(), key), existing) {
                    (Err(refused), _) => Err(refused),
                    (Ok(()), None) => Ok(PlannedChange::Nothing),
                    (Ok(()), Some(object)) => Ok(remove_row(rows, bucket, object)?),
                });
            }
            Ok::<_, StoreError>(planned)
        })?;
        let mut changes = Vec::new();
        let mut refusals = Vec::with_capacity(planned.len());
        for change in planned {
            refusals.push(match change {
                Ok(change) => {
                    changes.push(change);
                    None
                }
                Err(refused) => Some(refused),
            });
        }
        let mut done = self.apply(changes, None)?.into_iter();
        let result = |refused: Option<StoreError>| match refused {
            Some(refused) => Err(refused),
            None => done.next().map_or(Ok(()), |done| done.map(drop)),
        };
        Ok(refusals.into_iter().map(result).collect())
    }

    /// Returns all objects with a prefix, in key order, with their files.
    pub(crate) fn files_with_prefix(&self, bucket: &str, prefix: &str) -> Result<Vec<(Object, PathBuf)>, StoreError> {
        let rows = self.state.lock();
        require_bucket(&rows, bucket)?;
        let objects = objects_with_prefix(&rows, bucket, prefix)?;
        Ok(objects.into_iter().map(|object| (object.clone(), self.path(&object))).collect())
    }
}

fn objects_with_prefix(rows: &Connection, bucket: &str, prefix: &str) -> Result<Vec<Object>, StoreError> {
    Ok(index::scan(rows, bucket, prefix, &index::ScanStart::At(prefix.to_owned()), usize::MAX)?)
}

/// Deletes the object's row, and records the intent to remove its file.
pub(super) fn remove_row(rows: &Connection, bucket: &str, object: Object) -> rusqlite::Result<PlannedChange> {
    index::remove(rows, bucket, &object.key)?;
    index::insert_removal_intent(rows, bucket, &object.path)?;
    Ok(PlannedChange::Remove { path: object.path })
}

pub(super) fn require_bucket(rows: &Connection, bucket: &str) -> Result<(), StoreError> {
    if index::bucket_exists(rows, bucket)? { Ok(()) } else { Err(StoreError::NoSuchBucket(bucket.to_owned())) }
}

fn require_object(rows: &Connection, bucket: &str, key: &str) -> Result<Object, StoreError> {
    require_bucket(rows, bucket)?;
    index::find(rows, bucket, key)?.ok_or_else(|| StoreError::NoSuchKey(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A store in a temporary home.
    struct World {
        folder: tempfile::TempDir,
        home: Arc<Home>,
        store: ObjectStore,
    }

    impl World {
        fn new() -> World {
            World::in_folder(tempfile::tempdir().unwrap())
        }

        fn in_folder(folder: tempfile::TempDir) -> World {
            let home = Arc::new(Home::own(folder.path()).unwrap());
            let state = Arc::new(State::open(&home.state(), &[index::SCHEMA]).unwrap());
            let store = ObjectStore::open(&home, state).unwrap();
            home.clear_temporary().unwrap();
            store.ensure_bucket("b").unwrap();
            World { folder, home, store }
        }

        /// Reopens the home, as after a crash.
        fn reopened(self) -> World {
            let World { folder, home, store } = self;
            drop((home, store));
            World::in_folder(folder)
        }

        fn staged(&self, key: &str, bytes: &str) -> Staged {
            let path = self.store.temporary_path().unwrap();
            fs::write(&path, bytes).unwrap();
            Staged::from_file(key, path, Attributes::default()).unwrap()
        }

        fn put(&self, key: &str, bytes: &str) {
            self.store.put("b", self.staged(key, bytes), &WriteCondition::default()).unwrap();
        }

        /// A write that crashed after its intent, or after its rename, and before its row.
        fn half_put(&self, key: &str, bytes: &str, renamed: bool) {
            let mut staged = self.staged(key, bytes);
            staged.file.disable_cleanup(true);
            let rows = self.store.state.lock();
            let existing = index::find(&rows, "b", key).unwrap();
            let object = self.store.plan_object("b", existing, &staged).unwrap();
            index::insert_put_intent(&rows, "b", &object, &staged.file.to_string_lossy()).unwrap();
            if renamed {
                fs::rename(&staged.file, self.store.path(&object)).unwrap();
            }
        }

        fn get(&self, key: &str) -> Option<String> {
            let (_, file) = self.store.open_object("b", key).ok()?;
            Some(io::read_to_string(file).unwrap())
        }
    }

    #[test]
    fn a_write_that_died_is_whole_or_not_at_all() {
        let world = World::new();
        for key in ["new-renamed", "new-not"] {
            world.half_put(key, "new", key.ends_with("renamed"));
        }
        for key in ["old-renamed", "old-not"] {
            world.put(key, "the old one");
            world.half_put(key, "new", key.ends_with("renamed"));
        }
        let world = world.reopened();
        assert_eq!(world.get("new-renamed").as_deref(), Some("new"));
        assert_eq!(world.get("new-not"), None);
        assert_eq!(world.get("old-renamed").as_deref(), Some("new"));
        assert_eq!(world.get("old-not").as_deref(), Some("the old one"));
        assert_eq!(fs::read_dir(world.store.temporary_folder()).unwrap().count(), 0);
        let world = world.reopened();
        assert_eq!(world.get("old-renamed").as_deref(), Some("new"), "settled once and for all");
    }

    #[test]
    fn a_rename_that_was_lost_is_seen_by_what_the_file_holds() {
        // After a power failure, both the temporary file and the rename may be lost: the old version is there, with the new intent.
        let world = World::new();
        world.put("k", "the old one");
        world.half_put("k", "the new one", false);
        for entry in fs::read_dir(world.store.temporary_folder()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let world = world.reopened();
        assert_eq!(world.get("k").as_deref(), Some("the old one"));
        let (object, _) = world.store.open_object("b", "k").unwrap();
        assert_eq!(difference(&world.store.path(&object), &object, true).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_missing_or_cut_off_is_an_error_and_no_empty_object() {
        let world = World::new();
        world.put("day/part", "rows");
        let (object, _) = world.store.open_object("b", "day/part").unwrap();
        let path = world.store.path(&object);
        fs::write(&path, "ro").unwrap();
        assert!(matches!(world.store.open_object("b", "day/part"), Err(StoreError::ChangedOutside { .. })));
        fs::remove_file(&path).unwrap();
        let error = world.store.open_object("b", "day/part").unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(error.to_string().contains("day/part is missing"), "{error}");
        assert_eq!(world.store.files_with_prefix("b", "").unwrap().len(), 1, "it is still listed");
    }

    #[test]
    fn what_is_asked_at_once_is_done_each_for_itself() {
        let world = World::new();
        std::thread::scope(|scope| {
            for number in 0..40 {
                let world = &world;
                // Some of them need a folder where others are files.
                scope.spawn(move || world.put(&format!("a{}/b/{number}", number % 3), &number.to_string()));
                scope.spawn(move || world.put(&format!("a{}", number % 3), &number.to_string()));
                scope.spawn(move || world.store.delete("b", "a1/b", &WriteCondition::default()).unwrap());
            }
            let refused = WriteCondition { absent: true, ..WriteCondition::default() };
            let staged = (world.staged("once", "1"), world.staged("once", "2"));
            let (first, second) =
                (world.store.put("b", staged.0, &refused).is_ok(), world.store.put("b", staged.1, &refused).is_ok());
            assert!(first && !second);
        });
        for number in 0..40 {
            let found = world.get(&format!("a{}/b/{number}", number % 3));
            assert_eq!(found, Some(number.to_string()));
        }
        for key in ["a0", "a1", "a2"] {
            assert!(world.get(key).is_some());
        }
        let world = world.reopened();
        assert_eq!(world.store.files_with_prefix("b", "").unwrap().len(), 44);
        assert_eq!(index::intents(&world.store.state.lock()).unwrap().len(), 0);
    }

    #[test]
    fn a_removal_that_died_is_finished() {
        let world = World::new();
        world.put("a/b", "x");
        let (object, _) = world.store.open_object("b", "a/b").unwrap();
        {
            let rows = world.store.state.lock();
            index::remove(&rows, "b", "a/b").unwrap();
            index::insert_removal_intent(&rows, "b", &object.path).unwrap();
        }
        let world = world.reopened();
        assert!(!world.store.path(&object).exists());
        world.put("a/b", "y");
        assert_eq!(world.get("a/b").as_deref(), Some("y"));
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let world = World::new();
        let foreign = world.folder.path().join("s3/b/notes.txt");
        fs::write(&foreign, "mine").unwrap();
        world.put("notes.txt", "the object");
        assert_eq!(world.get("notes.txt").as_deref(), Some("the object"));
        assert_eq!(fs::read_to_string(foreign).unwrap(), "mine");
    }

    #[test]
    fn a_folder_is_replaced_in_one_step_or_not_at_all() {
        let world = World::new();
        world.put("run/old", "x");
        world.put("other", "x");
        let staged = vec![world.staged("run/a", "1"), world.staged("run/b", "2")];
        world.store.replace("b", &["run/".to_owned()], staged).unwrap();
        let keys = |world: &World| -> Vec<String> {
            world.store.files_with_prefix("b", "").unwrap().into_iter().map(|(object, _)| object.key).collect()
        };
        assert_eq!(keys(&world), ["other", "run/a", "run/b"]);

        let lost = world.staged("run/d", "4");
        fs::remove_file(&lost.file).unwrap();
        let staged = vec![world.staged("run/c", "3"), lost];
        world.store.replace("b", &["run/".to_owned()], staged).unwrap_err();
        assert_eq!(keys(&world), ["other", "run/a", "run/b"], "nothing was done");

        // A folder is in the place of a new file.
        let staged = vec![world.staged("run/c", "3"), world.staged("run/d", "4")];
        world.store.put("b", world.staged("run/d", "x"), &WriteCondition::default()).unwrap();
        fs::remove_file(world.folder.path().join("s3/b/run/d")).unwrap();
        fs::create_dir(world.folder.path().join("s3/b/run/d")).unwrap();
        world.store.replace("b", &["run/".to_owned()], staged).unwrap_err();
        assert_eq!(keys(&world), ["other"]);
        assert!(!world.folder.path().join("s3/b/run/c").exists());
        assert_eq!(keys(&world.reopened()), ["other"]);
    }

    #[test]
    fn a_full_disk_is_named() {
        let error = StoreError::io(Path::new("/home/s3/b/k"))(io::ErrorKind::StorageFull.into());
        assert_eq!(
            error.to_string(),
            "no space left on the disk that holds /home/s3/b/k: free some and try again; nothing of the object was kept"
        );
    }
}
