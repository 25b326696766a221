//! What Task, Map and Parallel have in common: work that may fail and be tried again.
//!
//! A [`Frame`] is everything around the work: the data that goes in and comes out, the retries, and where to go when
//! they are used up. The work itself is one attempt, and sees only its effective input.

use futures::future::BoxFuture;
use serde_json::Value;

use super::{Exit, Transition, Visit};
use crate::DefinitionError;
use crate::catch::Catcher;
use crate::context::Context;
use crate::data_flow::{Filters, ResultPath, within_limit};
use crate::definition::{Fields, StateId, StateNames};
use crate::failure::{Failure, Fault};
use crate::history::EventKind;
use crate::retry::{Retrier, Retries};
use crate::template::Template;

/// Work that a state does.
pub(super) trait Work: Send + Sync {
    /// Tries once.
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>>;

    /// The event that says that the work has failed for good.
    fn given_up(&self) -> Option<EventKind>;

    /// Whether the failures of the work are those of branches.
    fn has_branches(&self) -> bool;
}

/// What one attempt is given.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) visit: &'a Visit<'a>,
    pub(super) context: &'a Context<'a>,
    /// The state's input behind its `InputPath`.
    pub(super) filtered: &'a Value,
    /// The state's input behind its `Parameters`, where it has some.
    pub(super) effective: &'a Value,
    pub(super) retries: u32,
}

/// The fields around the work.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    filters: Filters,
    parameters: Option<Template>,
    selector: Option<Template>,
    result_path: ResultPath,
    retry: Vec<Retrier>,
    catch: Vec<Catcher>,
    pub(super) transition: Transition,
}

impl Frame {
    pub(super) fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        Ok(Self {
            filters: Filters::parse(fields)?,
            parameters: template(fields, "Parameters")?,
            selector: template(fields, "ResultSelector")?,
            result_path: ResultPath::parse(fields)?,
            retry: Retrier::parse_all(fields)?,
            catch: Catcher::parse_all(fields, names)?,
            transition: Transition::parse(fields, names)?,
        })
    }

    pub(super) fn successors(&self) -> Vec<StateId> {
        let caught = self.catch.iter().map(|catcher| catcher.next);
        self.transition.successor().into_iter().chain(caught).collect()
    }

    /// Does the work, again and again if need be.
    pub(super) async fn run(&self, work: &dyn Work, raw: Value, visit: &Visit<'_>) -> Result<Exit, Fault> {
        let mut retries = Retries::of(&self.retry);
        loop {
            let failure = match self.attempt(work, &raw, visit, retries.count()).await {
                Ok(output) => {
                    return Ok(Exit { transition: self.transition, output });
                }
                Err(Fault::Failed(failure)) => failure,
                Err(fatal) => return Err(fatal),
            };
            match retries.next(&failure, work.has_branches()) {
                Some(delay) => visit.scope.run.clock.sleep(delay).await,
                None => return self.give_up(work, raw, failure, visit),
            }
        }
    }

    async fn attempt(&self, work: &dyn Work, raw: &Value, visit: &Visit<'_>, retries: u32) -> Result<Value, Fault> {
        let context = visit.context(Some(retries));
        let filtered = visit.evaluate(raw, &context, |data| self.filters.input(data))?;
        let effective = match &self.parameters {
            Some(template) => visit.evaluate(&filtered, &context, |data| template.fill(data))?,
            None => filtered.clone(),
        };
        if !within_limit(&effective) {
            return Err(Fault::Failed(Failure::data_limit(visit.state)));
        }
        let attempt = Attempt { visit, context: &context, filtered: &filtered, effective: &effective, retries };
        let result = work.attempt(attempt).await?;
        let result = match &self.selector {
            Some(template) => visit.evaluate(&result, &context, |data| template.fill(data))?,
            None => result,
        };
        let combined = self.result_path.put(raw.clone(), result).map_err(|why| visit.result_path_failure(why))?;
        visit.evaluate(&combined, &context, |data| self.filters.output(data))
    }

    fn give_up(&self, work: &dyn Work, raw: Value, failure: Failure, visit: &Visit<'_>) -> Result<Exit, Fault> {
        if let Some(event) = work.given_up() {
            visit.record(event)?;
        }
        let in_branch = work.has_branches();
        let catcher = self.catch.iter().find(|catcher| catcher.errors.match_failure(&failure, in_branch));
        let Some(catcher) = catcher else {
            return Err(Fault::Failed(failure));
        };
        let output = catcher.result_path.put(raw, failure.output()).map_err(|why| visit.result_path_failure(why))?;
        Ok(Exit { transition: Transition::Next(catcher.next), output })
    }
}

/// Takes the payload template in `field`.
pub(super) fn template(fields: &mut Fields, field: &str) -> Result<Option<Template>, DefinitionError> {
    let place = fields.place(field);
    fields.take(field).map(|value| Template::parse(value, &place)).transpose()
}
