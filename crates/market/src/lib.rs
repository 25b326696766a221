//! The domain of the lake, in one place: what the raw snapshots look like, how their numbers are read,
//! and which tables come out of them.
//!
//! Nothing here does I/O. Everything that needs a fact about the data asks this crate for it: the engine for
//! its Arrow schema and its cell readers, the Lambda functions for DDL and object names, the Spark job for its SQL.
//!
//! | module | what it knows |
//! |---|---|
//! | [`number`] | the number contract: text of a cell to an exact value, a null or a reject |
//! | [`record`] | a line of a raw file to its fields, and which records are published |
//! | [`snapshot`] | the two feeds, their raw columns, and the names of raw files |
//! | [`table`] | the three published tables and where each column comes from |
//! | [`partition`] | days as partitions, and ranges of days |
//! | [`session`] | when the exchange is open, and so which snapshots ought to exist |
//! | [`run`] | the name of one run of the pipeline |
//! | [`spark_job`] | the engine's job once more, as Spark SQL text for EMR |
//!
//! ```
//! use market::number::{Cell, Reason, parse_decimal, parse_quantity};
//!
//! assert_eq!(parse_quantity(b"10k12"), Cell::Value(10_120));
//! assert_eq!(parse_decimal(b"1.234,56"), Cell::Value(1234.56));
//! assert_eq!(parse_decimal(b"Abe"), Cell::Null);
//! assert_eq!(parse_quantity(b"12.5"), Cell::Reject(Reason::NotWhole));
//! ```

pub mod number;
pub mod partition;
pub mod record;
pub mod run;
pub mod session;
pub mod snapshot;
pub mod spark_job;
pub mod table;
