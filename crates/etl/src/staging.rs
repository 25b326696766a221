//! Where files are written before they are published, and how they get their final names.
//!
//! A job writes to a hidden folder in its `out`, so on the same disk. When everything is written, each file is renamed
//! to its place, and the files that the same feed left there for the same day before are gone. At no moment do former
//! and new files of a table stand beside each other with the same rows in both: the former ones are removed but for the
//! first, the first new one takes its place in one step, and the other new ones follow. A day that is one file, which is
//! the rule, so changes in one step. A process that is killed in between leaves a part of the day's rows, never rows
//! twice; the next run completes them.
//!
//! The bytes of all files are durable before the first of them gets its final name, and the names before the job ends:
//! after a power failure a final name stands for a whole file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use market::partition::Partition;
use market::run::RunId;
use market::snapshot::Feed;
use market::table::TableName;

use crate::durable;
use crate::error::EtlError;

/// A file of a table, before and after it is published.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub table: TableName,
    pub partition: Partition,
    /// Whose records it is made of.
    pub feed: Feed,
    /// The position among the files of this feed's day, from 0.
    pub number: usize,
}

impl Part {
    fn file_name(self) -> String {
        format!("{}{:05}{SUFFIX}", prefix(self.feed), self.number)
    }

    fn staged_name(self) -> String {
        format!("{}.{}.{}", self.table, self.partition.date(), self.file_name())
    }
}

const SUFFIX: &str = ".parquet";

/// What the names of all files of a feed begin with. Two feeds share the folders of `rejects`.
fn prefix(feed: Feed) -> String {
    format!("part-{feed}-")
}

/// The hidden folder of one job. What is left in it when it is dropped is removed.
pub struct Staging {
    out: PathBuf,
    run: Option<RunId>,
    folder: PathBuf,
    /// Open and locked as long as the job runs.
    _lock: File,
}

impl Staging {
    /// Makes the folder and takes it for this job. What a killed job left in it is removed.
    pub fn open(out: &Path, run: Option<&RunId>) -> Result<Self, EtlError> {
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

    /// Where `part` is written.
    pub fn path(&self, part: Part) -> PathBuf {
        self.folder.join(part.staged_name())
    }

    /// The final name of `part` below `out`.
    pub fn published_name(&self, part: Part) -> String {
        format!("{}/{}", self.published_folder(part), part.file_name())
    }

    fn published_folder(&self, part: Part) -> String {
        let Part { table, partition, .. } = part;
        match &self.run {
            // Not below the table, so that a reader of a table's folder meets no run that was not published.
            Some(run) => format!("runs/run={run}/{table}/{partition}"),
            None => format!("{table}/{partition}"),
        }
    }

    /// Gives all `parts` their final names in place of the former files. The parts of a feed's day have to be all there,
    /// in order.
    pub fn publish(&self, parts: impl IntoIterator<Item = Part>) -> Result<(), EtlError> {
        let mut groups: BTreeMap<(String, Feed), Vec<Part>> = BTreeMap::new();
        for part in parts {
            groups.entry((self.published_folder(part), part.feed)).or_default().push(part);
        }
        let staged: Vec<PathBuf> = groups.values().flatten().map(|part| self.path(*part)).collect();
        make_durable(&staged)?;
        let mut named = BTreeSet::new();
        for ((folder, feed), parts) in groups {
            // Its own entry, and those of the folders above it that may be new.
            named.extend(Path::new(&folder).ancestors().map(|folder| self.out.join(folder)));
            let folder = self.out.join(folder);
            create_folder(&folder)?;
            remove_former(&folder, feed, &parts[0].file_name())
                .map_err(|source| EtlError::Write { path: folder.clone(), source })?;
            for part in parts {
                let path = folder.join(part.file_name());
                fs::rename(self.path(part), &path).map_err(|source| EtlError::Write { path, source })?;
            }
        }
        make_durable(&named.into_iter().collect::<Vec<_>>())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A failure to tidy up is not worth hiding why the job failed, and the next one removes what is left.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn make_durable(paths: &[PathBuf]) -> Result<(), EtlError> {
    durable::sync(paths).map_err(|(path, source)| EtlError::Write { path, source })
}

fn create_folder(path: &Path) -> Result<(), EtlError> {
    fs::create_dir_all(path).map_err(|source| EtlError::Write { path: path.to_owned(), source })
}

/// Removes what the engine wrote for `feed` in `folder` before, but for the file `kept`.
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
    use super::*;

    fn part(feed: Feed, number: usize) -> Part {
        let partition = "year=2020/month=4/day=1".parse().expect("a partition");
        Part { table: TableName::Rejects, partition, feed, number }
    }

    /// Publishes files that hold `text`, one for each number.
    fn publish(out: &Path, feed: Feed, numbers: std::ops::Range<usize>, text: &str) {
        let staging = Staging::open(out, None).expect("a folder");
        let parts: Vec<Part> = numbers.map(|number| part(feed, number)).collect();
        parts.iter().for_each(|part| fs::write(staging.path(*part), text).expect("a file"));
        staging.publish(parts).expect("published");
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
