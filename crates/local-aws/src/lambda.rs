//! Lambda: the functions, run in this process, and the API to invoke them.
//!
//! A function is the `handle` of its crate, which Lambda's runtime calls when it is deployed. An error or a panic becomes
//! what that runtime reports: an object with `errorType` and `errorMessage`.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use lake::{Error, Lake, invocation};
use local_athena::panic_message;
use s3s::Body;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Instrument;
use uuid::Uuid;

use crate::identity::{function_arn, role_arn};

/// The prefix of the paths of Lambda's API.
pub(crate) const PATH: &str = "/2015-03-31/functions";

/// Lambda's limit for the size of an event.
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

type HandlerResult = Result<Value, Error>;

/// A function: its name and its handler.
#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    handle: fn(Arc<Lake>, Value) -> BoxFuture<'static, HandlerResult>,
}

/// Makes a [`Function`] of a handler, whose future is boxed and whose result becomes JSON.
macro_rules! function {
    ($name:literal, $handle:path) => {
        Function { name: $name, handle: |lake, event| Box::pin(async move { to_json(&$handle(&lake, event).await?) }) }
    };
}

const FUNCTIONS: [Function; 8] = [
    function!("create-athena-table", create_athena_table::handle),
    function!("ingest", ingest::handle),
    function!("launch-emr-step", launch_emr_step::handle),
    function!("poll-step", poll_step::handle),
    function!("stop-emr-step", stop_emr_step::handle),
    function!("transform", transform::handle),
    function!("vacuum", vacuum::handle),
    function!("validate-partitions", validate_partitions::handle),
];

fn to_json(output: &impl Serialize) -> HandlerResult {
    serde_json::to_value(output)
        .map_err(|error| Error::malformed(format!("the answer cannot be written as JSON: {error}"), error))
}

/// The result of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Invocation {
    /// The function's output.
    Succeeded(Value),
    /// The function's error: `{"errorType", "errorMessage"}`.
    Failed(Value),
}

/// There is no function of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Function not found: {}", function_arn(.0))]
pub(crate) struct FunctionNotFound(String);

/// The functions, with the lake they work on.
#[derive(Debug, Clone)]
pub(crate) struct Functions {
    lake: Arc<Lake>,
}

impl Functions {
    pub(crate) fn new(lake: Lake) -> Functions {
        Functions { lake: Arc::new(lake) }
    }

    /// Runs a function, given by name or ARN, to its end. It is a task of its own: as on AWS, it continues if the caller
    /// disconnects.
    pub(crate) async fn invoke(&self, name: &str, event: Value) -> Result<Invocation, FunctionNotFound> {
        let function = find(name)?;
        let lake = Arc::new(self.lake.for_event(&event));
        let invoked = async move {
            let request_id = Uuid::new_v4().to_string();
            invocation::run(function.name, &request_id, event, |event| (function.handle)(lake, event)).await
        };
        let task = tokio::spawn(invoked.in_current_span());
        Ok(match task.await {
            Ok(Ok(output)) => Invocation::Succeeded(output),
            Ok(Err(error)) => Invocation::Failed(error_payload(error.name(), &error.to_string())),
            Err(error) => Invocation::Failed(match error.try_into_panic() {
                Ok(panic) => {
                    let message = panic_message(panic.as_ref()).unwrap_or("no message");
                    error_payload("Panic", &format!("{} panicked: {message}", function.name))
                }
                Err(_) => error_payload("Shutdown", "the endpoint stopped while the function ran"),
            }),
        })
    }

    /// Handles a request of Lambda's HTTP API. `path` is the rest of it after [`PATH`].
    pub(crate) async fn respond(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let path = path.split('?').next().unwrap_or_default().trim_matches('/');
        let (name, action) = path.split_once('/').unwrap_or((path, ""));
        let name = name.replace("%3A", ":").replace("%3a", ":");
        match (method, action) {
            (&Method::GET, "") if name.is_empty() => {
                let functions: Vec<Value> = FUNCTIONS.iter().map(|function| configuration(function.name)).collect();
                json_response(StatusCode::OK, &json!({ "Functions": functions }))
            }
            (&Method::GET, "" | "configuration") => match find(&name) {
                Ok(function) if action.is_empty() => {
                    json_response(StatusCode::OK, &json!({ "Configuration": configuration(function.name), "Code": {} }))
                }
                Ok(function) => json_response(StatusCode::OK, &configuration(function.name)),
                Err(error) => error_response(StatusCode::NOT_FOUND, "ResourceNotFoundException", &error.to_string()),
            },
            (&Method::POST, "invocations") => self.respond_invoke(&name, headers, &body).await,
            _ => error_response(
                StatusCode::NOT_FOUND,
                "UnknownOperationException",
                &format!("{method} of {path} is not an operation of this endpoint"),
            ),
        }
    }

    async fn respond_invoke(&self, name: &str, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        if let Err(error) = find(name) {
            return error_response(StatusCode::NOT_FOUND, "ResourceNotFoundException", &error.to_string());
        }
        if body.len() > MAX_PAYLOAD_BYTES {
            return error_response(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
            );
        }
        let event = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
        let event: Value = match event {
            Ok(event) => event,
            Err(error) => {
                let text = format!("Could not parse request body into json: {error}");
                return error_response(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &text);
            }
        };
        match headers.get("x-amz-invocation-type").map(HeaderValue::as_bytes) {
            None | Some(b"RequestResponse") => match self.invoke(name, event).await {
                Ok(invocation) => invocation_response(&invocation),
                Err(error) => error_response(StatusCode::NOT_FOUND, "ResourceNotFoundException", &error.to_string()),
            },
            Some(b"Event") => {
                let (functions, name) = (self.clone(), name.to_owned());
                tokio::spawn(async move { functions.invoke(&name, event).await });
                empty_response(StatusCode::ACCEPTED)
            }
            Some(b"DryRun") => empty_response(StatusCode::NO_CONTENT),
            Some(_) => error_response(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                "X-Amz-Invocation-Type is RequestResponse, Event or DryRun",
            ),
        }
    }
}

/// Finds a function by `ingest`, `000000000000:function:ingest` or the whole ARN, each with or without a `:qualifier`.
fn find(name: &str) -> Result<Function, FunctionNotFound> {
    let short = match name.split_once("function:") {
        Some((_, rest)) => rest,
        None => name,
    };
    let short = short.split(':').next().unwrap_or(short);
    FUNCTIONS.into_iter().find(|function| function.name == short).ok_or_else(|| FunctionNotFound(short.to_owned()))
}

fn error_payload(name: &str, message: &str) -> Value {
    json!({ "errorType": name, "errorMessage": message })
}

fn configuration(name: &str) -> Value {
    json!({
        "FunctionName": name,
        "FunctionArn": function_arn(name),
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": role_arn(),
        "Version": "$LATEST",
        "PackageType": "Zip",
        "Architectures": [if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }],
        "State": "Active",
    })
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty_response(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn invocation_response(invocation: &Invocation) -> Response<Body> {
    let (Invocation::Succeeded(payload) | Invocation::Failed(payload)) = invocation;
    let mut response = json_response(StatusCode::OK, payload);
    let headers = response.headers_mut();
    headers.insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    if matches!(invocation, Invocation::Failed(_)) {
        headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    }
    response
}

/// An error response in Lambda's form.
pub(crate) fn error_response(status: StatusCode, code: &'static str, message: &str) -> Response<Body> {
    let mut response = json_response(status, &json!({ "Type": "User", "Message": message }));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_several_names() {
        let arn = function_arn("poll-step");
        for name in ["poll-step", "poll-step:$LATEST", "000000000000:function:poll-step", arn.as_str()] {
            assert_eq!(find(name).map(|function| function.name), Ok("poll-step"), "{name}");
        }
        assert!(find("poll").is_err_and(|error| error.to_string().contains("function:poll")));
    }
}
