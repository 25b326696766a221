//! Durable changes of objects, by group commit.
//!
//! A change is acknowledged when it survives a power failure. That takes a few fsyncs, which many changes can share: a change
//! that arrives while a group is being committed is queued, and the first waiting thread that gets the writer lock commits
//! the queued changes as the next group. There is a single writer at a time. A group has four steps, each of which starts when
//! the step before is durable:
//!
//! 1. The bytes of the new files, in the temporary folder. Each request does this itself, in parallel with others.
//! 2. The write-ahead intents, in one transaction, which also deletes the rows of removed objects.
//! 3. The renames and removals of files, and the fsync of the folders in which names are new.
//! 4. The rows of the new objects, and the deletion of the intents, in one transaction. It need not be durable: recovery
//!    finds the intents, sees by its digest which version a file holds, and writes the same rows.
//!
//! So a row never refers to a file that does not exist, in whatever order the disk wrote what was not synced. No reader sees
//! a new object before step 4. When it replaces one, steps 3 and 4 hold the lock of the index, so that no reader sees the
//! row of one version with the bytes of the other.
//!
//! Two fsyncs are saved. If nothing is replaced, steps 2 and 3 are synced in parallel: a power failure in between may leave
//! a file that is not an object, and that change was not acknowledged. And the folder of a removed file is not synced: the
//! intent is kept, and recovery removes the file if it is still there.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rusqlite::{Connection, Transaction};

use super::file_system::FileSystem;
use super::index::{self, Object};
use super::object_path::ObjectPath;
use super::store::{ObjectStore, Staged, StoreError, WriteCondition, require_bucket};

/// Removals that may keep their intents, before their folders are synced together. It bounds the work of recovery.
const MAX_UNSYNCED_REMOVALS: usize = 1000;

/// The maximum number of changes in a group. In larger ones, the first change waits too long for the last.
const MAX_GROUP: usize = 64;

/// A requested change.
#[allow(clippy::large_enum_variant, reason = "most are of the large kind: a box would be one more allocation for each")]
#[derive(Debug)]
pub(super) enum ChangeRequest {
    Put { staged: Staged, condition: WriteCondition },
    Delete { key: String, condition: WriteCondition },
}

impl ChangeRequest {
    fn key(&self) -> &str {
        match self {
            ChangeRequest::Put { staged, .. } => &staged.key,
            ChangeRequest::Delete { key, .. } => key,
        }
    }
}

/// The object of the key after the change, if there is one.
type Outcome = Result<Option<Object>, StoreError>;

/// A change that is queued or being committed, and the slot for its result.
#[derive(Debug)]
struct QueuedChange {
    bucket: String,
    request: ChangeRequest,
    result: Arc<Mutex<Option<Outcome>>>,
}

impl QueuedChange {
    fn finish(&self, result: Outcome) {
        *lock(&self.result) = Some(result);
    }

    /// Whether both cannot be in one group: their keys are equal, or one is a file where the other needs a folder.
    fn conflicts_with(&self, other: &QueuedChange) -> bool {
        let (one, two) = (self.request.key(), other.request.key());
        let is_below = |below: &str, above: &str| below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
        self.bucket == other.bucket && (one == two || is_below(one, two) || is_below(two, one))
    }
}

/// The queued changes, and the lock of the single writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<QueuedChange>>,
    writer: Mutex<()>,
    /// Folders whose names are durable, as are those of all folders above them: they need no fsync again.
    durable: Mutex<HashSet<PathBuf>>,
    /// Removed files whose folders are not synced. Their intents are in the index.
    removed: Mutex<HashSet<ObjectPath>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock is used: recovery resolves what a panic interrupted, and each change is atomic by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// Takes the next changes that can share a group.
    fn next(&self) -> Vec<QueuedChange> {
        let mut waiting = lock(&self.waiting);
        let mut group: Vec<QueuedChange> = Vec::new();
        while let Some(next) = waiting.front()
            && group.len() < MAX_GROUP
            && !group.iter().any(|queued_change| queued_change.conflicts_with(next))
        {
            group.extend(waiting.pop_front());
        }
        group
    }
}

/// A change whose intent is in the index.
#[allow(clippy::large_enum_variant, reason = "most are of the large kind: a box would be one more allocation for each")]
pub(super) enum PlannedChange {
    Put {
        object: Object,
        staged: Staged,
        replaces: bool,
    },
    Remove {
        path: ObjectPath,
    },
    /// A deletion of an object that does not exist.
    Nothing,
}

impl PlannedChange {
    pub(super) fn replaces(&self) -> bool {
        matches!(self, PlannedChange::Put { replaces: true, .. })
    }
}

impl ObjectStore {
    /// Commits the change, possibly in a group with others, and returns the object of the key after it.
    pub(super) fn submit(&self, bucket: &str, request: ChangeRequest) -> Outcome {
        if let ChangeRequest::Put { staged, .. } = &request {
            self.sync_staged(std::slice::from_ref(staged))?;
        }
        let result = Arc::default();
        let queued_change = QueuedChange { bucket: bucket.to_owned(), request, result: Arc::clone(&result) };
        lock(&self.queue.waiting).push_back(queued_change);
        let _writer = self.lock_writer();
        loop {
            if let Some(result) = lock(&result).take() {
                return result;
            }
            let group = self.queue.next();
            if group.is_empty() {
                // The thread that took the change from the queue panicked.
                return Err(StoreError::io(&self.home)(io::Error::other("a change was lost in an earlier fault")));
            }
            self.commit_group(group);
        }
    }

    /// Waits to become the single writer.
    pub(super) fn lock_writer(&self) -> MutexGuard<'_, ()> {
        lock(&self.queue.writer)
    }

    fn commit_group(&self, group: Vec<QueuedChange>) {
        // A change that is refused gets its error here, and the group continues without it.
        let planned = self.state.write(|rows| {
            let plan = |queued_change: &QueuedChange| match self.plan(rows, queued_change)? {
                Ok(planned) => Ok(Some(planned)),
                Err(refused) => {
                    queued_change.finish(Err(refused));
                    Ok(None)
                }
            };
            group.iter().map(plan).collect::<Result<Vec<_>, StoreError>>()
        });
        // A staged file is removed with its change if it is not renamed.
        let mut queued: Vec<QueuedChange> = group;
        let done = planned.map(|planned| {
            let (mut waiting, mut changes) = (Vec::new(), Vec::new());
            for (queued_change, planned) in queued.drain(..).zip(planned) {
                let Some(plan) = planned else { continue };
                let QueuedChange { request, result, .. } = queued_change;
                changes.push(match (plan, request) {
                    (Decision::Put(object, replaces), ChangeRequest::Put { staged, .. }) => {
                        PlannedChange::Put { object, staged, replaces }
                    }
                    (Decision::Remove(path), _) => PlannedChange::Remove { path },
                    _ => PlannedChange::Nothing,
                });
                waiting.push(result);
            }
            match self.apply(changes, None) {
                Ok(results) => {
                    for (result, slot) in results.into_iter().zip(&waiting) {
                        *lock(slot) = Some(result);
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for slot in &waiting {
                        *lock(slot) = Some(Err(StoreError::Shared(Arc::clone(&error))));
                    }
                }
            }
        });
        if let Err(error) = done {
            let error = Arc::new(error);
            for queued_change in &queued {
                queued_change.finish(Err(StoreError::Shared(Arc::clone(&error))));
            }
        }
    }

    /// Checks a change against the index and inserts its intent. The outer error fails the whole group, the inner one only
    /// this change.
    fn plan(
        &self,
        rows: &Transaction<'_>,
        queued_change: &QueuedChange,
    ) -> Result<Result<Decision, StoreError>, StoreError> {
        let existing = match require_bucket(rows, &queued_change.bucket) {
            Ok(()) => index::find(rows, &queued_change.bucket, queued_change.request.key())?,
            Err(refused) => return Ok(Err(refused)),
        };
        match &queued_change.request {
            ChangeRequest::Put { staged, condition } => {
                let replaces = existing.is_some();
                let planned = condition
                    .check(existing.as_ref(), &staged.key)
                    .and_then(|()| condition.check_deletions(rows, &staged.key))
                    .and_then(|()| self.plan_object(&queued_change.bucket, existing, staged));
                let object = match planned {
                    Ok(object) => object,
                    Err(refused) => return Ok(Err(refused)),
                };
                index::insert_put_intent(rows, &queued_change.bucket, &object, &staged.file.to_string_lossy())?;
                Ok(Ok(Decision::Put(object, replaces)))
            }
            ChangeRequest::Delete { key, condition } => {
                if condition.matches.is_some()
                    && let Err(refused) = condition.check(existing.as_ref(), key)
                {
                    return Ok(Err(refused));
                }
                let Some(object) = existing else { return Ok(Ok(Decision::Nothing)) };
                index::remove(rows, &queued_change.bucket, key)?;
                index::insert_removal_intent(rows, &queued_change.bucket, &object.path)?;
                Ok(Ok(Decision::Remove(object.path)))
            }
        }
    }

    /// Performs steps 3 and 4, after the commit of the intents. Returns the results in the order of the changes. An error
    /// concerns the whole group. `held` is the lock of the index, if the caller blocks readers already.
    pub(super) fn apply(
        &self,
        changes: Vec<PlannedChange>,
        held: Option<MutexGuard<'_, Connection>>,
    ) -> Result<Vec<Outcome>, StoreError> {
        if changes.iter().all(|change| matches!(change, PlannedChange::Nothing)) {
            return Ok(changes.iter().map(|_| Ok(None)).collect());
        }
        // The intents are committed: if anything fails from here on, only recovery can tell what happened.
        let report_failure = |error: StoreError| {
            self.state.report_failure("an object", &error);
            error
        };
        let replaces = changes.iter().any(PlannedChange::replaces);
        let removes = changes.iter().any(|change| matches!(change, PlannedChange::Remove { .. }));
        // A replacement or removal must not happen before its intent is durable.
        let is_ordered = replaces || removes;
        if is_ordered {
            self.sync_index().map_err(report_failure)?;
        }
        let held = held.or_else(|| replaces.then(|| self.state.lock()));
        let (files, done) = self.change_files(&changes);
        thread::scope(|scope| {
            let index = (!is_ordered).then(|| scope.spawn(|| self.sync_index()));
            let names = self.sync_names(&files);
            index.map_or(Ok(()), |index| index.join().unwrap_or_else(|panic| resume_unwind(panic))).and(names)
        })
        .map_err(report_failure)?;
        let synced = self.track_removals(&changes);
        self.sync_names(&synced.iter().map(|path| path.in_home(&self.home)).collect::<Vec<_>>())
            .map_err(report_failure)?;
        let mut rows = held.unwrap_or_else(|| self.state.lock());
        let write_rows = |rows: &mut Connection| -> Result<(), StoreError> {
            let transaction = rows.transaction()?;
            for (change, done) in changes.iter().zip(&done) {
                match (change, done) {
                    (PlannedChange::Put { object, .. }, done) => {
                        if done.is_ok() {
                            index::upsert(&transaction, object.path.bucket(), object)?;
                        }
                        index::delete_intent(&transaction, &object.path)?;
                    }
                    // The intent is kept, since the folder is not synced. Recovery removes a file that could not be removed.
                    (PlannedChange::Remove { .. } | PlannedChange::Nothing, _) => {}
                }
            }
            synced.iter().try_for_each(|path| index::delete_intent(&transaction, path))?;
            Ok(transaction.commit()?)
        };
        write_rows(&mut rows).map_err(report_failure)?;
        drop(rows);
        let outcome = |(change, done): (PlannedChange, Result<(), StoreError>)| {
            done.map(|()| match change {
                PlannedChange::Put { object, .. } => Some(object),
                PlannedChange::Remove { .. } | PlannedChange::Nothing => None,
            })
        };
        Ok(changes.into_iter().zip(done).map(outcome).collect())
    }

    /// Performs step 3. Removals come first, since they remove empty folders where new files may need names. Returns the new
    /// files, and the result of each change.
    fn change_files(&self, changes: &[PlannedChange]) -> (Vec<PathBuf>, Vec<Result<(), StoreError>>) {
        let mut done: Vec<Result<(), StoreError>> = changes.iter().map(|_| Ok(())).collect();
        let mut files = Vec::new();
        for (change, done) in changes.iter().zip(&mut done) {
            if let PlannedChange::Remove { path } = change {
                let file = path.in_home(&self.home);
                *done = self.remove_file(&file);
                self.prune_folders(&file);
            }
        }
        for (change, done) in changes.iter().zip(&mut done) {
            if let PlannedChange::Put { object, staged, .. } = change {
                let path = self.path(object);
                let placed = self.make_parents(&path).and_then(|()| self.files.rename(&staged.file, &path));
                *done = placed.map_err(StoreError::io(&path));
                files.push(path);
            }
        }
        (files, done)
    }

    /// Remembers which removals still have intents. Returns all of them, to sync and delete, once there are
    /// [`MAX_UNSYNCED_REMOVALS`]. A path that was written since is not one of them: its new intent has replaced the old one.
    fn track_removals(&self, changes: &[PlannedChange]) -> HashSet<ObjectPath> {
        let mut removed = lock(&self.queue.removed);
        for change in changes {
            match change {
                PlannedChange::Put { object, .. } => _ = removed.remove(&object.path),
                PlannedChange::Remove { path } => _ = removed.insert(path.clone()),
                PlannedChange::Nothing => {}
            }
        }
        if removed.len() < MAX_UNSYNCED_REMOVALS { HashSet::new() } else { std::mem::take(&mut removed) }
    }

    /// Syncs the folders of all removed files and deletes their intents, so that the next start has nothing to recover.
    pub(crate) fn flush_removals(&self) -> Result<(), StoreError> {
        let _writer = self.lock_writer();
        let settled = std::mem::take(&mut *lock(&self.queue.removed));
        if settled.is_empty() {
            return Ok(());
        }
        self.sync_names(&settled.iter().map(|path| path.in_home(&self.home)).collect::<Vec<_>>())?;
        self.state.write(|rows| settled.iter().try_for_each(|path| index::delete_intent(rows, path)))?;
        Ok(())
    }

    /// Performs step 1: makes the bytes of staged files durable.
    pub(super) fn sync_staged(&self, staged: &[Staged]) -> Result<(), StoreError> {
        let files: Vec<PathBuf> =
            staged.iter().filter(|staged| !staged.is_durable).map(|staged| staged.file.to_path_buf()).collect();
        self.files.sync_files(&files).map_err(|(path, error)| StoreError::io(&path)(error))
    }

    /// Makes all commits to the index durable.
    pub(super) fn sync_index(&self) -> Result<(), StoreError> {
        self.state.sync()?;
        self.files.note_index_synced();
        Ok(())
    }

    /// Makes the names of the files durable: syncs their folders, and the folders above in which a folder may be new.
    pub(super) fn sync_names(&self, files: &[PathBuf]) -> Result<(), StoreError> {
        let mut durable = lock(&self.queue.durable);
        let mut new_durable = HashSet::new();
        let mut folders = HashSet::new();
        for folder in files.iter().filter_map(|file| file.parent()) {
            // A folder that was removed with its last file cannot be synced; the entry that changed is in the one above.
            let mut existing = folder;
            while !existing.is_dir()
                && let Some(above) = existing.parent()
            {
                existing = above;
            }
            folders.insert(existing.to_owned());
            for folder in existing.ancestors().take_while(|folder| *folder != self.home) {
                if durable.contains(folder) || !new_durable.insert(folder.to_owned()) {
                    break;
                }
                folders.extend(folder.parent().map(Path::to_owned));
            }
        }
        let folders: Vec<PathBuf> = folders.into_iter().collect();
        self.files.sync_folders(&folders).map_err(|(path, error)| StoreError::io(&path)(error))?;
        durable.extend(new_durable);
        Ok(())
    }

    /// Creates the folders of a file's path that are missing.
    pub(super) fn make_parents(&self, file: &Path) -> io::Result<()> {
        file.parent().map_or(Ok(()), |folder| make_folder(&*self.files, folder))
    }

    /// Removes the folder of a deleted bucket, if it is empty.
    pub(super) fn remove_bucket_folder(&self, folder: &Path) {
        if self.files.remove_folder(folder).is_ok() {
            lock(&self.queue.durable).remove(folder);
        }
    }

    /// Removes folders that became empty, up to the bucket's own.
    pub(super) fn prune_folders(&self, file: &Path) {
        let is_inside_bucket =
            |folder: &&Path| folder.strip_prefix(&self.home).is_ok_and(|relative| relative.components().count() > 2);
        for folder in file.ancestors().skip(1).take_while(is_inside_bucket) {
            match self.files.remove_folder(folder) {
                Ok(()) => _ = lock(&self.queue.durable).remove(folder),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => break,
            }
        }
    }

    pub(super) fn remove_file(&self, path: &Path) -> Result<(), StoreError> {
        match self.files.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path)(error)),
            _ => Ok(()),
        }
    }
}

/// The effect of one change, by the index.
#[allow(clippy::large_enum_variant, reason = "most are of the large kind: a box would be one more allocation for each")]
enum Decision {
    /// Writes this object. The flag says whether it replaces one.
    Put(Object, bool),
    Remove(ObjectPath),
    Nothing,
}

/// Creates the folder, and those above it that are missing.
fn make_folder(files: &dyn FileSystem, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    match files.create_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(above) = folder.parent() else { return Err(error) };
            make_folder(files, above)?;
            files.create_folder(folder)
        }
        created => created,
    }
}
