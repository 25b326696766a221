//! The commands, one file each.

pub mod accept;
pub mod cluster;
pub mod completions;
pub mod demo;
pub mod deploy;
pub mod destroy;
pub mod etl;
pub mod explore;
pub mod files;
pub mod local;
pub mod man;
pub mod plan;
pub mod query;
pub mod run;
pub mod runs;
pub mod sample;
pub mod stale;
pub mod status;
pub mod upload;
pub mod verify;
