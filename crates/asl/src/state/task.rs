//! Task: one call of something outside the state machine.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::work::{Attempt, Frame, Work};
use crate::DefinitionError;
use crate::clock::within;
use crate::data_flow::within_limit;
use crate::definition::{Fields, MAX_SECONDS, StateNames};
use crate::failure::{Failure, Fault, name};
use crate::history::{EventKind, Integration};
use crate::path::Path;
use crate::tasks::{Resource, TaskCall};

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) frame: Frame,
    resource: Resource,
    timeout: Limit,
    /// Only a worker that reports to the service could miss one; here it is just told to the history.
    heartbeat: Limit,
}

/// A number of seconds, fixed or from the input.
#[derive(Clone, Debug)]
enum Limit {
    None,
    Seconds(u64),
    Path(Path),
}

impl Task {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        fields.require(&["Resource"])?;
        let arn = fields.required_text("Resource")?;
        let resource = Resource::parse(&arn).map_err(|why| fields.fault("Resource", why))?;
        let task = Self {
            frame: Frame::parse(fields, names)?,
            resource,
            timeout: Limit::parse(fields, "TimeoutSeconds")?,
            heartbeat: Limit::parse(fields, "HeartbeatSeconds")?,
        };
        match (&task.timeout, &task.heartbeat) {
            (Limit::Seconds(timeout), Limit::Seconds(heartbeat)) if heartbeat >= timeout => {
                Err(fields.fault("HeartbeatSeconds", "Value must be less than TimeoutSeconds"))
            }
            _ => Ok(task),
        }
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, Fault> {
        let visit = attempt.visit;
        let limits = self.limits(attempt)?;
        visit.record(self.scheduled(attempt, limits))?;
        visit.record(self.started())?;
        let on_submitted = |answer: &Value| {
            if let Resource::Integration { .. } = self.resource {
                let submitted = EventKind::TaskSubmitted(self.integration(), answer.clone());
                // A full history ends the execution at its next event.
                let _ = visit.record(submitted);
            }
        };
        let timeout = limits.timeout.map(Duration::from_secs);
        let call = TaskCall {
            execution: visit.scope.run.execution,
            state: visit.state,
            retry_count: attempt.retries,
            timeout,
            on_submitted: &on_submitted,
        };
        let tasks = visit.scope.run.tasks;
        let running = tasks.run(&self.resource, attempt.effective.clone(), &call);
        let ended = within(visit.scope.run.clock, timeout, running).await;
        let ended = ended.unwrap_or_else(|| Err(Failure::timeout()));
        let ended = ended.and_then(|result| self.limited(result));
        visit.record(self.ended(&ended))?;
        ended.map_err(Fault::Failed)
    }

    fn limited(&self, result: Value) -> Result<Value, Failure> {
        match (within_limit(&result), &self.resource) {
            (true, _) => Ok(result),
            (false, Resource::Lambda { arn }) => Err(Failure::data_limit(arn)),
            (false, Resource::Integration { service, .. }) => Err(Failure::data_limit(service)),
        }
    }

    fn limits(&self, attempt: Attempt<'_>) -> Result<Limits, Fault> {
        Ok(Limits {
            timeout: self.timeout.seconds("TimeoutSecondsPath", attempt)?,
            heartbeat: self.heartbeat.seconds("HeartbeatSecondsPath", attempt)?,
        })
    }

    fn scheduled(&self, attempt: Attempt<'_>, limits: Limits) -> EventKind {
        match &self.resource {
            Resource::Lambda { arn } => EventKind::LambdaFunctionScheduled {
                resource: arn.clone(),
                input: attempt.effective.clone(),
                timeout_in_seconds: limits.timeout,
            },
            Resource::Integration { .. } => EventKind::TaskScheduled {
                task: self.integration(),
                region: attempt.visit.scope.run.execution.region.clone(),
                parameters: attempt.effective.clone(),
                timeout_in_seconds: limits.timeout,
                heartbeat_in_seconds: limits.heartbeat,
            },
        }
    }

    fn started(&self) -> EventKind {
        match &self.resource {
            Resource::Lambda { .. } => EventKind::LambdaFunctionStarted,
            Resource::Integration { .. } => EventKind::TaskStarted(self.integration()),
        }
    }

    fn ended(&self, ended: &Result<Value, Failure>) -> EventKind {
        let is_lambda = matches!(self.resource, Resource::Lambda { .. });
        match (ended.clone(), is_lambda) {
            (Ok(result), true) => EventKind::LambdaFunctionSucceeded(result),
            (Ok(result), false) => EventKind::TaskSucceeded(self.integration(), result),
            (Err(why), true) if why.is(name::TIMEOUT) => EventKind::LambdaFunctionTimedOut(why),
            (Err(why), false) if why.is(name::TIMEOUT) => EventKind::TaskTimedOut(self.integration(), why),
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
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.call(attempt).boxed()
    }

    fn given_up(&self) -> Option<EventKind> {
        None
    }

    fn has_branches(&self) -> bool {
        false
    }
}

/// The limits of one attempt, in seconds.
#[derive(Clone, Copy)]
struct Limits {
    timeout: Option<u64>,
    heartbeat: Option<u64>,
}

impl Limit {
    fn parse(fields: &mut Fields, field: &str) -> Result<Self, DefinitionError> {
        let path_field = format!("{field}Path");
        fields.at_most_one(&[field, &path_field])?;
        if let Some(seconds) = fields.whole(field, 1..=MAX_SECONDS)? {
            return Ok(Self::Seconds(seconds));
        }
        let path = fields.parsed(&path_field, Path::parse_reference)?;
        Ok(path.map_or(Self::None, Self::Path))
    }

    fn seconds(&self, field: &str, attempt: Attempt<'_>) -> Result<Option<u64>, Fault> {
        let path = match self {
            Self::None => return Ok(None),
            Self::Seconds(seconds) => return Ok(Some(*seconds)),
            Self::Path(path) => path,
        };
        let (visit, context) = (attempt.visit, attempt.context);
        visit.evaluate(attempt.filtered, context, |data| {
            let value = path.find(data)?.unwrap_or_default();
            match value.as_u64() {
                Some(seconds @ 1..=MAX_SECONDS) => Ok(Some(seconds)),
                _ => Err(format!(
                    "The {field} parameter does not reference a positive number of seconds: {path} == {value}"
                )),
            }
        })
    }
}
