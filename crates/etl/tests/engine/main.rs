//! The engine from the outside: raw files in a folder, Parquet files read back.

mod failures;
mod files;
mod lake;
mod numbers;
mod parquet_layout;
mod publishing;
mod records;
