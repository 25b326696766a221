//! One visit of an execution to a state.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::fault::Fault;
use super::history::{EventKind, StateType};
use super::probe::Probe;
use super::scope::Scope;
use crate::data::{Assign, Context, Data};
use crate::model::Transition;
use crate::syntax::{Failure, error_name};

/// The result of a visit.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) transition: Transition,
    pub(super) output: Value,
    /// The variables that the state assigned.
    pub(super) assigned: Map<String, Value>,
}

/// One visit of an execution to a state, from entering it to leaving it.
pub(super) struct Visit<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// The state's name.
    pub(super) state: &'a str,
    entered_event: u64,
    entered: DateTime<Utc>,
}

impl<'a> Visit<'a> {
    /// Enters a state and records its `StateEntered` event.
    pub(super) fn enter(name: &'a str, state: StateType, input: &Value, scope: &'a Scope<'a>) -> Result<Self, Fault> {
        let event = EventKind::StateEntered { state, name: name.to_owned(), input: input.clone() };
        let entered_event = scope.environment.journal.record(&scope.chain, event)?;
        scope.chain.enter_state(state);
        Ok(Self { scope, state: name, entered_event, entered: scope.environment.clock.now() })
    }

    /// Continues in a state that a redriven execution had entered by the event with the id `entered_event`. As on AWS, it is not
    /// entered again.
    pub(super) fn resume(name: &'a str, state: StateType, entered_event: u64, scope: &'a Scope<'a>) -> Self {
        scope.chain.enter_state(state);
        Self { scope, state: name, entered_event, entered: scope.environment.clock.now() }
    }

    /// Records the next event of the chain.
    pub(super) fn record(&self, kind: EventKind) -> Result<u64, Fault> {
        self.scope.environment.journal.record(&self.scope.chain, kind)
    }

    /// Records an event that no other event of the chain follows from.
    pub(super) fn record_leaf(&self, kind: EventKind) -> Result<u64, Fault> {
        self.scope.environment.journal.record_leaf(&self.scope.chain, kind)
    }

    /// Returns the test of a single state, if this visit is one.
    pub(super) fn probe(&self) -> Option<&'a Probe> {
        self.scope.environment.probe
    }

    /// Notes the data after a step, for the test of a state.
    pub(super) fn note(&self, step: &str, data: &Value) {
        if let Some(probe) = self.probe() {
            probe.note(step, data.clone());
        }
    }

    /// Returns the context object. `retry_count` is that of a state that can be retried.
    pub(super) fn context(&self, retry_count: Option<u32>) -> Context<'_> {
        Context {
            execution: self.scope.environment.context,
            execution_input: self.scope.environment.input,
            state: self.state,
            entered: self.entered,
            redrives: self.probe().is_none().then_some(self.scope.environment.redrives),
            retry_count,
            item: self.scope.item,
            variables: &self.scope.variables,
            given: self.probe().and_then(|probe| probe.context.as_ref()),
            object: OnceLock::new(),
        }
    }

    /// Evaluates an expression on the input.
    ///
    /// # Errors
    /// An error is fatal: on AWS it is a `States.Runtime` error, which no Catch handles.
    pub(super) fn evaluate<T>(
        &self,
        input: &Value,
        context: &Context<'_>,
        read: impl FnOnce(&Data<'_>) -> Result<T, String>,
    ) -> Result<T, Fault> {
        read(&Data { input, context }).map_err(|why| {
            // The test of a state has no events, and AWS does not name them there.
            Fault::runtime(match self.probe() {
                Some(_) => why,
                None => format!(
                    "An error occurred while executing the state '{}' (entered at the event id #{}). {why}",
                    self.state, self.entered_event
                ),
            })
        })
    }

    /// Evaluates an `Assign` on its input.
    ///
    /// # Errors
    /// An error is fatal: an expression has no value, or the variables are too large.
    pub(super) fn assign(
        &self,
        assign: Option<&Assign>,
        input: &Value,
        context: &Context<'_>,
    ) -> Result<Map<String, Value>, Fault> {
        let Some(assign) = assign else { return Ok(Map::new()) };
        let assigned = self.evaluate(input, context, |data| assign.evaluate(data))?;
        match self.scope.variables.check(&assigned) {
            Ok(()) => Ok(assigned),
            Err(why) => {
                let cause = format!("The state '{}' {why}.", self.state);
                Err(Fault::Fatal(Failure::new(error_name::DATA_LIMIT_EXCEEDED, cause)))
            }
        }
    }

    /// Returns the failure of a state whose result does not fit its `ResultPath`. A Catch may handle it.
    pub(super) fn result_path_failure(&self, why: String) -> Fault {
        Fault::Failed(Failure::new(error_name::RESULT_PATH_MATCH_FAILURE, why))
    }
}
