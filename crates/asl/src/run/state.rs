//! Running a state: its work, and the events around it.

use serde_json::Value;
use tracing::{Instrument, debug_span};

use super::fault::Fault;
use super::history::{EventKind, StateType};
use super::scope::Scope;
use super::visit::{Exit, Visit};
use crate::data::within_limit;
use crate::model::{State, StateKind};
use crate::syntax::Failure;

impl State {
    /// Runs the state on its raw input. `resumed` is the id of the event by which it was entered before a redrive.
    pub(super) async fn run(&self, input: Value, resumed: Option<u64>, scope: &Scope<'_>) -> Result<Exit, Fault> {
        let span =
            debug_span!("state", name = self.name, kind = ?self.state_type(), item = scope.item.map(|item| item.index));
        self.run_in_span(input, resumed, scope).instrument(span).await
    }

    async fn run_in_span(&self, input: Value, resumed: Option<u64>, scope: &Scope<'_>) -> Result<Exit, Fault> {
        let state = self.state_type();
        let visit = match resumed {
            None => Visit::enter(&self.name, state, &input, scope)?,
            Some(entered_event) => Visit::resume(&self.name, state, entered_event, scope),
        };
        let exit = match &self.kind {
            StateKind::Task(task) => task.frame.run(task.as_ref(), input, &visit).await,
            StateKind::Map(map) => map.frame.run(map.as_ref(), input, &visit).await,
            StateKind::Parallel(parallel) => parallel.frame.run(parallel.as_ref(), input, &visit).await,
            StateKind::Wait(wait) => wait.run(input, &visit).await,
            StateKind::Choice(choice) => choice.run(&input, &visit),
            StateKind::Pass(pass) => pass.run(input, &visit),
            StateKind::Succeed(succeed) => succeed.run(&input, &visit),
            StateKind::Fail(fail) => Err(fail.run(&input, &visit)),
        }?;
        if !within_limit(&exit.output) {
            return Err(Fault::Fatal(Failure::data_limit(&self.name)));
        }
        visit.record(EventKind::StateExited {
            state,
            name: self.name.clone(),
            output: exit.output.clone(),
            assigned: exit.assigned.clone(),
        })?;
        scope.chain.exit_state();
        Ok(exit)
    }

    pub(super) fn state_type(&self) -> StateType {
        match &self.kind {
            StateKind::Task(_) => StateType::Task,
            StateKind::Choice(_) => StateType::Choice,
            StateKind::Wait(_) => StateType::Wait,
            StateKind::Map(_) => StateType::Map,
            StateKind::Parallel(_) => StateType::Parallel,
            StateKind::Pass(_) => StateType::Pass,
            StateKind::Succeed(_) => StateType::Succeed,
            StateKind::Fail(_) => StateType::Fail,
        }
    }
}
