//! `pregao history`: shows the publication records of a day.

use std::io::{self, Write};
use std::process::ExitCode;

use chrono::NaiveDate;
use lake::record::{self, Record};
use lake::{Error, Lake};

use crate::args::{Global, HistoryArgs, OutputFormat};
use crate::endpoint::{Use, with_lake};
use crate::error_report::fail;
use crate::format;
use crate::migrate;
use crate::output::{self, History, HistoryRecord};
use crate::tabular::{self, Row};

/// Prints the records of a day, the oldest first.
pub(crate) fn history(global: &Global, args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    with_lake(global, Use::Questions, async |lake| {
        let records = read(lake, args.day).await?;
        if records.is_empty() {
            return fail(
                format!("nothing has ever been published of {}", args.day),
                format!("{} status shows the days that there are", global.program()),
            );
        }
        let history = History { day: args.day.to_string(), records: documents(&records) };
        match args.format {
            OutputFormat::Json => output::print(&history)?,
            OutputFormat::Table => print_text(&history)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Reads all records of a day, the oldest first.
///
/// # Errors
/// As [`record::history`].
pub(crate) async fn read(lake: &Lake, day: NaiveDate) -> Result<Vec<Record>, Error> {
    migrate::ensure(lake).await?;
    record::history(lake, day).await
}

/// Converts records to documents. The current record says which runs are removed.
pub(crate) fn documents(records: &[Record]) -> Vec<HistoryRecord> {
    let Some(current) = records.last() else { return Vec::new() };
    records.iter().map(|record| HistoryRecord::new(record, |run| current.removed_runs.contains(run))).collect()
}

fn print_text(history: &History) -> io::Result<()> {
    let columns = tabular::columns([
        ("number", "bigint"),
        ("written at (UTC)", "varchar"),
        ("cause", "varchar"),
        ("run", "varchar"),
        ("quotes", "bigint"),
        ("options", "bigint"),
        ("rejects", "bigint"),
        ("raw files", "bigint"),
        ("by", "varchar"),
        ("", "varchar"),
    ]);
    let rows: Vec<Row> = history.records.iter().map(row).collect();
    writeln!(io::stdout().lock(), "{}", tabular::table(&columns, &rows, tabular::terminal_width()))
}

fn row(record: &HistoryRecord) -> Row {
    let rows = |rows: Option<u64>| rows.map_or(String::new(), format::count);
    let mut notes = Vec::new();
    if record.held.is_some() {
        notes.push("held");
    }
    if record.missing_accepted.is_some() {
        notes.push("missing accepted");
    }
    if record.removed {
        notes.push("files removed");
    }
    [
        record.number.to_string(),
        record.written_at.to_string(),
        record.cause.clone(),
        record.run.clone().unwrap_or_default(),
        rows(record.rows.quotes),
        rows(record.rows.options),
        rows(record.rows.rejects),
        format::count(record.raw_files as u64),
        record.actor.clone(),
        notes.join(", "),
    ]
    .map(Some)
    .to_vec()
}
