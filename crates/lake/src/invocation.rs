//! The [`tracing`] span of one invocation of a Lambda function.
//!
//! It is the same on AWS and in the embedded endpoint, so that the log lines of a function, its error included, can be found by
//! run, day and table. Most fields come from the event. Functions that learn the run or the days from elsewhere add them.

use market::partition::DateRange;
use market::run::RunId;
use serde_json::Value;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, info_span};

use crate::error::Error;

/// Runs `handle` on the event, in the span of the invocation. Logs the event and the error.
///
/// # Errors
/// The error of `handle`.
pub async fn run<R, W>(
    function: &str,
    request_id: &str,
    event: Value,
    handle: impl FnOnce(Value) -> W,
) -> Result<R, Error>
where
    W: Future<Output = Result<R, Error>>,
{
    let span = span(function, request_id, &event);
    let logged = async {
        tracing::info!(%event, "invoked");
        let result = handle(event).await;
        if let Err(error) = &result {
            tracing::error!(name = error.name(), %error, "failed");
        }
        result
    };
    logged.instrument(span).await
}

/// Returns the run that an event names: its own field, or the execution that started the workflow of the function.
pub fn run_of(event: &Value) -> Option<RunId> {
    let field = |name: &str| event.get(name).and_then(Value::as_str);
    let started_by = || field(STARTED_BY)?.rsplit(':').next();
    field("run").or_else(started_by)?.parse().ok()
}

/// The field of an execution's input that names the execution that started it, for the console and for [`run_of`]. Step
/// Functions defines it: <https://docs.aws.amazon.com/step-functions/latest/dg/tutorial-associate-workflow-executions.html>.
pub const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

/// Creates the span. Fields that the event does not have stay empty.
fn span(function: &str, request_id: &str, event: &Value) -> Span {
    let field = |name: &str| event.get(name).and_then(Value::as_str);
    info_span!(
        "invocation",
        function,
        request_id,
        stage = field("stage"),
        run = run_of(event).map(|run| run.to_string()),
        table = field("table"),
        cluster_id = field("cluster_id"),
        step_id = field("step_id"),
        from = Empty,
        to = Empty,
    )
}

/// Adds the days that the current invocation works on to its span. Called once, in `handle` itself and not in a span within.
pub fn record_days(range: DateRange) {
    let span = Span::current();
    span.record("from", display(range.from()));
    span.record("to", display(range.to()));
}

/// Adds the run to the span of the current invocation, if the event does not contain it. Called as [`record_days`].
pub fn record_run(run: &RunId) {
    Span::current().record("run", display(run));
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::{concurrency, lambda};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Buffer {
        fn lines(&self) -> Vec<Value> {
            let bytes = self.0.lock().expect("no panic");
            bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
        }
    }

    fn day(day: &str) -> DateRange {
        DateRange::day(day.parse().expect("a date")).expect("a day")
    }

    #[tokio::test]
    async fn an_error_is_logged_with_the_run_and_the_days_of_its_invocation() {
        let log = Buffer::default();
        let writer = log.clone();
        let _guard = tracing::subscriber::set_default(lambda::log_to(move || writer.clone()));

        let event = json!({"stage": "staged", "run": "a-1", "records": 3});
        let result: Result<(), Error> = run("validate-partitions", "id-1", event, async |_| {
            record_days(day("2020-04-01"));
            Err(Error::Quality("too many rejects".to_owned()))
        })
        .await;
        assert!(result.is_err());

        let [invoked, failed] = &log.lines()[..] else { panic!("{:?}", log.lines()) };
        assert_eq!(invoked["spans"][0]["run"], "a-1");
        assert_eq!(invoked["spans"][0]["from"], Value::Null, "the days are not known yet");
        assert_eq!(failed["level"], "ERROR");
        assert_eq!(failed["fields"]["name"], "QualityError");
        assert_eq!(
            failed["spans"],
            json!([{
                "name": "invocation", "function": "validate-partitions", "request_id": "id-1", "stage": "staged",
                "run": "a-1", "from": "2020-04-01", "to": "2020-04-01",
            }])
        );
    }

    #[test]
    fn the_run_is_that_of_the_event_or_of_its_workflow() {
        let arn = "arn:aws:states:us-east-1:000000000000:execution:pregao-create_datalake:nightly-7";
        for (event, expected) in [
            (json!({"run": "a-1", STARTED_BY: arn}), Some("a-1")),
            (json!({"table": "quotes", STARTED_BY: arn}), Some("nightly-7")),
            (json!({"run": null}), None),
            (json!({"run": "a b"}), None),
            (json!([]), None),
        ] {
            assert_eq!(run_of(&event).map(|run| run.to_string()).as_deref(), expected, "{event}");
        }
    }

    #[tokio::test]
    async fn concurrent_work_is_logged_in_the_span_of_its_invocation() {
        let log = Buffer::default();
        let writer = log.clone();
        let _guard = tracing::subscriber::set_default(lambda::log_to(move || writer.clone()));

        let result: Result<_, Error> = run("stop-emr-step", "id-2", json!({}), async |_| {
            record_run(&"b-2".parse().expect("a run"));
            concurrency::map(1..=2, std::num::NonZeroUsize::MIN, |number| async move {
                tracing::info!(number, "working");
                Ok(())
            })
            .await
        })
        .await;
        result.expect("it succeeds");

        let runs: Vec<Value> = log.lines().iter().map(|line| line["spans"][0]["run"].clone()).collect();
        assert_eq!(runs, [json!(null), json!("b-2"), json!("b-2")]);
    }
}
