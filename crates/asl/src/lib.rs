//! Runs state machines written in the [Amazon States Language](https://states-language.net/spec.html), as AWS Step
//! Functions does.
//!
//! It is the language alone, and knows no AWS service. What a Task state does is up to a [`Tasks`]; what happened is told
//! to a [`History`], in the very events that GetExecutionHistory gives: their types, order, ids and details, and the words
//! of the errors, are those of AWS.
//!
//! - [`StateMachine::parse`] reads a definition and refuses it with the place of the fault.
//! - [`Execution`] runs a state machine. A [`StopSwitch`] stops it.
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
//! | of the specification | |
//! |---|---|
//! | Query language | JSONPath. **JSONata is refused**, and with it variables (`Assign`, `$name`), `Arguments` and `Output` |
//! | Machine | `StartAt`, `States`, `TimeoutSeconds`, `Comment`, `Version` |
//! | Task | all but `Credentials`. Resources: functions by ARN, and service integrations; **activities and `.waitForTaskToken` are refused**. A heartbeat is checked and told to the history; nothing here could miss one |
//! | Choice | all comparison operators, their `Path` forms, `And`, `Or`, `Not`, `Default` |
//! | Wait | `Seconds`, `SecondsPath`, `Timestamp`, `TimestampPath` |
//! | Map | inline: `ItemProcessor` or `Iterator`, `ItemsPath`, `ItemSelector` or `Parameters`, `MaxConcurrency(Path)`, at most 40 at a time. **The distributed mode is refused** (`ItemReader`, `ItemBatcher`, `ResultWriter`, tolerated failures) |
//! | Parallel, Pass, Succeed, Fail | all |
//! | Data flow | `InputPath`, `Parameters`, `ResultSelector`, `ResultPath`, `OutputPath`, `null` where it may be |
//! | Retry | all: `ErrorEquals`, `IntervalSeconds`, `MaxAttempts`, `BackoffRate`, `MaxDelaySeconds`, `JitterStrategy` |
//! | Catch | `ErrorEquals`, `Next`, `ResultPath` |
//! | Paths | `$.a['b'][0]` and `$.a-b` as AWS reads them; wildcards, slices, lists, descents and filters as RFC 9535 does; no functions such as `length()`. In a filter no list, and one descent |
//! | Context object | `Execution`, `State`, `StateMachine`, `Map.Item`; no `Task.Token` |
//! | Intrinsic functions | all 18 `States.*` |
//! | Checks of a definition | fields and their values, targets, unreachable states, missing ends, duplicate names; fields that AWS knows and this crate does not are refused and never ignored |
//!
//! # Where AWS departs from the specification
//!
//! AWS is followed, not the text:
//!
//! - A path that finds nothing, an intrinsic function that fails and a Choice that nothing matches are all
//!   `States.Runtime`, which is neither retried nor caught. The specification's `States.ParameterPathFailure`,
//!   `States.IntrinsicFailure` and `States.NoChoiceMatched` may be named in `ErrorEquals`, but never occur.
//! - A path that can name many nodes gives an empty array where it names none, also where a step before the wildcard,
//!   slice or filter is missing.
//! - A Wait state of more than 2^31 - 1 seconds (24,855 days) fails when it is entered, with `States.Runtime`.
//! - A failed branch keeps its own error name, and is not renamed `States.BranchFailed`.
//! - The result of a task over 256 KiB is `States.DataLimitExceeded`, which `States.ALL` catches (so recorded on AWS; its
//!   guide says otherwise). Where the output of a state is over the limit, the execution fails.
//! - The intrinsic functions have AWS's habits: `States.StringSplit` drops empty pieces, `States.ArrayRange` drops
//!   fractions where `States.MathAdd` rounds them, `States.Base64Decode` forgives what is not Base64.
//! - An execution ends when its history reaches 25,000 events.
//!
//! What AWS does not publish, and is our own: that `States.BranchFailed` in a Parallel state's `ErrorEquals` matches every
//! failure of a branch; the numbers that a seed gives in `States.MathRandom`; the words of some refusals; a limit of 127
//! levels to how deep a payload may nest; and that a path which would look at or copy many times a payload
//! (`$..*..*..*`) is `States.Runtime`.

mod catch;
mod clock;
mod context;
mod data_flow;
mod definition;
mod error_names;
mod execution;
mod failure;
mod history;
mod intrinsic;
mod journal;
mod path;
mod retry;
mod state;
mod stop;
mod tasks;
mod template;

pub use clock::{Clock, SystemClock};
pub use definition::{DefinitionError, DefinitionErrorCode, StateMachine};
pub use execution::{Execution, ExecutionContext, Outcome};
pub use failure::Failure;
pub use history::{Event, EventKind, History, Integration, Iteration, StateType};
pub use stop::{StopSignal, StopSwitch, stop_switch};
pub use tasks::{Resource, TaskCall, Tasks};

/// What the fuzz targets look up paths with. No part of the interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::path::fuzzing::{canonical, find};
}
