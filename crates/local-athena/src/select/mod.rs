//! SELECT: translates a query from Athena's semantics to DataFusion's, plans it and runs it.
//!
//! 1. [`size`] refuses queries whose plan would be too large.
//! 2. [`rewrite`] translates the syntax tree from Athena's functions and clauses to DataFusion's.
//! 3. [`relations`] resolves names in a catalog snapshot.
//! 4. [`semantics`] applies Athena's rules for operators and casts to the typed plan.
//! 5. [`table`] reads the files: [Parquet](parquet_files), [compared with its manifest](audited), or
//!    [JSON](json_files).
//!
//! [`plan`] calls these in order.

mod audited;
mod cancellable_rules;
mod cooperative;
pub(crate) mod errors;
mod information_schema;
mod json_column;
mod json_files;
mod json_line;
mod memory;
mod normalized_keys;
mod parquet_files;
mod partitions_table;
mod passthrough_exec;
mod plan;
mod relations;
mod rewrite;
mod semantics;
mod session;
mod size;
mod sound_rules;
mod table;
mod unnest;

pub(crate) use plan::{PlannedQuery, Planner};
