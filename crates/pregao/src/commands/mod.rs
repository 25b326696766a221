//! The commands, one file each.

pub(crate) mod accept;
pub(crate) mod as_of;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod diff;
pub(crate) mod etl;
pub(crate) mod explore;
pub(crate) mod files;
pub(crate) mod history;
pub(crate) mod local;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod query;
pub(crate) mod recatalog;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod sample;
pub(crate) mod stale;
pub(crate) mod status;
pub(crate) mod upload;
pub(crate) mod vacuum;
pub(crate) mod verify;
