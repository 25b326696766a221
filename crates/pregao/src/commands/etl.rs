//! `pregao etl`: the engine alone, from a folder to a folder.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use ::etl::{Counts, Input, Job, Report};
use market::snapshot::Feed;
use market::table::TableName;

use crate::args::EtlArgs;
use crate::folder;
use crate::hint::fail;
use crate::human;
use crate::progress::Progress;
use crate::rows;

/// Cleans all snapshots of a folder.
pub fn etl(args: &EtlArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let files = folder::files(&args.raw)?;
    let (inputs, others) = snapshots(files);
    for other in &others {
        progress.line(&format!("warning: {} is left out: its name is not that of a snapshot", other.display()));
    }
    if inputs.is_empty() {
        return fail(
            format!("{} holds no snapshots", args.raw.display()),
            "their names are like 202004011320_flashpanel.csv and 202004011320_options.csv, with .gz behind if compressed",
        );
    }

    let started = Instant::now();
    let bar = progress.bytes("cleaning", 0);
    let job = Job { inputs, out: args.out.clone(), threads: args.threads.unwrap_or(0) as usize, run: None };
    let report = ::etl::run(&job, &|at| {
        bar.set_length(at.total);
        bar.set_position(bar.position().max(at.read));
    });
    bar.finish_and_clear();
    let report = report?;
    let seconds = started.elapsed();

    let mut out = io::stdout().lock();
    writeln!(out, "{}", accounts(&report))?;
    let rate = report.totals.bytes as f64 / 1e6 / seconds.as_secs_f64().max(1e-3);
    writeln!(
        out,
        "{} in {} ({rate:.0} MB/s): {} in {}",
        human::bytes(report.totals.bytes),
        human::duration(seconds),
        human::counted(report.partitions.iter().map(|partition| partition.files.len() as u64).sum(), "Parquet file"),
        args.out.display()
    )?;
    if others.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    fail(
        format!("{} left out, named above", human::counted(others.len() as u64, "file")),
        "rename them if they are snapshots, else move them out of the folder",
    )
}

/// The files that are snapshots by their names, and those that are not.
fn snapshots(files: Vec<folder::File>) -> (Vec<Input>, Vec<PathBuf>) {
    let (mut inputs, mut others) = (Vec::new(), Vec::new());
    for file in files {
        match Input::snapshot_at(&file.path) {
            Ok(snapshot) => inputs.push(Input { path: file.path, snapshot }),
            Err(_) => others.push(file.path),
        }
    }
    (inputs, others)
}

/// The account of each table: `records = published + blank_ticker + header_repeat + ragged`.
fn accounts(report: &Report) -> String {
    let columns = rows::columns([
        ("table", "varchar"),
        ("files", "bigint"),
        ("records", "bigint"),
        ("published", "bigint"),
        ("blank_ticker", "bigint"),
        ("header_repeat", "bigint"),
        ("ragged", "bigint"),
        ("rejected_cells", "bigint"),
    ]);
    let rows: Vec<rows::Row> = Feed::ALL.into_iter().map(|feed| account(report, feed)).collect();
    rows::table(&columns, &rows, None)
}

fn account(report: &Report, feed: Feed) -> rows::Row {
    let files = || report.files.iter().filter(|file| file.name.feed == feed);
    let Counts { records, published, blank_ticker, header_repeat, ragged, rejected_cells, .. } =
        files().map(|file| file.counts).sum();
    let counts = [files().count() as u64, records, published, blank_ticker, header_repeat, ragged, rejected_cells];
    let name = Some(TableName::from(feed).to_string());
    std::iter::once(name).chain(counts.map(|count| Some(human::count(count)))).collect()
}
