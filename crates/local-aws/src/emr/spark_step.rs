//! Execution of a Spark step: converts raw files to the three tables, by the Rust engine or by a real Spark.
//!
//! The engine reads the files of the raw objects in place and writes to a temporary folder. Then all its files become objects
//! atomically.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, iter, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use lake::keys;
use market::snapshot::{Feed, SnapshotName};
use tempfile::TempPath;

use super::Emr;
use super::clusters::Cluster;
use super::spark_job::{SparkError, SparkJob};
use super::spark_sql::SparkSql;
use super::step::{FailureDetails, Step};
use crate::s3::{Attributes, ObjectStore, Staged, StoreError};
use crate::s3_uri::S3Uri;

/// The engine that runs Spark steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SparkEngine {
    /// The Rust engine, which writes the same rows as Spark.
    #[default]
    Embedded,
    /// A Spark that is installed on this machine.
    SparkSql(SparkSql),
}

/// Runs the step, and stores its log as EMR does.
pub(super) fn run(emr: &Emr, step: &Step) -> Result<(), FailureDetails> {
    let mut log = String::new();
    let result = run_job(emr, step, &mut log);
    if let Err(error) = &result {
        let _ = writeln!(log, "ERROR: {error}");
    }
    let log_file = store_log(emr, step, &log);
    result.map_err(|error| FailureDetails { reason: error.reason().to_owned(), message: error.to_string(), log_file })
}

fn run_job(emr: &Emr, step: &Step, log: &mut String) -> Result<(), SparkError> {
    let job = SparkJob::parse(&step.config.hadoop_jar_step)?;
    let store = &emr.store;
    store
        .find(&job.script.bucket, &job.script.key)
        .map_err(|source| SparkError::JobFile { uri: job.script.to_string(), source })?;
    let inputs = inputs(store, &job)?;
    let _ = writeln!(log, "{} raw files of {}, run {}", inputs.len(), job.days, job.run);
    let folder = ScratchFolder::new(store.temporary_folder().join(format!("step-{}", step.id)));
    let is_running = || Step::is_running(&emr.state.lock(), &step.id).unwrap_or(false);
    let (out, files) = match &emr.engine {
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

/// Stores the log under EMR's key, `LOGS/<cluster>/steps/<step>/stderr.gz`, and returns its URI. `None` if it cannot be stored:
/// a step does not fail for its log.
fn store_log(emr: &Emr, step: &Step, log: &str) -> Option<String> {
    let cluster = Cluster::find(&emr.state.lock(), &step.cluster).ok()?;
    let logs =
        cluster.request.log_uri.as_deref().and_then(|uri| S3Uri::parse(uri).ok()).unwrap_or_else(|| emr.logs.clone());
    let place = logs.child(&format!("{}/steps/{}/stderr.gz", step.cluster, step.id));
    let kept = write_log(&emr.store, &place, log);
    if let Err(error) = &kept {
        tracing::warn!(%error, %place, "the log of a step could not be kept");
    }
    kept.ok().map(|()| place.to_string())
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
