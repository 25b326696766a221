//! Running the states of a workflow one after another.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::fault::Fault;
use super::scope::Scope;
use crate::model::{Transition, Workflow};
use crate::syntax::StateId;

impl Workflow {
    /// Runs the workflow to its end, and returns the output of the last state.
    pub(super) fn run<'a>(&'a self, input: Value, scope: Scope<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.run_from(self.start(), None, input, scope)
    }

    /// Runs the workflow from a state to its end. `resumed` is the id of the event by which this state was entered before a
    /// redrive.
    pub(super) fn run_from<'a>(
        &'a self,
        state: StateId,
        resumed: Option<u64>,
        input: Value,
        mut scope: Scope<'a>,
    ) -> BoxFuture<'a, Result<Value, Fault>> {
        async move {
            let (mut id, mut resumed, mut data) = (state, resumed, input);
            loop {
                // Cooperative scheduling: branches share one tokio task, and a loop that never waits must be stoppable.
                tokio::task::yield_now().await;
                let exit = self.state(id).run(data, resumed.take(), &scope).await?;
                data = exit.output;
                if !exit.assigned.is_empty() {
                    scope.variables = Arc::new(scope.variables.with(exit.assigned));
                }
                match exit.transition {
                    Transition::Next(next) => id = next,
                    Transition::End => return Ok(data),
                }
            }
        }
        .boxed()
    }
}
