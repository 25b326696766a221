//! Attempts of Task, Map and Parallel states: data flow, retries and catchers around the work itself.

use futures::future::BoxFuture;
use serde_json::Value;

use super::fault::Fault;
use super::history::EventKind;
use super::retries::Retries;
use super::visit::{Exit, Visit};
use crate::data::{Context, within_limit};
use crate::model::{Frame, Transition};
use crate::syntax::Failure;

/// The work of a state.
pub(super) trait Work: Send + Sync {
    /// Attempts the work once.
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>>;

    /// Notes the data after `Parameters`, for the test of a state. AWS does so for Task states alone.
    fn note_parameters(&self, _visit: &Visit<'_>, _effective: &Value) {}

    /// Returns the event that records that no retry is left.
    fn failed_event(&self) -> Option<EventKind>;

    /// Returns whether a failure of the work is that of a branch, which `States.BranchFailed` matches.
    fn has_branches(&self) -> bool;
}

/// One attempt of the work.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) visit: &'a Visit<'a>,
    pub(super) context: &'a Context<'a>,
    /// The state's input after `InputPath`.
    pub(super) filtered: &'a Value,
    /// The state's input after `InputPath` and `Parameters`.
    pub(super) effective: &'a Value,
    pub(super) retry_count: u32,
}

impl Attempt<'_> {
    /// Returns the mocked result of a test.
    pub(super) fn mocked(&self) -> Option<Result<Value, Fault>> {
        let mock = self.visit.probe()?.mock.clone()?;
        Some(mock.map_err(Fault::Failed))
    }
}

impl Frame {
    /// Does the work, with retries. If none is left, the first catcher that matches decides the next state.
    pub(super) async fn run(&self, work: &dyn Work, raw: Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let mut retries = Retries::new(&self.retry);
        let clock = visit.scope.environment.clock;
        loop {
            let failure = match self.attempt(work, &raw, visit, retries.count()).await {
                Ok(exit) => return Ok(exit),
                Err(Fault::Failed(failure)) => failure,
                Err(fatal) => return Err(fatal),
            };
            if let Some(probe) = visit.probe() {
                return match probe.retry(self, &failure, work.has_branches()) {
                    true => Err(Fault::Failed(failure)),
                    false => self.fail(work, raw, failure, retries.count(), visit),
                };
            }
            match retries.next(&failure, work.has_branches(), clock) {
                Some(delay) => {
                    let Failure { error, cause } = &failure;
                    tracing::debug!(error, cause, retry = retries.count(), ?delay, "retrying the state");
                    clock.sleep(delay).await;
                }
                None => return self.fail(work, raw, failure, retries.count(), visit),
            }
        }
    }

    async fn attempt(&self, work: &dyn Work, raw: &Value, visit: &Visit<'_>, retry_count: u32) -> Result<Exit, Fault> {
        let context = visit.context(Some(retry_count));
        let filtered = visit.evaluate(raw, &context, |data| self.filters.input(data))?;
        visit.note("afterInputPath", &filtered);
        let effective = match &self.parameters {
            Some(template) => visit.evaluate(&filtered, &context, |data| template.render(data))?,
            None => filtered.clone(),
        };
        work.note_parameters(visit, &effective);
        if !within_limit(&effective) {
            return Err(Fault::Failed(Failure::data_limit(visit.state)));
        }
        let attempt = Attempt { visit, context: &context, filtered: &filtered, effective: &effective, retry_count };
        let result = work.attempt(attempt).await?;
        let assigned = visit.assign(self.assign.as_ref(), &result, &context)?;
        let result = match &self.selector {
            Some(template) => visit.evaluate(&result, &context, |data| template.render(data))?,
            None => result,
        };
        visit.note("afterResultSelector", &result);
        let combined = self.result_path.insert(raw.clone(), result).map_err(|why| visit.result_path_failure(why))?;
        visit.note("afterResultPath", &combined);
        let output = visit.evaluate(&combined, &context, |data| self.filters.output(data))?;
        Ok(Exit { transition: self.transition, output, assigned })
    }

    fn fail(
        &self,
        work: &dyn Work,
        raw: Value,
        failure: Failure,
        retry_count: u32,
        visit: &Visit<'_>,
    ) -> Result<Exit, Fault> {
        if let Some(event) = work.failed_event() {
            visit.record(event)?;
        }
        let in_branch = work.has_branches();
        let mut catchers = self.catch.iter().enumerate();
        let Some((index, catcher)) = catchers.find(|(_, catcher)| catcher.errors.matches(&failure, in_branch)) else {
            return Err(Fault::Failed(failure));
        };
        if let Some(probe) = visit.probe() {
            probe.caught(index, &failure);
        }
        tracing::debug!(error = failure.error, cause = failure.cause, "caught a failure");
        let error_output = failure.error_output();
        let assigned = visit.assign(catcher.assign.as_ref(), &error_output, &visit.context(Some(retry_count)))?;
        let output = catcher.result_path.insert(raw, error_output).map_err(|why| visit.result_path_failure(why))?;
        Ok(Exit { transition: Transition::Next(catcher.next), output, assigned })
    }
}
