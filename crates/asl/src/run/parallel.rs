//! Running a Parallel state.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;

use super::attempts::{Attempt, Work};
use super::fault::Fault;
use super::history::EventKind;
use super::journal::EventChain;
use super::scope::Scope;
use crate::model::{Parallel, Workflow};

impl Parallel {
    async fn run_branches(&self, attempt: Attempt<'_>) -> Result<Value, Fault> {
        let visit = attempt.visit;
        if let Some(mocked) = attempt.mocked() {
            return mocked;
        }
        visit.record(EventKind::ParallelStateStarted)?;
        let chain = &visit.scope.chain;
        let mut outputs = vec![Value::Null; self.branches.len()];
        let mut last = chain.previous();
        let mut running: FuturesUnordered<_> = self
            .branches
            .iter()
            .zip(&mut outputs)
            .map(|(branch, output)| run_branch(branch, attempt, chain.fork(), output))
            .collect();
        while let Some((branch, ended)) = running.next().await {
            match ended {
                Ok(()) => last = last.max(branch.previous()),
                Err(fault) => {
                    drop(running);
                    return Err(fail(attempt, &branch, fault));
                }
            }
        }
        drop(running);
        chain.join(last);
        visit.record_leaf(EventKind::ParallelStateSucceeded)?;
        Ok(Value::from(outputs))
    }
}

async fn run_branch(
    branch: &Workflow,
    attempt: Attempt<'_>,
    chain: EventChain,
    output: &mut Value,
) -> (EventChain, Result<(), Fault>) {
    let outer = attempt.visit.scope;
    let scope = Scope { chain: chain.clone(), variables: outer.variables.inner(), ..outer.clone() };
    let ended = branch.run(attempt.effective.clone(), scope).await;
    (chain, ended.map(|value| *output = value))
}

/// Records that the other branches are aborted, after the one with the chain `failed` has failed.
fn fail(attempt: Attempt<'_>, failed: &EventChain, fault: Fault) -> Fault {
    let scope = attempt.visit.scope;
    scope.chain.set_previous(failed.previous());
    match &fault {
        Fault::Failed(_) => scope.environment.journal.abort_forks(&scope.chain).err().unwrap_or(fault),
        Fault::Fatal(_) => fault,
    }
}

impl Work for Parallel {
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.run_branches(attempt).boxed()
    }

    fn failed_event(&self) -> Option<EventKind> {
        Some(EventKind::ParallelStateFailed)
    }

    fn has_branches(&self) -> bool {
        true
    }
}
