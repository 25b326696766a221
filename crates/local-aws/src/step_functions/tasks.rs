//! The integrations of Task states: invoking a function, and starting an execution.

use std::sync::Arc;

use asl::{Failure, Resource, TaskCall, Tasks};
use async_trait::async_trait;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::StepFunctions;
use super::executions::{Execution, StartExecution, Status};
use crate::aws_json::AwsError;
use crate::faults::{Refusal, Service, ServiceCall};
use crate::lambda::Invocation;

/// Runs the tasks of one execution.
pub(super) struct ServiceTasks {
    service: Arc<StepFunctions>,
}

type TaskResult = Result<Value, Failure>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InvokeParameters {
    function_name: String,
    #[serde(default)]
    payload: Value,
    invocation_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartExecutionParameters {
    state_machine_arn: String,
    name: Option<String>,
    #[serde(default)]
    input: Value,
}

/// Returns an empty object for what is absent or null, as AWS passes it on.
fn or_empty(value: Value) -> Value {
    if value.is_null() { json!({}) } else { value }
}

/// The end of a `startExecution` task, and the form of its output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitMode {
    /// At the start.
    No,
    /// At the end of the execution, with input and output as texts (`.sync`).
    Text,
    /// At the end of the execution, with input and output as JSON values (`.sync:2`).
    Values,
}

#[async_trait]
impl Tasks for ServiceTasks {
    async fn run(&self, resource: &Resource, input: Value, call: &TaskCall<'_>) -> TaskResult {
        match resource {
            Resource::Lambda { arn } => self.call(arn, input).await,
            Resource::Integration { service, action, .. } => match (service.as_str(), action.as_str()) {
                ("lambda", "invoke") => self.invoke(input).await,
                ("states", "startExecution") => self.start_execution(input, WaitMode::No, call).await,
                ("states", "startExecution.sync") => self.start_execution(input, WaitMode::Text, call).await,
                ("states", "startExecution.sync:2") => self.start_execution(input, WaitMode::Values, call).await,
                _ => Err(Failure::new(
                    "States.Runtime",
                    format!(
                        "{resource} is not supported by this endpoint, which runs arn:aws:states:::lambda:invoke, \
                         arn:aws:states:::states:startExecution with .sync or .sync:2, and functions by their ARN"
                    ),
                )),
            },
        }
    }
}

impl ServiceTasks {
    pub(super) fn new(service: Arc<StepFunctions>) -> ServiceTasks {
        ServiceTasks { service }
    }

    /// Invokes a function. Its error becomes the state's error.
    async fn call(&self, function: &str, event: Value) -> TaskResult {
        let (functions, name) = (self.service.functions.clone(), function.to_owned());
        let service_call = ServiceCall::new(Service::Lambda, "Invoke", function.rsplit(':').next().unwrap_or(function));
        let invoked =
            self.service.faults.inject(&service_call, async move { functions.invoke(&name, event).await }).await;
        match invoked.into_result().map_err(|refusal| fault("Lambda", &refusal))? {
            Ok(Invocation::Succeeded(answer)) => Ok(answer),
            Ok(Invocation::Failed(error)) => {
                let name = error["errorType"].as_str().unwrap_or("Lambda.Unknown").to_owned();
                Err(Failure::new(name, error.to_string()))
            }
            Err(error) => {
                let cause = service_error(&format!("{error}:$LATEST"), "AWSLambda", 404, "ResourceNotFoundException");
                Err(Failure::new("Lambda.ResourceNotFoundException", cause))
            }
        }
    }

    async fn invoke(&self, input: Value) -> TaskResult {
        let invoke: InvokeParameters = parameters(input)?;
        let event = or_empty(invoke.payload);
        if invoke.invocation_type.as_deref() == Some("Event") {
            let functions = self.service.functions.clone();
            tokio::spawn(async move { functions.invoke(&invoke.function_name, event).await });
            let result = json!({ "ExecutedVersion": "$LATEST", "StatusCode": 202 });
            return Ok(with_sdk_metadata(result, 202, "application/json", 0));
        }
        let payload = self.call(&invoke.function_name, event).await?;
        let length = payload.to_string().len();
        let result = json!({ "ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200 });
        Ok(with_sdk_metadata(result, 200, "application/json", length))
    }

    async fn start_execution(&self, input: Value, wait: WaitMode, call: &TaskCall<'_>) -> TaskResult {
        let start: StartExecutionParameters = parameters(input)?;
        let input = match or_empty(start.input) {
            Value::String(text) => text,
            value => value.to_string(),
        };
        let (state_machine_arn, name) = (start.state_machine_arn, start.name);
        let start = StartExecution { state_machine_arn, name, input: Some(input), is_nested: true };
        let service = Arc::clone(&self.service);
        let service_call = ServiceCall::new(Service::StepFunctions, "StartExecution", "");
        let child = self.service.faults.inject(&service_call, async move { service.start(start) }).await.into_result();
        let child = child.map_err(|refusal| fault("StepFunctions", &refusal))?.map_err(|error| refusal(&error))?;
        let started = json!({ "ExecutionArn": child.arn, "StartDate": child.started });
        let length = started.to_string().len();
        let started = with_sdk_metadata(started, 200, "application/x-amz-json-1.0", length);
        if wait == WaitMode::No {
            return Ok(started);
        }
        call.submitted(&started);
        let guard = StopsWithParent { service: &self.service, child: &child, parent: &call.execution.execution_arn };
        let ended = self.service.ended(&child.arn).await.map_err(|error| refusal(&error))?;
        drop(guard);
        let result = ended.task_result(wait == WaitMode::Values);
        match ended.status {
            Status::Succeeded => Ok(result),
            _ => Err(Failure::new("States.TaskFailed", ended.task_result(false).to_string())),
        }
    }
}

/// Stops a child execution on drop: its parent was stopped, timed out, or failed in another branch, and waits no more.
struct StopsWithParent<'a> {
    service: &'a StepFunctions,
    child: &'a Execution,
    parent: &'a str,
}

impl Drop for StopsWithParent<'_> {
    fn drop(&mut self) {
        let why = format!("The parent execution {} no longer waits for it", self.parent);
        self.service.abort(&self.child.arn, Failure { error: None, cause: Some(why) });
    }
}

fn parameters<T: for<'a> Deserialize<'a>>(input: Value) -> Result<T, Failure> {
    serde_json::from_value(input).map_err(|error| {
        Failure::new("States.Runtime", format!("the task's Parameters do not fit its Resource: {error}"))
    })
}

/// Converts an injected fault to the error that Step Functions reports for it.
fn fault(service: &str, refusal: &Refusal) -> Failure {
    let name = match (refusal, service) {
        (Refusal::Throttle, "Lambda") => "TooManyRequestsException",
        (Refusal::Throttle, _) => "ThrottlingException",
        (Refusal::Internal, "Lambda") => "ServiceException",
        (Refusal::Internal, _) => "SfnException",
        (Refusal::Deny, _) => "AccessDeniedException",
        (Refusal::Reset, _) => "SdkClientException",
    };
    Failure::new(format!("{service}.{name}"), "as the fault plan of this endpoint has it")
}

/// Converts a service's error to the error name of the optimized integrations.
fn refusal(error: &AwsError) -> Failure {
    let cause = service_error(error.message(), "AWSStepFunctions", error.status().as_u16(), error.code());
    Failure::new(format!("StepFunctions.{}Exception", error.code()), cause)
}

/// The text of a service's error, as the SDK writes it by which AWS calls the service.
fn service_error(message: &str, service: &str, status: u16, code: &str) -> String {
    let request = Uuid::new_v4();
    format!(
        "{message} (Service: {service}; Status Code: {status}; Error Code: {code}; Request ID: {request}; Proxy: null)"
    )
}

/// Adds what the same SDK says of the response.
fn with_sdk_metadata(mut result: Value, status: u16, content_type: &str, length: usize) -> Value {
    let request = Uuid::new_v4().to_string();
    let headers = [
        ("x-amzn-RequestId", request.clone()),
        ("connection", "keep-alive".to_owned()),
        ("Content-Length", length.to_string()),
        ("Date", Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("Content-Type", content_type.to_owned()),
    ];
    let all: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let single: Map<String, Value> = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    result["SdkHttpMetadata"] = json!({ "AllHttpHeaders": all, "HttpHeaders": single, "HttpStatusCode": status });
    result["SdkResponseMetadata"] = json!({ "RequestId": request });
    result
}
