//! SELECT: Athena's meaning given to a query, which DataFusion then plans and runs.
//!
//! A query passes through three hands: [`rewrite`] turns Athena's words into DataFusion's in the
//! tree, [`semantics`] gives operators and casts Athena's meaning once types are known, and
//! [`table`] reads the files: Parquet, which [`audited`] has compared with its manifests, and [JSON](json_files).

mod audited;
pub(crate) mod errors;
mod information_schema;
mod json_column;
mod json_files;
mod json_line;
mod memory;
mod parquet_files;
mod partitions_table;
mod plan;
mod relations;
mod relay;
mod rewrite;
mod semantics;
mod session;
mod size;
mod table;
mod turns;
mod watched;

pub(crate) use plan::{Planned, Planner};
pub(crate) use table::{key_of, visible};
