//! `pregao upload`: uploads raw files and ingests them.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_s3::primitives::ByteStream;
use chrono::{NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use lake::added_columns::AddedColumns;
use lake::raw_files::Coverage;
use lake::truncated_list::TruncatedList;
use lake::workflow::StartedRun;
use lake::{Error, Lake, keys};
use lake_client::days::{Facts, judge};
use market::partition::DateRange;
use market::run::RunId;
use market::snapshot::SnapshotName;
use serde::Deserialize;
use serde_json::json;

use crate::args::{Global, OutputFormat, UploadArgs};
use crate::commands::run;
use crate::coverage;
use crate::dedup::{Uploaded, UploadedFiles};
use crate::endpoint::{Use, with_lake};
use crate::error_report::{fail, hinted};
use crate::format;
use crate::output::{self, Partial};
use crate::progress::Progress;
use crate::raw_folder::{self, File};
use crate::sent_files::{self, SentFile, Settled};
use crate::watch_execution::watch;
use crate::workflow::{self, Workflow};

/// Number of concurrent uploads: enough to saturate a connection, few enough for any limit on open files.
const PARALLEL: usize = 16;

/// Maximum size in bytes of a file that is read into memory, which holds for all real files. Larger ones are streamed.
const WHOLE: u64 = 4 << 20;

/// The output of `upload_raw_data`, as far as it is not about single files: those are in [`Settled`].
#[derive(Debug, Deserialize)]
struct Outcome {
    #[serde(default)]
    unterminated: TruncatedList<String>,
    #[serde(default)]
    added_columns: TruncatedList<AddedColumns>,
    #[serde(flatten)]
    coverage: Coverage,
    /// The runs of its days, unless `schedule.on_upload` is against it. Absent in the output of older versions.
    #[serde(default)]
    runs: Vec<StartedRun>,
}

/// The result of uploading a folder.
pub(crate) struct Delivered {
    execution: RunId,
    days: Option<DateRange>,
    sent: Sent,
    settled: Settled,
    outcome: Outcome,
}

/// The files of a folder that were sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    files: u64,
    bytes: u64,
    sent_files: u64,
    sent_bytes: u64,
    /// Files that were in the place of their snapshot.
    accepted_before: u64,
}

/// Uploads a folder and prints the outcome. The exit code is 0 if every file was accepted.
pub(crate) fn upload(global: &Global, args: &UploadArgs) -> anyhow::Result<ExitCode> {
    let found = raw_folder::scan(&args.folder)?;
    with_lake(global, Use::Workflows, async |lake| {
        let progress = Progress::new();
        found.warn(&progress);
        let delivered = deliver(lake, &args.folder, &found.files, &progress).await?;
        let refused = || delivered.refused().or_else(|| found.refused());
        let stale = stale_days(lake, delivered.days, &progress).await;
        if args.format == OutputFormat::Json {
            let passed_over = found.skipped.iter().map(output::PassedOver::new).collect();
            let stale_days = stale.as_ref().map(|days| output::TruncatedList::new(days, NaiveDate::to_string));
            let document = output::Upload { passed_over, stale_days, ..delivered.document() };
            return match refused() {
                None => output::print(&document).map(|()| ExitCode::SUCCESS),
                Some(refused) => Err(Partial::error(&document, None, refused)),
            };
        }
        delivered.print_text(lake)?;
        let stale = stale.unwrap_or_default();
        if !stale.is_empty() {
            let days = format::counted(stale.count as u64, "published day");
            let verb = if stale.count == 1 { "is" } else { "are" };
            writeln!(io::stdout().lock(), "{days} {verb} stale: {}", run::first(&stale))?;
        }
        if let Some(refused) = refused() {
            return Err(refused);
        }
        let runs = delivered.outcome.runs.len() as u64;
        if runs > 0 {
            progress.line(&format!("{} started: {} runs lists them", format::counted(runs, "run"), global.program()));
        } else if let Some(days) = delivered.days {
            // The command also processes unpublished days.
            let how = if stale.is_empty() { "" } else { " --stale" };
            let to = if days.from() == days.to() { String::new() } else { format!(" --to {}", days.to()) };
            progress.line(&format!("next: {} run{how} --from {}{to}", global.program(), days.from()));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns the stale published days; `None` if they cannot be determined, which does not fail the upload.
async fn stale_days(lake: &Lake, days: Option<DateRange>, progress: &Progress) -> Option<TruncatedList<NaiveDate>> {
    let Some(range) = days else { return Some(TruncatedList::default()) };
    match Facts::read(lake, Some(range)).await {
        Ok(facts) => {
            let judged = judge(&lake.config, range, &facts, Utc::now());
            Some(judged.into_iter().filter(|day| day.stale.is_some()).map(|day| day.day).collect())
        }
        Err(error) => {
            progress.warning(&format!("cannot say which published days are stale now: {error}"));
            None
        }
    }
}

/// Uploads files, starts the workflow that ingests them, and watches it.
pub(crate) async fn deliver(
    lake: &Lake,
    folder: &Path,
    files: &[File],
    progress: &Progress,
) -> anyhow::Result<Delivered> {
    let days = days(files)?;
    let uploaded = UploadedFiles::list(lake, days).await?;
    let (sent, landed) = put_all(lake, folder, files, &uploaded, progress).await?;
    let input = match days {
        Some(days) => json!(days),
        // `ingest` processes files without a valid day in any case.
        None => json!({}),
    };
    let name = workflow::new_name("upload")?;
    progress.line(&format!("upload_raw_data {name}"));
    let arn = workflow::start(lake, Workflow::UploadRawData, &name, &input).await?;
    let ending = watch(lake, &arn, progress).await?;
    let output = workflow::succeeded(Workflow::UploadRawData, &name, ending)?;
    let outcome = Outcome::deserialize(output).context("upload_raw_data gave an output of another form")?;
    let settled = sent_files::settle(lake, days, &uploaded, &landed).await?;
    Ok(Delivered { execution: name, days, sent, settled, outcome })
}

/// Uploads the files that the raw bucket does not have yet. Returns all that are in `landing/` then.
async fn put_all(
    lake: &Lake,
    folder: &Path,
    files: &[File],
    uploaded: &UploadedFiles,
    progress: &Progress,
) -> anyhow::Result<(Sent, Vec<SentFile>)> {
    let started = Instant::now();
    let total = files.iter().map(|file| file.bytes).sum();
    let bar = progress.bytes("uploading", total);
    let put_files: Vec<(Option<SentFile>, bool)> = stream::iter(files)
        .map(|file| {
            let bar = &bar;
            async move {
                let key = keys::landing(&relative(folder, &file.path)?);
                let there = uploaded.find(file, &key).await?;
                tracing::debug!(file = %file.path.display(), key, bytes = file.bytes, ?there, "a file");
                let sent = there == Uploaded::No;
                let etag = match there {
                    Uploaded::No => Some(put(lake, file, &key).await?),
                    Uploaded::Landed { etag } => Some(etag),
                    Uploaded::Accepted => None,
                };
                bar.inc(file.bytes);
                anyhow::Ok((etag.map(|etag| SentFile { key, bytes: file.bytes, etag }), sent))
            }
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    bar.finish_and_clear();
    let put_now = || put_files.iter().filter(|(_, sent)| *sent).filter_map(|(file, _)| file.as_ref());
    let sent = Sent {
        files: files.len() as u64,
        bytes: total,
        sent_files: put_now().count() as u64,
        sent_bytes: put_now().map(|file| file.bytes).sum(),
        accepted_before: put_files.iter().filter(|(file, _)| file.is_none()).count() as u64,
    };
    progress.line(&sent.headline(started.elapsed()));
    Ok((sent, put_files.into_iter().filter_map(|(file, _)| file).collect()))
}

impl Sent {
    /// Number of files that the raw bucket had already.
    fn skipped(self) -> u64 {
        self.files - self.sent_files
    }

    /// Returns the line `uploaded 2 files, 1.3 MB, in 0.4s; 1 was there already`.
    fn headline(self, took: Duration) -> String {
        let mut text = format!(
            "uploaded {}, {}, in {}",
            format::counted(self.sent_files, "file"),
            format::bytes(self.sent_bytes),
            format::duration(took),
        );
        match self.skipped() {
            0 => {}
            1 => text += "; 1 was there already",
            skipped => text += &format!("; {} were there already", format::count(skipped)),
        }
        text
    }
}

/// Sends a file. Returns the ETag of the object.
async fn put(lake: &Lake, file: &File, key: &str) -> anyhow::Result<String> {
    let path = &file.path;
    let cannot_read = || format!("cannot read {}", path.display());
    let bucket = lake.config.buckets.raw.as_str();
    let request = lake.s3.put_object().bucket(bucket).key(key);
    let sent = if file.bytes <= WHOLE {
        let bytes = tokio::fs::read(path).await.with_context(cannot_read)?;
        // The payload is not signed, which saves hashing it: the signed headers contain its checksum.
        request.body(bytes.into()).customize().disable_payload_signing().send().await
    } else {
        request.body(ByteStream::from_path(path).await.with_context(cannot_read)?).send().await
    };
    let sent = sent.map_err(Error::aws(format!("uploading {} to s3://{bucket}/{key}", path.display())))?;
    Ok(sent.e_tag().unwrap_or_default().trim_matches('"').to_owned())
}

/// Returns the path relative to the folder, with `/` as separator.
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

/// Returns the range from the first to the last day of the snapshots among the files.
fn days(files: &[File]) -> anyhow::Result<Option<DateRange>> {
    let name = |file: &File| file.path.file_name()?.to_str()?.parse::<SnapshotName>().ok();
    let days = || files.iter().filter_map(name).map(|name| name.time.date());
    let ends = days().min().zip(days().max());
    Ok(ends.map(|(from, to)| DateRange::new(from, to)).transpose()?)
}

impl Delivered {
    /// Number of files that were accepted before, or that have the bytes of another one of the folder.
    fn already_there(&self) -> u64 {
        self.settled.repeated + self.sent.accepted_before
    }

    fn document(&self) -> output::Upload {
        let Delivered { execution, days, sent, settled, outcome } = self;
        output::Upload {
            execution: execution.to_string(),
            files: sent.files,
            bytes: sent.bytes,
            sent_files: sent.sent_files,
            sent_bytes: sent.sent_bytes,
            days: days.map(output::Days::new),
            accepted: settled.accepted,
            already_there: self.already_there(),
            superseded: settled.superseded,
            quarantined: output::TruncatedList::new(&self.quarantined(), |(name, reason)| output::Quarantined {
                name: name.clone(),
                reason: reason.clone(),
            }),
            unterminated: output::TruncatedList::new(&outcome.unterminated, String::clone),
            added_columns: output::TruncatedList::new(&outcome.added_columns, output::AddedColumns::new),
            passed_over: Vec::new(),
            stale_days: None,
            coverage: (&outcome.coverage).into(),
            runs: outcome.runs.iter().map(|run| run.execution.clone()).collect(),
            error: None,
        }
    }

    /// Returns the name of the execution that ingested the files.
    pub(crate) fn execution(&self) -> &str {
        self.execution.as_str()
    }

    /// Prints the outcome.
    pub(crate) fn print_text(&self, lake: &Lake) -> io::Result<()> {
        let (outcome, settled, quarantined) = (&self.outcome, &self.settled, self.quarantined());
        let mut out = io::stdout().lock();
        write!(out, "{} accepted", format::count(settled.accepted))?;
        for (count, what) in [
            (self.already_there(), "there already"),
            (settled.superseded, "replaced by another of the same name"),
            (quarantined.count as u64, "quarantined"),
        ] {
            if count > 0 {
                write!(out, ", {} {what}", format::count(count))?;
            }
        }
        writeln!(out)?;
        for (name, reason) in &quarantined.first {
            writeln!(out, "  quarantined {name}: {reason}")?;
        }
        if quarantined.omitted() > 0 {
            let place = keys::uri(&lake.config.buckets.raw, keys::QUARANTINE);
            writeln!(out, "  and {} more, each with its reason under {place}", quarantined.omitted())?;
        }
        if let Some(line) = unterminated(outcome.unterminated.count, outcome.unterminated.first.iter()) {
            writeln!(out, "{line}")?;
        }
        let added = &outcome.added_columns;
        if let Some(line) = added_columns(added.count as u64, added.first.first()) {
            writeln!(out, "{line}")?;
        }
        for line in coverage::lines(&outcome.coverage) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn quarantined(&self) -> TruncatedList<(String, String)> {
        self.settled.quarantined.iter().cloned().collect()
    }

    /// Returns an error if files were refused, or are not where an ingested file is.
    pub(crate) fn refused(&self) -> Option<anyhow::Error> {
        let Settled { quarantined, unsettled, .. } = &self.settled;
        if let Some(first) = unsettled.first() {
            let count = format::counted(unsettled.len() as u64, "file");
            return Some(hinted(
                anyhow::anyhow!("{count} neither accepted nor quarantined, the first of them {first}"),
                "another upload may have replaced them meanwhile: upload the folder again",
            ));
        }
        let count = format::counted(quarantined.len() as u64, "file");
        (!quarantined.is_empty()).then(|| {
            hinted(
                anyhow::anyhow!("{count} quarantined; all others are in the lake"),
                "mend those files, each of which is named with its reason, and upload them again; or leave them where they are",
            )
        })
    }
}

/// Maximum number of files without a final line end in the message.
const NAMED: usize = 3;

/// Returns `2 files do not end with a line feed (A, B): what stands last in them may be cut off`; `None` without such files.
pub(crate) fn unterminated<'a>(count: usize, first: impl Iterator<Item = &'a String>) -> Option<String> {
    let mut named: Vec<&str> = first.take(NAMED).map(String::as_str).collect();
    if count > named.len() {
        named.push("...");
    }
    let verb = if count == 1 { "does" } else { "do" };
    let files = format::counted(count as u64, "file");
    let named = named.join(", ");
    (count > 0).then(|| format!("{files} {verb} not end with a line feed ({named}): what stands last may be cut off"))
}

/// Returns `2 files have added columns, which are ignored: A has a column that is in no table: "Vwap"`; `None` without such files.
pub(crate) fn added_columns(count: u64, first: Option<impl Display>) -> Option<String> {
    let first = first?;
    let verb = if count == 1 { "has" } else { "have" };
    Some(format!("{} {verb} added columns, which are ignored: {first}", format::counted(count, "file")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(path: &str) -> File {
        File { path: PathBuf::from(path), bytes: 1 }
    }

    #[test]
    fn files_without_a_final_line_end_are_named() {
        let names: Vec<String> = (0..5).map(|n| format!("{n}.csv")).collect();
        assert_eq!(unterminated(0, [].iter()), None);
        assert_eq!(
            unterminated(1, names[..1].iter()).as_deref(),
            Some("1 file does not end with a line feed (0.csv): what stands last may be cut off")
        );
        assert_eq!(
            unterminated(5, names.iter()).as_deref(),
            Some("5 files do not end with a line feed (0.csv, 1.csv, 2.csv, ...): what stands last may be cut off")
        );
    }

    #[test]
    fn files_with_added_columns_are_counted_and_one_is_named() {
        assert_eq!(added_columns(0, None::<&str>), None);
        assert_eq!(
            added_columns(2, Some("0.csv has a column")).as_deref(),
            Some("2 files have added columns, which are ignored: 0.csv has a column")
        );
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
    fn sent_files_are_described() {
        let told = |files, sent_files, sent_bytes| {
            Sent { files, bytes: 9_000_000, sent_files, sent_bytes, accepted_before: 0 }
                .headline(Duration::from_millis(400))
        };
        assert_eq!(told(1, 1, 1_200_000), "uploaded 1 file, 1.2 MB, in 0.4s");
        assert_eq!(told(3, 2, 1_200_000), "uploaded 2 files, 1.2 MB, in 0.4s; 1 was there already");
        assert_eq!(told(1_054, 0, 0), "uploaded 0 files, 0 B, in 0.4s; 1,054 were there already");
    }

    #[test]
    fn keys_keep_the_folders() {
        assert_eq!(relative(Path::new("raw"), Path::new("raw/a/b.csv")).expect("UTF-8"), "a/b.csv");
    }
}
