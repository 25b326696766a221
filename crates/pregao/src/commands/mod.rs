//! The commands, one file each.

pub mod demo;
pub mod etl;
pub mod local;
pub mod query;
pub mod run;
pub mod runs;
pub mod sample;
pub mod upload;
