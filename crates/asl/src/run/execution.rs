//! One execution of a state machine, from its input to its outcome.

use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::{Instrument, debug_span};

use super::clock::{Clock, SystemClock, with_timeout};
use super::fault::Fault;
use super::history::{EventKind, History, NoHistory};
use super::journal::{EventChain, Journal};
use super::scope::{Environment, Scope};
use super::stop::{StopSignal, stop_switch};
use super::tasks::{NoTasks, Tasks};
use crate::data::{ExecutionContext, Variables};
use crate::model::{StateKind, StateMachine};
use crate::syntax::Failure;

/// The outcome of an execution.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It succeeded with this output.
    Succeeded(Value),
    /// A state failed and no Catch handled the failure, or a Fail state was reached.
    Failed(Failure),
    /// The machine's `TimeoutSeconds` expired. As on AWS the failure is empty.
    TimedOut(Failure),
    /// It was stopped by its [`StopSwitch`](crate::StopSwitch), for this reason.
    Aborted(Failure),
}

impl Outcome {
    fn log(&self) {
        let (status, failure) = match self {
            Self::Succeeded(_) => return tracing::debug!("the execution succeeded"),
            Self::Failed(failure) => ("failed", failure),
            Self::TimedOut(failure) => ("timed out", failure),
            Self::Aborted(failure) => ("was aborted", failure),
        };
        let Failure { error, cause } = failure;
        tracing::debug!(error, cause, "the execution {status}");
    }
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
    redrive: Option<Redrive>,
}

/// Where a redriven execution continues.
///
/// As on AWS, the state that had not succeeded is scheduled once more, with the input that it had
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html>). It is not entered again: AWS redrives what has
/// no event of its exit (<https://docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html>). Of a Map or Parallel state,
/// AWS redrives only the iterations or branches that had not succeeded; this crate cannot, so [`StateMachine::can_resume`] excludes
/// them.
#[derive(Clone, Debug, PartialEq)]
pub struct Redrive {
    /// The state.
    pub state: String,
    /// Its raw input.
    pub input: Value,
    /// The id of the event by which it was entered.
    pub entered_event: u64,
    /// The id of the last event of the history.
    pub last_event: u64,
    /// The number of redrives, with this one.
    pub count: u64,
    /// The variables that the states before it assigned.
    pub variables: Map<String, Value>,
}

impl StateMachine {
    /// Whether a redriven execution can continue in the state of this name: one of the machine's own states, and neither Map nor
    /// Parallel.
    pub fn can_resume(&self, state: &str) -> bool {
        let kind = self.workflow.find(state).map(|id| &self.workflow.state(id).kind);
        kind.is_some_and(|kind| !matches!(kind, StateKind::Map(_) | StateKind::Parallel(_)))
    }

    /// Whether one of the machine's own states has this name.
    pub fn has_state(&self, name: &str) -> bool {
        self.workflow.find(name).is_some()
    }
}

impl<'a> Execution<'a> {
    /// Creates an execution of `machine` on `input`. Paths read its identity from `context`.
    pub fn new(machine: &'a StateMachine, context: &'a ExecutionContext, input: Value) -> Self {
        let (_, never) = stop_switch();
        Self {
            machine,
            context,
            input,
            tasks: &NoTasks,
            history: &NoHistory,
            clock: &SystemClock,
            stop: never,
            redrive: None,
        }
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

    /// Continues an execution that ended without success, instead of starting with the first state.
    pub fn redrive(self, redrive: Redrive) -> Self {
        Self { redrive: Some(redrive), ..self }
    }

    /// Runs the execution to its end.
    ///
    /// The history receives each event as it happens, and the last event has the outcome. Dropping the future cancels
    /// the execution without another event.
    ///
    /// The execution has a [`tracing`] span, `execution`, which contains a span `state` for each state that it visits.
    pub async fn run(self) -> Outcome {
        let ExecutionContext { state_machine_name, execution_name, .. } = self.context;
        let span = debug_span!("execution", state_machine = %state_machine_name, name = %execution_name);
        self.run_in_span().instrument(span).await
    }

    async fn run_in_span(self) -> Outcome {
        let last_event = self.redrive.as_ref().map_or(0, |redrive| redrive.last_event);
        let environment = Environment {
            context: self.context,
            input: &self.input,
            tasks: self.tasks,
            journal: Journal::new(self.history, self.clock).after(last_event),
            clock: self.clock,
            redrives: self.redrive.as_ref().map_or(0, |redrive| redrive.count),
            probe: None,
        };
        let journal = &environment.journal;
        let chain = match &self.redrive {
            None => {
                let role_arn = self.context.role_arn.clone();
                journal.append(0, EventKind::ExecutionStarted { input: self.input.clone(), role_arn });
                // On AWS the first state follows from event 0, not from `ExecutionStarted`.
                EventChain::new(0)
            }
            Some(redrive) => {
                EventChain::new(journal.append(redrive.last_event, EventKind::ExecutionRedriven(redrive.count)))
            }
        };
        let outcome = outcome(self.machine, &environment, &chain, self.stop, self.redrive).await;
        outcome.log();
        let (previous, last) = match outcome.clone() {
            Outcome::Succeeded(output) => (chain.previous(), EventKind::ExecutionSucceeded(output)),
            Outcome::Failed(why) => (chain.previous(), EventKind::ExecutionFailed(why)),
            Outcome::TimedOut(why) => (0, EventKind::ExecutionTimedOut(why)),
            Outcome::Aborted(why) => (0, EventKind::ExecutionAborted(why)),
        };
        journal.append(previous, last);
        outcome
    }
}

async fn outcome(
    machine: &StateMachine,
    environment: &Environment<'_>,
    chain: &EventChain,
    stop: StopSignal,
    redrive: Option<Redrive>,
) -> Outcome {
    let variables = redrive.as_ref().map(|redrive| redrive.variables.clone()).unwrap_or_default();
    let variables = Arc::new(Variables::new(variables));
    let scope = Scope { environment, chain: chain.clone(), item: None, variables };
    let workflow = &machine.workflow;
    let work = match redrive {
        None => workflow.run(environment.input.clone(), scope),
        Some(Redrive { state, input, entered_event, .. }) => match workflow.find(&state) {
            Some(id) => workflow.run_from(id, Some(entered_event), input, scope),
            None => return Outcome::Failed(Failure::new("States.Runtime", format!("there is no state {state:?}"))),
        },
    };
    tokio::select! {
        biased;
        why = stop.stopped() => Outcome::Aborted(why),
        ended = with_timeout(environment.clock, machine.timeout, work) => match ended {
            Some(Ok(output)) => Outcome::Succeeded(output),
            Some(Err(Fault::Failed(why) | Fault::Fatal(why))) => Outcome::Failed(why),
            None => Outcome::TimedOut(Failure::default()),
        },
    }
}
