//! The result of a statement: columns, then rows as text, streamed in batches.

use std::sync::{Arc, OnceLock};

use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::mpsc;

use crate::error::QueryError;
use crate::threads::Task;

/// Athena's `StatementType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
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
        self.into()
    }
}

/// One column of a result set, as in Athena's `ColumnInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as in the statement, `_col0` for an expression without one.
    pub name: String,
    /// Athena's type: `bigint`, `varchar`, `double`, `array`, `string` (of SHOW and DESCRIBE), ...
    pub ty: String,
    /// Number of digits or characters that the type can hold; 0 for types without a limit.
    pub precision: u32,
    /// Number of digits after the decimal point.
    pub scale: u32,
}

/// One row of a result set: one text per column, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// The result of a statement. The rows of a SELECT are computed while they are read; dropping the result cancels the
/// query.
pub struct ResultSet {
    /// Athena's `StatementType`.
    pub kind: StatementKind,
    /// The columns; empty for a statement without rows.
    pub columns: Vec<Column>,
    /// The rows, computed on demand.
    pub rows: Rows,
    /// The URIs of the objects that the statement wrote; `None` for one that writes none.
    pub written: Option<Vec<String>>,
}

/// The rows of a [`ResultSet`], in batches of at most a few thousand. Dropping it cancels the query.
pub struct Rows {
    source: Source,
    scanned: SharedPlan,
}

enum Source {
    Ready(Vec<Row>),
    Running { batches: mpsc::Receiver<Result<Vec<Row>, QueryError>>, query: Task<()> },
}

/// The columns and rows of a statement that is complete before it returns: DDL, SHOW, EXPLAIN.
pub(crate) type MaterializedResult = (Vec<Column>, Vec<Row>);

/// Returns a column of text. `ty` is `varchar` or `string`.
pub(crate) fn text_column(name: &str, ty: &str) -> Column {
    Column { name: name.to_owned(), ty: ty.to_owned(), precision: 0, scale: 0 }
}

/// A slot for the plan of a running query, whose metrics count the bytes read. It is empty until the query starts.
pub(crate) type SharedPlan = Arc<OnceLock<Arc<dyn ExecutionPlan>>>;

impl Rows {
    pub(crate) fn ready(rows: Vec<Row>) -> Self {
        Self { source: Source::Ready(rows), scanned: SharedPlan::default() }
    }

    pub(crate) fn running(
        batches: mpsc::Receiver<Result<Vec<Row>, QueryError>>,
        query: Task<()>,
        scanned: SharedPlan,
    ) -> Self {
        Self { source: Source::Running { batches, query }, scanned }
    }

    /// Returns the next batch, which is never empty, or `None` after the last one.
    ///
    /// # Errors
    /// The query failed while it ran. No rows follow an error.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, QueryError> {
        match &mut self.source {
            Source::Ready(rows) => Ok(Some(std::mem::take(rows)).filter(|rows| !rows.is_empty())),
            Source::Running { batches, query } => match batches.recv().await {
                Some(batch) => batch.map(Some),
                // The channel also closes when the query panics. Only the task's result tells the two apart.
                None => query.result().await.map(|_| None),
            },
        }
    }

    /// Returns the number of bytes of objects read so far: the column chunks that the query needed, as Athena bills
    /// them.
    pub fn scanned_bytes(&self) -> u64 {
        self.scanned.get().map_or(0, scanned_bytes)
    }
}

fn scanned_bytes(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let metrics = plan.metrics().unwrap_or_default();
    let own = metrics.sum_by_name("bytes_scanned");
    let children = plan.children();
    own.map_or(0, |value| value.as_usize() as u64) + children.into_iter().map(scanned_bytes).sum::<u64>()
}
