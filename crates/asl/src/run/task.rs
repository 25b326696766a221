//! Running a Task state.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::attempts::{Attempt, Work};
use super::clock::with_timeout;
use super::fault::Fault;
use super::history::{EventKind, Integration};
use super::tasks::TaskCall;
use super::visit::Visit;
use crate::data::{referenced, within_limit};
use crate::model::{Resource, Task, TimeLimit};
use crate::syntax::{Failure, MAX_SECONDS, error_name};

impl Task {
    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, Fault> {
        let visit = attempt.visit;
        let limits = self.limits(attempt)?;
        if let Some(mocked) = attempt.mocked() {
            return self.noted(visit, mocked);
        }
        visit.record(self.scheduled_event(attempt, limits))?;
        visit.record(self.started_event())?;
        let on_submitted = |response: &Value| {
            if let Resource::Integration { .. } = self.resource {
                let submitted = EventKind::TaskSubmitted(self.integration(), response.clone());
                // The error of a full history recurs at the next event, where it ends the execution.
                let _ = visit.record(submitted);
            }
        };
        let timeout = limits.timeout.map(Duration::from_secs);
        let call = TaskCall {
            execution: visit.scope.environment.context,
            state: visit.state,
            retry_count: attempt.retry_count,
            timeout,
            on_submitted: &on_submitted,
        };
        let tasks = visit.scope.environment.tasks;
        let running = tasks.run(&self.resource, attempt.effective.clone(), &call);
        let ended = with_timeout(visit.scope.environment.clock, timeout, running).await;
        let ended = ended.unwrap_or_else(|| Err(Failure::timeout()));
        let ended = ended.and_then(|result| self.check_size(result));
        visit.record(self.ended_event(&ended))?;
        self.noted(visit, ended.map_err(Fault::Failed))
    }

    /// Notes the result, for the test of a state.
    fn noted(&self, visit: &Visit<'_>, ended: Result<Value, Fault>) -> Result<Value, Fault> {
        let result = ended?;
        visit.note("result", &result);
        Ok(result)
    }

    fn check_size(&self, result: Value) -> Result<Value, Failure> {
        match (within_limit(&result), &self.resource) {
            (true, _) => Ok(result),
            (false, Resource::Lambda { arn }) => Err(Failure::data_limit(arn)),
            (false, Resource::Integration { service, .. }) => Err(Failure::data_limit(service)),
        }
    }

    fn limits(&self, attempt: Attempt<'_>) -> Result<TimeLimits, Fault> {
        Ok(TimeLimits {
            timeout: self.timeout.seconds("TimeoutSecondsPath", attempt)?,
            heartbeat: self.heartbeat.seconds("HeartbeatSecondsPath", attempt)?,
        })
    }

    fn scheduled_event(&self, attempt: Attempt<'_>, limits: TimeLimits) -> EventKind {
        match &self.resource {
            Resource::Lambda { arn } => EventKind::LambdaFunctionScheduled {
                resource: arn.clone(),
                input: attempt.effective.clone(),
                timeout_in_seconds: limits.timeout,
            },
            Resource::Integration { .. } => EventKind::TaskScheduled {
                task: self.integration(),
                region: attempt.visit.scope.environment.context.region.clone(),
                parameters: attempt.effective.clone(),
                timeout_in_seconds: limits.timeout,
                heartbeat_in_seconds: limits.heartbeat,
            },
        }
    }

    fn started_event(&self) -> EventKind {
        match &self.resource {
            Resource::Lambda { .. } => EventKind::LambdaFunctionStarted,
            Resource::Integration { .. } => EventKind::TaskStarted(self.integration()),
        }
    }

    fn ended_event(&self, ended: &Result<Value, Failure>) -> EventKind {
        let is_lambda = matches!(self.resource, Resource::Lambda { .. });
        match (ended.clone(), is_lambda) {
            (Ok(result), true) => EventKind::LambdaFunctionSucceeded(result),
            (Ok(result), false) => EventKind::TaskSucceeded(self.integration(), result),
            (Err(why), true) if why.is(error_name::TIMEOUT) => EventKind::LambdaFunctionTimedOut(why),
            (Err(why), false) if why.is(error_name::TIMEOUT) => EventKind::TaskTimedOut(self.integration(), why),
            (Err(why), true) => EventKind::LambdaFunctionFailed(why),
            (Err(why), false) => EventKind::TaskFailed(self.integration(), why),
        }
    }

    fn integration(&self) -> Integration {
        let (service, action) = match &self.resource {
            Resource::Integration { service, action, .. } => (service.as_str(), action.as_str()),
            Resource::Lambda { arn } => ("lambda", arn.as_str()),
        };
        Integration { service: service.to_owned(), action: action.to_owned() }
    }
}

impl Work for Task {
    fn note_parameters(&self, visit: &Visit<'_>, effective: &Value) {
        visit.note("afterParameters", effective);
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.call(attempt).boxed()
    }

    fn failed_event(&self) -> Option<EventKind> {
        None
    }

    fn has_branches(&self) -> bool {
        false
    }
}

/// The time limits of one attempt, in seconds.
#[derive(Clone, Copy)]
struct TimeLimits {
    timeout: Option<u64>,
    heartbeat: Option<u64>,
}

impl TimeLimit {
    fn seconds(&self, field: &str, attempt: Attempt<'_>) -> Result<Option<u64>, Fault> {
        let path = match self {
            Self::None => return Ok(None),
            Self::Seconds(seconds) => return Ok(Some(*seconds)),
            Self::Path(path) => path,
        };
        let (visit, context) = (attempt.visit, attempt.context);
        visit.evaluate(attempt.filtered, context, |data| {
            let value = referenced(path, field, data)?;
            match value.as_u64() {
                Some(seconds @ 1..=MAX_SECONDS) => Ok(Some(seconds)),
                _ => Err(format!(
                    "The {field} parameter does not reference a positive number of seconds: {path} == {value}"
                )),
            }
        })
    }
}
