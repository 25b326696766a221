//! Spark jobs: what a step of EMR and a job run of EMR Serverless execute, on the Rust engine, or on a Spark that is installed on
//! this machine.

mod execution;
mod job;
mod sql;

pub(crate) use execution::{Spark, SparkFailure, SparkTask};
pub(crate) use job::{SparkError, SparkJob};

pub use execution::SparkEngine;
pub use sql::{NoSpark, SparkSql};
