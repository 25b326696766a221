//! The staging folder, and the replacement of published files by staged ones.
//!
//! A job writes to a hidden folder below its `out`, on the same file system. When all files are complete, it renames each
//! to its final name, in place of the files that an earlier job wrote for the same feed and day. Old and new files never
//! exist at the same time with the same rows: all old files but the first are removed, the first new file replaces it by an
//! atomic rename, and the other new files follow. A day of one file, the usual case, is therefore replaced atomically. A
//! process that is killed during the replacement leaves some of the day's rows, none twice; the next job completes them.
//!
//! The bytes of all files are synced before the first rename, and the folders before the job ends. So after a power failure
//! each final name is that of a complete file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use market::run::RunId;
use market::snapshot::Feed;

use crate::durable;
use crate::error::EtlError;
use crate::storage::{Part, Storage, TableWriter};

const SUFFIX: &str = ".parquet";

/// Returns the prefix of the file names of a feed. The folders of `rejects` hold files of both feeds.
fn prefix(feed: Feed) -> String {
    format!("part-{feed}-")
}

/// The hidden folder of one job. Dropping it removes the folder.
pub(crate) struct Staging {
    out: PathBuf,
    run: Option<RunId>,
    folder: PathBuf,
    /// The advisory lock on the folder, held as long as the job runs.
    _lock: File,
}

impl Staging {
    /// Creates and locks the folder, and removes what a killed job left in it.
    ///
    /// # Errors
    /// [`EtlError::Busy`] if another process holds the lock.
    pub(crate) fn open(out: &Path, run: Option<&RunId>) -> Result<Self, EtlError> {
        let folder = out.join(match run {
            Some(run) => format!(".etl-{run}"),
            None => ".etl".to_owned(),
        });
        create_folder(&folder)?;
        let failed = |source| EtlError::Write { path: folder.clone(), source };
        let lock = File::open(&folder).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EtlError::Busy { out: out.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        for entry in fs::read_dir(&folder).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(Self { out: out.to_owned(), run: run.cloned(), folder, _lock: lock })
    }
}

impl Storage for Staging {
    fn create(&self, part: Part) -> io::Result<Box<dyn TableWriter>> {
        Ok(Box::new(File::create(self.path(part))?))
    }

    /// Returns the staged path of `part`.
    fn path(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.{}.{}", part.table, part.partition.date(), part.file_name()))
    }

    fn name(&self, part: Part) -> String {
        part.name(self.run.as_ref())
    }

    /// Renames all `parts` to their final names, and replaces the files of earlier jobs.
    fn publish(&self, parts: &[Part]) -> Result<(), EtlError> {
        let mut groups: BTreeMap<(String, Feed), Vec<Part>> = BTreeMap::new();
        for part in parts.iter().copied() {
            groups.entry((part.folder(self.run.as_ref()), part.feed)).or_default().push(part);
        }
        let staged: Vec<PathBuf> = groups.values().flatten().map(|part| self.path(*part)).collect();
        make_durable(&staged)?;
        let mut folders = BTreeSet::new();
        for ((folder, feed), parts) in groups {
            // The folder itself, and its ancestors, which may be new.
            folders.extend(Path::new(&folder).ancestors().map(|folder| self.out.join(folder)));
            let folder = self.out.join(folder);
            create_folder(&folder)?;
            remove_former(&folder, feed, &parts[0].file_name())
                .map_err(|source| EtlError::Write { path: folder.clone(), source })?;
            for part in parts {
                let path = folder.join(part.file_name());
                fs::rename(self.path(part), &path).map_err(|source| EtlError::Write { path, source })?;
            }
        }
        make_durable(&folders.into_iter().collect::<Vec<_>>())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // An error here would hide why the job failed. The next job removes what is left.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn make_durable(paths: &[PathBuf]) -> Result<(), EtlError> {
    durable::sync(paths).map_err(|(path, source)| EtlError::Write { path, source })
}

fn create_folder(path: &Path) -> Result<(), EtlError> {
    fs::create_dir_all(path).map_err(|source| EtlError::Write { path: path.to_owned(), source })
}

/// Removes the files of earlier jobs for `feed` from `folder`, except the file `kept`.
fn remove_former(folder: &Path, feed: Feed, kept: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix(feed)) && name.ends_with(SUFFIX) && name != kept {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use market::table::TableName;

    use super::*;

    fn part(feed: Feed, number: usize) -> Part {
        let partition = "year=2020/month=4/day=1".parse().expect("a partition");
        Part { table: TableName::Rejects, partition, feed, number }
    }

    /// Publishes files that hold `text`, one for each number.
    fn publish(out: &Path, feed: Feed, numbers: std::ops::Range<usize>, text: &str) {
        let staging = Staging::open(out, None).expect("a folder");
        let parts: Vec<Part> = numbers.map(|number| part(feed, number)).collect();
        for part in &parts {
            fs::write(staging.path(*part), text).expect("a file");
        }
        staging.publish(&parts).expect("published");
    }

    fn published(out: &Path) -> Vec<(String, String)> {
        let folder = out.join("rejects/year=2020/month=4/day=1");
        let mut files: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, fs::read_to_string(path).expect("a file"))
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_feeds_day_is_replaced_and_nothing_else() {
        let out = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        publish(out.path(), Feed::Quotes, 0..3, "former");
        publish(out.path(), Feed::Options, 0..1, "options");
        fs::write(out.path().join("rejects/year=2020/month=4/day=1/mine.parquet"), "mine").expect("a file");
        publish(out.path(), Feed::Quotes, 0..2, "new");
        assert_eq!(
            published(out.path()),
            [
                file("mine.parquet", "mine"),
                file("part-options-00000.parquet", "options"),
                file("part-quotes-00000.parquet", "new"),
                file("part-quotes-00001.parquet", "new"),
            ]
        );
        assert!(!out.path().join(".etl").exists());
    }

    #[test]
    fn a_folder_has_one_job_at_a_time_and_what_a_killed_one_left_is_removed() {
        let out = tempfile::tempdir().expect("a folder");
        fs::create_dir(out.path().join(".etl")).expect("a folder");
        fs::write(out.path().join(".etl/left"), "").expect("a file");
        let first = Staging::open(out.path(), None).expect("a folder");
        assert!(!out.path().join(".etl/left").exists());
        assert!(matches!(Staging::open(out.path(), None), Err(EtlError::Busy { .. })));
        let run: RunId = "other".parse().expect("a run");
        assert!(Staging::open(out.path(), Some(&run)).is_ok());
        drop(first);
        assert!(Staging::open(out.path(), None).is_ok());
    }
}
