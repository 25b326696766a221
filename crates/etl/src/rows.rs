//! Rows of the tables in memory, in the order of the files, until they are a row group.

use arrow_array::types::Int64Type;
use market::number::{Reason, trim};
use market::record::{Ragged, Record};
use market::snapshot::{Feed, SnapshotName};
use market::table::{Source, TableName};

use crate::cells::Cells;
use crate::columns::{Numbers, Texts};
use crate::error::EtlError;
use crate::table_file::{ROW_GROUP_BYTES, ROW_GROUP_ROWS, TableFile};
use crate::tickers::Tickers;

/// Rows of a feed's table.
pub struct FeedRows {
    tickers: Tickers,
    intdates: Numbers<Int64Type>,
    columns: Vec<CellColumn>,
    /// Of all text in the rows.
    bytes: usize,
}

struct CellColumn {
    /// Where its cell stands in a record.
    at: usize,
    /// The name of that cell in the header.
    raw: &'static str,
    cells: Cells,
}

/// A cell that is NULL in the table and has to be accounted for.
pub struct RejectedCell<'a> {
    /// The raw column.
    pub column: &'static str,
    /// Not trimmed.
    pub text: &'a [u8],
    pub reason: Reason,
}

impl FeedRows {
    /// No rows.
    pub fn new(feed: Feed) -> Self {
        let columns = TableName::from(feed)
            .columns()
            .iter()
            .filter_map(|column| match column.source {
                Source::Cell { raw, kind } => {
                    let (at, cells) = (column.source.raw_index(feed)?, Cells::new(kind, column.ty)?);
                    Some(CellColumn { at, raw, cells })
                }
                _ => None,
            })
            .collect();
        Self { tickers: Tickers::default(), intdates: Numbers::default(), columns, bytes: 0 }
    }

    /// Adds a record that is published, and tells of each cell of it that could not be read.
    pub fn push<'a>(&mut self, intdate: i64, record: Record<'a>, mut on_reject: impl FnMut(RejectedCell<'a>)) {
        let ticker = trim(record.field(0));
        self.tickers.push(ticker);
        self.intdates.push(intdate, true);
        self.bytes += ticker.len();
        for column in &mut self.columns {
            let cell = record.cell(column.at);
            if let Cells::Text(_) = column.cells {
                self.bytes += cell.as_bytes().len();
            }
            if let Some(reason) = column.cells.push(cell) {
                on_reject(RejectedCell { column: column.raw, text: cell.as_bytes(), reason });
            }
        }
    }

    /// Writes the rows if they are enough for a row group.
    pub fn write_if_full(&mut self, file: &mut TableFile) -> Result<(), EtlError> {
        if self.tickers.len() >= ROW_GROUP_ROWS || self.bytes >= ROW_GROUP_BYTES { self.write(file) } else { Ok(()) }
    }

    /// Writes the rows, if there are any, and starts anew.
    pub fn write(&mut self, file: &mut TableFile) -> Result<(), EtlError> {
        if self.tickers.len() == 0 {
            return Ok(());
        }
        self.bytes = 0;
        let Self { tickers, intdates, columns, .. } = self;
        file.write_row_group(tickers, |at, order| match at.checked_sub(1) {
            None => Some(intdates.finish(order)),
            Some(at) => columns.get_mut(at).map(|column| column.cells.finish(order)),
        })
    }
}

/// Rows of `rejects` that come from one feed.
pub struct RejectRows {
    feed: Feed,
    tickers: Tickers,
    intdates: Numbers<Int64Type>,
    /// `source_file`, `table_name`, `column_name`, `text`, `reason`.
    texts: [Texts; 5],
    bytes: usize,
}

impl RejectRows {
    /// No rows.
    pub fn new(feed: Feed) -> Self {
        Self { feed, tickers: Tickers::default(), intdates: Numbers::default(), texts: Default::default(), bytes: 0 }
    }

    /// Adds a cell of a record that is published all the same.
    pub fn push_cell(&mut self, file: &SourceFile, record: Record<'_>, cell: RejectedCell<'_>) {
        self.push(file, record, cell.column, cell.text, cell.reason.as_str());
    }

    /// Adds a whole record, which is not published.
    pub fn push_record(&mut self, file: &SourceFile, record: Record<'_>, line: &str, reason: Ragged) {
        self.push(file, record, "", line.as_bytes(), reason.as_str());
    }

    fn push(&mut self, file: &SourceFile, record: Record<'_>, column: &str, text: &[u8], reason: &str) {
        let ticker = trim(record.field(0));
        self.tickers.push(ticker);
        self.intdates.push(file.intdate, true);
        let [file, feed, column, reason] = [&file.text, self.feed.as_str(), column, reason].map(str::as_bytes);
        let values = [file, feed, column, text, reason];
        self.texts.iter_mut().zip(values).for_each(|(column, value)| column.push(value, true));
        self.bytes += ticker.len() + text.len();
    }

    /// Writes the rows if they are enough for a row group.
    pub fn write_if_full(&mut self, file: &mut TableFile) -> Result<(), EtlError> {
        if self.tickers.len() >= ROW_GROUP_ROWS || self.bytes >= ROW_GROUP_BYTES { self.write(file) } else { Ok(()) }
    }

    /// Writes the rows, if there are any, and starts anew.
    pub fn write(&mut self, file: &mut TableFile) -> Result<(), EtlError> {
        if self.tickers.len() == 0 {
            return Ok(());
        }
        self.bytes = 0;
        let Self { tickers, intdates, texts, .. } = self;
        file.write_row_group(tickers, |at, order| match at.checked_sub(1) {
            None => Some(intdates.finish(order)),
            Some(at) => texts.get_mut(at).map(|column| column.finish(order)),
        })
    }
}

/// The file that rows come from.
pub struct SourceFile {
    pub name: SnapshotName,
    pub intdate: i64,
    /// The name as it is in `rejects.source_file`.
    pub text: String,
}

impl From<SnapshotName> for SourceFile {
    fn from(name: SnapshotName) -> Self {
        Self { name, intdate: name.time.intdate(), text: name.to_string() }
    }
}
