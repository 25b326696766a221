//! The integrations of Task states: invoking a function, and starting an execution.

use std::sync::Arc;

use asl::{Failure, Resource, TaskCall, Tasks};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

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
    #[serde(default = "empty_object")]
    payload: Value,
    invocation_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartExecutionParameters {
    state_machine_arn: String,
    name: Option<String>,
    #[serde(default = "empty_object")]
    input: Value,
}

fn empty_object() -> Value {
    json!({})
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
            Err(error) => Err(Failure::new(
                "Lambda.ResourceNotFoundException",
                format!("{error} (Service: Lambda, Status Code: 404)"),
            )),
        }
    }

    async fn invoke(&self, input: Value) -> TaskResult {
        let invoke: InvokeParameters = parameters(input)?;
        if invoke.invocation_type.as_deref() == Some("Event") {
            let functions = self.service.functions.clone();
            tokio::spawn(async move { functions.invoke(&invoke.function_name, invoke.payload).await });
            return Ok(json!({ "ExecutedVersion": "$LATEST", "StatusCode": 202 }));
        }
        let payload = self.call(&invoke.function_name, invoke.payload).await?;
        Ok(json!({ "ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200 }))
    }

    async fn start_execution(&self, input: Value, wait: WaitMode, call: &TaskCall<'_>) -> TaskResult {
        let start: StartExecutionParameters = parameters(input)?;
        let input = match start.input {
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
    Failure::new(format!("StepFunctions.{}Exception", error.code()), error.message())
}
