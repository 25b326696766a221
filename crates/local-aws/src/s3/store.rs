//! Objects as plain files, and the order of steps that never lets a reader see half of one.
//!
//! Bytes are written to a temporary file; then the intent is committed, the file is renamed into place, the row is
//! committed and the intent removed, each step durable before the next ([`super::commit`]). Whatever instant the process or
//! the machine dies in, the next start can tell from the intent and the file's digest on which side of the rename it was.
//!
//! Everything here blocks for the time of a few system calls: async callers use `spawn_blocking`.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use s3s::dto::ETagCondition;
use tempfile::TempPath;

use super::commit::{Ask, Planned, Queue};
use super::digest::{Digest, Digester, hex};
use super::files::{Disk, Files};
use super::index::{self, Attributes, Change, Object};
use super::location::{Location, path_is_refused};
use super::whole::{Difference, difference};
use crate::check;
use crate::clock;
use crate::home::Home;
use crate::state::{State, SyncError};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("The specified bucket does not exist: {0}")]
    NoSuchBucket(String),
    #[error("The specified key does not exist: {0}")]
    NoSuchKey(String),
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed,
    #[error("The bucket you tried to delete is not empty: {0}")]
    BucketNotEmpty(String),
    #[error("Your previous request to create the named bucket succeeded and you already own it: {0}")]
    BucketAlreadyOwnedByYou(String),
    #[error("The specified multipart upload does not exist; it may have been aborted or completed: {0}")]
    NoSuchUpload(String),
    #[error("One or more of the specified parts could not be found, or has another ETag or checksum: part {0}")]
    InvalidPart(i32),
    #[error("The list of parts was not in ascending order of part numbers")]
    InvalidPartOrder,
    #[error("Your proposed upload is smaller than the minimum allowed object size: part {number} has {size} bytes")]
    EntityTooSmall { number: i32, size: u64 },
    #[error("The {algorithm} you specified did not match what was received")]
    BadDigest { algorithm: &'static str },
    #[error("{0}")]
    NotAsExpected(String),
    #[error("no space left on the disk that holds {}: free some and try again; nothing of the object was kept", path.display())]
    DiskFull { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} was changed outside of the endpoint: the index says {expected} bytes, the file has {found}; upload the object again", path.display())]
    ChangedOutside { path: PathBuf, expected: u64, found: u64 },
    #[error("{} is missing, which holds an object of {expected} bytes: restore it, or upload the object again", path.display())]
    Missing { path: PathBuf, expected: u64 },
    #[error("part {number} of the upload, in {}, is not what was uploaded: upload it again", path.display())]
    DamagedPart { number: i32, path: PathBuf },
    #[error("the index of objects: {0}")]
    Index(#[from] rusqlite::Error),
    #[error("the index of objects could not be made durable: {0}")]
    Sync(#[from] SyncError),
    /// Of all changes that were to be made durable together.
    #[error(transparent)]
    Shared(Arc<StoreError>),
}

impl StoreError {
    /// The error itself, of one that several changes share.
    pub(super) fn itself(&self) -> &StoreError {
        match self {
            StoreError::Shared(error) => error.itself(),
            error => error,
        }
    }

    /// An error of the file at `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path: path.to_owned() },
            _ => StoreError::Io { path: path.to_owned(), source },
        }
    }
}

/// A finished file in the home's temporary folder, that is to become an object.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(super) key: String,
    /// Removed when it does not become an object.
    pub(super) file: TempPath,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) attributes: Attributes,
    /// A second name of bytes that are durable.
    pub(super) is_durable: bool,
}

impl Staged {
    pub(super) fn new(key: &str, file: TempPath, digest: &Digest, mut attributes: Attributes) -> Staged {
        attributes.checksum = digest.checksum.clone();
        let etag = hex(&digest.md5);
        Staged { key: key.to_owned(), file, size: digest.size, etag, attributes, is_durable: false }
    }

    /// Reads `file` once for its size and ETag.
    pub(crate) fn of_file(key: &str, file: TempPath, attributes: Attributes) -> Result<Staged, StoreError> {
        let digest = digest_file(&file).map_err(StoreError::io(&file))?;
        Ok(Staged::new(key, file, &digest, attributes))
    }
}

pub(super) fn digest_file(path: &Path) -> io::Result<Digest> {
    let mut digester = Digester::new(None, false);
    copy_through(&mut File::open(path)?, |bytes| {
        digester.update(bytes);
        Ok(())
    })?;
    Ok(digester.finish())
}

/// Hands all bytes of `from` to `take`, piece by piece.
pub(super) fn copy_through(from: &mut impl io::Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; 256 * 1024];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => take(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What has to be true of the object that a write replaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteCondition {
    /// `If-Match`.
    pub(super) matches: Option<ETagCondition>,
    /// `If-None-Match: *`.
    pub(super) absent: bool,
}

impl WriteCondition {
    pub(super) fn check(&self, existing: Option<&Object>, key: &str) -> Result<(), StoreError> {
        if self.absent && existing.is_some() {
            return Err(StoreError::PreconditionFailed);
        }
        match (&self.matches, existing) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(_), None) => Err(StoreError::NoSuchKey(key.to_owned())),
            (Some(ETagCondition::ETag(etag)), Some(object)) if etag.value() == object.etag => Ok(()),
            _ => Err(StoreError::PreconditionFailed),
        }
    }
}

/// As many damaged objects are named when a home is opened.
const WARNINGS: usize = 5;

/// The objects of one home.
#[derive(Debug)]
pub(crate) struct ObjectStore {
    pub(super) home: PathBuf,
    pub(super) state: Arc<State>,
    pub(super) files: Arc<dyn Files>,
    pub(super) queue: Queue,
    temporary: PathBuf,
    /// Nobody else may become the owner while anything here can still write.
    _owner: Arc<Home>,
}

impl ObjectStore {
    /// Settles what a dead owner left between the halves of a write, so that the temporary folder can be emptied after it.
    pub(crate) fn open(home: &Arc<Home>, state: Arc<State>) -> Result<ObjectStore, StoreError> {
        ObjectStore::open_on(Arc::new(Disk), home, state)
    }

    /// [`ObjectStore::open`] on other files than the disk's.
    pub(super) fn open_on(
        files: Arc<dyn Files>,
        home: &Arc<Home>,
        state: Arc<State>,
    ) -> Result<ObjectStore, StoreError> {
        let store = ObjectStore {
            home: home.root().to_owned(),
            state,
            files,
            queue: Queue::default(),
            temporary: home.temporary(),
            _owner: Arc::clone(home),
        };
        store.settle_intents()?;
        if !store.state.was_closed() {
            store.warn_of_damage()?;
        }
        Ok(store)
    }

    /// Compares all rows with their files, by size: what fits no row is an error when it is read, and is said now.
    fn warn_of_damage(&self) -> Result<(), StoreError> {
        let rows = self.state.lock();
        let mut problems = 0;
        index::each(&rows, |bucket, object| {
            let file = self.path(&object);
            if let Some(problem) = check::problem(bucket, &object, &file, false) {
                problems += 1;
                if problems <= WARNINGS {
                    tracing::warn!("{problem}");
                }
            }
        })?;
        if problems > WARNINGS {
            tracing::warn!("and {} more objects are not what the index says", problems - WARNINGS);
        }
        Ok(())
    }

    fn settle_intents(&self) -> Result<(), StoreError> {
        let intents = index::intents(&self.state.lock())?;
        if intents.is_empty() {
            return Ok(());
        }
        let mut placed = Vec::new();
        let mut files = Vec::new();
        for intent in &intents {
            let path = intent.location.under(&self.home);
            match &intent.change {
                // Whether it was renamed is seen by what it holds: of a folder that was not synced nothing else is certain.
                Change::Place(object) => {
                    let difference = difference(&path, object, true).map_err(StoreError::io(&path))?;
                    if difference.is_none() {
                        placed.push((intent.bucket.as_str(), object));
                    }
                    if difference != Some(Difference::Missing) {
                        files.push(path);
                    }
                }
                // Something that is not ours may be in its place by now; the row is gone in any case.
                Change::Remove => match self.remove_file(&path) {
                    Ok(()) => files.push(path),
                    Err(error) => tracing::warn!(%error, "a deleted object could not be removed"),
                },
            }
        }
        self.sync_names(&files)?;
        self.state.write(|rows| {
            placed.iter().try_for_each(|(bucket, object)| index::write(rows, bucket, object))?;
            intents.iter().try_for_each(|intent| index::settle(rows, &intent.location))
        })?;
        Ok(())
    }

    /// Where half-written files are.
    pub(crate) fn temporary_folder(&self) -> &Path {
        &self.temporary
    }

    /// A new name in the temporary folder, for a file that goes with the name unless it becomes an object.
    pub(crate) fn temporary_path(&self) -> Result<TempPath, StoreError> {
        let path = self.temporary.join(uuid::Uuid::new_v4().simple().to_string());
        TempPath::try_from_path(&path).map_err(StoreError::io(&path))
    }

    /// A new file in the temporary folder, readable as the user's other files are.
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

    pub(crate) fn ensure_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        match self.create_bucket(bucket) {
            Err(StoreError::BucketAlreadyOwnedByYou(_)) => Ok(()),
            created => created,
        }
    }

    pub(super) fn delete_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let _turn = self.turn();
        self.state.write(|rows| {
            require_bucket(rows, bucket)?;
            let used = "SELECT 1 FROM objects WHERE bucket = ?1 UNION ALL SELECT 1 FROM uploads WHERE bucket = ?1";
            if rows.query_row(used, [bucket], |_| Ok(())).optional()?.is_some() {
                return Err(StoreError::BucketNotEmpty(bucket.to_owned()));
            }
            rows.execute("DELETE FROM buckets WHERE name = ?1", [bucket])?;
            // What is left in the folders is not ours, or nothing.
            for folder in ["s3", "s3-odd"] {
                self.remove_bucket_folder(&self.home.join(folder).join(bucket));
            }
            Ok(())
        })?;
        self.sync_index()
    }

    /// Name and creation time (milliseconds) of every bucket, in order.
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

    /// The object and its bytes, of one and the same version: later writes replace the file and leave
    /// this handle as it is.
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

    /// The file that holds the object.
    pub(crate) fn path(&self, object: &Object) -> PathBuf {
        object.location.under(&self.home)
    }

    /// Makes the staged file the object of its key, if the condition holds at that instant. It is durable then.
    pub(crate) fn put(&self, bucket: &str, staged: Staged, condition: &WriteCondition) -> Result<Object, StoreError> {
        let key = staged.key.clone();
        let object = self.change(bucket, Ask::Put { staged, condition: condition.clone() })?;
        object.ok_or(StoreError::NoSuchKey(key))
    }

    /// Replaces all objects under the prefixes by the staged files, whose keys are under them too. The new
    /// rows come in one transaction, so that no listing sees some of them; an error leaves none.
    pub(crate) fn replace(&self, bucket: &str, prefixes: &[String], staged: Vec<Staged>) -> Result<(), StoreError> {
        self.sync_staged(&staged)?;
        let _turn = self.turn();
        let mut rows = self.state.lock();
        require_bucket(&rows, bucket)?;
        let mut former = Vec::new();
        for prefix in prefixes {
            former.extend(all_under(&rows, bucket, prefix)?);
        }
        let keys: HashSet<&str> = staged.iter().map(|staged| staged.key.as_str()).collect();
        former.retain(|object| !keys.contains(object.key.as_str()));
        let mut changes = Vec::with_capacity(former.len() + staged.len());
        let transaction = rows.transaction()?;
        for object in former {
            changes.push(removal(&transaction, bucket, object)?);
        }
        for staged in staged {
            let existing = index::find(&transaction, bucket, &staged.key)?;
            let replaces = existing.is_some();
            let object = self.planned(bucket, existing, &staged)?;
            index::plan_place(&transaction, bucket, &object, &staged.file.to_string_lossy())?;
            changes.push(Planned::Place { object, staged, replaces });
        }
        transaction.commit()?;
        // Where there were others, nobody sees the time between them.
        let replaces = changes.iter().any(|change| change.replaces() || matches!(change, Planned::Remove { .. }));
        let done = self.make_so(changes, replaces.then_some(rows))?;
        let Some(error) = done.into_iter().find_map(Result::err) else { return Ok(()) };
        let placed = self.state.write(|rows| {
            let mut removals = Vec::new();
            for prefix in prefixes {
                for object in all_under(rows, bucket, prefix)? {
                    removals.push(removal(rows, bucket, object)?);
                }
            }
            Ok::<_, StoreError>(removals)
        })?;
        self.make_so(placed, None)?;
        Err(error)
    }

    pub(super) fn planned(
        &self,
        bucket: &str,
        existing: Option<Object>,
        staged: &Staged,
    ) -> Result<Object, StoreError> {
        let location = match existing {
            Some(object) => object.location,
            None => self.free_location(bucket, &staged.key)?,
        };
        Ok(Object {
            key: staged.key.clone(),
            location,
            size: staged.size,
            etag: staged.etag.clone(),
            modified: clock::now_millis(),
            attributes: staged.attributes.clone(),
        })
    }

    /// Where a new key goes: its own path if the file system can have it and nothing else is there.
    fn free_location(&self, bucket: &str, key: &str) -> Result<Location, StoreError> {
        if let Some(plain) = Location::plain(bucket, key) {
            let path = plain.under(&self.home);
            match self.make_parents(&path) {
                Ok(()) if path.symlink_metadata().is_err_and(|error| !path_is_refused(&error)) => return Ok(plain),
                Err(error) if !path_is_refused(&error) => return Err(StoreError::io(&path)(error)),
                // `a` where `a/b` is, a name that is too long here, or a file that is not ours.
                _ => self.prune_folders(&path),
            }
        }
        let odd = Location::odd(bucket, key);
        let path = odd.under(&self.home);
        self.make_parents(&path).map_err(StoreError::io(&path))?;
        Ok(odd)
    }

    /// Changes what is said of an object and nothing else.
    pub(super) fn describe(
        &self,
        bucket: &str,
        key: &str,
        change: impl FnOnce(&mut Attributes),
    ) -> Result<(), StoreError> {
        let rows = self.state.lock();
        let mut object = require_object(&rows, bucket, key)?;
        change(&mut object.attributes);
        index::write(&rows, bucket, &object)?;
        drop(rows);
        self.sync_index()
    }

    /// Deletes the object if it is there and the condition holds.
    pub(super) fn delete(&self, bucket: &str, key: &str, condition: &WriteCondition) -> Result<(), StoreError> {
        self.change(bucket, Ask::Delete { key: key.to_owned(), condition: condition.clone() }).map(drop)
    }

    /// Deletes those of the keys that are objects.
    pub(crate) fn delete_all(&self, bucket: &str, keys: &[String]) -> Result<(), StoreError> {
        let _turn = self.turn();
        let changes = self.state.write(|rows| {
            require_bucket(rows, bucket)?;
            let mut changes = Vec::new();
            for key in keys {
                if let Some(object) = index::find(rows, bucket, key)? {
                    changes.push(removal(rows, bucket, object)?);
                }
            }
            Ok::<_, StoreError>(changes)
        })?;
        self.make_so(changes, None)?.into_iter().try_for_each(|done| done.map(drop))
    }

    /// All objects under a prefix, in order, with the files that hold them.
    pub(crate) fn files_under(&self, bucket: &str, prefix: &str) -> Result<Vec<(Object, PathBuf)>, StoreError> {
        let rows = self.state.lock();
        require_bucket(&rows, bucket)?;
        let objects = all_under(&rows, bucket, prefix)?;
        Ok(objects.into_iter().map(|object| (object.clone(), self.path(&object))).collect())
    }
}

fn all_under(rows: &Connection, bucket: &str, prefix: &str) -> Result<Vec<Object>, StoreError> {
    Ok(index::scan(rows, bucket, prefix, &index::Start::At(prefix.to_owned()), usize::MAX)?)
}

/// Removes the object's row, and plans the removal of its file.
fn removal(rows: &Connection, bucket: &str, object: Object) -> rusqlite::Result<Planned> {
    index::remove(rows, bucket, &object.key)?;
    index::plan_removal(rows, bucket, &object.location)?;
    Ok(Planned::Remove { location: object.location })
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

    /// A store in a home of its own.
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

        /// As after the death of the process.
        fn reopened(self) -> World {
            let World { folder, home, store } = self;
            drop((home, store));
            World::in_folder(folder)
        }

        fn staged(&self, key: &str, bytes: &str) -> Staged {
            let path = self.store.temporary_path().unwrap();
            fs::write(&path, bytes).unwrap();
            Staged::of_file(key, path, Attributes::default()).unwrap()
        }

        fn put(&self, key: &str, bytes: &str) {
            self.store.put("b", self.staged(key, bytes), &WriteCondition::default()).unwrap();
        }

        /// The first half of a write: the intent, and perhaps the rename, but no row.
        fn half_put(&self, key: &str, bytes: &str, renamed: bool) {
            let mut staged = self.staged(key, bytes);
            staged.file.disable_cleanup(true);
            let rows = self.store.state.lock();
            let existing = index::find(&rows, "b", key).unwrap();
            let object = self.store.planned("b", existing, &staged).unwrap();
            index::plan_place(&rows, "b", &object, &staged.file.to_string_lossy()).unwrap();
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
        // After a power failure the temporary file may be gone with the rename: the old version is there, under the new intent.
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
        assert_eq!(world.store.files_under("b", "").unwrap().len(), 1, "it is still listed");
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
        assert_eq!(world.store.files_under("b", "").unwrap().len(), 44);
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
            index::plan_removal(&rows, "b", &object.location).unwrap();
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
            world.store.files_under("b", "").unwrap().into_iter().map(|(object, _)| object.key).collect()
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
