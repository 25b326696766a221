//! Parallel: several workflows on the same input at the same time.

use std::collections::HashSet;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;

use super::work::{Attempt, Frame, Work};
use crate::DefinitionError;
use crate::definition::{Fields, StateNames, Workflow};
use crate::execution::Scope;
use crate::failure::Fault;
use crate::history::EventKind;
use crate::journal::Line;

#[derive(Clone, Debug)]
pub(super) struct Parallel {
    pub(super) frame: Frame,
    branches: Vec<Workflow>,
}

impl Parallel {
    pub(super) fn parse(
        fields: &mut Fields,
        names: &StateNames,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        fields.require(&["Branches"])?;
        let branches = fields.objects("Branches")?;
        if branches.is_empty() {
            return Err(fields.fault("Branches", "There must be at least one branch"));
        }
        let branches = branches.into_iter().map(|branch| parse_branch(branch, taken)).collect::<Result<_, _>>()?;
        let frame = Frame::parse(fields, names)?;
        Ok(Self { frame, branches })
    }

    async fn run_branches(&self, attempt: Attempt<'_>) -> Result<Value, Fault> {
        let visit = attempt.visit;
        visit.record(EventKind::ParallelStateStarted)?;
        let line = &visit.scope.line;
        let mut outputs = vec![Value::Null; self.branches.len()];
        let mut last = line.previous();
        let mut running: FuturesUnordered<_> = self
            .branches
            .iter()
            .zip(&mut outputs)
            .map(|(branch, output)| run_branch(branch, attempt, line.fork(), output))
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
        line.join(last);
        visit.note(EventKind::ParallelStateSucceeded)?;
        Ok(Value::from(outputs))
    }
}

fn parse_branch(mut fields: Fields, taken: &mut HashSet<String>) -> Result<Workflow, DefinitionError> {
    let _comment = fields.text("Comment")?;
    let workflow = Workflow::parse(&mut fields, taken)?;
    fields.finish()?;
    Ok(workflow)
}

async fn run_branch(
    branch: &Workflow,
    attempt: Attempt<'_>,
    line: Line,
    output: &mut Value,
) -> (Line, Result<(), Fault>) {
    let scope = Scope { line: line.clone(), ..attempt.visit.scope.clone() };
    let ended = branch.run(attempt.effective.clone(), scope).await;
    (line, ended.map(|value| *output = value))
}

/// A branch failed on the line `failed`: says what became of the others.
fn fail(attempt: Attempt<'_>, failed: &Line, fault: Fault) -> Fault {
    let scope = attempt.visit.scope;
    scope.line.follow(failed.previous());
    match &fault {
        Fault::Failed(_) => scope.run.journal.abort_forks(&scope.line).err().unwrap_or(fault),
        Fault::Fatal(_) => fault,
    }
}

impl Work for Parallel {
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        self.run_branches(attempt).boxed()
    }

    fn given_up(&self) -> Option<EventKind> {
        Some(EventKind::ParallelStateFailed)
    }

    fn has_branches(&self) -> bool {
        true
    }
}
