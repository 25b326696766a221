//! The lake as the command line and the explorer use it. No function depends on this crate.
//!
//! | module | content |
//! |---|---|
//! | [`as_of`] | the tables as they were published at a time in the past |
//! | [`csv`] | writes CSV |
//! | [`days`] | the state of each day: published, stale, failed, missing, and what to do about it |
//! | [`execution_history`] | what happened in an execution, state by state |
//! | [`workflow`] | starts and finds executions of the state machines |

pub mod as_of;
pub mod csv;
pub mod days;
pub mod execution_history;
pub mod workflow;
