//! Why a statement failed, in the kinds and words that Athena uses.

use std::fmt;
use std::path::PathBuf;

/// What went wrong; its [`Display`](fmt::Display) is Athena's name for it, `TABLE_NOT_FOUND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text is no statement. Athena refuses it before a query exists (`MALFORMED_QUERY`).
    Syntax,
    /// The statement is well formed but makes no sense, in a way that has no name of its own.
    Semantic,
    /// No such catalog.
    CatalogNotFound,
    /// No such database.
    SchemaNotFound,
    /// No such table or view.
    TableNotFound,
    /// No such column.
    ColumnNotFound,
    /// No such function.
    FunctionNotFound,
    /// A name that two relations have.
    AmbiguousName,
    /// An operator, function or cast over types that it does not take.
    TypeMismatch,
    /// A selected column that is neither grouped nor aggregated.
    ExpressionNotAggregate,
    /// An aggregate or a window where a clause takes neither: WHERE, GROUP BY.
    ExpressionNotScalar,
    /// A view's column without a name.
    MissingColumnName,
    /// A value that cannot be cast to the type asked for.
    InvalidCastArgument,
    /// A function that was given a value it cannot work on.
    InvalidFunctionArgument,
    /// A number that does not fit its type.
    NumericValueOutOfRange,
    /// Integer division by zero.
    DivisionByZero,
    /// The database, table, partition or view is there already.
    AlreadyExists,
    /// A DDL statement that cannot be carried out (a missing database, a database that is not empty).
    Ddl,
    /// Valid on Athena, or elsewhere, but not here.
    NotSupported,
    /// A file that is not of its table's format, or whose column has another type than the table's.
    BadData,
    /// A line of a file that is no row.
    Cursor,
    /// A file that is listed but cannot be read.
    CannotOpenSplit,
    /// The plan of the query is too large.
    TooManyStages,
    /// A GROUP BY with CUBE, ROLLUP or GROUPING SETS that make too many of them.
    TooManyGroupingSets,
    /// The query needs more memory or disk than it may have.
    ExhaustedResources,
    /// A fault of this program or of its disk.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax | Self::Semantic => "SYNTAX_ERROR",
            Self::CatalogNotFound => "CATALOG_NOT_FOUND",
            Self::SchemaNotFound => "SCHEMA_NOT_FOUND",
            Self::TableNotFound => "TABLE_NOT_FOUND",
            Self::ColumnNotFound => "COLUMN_NOT_FOUND",
            Self::FunctionNotFound => "FUNCTION_NOT_FOUND",
            Self::AmbiguousName => "AMBIGUOUS_NAME",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::ExpressionNotAggregate => "EXPRESSION_NOT_AGGREGATE",
            Self::ExpressionNotScalar => "EXPRESSION_NOT_SCALAR",
            Self::MissingColumnName => "MISSING_COLUMN_NAME",
            Self::InvalidCastArgument => "INVALID_CAST_ARGUMENT",
            Self::InvalidFunctionArgument => "INVALID_FUNCTION_ARGUMENT",
            Self::NumericValueOutOfRange => "NUMERIC_VALUE_OUT_OF_RANGE",
            Self::DivisionByZero => "DIVISION_BY_ZERO",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::Ddl => "FAILED",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::BadData => "HIVE_BAD_DATA",
            Self::Cursor => "HIVE_CURSOR_ERROR",
            Self::CannotOpenSplit => "HIVE_CANNOT_OPEN_SPLIT",
            Self::TooManyStages => "QUERY_HAS_TOO_MANY_STAGES",
            Self::TooManyGroupingSets => "TOO_MANY_GROUPING_SETS",
            Self::ExhaustedResources => "EXHAUSTED_RESOURCES",
            Self::Internal => "GENERIC_INTERNAL_ERROR",
        })
    }
}

/// A statement's failure. Its message is Athena's `StateChangeReason`,
/// `TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.market.quotas' does not exist`; for a
/// [`ErrorKind::Syntax`] error it is what `StartQueryExecution` refuses the text with, without a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What kind of failure this is.
    pub kind: ErrorKind,
    /// What to tell the user, with line and column of the statement where they are known.
    pub message: String,
}

impl QueryError {
    /// A failure in the words of Athena's query engine: `KIND: message`.
    pub(crate) fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        let message = match kind {
            ErrorKind::Syntax => message.to_string(),
            kind => format!("{kind}: {message}"),
        };
        Self { kind, message }
    }

    /// A failure in the words of Athena's DDL engine, which is Hive's: `FAILED: message`.
    pub(crate) fn ddl(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: format!("FAILED: {message}") }
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(ErrorKind::Internal, format_args!("the catalog cannot be used: {error}"))
    }
}

/// The catalog could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The catalog file cannot be read or written, or is no catalog.
    #[error("cannot open the catalog {}: {source}", path.display())]
    Catalog {
        /// The catalog file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The catalog was written by a newer version of this program.
    #[error("the catalog {} has version {found}, this program knows up to {known}: use a newer program, or remove the file to start anew", path.display())]
    Version {
        /// The catalog file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The folder for spilled data cannot be made or emptied.
    #[error("cannot prepare the folder {} for spilled data: {source}", path.display())]
    Spill {
        /// The folder.
        path: PathBuf,
        /// What the disk said.
        source: std::io::Error,
    },
    /// The query engine refused its limits.
    #[error("cannot start the query engine: {0}")]
    Engine(String),
}
