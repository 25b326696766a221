//! State machines as parsed from their definitions.
//!
//! Everything that can be checked before the first execution is checked here: in a [`StateMachine`], each transition
//! has a target, each path and intrinsic function parses, and no field is ignored.

mod catch;
mod choice;
mod error_names;
mod fail;
mod frame;
mod machine;
mod map;
mod parallel;
mod pass;
mod resource;
mod retry;
mod state;
mod succeed;
mod task;
mod transition;
mod variables;
mod wait;
mod workflow;

pub(crate) use choice::Choice;
pub(crate) use fail::{Fail, FailField};
pub(crate) use frame::Frame;
pub use machine::StateMachine;
pub(crate) use map::{Concurrency, Map};
pub(crate) use parallel::Parallel;
pub(crate) use pass::Pass;
pub use resource::Resource;
pub(crate) use retry::{Jitter, Retrier};
pub(crate) use state::{State, StateKind};
pub(crate) use succeed::Succeed;
pub(crate) use task::{Task, TimeLimit};
pub(crate) use transition::Transition;
pub(crate) use wait::{Wait, WaitUntil};
pub(crate) use workflow::Workflow;
