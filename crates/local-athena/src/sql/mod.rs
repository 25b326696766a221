//! Parses text to a [`Statement`](crate::Statement): tokens, then Hive's grammar for DDL or Athena's for SELECT.

mod ddl;
mod depth;
mod dialect;
mod position;
mod row_format;
mod select;
mod statement;
mod tokens;
mod write;

pub(crate) use ddl::{Comparison, Ddl, PartitionPredicate, PartitionSpec, QualifiedName, Show, View, folder};
pub(crate) use dialect::AthenaDialect;
pub(crate) use position::Position;
pub(crate) use row_format::{refuse_columns, refuse_properties};
pub(crate) use select::{ColumnName, Select};
pub use statement::Statement;
pub(crate) use statement::{ExplainForm, Form};
pub(crate) use tokens::parse_expression;
pub(crate) use write::{Compression, Write, WriteFormat, WriteOptions, WriteTarget};
