//! A state and its type.

use std::collections::HashSet;

use serde_json::Value;

use super::choice::Choice;
use super::fail::Fail;
use super::map::Map;
use super::parallel::Parallel;
use super::pass::Pass;
use super::succeed::Succeed;
use super::task::Task;
use super::transition::Transition;
use super::wait::Wait;
use super::workflow::Workflow;
use crate::syntax::{DefinitionError, Fields, StateId, StateNames};

/// A state of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) kind: StateKind,
}

/// The type of a state, with its fields.
#[derive(Clone, Debug)]
pub(crate) enum StateKind {
    Task(Box<Task>),
    Choice(Choice),
    Wait(Wait),
    Map(Box<Map>),
    Parallel(Box<Parallel>),
    Pass(Box<Pass>),
    Succeed(Succeed),
    Fail(Fail),
}

impl State {
    pub(crate) fn parse(
        name: String,
        value: Value,
        location: &str,
        names: &StateNames,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        let mut fields = Fields::parse(value, location)?;
        let kind = fields.required_text("Type")?;
        let _comment = fields.text("Comment")?;
        fields.query_language()?;
        let kind = match kind.as_str() {
            "Task" => StateKind::Task(Box::new(Task::parse(&mut fields, names)?)),
            "Choice" => StateKind::Choice(Choice::parse(&mut fields, names)?),
            "Wait" => StateKind::Wait(Wait::parse(&mut fields, names)?),
            "Map" => StateKind::Map(Box::new(Map::parse(&mut fields, names, taken)?)),
            "Parallel" => StateKind::Parallel(Box::new(Parallel::parse(&mut fields, names, taken)?)),
            "Pass" => StateKind::Pass(Box::new(Pass::parse(&mut fields, names)?)),
            "Succeed" => StateKind::Succeed(Succeed::parse(&mut fields)?),
            "Fail" => StateKind::Fail(Fail::parse(&mut fields)?),
            other => {
                let message = format!(
                    "'{other}' is not a type of state: use Task, Choice, Wait, Map, Parallel, Pass, Succeed or Fail"
                );
                return Err(fields.error("Type", message));
            }
        };
        fields.finish()?;
        Ok(Self { name, kind })
    }

    /// Returns the branches of a Parallel state, or the item processor of a Map state.
    pub(crate) fn workflows(&self) -> Vec<&Workflow> {
        match &self.kind {
            StateKind::Map(map) => vec![&map.processor],
            StateKind::Parallel(parallel) => parallel.branches.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the possible next states.
    pub(crate) fn successors(&self) -> Vec<StateId> {
        match &self.kind {
            StateKind::Task(task) => task.frame.successors(),
            StateKind::Map(map) => map.frame.successors(),
            StateKind::Parallel(parallel) => parallel.frame.successors(),
            StateKind::Choice(choice) => choice.successors(),
            StateKind::Wait(wait) => wait.transition.successor().into_iter().collect(),
            StateKind::Pass(pass) => pass.transition.successor().into_iter().collect(),
            StateKind::Succeed(_) | StateKind::Fail(_) => Vec::new(),
        }
    }

    /// Returns whether the workflow may end after this state.
    pub(crate) fn is_terminal(&self) -> bool {
        let transition = match &self.kind {
            StateKind::Task(task) => task.frame.transition,
            StateKind::Map(map) => map.frame.transition,
            StateKind::Parallel(parallel) => parallel.frame.transition,
            StateKind::Wait(wait) => wait.transition,
            StateKind::Pass(pass) => pass.transition,
            StateKind::Choice(_) => return false,
            StateKind::Succeed(_) | StateKind::Fail(_) => return true,
        };
        transition == Transition::End
    }
}
