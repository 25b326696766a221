//! A fixture that runs machines on a virtual clock, answers tasks by a closure, and records calls and events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use asl::{
    Clock, Event, Execution, ExecutionContext, Failure, History, Outcome, Redrive, Resource, StateMachine, StopSwitch,
    TaskCall, Tasks,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::virtual_clock::VirtualClock;

/// The response of a fake task, and its delay.
pub(crate) struct Answer {
    after: Duration,
    result: Result<Value, Failure>,
}

pub(crate) fn ok(result: Value) -> Answer {
    Answer { after: Duration::ZERO, result: Ok(result) }
}

pub(crate) fn fails(error: &str) -> Answer {
    Answer { after: Duration::ZERO, result: Err(Failure::new(error, format!("{error} happened"))) }
}

impl Answer {
    /// Delays the answer.
    pub(crate) fn after_seconds(self, seconds: u64) -> Self {
        Self { after: Duration::from_secs(seconds), ..self }
    }
}

/// A call of a fake task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Called {
    pub state: String,
    pub resource: String,
    pub input: Value,
    pub retry: u32,
    pub at_second: u64,
    pub timeout: Option<Duration>,
}

type Reply = dyn Fn(&Called) -> Answer + Send + Sync;

/// The clock, tasks and history of an execution.
pub(crate) struct Stage {
    pub clock: VirtualClock,
    pub calls: Mutex<Vec<Called>>,
    pub events: Mutex<Vec<Event>>,
    /// The states whose tasks were cancelled.
    pub dropped: Arc<Mutex<Vec<String>>>,
    reply: Box<Reply>,
}

impl Stage {
    pub(crate) fn new(reply: impl Fn(&Called) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            clock: VirtualClock::default(),
            calls: Mutex::default(),
            events: Mutex::default(),
            dropped: Arc::default(),
            reply: Box::new(reply),
        }
    }

    /// Creates a stage for machines without tasks.
    pub(crate) fn bare() -> Self {
        Self::new(|called| panic!("{called:?} is not expected"))
    }

    pub(crate) fn run(&self, definition: Value, input: Value) -> Outcome {
        let machine = machine(&definition);
        let context = context();
        self.clock.run(self.execution(&machine, &context, input).run())
    }

    /// Runs a machine concurrently with a future that may stop it.
    pub(crate) fn run_beside<'a>(
        &'a self,
        definition: Value,
        beside: impl FnOnce(StopSwitch) -> BoxFuture<'a, ()>,
    ) -> Outcome {
        let (switch, signal) = asl::stop_switch();
        let machine = machine(&definition);
        let context = context();
        let execution = self.execution(&machine, &context, json!({})).stop_on(signal).run();
        let both = futures::future::join(execution, beside(switch));
        self.clock.run(both).0
    }

    /// Continues an execution of [`Stage::run`].
    pub(crate) fn redrive(&self, definition: Value, input: Value, redrive: Redrive) -> Outcome {
        let machine = machine(&definition);
        assert!(machine.can_resume(&redrive.state), "{redrive:?}");
        let context = context();
        self.clock.run(self.execution(&machine, &context, input).redrive(redrive).run())
    }

    fn execution<'a>(
        &'a self,
        machine: &'a StateMachine,
        context: &'a ExecutionContext,
        input: Value,
    ) -> Execution<'a> {
        Execution::new(machine, context, input).tasks(self).history(self).clock(&self.clock)
    }

    pub(crate) fn calls(&self) -> Vec<Called> {
        self.calls.lock().expect("calls").clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().expect("events").clone()
    }

    /// Returns the events as `"2 <- 0 PassStateEntered"`: id, previous id and type.
    pub(crate) fn story(&self) -> Vec<String> {
        let short = |event: &Event| format!("{} <- {} {}", event.id, event.previous_event_id, event.kind.type_name());
        self.events().iter().map(short).collect()
    }

    /// Returns the types of the events, in order.
    pub(crate) fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| event.kind.type_name()).collect()
    }

    /// Returns the details of the only event of a type.
    pub(crate) fn details(&self, event_type: &str) -> Value {
        let of_type = self.events().into_iter().filter(|event| event.kind.type_name() == event_type);
        let events: Vec<Value> = of_type.map(|event| serde_json::to_value(event).expect("JSON")).collect();
        let [event] = events.as_slice() else {
            panic!("{} events of type {event_type}", events.len());
        };
        let details = event.as_object().expect("an object").iter().find(|(field, _)| field.ends_with("EventDetails"));
        details.map(|(_, details)| details.clone()).unwrap_or_default()
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.clock.elapsed().as_secs()
    }
}

pub(crate) fn machine(definition: &Value) -> StateMachine {
    StateMachine::parse(&definition.to_string()).unwrap_or_else(|error| panic!("{definition}: {error}"))
}

pub(crate) fn context() -> ExecutionContext {
    ExecutionContext {
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:create_datalake:run-1".into(),
        execution_name: "run-1".into(),
        role_arn: "arn:aws:iam::000000000000:role/states".into(),
        started: DateTime::<Utc>::UNIX_EPOCH,
        state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:create_datalake".into(),
        state_machine_name: "create_datalake".into(),
        region: "us-east-1".into(),
    }
}

/// Records the state of a task that is dropped before it completes.
struct DropNote {
    state: Option<String>,
    dropped: Arc<Mutex<Vec<String>>>,
}

impl Drop for DropNote {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.dropped.lock().expect("dropped").push(state);
        }
    }
}

#[async_trait]
impl Tasks for Stage {
    async fn run(&self, resource: &Resource, input: Value, call: &TaskCall<'_>) -> Result<Value, Failure> {
        assert_eq!(call.execution, &context());
        let called = Called {
            state: call.state.to_owned(),
            resource: resource.to_string(),
            input,
            retry: call.retry_count,
            at_second: self.seconds(),
            timeout: call.timeout,
        };
        self.calls.lock().expect("calls").push(called.clone());
        let mut note = DropNote { state: Some(called.state.clone()), dropped: self.dropped.clone() };
        let answer = (self.reply)(&called);
        if called.resource.contains(".sync") {
            call.submitted(&json!({ "submitted": called.state }));
        }
        self.clock.sleep(answer.after).await;
        note.state = None;
        answer.result
    }
}

impl History for Stage {
    fn record(&self, event: Event) {
        self.events.lock().expect("events").push(event);
    }
}

/// Returns a task of the Lambda integration that ends the workflow, with more fields.
pub(crate) fn task(more: Value) -> Value {
    let base = json!({ "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true });
    merged(base, more)
}

/// Merges the fields of another object into an object. `null` removes a field.
pub(crate) fn merged(mut base: Value, more: Value) -> Value {
    let fields = base.as_object_mut().expect("an object");
    for (field, value) in more.as_object().expect("an object") {
        match value {
            Value::Null => fields.remove(field),
            value => fields.insert(field.clone(), value.clone()),
        };
    }
    base
}

/// Returns a machine whose only state is `S`.
pub(crate) fn only(state: Value) -> Value {
    json!({ "StartAt": "S", "States": { "S": state } })
}

/// Returns a machine of the state `S`, whose failures are caught by a Pass state `Caught`.
pub(crate) fn caught(mut state: Value, errors: Value) -> Value {
    state["Catch"] = json!([{ "ErrorEquals": errors, "Next": "Caught" }]);
    json!({ "StartAt": "S", "States": { "S": state, "Caught": { "Type": "Pass", "End": true } } })
}
