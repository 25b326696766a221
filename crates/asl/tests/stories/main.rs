//! Whole executions: the outcome of a machine, the calls of its tasks, and its history.

mod data;
mod endings;
mod events;
mod fakes;
mod map;
mod parallel;
mod properties;
mod retry_and_catch;
mod state_test;
mod task;
mod variables;
mod virtual_clock;
mod wait;
