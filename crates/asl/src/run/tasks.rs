//! The interface to the services that Task states call.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::data::ExecutionContext;
use crate::model::Resource;
use crate::syntax::{Failure, error_name};

/// Runs the tasks of an execution. The interpreter itself knows no service.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Runs one attempt of a task. `input` is its effective input, after `InputPath` and `Parameters`; returns the
    /// result, before `ResultSelector`.
    ///
    /// The interpreter enforces timeouts: when the state's timeout expires, another branch fails or the execution is
    /// stopped, it drops the future. Work that must not outlive the task has to be cancelled by that drop. All branches
    /// run in the same tokio task, so an implementation must not compute for long or block.
    ///
    /// # Errors
    /// Returns a failure whose `error` is matched by the state's `Retry` and `Catch`.
    async fn run(&self, resource: &Resource, input: Value, call: &TaskCall<'_>) -> Result<Value, Failure>;
}

/// One attempt of a task.
pub struct TaskCall<'a> {
    /// The execution that the task belongs to.
    pub execution: &'a ExecutionContext,
    /// The name of the Task state.
    pub state: &'a str,
    /// The number of retries before this attempt: 0 for the first.
    pub retry_count: u32,
    /// The time after which the interpreter drops the attempt.
    pub timeout: Option<Duration>,
    pub(super) on_submitted: &'a (dyn Fn(&Value) + Send + Sync),
}

impl TaskCall<'_> {
    /// Records that a job (`.sync`) integration has submitted its job, with the response of the service: the
    /// `TaskSubmitted` event between `TaskStarted` and `TaskSucceeded`.
    pub fn submitted(&self, response: &Value) {
        (self.on_submitted)(response);
    }
}

/// The tasks of an execution that has none: each fails.
pub(super) struct NoTasks;

#[async_trait]
impl Tasks for NoTasks {
    async fn run(&self, resource: &Resource, _: Value, _: &TaskCall<'_>) -> Result<Value, Failure> {
        Err(Failure::new(error_name::TASK_FAILED, format!("The execution has no tasks to run {resource}")))
    }
}
