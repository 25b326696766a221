//! Runs one task: some raw files of one feed and day become one file of the feed's table and one of `rejects`.

use market::header::{Header, InvalidHeader};
use market::record::{Disposition, Ragged, Splitter, decode};
use market::snapshot::SnapshotName;
use market::table::TableName;
use tracing::debug_span;

use crate::error::EtlError;
use crate::job::Input;
use crate::lines::{Buffer, Line, Lines};
use crate::plan::Task;
use crate::raw_file::{self, RawFile, Tally, read_error};
use crate::report::{Counts, FileReport};
use crate::rows::{FeedRows, RejectRows, RowBuffer, SourceFile};
use crate::storage::{Part, Storage};
use crate::table_file::TableFile;

/// The result of a task.
pub(crate) struct TaskOutput {
    /// The report of each raw file.
    pub files: Vec<FileReport>,
    /// The file of the feed's table and the file of `rejects`, each with its number of rows.
    pub written: [(Part, u64); 2],
}

/// Runs `task`, and verifies that the numbers of written rows equal the numbers of published and rejected records and cells.
///
/// # Errors
/// [`EtlError::Identity`] if the counts differ; the errors of reading and writing.
pub(crate) fn run_task(
    task: &Task<'_>,
    storage: &dyn Storage,
    buffer: &mut Buffer,
    tally: &Tally<'_>,
) -> Result<TaskOutput, EtlError> {
    let parts = [TableName::from(task.feed), TableName::Rejects].map(|table| Part {
        table,
        partition: task.partition,
        feed: task.feed,
        number: task.part,
    });
    let mut tables = Tables {
        splitter: Splitter::new(task.feed.separator()),
        rows: FeedRows::new(task.feed),
        rejects: RejectRows::new(task.feed),
        table_file: create(storage, parts[0])?,
        rejects_file: create(storage, parts[1])?,
    };
    let mut files = Vec::new();
    let mut inputs = task.inputs.as_slice();
    while let Some((input, next)) = inputs.split_first() {
        let span = debug_span!("file", name = %input.snapshot);
        files.push(span.in_scope(|| process_file(storage, input, next, &mut tables, buffer, tally))?);
        inputs = next;
    }
    let rows = tables.close()?;
    check_rows(&files, rows)?;
    tracing::debug!(published = rows[0], rejects = rows[1], "the task is complete");
    Ok(TaskOutput { files, written: [(parts[0], rows[0]), (parts[1], rows[1])] })
}

fn create(storage: &dyn Storage, part: Part) -> Result<TableFile, EtlError> {
    let path = storage.path(part);
    let file = storage.create(part).map_err(|source| EtlError::Write { path: path.clone(), source })?;
    TableFile::new(part.table, path, file)
}

/// The two tables that a task writes: their buffered rows and their files.
struct Tables {
    splitter: Splitter,
    rows: FeedRows,
    rejects: RejectRows,
    table_file: TableFile,
    rejects_file: TableFile,
}

/// Adds the records of one raw file to `tables`, and returns their counts.
fn process_file(
    storage: &dyn Storage,
    input: &Input,
    next: &[&Input],
    tables: &mut Tables,
    buffer: &mut Buffer,
    tally: &Tally<'_>,
) -> Result<FileReport, EtlError> {
    let file = SourceFile::from(input.snapshot);
    let raw = storage.open(input, next).map_err(|source| EtlError::Read { path: input.path.clone(), source })?;
    let mut lines = Lines::new(raw_file::text(input, raw, tally), buffer);
    let header = read_header(input, &mut lines)?;

    let mut counts = Counts::default();
    loop {
        let before = lines.number();
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => return Err(read_error(input, before, error, lines.source())),
        };
        counts.records += 1;
        tables.add(&file, &header, line, &mut counts)?;
    }
    counts.bytes = lines.source().get_ref().bytes;
    check_identity(file.name, &counts)?;
    tracing::debug!(records = counts.records, published = counts.published, "the file is read");
    Ok(FileReport { name: file.name, added_columns: header.added_columns().to_vec(), counts })
}

fn read_header(input: &Input, lines: &mut Lines<'_, RawFile<'_>>) -> Result<Header, EtlError> {
    let path = || input.path.clone();
    let parsed = match lines.next_line() {
        Ok(Some(Line { cut: true, .. })) => Err(InvalidHeader::TooLong),
        Ok(Some(line)) => Header::parse(input.snapshot.feed, line.bytes),
        Ok(None) => return Err(EtlError::Empty { path: path() }),
        Err(error) => return Err(read_error(input, 0, error, lines.source())),
    };
    parsed.map_err(|source| EtlError::Header { path: path(), line: lines.number(), source })
}

impl Tables {
    /// Publishes, drops or rejects one record, and counts it.
    fn add(&mut self, file: &SourceFile, header: &Header, line: Line<'_>, counts: &mut Counts) -> Result<(), EtlError> {
        let text = decode(line.bytes);
        let record = self.splitter.split(text.as_bytes());
        match record.disposition(header) {
            Disposition::BlankTicker => counts.blank_ticker += 1,
            _ if line.cut => {
                counts.ragged += 1;
                self.rejects.push_record(file, record, &text, Ragged::LineTooLong);
            }
            Disposition::HeaderRepeat => counts.header_repeat += 1,
            Disposition::Ragged(reason) => {
                counts.ragged += 1;
                self.rejects.push_record(file, record, &text, reason);
            }
            Disposition::Publish => {
                counts.published += 1;
                let rejects = &mut self.rejects;
                self.rows.push(file.intdate, record, |cell| {
                    counts.rejected_cells += 1;
                    rejects.push_cell(file, record, cell);
                });
            }
        }
        self.rows.write_if_full(&mut self.table_file)?;
        self.rejects.write_if_full(&mut self.rejects_file)
    }

    /// Completes both files, and returns their numbers of rows.
    fn close(mut self) -> Result<[u64; 2], EtlError> {
        self.rows.write(&mut self.table_file)?;
        self.rejects.write(&mut self.rejects_file)?;
        Ok([self.table_file.close()?, self.rejects_file.close()?])
    }
}

/// Verifies that every record of a file was published, dropped and counted, or rejected.
fn check_identity(file: SnapshotName, counts: &Counts) -> Result<(), EtlError> {
    let Counts { records, published, blank_ticker, header_repeat, ragged, .. } = *counts;
    if records == published + blank_ticker + header_repeat + ragged {
        return Ok(());
    }
    let what = format!(
        "{records} records, but {published} published, {blank_ticker} without a ticker, {header_repeat} repeated \
         headers and {ragged} ragged ones"
    );
    Err(EtlError::Identity { file, what })
}

/// Verifies that the Parquet files have as many rows as were counted during reading.
fn check_rows(files: &[FileReport], [table_rows, reject_rows]: [u64; 2]) -> Result<(), EtlError> {
    let total: Counts = files.iter().map(|file| file.counts).sum();
    let rejected = total.ragged + total.rejected_cells;
    match files.last() {
        Some(last) if (total.published, rejected) != (table_rows, reject_rows) => {
            let what = format!(
                "{} rows to publish and {rejected} to reject, but {table_rows} and {reject_rows} were written",
                total.published
            );
            Err(EtlError::Identity { file: last.name, what })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_does_not_add_up_fails() {
        let name = "202004011320_options.csv".parse().expect("a snapshot");
        let fine =
            Counts { records: 4, published: 1, blank_ticker: 1, header_repeat: 1, ragged: 1, ..Counts::default() };
        assert!(check_identity(name, &fine).is_ok());
        let error = check_identity(name, &Counts { records: 5, ..fine }).expect_err("one record is lost").to_string();
        assert!(error.starts_with("202004011320_options.csv: 5 records, but 1 published"), "{error}");

        let counts = Counts { rejected_cells: 2, ..fine };
        let files = [FileReport { name, added_columns: Vec::new(), counts }];
        assert!(check_rows(&files, [1, 3]).is_ok());
        for rows in [[0, 3], [2, 3], [1, 2]] {
            assert!(matches!(check_rows(&files, rows), Err(EtlError::Identity { .. })), "{rows:?}");
        }
    }
}
