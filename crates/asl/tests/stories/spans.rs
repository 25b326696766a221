//! The spans of an execution and of its states, as a subscriber writes them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use asl::Outcome;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::fakes::{Stage, fails, merged, ok, only, task};

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

#[test]
fn events_and_ends_are_logged_with_execution_state_and_item() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let stage = Stage::new(|called| if called.retry == 0 && called.input == 7 { fails("E") } else { ok(json!({})) });
    let retry = json!([{ "ErrorEquals": ["E"], "IntervalSeconds": 2 }]);
    let processor = json!({ "StartAt": "T", "States": { "T": task(json!({ "Retry": retry })) } });
    let map = merged(json!({ "Type": "Map", "End": true }), json!({ "ItemProcessor": processor }));
    let outcome = tracing::subscriber::with_default(subscriber, || stage.run(only(map), json!([6, 7])));
    assert_eq!(outcome, Outcome::Succeeded(json!([{}, {}])));

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
