//! What one call of the engine is asked to do.

use std::path::{Path, PathBuf};

use market::run::RunId;
use market::snapshot::{InvalidSnapshotName, SnapshotName};

/// One raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// What it is. Its time is the `intdate` of every row, its text is `rejects.source_file`, and whether the file is
    /// read as gzip is taken from it too.
    pub snapshot: SnapshotName,
}

impl Input {
    /// The file at `path`, whose name says what it is.
    ///
    /// ```
    /// let input = etl::Input::named("raw/202004011320_options.csv".into()).unwrap();
    /// assert_eq!(input.snapshot.time.intdate(), 202004011320);
    /// ```
    ///
    /// # Errors
    /// If the last part of `path` is not the name of a snapshot.
    pub fn named(path: PathBuf) -> Result<Self, InvalidSnapshotName> {
        Self::snapshot_at(&path).map(|snapshot| Self { path, snapshot })
    }

    /// What the name of the file at `path` says that it is.
    ///
    /// # Errors
    /// If the last part of `path` is not the name of a snapshot.
    pub fn snapshot_at(path: &Path) -> Result<SnapshotName, InvalidSnapshotName> {
        let name = path.file_name().unwrap_or_else(|| Path::new("").as_os_str());
        name.to_string_lossy().parse()
    }
}

/// Raw files, and the folder that their tables are written to.
#[derive(Debug, Clone)]
pub struct Job {
    /// The raw files, in any order and of any number of days. For a day that is to be whole in the tables, all of its
    /// files have to be here: what the engine wrote for a feed's day before is replaced.
    pub inputs: Vec<Input>,
    /// The folder that holds `quotes/`, `options/` and `rejects/`, or `runs/`. It is made if it is not there.
    pub out: PathBuf,
    /// How many threads work; 0 is one for each core. The files that are written do not depend on it.
    pub threads: usize,
    /// Writes to `OUT/runs/run=<run>/<table>/` instead of `OUT/<table>/`.
    pub run: Option<RunId>,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of raw files read so far, as they lie on disk (compressed ones count compressed).
    pub read: u64,
    /// The bytes of all raw files of the job.
    pub total: u64,
}
