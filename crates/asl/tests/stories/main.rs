//! Whole executions, told as stories: what a machine does, and what its history says.

mod data;
mod endings;
mod events;
mod fakes;
mod map;
mod parallel;
mod properties;
mod retry_and_catch;
mod task;
mod virtual_clock;
mod wait;
