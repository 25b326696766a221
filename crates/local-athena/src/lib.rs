//! Athena's SQL on a laptop: a Hive-style catalog and SELECT over files of Parquet and JSON,
//! without HTTP.
//!
//! The one idea: a table is what the catalog says it is. Databases, tables, partitions and views
//! live in one SQLite file; a partition points at a location; only the objects under the locations
//! that one snapshot of the catalog names are ever read. Moving a partition to another location is
//! one transaction, so a reader sees the data as it was before or as it is after, never between.
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc};
//! # use local_athena::{Engine, ObjectFiles, Statement};
//! # async fn example(objects: Arc<dyn ObjectFiles>) -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::open(Path::new("catalog.db"), objects)?;
//! let statement = Statement::parse("SELECT ticker, count(*) FROM quotes GROUP BY ticker", &[])?;
//! let mut answer = engine.execute(&statement, "market").await?;
//! while let Some(rows) = answer.rows.next().await? {
//!     for row in rows {
//!         println!("{row:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
pub mod catalog;
mod ddl;
mod deep_stack;
mod engine;
mod error;
mod functions;
mod java;
mod objects;
mod partition_name;
mod select;
mod show;
mod sql;
mod stop;
mod text;
mod threads;
mod types;

pub use answer::{Answer, Column, Row, Rows, StatementKind};
pub use engine::{Engine, Limits};
pub use error::{ErrorKind, OpenError, QueryError};
pub use objects::{ObjectFile, ObjectFiles};
pub use sql::Statement;
