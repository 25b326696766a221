//! An interpreter of the [Amazon States Language](https://states-language.net/spec.html) that behaves as AWS Step
//! Functions does.
//!
//! It implements the language only, and knows no AWS service. The work of Task states is done by an implementation of
//! [`Tasks`]; events are recorded by a [`History`]. Types, order, ids and details of the events, and the messages of
//! errors, are those of AWS's `GetExecutionHistory`.
//!
//! - [`StateMachine::parse`] parses a definition. An error has its location.
//! - [`Execution`] runs a state machine. A [`StopSwitch`] stops it, and a [`Redrive`] continues it.
//! - [`StateTest`] runs a single state, with mocked results.
//!
//! The modules are layers, each of which imports only those before it: `syntax` (fields, errors, limits), `data` (paths,
//! intrinsic functions, templates, choice rules), `model` (definitions) and `run` (executions).
//!
//! ```
//! use std::sync::Mutex;
//!
//! use asl::{Event, Execution, ExecutionContext, Failure, History, Outcome, Resource, StateMachine, TaskCall, Tasks};
//! use serde_json::{Value, json};
//!
//! struct Functions;
//!
//! #[async_trait::async_trait]
//! impl Tasks for Functions {
//!     async fn run(&self, resource: &Resource, input: Value, _: &TaskCall<'_>) -> Result<Value, Failure> {
//!         assert_eq!(resource.arn(), "arn:aws:states:::lambda:invoke");
//!         match input["FunctionName"].as_str() {
//!             Some("ingest") => Ok(json!({ "Payload": { "files": 27, "day": input["Payload"]["day"] } })),
//!             other => Err(Failure::new("Lambda.ResourceNotFoundException", format!("no function {other:?}"))),
//!         }
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Events(Mutex<Vec<Event>>);
//!
//! impl History for Events {
//!     fn record(&self, event: Event) {
//!         self.0.lock().unwrap().push(event);
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let machine = StateMachine::parse(
//!     r#"{
//!         "StartAt": "Ingest",
//!         "States": {
//!             "Ingest": {
//!                 "Type": "Task",
//!                 "Resource": "arn:aws:states:::lambda:invoke",
//!                 "Parameters": { "FunctionName": "ingest", "Payload.$": "$" },
//!                 "Retry": [{ "ErrorEquals": ["Lambda.TooManyRequestsException"], "MaxAttempts": 5 }],
//!                 "ResultPath": "$.raw",
//!                 "OutputPath": "$.raw.Payload",
//!                 "End": true
//!             }
//!         }
//!     }"#,
//! )?;
//! let context = ExecutionContext {
//!     execution_arn: "arn:aws:states:us-east-1:000000000000:execution:upload:run-1".into(),
//!     execution_name: "run-1".into(),
//!     role_arn: "arn:aws:iam::000000000000:role/states".into(),
//!     started: chrono::Utc::now(),
//!     state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:upload".into(),
//!     state_machine_name: "upload".into(),
//!     region: "us-east-1".into(),
//! };
//! let events = Events::default();
//! let execution = Execution::new(&machine, &context, json!({ "day": "2020-04-01" }));
//! let outcome = execution.tasks(&Functions).history(&events).run().await;
//!
//! assert_eq!(outcome, Outcome::Succeeded(json!({ "files": 27, "day": "2020-04-01" })));
//! let events = events.0.into_inner().unwrap();
//! assert_eq!(events.len(), 7);
//! assert_eq!(events[4].kind.type_name(), "TaskSucceeded");
//! # Ok::<(), asl::DefinitionError>(())
//! # }).unwrap();
//! ```
//!
//! # What is supported
//!
//! | part of the specification | support |
//! |---|---|
//! | Query language | JSONPath. **JSONata is refused**, and with it `Arguments` and `Output` |
//! | Variables | `Assign` of states, of rules of a Choice and of catchers; `$name.a[0]` wherever a path is read; a scope for each branch and iteration, inside the outer one. 256 KiB in one `Assign`, 10 MiB that a state can read |
//! | Machine | `StartAt`, `States`, `TimeoutSeconds`, `Comment`, `Version` |
//! | Task | all but `Credentials`. Resources: functions by ARN, and service integrations; **activities and `.waitForTaskToken` are refused**. `HeartbeatSeconds` is checked and recorded in the history, but no heartbeat can be missed |
//! | Choice | all comparison operators, their `Path` forms, `And`, `Or`, `Not`, `Default` |
//! | Wait | `Seconds`, `SecondsPath`, `Timestamp`, `TimestampPath` |
//! | Map | inline: `ItemProcessor` or `Iterator`, `ItemsPath`, `ItemSelector` or `Parameters`, `MaxConcurrency(Path)`, at most 40 concurrent iterations. **The distributed mode is refused** (`ItemReader`, `ItemBatcher`, `ResultWriter`, tolerated failures) |
//! | Parallel, Pass, Succeed, Fail | all |
//! | Data flow | `InputPath`, `Parameters`, `ResultSelector`, `ResultPath`, `OutputPath`, `null` where AWS allows it |
//! | Retry | all: `ErrorEquals`, `IntervalSeconds`, `MaxAttempts`, `BackoffRate`, `MaxDelaySeconds`, `JitterStrategy` |
//! | Catch | `ErrorEquals`, `Next`, `ResultPath`, `Assign` |
//! | Paths | `$.a['b'][0]` and `$.a-b` as on AWS; wildcards, slices, lists, descents and filters as in RFC 9535; no functions such as `length()`. A filter may have one descent and no list |
//! | Context object | `Execution`, `State`, `StateMachine`, `Map.Item`; no `Task.Token` |
//! | Intrinsic functions | all 18 `States.*` |
//! | Checks of a definition | fields and their values, targets, unreachable states, missing ends, duplicate names; fields that this crate does not support are refused, never ignored |
//!
//! # Where AWS departs from the specification
//!
//! This crate behaves as AWS does where AWS differs:
//!
//! - A path that selects nothing, an intrinsic function that fails and a Choice without a matching rule are all
//!   `States.Runtime`, which is neither retried nor caught. The specification's `States.ParameterPathFailure`,
//!   `States.IntrinsicFailure` and `States.NoChoiceMatched` are allowed in `ErrorEquals`, but never occur.
//! - A path that can select several nodes returns an empty array if it selects none, also if a step before the wildcard,
//!   slice or filter is missing.
//! - A list of names at the end of a path, `$['a','b']`, selects one object with these fields, where RFC 9535 selects the
//!   values. In a template, an index beyond the end of an array is `null`. In a name in single quotes, a backslash before a
//!   double quote is itself.
//! - `States.Format` writes objects and arrays as Java does: `{a=1, b=[x, y]}`.
//! - A Wait state of more than 2^31 - 1 seconds (24,855 days) fails when it is entered, with `States.Runtime`.
//! - A failed branch keeps its own error name, and is not renamed `States.BranchFailed`.
//! - The result of a task over 256 KiB is `States.DataLimitExceeded`, which `States.ALL` catches (recorded on AWS; its guide
//!   says otherwise). If the output of a state is over the limit, the execution fails.
//! - `States.StringSplit` drops empty pieces, `States.ArrayRange` truncates fractions while `States.MathAdd` rounds them,
//!   and `States.Base64Decode` skips characters that are not Base64.
//! - An execution ends when its history reaches 25,000 events.
//!
//! Where AWS documents nothing, this crate decides:
//!
//! - A variable that was not assigned is like a path that selects nothing. In the `Assign` of a Task, Map or Parallel state, `$` is
//!   the result before `ResultSelector`.
//! - `States.BranchFailed` in a Parallel state's `ErrorEquals` matches each failure of a branch.
//! - `States.MathRandom` returns other numbers for a seed than AWS does.
//! - Some messages of definition errors differ from those of AWS.
//! - A payload is nested at most 127 levels deep.
//! - A path that would visit or copy many times the nodes of a payload (`$..*..*..*`) is `States.Runtime`.

mod data;
mod model;
mod run;
mod syntax;

pub use data::{ExecutionContext, check_variable_name};
pub use model::{Resource, StateMachine};
pub use run::{
    Clock, Event, EventKind, Execution, History, Integration, Iteration, Outcome, Redrive, StateTest, StateTested,
    StateType, StopSignal, StopSwitch, SystemClock, TaskCall, Tasks, TestStatus, TestedState, stop_switch,
};
pub use syntax::{DefinitionError, DefinitionErrorCode, Failure, JsonFault, parse_json};

/// Path queries for the fuzz targets. Not part of the API.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::data::fuzzing::{canonical, find};
}
