//! How changes of objects become durable, many at once.
//!
//! A change is acknowledged when it survives a power failure. That takes a few round trips to the disk, whatever the
//! number of changes that share them: so a change that comes while others are under way waits for its turn, and the
//! first one of those that wait carries out all of them (group commit). The steps of one group, none of which begins
//! before the one above it is durable:
//!
//! 1. The bytes of the new files, in the temporary folder. Each request does this by itself, beside the others.
//! 2. The intents, in one transaction. A removed object has no row from here on.
//! 3. The renames and removals, and the folders in which files got their names.
//! 4. The rows of the new objects, and the end of the intents, in one transaction. It need not be durable: the next
//!    start finds the intents, sees by its digest which file holds which version, and writes the same rows.
//!
//! So a row never stands for a file that is not there, in whatever order the disk wrote what was not synced. Until step
//! 4 nobody sees the new object; where it replaces one, readers wait from the rename to the row, so that nobody sees
//! the one's row with the other's bytes.
//!
//! Two round trips are saved. Where nothing is replaced, steps 2 and 3 become durable at the same time: a power failure
//! in between may leave a file that is no object, which was not acknowledged. And the folder of a removed file is
//! not synced: its intent stays, and removes the file at the next start if it is there.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rusqlite::{Connection, Transaction};

use super::files::Files;
use super::index::{self, Object};
use super::location::Location;
use super::store::{ObjectStore, Staged, StoreError, WriteCondition, require_bucket};

/// As many removals keep their intents until the folders are synced.
const MOST_REMOVED: usize = 1000;

/// As many changes share one group. More would make the first one wait for the last.
const LARGEST_GROUP: usize = 64;

/// What is asked for.
#[allow(clippy::large_enum_variant, reason = "most are of the large kind: a box would be one more allocation for each")]
#[derive(Debug)]
pub(super) enum Ask {
    Put { staged: Staged, condition: WriteCondition },
    Delete { key: String, condition: WriteCondition },
}

impl Ask {
    fn key(&self) -> &str {
        match self {
            Ask::Put { staged, .. } => &staged.key,
            Ask::Delete { key, .. } => key,
        }
    }
}

/// The object that there is now, if any.
type Answer = Result<Option<Object>, StoreError>;

/// One change that waits, or is under way.
#[derive(Debug)]
struct Ticket {
    bucket: String,
    ask: Ask,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Ticket {
    fn answer(&self, answer: Answer) {
        *lock(&self.answer) = Some(answer);
    }

    /// Whether both cannot be in one group: the same file, or one where the other needs a folder.
    fn is_near(&self, other: &Ticket) -> bool {
        let (one, two) = (self.ask.key(), other.ask.key());
        let is_below = |below: &str, above: &str| below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
        self.bucket == other.bucket && (one == two || is_below(one, two) || is_below(two, one))
    }
}

/// The changes that wait, and the right to carry them out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Ticket>>,
    turn: Mutex<()>,
    /// Folders whose names are durable, and those of all folders above them.
    durable: Mutex<HashSet<PathBuf>>,
    /// Removed files whose folders were not synced. Their intents are in the index.
    removed: Mutex<HashSet<Location>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left is settled at the next start; until then each change is whole by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// The next changes that can share a group.
    fn next(&self) -> Vec<Ticket> {
        let mut waiting = lock(&self.waiting);
        let mut group: Vec<Ticket> = Vec::new();
        while let Some(next) = waiting.front()
            && group.len() < LARGEST_GROUP
            && !group.iter().any(|ticket| ticket.is_near(next))
        {
            group.extend(waiting.pop_front());
        }
        group
    }
}

/// A change of files that is planned in the index.
#[allow(clippy::large_enum_variant, reason = "most are of the large kind: a box would be one more allocation for each")]
pub(super) enum Planned {
    Place {
        object: Object,
        staged: Staged,
        replaces: bool,
    },
    Remove {
        location: Location,
    },
    /// There was no such object.
    Nothing,
}

impl Planned {
    pub(super) fn replaces(&self) -> bool {
        matches!(self, Planned::Place { replaces: true, .. })
    }
}

impl ObjectStore {
    /// Carries the change out, with those of others, and returns the object that there is now.
    pub(super) fn change(&self, bucket: &str, ask: Ask) -> Answer {
        if let Ask::Put { staged, .. } = &ask {
            self.sync_staged(std::slice::from_ref(staged))?;
        }
        let answer = Arc::default();
        let ticket = Ticket { bucket: bucket.to_owned(), ask, answer: Arc::clone(&answer) };
        lock(&self.queue.waiting).push_back(ticket);
        let _turn = self.turn();
        loop {
            if let Some(answer) = lock(&answer).take() {
                return answer;
            }
            let group = self.queue.next();
            if group.is_empty() {
                // The thread that had it panicked.
                return Err(StoreError::io(&self.home)(io::Error::other("a change was lost in an earlier fault")));
            }
            self.carry_out(group);
        }
    }

    /// The right to change objects, which one thread has at a time.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.queue.turn)
    }

    fn carry_out(&self, group: Vec<Ticket>) {
        // Who asks for what cannot be has no part in the group.
        let planned = self.state.write(|rows| {
            let plan = |ticket: &Ticket| match self.plan(rows, ticket)? {
                Ok(planned) => Ok(Some(planned)),
                Err(refused) => {
                    ticket.answer(Err(refused));
                    Ok(None)
                }
            };
            group.iter().map(plan).collect::<Result<Vec<_>, StoreError>>()
        });
        // The staged files belong to the tickets until they are renamed.
        let mut tickets: Vec<Ticket> = group;
        let done = planned.map(|planned| {
            let (mut waiting, mut changes) = (Vec::new(), Vec::new());
            for (ticket, planned) in tickets.drain(..).zip(planned) {
                let Some(plan) = planned else { continue };
                let Ticket { ask, answer, .. } = ticket;
                changes.push(match (plan, ask) {
                    (Plan::Place(object, replaces), Ask::Put { staged, .. }) => {
                        Planned::Place { object, staged, replaces }
                    }
                    (Plan::Remove(location), _) => Planned::Remove { location },
                    _ => Planned::Nothing,
                });
                waiting.push(answer);
            }
            match self.make_so(changes, None) {
                Ok(answers) => {
                    for (answer, place) in answers.into_iter().zip(&waiting) {
                        *lock(place) = Some(answer);
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    waiting.iter().for_each(|place| *lock(place) = Some(Err(StoreError::Shared(Arc::clone(&error)))));
                }
            }
        });
        if let Err(error) = done {
            let error = Arc::new(error);
            tickets.iter().for_each(|ticket| ticket.answer(Err(StoreError::Shared(Arc::clone(&error)))));
        }
    }

    /// Checks one change against the index and writes its intent. The inner error is that of this change alone.
    fn plan(&self, rows: &Transaction<'_>, ticket: &Ticket) -> Result<Result<Plan, StoreError>, StoreError> {
        let existing = match require_bucket(rows, &ticket.bucket) {
            Ok(()) => index::find(rows, &ticket.bucket, ticket.ask.key())?,
            Err(refused) => return Ok(Err(refused)),
        };
        match &ticket.ask {
            Ask::Put { staged, condition } => {
                let replaces = existing.is_some();
                let planned = condition
                    .check(existing.as_ref(), &staged.key)
                    .and_then(|()| self.planned(&ticket.bucket, existing, staged));
                let object = match planned {
                    Ok(object) => object,
                    Err(refused) => return Ok(Err(refused)),
                };
                index::plan_place(rows, &ticket.bucket, &object, &staged.file.to_string_lossy())?;
                Ok(Ok(Plan::Place(object, replaces)))
            }
            Ask::Delete { key, condition } => {
                if condition.matches.is_some()
                    && let Err(refused) = condition.check(existing.as_ref(), key)
                {
                    return Ok(Err(refused));
                }
                let Some(object) = existing else { return Ok(Ok(Plan::Nothing)) };
                index::remove(rows, &ticket.bucket, key)?;
                index::plan_removal(rows, &ticket.bucket, &object.location)?;
                Ok(Ok(Plan::Remove(object.location)))
            }
        }
    }

    /// What follows the commit of the intents. The answers are in the order of the changes; an error is one of all of
    /// them. Nobody reads while the index is held.
    pub(super) fn make_so(
        &self,
        changes: Vec<Planned>,
        held: Option<MutexGuard<'_, Connection>>,
    ) -> Result<Vec<Answer>, StoreError> {
        if changes.iter().all(|change| matches!(change, Planned::Nothing)) {
            return Ok(changes.iter().map(|_| Ok(None)).collect());
        }
        // What cannot be kept from here on is for the next start to settle.
        let give_up = |error: StoreError| {
            self.state.give_up("an object", &error);
            error
        };
        let replaces = changes.iter().any(Planned::replaces);
        let removes = changes.iter().any(|change| matches!(change, Planned::Remove { .. }));
        let waits = replaces || removes;
        if waits {
            self.sync_index().map_err(give_up)?;
        }
        let held = held.or_else(|| replaces.then(|| self.state.lock()));
        let (files, done) = self.change_files(&changes);
        thread::scope(|scope| {
            let index = (!waits).then(|| scope.spawn(|| self.sync_index()));
            let names = self.sync_names(&files);
            index.map_or(Ok(()), |index| index.join().unwrap_or_else(|panic| resume_unwind(panic))).and(names)
        })
        .map_err(give_up)?;
        let settled = self.removed_to_settle(&changes);
        self.sync_names(&settled.iter().map(|location| location.under(&self.home)).collect::<Vec<_>>())
            .map_err(give_up)?;
        let mut rows = held.unwrap_or_else(|| self.state.lock());
        let keep_rows = |rows: &mut Connection| -> Result<(), StoreError> {
            let transaction = rows.transaction()?;
            for (change, done) in changes.iter().zip(&done) {
                match (change, done) {
                    (Planned::Place { object, .. }, done) => {
                        if done.is_ok() {
                            index::write(&transaction, object.location.bucket(), object)?;
                        }
                        index::settle(&transaction, &object.location)?;
                    }
                    // Its folder is not synced; and a file that cannot be removed now goes at the next start.
                    (Planned::Remove { .. } | Planned::Nothing, _) => {}
                }
            }
            settled.iter().try_for_each(|location| index::settle(&transaction, location))?;
            Ok(transaction.commit()?)
        };
        keep_rows(&mut rows).map_err(give_up)?;
        drop(rows);
        let answer = |(change, done): (Planned, Result<(), StoreError>)| {
            done.map(|()| match change {
                Planned::Place { object, .. } => Some(object),
                Planned::Remove { .. } | Planned::Nothing => None,
            })
        };
        Ok(changes.into_iter().zip(done).map(answer).collect())
    }

    /// Step 3: removals first, since they take empty folders with them. Returns the files that got their names.
    fn change_files(&self, changes: &[Planned]) -> (Vec<PathBuf>, Vec<Result<(), StoreError>>) {
        let mut done: Vec<Result<(), StoreError>> = changes.iter().map(|_| Ok(())).collect();
        let mut files = Vec::new();
        for (change, done) in changes.iter().zip(&mut done) {
            if let Planned::Remove { location } = change {
                let path = location.under(&self.home);
                *done = self.remove_file(&path);
                self.prune_folders(&path);
            }
        }
        for (change, done) in changes.iter().zip(&mut done) {
            if let Planned::Place { object, staged, .. } = change {
                let path = self.path(object);
                let placed = self.make_parents(&path).and_then(|()| self.files.rename(&staged.file, &path));
                *done = placed.map_err(StoreError::io(&path));
                files.push(path);
            }
        }
        (files, done)
    }

    /// Keeps in mind which removals have intents left, and hands out those that are to be settled now, if they have become
    /// many. A file that was written since is none of them: its own intent has taken the place of the other.
    fn removed_to_settle(&self, changes: &[Planned]) -> HashSet<Location> {
        let mut removed = lock(&self.queue.removed);
        for change in changes {
            match change {
                Planned::Place { object, .. } => _ = removed.remove(&object.location),
                Planned::Remove { location } => _ = removed.insert(location.clone()),
                Planned::Nothing => {}
            }
        }
        if removed.len() < MOST_REMOVED { HashSet::new() } else { std::mem::take(&mut removed) }
    }

    /// Syncs the folders of all removed files and ends their intents, so that the next start has none to carry out.
    pub(crate) fn settle_removed(&self) -> Result<(), StoreError> {
        let _turn = self.turn();
        let settled = std::mem::take(&mut *lock(&self.queue.removed));
        if settled.is_empty() {
            return Ok(());
        }
        self.sync_names(&settled.iter().map(|location| location.under(&self.home)).collect::<Vec<_>>())?;
        self.state.write(|rows| settled.iter().try_for_each(|location| index::settle(rows, location)))?;
        Ok(())
    }

    /// Makes the bytes of files durable that are to become objects.
    pub(super) fn sync_staged(&self, staged: &[Staged]) -> Result<(), StoreError> {
        let files: Vec<PathBuf> =
            staged.iter().filter(|staged| !staged.is_durable).map(|staged| staged.file.to_path_buf()).collect();
        self.files.sync_files(&files).map_err(|(path, error)| StoreError::io(&path)(error))
    }

    /// Makes durable what was committed to the index.
    pub(super) fn sync_index(&self) -> Result<(), StoreError> {
        self.state.sync()?;
        self.files.index_is_durable();
        Ok(())
    }

    /// Makes the names of the files durable: their entries, and those of the folders above them that may be new.
    pub(super) fn sync_names(&self, files: &[PathBuf]) -> Result<(), StoreError> {
        let mut durable = lock(&self.queue.durable);
        let mut named = HashSet::new();
        let mut folders = HashSet::new();
        for folder in files.iter().filter_map(|file| file.parent()) {
            // A folder that went with its last file has no entries to keep; the one above it has lost one.
            let mut there = folder;
            while !there.is_dir()
                && let Some(above) = there.parent()
            {
                there = above;
            }
            folders.insert(there.to_owned());
            for folder in there.ancestors().take_while(|folder| *folder != self.home) {
                if durable.contains(folder) || !named.insert(folder.to_owned()) {
                    break;
                }
                folders.extend(folder.parent().map(Path::to_owned));
            }
        }
        let folders: Vec<PathBuf> = folders.into_iter().collect();
        self.files.sync_folders(&folders).map_err(|(path, error)| StoreError::io(&path)(error))?;
        durable.extend(named);
        Ok(())
    }

    pub(super) fn make_parents(&self, file: &Path) -> io::Result<()> {
        file.parent().map_or(Ok(()), |folder| make_folder(&*self.files, folder))
    }

    /// Removes the folder of a bucket that is gone, if it is empty.
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

/// What the index says of one change.
#[allow(clippy::large_enum_variant, reason = "most are of the large kind: a box would be one more allocation for each")]
enum Plan {
    /// The object, and whether it replaces one.
    Place(Object, bool),
    Remove(Location),
    Nothing,
}

/// The folder, and those above it that are missing.
fn make_folder(files: &dyn Files, folder: &Path) -> io::Result<()> {
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
