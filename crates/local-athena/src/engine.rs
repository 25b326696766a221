//! Runs statements: DDL on the catalog, SELECT on DataFusion.

use std::path::Path;
use std::sync::Arc;

use crate::answer::Answer;
use crate::catalog::Catalog;
use crate::error::{ErrorKind, OpenError, QueryError};
use crate::objects::ObjectFiles;
use crate::statement::Statement;

/// What one engine may use, all its queries together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of memory for sorts, joins and aggregations; beyond them data spills to disk.
    pub memory: usize,
    /// Threads that one query is spread over.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// An Athena of one's own: a catalog and the objects that its tables are made of.
pub struct Engine {
    catalog: Catalog,
    objects: Arc<dyn ObjectFiles>,
}

impl Engine {
    /// Opens the catalog file, made when it is not there, with the default [`Limits`].
    ///
    /// # Errors
    /// [`OpenError`] when the file is no catalog or its folder cannot be written.
    pub fn open(catalog_db: &Path, objects: Arc<dyn ObjectFiles>) -> Result<Self, OpenError> {
        Self::open_with(catalog_db, objects, Limits::default())
    }

    /// As [`Engine::open`]; what does not fit in `limits.memory` goes to the folder
    /// `athena-spill` beside the catalog file, which is emptied first.
    ///
    /// # Errors
    /// [`OpenError`] when the file is no catalog or its folder cannot be written.
    pub fn open_with(
        catalog_db: &Path,
        objects: Arc<dyn ObjectFiles>,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let _ = limits;
        let catalog = Catalog::open(catalog_db)?;
        Ok(Self { catalog, objects })
    }

    /// The catalog, for the metadata operations of the Athena API.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Runs one statement; names without a database are looked up in `database`.
    /// Dropping the future, or the answer, stops the query. Needs a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`QueryError`] as Athena would word it. A SELECT may also fail later, from [`Rows::next`](crate::Rows::next).
    pub async fn execute(
        &self,
        statement: &Statement,
        database: &str,
    ) -> Result<Answer, QueryError> {
        let _ = (&self.objects, database);
        Err(QueryError::new(
            ErrorKind::NotSupported,
            format!("cannot run yet: {}", statement.sql()),
        ))
    }
}
