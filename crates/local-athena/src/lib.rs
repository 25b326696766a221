//! Athena's SQL on a laptop: a Hive-style catalog, and SELECT over Parquet and JSON files. A library, without HTTP.
//!
//! A statement passes through the modules in this order: `sql` parses it; `ddl` and `show` execute statements on the
//! [`catalog`]; `select` plans a query and runs it on DataFusion; [`Engine`] ties them together.
//!
//! Reads are consistent by snapshot isolation. Databases, tables, partitions and views are rows of one SQLite file. A
//! partition points at a location, and a query reads only the objects below the locations of one catalog snapshot.
//! Moving a partition to another location is one transaction, so a query sees the old data or the new data, never a
//! mix.
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc};
//! # use local_athena::{Engine, ObjectFiles, Output, Statement};
//! # async fn example(objects: Arc<dyn ObjectFiles>) -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::open(Path::new("catalog.db"), objects)?;
//! let statement = Statement::parse("SELECT ticker, count(*) FROM quotes GROUP BY ticker", &[])?;
//! let mut result = engine.execute(&statement, "market", &Output::default()).await?;
//! while let Some(rows) = result.rows.next().await? {
//!     for row in rows {
//!         println!("{row:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod cancellation;
pub mod catalog;
mod ddl;
mod deep_stack;
mod engine;
mod error;
mod functions;
mod java_double;
mod limits;
mod location;
mod objects;
mod partition_filter;
mod partition_name;
mod resolve;
mod result_set;
mod result_text;
mod select;
mod show;
mod sql;
mod threads;
mod types;
mod write;

pub use engine::Engine;
pub use error::{ErrorKind, OpenError, QueryError};
pub use limits::Limits;
pub use objects::{ObjectFile, ObjectFiles};
pub use partition_filter::PartitionFilter;
pub use result_set::{Column, ResultSet, Row, Rows, StatementKind};
pub use sql::Statement;
pub use threads::panic_message;
pub use write::Output;
