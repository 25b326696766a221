//! Crash consistency tests: the states that a power failure can leave on the disk, at every step of the object store.
//!
//! [`Recorder`] is a file system that records each change of a name and each fsync. The record determines what may be on the
//! disk at any instant: all that was synced, and any subset of the rest. Each such *image* is recovered as a home: what was
//! acknowledged has to be there, and the change in progress is applied completely or not at all. `proptest-state-machine`
//! generates histories of changes and shrinks those that fail.
//!
//! SQLite's files are copied at each step: the database, and its write-ahead log truncated anywhere after its synced part.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use super::digest::Digester;
use super::file_system::{Disk, FileSystem};
use super::index;
use super::multipart::{ExpectedObject, RequestedPart};
use super::store::{ObjectStore, Staged, WriteCondition};
use super::verify::difference;
use crate::home::Home;
use crate::s3::Attributes;
use crate::state::State;

const BUCKET: &str = "b";

/// A kind of fsync that the disk acknowledges and does not perform, to test that these tests notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Files,
    Folders,
    Index,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Folder,
    File { bytes: Arc<Vec<u8>>, is_synced: bool },
}

/// A change of a folder that is not synced: the new entry of a name, or `None` for a removal.
#[derive(Debug, Clone)]
struct Change {
    path: PathBuf,
    entry: Option<Entry>,
}

/// The allowed versions of each object: the acknowledged one, or those before and after the change in progress.
type Allowed = BTreeMap<String, Vec<Option<Vec<u8>>>>;

#[derive(Debug, Default)]
struct DiskLog {
    /// The durable entries below the home.
    durable: BTreeMap<PathBuf, Entry>,
    /// The changes that are not synced, in order.
    pending: Vec<Change>,
    /// The synced bytes of files, by inode.
    synced: HashMap<u64, Vec<u8>>,
    /// The durable length of SQLite's write-ahead log, in bytes.
    wal_length: usize,
    allowed: Allowed,
    images: usize,
    violations: Vec<String>,
    random: u64,
}

/// A file system that records what is durable.
#[derive(Debug)]
struct Recorder {
    home: PathBuf,
    lie: Option<Lie>,
    disk: Mutex<DiskLog>,
    /// The folder for images, in memory if the system has a memory file system.
    images: PathBuf,
}

/// The number of images that were checked by this process.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

/// The number of random images per step.
const IMAGES: usize = 2;

impl Recorder {
    /// Changes the record, then checks random images of what the disk may contain.
    fn record(&self, work: impl FnOnce(&mut DiskLog)) {
        let mut disk = self.disk.lock().unwrap();
        work(&mut disk);
        for _ in 0..IMAGES {
            disk.images += 1;
            CHECKED.fetch_add(1, Ordering::Relaxed);
            if let Err(violation) = self.check_image(&mut disk) {
                disk.violations.push(violation);
            }
        }
    }

    /// Starts the record: everything that exists counts as durable.
    fn begin(&self) {
        let mut disk = self.disk.lock().unwrap();
        disk.durable = entries_of(&self.home);
        disk.wal_length = fs::metadata(self.home.join("state.db-wal")).unwrap().len() as usize;
    }

    fn allow(&self, allowed: Allowed) {
        self.record(|disk| disk.allowed = allowed);
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.home).unwrap().to_owned()
    }

    /// Makes a random image of what may be on the disk now, recovers it twice, and compares.
    fn check_image(&self, disk: &mut DiskLog) -> Result<(), String> {
        let mut entries = disk.durable.clone();
        for change in &disk.pending {
            if next(&mut disk.random).is_multiple_of(2) {
                match &change.entry {
                    Some(entry) => _ = entries.insert(change.path.clone(), entry.clone()),
                    None => _ = entries.remove(&change.path),
                }
            }
        }
        let image = self.images.join("home");
        let _ = fs::remove_dir_all(&image);
        fs::create_dir_all(&image).unwrap();
        // The map is sorted, so a folder precedes its entries.
        for (path, entry) in &entries {
            let path = image.join(path);
            if path.parent().is_some_and(Path::is_dir) {
                match entry {
                    Entry::Folder => fs::create_dir(path).unwrap(),
                    Entry::File { bytes, is_synced: true } => fs::write(path, &**bytes).unwrap(),
                    Entry::File { bytes, .. } => {
                        let length = next(&mut disk.random) as usize % (bytes.len() + 1);
                        fs::write(path, &bytes[..length]).unwrap();
                    }
                }
            }
        }
        fs::copy(self.home.join("state.db"), image.join("state.db")).unwrap();
        let log = fs::read(self.home.join("state.db-wal")).unwrap();
        let unsynced = log.len().saturating_sub(disk.wal_length);
        let length = match next(&mut disk.random) % 3 {
            0 => disk.wal_length,
            1 => log.len(),
            _ => disk.wal_length + next(&mut disk.random) as usize % (unsynced + 1),
        };
        fs::write(image.join("state.db-wal"), &log[..length.min(log.len())]).unwrap();
        let allowed = &disk.allowed;
        let first = recovered(&image).and_then(|found| compared(&found, allowed).map(|()| found))?;
        match recovered(&image)? == first {
            true => Ok(()),
            false => Err("the second start finds other objects than the first".to_owned()),
        }
    }
}

/// Recovers an image, and returns all its objects, compared with their rows.
fn recovered(home: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let home = Arc::new(Home::own(home).map_err(|error| error.to_string())?);
    let state = Arc::new(State::open(&home.state(), &[index::SCHEMA]).map_err(|error| error.to_string())?);
    let store = ObjectStore::open(&home, state).map_err(|error| error.to_string())?;
    home.clear_temporary().map_err(|error| error.to_string())?;
    let files = store.files_with_prefix(BUCKET, "").map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    for (object, path) in files {
        if let Some(difference) = difference(&path, &object, true).map_err(|error| error.to_string())? {
            return Err(format!("{} has a row and {difference:?}", object.key));
        }
        found.insert(object.key, fs::read(path).unwrap());
    }
    let intents = index::intents(&store.state.lock()).unwrap().len();
    if intents > 0 {
        return Err(format!("{intents} intents are not resolved"));
    }
    Ok(found)
}

fn compared(found: &BTreeMap<String, Vec<u8>>, allowed: &Allowed) -> Result<(), String> {
    for (key, versions) in allowed {
        let found = found.get(key);
        if !versions.iter().any(|version| version.as_ref() == found) {
            return Err(format!("{key} is {found:?}, and has to be one of {versions:?}"));
        }
    }
    match found.keys().find(|key| !allowed.contains_key(*key)) {
        Some(key) => Err(format!("{key} was never written")),
        None => Ok(()),
    }
}

/// Returns the entries below a home, without its databases and temporary files.
fn entries_of(home: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = ["s3", "s3-odd", "s3-parts"].map(|name| home.join(name)).into();
    folders.retain(|folder| folder.is_dir());
    while let Some(folder) = folders.pop() {
        found.insert(folder.strip_prefix(home).unwrap().to_owned(), Entry::Folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = Arc::new(fs::read(&path).unwrap());
                found.insert(path.strip_prefix(home).unwrap().to_owned(), Entry::File { bytes, is_synced: true });
            }
        }
    }
    found
}

/// Returns the next pseudo-random number (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl FileSystem for Recorder {
    fn sync_files(&self, files: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        if self.lie == Some(Lie::Files) {
            return Ok(());
        }
        Disk.sync_files(files)?;
        self.record(|disk| {
            for file in files {
                disk.synced.insert(fs::metadata(file).unwrap().ino(), fs::read(file).unwrap());
            }
        });
        Ok(())
    }

    fn sync_folders(&self, folders: &[PathBuf]) -> Result<(), (PathBuf, io::Error)> {
        if self.lie == Some(Lie::Folders) {
            return Ok(());
        }
        Disk.sync_folders(folders)?;
        let folders: Vec<PathBuf> = folders.iter().map(|folder| self.relative(folder)).collect();
        self.record(|disk| {
            let (done, left): (Vec<Change>, Vec<Change>) = std::mem::take(&mut disk.pending)
                .into_iter()
                .partition(|change| change.path.parent().is_some_and(|above| folders.iter().any(|one| one == above)));
            disk.pending = left;
            for change in done {
                match change.entry {
                    Some(entry) => _ = disk.durable.insert(change.path, entry),
                    None => _ = disk.durable.remove(&change.path),
                }
            }
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (ino, bytes) = (fs::metadata(from).map(|metadata| metadata.ino()), fs::read(from));
        Disk.rename(from, to)?;
        let (ino, bytes) = (ino?, bytes?);
        self.record(|disk| {
            let is_synced = disk.synced.get(&ino) == Some(&bytes);
            let entry = Some(Entry::File { bytes: Arc::new(bytes), is_synced });
            disk.pending.push(Change { path: self.relative(to), entry });
        });
        Ok(())
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        Disk.remove_file(file)?;
        self.record(|disk| disk.pending.push(Change { path: self.relative(file), entry: None }));
        Ok(())
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.create_folder(folder)?;
        self.record(|disk| disk.pending.push(Change { path: self.relative(folder), entry: Some(Entry::Folder) }));
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.remove_folder(folder)?;
        self.record(|disk| disk.pending.push(Change { path: self.relative(folder), entry: None }));
        Ok(())
    }

    fn note_index_synced(&self) {
        if self.lie != Some(Lie::Index) {
            let log = self.home.join("state.db-wal");
            self.record(|disk| disk.wal_length = fs::metadata(log).unwrap().len() as usize);
        }
    }
}

/// Keys of all kinds: in folders, a file where others need a folder, and one that is not a valid path.
const KEYS: [&str; 7] = ["a", "a/b", "a/c", "d/e/f", "d/g", "x//y", "run/1"];

/// A step of a history.
#[derive(Debug, Clone)]
enum Step {
    Put(&'static str),
    /// Concurrently, so that they share a group.
    PutAll(Vec<&'static str>),
    Copy(&'static str, &'static str),
    Delete(&'static str),
    DeleteAll(Vec<&'static str>),
    Multipart(&'static str),
    /// Replaces all objects below `run/`.
    Replace(Vec<&'static str>),
}

/// The reference model: a map. Each write has unique bytes.
#[derive(Debug, Clone, Default)]
struct Model {
    objects: BTreeMap<String, Vec<u8>>,
    writes: usize,
}

impl Model {
    fn bytes(&mut self) -> Vec<u8> {
        self.writes += 1;
        format!("version {}", self.writes).repeat(self.writes % 5 + 1).into_bytes()
    }

    /// Applies a step. Returns the changed objects as they are after it.
    fn change(&mut self, step: &Step) -> Vec<(String, Option<Vec<u8>>)> {
        let mut changes: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        match step {
            Step::Put(key) | Step::Multipart(key) => _ = changes.insert((*key).to_owned(), Some(self.bytes())),
            Step::PutAll(keys) => keys.iter().for_each(|key| _ = changes.insert((*key).to_owned(), Some(self.bytes()))),
            Step::Copy(from, to) => {
                if let Some(bytes) = self.objects.get(*from).cloned() {
                    changes.insert((*to).to_owned(), Some(bytes));
                }
            }
            Step::Delete(key) => _ = changes.insert((*key).to_owned(), None),
            Step::DeleteAll(keys) => keys.iter().for_each(|key| _ = changes.insert((*key).to_owned(), None)),
            Step::Replace(keys) => {
                let former = self.objects.keys().filter(|key| key.starts_with("run/")).cloned().collect::<Vec<_>>();
                changes.extend(former.into_iter().map(|key| (key, None)));
                for key in keys {
                    _ = changes.insert(format!("run/{key}"), Some(self.bytes()));
                }
            }
        }
        for (key, bytes) in &changes {
            match bytes {
                Some(bytes) => _ = self.objects.insert(key.clone(), bytes.clone()),
                None => _ = self.objects.remove(key),
            }
        }
        changes.into_iter().collect()
    }
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        let key = || prop::sample::select(&KEYS[..]);
        let keys = || prop::sample::subsequence(&KEYS[..], 1..5);
        prop_oneof![
            4 => key().prop_map(Step::Put),
            2 => keys().prop_map(Step::PutAll),
            2 => (key(), key()).prop_filter("a copy onto itself changes nothing", |(from, to)| from != to)
                .prop_map(|(from, to)| Step::Copy(from, to)),
            2 => key().prop_map(Step::Delete),
            1 => keys().prop_map(Step::DeleteAll),
            1 => key().prop_map(Step::Multipart),
            1 => prop::sample::subsequence(&["1", "2", "3/4"][..], 0..3).prop_map(Step::Replace),
        ]
        .boxed()
    }

    fn apply(mut state: Model, step: &Step) -> Model {
        state.change(step);
        state
    }
}

/// A store on a recording file system, and its model.
struct World {
    store: ObjectStore,
    recorder: Arc<Recorder>,
    model: Model,
    _folders: [tempfile::TempDir; 2],
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl World {
    fn new(lie: Option<Lie>) -> World {
        let folders = [folder(), folder()];
        let home = Arc::new(Home::own(folders[0].path()).unwrap());
        let state = Arc::new(State::open(&home.state(), &[index::SCHEMA]).unwrap());
        let disk = Mutex::new(DiskLog { random: 1, ..DiskLog::default() });
        let images = folders[1].path().to_owned();
        let recorder = Arc::new(Recorder { home: home.root().to_owned(), lie, disk, images });
        ObjectStore::open(&home, Arc::clone(&state)).unwrap().ensure_bucket(BUCKET).unwrap();
        recorder.begin();
        let files = Arc::clone(&recorder);
        let store = ObjectStore::open_with(files, &home, state).unwrap();
        World { store, recorder, model: Model::default(), _folders: folders }
    }

    fn staged(&self, key: &str, bytes: &[u8]) -> Staged {
        let path = self.store.temporary_path().unwrap();
        fs::write(&path, bytes).unwrap();
        Staged::from_file(key, path, Attributes::default()).unwrap()
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        self.store.put(BUCKET, self.staged(key, bytes), &WriteCondition::default()).unwrap();
    }

    fn step(&mut self, step: &Step) {
        let before = self.model.objects.clone();
        let changes = self.model.change(step);
        let exact = |objects: &BTreeMap<String, Vec<u8>>| -> Allowed {
            objects.iter().map(|(key, bytes)| (key.clone(), vec![Some(bytes.clone())])).collect()
        };
        let mut allowed = exact(&before);
        for (key, after) in &changes {
            let versions = allowed.entry(key.clone()).or_insert_with(|| vec![None]);
            versions.push(after.clone());
        }
        self.recorder.allow(allowed);
        let whole = |key: &str| changes.iter().find(|(other, _)| other == key).and_then(|(_, bytes)| bytes.clone());
        match step {
            Step::Put(key) => self.put(key, &whole(key).unwrap()),
            Step::PutAll(keys) => std::thread::scope(|scope| {
                let (world, whole) = (&*self, &whole);
                for key in keys {
                    _ = scope.spawn(move || world.put(key, &whole(key).unwrap()));
                }
            }),
            Step::Copy(from, to) => {
                if let Ok((source, bytes)) = self.store.open_object(BUCKET, from) {
                    let staged = self.store.stage_copy(to, &source, bytes, None).unwrap();
                    self.store.put(BUCKET, staged, &WriteCondition::default()).unwrap();
                }
            }
            Step::Delete(key) => self.store.delete(BUCKET, key, &WriteCondition::default()).unwrap(),
            Step::DeleteAll(keys) => {
                let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
                self.store.delete_all(BUCKET, &keys).unwrap();
            }
            Step::Multipart(key) => {
                let id = self.store.create_upload(BUCKET, key, &Attributes::default(), None).unwrap();
                let bytes = whole(key).unwrap();
                let part = self.store.temporary_path().unwrap();
                fs::write(&part, &bytes).unwrap();
                let mut digester = Digester::new(None, false);
                digester.update(&bytes);
                let etag = self.store.put_part(BUCKET, key, &id, 1, &part, &digester.finish()).unwrap().etag;
                let requested = [RequestedPart { number: 1, etag, checksum: None }];
                let condition = WriteCondition::default();
                self.store
                    .complete_upload(BUCKET, key, &id, &requested, &ExpectedObject::default(), &condition)
                    .unwrap();
            }
            Step::Replace(keys) => {
                let staged = keys.iter().map(|key| format!("run/{key}"));
                let staged = staged.map(|key| self.staged(&key, &whole(&key).unwrap())).collect();
                self.store.replace(BUCKET, &["run/".to_owned()], staged).unwrap();
            }
        }
        self.recorder.allow(exact(&self.model.objects));
    }
}

/// The state machine test on a disk that performs every fsync.
struct Honest;

impl StateMachineTest for Honest {
    type SystemUnderTest = World;
    type Reference = Model;

    fn init_test(_: &Model) -> World {
        World::new(None)
    }

    fn apply(mut world: World, model: &Model, step: Step) -> World {
        world.step(&step);
        assert_eq!(world.model.objects, model.objects);
        world
    }

    fn check_invariants(world: &World, _: &Model) {
        let violations = &world.recorder.disk.lock().unwrap().violations;
        assert!(violations.is_empty(), "after a power failure: {violations:#?}");
    }
}

/// The number of histories, each of up to 20 steps: `PREGAO_CRASH_CASES`, or 12.
fn cases() -> u32 {
    std::env::var("PREGAO_CRASH_CASES").map_or(12, |cases| cases.parse().expect("PREGAO_CRASH_CASES is a number"))
}

#[test]
fn nothing_acknowledged_is_lost_and_no_row_is_without_its_bytes() {
    let config = Config { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        .run(&Model::sequential_strategy(1..20), |(model, steps, seen)| {
            Honest::test_sequential(config.clone(), model, steps, seen);
            Ok(())
        })
        .unwrap();
    let images = CHECKED.load(Ordering::Relaxed);
    println!("{images} images, of {} histories", cases());
    assert!(images > 500, "{images} images are too few to mean anything");
}

#[test]
fn a_sync_that_is_left_out_is_found() {
    for lie in [Lie::Files, Lie::Folders, Lie::Index] {
        let mut world = World::new(Some(lie));
        let is_found = |world: &World| !world.recorder.disk.lock().unwrap().violations.is_empty();
        for key in KEYS.iter().cycle().take(4 * KEYS.len()) {
            for step in [Step::Put(key), Step::Put(key), Step::Delete(key), Step::Put(key)] {
                if !is_found(&world) {
                    world.step(&step);
                }
            }
        }
        let disk = world.recorder.disk.lock().unwrap();
        assert!(!disk.violations.is_empty(), "{} images without {lie:?} synced, and nothing is lost", disk.images);
    }
}
