//! Failures, by whether `Retry` and `Catch` apply.

use crate::syntax::{Failure, error_name};

/// The failure of a state.
#[derive(Debug)]
pub(crate) enum Fault {
    /// `Retry` and `Catch` of this state and of those around it apply.
    Failed(Failure),
    /// The execution fails at once; `Retry` and `Catch` do not apply.
    Fatal(Failure),
}

impl Fault {
    /// A fatal `States.Runtime` error.
    pub(crate) fn runtime(cause: impl Into<String>) -> Self {
        Self::Fatal(Failure::new(error_name::RUNTIME, cause))
    }
}
