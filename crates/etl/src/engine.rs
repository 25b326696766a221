//! A job from its plan to its report: threads that take tasks, and files that are published when all are done.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use market::partition::Partition;
use market::table::TableName;

use crate::clean::{Cleaned, clean};
use crate::error::EtlError;
use crate::job::{Job, Progress};
use crate::lines::Buffer;
use crate::plan::{Plan, Task};
use crate::raw_file::Tally;
use crate::report::{PartitionReport, Report};
use crate::staging::Staging;

/// Runs a job: reads its raw files and writes `OUT/<table>/year=Y/month=M/day=D/part-<feed>-<number>.parquet`, below
/// `OUT/runs/run=R/` if the job has a run.
///
/// Every day with a file gets `rejects`, and `quotes` and `options` where there are files of that feed, if need be with
/// no rows. Of one feed's day, all files that an earlier job wrote to the same place are replaced; a reader may see some
/// of the day's rows missing while that happens, but none twice. The same files give the same bytes, whatever the number of
/// threads.
///
/// `progress` is called from the working threads each time that some bytes were read. Two calls may overtake one
/// another, so show the largest.
///
/// # Errors
/// See [`EtlError`]. All files are checked and written before the first one is published, so a job that fails leaves
/// what was published untouched and nothing of its own; only if the file system fails while files get their final names,
/// some may have them already. Running the job again puts that right.
pub fn run(job: &Job, progress: &(dyn Fn(Progress) + Sync)) -> Result<Report, EtlError> {
    let plan = Plan::new(&job.inputs)?;
    let staging = Staging::open(&job.out, job.run.as_ref())?;
    keep_freed_memory();
    let tally = Tally::new(plan.bytes, progress);
    let cleaned = clean_all(&plan.tasks, job.threads, &staging, &tally)?;
    staging.publish(cleaned.iter().flat_map(|task| task.written).map(|(part, _)| part))?;
    Ok(report(cleaned, &staging))
}

/// Columns are made and freed hundreds of times, and glibc gives freed memory back to the system, which hands it out again
/// page by page: a twentieth of all work. It keeps twice as much as the largest block that was ever freed; here is one, of
/// which no page is touched. Other allocators may do as they like.
fn keep_freed_memory() {
    drop(black_box(vec![0u8; 16 << 20]));
}

/// Does all tasks on `threads` threads, and gives what they did in the order of the tasks.
fn clean_all(
    tasks: &[Task<'_>],
    threads: usize,
    staging: &Staging,
    tally: &Tally<'_>,
) -> Result<Vec<Cleaned>, EtlError> {
    // The largest first, so that no thread is left alone with a large one at the end.
    let mut queue: Vec<usize> = (0..tasks.len()).collect();
    queue.sort_by_key(|at| std::cmp::Reverse(tasks[*at].weight));

    let results: Vec<Mutex<Option<Result<Cleaned, EtlError>>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut buffer = Buffer::default();
        while let Some(at) = queue.get(next.fetch_add(1, Ordering::Relaxed))
            && !failed.load(Ordering::Relaxed)
        {
            let result = clean(&tasks[*at], staging, &mut buffer, tally);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            *results[*at].lock().expect("no thread panics while it holds this") = Some(result);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..worker_count(threads, tasks.len())).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    // Tasks that were not begun have no result; that is so only if another one failed.
    results.into_iter().filter_map(|result| result.into_inner().expect("all threads are done")).collect()
}

fn worker_count(threads: usize, tasks: usize) -> usize {
    let wanted = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
    wanted.min(tasks)
}

fn report(cleaned: Vec<Cleaned>, staging: &Staging) -> Report {
    let mut partitions: BTreeMap<(TableName, Partition), PartitionReport> = BTreeMap::new();
    for (part, rows) in cleaned.iter().flat_map(|task| task.written) {
        let (table, partition) = (part.table, part.partition);
        let entry = partitions.entry((table, partition)).or_insert_with(|| PartitionReport {
            table,
            partition,
            files: Vec::new(),
            rows: 0,
        });
        entry.files.push(staging.published_name(part));
        entry.rows += rows;
    }
    let files: Vec<_> = cleaned.into_iter().flat_map(|task| task.files).collect();
    let totals = files.iter().map(|file| file.counts).sum();
    Report { files, partitions: partitions.into_values().collect(), totals }
}
