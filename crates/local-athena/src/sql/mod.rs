//! From text to a [`Statement`](crate::Statement): tokens, then Hive's grammar for DDL or Athena's for SELECT.

mod ddl;
mod depth;
mod dialect;
mod place;
mod row_format;
mod select;
mod statement;
mod tokens;

pub(crate) use ddl::{Ddl, Name, PartitionSpec, PartitionTest, Show, Test, View, folder};
pub(crate) use dialect::AthenaDialect;
pub(crate) use place::Place;
pub(crate) use row_format::{refuse_columns, refuse_properties};
pub(crate) use select::{ColumnName, Select};
pub use statement::Statement;
pub(crate) use statement::{ExplainForm, Form};
