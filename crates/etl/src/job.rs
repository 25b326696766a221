//! The input of the engine: the raw files and the destination of one call.

use std::path::{Path, PathBuf};

use market::run::RunId;
use market::snapshot::{InvalidSnapshotName, SnapshotName};

/// One raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The path of the file, or its URI in another storage.
    pub path: PathBuf,
    /// The name of the snapshot. Its time becomes the `intdate` of every row, its text becomes `rejects.source_file`, and it
    /// says whether the file is compressed.
    pub snapshot: SnapshotName,
}

impl Input {
    /// Returns the input at `path`, whose file name is the name of a snapshot.
    ///
    /// ```
    /// let input = etl::Input::from_path("raw/202004011320_options.csv".into()).unwrap();
    /// assert_eq!(input.snapshot.time.intdate(), 202004011320);
    /// ```
    ///
    /// # Errors
    /// [`InvalidSnapshotName`] if the last component of `path` is not the name of a snapshot.
    pub fn from_path(path: PathBuf) -> Result<Self, InvalidSnapshotName> {
        Self::parse_name(&path).map(|snapshot| Self { path, snapshot })
    }

    /// Parses the file name of `path`. Does not read the file.
    ///
    /// # Errors
    /// [`InvalidSnapshotName`] if the last component of `path` is not the name of a snapshot.
    pub fn parse_name(path: &Path) -> Result<SnapshotName, InvalidSnapshotName> {
        let name = path.file_name().unwrap_or_else(|| Path::new("").as_os_str());
        name.to_string_lossy().parse()
    }
}

/// Raw files, and the folder that their tables are written to.
#[derive(Debug, Clone)]
pub struct Job {
    /// The raw files, in any order and of any number of days. The job replaces the files of each feed and day that has an
    /// input, so all raw files of that feed and day have to be listed.
    pub inputs: Vec<Input>,
    /// The folder of `quotes/`, `options/` and `rejects/`, or of `runs/`. It is created if it does not exist.
    pub out: PathBuf,
    /// The number of worker threads; 0 means one per core. The output does not depend on it.
    pub threads: usize,
    /// Writes to `OUT/runs/run=<run>/<table>/` instead of `OUT/<table>/`.
    pub run: Option<RunId>,
}

/// The progress of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far, before decompression.
    pub read: u64,
    /// The sizes of all raw files of the job together, in bytes, before decompression.
    pub total: u64,
}
