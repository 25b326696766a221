//! Decides when a file that somebody else writes is complete, so that a file which is still being written is not uploaded.
//!
//! A file is complete when its size and its modification time have not changed for the settle time, and its text ends: a record
//! without a line end, or a gzip stream without its end, may be continued. A file that never ends is taken after
//! [`UNFINISHED_FACTOR`] times the settle time, and the ingestion decides what becomes of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use market::snapshot::SnapshotName;

/// The factor of the settle time for a file whose text does not end.
const UNFINISHED_FACTOR: u32 = 15;

/// The size of a read.
const CHUNK: usize = 64 << 10;

/// The version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// A file that may still be written.
#[derive(Debug, Clone, Copy)]
struct Pending {
    version: Version,
    /// When this version was seen first.
    since: Instant,
    /// Whether its text ends. `None`: not read yet.
    ends: Option<bool>,
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub path: PathBuf,
    pub bytes: u64,
}

/// The files of a folder that wait for their end, and those that were taken.
#[derive(Debug)]
pub(crate) struct Settling {
    settle: Duration,
    pending: BTreeMap<PathBuf, Pending>,
    taken: BTreeMap<PathBuf, Version>,
}

impl Settling {
    /// Returns an empty list, with this settle time.
    pub(crate) fn new(settle: Duration) -> Self {
        Self { settle, pending: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// Notes that a file may have changed at `now`. Ignores what is not a file with the name of a snapshot, and the version that
    /// was taken last.
    pub(crate) fn observe(&mut self, path: &Path, now: Instant) {
        if !is_snapshot(path) {
            return;
        }
        let Some(version) = version(path) else {
            // It was removed or renamed.
            self.pending.remove(path);
            self.taken.remove(path);
            return;
        };
        if self.taken.get(path) == Some(&version) {
            self.pending.remove(path);
            return;
        }
        match self.pending.get(path) {
            Some(pending) if pending.version == version => {}
            _ => _ = self.pending.insert(path.to_owned(), Pending { version, since: now, ends: None }),
        }
    }

    /// Removes and returns the files that are complete at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Settled> {
        for path in self.pending.keys().cloned().collect::<Vec<_>>() {
            self.observe(&path, now);
        }
        let mut settled = Vec::new();
        for (path, pending) in &mut self.pending {
            let age = now.saturating_duration_since(pending.since);
            if age < self.settle {
                continue;
            }
            // Read once: another text is another version.
            let ends = *pending.ends.get_or_insert_with(|| ends(path).unwrap_or(false));
            if ends || age >= self.settle * UNFINISHED_FACTOR {
                settled.push(path.clone());
            }
        }
        let taken = settled.into_iter().filter_map(|path| {
            let Pending { version, .. } = self.pending.remove(&path)?;
            self.taken.insert(path.clone(), version);
            Some(Settled { path, bytes: version.bytes })
        });
        taken.collect()
    }

    /// Returns files that were taken and could not be used: they are taken again.
    pub(crate) fn put_back(&mut self, files: &[Settled], now: Instant) {
        for file in files {
            self.taken.remove(&file.path);
            self.observe(&file.path, now);
        }
    }
}

fn is_snapshot(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<SnapshotName>().is_ok())
}

fn version(path: &Path) -> Option<Version> {
    let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Version { bytes: data.len(), modified: data.modified().ok() })
}

/// Whether the text of a file ends with a line feed, and its gzip stream, if it is one, with its end.
fn ends(path: &Path) -> io::Result<bool> {
    let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
    let mut text = maybe_gzip::Reader::new(File::open(path)?, is_gzip);
    let mut buffer = vec![0; CHUNK];
    let mut last = None;
    loop {
        match text.read(&mut buffer)? {
            0 => return Ok(last == Some(b'\n')),
            read => last = buffer[..read].last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);
    const NAME: &str = "202004011000_flashpanel.csv";

    struct World {
        folder: tempfile::TempDir,
        settling: Settling,
        start: Instant,
    }

    impl World {
        fn new() -> World {
            let folder = tempfile::tempdir().expect("a temporary folder");
            World { folder, settling: Settling::new(SETTLE), start: Instant::now() }
        }

        fn write(&mut self, name: &str, bytes: &[u8], second: u64) {
            let path = self.folder.path().join(name);
            fs::write(&path, bytes).expect("written");
            self.settling.observe(&path, self.start + Duration::from_secs(second));
        }

        fn taken(&mut self, second: u64) -> Vec<String> {
            let settled = self.settling.take(self.start + Duration::from_secs(second));
            settled.iter().map(|file| file.path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
        }
    }

    #[test]
    fn a_file_is_taken_once_when_it_has_not_changed_for_the_settle_time() {
        let mut world = World::new();
        world.write(NAME, b"a,b\n", 0);
        assert!(world.taken(1).is_empty());
        world.write(NAME, b"a,b\n1,2\n", 1);
        assert!(world.taken(2).is_empty(), "it has changed a second ago");
        assert_eq!(world.taken(3), [NAME]);
        let path = world.folder.path().join(NAME);
        world.settling.observe(&path, world.start + Duration::from_secs(4));
        assert!(world.taken(60).is_empty(), "it was taken");
        world.write(NAME, b"a,b\n1,2\n3,4\n", 61);
        assert_eq!(world.taken(63), [NAME], "it is another version");
    }

    #[test]
    fn a_change_that_no_event_has_told_is_seen() {
        let mut world = World::new();
        world.write(NAME, b"a,b\n", 0);
        fs::write(world.folder.path().join(NAME), b"a,b\n1,2\n").expect("written");
        assert!(world.taken(5).is_empty(), "the version is new");
        assert_eq!(world.taken(7), [NAME]);
    }

    #[test]
    fn a_text_that_does_not_end_waits_longer() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a,b\n1,2\n").expect("compressed");
        let gzip = gzip.finish().expect("compressed");
        let mut world = World::new();
        world.write("202004011000_flashpanel.csv", b"a,b\n1,2", 0);
        world.write("202004011010_flashpanel.csv.gz", &gzip[..gzip.len() - 4], 0);
        world.write("202004011020_flashpanel.csv.gz", &gzip, 0);
        world.write("202004011030_flashpanel.csv", b"", 0);
        assert_eq!(world.taken(2), ["202004011020_flashpanel.csv.gz"]);
        assert!(world.taken(29).is_empty());
        assert_eq!(
            world.taken(30),
            ["202004011000_flashpanel.csv", "202004011010_flashpanel.csv.gz", "202004011030_flashpanel.csv"]
        );
    }

    #[test]
    fn other_files_are_ignored() {
        let mut world = World::new();
        for name in ["202004011000_flashpanel.csv.part", ".202004011000_flashpanel.csv", "notes.csv", "x.tmp"] {
            world.write(name, b"a\n", 0);
        }
        let folder = world.folder.path().join("202004011000_options.csv");
        fs::create_dir(&folder).expect("a folder");
        world.settling.observe(&folder, world.start);
        assert!(world.taken(100).is_empty());
    }

    #[test]
    fn a_file_that_is_gone_is_forgotten_and_one_that_is_put_back_is_taken_again() {
        let mut world = World::new();
        let path = world.folder.path().join(NAME);
        world.write(NAME, b"a\n", 0);
        fs::remove_file(&path).expect("removed");
        assert!(world.taken(10).is_empty());
        world.write(NAME, b"a\n", 20);
        let now = world.start + Duration::from_secs(22);
        let taken = world.settling.take(now);
        world.settling.put_back(&taken, now);
        assert!(world.taken(23).is_empty());
        assert_eq!(world.taken(24), [NAME]);
    }
}
