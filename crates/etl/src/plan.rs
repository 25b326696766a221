//! Splits the raw files of a job into tasks.
//!
//! A task is some files of one feed and day, in time order. It becomes one Parquet file of the feed's table and one of
//! `rejects`. The split depends on the files alone and not on the number of threads, so that the output is deterministic.

use std::io;

use market::partition::Partition;
use market::snapshot::Feed;

use crate::error::EtlError;
use crate::job::Input;

/// The bytes of text at which a task is full. A large day is split, so that it keeps all cores busy; an ordinary day (20 MB)
/// still becomes one file and not many small ones.
const TASK_BYTES: u64 = 32 << 20;

/// The assumed compression ratio of gzip for raw files. An estimate is enough, since it only decides where tasks are split.
const GZIP_RATIO: u64 = 6;

/// Consecutive raw files of one feed and day.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub feed: Feed,
    pub partition: Partition,
    /// The position among the tasks of this feed and day, from 0.
    pub part: usize,
    /// The files, in time order; at least one.
    pub inputs: Vec<&'a Input>,
    /// The estimated bytes of text in the files.
    pub weight: u64,
}

/// All tasks of a job, ordered by day, feed and time.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub tasks: Vec<Task<'a>>,
    /// The size on disk of all files, in bytes.
    pub bytes: u64,
}

impl<'a> Plan<'a> {
    /// Sorts the files, and splits them into tasks of about [`TASK_BYTES`]. `size` returns the size of a file as stored.
    ///
    /// # Errors
    /// [`EtlError::SameSnapshot`] for two files of the same feed and minute; [`EtlError::Read`] for a file that does not
    /// exist.
    pub(crate) fn new(inputs: &'a [Input], size: impl Fn(&Input) -> io::Result<u64>) -> Result<Self, EtlError> {
        Self::with_task_bytes(inputs, size, TASK_BYTES)
    }

    fn with_task_bytes(
        inputs: &'a [Input],
        size: impl Fn(&Input) -> io::Result<u64>,
        task_bytes: u64,
    ) -> Result<Self, EtlError> {
        let mut ordered: Vec<&Input> = inputs.iter().collect();
        ordered.sort_by_key(|input| key(input));
        if let Some(pair) = ordered.windows(2).find(|pair| key(pair[0]) == key(pair[1])) {
            let [first, second] = [pair[0], pair[1]].map(|input| input.path.clone());
            return Err(EtlError::SameSnapshot { first, second });
        }

        let mut plan = Self { tasks: Vec::new(), bytes: 0 };
        for input in ordered {
            let size = size(input);
            let bytes = size.map_err(|source| EtlError::Read { path: input.path.clone(), source })?;
            plan.bytes += bytes;
            plan.add(input, if input.snapshot.gzip { bytes * GZIP_RATIO } else { bytes }, task_bytes);
        }
        Ok(plan)
    }

    fn add(&mut self, input: &'a Input, weight: u64, task_bytes: u64) {
        let (feed, partition) = (input.snapshot.feed, input.snapshot.time.partition());
        let part = match self.tasks.last_mut() {
            Some(task) if (task.feed, task.partition) == (feed, partition) => {
                if task.weight + weight <= task_bytes {
                    task.inputs.push(input);
                    task.weight += weight;
                    return;
                }
                task.part + 1
            }
            _ => 0,
        };
        self.tasks.push(Task { feed, partition, part, inputs: vec![input], weight });
    }
}

/// Returns the sort key of an input: day, feed, time. A snapshot and its compressed copy have the same key.
fn key(input: &Input) -> impl Ord + use<> {
    let snapshot = input.snapshot;
    (snapshot.time.partition(), snapshot.feed, snapshot.time)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage;

    /// Plans files with these names and sizes, without content. Returns the tasks.
    fn plan(files: &[(&str, u64)]) -> Vec<(Feed, String, usize, Vec<String>)> {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs: Vec<Input> = files
            .iter()
            .map(|(name, size)| {
                let path = folder.path().join(name);
                fs::File::create(&path).and_then(|file| file.set_len(*size)).expect("a file");
                Input::from_path(path).expect("a snapshot")
            })
            .collect();
        let plan = Plan::with_task_bytes(&inputs, storage::file_size, 1000).expect("a plan");
        assert_eq!(plan.bytes, files.iter().map(|(_, size)| size).sum::<u64>());
        let names = |task: &Task| task.inputs.iter().map(|input| input.snapshot.time.to_string()).collect();
        plan.tasks.iter().map(|t| (t.feed, t.partition.to_string(), t.part, names(t))).collect()
    }

    #[test]
    fn a_task_is_some_files_of_a_feeds_day_in_time_order() {
        let tasks = plan(&[
            ("202004021000_flashpanel.csv", 1),
            ("202004011020_flashpanel.csv", 400),
            ("202004011000_flashpanel.csv", 500),
            ("202004011010_flashpanel.csv.gz", 100),
            ("202004011000_options.csv", 5000),
        ]);
        let task = |feed, day: &str, part, times: &[&str]| {
            (feed, day.to_owned(), part, times.iter().map(|time| time.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(
            tasks,
            [
                task(Feed::Quotes, "year=2020/month=4/day=1", 0, &["202004011000"]),
                task(Feed::Quotes, "year=2020/month=4/day=1", 1, &["202004011010", "202004011020"]),
                task(Feed::Options, "year=2020/month=4/day=1", 0, &["202004011000"]),
                task(Feed::Quotes, "year=2020/month=4/day=2", 0, &["202004021000"]),
            ]
        );
    }
}
