//! Runs a job from its plan to its report: worker threads take tasks, and the files are published when all tasks are
//! done.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use market::partition::Partition;
use market::table::TableName;
use tracing::{Span, debug_span};

use crate::error::EtlError;
use crate::job::{Input, Job, Progress};
use crate::lines::Buffer;
use crate::plan::{Plan, Task};
use crate::raw_file::Tally;
use crate::report::{PartitionReport, Report};
use crate::staging::Staging;
use crate::storage::{self, Part, Storage};
use crate::task::{TaskOutput, run_task};

/// Runs a job: reads its raw files and writes `OUT/<table>/year=Y/month=M/day=D/part-<feed>-<number>.parquet`, below
/// `OUT/runs/run=R/` if the job has a run.
///
/// Each day that has a raw file gets a file of `rejects`, and a file of `quotes` or `options` if it has raw files of that
/// feed. A file may have no rows. The job replaces all files that an earlier job wrote for the same feed and day to the same
/// place. A reader may miss rows of the day during the replacement, but sees none twice. The output is deterministic: the
/// same raw files become the same bytes for any number of threads.
///
/// Each task has a [`tracing`] span with its feed, day and number, within the span of the caller.
///
/// The worker threads call `progress` after each read. Calls may arrive out of order, so show the largest.
///
/// # Errors
/// See [`EtlError`]. All files are checked and written before the first one is published, so a job that fails leaves the
/// published files as they were and removes its own. Only a failure of the file system during the renames can leave some
/// files renamed; running the job again repairs that.
pub fn run(job: &Job, progress: &(dyn Fn(Progress) + Sync)) -> Result<Report, EtlError> {
    let plan = Plan::new(&job.inputs, storage::file_size)?;
    let staging = Staging::open(&job.out, job.run.as_ref())?;
    run_plan(&staging, &plan, job.threads, progress)
}

/// Runs a job in another storage than folders. `threads` and `progress` are those of [`run`].
///
/// The table files of the same raw files have the same bytes in every storage.
///
/// # Errors
/// See [`EtlError`]. All table files are complete before [`Storage::publish`] is called.
pub fn run_in(
    storage: &dyn Storage,
    inputs: &[Input],
    threads: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, EtlError> {
    let plan = Plan::new(inputs, |input| storage.size(input))?;
    run_plan(storage, &plan, threads, progress)
}

fn run_plan(
    storage: &dyn Storage,
    plan: &Plan<'_>,
    threads: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, EtlError> {
    raise_mmap_threshold();
    let tally = Tally::new(plan.bytes, progress);
    let outputs = run_tasks(&plan.tasks, threads, storage, &tally)?;
    let parts: Vec<Part> = outputs.iter().flat_map(|task| task.written).map(|(part, _)| part).collect();
    storage.publish(&parts)?;
    Ok(report(outputs, storage))
}

/// Raises glibc's dynamic mmap threshold, by freeing one block of 16 MB of which no page was touched.
///
/// Each row group allocates and frees the buffers of its columns. Below the initial threshold of 128 kB glibc would return
/// these buffers to the system when they are freed, and every new one would cost a page fault per page: 5% of the CPU time
/// of a job. After this call, blocks of up to 16 MB come from the heap, which keeps 32 MB of free memory. Other allocators
/// ignore it.
fn raise_mmap_threshold() {
    drop(black_box(vec![0u8; 16 << 20]));
}

/// Runs all tasks on `threads` threads, and returns their outputs in the order of the tasks.
fn run_tasks(
    tasks: &[Task<'_>],
    threads: usize,
    storage: &dyn Storage,
    tally: &Tally<'_>,
) -> Result<Vec<TaskOutput>, EtlError> {
    // Longest task first (LPT scheduling): a large task that starts last would keep one thread busy while the others idle.
    let mut queue: Vec<usize> = (0..tasks.len()).collect();
    queue.sort_by_key(|at| std::cmp::Reverse(tasks[*at].weight));

    let results: Vec<Mutex<Option<Result<TaskOutput, EtlError>>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    // A new thread has no span.
    let caller = Span::current();
    let work = || {
        let mut buffer = Buffer::default();
        while let Some(at) = queue.get(next.fetch_add(1, Ordering::Relaxed))
            && !failed.load(Ordering::Relaxed)
        {
            let result =
                task_span(&tasks[*at], &caller).in_scope(|| run_task(&tasks[*at], storage, &mut buffer, tally));
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
    // A task without a result was not started, because another one failed: that error is among the results.
    results.into_iter().filter_map(|result| result.into_inner().expect("all threads are done")).collect()
}

fn task_span(task: &Task<'_>, caller: &Span) -> Span {
    let (feed, day, files) = (task.feed, task.partition.date(), task.inputs.len());
    debug_span!(parent: caller, "task", %feed, %day, number = task.part, files)
}

fn worker_count(threads: usize, tasks: usize) -> usize {
    let wanted = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
    wanted.min(tasks)
}

fn report(outputs: Vec<TaskOutput>, storage: &dyn Storage) -> Report {
    let mut partitions: BTreeMap<(TableName, Partition), PartitionReport> = BTreeMap::new();
    for (part, rows) in outputs.iter().flat_map(|task| task.written) {
        let (table, partition) = (part.table, part.partition);
        let entry = partitions.entry((table, partition)).or_insert_with(|| PartitionReport {
            table,
            partition,
            files: Vec::new(),
            rows: 0,
        });
        entry.files.push(storage.name(part));
        entry.rows += rows;
    }
    let files: Vec<_> = outputs.into_iter().flat_map(|task| task.files).collect();
    let totals = files.iter().map(|file| file.counts).sum();
    Report { files, partitions: partitions.into_values().collect(), totals }
}
