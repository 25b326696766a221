//! Runs a state machine on a virtual clock, on which waits take no time. Standard input answers its tasks.
//!
//! ```text
//! execute DEFINITION.json '{"date": "2020-04-01"}' run-1
//! ```
//!
//! Standard output has a line of JSON per state and task, and the outcome in the last line:
//!
//! ```text
//! {"entered": "PlanRun", "second": 0}
//! {"task": "PlanRun", "resource": "arn:aws:states:::lambda:invoke", "input": {...}, "second": 0}
//! {"status": "SUCCEEDED", "output": {...}}          or FAILED, TIMED_OUT with "error" and "cause"
//! ```
//!
//! After each `task`, a line of standard input has its answer. `after` is a delay in seconds of the virtual clock:
//!
//! ```text
//! {"result": {"StatusCode": 200, "Payload": {}}}
//! {"error": "QualityError", "cause": "12% of bids", "after": 30}
//! ```
//!
//! Use it to try a definition by hand, or to compare this interpreter with another one that gets the same answers.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use asl::{
    Clock, Event, EventKind, Execution, ExecutionContext, Failure, History, Outcome, Resource, StateMachine, TaskCall,
    Tasks,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

#[path = "../tests/stories/virtual_clock.rs"]
mod virtual_clock;
use virtual_clock::{START, VirtualClock};

/// The answer of a task.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Result {
        result: Value,
        #[serde(default)]
        after: u64,
    },
    Failure {
        error: String,
        cause: String,
        #[serde(default)]
        after: u64,
    },
}

/// A dialogue on standard input and output.
#[derive(Default)]
struct Dialogue {
    clock: VirtualClock,
}

impl Dialogue {
    fn say(&self, line: &Value) {
        // The reader has closed the pipe.
        writeln!(io::stdout().lock(), "{line}").unwrap_or_else(|_| std::process::exit(1));
    }

    fn second(&self) -> u64 {
        self.clock.elapsed().as_secs()
    }
}

#[async_trait]
impl Tasks for Dialogue {
    async fn run(&self, resource: &Resource, input: Value, call: &TaskCall<'_>) -> Result<Value, Failure> {
        let second = self.second();
        self.say(&json!({ "task": call.state, "resource": resource.arn(), "input": input, "second": second }));
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string());
        let answer = read.and_then(|_| serde_json::from_str(&line).map_err(|error| format!("{error}: {line:?}")));
        let (after, outcome) = match answer {
            Ok(Answer::Result { result, after }) => (after, Ok(result)),
            Ok(Answer::Failure { error, cause, after }) => (after, Err(Failure::new(error, cause))),
            Err(error) => panic!("{} needs an answer, a line of JSON: {error}", call.state),
        };
        self.clock.sleep(Duration::from_secs(after)).await;
        outcome
    }
}

impl History for Dialogue {
    fn record(&self, event: Event) {
        if let EventKind::StateEntered { name, .. } = event.kind {
            self.say(&json!({ "entered": name, "second": self.second() }));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [definition, input, name] = arguments.as_slice() else {
        return Err("usage: execute DEFINITION.json INPUT NAME; the tasks are answered on standard input".into());
    };
    let text = std::fs::read_to_string(definition).map_err(|error| format!("{definition}: {error}"))?;
    let machine = StateMachine::parse(&text).map_err(|error| format!("{definition}: {error}"))?;
    let input = serde_json::from_str(input).map_err(|error| format!("the input {input:?} is not JSON: {error}"))?;
    let context = ExecutionContext {
        execution_arn: format!("arn:aws:states:us-east-1:000000000000:execution:machine:{name}"),
        execution_name: name.clone(),
        role_arn: "arn:aws:iam::000000000000:role/states".into(),
        started: START.parse()?,
        state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:machine".into(),
        state_machine_name: "machine".into(),
        region: "us-east-1".into(),
    };

    let dialogue = Dialogue::default();
    let execution = Execution::new(&machine, &context, input);
    let execution = execution.tasks(&dialogue).history(&dialogue).clock(&dialogue.clock);
    let (status, failure) = match dialogue.clock.run(execution.run()) {
        Outcome::Succeeded(output) => {
            dialogue.say(&json!({ "status": "SUCCEEDED", "output": output }));
            return Ok(());
        }
        Outcome::Failed(failure) => ("FAILED", failure),
        Outcome::TimedOut(failure) => ("TIMED_OUT", failure),
        Outcome::Aborted(failure) => ("ABORTED", failure),
    };
    dialogue.say(&json!({ "status": status, "error": failure.error, "cause": failure.cause }));
    Ok(())
}
