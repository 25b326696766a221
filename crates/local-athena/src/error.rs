//! Errors of statements, with Athena's names and messages.

use std::fmt;
use std::path::PathBuf;

/// The kind of a failure. Its [`Display`](fmt::Display) is Athena's error name: `TABLE_NOT_FOUND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorKind {
    /// The text does not parse. Athena refuses it before a query exists (`MALFORMED_QUERY`).
    #[strum(serialize = "SYNTAX_ERROR")]
    Syntax,
    /// The statement parses but is invalid, in a way that has no error name of its own.
    #[strum(serialize = "SYNTAX_ERROR")]
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
    /// A column name that occurs in two relations.
    AmbiguousName,
    /// An operator, function or cast that does not accept the types of its arguments.
    TypeMismatch,
    /// A selected column that is neither grouped nor aggregated.
    ExpressionNotAggregate,
    /// An aggregate or a window where a clause takes neither: WHERE, GROUP BY.
    ExpressionNotScalar,
    /// A view's column without a name.
    MissingColumnName,
    /// A literal that has no value of its type.
    InvalidLiteral,
    /// A value that cannot be cast to the target type.
    InvalidCastArgument,
    /// A value that a function does not accept.
    InvalidFunctionArgument,
    /// A number that does not fit its type.
    NumericValueOutOfRange,
    /// Integer division by zero.
    DivisionByZero,
    /// The database, table, partition or view exists already.
    AlreadyExists,
    /// The location of a new table has objects.
    #[strum(serialize = "HIVE_PATH_ALREADY_EXISTS")]
    PathAlreadyExists,
    /// A statement would write too many partitions.
    #[strum(serialize = "HIVE_TOO_MANY_OPEN_PARTITIONS")]
    TooManyOpenPartitions,
    /// An object cannot be written.
    #[strum(serialize = "HIVE_WRITER_CLOSE_ERROR")]
    WriterClose,
    /// A DDL statement that cannot be executed: a missing database, or a database that is not empty.
    #[strum(serialize = "FAILED")]
    Ddl,
    /// Valid on Athena or another engine, and not supported here.
    NotSupported,
    /// A file that does not have its table's format, or a column whose type in the file differs from the table's.
    #[strum(serialize = "HIVE_BAD_DATA")]
    BadData,
    /// A line of a JSON file that is not a row.
    #[strum(serialize = "HIVE_CURSOR_ERROR")]
    Cursor,
    /// A file that is listed but cannot be read.
    #[strum(serialize = "HIVE_CANNOT_OPEN_SPLIT")]
    CannotOpenSplit,
    /// The plan of the query is too large.
    #[strum(serialize = "QUERY_HAS_TOO_MANY_STAGES")]
    TooManyStages,
    /// A GROUP BY whose CUBE, ROLLUP or GROUPING SETS produce too many grouping sets.
    TooManyGroupingSets,
    /// The query needs more memory or disk than it may use.
    ExhaustedResources,
    /// A defect of this program, or a failure of its disk.
    #[strum(serialize = "GENERIC_INTERNAL_ERROR")]
    Internal,
}

/// The failure of a statement. The message is Athena's `StateChangeReason`:
/// `TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.market.quotas' does not exist`. The message of an
/// [`ErrorKind::Syntax`] error has no kind; `StartQueryExecution` refuses the statement with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// The message for the user, with line and column of the statement where they are known.
    pub message: String,
}

impl QueryError {
    /// A failure in the format of Athena's query engine: `KIND: message`.
    pub(crate) fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        let message = match kind {
            ErrorKind::Syntax => message.to_string(),
            kind => format!("{kind}: {message}"),
        };
        Self { kind, message }
    }

    /// A refusal of SQL that Athena or another engine supports and this one does not.
    pub(crate) fn not_supported(what: &str) -> Self {
        Self::new(ErrorKind::NotSupported, format_args!("{what} is not supported by the embedded Athena"))
    }

    /// A failure in the format of Athena's DDL engine, which is Hive's: `FAILED: message`.
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
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The catalog was written by a newer version of this program.
    #[error("the catalog {} has version {found}, this program knows up to {known}: use a newer program, or remove the file to start again", path.display())]
    Version {
        /// The catalog file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version that this program reads.
        known: i64,
    },
    /// The folder for spilled data cannot be created or emptied.
    #[error("cannot prepare the folder {} for spilled data: {source}", path.display())]
    Spill {
        /// The folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The query engine refused its limits.
    #[error("cannot start the query engine: {0}")]
    Engine(String),
}
