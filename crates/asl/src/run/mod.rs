//! Executions of state machines.
//!
//! [`Execution`] runs a [`StateMachine`](crate::StateMachine): it calls [`Tasks`] for the work of Task states, reports
//! events to a [`History`], and waits by a [`Clock`].

mod attempts;
mod choice;
mod clock;
mod execution;
mod fail;
mod fault;
mod history;
mod journal;
mod map;
mod parallel;
mod pass;
mod probe;
mod retries;
mod scope;
mod state;
mod state_test;
mod stop;
mod succeed;
mod task;
mod tasks;
mod visit;
mod wait;
mod workflow;

pub use clock::{Clock, SystemClock};
pub use execution::{Execution, Outcome, Redrive};
pub use history::{Event, EventKind, History, Integration, Iteration, StateType};
pub use state_test::{StateTest, StateTested, TestStatus, TestedState};
pub use stop::{StopSignal, StopSwitch, stop_switch};
pub use tasks::{TaskCall, Tasks};
