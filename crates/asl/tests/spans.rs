//! The spans of an execution and of its states, as a subscriber writes them.
//!
//! A file of its own, with one test. Tests of one binary share the cache of which callsites are enabled, and a test without a
//! subscriber that reaches a callsite first can disable it for the others.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asl::{Clock, Execution, ExecutionContext, Failure, Outcome, Resource, StateMachine, TaskCall, Tasks};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails the first attempt with the input 7. All other attempts succeed.
#[derive(Default)]
struct FailsOnce(AtomicBool);

#[async_trait]
impl Tasks for FailsOnce {
    async fn run(&self, _: &Resource, input: Value, _: &TaskCall<'_>) -> Result<Value, Failure> {
        if input == 7 && !self.0.swap(true, Ordering::SeqCst) {
            Err(Failure::new("E", "E happened"))
        } else {
            Ok(json!({}))
        }
    }
}

struct NoWait;

#[async_trait]
impl Clock for NoWait {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {}
}

#[test]
fn events_and_ends_are_logged_with_execution_state_and_item() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .without_time()
        .with_writer(move || writer.clone())
        .finish()
        .init();

    let machine = StateMachine::parse(
        &json!({ "StartAt": "S", "States": { "S": { "Type": "Map", "End": true, "ItemProcessor": {
            "StartAt": "T", "States": { "T": {
                "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
                "Retry": [{ "ErrorEquals": ["E"], "IntervalSeconds": 2 }],
            } },
        } } } })
        .to_string(),
    )
    .expect("a state machine");
    let context = ExecutionContext {
        execution_arn: "arn:aws:states:us-east-1:000000000000:execution:create_datalake:run-1".into(),
        execution_name: "run-1".into(),
        role_arn: "arn:aws:iam::000000000000:role/states".into(),
        started: DateTime::UNIX_EPOCH,
        state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:create_datalake".into(),
        state_machine_name: "create_datalake".into(),
        region: "us-east-1".into(),
    };
    let tasks = FailsOnce::default();
    let execution = Execution::new(&machine, &context, json!([6, 7])).tasks(&tasks).clock(&NoWait);
    assert_eq!(futures::executor::block_on(execution.run()), Outcome::Succeeded(json!([{}, {}])));

    let text = String::from_utf8(log.0.lock().expect("the log").clone()).expect("text");
    let execution = "execution{state_machine=create_datalake name=run-1}";
    let within = format!("{execution}:state{{name=\"S\" kind=Map}}:state{{name=\"T\" kind=Task item=1}}");
    for expected in [
        format!(
            "DEBUG {within}: asl::run::attempts: retrying the state error=\"E\" cause=\"E happened\" retry=1 delay=2s"
        ),
        format!("DEBUG {within}: asl::run::state: close"),
        format!("DEBUG {execution}:state{{name=\"S\" kind=Map}}: asl::run::state: close"),
        format!("DEBUG {execution}: asl::run::execution: the execution succeeded"),
        format!("DEBUG {execution}: asl::run::execution: close"),
    ] {
        assert!(text.lines().any(|line| line.starts_with(&expected)), "no {expected} in\n{text}");
    }
    assert_eq!(text.matches("retrying the state").count(), 1, "{text}");
}
