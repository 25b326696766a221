//! A model of the publication protocol, and what checks it: see `README.md`.
//!
//! The lake is one day of raw files, its publication record, and a catalog of two tables. Runs, vacuum and an operator work
//! on it at once. Each of their steps has at most one access to what others write, and a checker tries every order of the
//! steps, and every fault between two of them.
//!
//! | module | what it knows |
//! |---|---|
//! | [`lake`] | the objects and the catalog, compare-and-swap |
//! | [`view`] | the states of the raw files, and which of two is the newer one |
//! | [`run`] | an execution of `create_datalake`: plan, job, audit, publication |
//! | [`catalog`] | how the catalog follows the record |
//! | [`vacuum`] | how files are removed that nobody reads |
//! | [`operator`] | rollback and release |
//! | [`system`] | all of them at once, and what can happen to them |
//! | [`properties`] | what must always hold |
//! | [`protocol`] | the protocol, and ways to break it |
//! | [`scenario`] | how much of everything there is |

pub mod catalog;
pub mod lake;
pub mod operator;
pub mod properties;
pub mod protocol;
pub mod report;
pub mod run;
pub mod scenario;
pub mod system;
pub mod vacuum;
pub mod view;
