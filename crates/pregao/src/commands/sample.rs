//! `pregao sample`: writes generated raw files.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use sample::{FeedSummary, Sample, Summary};

use crate::args::{Global, SampleArgs};
use crate::endpoint::configuration;
use crate::error_report::Hint;
use crate::format;
use crate::progress::Progress;
use crate::tabular;

/// Writes a sample and prints its counts.
pub(crate) fn sample(global: &Global, args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let config = configuration(global)?;
    let sample = Sample { from: args.from, days: args.days, seed: args.seed, session: config.session };
    let progress = Progress::new();
    let summary = write(&sample, &args.out, &progress)?;

    let mut out = io::stdout().lock();
    writeln!(out, "{}", headline(&summary, &args.out))?;
    writeln!(out, "{}", counts(&summary))?;
    drop(out);
    progress.line(&format!("next: {} upload {}", global.program(), args.out.display()));
    Ok(ExitCode::SUCCESS)
}

/// Writes the files, with a progress bar.
pub(crate) fn write(sample: &Sample, out: &Path, progress: &Progress) -> anyhow::Result<Summary> {
    let bar = progress.things("writing raw files", sample.file_count() as u64);
    let summary = sample.write(out, || bar.inc(1));
    bar.finish_and_clear();
    match summary {
        Err(error @ sample::Error::ForeignFile(_)) => {
            Err(error).hint("choose an empty folder, so that the raw files of two samples do not mix")
        }
        summary => Ok(summary?),
    }
}

/// Returns the line `54 raw files, 35.1 MB, of 2020-04-01 in raw/`.
pub(crate) fn headline(summary: &Summary, out: &Path) -> String {
    let files = summary.quotes.files + summary.options.files;
    let days = match summary.days[..] {
        [] => "no day".to_owned(),
        [day] => day.to_string(),
        [first, .., last] => format!("{} from {first} to {last}", format::counted(summary.days.len() as u64, "day")),
    };
    let bytes = format::bytes(summary.quotes.bytes + summary.options.bytes);
    format!("{}, {bytes}, of {days} in {}", format::counted(files, "raw file"), out.display())
}

/// A line of the table: its name and its count of a feed.
type Line = (&'static str, fn(&FeedSummary) -> u64);

fn counts(summary: &Summary) -> String {
    let lines: [Line; 15] = [
        ("files", |s| s.files),
        ("  compressed with gzip", |s| s.gzip),
        ("  in Windows-1252", |s| s.windows_1252),
        ("  with a byte-order mark", |s| s.byte_order_mark),
        ("  with \\r\\n", |s| s.crlf),
        ("  without a last line end", |s| s.no_last_line_end),
        ("snapshots that are missing", |s| s.missing),
        ("records", |s| s.records),
        ("  published", |s| s.published),
        ("  with a blank ticker", |s| s.blank_ticker),
        ("  that repeat the header", |s| s.header_repeat),
        ("  ragged", |s| s.ragged),
        ("unreadable cells", |s| s.unreadable_cells),
        ("duplicate records", |s| s.duplicates),
        ("bytes", |s| s.bytes),
    ];
    let columns = tabular::columns([("", "varchar"), ("quotes", "bigint"), ("options", "bigint")]);
    let rows: Vec<tabular::Row> = lines
        .iter()
        .map(|(name, count)| {
            let cell = |feed| Some(format::count(count(feed)));
            vec![Some((*name).to_owned()), cell(&summary.quotes), cell(&summary.options)]
        })
        .collect();
    tabular::table(&columns, &rows, None)
}
