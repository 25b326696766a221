//! One execution of a state machine, from its input to its outcome.

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::clock::{Clock, SystemClock, within};
use crate::context::MapItem;
use crate::definition::Workflow;
use crate::failure::Fault;
use crate::history::{EventKind, History, NoHistory};
use crate::journal::{Journal, Line};
use crate::state::Transition;
use crate::stop::{StopSignal, stop_switch};
use crate::tasks::{NoTasks, Tasks};
use crate::{Failure, StateMachine};

/// Who an execution is: what the context object `$$` says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionContext {
    /// `$$.Execution.Id`: the execution's ARN.
    pub execution_arn: String,
    /// `$$.Execution.Name`.
    pub execution_name: String,
    /// `$$.Execution.RoleArn`, and the role in the `ExecutionStarted` event.
    pub role_arn: String,
    /// `$$.Execution.StartTime`.
    pub started: DateTime<Utc>,
    /// `$$.StateMachine.Id`: the state machine's ARN.
    pub state_machine_arn: String,
    /// `$$.StateMachine.Name`.
    pub state_machine_name: String,
    /// The region in `TaskScheduled` events, such as `us-east-1`.
    pub region: String,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With this output.
    Succeeded(Value),
    /// A state failed and nothing caught it, or a Fail state was reached.
    Failed(Failure),
    /// The machine's `TimeoutSeconds` passed. As on AWS the failure is empty.
    TimedOut(Failure),
    /// It was stopped from outside, with the reason given there.
    Aborted(Failure),
}

/// An execution of a state machine, configured before it [runs](Execution::run).
///
/// By default, each task fails, events are discarded, time is that of the [`SystemClock`], and nothing stops the
/// execution.
///
/// ```
/// # use asl::{Execution, ExecutionContext, Outcome, StateMachine};
/// # async fn run(machine: &StateMachine, context: &ExecutionContext) {
/// let outcome = Execution::new(machine, context, serde_json::json!({ "day": "2020-04-01" })).run().await;
/// # }
/// ```
#[must_use = "an execution does nothing until it runs"]
pub struct Execution<'a> {
    machine: &'a StateMachine,
    context: &'a ExecutionContext,
    input: Value,
    tasks: &'a dyn Tasks,
    history: &'a dyn History,
    clock: &'a dyn Clock,
    stop: StopSignal,
}

impl<'a> Execution<'a> {
    /// Creates an execution of `machine` on `input`. Paths read its identity from `context`.
    pub fn new(machine: &'a StateMachine, context: &'a ExecutionContext, input: Value) -> Self {
        let (_, never) = stop_switch();
        Self { machine, context, input, tasks: &NoTasks, history: &NoHistory, clock: &SystemClock, stop: never }
    }

    /// Sets the implementation of tasks.
    pub fn tasks(self, tasks: &'a dyn Tasks) -> Self {
        Self { tasks, ..self }
    }

    /// Sets the receiver of events.
    pub fn history(self, history: &'a dyn History) -> Self {
        Self { history, ..self }
    }

    /// Sets the clock of waits, retry delays, timeouts and timestamps.
    pub fn clock(self, clock: &'a dyn Clock) -> Self {
        Self { clock, ..self }
    }

    /// Sets the signal that stops the execution.
    pub fn stop_on(self, stop: StopSignal) -> Self {
        Self { stop, ..self }
    }

    /// Runs the execution to its end.
    ///
    /// The history receives each event as it happens, the last of which tells the outcome. Dropping the future cancels
    /// the execution without another event.
    pub async fn run(self) -> Outcome {
        let (context, input) = (self.context, &self.input);
        let journal = Journal::new(self.history, self.clock);
        let run = Run { execution: context, input, tasks: self.tasks, journal, clock: self.clock };
        let started = EventKind::ExecutionStarted { input: input.clone(), role_arn: context.role_arn.clone() };
        run.journal.append(0, started);
        // On AWS the first state follows from event 0, not from `ExecutionStarted`.
        let line = Line::after(0);
        let outcome = run.outcome(self.machine, &line, self.stop).await;
        let (previous, last) = match outcome.clone() {
            Outcome::Succeeded(output) => (line.previous(), EventKind::ExecutionSucceeded(output)),
            Outcome::Failed(why) => (line.previous(), EventKind::ExecutionFailed(why)),
            Outcome::TimedOut(why) => (0, EventKind::ExecutionTimedOut(why)),
            Outcome::Aborted(why) => (0, EventKind::ExecutionAborted(why)),
        };
        run.journal.append(previous, last);
        outcome
    }
}

/// What all states of an execution share.
pub(crate) struct Run<'a> {
    pub(crate) execution: &'a ExecutionContext,
    pub(crate) input: &'a Value,
    pub(crate) tasks: &'a dyn Tasks,
    pub(crate) journal: Journal<'a>,
    pub(crate) clock: &'a dyn Clock,
}

impl Run<'_> {
    async fn outcome(&self, machine: &StateMachine, line: &Line, stop: StopSignal) -> Outcome {
        let scope = Scope { run: self, line: line.clone(), item: None };
        let work = machine.workflow.run(self.input.clone(), scope);
        tokio::select! {
            biased;
            why = stop.stopped() => Outcome::Aborted(why),
            ended = within(self.clock, machine.timeout, work) => match ended {
                Some(Ok(output)) => Outcome::Succeeded(output),
                Some(Err(Fault::Failed(why) | Fault::Fatal(why))) => Outcome::Failed(why),
                None => Outcome::TimedOut(Failure::default()),
            },
        }
    }
}

/// Where in an execution a state runs: on which line of events, for which item of a Map.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    pub(crate) run: &'a Run<'a>,
    pub(crate) line: Line,
    pub(crate) item: Option<&'a MapItem>,
}

impl Workflow {
    /// Runs the workflow from its first state to its end, and gives the last state's output.
    pub(crate) fn run<'a>(&'a self, input: Value, scope: Scope<'a>) -> BoxFuture<'a, Result<Value, Fault>> {
        async move {
            let (mut id, mut data) = (self.start(), input);
            loop {
                // Lets siblings have their turn, and lets a loop that never waits be stopped.
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
