//! `pregao etl`: runs only the engine, from a folder to a folder.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use ::etl::{Counts, Input, Job, Report};
use lake::added_columns::AddedColumns;
use lake::truncated_list::TruncatedList;
use market::snapshot::Feed;
use market::table::TableName;

use crate::args::{EtlArgs, OutputFormat};
use crate::commands::upload;
use crate::error_report::{fail, hinted};
use crate::format;
use crate::output::{self, Etl, EtlTable, Partial};
use crate::progress::Progress;
use crate::raw_folder;
use crate::tabular;

/// Converts all snapshots of a folder to Parquet.
pub(crate) fn etl(args: &EtlArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    raw_folder::refuse_overlap(&args.raw, &args.out)?;
    let mut found = raw_folder::scan(&args.raw)?;
    found.warn(&progress);
    let (inputs, others) = snapshots(std::mem::take(&mut found.files));
    for other in &others {
        progress.warning(&format!("warning: {} is left out: its name is not that of a snapshot", other.display()));
    }
    if inputs.is_empty() {
        return fail(
            format!("{} holds no snapshots", args.raw.display()),
            "their names are like 202004011320_flashpanel.csv and 202004011320_options.csv, with .gz at the end if compressed",
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

    let parquet_files = report.partitions.iter().map(|partition| partition.files.len() as u64).sum();
    let tables: Vec<EtlTable> = Feed::ALL.into_iter().map(|feed| account(&report, feed)).collect();
    let drifted = report.files.iter().filter_map(|file| AddedColumns::new(&file.name.to_string(), &file.added_columns));
    let drifted: TruncatedList<AddedColumns> = drifted.collect();
    let error = (!others.is_empty()).then(|| {
        hinted(
            anyhow::anyhow!("{} left out", format::counted(others.len() as u64, "file")),
            "rename them if they are snapshots, else move them out of the folder",
        )
    });
    let error = error.or_else(|| found.refused());
    if args.format == OutputFormat::Json {
        let document = Etl {
            tables,
            bytes: report.totals.bytes,
            seconds: output::seconds(seconds),
            parquet_files,
            added_columns: output::TruncatedList::new(&drifted, output::AddedColumns::new),
            left_out: others.iter().map(|path| path.display().to_string()).collect(),
            passed_over: found.skipped.iter().map(output::PassedOver::new).collect(),
            error: None,
        };
        return match error {
            None => output::print(&document).map(|()| ExitCode::SUCCESS),
            Some(error) => Err(Partial::error(&document, None, error)),
        };
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", accounts(&tables))?;
    if let Some(line) = upload::added_columns(drifted.count as u64, drifted.first.first()) {
        writeln!(out, "{line}")?;
    }
    let rate = report.totals.bytes as f64 / 1e6 / seconds.as_secs_f64().max(1e-3);
    writeln!(
        out,
        "{} in {} ({rate:.0} MB/s): {} in {}",
        format::bytes(report.totals.bytes),
        format::duration(seconds),
        format::counted(parquet_files, "Parquet file"),
        args.out.display()
    )?;
    error.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Splits files into snapshots, by their names, and others.
fn snapshots(files: Vec<raw_folder::File>) -> (Vec<Input>, Vec<PathBuf>) {
    let (mut inputs, mut others) = (Vec::new(), Vec::new());
    for file in files {
        match Input::parse_name(&file.path) {
            Ok(snapshot) => inputs.push(Input { path: file.path, snapshot }),
            Err(_) => others.push(file.path),
        }
    }
    (inputs, others)
}

/// Returns the table of record counts: `records = published + blank_ticker + header_repeat + ragged`.
fn accounts(tables: &[EtlTable]) -> String {
    let columns = tabular::columns([
        ("table", "varchar"),
        ("files", "bigint"),
        ("records", "bigint"),
        ("published", "bigint"),
        ("blank_ticker", "bigint"),
        ("header_repeat", "bigint"),
        ("ragged", "bigint"),
        ("rejected_cells", "bigint"),
    ]);
    let rows: Vec<tabular::Row> = tables
        .iter()
        .map(|table| {
            let EtlTable { files, records, published, blank_ticker, header_repeat, ragged, rejected_cells, .. } = table;
            let counts = [files, records, published, blank_ticker, header_repeat, ragged, rejected_cells];
            let counts = counts.map(|count| Some(format::count(*count)));
            std::iter::once(Some(table.table.clone())).chain(counts).collect()
        })
        .collect();
    tabular::table(&columns, &rows, None)
}

fn account(report: &Report, feed: Feed) -> EtlTable {
    let files = || report.files.iter().filter(|file| file.name.feed == feed);
    let Counts { records, published, blank_ticker, header_repeat, ragged, rejected_cells, .. } =
        files().map(|file| file.counts).sum();
    let table = TableName::from(feed).to_string();
    let files = files().count() as u64;
    EtlTable { table, files, records, published, blank_ticker, header_repeat, ragged, rejected_cells }
}
