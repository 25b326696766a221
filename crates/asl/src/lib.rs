//! asl
mod catch;
mod clock;
mod context;
mod data_flow;
mod definition;
mod error_names;
mod execution;
mod failure;
mod history;
mod intrinsic;
mod journal;
mod path;
mod random;
mod retry;
mod state;
mod stop;
mod tasks;
mod template;

pub use clock::{Clock, SystemClock};
pub use definition::{DefinitionError, DefinitionErrorCode, StateMachine};
pub use execution::{ExecutionContext, Outcome, execute, execute_by};
pub use failure::Failure;
pub use history::{Event, EventKind, History, Integration, Iteration, StateType};
pub use stop::{StopSignal, StopSwitch, stop_switch};
pub use tasks::{Resource, TaskCall, Tasks};
