//! Execution of a Spark job: converts raw files to the three tables, by the Rust engine or by a real Spark.
//!
//! The engine reads the files of the raw objects in place and writes to a temporary folder. Then all its files become objects
//! atomically.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, iter, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use lake::keys;
use market::snapshot::{Feed, SnapshotName};
use tempfile::TempPath;
use tokio::task::spawn_blocking;
use tracing::Span;

use super::job::{SparkError, SparkJob};
use super::sql::SparkSql;
use crate::faults::{Faults, Service, ServiceCall};
use crate::s3::{Attributes, ObjectStore, Staged, StoreError};
use crate::s3_uri::S3Uri;

/// How often a task that has not begun looks whether it was cancelled.
const CANCELLATION_INTERVAL: Duration = Duration::from_millis(20);

/// The engine that runs Spark jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SparkEngine {
    /// The Rust engine, which writes the same rows as Spark.
    #[default]
    Embedded,
    /// A Spark that is installed on this machine.
    SparkSql(SparkSql),
}

/// A job to run, as the service that was asked for it knows it.
pub(crate) trait SparkTask: Send + Sync + 'static {
    /// The operation of [`Service::Spark`] in fault plans.
    const OPERATION: &'static str;

    /// The name in fault plans.
    fn name(&self) -> &str;

    /// The id, which no other task has.
    fn id(&self) -> &str;

    /// The job, by the arguments of the task.
    fn job(&self) -> Result<SparkJob, SparkError>;

    /// Whether it is still to run, and was not cancelled.
    fn is_running(&self) -> rusqlite::Result<bool>;

    /// The place of its log. `None`: it has none.
    fn log(&self) -> Option<S3Uri>;
}

/// Why a task failed, and where its log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparkFailure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) log_file: Option<String>,
}

/// Runs Spark jobs, over the objects of the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Spark {
    engine: SparkEngine,
    store: Arc<ObjectStore>,
    faults: Faults,
}

impl Spark {
    pub(crate) fn new(engine: SparkEngine, store: Arc<ObjectStore>, faults: Faults) -> Spark {
        Spark { engine, store, faults }
    }

    /// Runs a task, with the fault that the plan selects for it. Nothing of a task that fails or is cancelled is published.
    pub(crate) async fn run<T: SparkTask>(&self, task: &Arc<T>) -> Result<(), SparkFailure> {
        let service_call = ServiceCall::new(Service::Spark, T::OPERATION, task.name());
        let (spark, running) = (self.clone(), Arc::clone(task));
        let (span, began) = (Span::current(), Arc::new(AtomicBool::new(false)));
        let has_begun = Arc::clone(&began);
        let work = async move {
            began.store(true, Ordering::Release);
            spawn_blocking(move || span.in_scope(|| spark.execute(&*running))).await
        };
        let outcome = tokio::select! {
            outcome = self.faults.inject(&service_call, work) => outcome.into_result(),
            // A task that a fault plan delays waits as for its machines: when it is cancelled, it does not begin.
            () = cancelled_before(&**task, &has_begun) => Ok(Ok(Err(SparkFailure::from_error(&SparkError::Cancelled)))),
        };
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(SparkFailure {
                reason: "The engine panicked.",
                message: format!("{panic}; this is a bug, please report it"),
                log_file: None,
            }),
            Err(refusal) => Err(SparkFailure {
                reason: "The job was lost.",
                message: format!("{refusal:?}, as the fault plan of this endpoint has it"),
                log_file: None,
            }),
        };
        if let Err(SparkFailure { reason, message, .. }) = &result {
            tracing::debug!(reason, message, "the job failed");
        }
        result
    }

    /// Runs the job of a task, and stores its log as EMR does.
    fn execute(&self, task: &impl SparkTask) -> Result<(), SparkFailure> {
        let mut log = String::new();
        let result = self.run_job(task, &mut log);
        if let Err(error) = &result {
            let _ = writeln!(log, "ERROR: {error}");
        }
        let log_file = task.log().and_then(|place| self.store_log(&place, &log));
        result.map_err(|error| SparkFailure { log_file, ..SparkFailure::from_error(&error) })
    }

    fn run_job(&self, task: &impl SparkTask, log: &mut String) -> Result<(), SparkError> {
        let (job, store) = (task.job()?, &*self.store);
        for uri in job.files() {
            store.find(&uri.bucket, &uri.key).map_err(|source| SparkError::JobFile { uri: uri.to_string(), source })?;
        }
        let inputs = inputs(store, &job)?;
        let _ = writeln!(log, "{} raw files of {}, run {}", inputs.len(), job.days, job.run);
        let folder = ScratchFolder::new(store.temporary_folder().join(format!("spark-{}", task.id())));
        let is_running = || task.is_running().unwrap_or(false);
        let (out, files) = match &self.engine {
            SparkEngine::Embedded => {
                let etl_job = etl::Job { inputs, out: folder.0.clone(), threads: 0, run: Some(job.run.clone()) };
                let report = etl::run(&etl_job, &|_| {}).map_err(|error| SparkError::Engine(error.to_string()))?;
                write_report(log, &report);
                (folder.0.clone(), report.partitions.into_iter().flat_map(|partition| partition.files).collect())
            }
            SparkEngine::SparkSql(spark) => {
                (folder.0.join("lake"), spark.run(store, &job, &inputs, &folder.0, log, is_running)?)
            }
        };
        let staged = staged(&files, &job, &out).map_err(SparkError::Publish)?;
        if !is_running() {
            return Err(SparkError::Cancelled);
        }
        store.replace(&job.lake.bucket, &job.run_folders(), staged).map_err(SparkError::Publish)
    }

    /// Stores a log, and returns its URI. `None` if it cannot be stored: a job does not fail for its log.
    fn store_log(&self, place: &S3Uri, log: &str) -> Option<String> {
        let kept = write_log(&self.store, place, log);
        if let Err(error) = &kept {
            tracing::warn!(%error, %place, "the log of a Spark job could not be kept");
        }
        kept.ok().map(|()| place.to_string())
    }
}

impl SparkFailure {
    /// The failure of a task without a log.
    fn from_error(error: &SparkError) -> SparkFailure {
        SparkFailure { reason: error.reason(), message: error.to_string(), log_file: None }
    }
}

/// Completes when the task was cancelled and its work has not begun.
async fn cancelled_before(task: &impl SparkTask, has_begun: &AtomicBool) {
    loop {
        tokio::time::sleep(CANCELLATION_INTERVAL).await;
        let is_running = task.is_running().unwrap_or(true);
        if !is_running && !has_begun.load(Ordering::Acquire) {
            return;
        }
    }
}

/// Returns all raw files of the days.
fn inputs(store: &ObjectStore, job: &SparkJob) -> Result<Vec<etl::Input>, SparkError> {
    let mut inputs = Vec::new();
    for date in job.days.days() {
        for feed in Feed::ALL {
            let prefix = job.raw.child(&keys::raw_day(feed, date));
            for (object, path) in store.files_with_prefix(&prefix.bucket, &prefix.key).map_err(SparkError::Raw)? {
                let snapshot: SnapshotName = keys::file_name(&object.key)
                    .parse()
                    .map_err(|_| SparkError::NotASnapshot { bucket: prefix.bucket.clone(), key: object.key.clone() })?;
                inputs.push(etl::Input { path, snapshot });
            }
        }
    }
    Ok(inputs)
}

/// Stages the files below `out`. Each is read once more for its ETag, on all cores.
fn staged(files: &[String], job: &SparkJob, out: &Path) -> Result<Vec<Staged>, StoreError> {
    let stage = |file: &String| {
        let path = out.join(file);
        let temporary = TempPath::try_from_path(&path).map_err(StoreError::io(&path))?;
        Staged::from_file(
            &job.lake.child(file).key,
            temporary,
            Attributes::with_content_type("application/vnd.apache.parquet"),
        )
    };
    let remaining = Mutex::new(files.iter());
    let next = || remaining.lock().expect("no thread panics while it holds this").next();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    thread::scope(|scope| {
        let work = || iter::from_fn(next).map(stage).collect::<Vec<_>>();
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let staged = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        staged.flatten().collect()
    })
}

fn write_report(log: &mut String, report: &etl::Report) {
    let line = |log: &mut String, name: &dyn std::fmt::Display, counts: &etl::Counts| {
        let etl::Counts { bytes, records, published, blank_ticker, header_repeat, ragged, rejected_cells } = counts;
        let _ = writeln!(
            log,
            "{name}: {bytes} bytes, {records} records = {published} published + {blank_ticker} blank_ticker \
             + {header_repeat} header_repeat + {ragged} ragged; {rejected_cells} rejected cells"
        );
    };
    for file in &report.files {
        line(log, &file.name, &file.counts);
    }
    for partition in &report.partitions {
        let files = partition.files.len();
        let _ = writeln!(log, "{}/{}: {} rows in {files} files", partition.table, partition.partition, partition.rows);
    }
    line(log, &"all files", &report.totals);
}

fn write_log(store: &ObjectStore, place: &S3Uri, log: &str) -> Result<(), StoreError> {
    let (file, path) = store.temporary_file()?;
    let mut gzip = GzEncoder::new(file, Compression::default());
    gzip.write_all(log.as_bytes()).and_then(|()| gzip.finish()).map_err(StoreError::io(&path))?;
    let staged = Staged::from_file(&place.key, path, Attributes::with_content_type("application/gzip"))?;
    store.put(&place.bucket, staged, &crate::s3::WriteCondition::default()).map(|_| ())
}

/// A temporary folder, removed on drop.
struct ScratchFolder(PathBuf);

impl ScratchFolder {
    fn new(path: PathBuf) -> ScratchFolder {
        ScratchFolder(path)
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // If it cannot be removed, the next start empties the temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
