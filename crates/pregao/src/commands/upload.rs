//! `pregao upload`: raw files into the lake.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use aws_sdk_s3::primitives::ByteStream;
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};
use lake::excerpt::Excerpt;
use lake::raw::Coverage;
use lake::{Error, Lake, keys};
use market::snapshot::SnapshotName;
use serde::Deserialize;
use serde_json::json;

use crate::args::{Global, UploadArgs};
use crate::coverage;
use crate::endpoint::{Use, with_lake};
use crate::folder::{self, File};
use crate::follow::{Ending, follow};
use crate::hint::{Hint, fail};
use crate::human;
use crate::progress::Progress;
use crate::workflow::{self, Workflow};

/// Uploads at once: enough to keep a connection busy, few enough for the file handles of any system.
const PARALLEL: usize = 8;

/// What `upload_raw_data` did with the files.
#[derive(Debug, Deserialize)]
struct Outcome {
    accepted: u64,
    repeated: u64,
    superseded: u64,
    quarantined: Excerpt<Quarantined>,
    #[serde(flatten)]
    coverage: Coverage,
}

#[derive(Debug, Deserialize)]
struct Quarantined {
    name: String,
    reason: String,
}

/// Uploads a folder and says what became of its files.
pub fn upload(global: &Global, args: &UploadArgs) -> anyhow::Result<ExitCode> {
    let files = folder::files(&args.folder)?;
    with_lake(global, Use::Workflows, async |lake| deliver(lake, &args.folder, &files, &Progress::new()).await)
}

/// Uploads files, starts the workflow that takes them in, and follows it. The exit code is 0 when every file was accepted.
pub async fn deliver(lake: &Lake, folder: &Path, files: &[File], progress: &Progress) -> anyhow::Result<ExitCode> {
    put_all(lake, folder, files, progress).await?;
    let input = match days(files) {
        Some((from, to)) => json!({ "from": from, "to": to }),
        // Files of no day are looked at whatever the days are.
        None => json!({}),
    };
    let name = workflow::new_name("upload")?;
    progress.line(&format!("upload_raw_data {name}"));
    let arn = workflow::start(lake, Workflow::UploadRawData, &name, &input).await?;
    match follow(lake, &arn, progress).await? {
        Ending::Succeeded(output) => {
            let outcome = Outcome::deserialize(output).context("upload_raw_data gave an output of another form")?;
            tell(lake, &outcome)?;
            refuse_quarantined(&outcome)
        }
        ending => workflow::not_succeeded(Workflow::UploadRawData, &name, ending),
    }
}

async fn put_all(lake: &Lake, folder: &Path, files: &[File], progress: &Progress) -> anyhow::Result<()> {
    let started = Instant::now();
    let total = files.iter().map(|file| file.bytes).sum();
    let bar = progress.bytes("uploading", total);
    stream::iter(files)
        .map(|file| {
            let bar = &bar;
            async move {
                put(lake, folder, file).await?;
                bar.inc(file.bytes);
                anyhow::Ok(())
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    bar.finish_and_clear();
    progress.line(&format!(
        "uploaded {}, {}, in {}",
        human::counted(files.len() as u64, "file"),
        human::bytes(total),
        human::duration(started.elapsed())
    ));
    Ok(())
}

async fn put(lake: &Lake, folder: &Path, file: &File) -> anyhow::Result<()> {
    let path = &file.path;
    let key = keys::landing(&relative(folder, path)?);
    let body = ByteStream::from_path(path).await.with_context(|| format!("cannot read {}", path.display()))?;
    let bucket = lake.config.buckets.raw.as_str();
    let request = lake.s3.put_object().bucket(bucket).key(&key).body(body);
    request.send().await.map_err(Error::aws(format!("uploading {} to s3://{bucket}/{key}", path.display())))?;
    Ok(())
}

/// The path below the folder, with `/` between its parts.
fn relative(folder: &Path, path: &Path) -> anyhow::Result<String> {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    match parts {
        Some(parts) => Ok(parts.join("/")),
        None => fail(
            format!("the name of {} is not UTF-8, and an object's key has to be", path.display()),
            "rename the file and try again",
        ),
    }
}

/// The first and the last day of the snapshots among the files.
fn days(files: &[File]) -> Option<(NaiveDate, NaiveDate)> {
    let name = |file: &File| file.path.file_name()?.to_str()?.parse::<SnapshotName>().ok();
    let days = || files.iter().filter_map(name).map(|name| name.time.date());
    Some((days().min()?, days().max()?))
}

fn tell(lake: &Lake, outcome: &Outcome) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{} accepted", human::count(outcome.accepted))?;
    for (count, what) in [
        (outcome.repeated, "there already"),
        (outcome.superseded, "replaced by another of the same name"),
        (outcome.quarantined.count as u64, "quarantined"),
    ] {
        if count > 0 {
            write!(out, ", {} {what}", human::count(count))?;
        }
    }
    writeln!(out)?;
    for Quarantined { name, reason } in &outcome.quarantined.first {
        writeln!(out, "  quarantined {name}: {reason}")?;
    }
    if outcome.quarantined.more() > 0 {
        let place = keys::uri(&lake.config.buckets.raw, keys::QUARANTINE);
        writeln!(out, "  and {} more, each with its reason under {place}", outcome.quarantined.more())?;
    }
    for line in coverage::lines(&outcome.coverage) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn refuse_quarantined(outcome: &Outcome) -> anyhow::Result<ExitCode> {
    if outcome.quarantined.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let count = human::counted(outcome.quarantined.count as u64, "file");
    Err(anyhow::anyhow!("{count} quarantined; all others are in the lake"))
        .hint("the reasons are above: mend those files and upload them again, or leave them where they are")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(path: &str) -> File {
        File { path: PathBuf::from(path), bytes: 1 }
    }

    #[test]
    fn the_days_are_those_of_the_snapshots() {
        let files = [file("d/202004021000_options.csv"), file("foo.csv"), file("202004011320_flashpanel.csv.gz")];
        let (from, to) = days(&files).expect("two snapshots");
        assert_eq!((from.to_string(), to.to_string()), ("2020-04-01".to_owned(), "2020-04-02".to_owned()));
        assert_eq!(days(&files[1..2]), None);
    }

    #[test]
    fn keys_keep_the_folders() {
        assert_eq!(relative(Path::new("raw"), Path::new("raw/a/b.csv")).expect("UTF-8"), "a/b.csv");
    }
}
