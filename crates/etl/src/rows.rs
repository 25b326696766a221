//! Buffers of rows: rows of a table in memory, in the order of the raw files, until they fill a row group.

use std::sync::Arc;

use arrow_array::ArrayRef;
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

/// Buffered rows of one table.
pub(crate) trait RowBuffer {
    /// The two columns that all tables have.
    fn keys(&mut self) -> &mut KeyColumns;

    /// Removes all rows, and returns their columns in the order of the table, sorted by ticker and time.
    ///
    /// The iterator is lazy: it builds a column when the caller asks for it, so that the caller can write and free each
    /// column before the next one exists twice, in the buffer and as an array.
    fn drain_columns(&mut self) -> impl Iterator<Item = ArrayRef>;

    /// Writes a row group if the buffer is full.
    fn write_if_full(&mut self, file: &mut TableFile) -> Result<(), EtlError> {
        let keys = self.keys();
        if keys.tickers.len() >= ROW_GROUP_ROWS || keys.text_bytes >= ROW_GROUP_BYTES {
            return self.write(file);
        }
        Ok(())
    }

    /// Writes all rows as a row group, if there are any, and leaves the buffer empty.
    fn write(&mut self, file: &mut TableFile) -> Result<(), EtlError> {
        if self.keys().tickers.len() == 0 {
            return Ok(());
        }
        self.keys().text_bytes = 0;
        file.write_row_group(self.drain_columns())
    }
}

/// The columns `ticker` and `intdate`, by which rows are sorted, and the size of the buffered text.
#[derive(Default)]
pub(crate) struct KeyColumns {
    tickers: Tickers,
    intdates: Numbers<Int64Type>,
    /// Total bytes of text in all columns; compared with [`ROW_GROUP_BYTES`].
    text_bytes: usize,
}

impl KeyColumns {
    /// Adds a row that has `text_bytes` bytes of text beside its ticker.
    #[inline]
    fn push(&mut self, ticker: &[u8], intdate: i64, text_bytes: usize) {
        self.tickers.push(ticker);
        self.intdates.push(intdate, true);
        self.text_bytes += ticker.len() + text_bytes;
    }

    /// Removes all rows, and returns the columns of `table` in order. `other` builds each column that is not a key from the
    /// order of the rows; it is called once for each, in the order of the table.
    fn drain(
        &mut self,
        table: TableName,
        mut other: impl FnMut(&[u32]) -> Option<ArrayRef>,
    ) -> impl Iterator<Item = ArrayRef> {
        let sorted = self.tickers.sort();
        let tickers: ArrayRef = Arc::new(sorted.tickers);
        table.columns().iter().map_while(move |column| match column.source {
            Source::Ticker => Some(Arc::clone(&tickers)),
            Source::FileTime => Some(self.intdates.finish(&sorted.order)),
            Source::Cell { .. } | Source::Reject(_) => other(&sorted.order),
        })
    }
}

/// Buffered rows of a feed's table.
pub(crate) struct FeedRows {
    table: TableName,
    keys: KeyColumns,
    columns: Vec<CellColumn>,
}

/// A column that is filled from one cell of each record.
struct CellColumn {
    /// The index of the cell in a record; the ticker has index 0.
    at: usize,
    /// The name of the cell in the raw header.
    raw: &'static str,
    cells: Cells,
}

/// A cell that could not be read: NULL in the table, and one row of `rejects`.
pub(crate) struct RejectedCell<'a> {
    /// The name of the raw column.
    pub column: &'static str,
    /// The text of the cell, not trimmed.
    pub text: &'a [u8],
    pub reason: Reason,
}

impl FeedRows {
    /// Returns an empty buffer.
    pub(crate) fn new(feed: Feed) -> Self {
        let table = TableName::from(feed);
        let columns = table
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
        Self { table, keys: KeyColumns::default(), columns }
    }

    /// Adds a published record. Calls `on_reject` for each of its cells that could not be read.
    pub(crate) fn push<'a>(&mut self, intdate: i64, record: Record<'a>, mut on_reject: impl FnMut(RejectedCell<'a>)) {
        self.keys.push(trim(record.field(0)), intdate, 0);
        for column in &mut self.columns {
            let cell = record.cell(column.at);
            if let Cells::Text(_) = column.cells {
                self.keys.text_bytes += cell.as_bytes().len();
            }
            if let Some(reason) = column.cells.push(cell) {
                on_reject(RejectedCell { column: column.raw, text: cell.as_bytes(), reason });
            }
        }
    }
}

impl RowBuffer for FeedRows {
    fn keys(&mut self) -> &mut KeyColumns {
        &mut self.keys
    }

    fn drain_columns(&mut self) -> impl Iterator<Item = ArrayRef> {
        let mut columns = self.columns.iter_mut();
        self.keys.drain(self.table, move |order| columns.next().map(|column| column.cells.finish(order)))
    }
}

/// Buffered rows of `rejects` that come from one feed.
pub(crate) struct RejectRows {
    feed: Feed,
    keys: KeyColumns,
    /// `source_file`, `table_name`, `column_name`, `text`, `reason`: the order of the table.
    texts: [Texts; 5],
}

impl RejectRows {
    /// Returns an empty buffer.
    pub(crate) fn new(feed: Feed) -> Self {
        Self { feed, keys: KeyColumns::default(), texts: Default::default() }
    }

    /// Adds a rejected cell. The rest of its record is published.
    pub(crate) fn push_cell(&mut self, file: &SourceFile, record: Record<'_>, cell: RejectedCell<'_>) {
        self.push(file, record, cell.column, cell.text, cell.reason.as_str());
    }

    /// Adds a ragged record. None of it is published.
    pub(crate) fn push_record(&mut self, file: &SourceFile, record: Record<'_>, line: &str, reason: Ragged) {
        self.push(file, record, "", line.as_bytes(), reason.as_str());
    }

    fn push(&mut self, file: &SourceFile, record: Record<'_>, column: &str, text: &[u8], reason: &str) {
        self.keys.push(trim(record.field(0)), file.intdate, text.len());
        let [file, feed, column, reason] = [&file.text, self.feed.as_str(), column, reason].map(str::as_bytes);
        let values = [file, feed, column, text, reason];
        self.texts.iter_mut().zip(values).for_each(|(column, value)| column.push(value, true));
    }
}

impl RowBuffer for RejectRows {
    fn keys(&mut self) -> &mut KeyColumns {
        &mut self.keys
    }

    fn drain_columns(&mut self) -> impl Iterator<Item = ArrayRef> {
        let mut texts = self.texts.iter_mut();
        self.keys.drain(TableName::Rejects, move |order| texts.next().map(|column| column.finish(order)))
    }
}

/// The raw file that rows come from.
pub(crate) struct SourceFile {
    pub name: SnapshotName,
    /// The time in the name, as in the column `intdate`.
    pub intdate: i64,
    /// The name as text, as in the column `source_file` of `rejects`.
    pub text: String,
}

impl From<SnapshotName> for SourceFile {
    fn from(name: SnapshotName) -> Self {
        Self { name, intdate: name.time.intdate(), text: name.to_string() }
    }
}
