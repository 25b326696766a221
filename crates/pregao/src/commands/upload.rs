//! `pregao upload`: raw files into the lake.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use aws_sdk_s3::primitives::ByteStream;
use futures::{StreamExt, TryStreamExt, stream};
use lake::excerpt::Excerpt;
use lake::raw::Coverage;
use lake::{Error, Lake, keys};
use market::partition::DateRange;
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
use crate::known::Known;
use crate::progress::Progress;
use crate::workflow::{self, Workflow};

/// Uploads at once: enough to keep a connection busy, few enough for the file handles of any system.
const PARALLEL: usize = 8;

/// The most bytes of a file that is held in memory while it is sent, as every real one is. Others are read as they go.
const WHOLE: u64 = 4 << 20;

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
    let days = days(files)?;
    let known = Known::of(lake, days).await?;
    let skipped = put_all(lake, folder, files, &known, progress).await?;
    let input = match days {
        Some(days) => json!(days),
        // Files of no day are looked at whatever the days are.
        None => json!({}),
    };
    let name = workflow::new_name("upload")?;
    progress.line(&format!("upload_raw_data {name}"));
    let arn = workflow::start(lake, Workflow::UploadRawData, &name, &input).await?;
    match follow(lake, &arn, progress).await? {
        Ending::Succeeded(output) => {
            let outcome = Outcome::deserialize(output).context("upload_raw_data gave an output of another form")?;
            tell(lake, &outcome, skipped)?;
            refuse_quarantined(&outcome)
        }
        ending => workflow::not_succeeded(Workflow::UploadRawData, &name, ending),
    }
}

/// Uploads what is not there yet. Gives how many files were.
async fn put_all(
    lake: &Lake,
    folder: &Path,
    files: &[File],
    known: &Known,
    progress: &Progress,
) -> anyhow::Result<u64> {
    let started = Instant::now();
    let total = files.iter().map(|file| file.bytes).sum();
    let bar = progress.bytes("uploading", total);
    let sent: Vec<bool> = stream::iter(files)
        .map(|file| {
            let bar = &bar;
            async move {
                let key = keys::landing(&relative(folder, &file.path)?);
                let send = !known.hold(file, &key).await?;
                if send {
                    put(lake, file, &key).await?;
                }
                bar.inc(file.bytes);
                anyhow::Ok(send)
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    bar.finish_and_clear();
    let skipped = sent.iter().filter(|sent| !**sent).count() as u64;
    progress.line(&format!(
        "uploaded {}, of {}, in {}{}",
        human::counted(files.len() as u64 - skipped, "file"),
        human::bytes(total),
        human::duration(started.elapsed()),
        if skipped > 0 { format!("; {} were there already", human::count(skipped)) } else { String::new() },
    ));
    Ok(skipped)
}

async fn put(lake: &Lake, file: &File, key: &str) -> anyhow::Result<()> {
    let path = &file.path;
    let cannot_read = || format!("cannot read {}", path.display());
    let bucket = lake.config.buckets.raw.as_str();
    let request = lake.s3.put_object().bucket(bucket).key(key);
    let sent = if file.bytes <= WHOLE {
        let bytes = tokio::fs::read(path).await.with_context(cannot_read)?;
        // The checksum is a header, which is signed: to sign the bytes too would only say the same at a higher price.
        request.body(bytes.into()).customize().disable_payload_signing().send().await
    } else {
        request.body(ByteStream::from_path(path).await.with_context(cannot_read)?).send().await
    };
    sent.map_err(Error::aws(format!("uploading {} to s3://{bucket}/{key}", path.display())))?;
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

/// From the first to the last day of the snapshots among the files.
fn days(files: &[File]) -> anyhow::Result<Option<DateRange>> {
    let name = |file: &File| file.path.file_name()?.to_str()?.parse::<SnapshotName>().ok();
    let days = || files.iter().filter_map(name).map(|name| name.time.date());
    let ends = days().min().zip(days().max());
    Ok(ends.map(|(from, to)| DateRange::new(from, to)).transpose()?)
}

fn tell(lake: &Lake, outcome: &Outcome, skipped: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{} accepted", human::count(outcome.accepted))?;
    for (count, what) in [
        (outcome.repeated + skipped, "there already"),
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
        let range = days(&files).expect("a range").expect("two snapshots");
        assert_eq!(
            (range.from().to_string(), range.to().to_string()),
            ("2020-04-01".to_owned(), "2020-04-02".to_owned())
        );
        assert_eq!(days(&files[1..2]).expect("no range"), None);
    }

    #[test]
    fn keys_keep_the_folders() {
        assert_eq!(relative(Path::new("raw"), Path::new("raw/a/b.csv")).expect("UTF-8"), "a/b.csv");
    }
}
