//! The domain of the lake: the format of raw snapshots, the number contract, and the published tables.
//!
//! No I/O. All facts about the data are defined here and used everywhere else: by the engine for its Arrow schemas and cell
//! readers, by the Lambda functions for DDL and object names, by the Spark job for its SQL.
//!
//! | module | content |
//! |---|---|
//! | [`number`] | the number contract: maps the text of a cell to an exact value, NULL or a reject |
//! | [`header`] | the header of a raw file: the columns of its feed, and those that were added |
//! | [`record`] | splits a line of a raw file into fields, and decides whether its record is published |
//! | [`snapshot`] | the two feeds, their raw columns, and the names of raw files |
//! | [`table`] | the three published tables, and the source of each column |
//! | [`partition`] | days as partitions, and ranges of days |
//! | [`session`] | trading hours and business days, and the snapshots that are expected on a day |
//! | [`run`] | the name of a run of the pipeline |
//! | [`spark_job`] | the engine's job as Spark SQL, for EMR |
//!
//! ```
//! use market::number::{Cell, Reason, parse_decimal, parse_quantity};
//!
//! assert_eq!(parse_quantity(b"10k12"), Cell::Value(10_120));
//! assert_eq!(parse_decimal(b"1.234,56"), Cell::Value(1234.56));
//! assert_eq!(parse_decimal(b"Abe"), Cell::Null);
//! assert_eq!(parse_quantity(b"12.5"), Cell::Reject(Reason::NotWhole));
//! ```

pub mod header;
pub mod number;
pub mod partition;
pub mod record;
pub mod run;
pub mod session;
pub mod snapshot;
pub mod spark_job;
pub mod table;
