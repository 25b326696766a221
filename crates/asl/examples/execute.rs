//! Runs a state machine whose tasks are answered by whoever reads the output, on a clock on which waits take no time.
//!
//! ```text
//! execute DEFINITION.json '{"date": "2020-04-01"}' run-1
//! ```
//!
//! Lines of JSON. On standard output what happens:
//!
//! ```text
//! {"entered": "PlanRun", "second": 0}
//! {"task": "PlanRun", "resource": "arn:aws:states:::lambda:invoke", "input": {...}, "second": 0}
//! {"status": "SUCCEEDED", "output": {...}}          or FAILED, TIMED_OUT with "error" and "cause"; the last line
//! ```
//!
//! Behind each `task`, on standard input its answer, which may come some seconds of the machine's time later:
//!
//! ```text
//! {"result": {"StatusCode": 200, "Payload": {}}}
//! {"error": "QualityError", "cause": "12% of bids", "after": 30}
//! ```
//!
//! With it the definitions can be tried by hand, and held against another interpreter that is given the same answers.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use asl::{
    Clock, Event, EventKind, ExecutionContext, Failure, History, Outcome, Resource, StateMachine, TaskCall, Tasks,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

#[path = "../tests/stories/virtual_clock.rs"]
mod virtual_clock;
use virtual_clock::{START, VirtualClock};

/// What a task does, as the other side says.
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

/// The other side of standard input and output.
#[derive(Default)]
struct Dialogue {
    clock: VirtualClock,
}

impl Dialogue {
    fn say(&self, line: &Value) {
        // Nobody reads on: there is nothing left to do either.
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
    let input = serde_json::from_str(input).map_err(|error| format!("the input {input:?} is no JSON: {error}"))?;
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
    let (_switch, signal) = asl::stop_switch();
    let execution = asl::execute_by(&dialogue.clock, &machine, input, &context, &dialogue, &dialogue, signal);
    let (status, failure) = match dialogue.clock.run(execution) {
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
