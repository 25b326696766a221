//! A state: what its type makes of its input, and the events around it.

mod choice;
mod fail;
mod map;
mod parallel;
mod pass;
mod succeed;
mod task;
mod wait;
mod work;

use std::collections::HashSet;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::DefinitionError;
use crate::context::{Context, Data};
use crate::data_flow::within_limit;
use crate::definition::{Fields, StateId, StateNames};
use crate::execution::Scope;
use crate::failure::{Failure, Fault, name};
use crate::history::{EventKind, StateType};

/// A state of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Task(Box<task::Task>),
    Choice(choice::Choice),
    Wait(wait::Wait),
    Map(Box<map::Map>),
    Parallel(Box<parallel::Parallel>),
    Pass(pass::Pass),
    Succeed(succeed::Succeed),
    Fail(fail::Fail),
}

/// Where an execution goes after a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Next(StateId),
    End,
}

impl Transition {
    /// Takes `Next` or `End`.
    fn parse(fields: &mut Fields, names: &StateNames) -> Result<Self, DefinitionError> {
        fields.at_most_one(&["Next", "End"])?;
        if let Some(next) = fields.text("Next")? {
            return names.target(&next, &fields.place("Next")).map(Self::Next);
        }
        match fields.boolean("End")? {
            Some(true) => Ok(Self::End),
            Some(false) => Err(fields.fault("End", "Value must be true")),
            None => Err(DefinitionError::schema(fields.location(), "One of these fields is required: [Next, End]")),
        }
    }

    fn successor(self) -> Option<StateId> {
        match self {
            Self::Next(id) => Some(id),
            Self::End => None,
        }
    }
}

/// What a state gives when it is done.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) transition: Transition,
    pub(crate) output: Value,
}

impl State {
    pub(crate) fn parse(
        name: String,
        value: Value,
        location: &str,
        names: &StateNames,
        taken: &mut HashSet<String>,
    ) -> Result<Self, DefinitionError> {
        let mut fields = Fields::of(value, location)?;
        let kind = fields.required_text("Type")?;
        let _comment = fields.text("Comment")?;
        fields.query_language()?;
        let kind = match kind.as_str() {
            "Task" => Kind::Task(Box::new(task::Task::parse(&mut fields, names)?)),
            "Choice" => Kind::Choice(choice::Choice::parse(&mut fields, names)?),
            "Wait" => Kind::Wait(wait::Wait::parse(&mut fields, names)?),
            "Map" => Kind::Map(Box::new(map::Map::parse(&mut fields, names, taken)?)),
            "Parallel" => Kind::Parallel(Box::new(parallel::Parallel::parse(&mut fields, names, taken)?)),
            "Pass" => Kind::Pass(pass::Pass::parse(&mut fields, names)?),
            "Succeed" => Kind::Succeed(succeed::Succeed::parse(&mut fields)?),
            "Fail" => Kind::Fail(fail::Fail::parse(&mut fields)?),
            other => {
                let message = format!(
                    "'{other}' is not a type of state: use Task, Choice, Wait, Map, Parallel, Pass, Succeed or Fail"
                );
                return Err(fields.fault("Type", message));
            }
        };
        fields.finish()?;
        Ok(Self { name, kind })
    }

    /// The states that may come directly after this one.
    pub(crate) fn successors(&self) -> Vec<StateId> {
        match &self.kind {
            Kind::Task(task) => task.frame.successors(),
            Kind::Map(map) => map.frame.successors(),
            Kind::Parallel(parallel) => parallel.frame.successors(),
            Kind::Choice(choice) => choice.successors(),
            Kind::Wait(wait) => wait.transition.successor().into_iter().collect(),
            Kind::Pass(pass) => pass.transition.successor().into_iter().collect(),
            Kind::Succeed(_) | Kind::Fail(_) => Vec::new(),
        }
    }

    /// Whether the workflow may end in this state.
    pub(crate) fn is_terminal(&self) -> bool {
        let transition = match &self.kind {
            Kind::Task(task) => task.frame.transition,
            Kind::Map(map) => map.frame.transition,
            Kind::Parallel(parallel) => parallel.frame.transition,
            Kind::Wait(wait) => wait.transition,
            Kind::Pass(pass) => pass.transition,
            Kind::Choice(_) => return false,
            Kind::Succeed(_) | Kind::Fail(_) => return true,
        };
        transition == Transition::End
    }

    fn state_type(&self) -> StateType {
        match &self.kind {
            Kind::Task(_) => StateType::Task,
            Kind::Choice(_) => StateType::Choice,
            Kind::Wait(_) => StateType::Wait,
            Kind::Map(_) => StateType::Map,
            Kind::Parallel(_) => StateType::Parallel,
            Kind::Pass(_) => StateType::Pass,
            Kind::Succeed(_) => StateType::Succeed,
            Kind::Fail(_) => StateType::Fail,
        }
    }

    pub(crate) async fn run(&self, input: Value, scope: &Scope<'_>) -> Result<Exit, Fault> {
        let visit = self.enter(&input, scope)?;
        let exit = match &self.kind {
            Kind::Task(task) => task.frame.run(task.as_ref(), input, &visit).await,
            Kind::Map(map) => map.frame.run(map.as_ref(), input, &visit).await,
            Kind::Parallel(parallel) => parallel.frame.run(parallel.as_ref(), input, &visit).await,
            Kind::Wait(wait) => wait.run(input, &visit).await,
            Kind::Choice(choice) => choice.run(&input, &visit),
            Kind::Pass(pass) => pass.run(input, &visit),
            Kind::Succeed(succeed) => succeed.run(&input, &visit),
            Kind::Fail(fail) => Err(fail.run(&input, &visit)),
        }?;
        if !within_limit(&exit.output) {
            return Err(Fault::Fatal(Failure::data_limit(&self.name)));
        }
        let exited =
            EventKind::StateExited { state: self.state_type(), name: self.name.clone(), output: exit.output.clone() };
        visit.record(exited)?;
        scope.line.exit();
        Ok(exit)
    }

    fn enter<'a>(&'a self, input: &Value, scope: &'a Scope<'a>) -> Result<Visit<'a>, Fault> {
        let state = self.state_type();
        let entered = EventKind::StateEntered { state, name: self.name.clone(), input: input.clone() };
        let entered_event = scope.run.journal.record(&scope.line, entered)?;
        scope.line.enter(state);
        Ok(Visit { scope, state: &self.name, entered_event, entered: scope.run.clock.now() })
    }
}

/// One stay of an execution in a state.
pub(crate) struct Visit<'a> {
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) state: &'a str,
    entered_event: u64,
    entered: DateTime<Utc>,
}

impl Visit<'_> {
    fn record(&self, kind: EventKind) -> Result<u64, Fault> {
        self.scope.run.journal.record(&self.scope.line, kind)
    }

    fn note(&self, kind: EventKind) -> Result<u64, Fault> {
        self.scope.run.journal.note(&self.scope.line, kind)
    }

    /// The context object, for a state that can be retried with how often it has been.
    fn context(&self, retry_count: Option<u32>) -> Context<'_> {
        Context {
            execution: self.scope.run.execution,
            execution_input: self.scope.run.input,
            state: self.state,
            entered: self.entered,
            retry_count,
            item: self.scope.item,
            object: OnceLock::new(),
        }
    }

    /// Reads or computes something from data, and fails the execution if that cannot be done.
    fn evaluate<T>(
        &self,
        input: &Value,
        context: &Context<'_>,
        read: impl FnOnce(&Data<'_>) -> Result<T, String>,
    ) -> Result<T, Fault> {
        read(&Data { input, context }).map_err(|why| self.fatal(&why))
    }

    /// The failure of an execution whose data is not what the definition takes it for. AWS calls all of these
    /// `States.Runtime`, which nothing catches.
    fn fatal(&self, why: &str) -> Fault {
        Fault::runtime(format!(
            "An error occurred while executing the state '{}' (entered at the event id #{}). {why}",
            self.state, self.entered_event
        ))
    }

    /// A failure of the state itself, which may be caught.
    fn result_path_failure(&self, why: String) -> Fault {
        Fault::Failed(Failure::new(name::RESULT_PATH_MATCH_FAILURE, why))
    }
}
