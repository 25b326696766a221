//! Runs a handler as a Lambda function.

pub use lambda_runtime::Error as RuntimeError;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::metrics::Metrics;
use crate::{Config, Error, Lake};

/// Serves invocations with `handle` until Lambda ends the process. Reads the configuration and creates the clients once,
/// before the first invocation. Logs are JSON lines on stderr; metrics go to stdout.
///
/// # Errors
/// If the configuration is invalid, or the Lambda runtime API cannot be reached.
pub async fn serve<R: Serialize>(handle: impl AsyncFn(&Lake, Value) -> Result<R, Error>) -> Result<(), RuntimeError> {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_current_span(false).init();
    let mut lake = Lake::connect(Config::from_environment()?).await;
    lake.metrics = Metrics::to_stdout();
    let lake = &lake;
    let handle = &handle;
    let service = service_fn(|event: LambdaEvent<Value>| async move {
        tracing::info!(event = %event.payload, "invoked");
        // Boxed, because otherwise the runtime and all SDK calls become one huge future type, which is slow to compile.
        let result = Box::pin(handle(lake, event.payload)).await;
        if let Err(error) = &result {
            tracing::error!(name = error.name(), %error, "failed");
        }
        result
    });
    lambda_runtime::run(service).await
}

/// Deserializes the event of a function.
///
/// # Errors
/// [`Error::InvalidInput`] with the reason and `expected`, the form of the event.
pub fn parse_event<E: DeserializeOwned>(event: Value, expected: &str) -> Result<E, Error> {
    serde_json::from_value(event)
        .map_err(|error| Error::malformed(format!("the event cannot be read: {error}; expected {expected}"), error))
}
