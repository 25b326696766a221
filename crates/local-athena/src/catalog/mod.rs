//! The catalog: databases, tables, partitions and views, in one SQLite file.
//!
//! A change is one SQLite transaction. A query reads everything that it plans with in one read transaction
//! ([`Snapshot`]), which is snapshot isolation. In SQLite's write-ahead mode readers and the writer do not block each
//! other. Commits are atomic and durable: a killed process or a power failure leaves the last committed state.

mod direct;
mod format;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use direct::{ChangeError, PartitionError, Replacement, TableUpdate};
pub use format::Format;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{ErrorKind, OpenError, QueryError};
use crate::types::HiveType;

/// The name of the only catalog, as in `awsdatacatalog.market.quotes`.
pub const CATALOG_NAME: &str = "awsdatacatalog";

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Lower-case name.
    pub name: String,
    /// `COMMENT` of CREATE DATABASE.
    pub comment: Option<String>,
    /// `LOCATION` of CREATE DATABASE.
    pub location: Option<String>,
}

/// A column or a partition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Lower-case name.
    pub name: String,
    /// The column's `COMMENT`.
    pub comment: Option<String>,
    pub(crate) ty: HiveType,
}

impl TableColumn {
    /// Creates a column from the name of a Hive type.
    ///
    /// # Errors
    /// A message when the name is not in lower case or the type does not exist.
    pub fn new(name: &str, type_name: &str, comment: Option<String>) -> Result<Self, String> {
        if name.is_empty() || name.chars().any(|c| c.is_uppercase() || c.is_control()) {
            return Err(format!("{name:?} is no name of a column: it is written in lower case"));
        }
        let ty = type_name.parse().map_err(|unknown: crate::types::UnknownType| unknown.to_string())?;
        Ok(Self { name: name.to_owned(), comment, ty })
    }

    /// Returns the name of the Hive type: `bigint`, `string`, `array<double>`.
    pub fn type_name(&self) -> String {
        self.ty.to_string()
    }
}

/// The kind of a table, with the data that only this kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableKind {
    /// `EXTERNAL_TABLE`: files.
    External {
        /// `s3://bucket/prefix/`, with a trailing slash.
        location: String,
        /// The file format.
        format: Format,
    },
    /// `VIRTUAL_VIEW`: a stored SELECT.
    View {
        /// The text of the SELECT.
        sql: String,
        /// The database in which names without a database are resolved.
        database: String,
    },
}

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Lower-case name of its database.
    pub database: String,
    /// Lower-case name.
    pub name: String,
    /// Columns of the files or of the view, in order.
    pub columns: Vec<TableColumn>,
    /// Partition keys, in order; none for a view.
    pub partition_keys: Vec<TableColumn>,
    /// The table's `COMMENT`.
    pub comment: Option<String>,
    /// `TBLPROPERTIES`, in order.
    pub properties: Vec<(String, String)>,
    /// Files or a stored SELECT.
    pub kind: TableKind,
    /// Creation time in seconds since 1970.
    pub created: i64,
    /// What else the Glue API describes, as JSON text. It has no effect on queries.
    pub details: Option<String>,
}

impl Table {
    /// Returns all columns in the order of `SELECT *`: partition keys last.
    pub(crate) fn all_columns(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns.iter().chain(&self.partition_keys)
    }
}

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// One value per partition key: `["2020", "4", "1"]`.
    pub values: Vec<String>,
    /// `s3://bucket/prefix/`, with a trailing slash.
    pub location: String,
    /// How many of the last columns of the table the partition does not have, because they were added after it.
    pub lacks: usize,
}

impl Partition {
    /// Returns the columns of the partition: the first ones of its table.
    pub fn columns<'a>(&self, table: &'a Table) -> &'a [TableColumn] {
        &table.columns[..table.columns.len().saturating_sub(self.lacks)]
    }
}

/// The catalog file. Every change is one transaction, and every reading method sees one committed state.
pub struct Catalog {
    path: PathBuf,
    writer: Mutex<Connection>,
    before_changes: Mutex<Option<BeforeChanges>>,
}

/// A hook that runs before the first write to the file. An error, with its reason, makes the change fail.
type BeforeChanges = Box<dyn Fn() -> Result<(), String> + Send>;

impl Catalog {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Catalog { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        store::configure(&connection).map_err(failed)?;
        let found = store::migrate(&mut connection).map_err(failed)?;
        if found > store::VERSION {
            return Err(OpenError::Version { path: path.to_owned(), found, known: store::VERSION });
        }
        Ok(Self { path: path.to_owned(), writer: Mutex::new(connection), before_changes: Mutex::default() })
    }

    /// Registers a hook that runs before the first write to the file. A change fails while the hook fails.
    pub fn before_changes(&self, work: impl Fn() -> Result<(), String> + Send + 'static) {
        *self.before_changes.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(work));
    }

    /// Returns the connection that writes, so that the caller can close it. Later changes fail.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when an earlier change panicked.
    pub fn close(&self) -> Result<Connection, QueryError> {
        let nothing = Connection::open_in_memory()?;
        Ok(std::mem::replace(&mut *lock(&self.writer)?, nothing))
    }

    /// Returns all databases, ordered by name.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the file cannot be read.
    pub fn databases(&self) -> Result<Vec<Database>, QueryError> {
        self.snapshot()?.databases()
    }

    /// Returns the database of this name, compared without case.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn database(&self, name: &str) -> Result<Option<Database>, QueryError> {
        self.snapshot()?.database(&name.to_lowercase())
    }

    /// Returns the tables and views of a database, ordered by name; none when the database does not exist.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn tables(&self, database: &str) -> Result<Vec<Table>, QueryError> {
        self.snapshot()?.tables(&database.to_lowercase())
    }

    /// Returns a table or a view by its names, compared without case.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn table(&self, database: &str, name: &str) -> Result<Option<Table>, QueryError> {
        self.snapshot()?.table(&database.to_lowercase(), &name.to_lowercase())
    }

    /// Returns the partitions of a table, ordered by their values; none when the table does not exist.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn partitions(&self, database: &str, table: &str) -> Result<Vec<Partition>, QueryError> {
        let snapshot = self.snapshot()?;
        match snapshot.table(&database.to_lowercase(), &table.to_lowercase())? {
            Some(table) => snapshot.partitions(&table),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the earlier versions of a table that were kept, each with its number; none when the table does not exist.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn table_versions(&self, database: &str, table: &str) -> Result<Vec<(i64, String)>, QueryError> {
        let snapshot = self.snapshot()?;
        match snapshot.table(&database.to_lowercase(), &table.to_lowercase())? {
            Some(table) => snapshot.table_versions(&table),
            None => Ok(Vec::new()),
        }
    }

    /// Returns a snapshot of the catalog. Later changes are not visible in it.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, QueryError> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        store::configure(&connection)?;
        store::hold(&connection)?;
        Ok(Snapshot { connection: Mutex::new(connection) })
    }

    /// Applies the changes of one statement atomically: none of them when `statement` fails.
    pub(crate) fn change<T>(&self, statement: impl FnOnce(&Changes) -> Result<T, QueryError>) -> Result<T, QueryError> {
        self.transact(statement)
    }

    /// [`change`](Self::change) with another type of errors.
    fn transact<T, E: From<QueryError>>(&self, work: impl FnOnce(&Changes) -> Result<T, E>) -> Result<T, E> {
        let mut writer = lock(&self.writer)?;
        self.prepare_change()?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(QueryError::from)?;
        let changes = Changes { transaction };
        let done = work(&changes)?;
        changes.transaction.commit().map_err(QueryError::from)?;
        Ok(done)
    }

    fn prepare_change(&self) -> Result<(), QueryError> {
        let mut before = self.before_changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = &*before {
            work().map_err(|reason| QueryError::new(ErrorKind::Internal, reason))?;
        }
        *before = None;
        Ok(())
    }
}

fn lock(connection: &Mutex<Connection>) -> Result<std::sync::MutexGuard<'_, Connection>, QueryError> {
    connection
        .lock()
        .map_err(|_| QueryError::new(ErrorKind::Internal, "the catalog's connection was lost in an earlier fault"))
}

/// A consistent view of the catalog: an open read transaction.
pub(crate) struct Snapshot {
    connection: Mutex<Connection>,
}

impl Snapshot {
    pub(crate) fn databases(&self) -> Result<Vec<Database>, QueryError> {
        store::databases(&*lock(&self.connection)?)
    }

    pub(crate) fn database(&self, name: &str) -> Result<Option<Database>, QueryError> {
        store::database(&*lock(&self.connection)?, name)
    }

    pub(crate) fn tables(&self, database: &str) -> Result<Vec<Table>, QueryError> {
        store::tables(&*lock(&self.connection)?, database)
    }

    pub(crate) fn table(&self, database: &str, name: &str) -> Result<Option<Table>, QueryError> {
        store::table(&*lock(&self.connection)?, database, name)
    }

    pub(crate) fn table_versions(&self, table: &Table) -> Result<Vec<(i64, String)>, QueryError> {
        store::table_versions(&*lock(&self.connection)?, table)
    }

    pub(crate) fn partitions(&self, table: &Table) -> Result<Vec<Partition>, QueryError> {
        store::partitions(&*lock(&self.connection)?, table)
    }
}

/// The changes of one statement: an open write transaction, which other connections do not see before its commit.
pub(crate) struct Changes<'a> {
    transaction: Transaction<'a>,
}

impl Changes<'_> {
    pub(crate) fn database(&self, name: &str) -> Result<Option<Database>, QueryError> {
        store::database(&self.transaction, name)
    }

    pub(crate) fn table(&self, database: &str, name: &str) -> Result<Option<Table>, QueryError> {
        store::table(&self.transaction, database, name)
    }

    pub(crate) fn has_tables(&self, database: &str) -> Result<bool, QueryError> {
        store::has_tables(&self.transaction, database)
    }

    pub(crate) fn partitions(&self, table: &Table) -> Result<Vec<Partition>, QueryError> {
        store::partitions(&self.transaction, table)
    }

    pub(crate) fn add_database(&self, database: &Database) -> Result<(), QueryError> {
        store::add_database(&self.transaction, database)
    }

    /// Removes a database with all its tables.
    pub(crate) fn remove_database(&self, name: &str) -> Result<(), QueryError> {
        store::remove_database(&self.transaction, name)
    }

    pub(crate) fn update_database(&self, database: &Database) -> Result<(), QueryError> {
        store::update_database(&self.transaction, database)
    }

    pub(crate) fn add_table(&self, table: &Table) -> Result<(), QueryError> {
        store::add_table(&self.transaction, table)
    }

    /// Replaces an external table by one of the same name. Its partitions lack the columns that are new.
    pub(crate) fn replace_table(&self, old: &Table, new: &Table) -> Result<(), QueryError> {
        store::replace_table(&self.transaction, old, new)
    }

    pub(crate) fn add_table_version(&self, table: &Table, number: i64, description: &str) -> Result<(), QueryError> {
        store::add_table_version(&self.transaction, table, number, description)
    }

    pub(crate) fn remove_table_version(&self, table: &Table, number: i64) -> Result<bool, QueryError> {
        store::remove_table_version(&self.transaction, table, number)
    }

    pub(crate) fn remove_table(&self, table: &Table) -> Result<(), QueryError> {
        store::remove_table(&self.transaction, table)
    }

    /// Replaces the stored properties of a table by those of `table`.
    pub(crate) fn set_properties(&self, table: &Table) -> Result<(), QueryError> {
        store::set_properties(&self.transaction, table)
    }

    /// Appends columns to a table. Its partitions lack them.
    pub(crate) fn add_columns(&self, table: &Table, new: &[TableColumn]) -> Result<(), QueryError> {
        store::append_columns(&self.transaction, table, new)
    }

    /// Adds a partition. Returns false when a partition with these values exists.
    pub(crate) fn add_partition(&self, table: &Table, partition: &Partition) -> Result<bool, QueryError> {
        store::add_partition(&self.transaction, table, partition)
    }

    /// Replaces the location and the columns of a partition. Returns false when no partition has these values.
    pub(crate) fn replace_partition(&self, table: &Table, partition: &Partition) -> Result<bool, QueryError> {
        store::replace_partition(&self.transaction, table, partition)
    }

    /// Changes the location of a partition. Returns false when no partition has these values.
    pub(crate) fn move_partition(&self, table: &Table, partition: &Partition) -> Result<bool, QueryError> {
        store::move_partition(&self.transaction, table, partition)
    }

    /// Removes a partition. Returns false when no partition has these values.
    pub(crate) fn remove_partition(&self, table: &Table, partition: &Partition) -> Result<bool, QueryError> {
        store::remove_partition(&self.transaction, table, partition)
    }
}
