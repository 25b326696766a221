//! What a statement gives back: columns, then rows as text, in batches.

use crate::error::QueryError;

/// What Athena calls `StatementType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// Changes or lists the catalog.
    Ddl,
    /// Reads data.
    Dml,
    /// Explains something: `EXPLAIN`, `DESCRIBE`, `SHOW CREATE TABLE`.
    Utility,
}

impl StatementKind {
    /// `DDL`, `DML` or `UTILITY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ddl => "DDL",
            Self::Dml => "DML",
            Self::Utility => "UTILITY",
        }
    }
}

/// One column of an answer, as Athena's `ColumnInfo` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as in the statement, `_col0` for an expression without one.
    pub name: String,
    /// Athena's type: `bigint`, `varchar`, `double`, `array`, `string` (DDL), ...
    pub ty: String,
    /// Digits or characters that the type can hold, 0 where that says nothing.
    pub precision: u32,
    /// Digits behind the decimal mark.
    pub scale: u32,
}

/// One row of an answer: one text per column, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// The answer to a statement that has begun well. Dropping it stops the query.
pub struct Answer {
    /// Athena's `StatementType`.
    pub kind: StatementKind,
    /// The columns; empty for a statement that gives no rows.
    pub columns: Vec<Column>,
    /// The rows, produced as they are asked for.
    pub rows: Rows,
}

/// The rows of an [`Answer`], in batches of at most some thousands. Dropping it stops the query.
pub struct Rows {
    ready: Option<Vec<Row>>,
}

impl Rows {
    pub(crate) fn ready(rows: Vec<Row>) -> Self {
        Self { ready: Some(rows) }
    }

    /// The next rows, never an empty batch; `None` when there are no more.
    ///
    /// # Errors
    /// What the query met while it ran; there are no rows after an error.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, QueryError> {
        Ok(self.ready.take().filter(|rows| !rows.is_empty()))
    }

    /// Bytes of the objects read so far: the column chunks that the query needed, as Athena bills them.
    pub fn scanned_bytes(&self) -> u64 {
        0
    }
}
