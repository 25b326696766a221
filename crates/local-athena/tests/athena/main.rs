//! Athena's statements against small Parquet files: what they answer, what they refuse, and what
//! stands when partitions move under a reader.

mod audited;
mod catalog;
mod constructs;
mod fixture;
mod json;
mod limits;
mod nesting;
mod robustness;
mod snapshots;
mod statements;
