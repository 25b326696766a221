//! How a handler becomes a Lambda function.

pub use lambda_runtime::Error as RuntimeError;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::metrics::Metrics;
use crate::{Config, Error, Lake};

/// Answers invocations with `handle` until the runtime ends the process. The configuration is read and the clients are
/// made once, before the first. Logs are lines of JSON on stderr, metrics on stdout.
///
/// # Errors
/// A configuration that cannot be used, or a runtime that cannot be reached.
pub async fn serve<R: Serialize>(handle: impl AsyncFn(&Lake, Value) -> Result<R, Error>) -> Result<(), RuntimeError> {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_current_span(false).init();
    let mut lake = Lake::connect(Config::from_environment()?).await;
    lake.metrics = Metrics::to_stdout();
    let lake = &lake;
    let handle = &handle;
    let service = service_fn(|event: LambdaEvent<Value>| async move {
        tracing::info!(event = %event.payload, "invoked");
        // On the heap, or the compiler would have to lay out the runtime and every call of an SDK as one value.
        let result = Box::pin(handle(lake, event.payload)).await;
        if let Err(error) = &result {
            tracing::error!(name = error.name(), %error, "failed");
        }
        result
    });
    lambda_runtime::run(service).await
}

/// Reads the event of a function.
///
/// # Errors
/// [`Error::InvalidInput`] that says what is wrong and shows the event's form, which `expected` is.
pub fn parse_event<E: DeserializeOwned>(event: Value, expected: &str) -> Result<E, Error> {
    serde_json::from_value(event)
        .map_err(|error| Error::InvalidInput(format!("the event cannot be read: {error}; expected {expected}")))
}
