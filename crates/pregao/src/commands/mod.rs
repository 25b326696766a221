//! The commands, one file each.

pub mod accept;
pub mod as_of;
pub mod cluster;
pub mod completions;
pub mod demo;
pub mod deploy;
pub mod destroy;
pub mod diff;
pub mod etl;
pub mod explore;
pub mod files;
pub mod history;
pub mod local;
pub mod man;
pub mod plan;
pub mod query;
pub mod recatalog;
pub mod rollback;
pub mod run;
pub mod runs;
pub mod sample;
pub mod stale;
pub mod status;
pub mod upload;
pub mod vacuum;
pub mod verify;
