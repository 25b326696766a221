//! Runs a handler as a Lambda function.

use std::io;
use std::time::Instant;

pub use lambda_runtime::Error as RuntimeError;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::metrics::{Metric, Metrics};
use crate::{Config, Error, Lake, invocation, price};

/// Serves invocations with `handle` until Lambda ends the process. Reads the configuration and creates the clients once,
/// before the first invocation. Logs are JSON lines on stderr, with the fields of the spans they are in; metrics go to stdout.
///
/// # Errors
/// If the configuration is invalid, or the Lambda runtime API cannot be reached.
pub async fn serve<R: Serialize>(handle: impl AsyncFn(&Lake, Value) -> Result<R, Error>) -> Result<(), RuntimeError> {
    log_to(io::stderr).init();
    let mut lake = Lake::connect(Config::from_environment()?).await;
    lake.metrics = Metrics::to_stdout();
    let lake = &lake;
    let handle = &handle;
    let service = service_fn(|event: LambdaEvent<Value>| async move {
        let Context { request_id, env_config, .. } = &event.context;
        let (lake, started) = (&lake.for_event(&event.payload), Instant::now());
        // Boxed, because otherwise the runtime and all SDK calls become one huge future type, which is slow to compile.
        let handle = |event| Box::pin(handle(lake, event));
        let result = invocation::run(&env_config.function_name, request_id, event.payload, handle).await;
        let gigabytes = f64::from(env_config.memory) / 1024.0;
        lake.measure(&[(Metric::Cost, started.elapsed().as_secs_f64() * gigabytes * price::GB_SECOND)]);
        result
    });
    lambda_runtime::run(service).await
}

/// Returns the log: a JSON line for each event, with its fields and those of its spans.
pub(crate) fn log_to(writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) -> impl Subscriber + Send + Sync {
    // Without the current span, which is the last one in the list of spans.
    tracing_subscriber::fmt().json().with_writer(writer).with_current_span(false).finish()
}

/// Deserializes the event of a function.
///
/// # Errors
/// [`Error::InvalidInput`] with the reason and `expected`, the form of the event.
pub fn parse_event<E: DeserializeOwned>(event: Value, expected: &str) -> Result<E, Error> {
    serde_json::from_value(event)
        .map_err(|error| Error::malformed(format!("the event cannot be read: {error}; expected {expected}"), error))
}
