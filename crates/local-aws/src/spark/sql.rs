//! A real `spark-sql` instead of the Rust engine, to run the Spark job itself.
//!
//! It gets the job's own text, and folders instead of buckets: one with hard links to the raw files of the days, and an empty
//! one for the tables, whose files then become objects atomically, as those of the engine do.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lake::keys;

use super::job::{SparkError, SparkJob};
use crate::s3::{ObjectStore, StoreError};

/// The `spark-sql` program of an installed Spark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparkSql {
    program: PathBuf,
}

/// There is no Spark on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no spark-sql in SPARK_HOME/bin or on the PATH: pip install 'pyspark==3.5.*' brings one, and needs Java 17"
)]
pub struct NoSpark;

/// The interval of the checks whether the program has ended or is to be stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

impl SparkSql {
    /// The `spark-sql` of `SPARK_HOME`, or the first on the `PATH`.
    ///
    /// # Errors
    /// [`NoSpark`] when there is none.
    pub fn find() -> Result<SparkSql, NoSpark> {
        let home = std::env::var_os("SPARK_HOME").map(|home| Path::new(&home).join("bin"));
        let path: Option<OsString> = std::env::var_os("PATH");
        let folders = home.into_iter().chain(path.iter().flat_map(std::env::split_paths));
        let program = folders.map(|folder| folder.join("spark-sql")).find(|program| program.is_file());
        program.map(SparkSql::new).ok_or(NoSpark)
    }

    /// Uses this program.
    pub fn new(program: PathBuf) -> SparkSql {
        SparkSql { program }
    }

    /// Runs the job in `folder`. Returns the paths of the files that it wrote, relative to its folder `lake`. Spark's output is
    /// appended to `log`. The program is killed when `is_running` returns `false`.
    pub(super) fn run(
        &self,
        store: &ObjectStore,
        job: &SparkJob,
        inputs: &[etl::Input],
        folder: &Path,
        log: &mut String,
        is_running: impl Fn() -> bool,
    ) -> Result<Vec<String>, SparkError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| SparkError::Engine(StoreError::io(&path)(error).to_string())
        };
        let (raw, lake, script) = (folder.join("raw"), folder.join("lake"), folder.join("etl.sql"));
        fs::create_dir_all(&lake).map_err(failed(&lake))?;
        for input in inputs {
            let link = raw.join(keys::raw(input.snapshot));
            link_file(&input.path, &link).map_err(failed(&link))?;
        }
        let (_, mut text) = store
            .open_object(&job.script.bucket, &job.script.key)
            .map_err(|source| SparkError::JobFile { uri: job.script.to_string(), source })?;
        File::create(&script).and_then(|mut file| io::copy(&mut text, &mut file)).map_err(failed(&script))?;

        let log_file = folder.join("spark.log");
        let output = File::create(&log_file).map_err(failed(&log_file))?;
        let mut command = self.command(folder, &script, &raw, &lake, job);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut child = command.spawn().map_err(failed(&self.program))?;
        let ended = wait(&mut child, is_running).map_err(failed(&self.program))?;
        let output = fs::read(&log_file).unwrap_or_default();
        log.push_str(&String::from_utf8_lossy(&output));
        match ended {
            None => Err(SparkError::Cancelled),
            Some(status) if status.success() => files(&lake, &lake).map_err(failed(&lake)),
            Some(status) => Err(SparkError::Engine(format!("spark-sql ended with {status}: {}", last_error_line(log)))),
        }
    }

    fn command(&self, folder: &Path, script: &Path, raw: &Path, lake: &Path, job: &SparkJob) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).env("SPARK_LOCAL_IP", "127.0.0.1");
        let warehouse = format!("spark.sql.warehouse.dir={}", folder.join("warehouse").display());
        for setting in ["spark.sql.catalogImplementation=in-memory", "spark.ui.enabled=false", &warehouse] {
            command.args(["--conf", setting]);
        }
        command.args(["--master", "local[*]", "-f"]).arg(script);
        let (raw, lake) = (raw.display().to_string(), lake.display().to_string());
        let variables = market::spark_job::variables(job.days, &job.run, &raw, &lake);
        for (name, value) in variables {
            command.arg("-d").arg(format!("{name}={value}"));
        }
        command
    }
}

/// Creates a hard link, or a copy if the file system cannot link.
fn link_file(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// Waits for the end of a program. Returns `None` if it was killed because the job was cancelled.
fn wait(child: &mut Child, is_running: impl Fn() -> bool) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if !is_running() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the Parquet files at any depth, by their paths below `root`. Spark writes other files next to them.
fn files(root: &Path, folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(root, &path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            let below = path.strip_prefix(root).unwrap_or(&path);
            found.push(below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"));
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the last line of a log that names an error, or the last line.
fn last_error_line(log: &str) -> &str {
    let names_error = |line: &&str| line.contains("Exception") || line.contains("Error") || line.contains("ERROR");
    log.lines().rev().find(names_error).or_else(|| log.lines().next_back()).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_tables_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let day = folder.path().join("runs/run=r/quotes/year=2020/month=4/day=1");
        fs::create_dir_all(&day).unwrap();
        for name in ["part-0.snappy.parquet", "_SUCCESS", ".part-0.snappy.parquet.crc"] {
            fs::write(day.join(name), "x").unwrap();
        }
        assert_eq!(
            files(folder.path(), folder.path()).unwrap(),
            ["runs/run=r/quotes/year=2020/month=4/day=1/part-0.snappy.parquet"]
        );
    }

    #[test]
    fn a_program_that_nobody_waits_for_is_ended() {
        let mut sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        assert_eq!(wait(&mut sleeper, || false).unwrap(), None);
        let mut quick = Command::new("true").spawn().unwrap();
        assert!(wait(&mut quick, || true).unwrap().is_some_and(|status| status.success()));
    }

    #[test]
    fn the_log_says_why() {
        let log = "INFO begin\njava.lang.RuntimeException: from is no day\n\tat x\nINFO end\n";
        assert_eq!(last_error_line(log), "java.lang.RuntimeException: from is no day");
        assert_eq!(last_error_line("only this"), "only this");
    }
}
