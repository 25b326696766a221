//! Athena's statements against small Parquet and JSON files: results, errors, and snapshot isolation when partitions move.

mod audited;
mod catalog;
mod constructs;
mod fixture;
mod json;
mod limits;
mod moving_frames;
mod nesting;
mod robustness;
mod snapshots;
mod statements;
mod writes;
