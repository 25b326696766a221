//! Testing a single state, as AWS's `TestState` does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::clock::{Clock, SystemClock, with_timeout};
use super::fault::Fault;
use super::history::{NoHistory, StateType};
use super::journal::{EventChain, Journal};
use super::probe::{Handled, Probe};
use super::scope::{Environment, Scope};
use super::tasks::{NoTasks, Tasks};
use crate::data::{ExecutionContext, Variables};
use crate::model::{Resource, State, StateKind, StateMachine, Transition, Workflow};
use crate::syntax::Failure;

/// The longest test on AWS.
const LONGEST: Duration = Duration::from_mins(5);

/// A test of a single state of a machine, configured before it [runs](StateTest::run). Nothing is retried: the result says what
/// would be.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// use asl::{ExecutionContext, StateMachine, StateTest, TestStatus};
/// use serde_json::json;
/// # let context = ExecutionContext {
/// #     execution_arn: String::new(),
/// #     execution_name: String::new(),
/// #     role_arn: String::new(),
/// #     started: chrono::Utc::now(),
/// #     state_machine_arn: String::new(),
/// #     state_machine_name: String::new(),
/// #     region: String::new(),
/// # };
///
/// let machine = StateMachine::parse(
///     r#"{ "StartAt": "Put", "States": {
///         "Put": { "Type": "Task", "Resource": "arn:aws:states:::dynamodb:putItem", "ResultPath": "$.put", "Next": "Done" },
///         "Done": { "Type": "Succeed" } } }"#,
/// )
/// .unwrap();
/// let state = machine.state("Put").unwrap();
/// let test = StateTest::new(state, &context, json!({ "id": 7 })).mock(Ok(json!({ "ok": true })));
/// let tested = runtime.block_on(test.run());
/// assert_eq!((tested.status, tested.next.as_deref()), (TestStatus::Succeeded, Some("Done")));
/// assert_eq!(tested.output, Some(json!({ "id": 7, "put": { "ok": true } })));
/// ```
#[must_use = "a test does nothing until it runs"]
pub struct StateTest<'a> {
    state: TestedState<'a>,
    context: &'a ExecutionContext,
    input: Value,
    variables: Map<String, Value>,
    tasks: &'a dyn Tasks,
    clock: &'a dyn Clock,
    probe: Probe,
}

/// A state of a machine: see [`StateMachine::state`].
#[derive(Clone, Copy)]
pub struct TestedState<'a> {
    workflow: &'a Workflow,
    state: &'a State,
}

/// The result of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTested {
    /// How the state ended.
    pub status: TestStatus,
    /// The input of the next state. `None` if the state failed.
    pub output: Option<Value>,
    /// Why it failed, also if that was caught.
    pub failure: Option<Failure>,
    /// The next state. `None` if the workflow ends.
    pub next: Option<String>,
    /// The data after each step, by the names of AWS's `inspectionData`. What is JSON text there is a value here.
    pub inspection: Map<String, Value>,
}

/// How a tested state ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum TestStatus {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It failed, and would be tried again.
    Retriable,
    /// It failed, and a catcher leads to the next state.
    CaughtError,
}

impl StateMachine {
    /// Returns the state of a name, also one in a branch or an item processor.
    pub fn state(&self, name: &str) -> Option<TestedState<'_>> {
        let (workflow, id) = self.workflow.find_anywhere(name)?;
        Some(TestedState { workflow, state: workflow.state(id) })
    }
}

impl<'a> TestedState<'a> {
    /// Returns the type of the state.
    pub fn kind(self) -> StateType {
        self.state.state_type()
    }

    /// Returns the resource of a Task state.
    pub fn resource(self) -> Option<&'a Resource> {
        match &self.state.kind {
            StateKind::Task(task) => Some(&task.resource),
            _ => None,
        }
    }

    /// Returns the number of branches of a Parallel state.
    pub fn branches(self) -> Option<usize> {
        match &self.state.kind {
            StateKind::Parallel(parallel) => Some(parallel.branches.len()),
            _ => None,
        }
    }

    /// Returns whether a state of this name is in a branch or in the item processor of the state.
    pub fn contains(self, name: &str) -> bool {
        self.state.workflows().into_iter().any(|workflow| workflow.find_anywhere(name).is_some())
    }
}

impl<'a> StateTest<'a> {
    /// Creates a test of a state on an input.
    pub fn new(state: TestedState<'a>, context: &'a ExecutionContext, input: Value) -> Self {
        let (tasks, clock) = (&NoTasks, &SystemClock);
        Self { state, context, input, variables: Map::new(), tasks, clock, probe: Probe::default() }
    }

    /// Sets the implementation of tasks.
    pub fn tasks(self, tasks: &'a dyn Tasks) -> Self {
        Self { tasks, ..self }
    }

    /// Sets the clock.
    pub fn clock(self, clock: &'a dyn Clock) -> Self {
        Self { clock, ..self }
    }

    /// Sets the variables that the state reads.
    pub fn variables(self, variables: Map<String, Value>) -> Self {
        Self { variables, ..self }
    }

    /// Sets what the work of a Task, Map or Parallel state results in, instead of doing it.
    pub fn mock(mut self, result: Result<Value, Failure>) -> Self {
        self.probe.mock = Some(result);
        self
    }

    /// Sets the context object. That of the iterations of a Map state has their items too.
    pub fn context_object(mut self, context: Map<String, Value>) -> Self {
        self.probe.context = Some(context);
        self
    }

    /// Sets how often the retrier that applies has retried already.
    pub fn retries(mut self, retries: u64) -> Self {
        self.probe.retries = retries;
        self
    }

    /// Runs the state once.
    pub async fn run(self) -> StateTested {
        let Self { state: TestedState { workflow, state }, context, input, variables, tasks, clock, probe } = self;
        probe.note("input", input.clone());
        let variables = Variables::new(variables);
        let exit = {
            let journal = Journal::new(&NoHistory, clock);
            let (input, probe) = (&input, Some(&probe));
            let environment = Environment { context, input, tasks, journal, clock, redrives: 0, probe };
            let variables = Arc::new(variables.clone());
            let scope = Scope { environment: &environment, chain: EventChain::new(0), item: None, variables };
            let exit = with_timeout(clock, Some(LONGEST), state.run(input.clone(), None, &scope)).await;
            exit.unwrap_or_else(|| Err(Fault::Failed(Failure::timeout())))
        };
        let (mut inspection, handled) = probe.into_notes();
        let (output, next, assigned, failed) = match exit {
            Ok(exit) => (Some(exit.output), next(workflow, exit.transition), exit.assigned, None),
            Err(Fault::Failed(failure) | Fault::Fatal(failure)) => (None, None, Map::new(), Some(failure)),
        };
        let (status, failure) = match (failed, handled) {
            (Some(failure), Some(Handled::Retried)) => (TestStatus::Retriable, Some(failure)),
            (Some(failure), _) => (TestStatus::Failed, Some(failure)),
            (None, Some(Handled::Caught(failure))) => (TestStatus::CaughtError, Some(failure)),
            (None, _) => (TestStatus::Succeeded, None),
        };
        let variables = variables.with(assigned).all();
        if !variables.is_empty() {
            inspection.insert("variables".to_owned(), Value::Object(variables));
        }
        StateTested { status, output, failure, next, inspection }
    }
}

fn next(workflow: &Workflow, transition: Transition) -> Option<String> {
    transition.successor().map(|id| workflow.state(id).name.clone())
}
