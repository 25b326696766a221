//! Running the states of a workflow one after another.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::fault::Fault;
use super::scope::Scope;
use crate::model::{Transition, Workflow};

impl Workflow {
    /// Runs the workflow to its end, and returns the output of the last state.
    pub(super) fn run<'a>(&'a self, input: Value, scope: Scope<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        async move {
            let (mut id, mut data) = (self.start(), input);
            loop {
                // Cooperative scheduling: branches share one tokio task, and a loop that never waits must be stoppable.
                tokio::task::yield_now().await;
                let exit = self.state(id).run(data, &scope).await?;
                data = exit.output;
                match exit.transition {
                    Transition::Next(next) => id = next,
                    Transition::End => return Ok(data),
                }
            }
        }
        .boxed()
    }
}
