//! What a statement gives back: columns, then rows as text, in batches.

use std::sync::{Arc, OnceLock};

use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::mpsc;

use crate::error::QueryError;
use crate::threads::Task;

/// What Athena calls `StatementType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// Changes the catalog.
    Ddl,
    /// Reads data.
    Dml,
    /// Shows or explains: `SHOW`, `DESCRIBE`, `EXPLAIN`.
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
    /// Athena's type: `bigint`, `varchar`, `double`, `array`, `string` (of SHOW and DESCRIBE), ...
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
    source: Source,
    scanned: Scanned,
}

enum Source {
    Ready(Vec<Row>),
    Running { batches: mpsc::Receiver<Result<Vec<Row>, QueryError>>, query: Task<()> },
}

/// Where a query that runs leaves its plan, whose metrics tell what was read.
pub(crate) type Scanned = Arc<OnceLock<Arc<dyn ExecutionPlan>>>;

impl Rows {
    pub(crate) fn ready(rows: Vec<Row>) -> Self {
        Self { source: Source::Ready(rows), scanned: Scanned::default() }
    }

    pub(crate) fn running(
        batches: mpsc::Receiver<Result<Vec<Row>, QueryError>>,
        query: Task<()>,
        scanned: Scanned,
    ) -> Self {
        Self { source: Source::Running { batches, query }, scanned }
    }

    /// The next rows, never an empty batch; `None` when there are no more.
    ///
    /// # Errors
    /// What the query met while it ran; there are no rows after an error.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, QueryError> {
        match &mut self.source {
            Source::Ready(rows) => Ok(Some(std::mem::take(rows)).filter(|rows| !rows.is_empty())),
            Source::Running { batches, query } => match batches.recv().await {
                Some(batch) => batch.map(Some),
                // The rows end when the query does, and also when it panics: that has to show.
                None => query.result().await.map(|_| None),
            },
        }
    }

    /// Bytes of the objects read so far: the column chunks that the query needed, as Athena bills them.
    pub fn scanned_bytes(&self) -> u64 {
        self.scanned.get().map_or(0, bytes)
    }
}

fn bytes(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let metrics = plan.metrics().unwrap_or_default();
    let own = metrics.sum_by_name("bytes_scanned");
    let children = plan.children();
    own.map_or(0, |value| value.as_usize() as u64) + children.into_iter().map(bytes).sum::<u64>()
}
