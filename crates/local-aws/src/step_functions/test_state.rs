//! `TestState`: runs a single state, with or without a mocked result, and says what became of its data.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html>

use std::collections::BTreeSet;
use std::sync::Arc;

use asl::{
    DefinitionError, ExecutionContext, Failure, Resource, StateMachine, StateTest, StateTested, StateType, TestedState,
};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::StepFunctions;
use super::executions::parse_input;
use super::integrations::check_resource;
use super::machines::{invalid_definition, parse};
use super::names::check_role;
use super::tasks::ServiceTasks;
use crate::aws_json::{AwsError, AwsResult};
use crate::identity::{REGION, express_execution_arn, state_machine_arn};

/// The name of a state whose definition comes without one.
const UNNAMED: &str = "StateName";

/// The members of `inspectionData` that are not JSON texts.
const PLAIN: [&str; 2] = ["errorDetails", "maxConcurrency"];

/// What a context object may have: each object with its fields and their types. `None` is any type.
const CONTEXT: [(&str, ContextFields); 4] = [
    (
        "Execution",
        &[
            ("Id", Some(Kind::String)),
            ("Input", None),
            ("Name", Some(Kind::String)),
            ("RoleArn", Some(Kind::String)),
            ("StartTime", Some(Kind::String)),
            ("RedriveCount", Some(Kind::Number)),
            ("RedriveTime", Some(Kind::String)),
        ],
    ),
    ("State", &[("EnteredTime", Some(Kind::String)), ("Name", Some(Kind::String)), ("RetryCount", Some(Kind::Number))]),
    ("StateMachine", &[("Id", Some(Kind::String)), ("Name", Some(Kind::String))]),
    ("Task", &[("Token", Some(Kind::String))]),
];

/// What the results of the integrations have, by the models of their APIs: the type of a field, and whether it is required.
const RESULTS: [(&str, ResultFields); 2] = [
    (
        "lambda:invoke",
        &[
            ("StatusCode", Kind::Number, false),
            ("FunctionError", Kind::String, false),
            ("LogResult", Kind::String, false),
            ("ExecutedVersion", Kind::String, false),
        ],
    ),
    ("states:startExecution", &[("ExecutionArn", Kind::String, true), ("StartDate", Kind::String, true)]),
];

type ContextFields = &'static [(&'static str, Option<Kind>)];

type ResultFields = &'static [(&'static str, Kind, bool)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestState {
    definition: String,
    role_arn: Option<String>,
    input: Option<String>,
    inspection_level: Option<String>,
    #[serde(default)]
    reveal_secrets: bool,
    variables: Option<String>,
    state_name: Option<String>,
    mock: Option<Mock>,
    context: Option<String>,
    #[serde(default)]
    state_configuration: Configuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mock {
    result: Option<String>,
    error_output: Option<ErrorOutput>,
    field_validation_mode: Option<String>,
}

#[derive(Deserialize)]
struct ErrorOutput {
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    retrier_retry_count: Option<u64>,
    error_caused_by_state: Option<String>,
    map_iteration_failure_count: Option<u64>,
    map_item_reader_data: Option<String>,
}

impl StepFunctions {
    /// Tests a state.
    pub(super) async fn test_state(self: &Arc<Self>, test: TestState) -> AwsResult {
        let name = test.state_name.as_deref().unwrap_or(UNNAMED);
        let machine = match test.state_name {
            Some(_) => parse(&test.definition)?,
            None => parse_single(&test.definition)?,
        };
        let state = machine.state(name).ok_or_else(|| invalid("State not found in definition"))?;
        test.check(state)?;
        let context = test.execution_context();
        let tasks = ServiceTasks::new(Arc::clone(self));
        let clock = self.faults.clone();
        let mut run = StateTest::new(state, &context, parse_input(test.input.as_deref().unwrap_or("{}"))?)
            .tasks(&tasks)
            .clock(&clock)
            .variables(test.variables()?)
            .retries(test.state_configuration.retrier_retry_count.unwrap_or_default());
        if let Some(mock) = &test.mock {
            run = run.mock(mock.result(state)?);
        }
        if let Some(object) = test.context_object(state)? {
            run = run.context_object(object);
        }
        let tested = run.run().await;
        Ok(describe(tested, matches!(test.inspection_level.as_deref(), Some("DEBUG" | "TRACE"))))
    }
}

impl TestState {
    /// Checks what the state needs, and what its type does not have.
    fn check(&self, state: TestedState<'_>) -> Result<(), AwsError> {
        let kind = state.kind();
        match (&self.mock, kind) {
            (None, StateType::Map | StateType::Parallel) => {
                let message = "TestState API does not support Map or Parallel states. Supported state types include: \
                    [Task, Wait, Pass, Succeed, Fail, Choice]";
                return Err(AwsError::new("InvalidDefinition", message));
            }
            (None, StateType::Task) if self.role_arn.is_none() => {
                return Err(invalid("RoleArn must be specified when testing a Task state"));
            }
            (Some(_), StateType::Task | StateType::Map | StateType::Parallel) | (None, _) => {}
            (Some(_), _) => {
                return Err(invalid(format!("State type '{kind}' is not supported when a mock is specified")));
            }
        }
        if self.mock.is_some() && self.reveal_secrets {
            return Err(invalid("TestState does not support RevealSecrets when a mock is specified."));
        }
        if let (None, Some(resource)) = (&self.mock, state.resource()) {
            check_unmocked(resource)?;
        }
        self.role_arn.as_deref().map_or(Ok(()), check_role)?;
        self.state_configuration.check(state)
    }

    fn variables(&self) -> Result<Map<String, Value>, AwsError> {
        let Some(text) = &self.variables else { return Ok(Map::new()) };
        let Ok(Value::Object(variables)) = asl::parse_json(text) else {
            return Err(invalid("The variables must be a JSON object"));
        };
        match variables.keys().find_map(|name| asl::check_variable_name(name).err()) {
            Some(why) => Err(invalid(format!("Invalid variables: {why}"))),
            None => Ok(variables),
        }
    }

    /// Returns the given context object.
    fn context_object(&self, state: TestedState<'_>) -> Result<Option<Map<String, Value>>, AwsError> {
        let Some(text) = &self.context else { return Ok(None) };
        if self.mock.is_none() {
            return Err(invalid("A Context object can only be specified when a mock is specified"));
        }
        let object = asl::parse_json(text).map_err(|fault| fault.reason().to_owned());
        let object = object.and_then(|object| check_context(object, state));
        object.map(Some).map_err(|why| invalid(format!("Invalid Context object provided: {why}")))
    }

    /// The identity of the execution in the context object. AWS tests a state in an execution of its own, of a machine that is
    /// named after nothing.
    fn execution_context(&self) -> ExecutionContext {
        let (machine, name) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        ExecutionContext {
            execution_arn: express_execution_arn(&machine, &name),
            execution_name: name,
            role_arn: self.role_arn.clone().unwrap_or_default(),
            started: Utc::now(),
            state_machine_arn: state_machine_arn(&machine),
            state_machine_name: machine,
            region: REGION.to_owned(),
        }
    }
}

impl Configuration {
    fn check(&self, state: TestedState<'_>) -> Result<(), AwsError> {
        let kind = state.kind();
        if self.map_item_reader_data.is_some() {
            return Err(invalid("mapItemReaderData is of distributed Map states, which this endpoint does not have"));
        }
        if self.map_iteration_failure_count.is_some() && kind != StateType::Map {
            return Err(invalid(format!("mapIterationFailureCount is of Map states, and not of a {kind} state")));
        }
        match &self.error_caused_by_state {
            Some(_) if !matches!(kind, StateType::Map | StateType::Parallel) => {
                Err(invalid(format!("errorCausedByState is of Map and Parallel states, and not of a {kind} state")))
            }
            Some(name) if !state.contains(name) => {
                Err(invalid(format!("errorCausedByState '{name}' is no state within the tested state")))
            }
            _ => Ok(()),
        }
    }
}

impl Mock {
    /// Returns what the work of the state results in.
    fn result(&self, state: TestedState<'_>) -> Result<Result<Value, Failure>, AwsError> {
        match (&self.result, &self.error_output) {
            (Some(_), Some(_)) => {
                Err(invalid("A test mock should have only one of the following fields: [result, errorOutput]."))
            }
            (None, None) => Err(invalid("A test mock should have one of the following fields: [result, errorOutput].")),
            (None, Some(ErrorOutput { error: None, .. })) => Err(invalid("A mocked errorOutput must have an error.")),
            (None, Some(ErrorOutput { error, cause })) => {
                Ok(Err(Failure { error: error.clone(), cause: Some(cause.clone().unwrap_or_default()) }))
            }
            (Some(text), None) => {
                let result = asl::parse_json(text).map_err(|_| invalid("Mocked result must be a JSON value."))?;
                self.check_result(&result, state).map_err(invalid)?;
                Ok(Ok(result))
            }
        }
    }

    fn check_result(&self, result: &Value, state: TestedState<'_>) -> Result<(), String> {
        if matches!(state.kind(), StateType::Map | StateType::Parallel) {
            let items = result.as_array().ok_or_else(|| "Mocked result must be an array.".to_owned())?;
            let message =
                || "Mocked result must contain the same number of items as number of Parallel branches.".to_owned();
            return match state.branches() {
                Some(branches) if branches != items.len() => Err(message()),
                _ => Ok(()),
            };
        }
        let Some(Resource::Integration { service, action, .. }) = state.resource() else { return Ok(()) };
        let known = format!("{service}:{action}");
        let fields =
            RESULTS.iter().find(|(integration, _)| *integration == known).map_or(&[][..], |(_, fields)| fields);
        let mode = self.field_validation_mode.as_deref();
        let fault = match mode {
            Some("NONE") => None,
            _ => fields.iter().find_map(|field| mode_fault(result, field, mode != Some("PRESENT"))),
        };
        fault.map_or(Ok(()), |fault| Err(format!("Mock result schema validation error: {fault}")))
    }
}

/// Returns what is wrong with a field of a mocked result. `strict`: a required field has to be there.
fn mode_fault(result: &Value, &(name, kind, required): &(&str, Kind, bool), strict: bool) -> Option<String> {
    match result.get(name) {
        None => (strict && required).then(|| format!("Required field '{name}' is missing")),
        Some(value) => (!kind.includes(value)).then(|| format!("Field '{name}' must be a {}", kind.noun())),
    }
}

impl Kind {
    fn includes(self, value: &Value) -> bool {
        match self {
            Kind::String => value.is_string(),
            Kind::Number => value.is_number(),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Number => "number",
        }
    }
}

fn check_context(object: Value, state: TestedState<'_>) -> Result<Map<String, Value>, String> {
    let Value::Object(parts) = object else { return Err("It must be a JSON object".to_owned()) };
    for (part, value) in &parts {
        if part == "Map" {
            return Err("'Map' field is not supported when mocking a Context object".to_owned());
        }
        let known = CONTEXT.iter().find(|(name, _)| name == part);
        let (_, fields) = known.ok_or_else(|| format!("Field '{part}' is not allowed"))?;
        if part == "Task" && !state.resource().is_some_and(|resource| resource.arn().contains(".sync")) {
            return Err("Context object contains 'Task' when state is not a Task state with a '.sync' or \
                '.waitForTaskToken' service integration pattern"
                .to_owned());
        }
        for (name, value) in value.as_object().ok_or_else(|| format!("{part} must be an object"))? {
            let known = fields.iter().find(|(field, _)| field == name);
            let (_, kind) = known.ok_or_else(|| format!("Field '{name}' is not allowed"))?;
            if let Some(kind) = kind.filter(|kind| !kind.includes(value)) {
                return Err(format!("{part}.{name} must be a {}", kind.noun()));
            }
        }
    }
    Ok(parts)
}

/// Refuses a resource that only runs with a mock.
fn check_unmocked(resource: &Resource) -> Result<(), AwsError> {
    if resource.arn().contains(".sync") {
        let message = format!("The resource {resource} waits for a job: specify a mock to test the state");
        return Err(AwsError::new("InvalidDefinition", message));
    }
    check_resource("/Resource", resource).map_err(|error| invalid_definition(&error))
}

/// Parses the definition of a state without a name, as the only one of a machine. The states that it leads to are added.
fn parse_single(definition: &str) -> Result<StateMachine, AwsError> {
    // The error is that of a machine.
    let Ok(state) = asl::parse_json(definition) else { return parse(definition) };
    let mut states = Map::new();
    for name in targets(&state) {
        states.insert(name.to_owned(), json!({ "Type": "Succeed" }));
    }
    states.insert(UNNAMED.to_owned(), state);
    let machine = json!({ "StartAt": UNNAMED, "States": states }).to_string();
    StateMachine::parse(&machine).map_err(|error| {
        let location = error.location.strip_prefix(&format!("/States/{UNNAMED}")).unwrap_or(&error.location);
        let location = if location.is_empty() { "/" } else { location }.to_owned();
        invalid_definition(&DefinitionError { location, ..error })
    })
}

/// Returns the names of the states that may follow a state.
fn targets(state: &Value) -> BTreeSet<&str> {
    let clauses = ["Choices", "Catch"].into_iter().filter_map(|field| state[field].as_array()).flatten();
    let next = std::iter::once(state).chain(clauses).map(|clause| &clause["Next"]);
    next.chain([&state["Default"]]).filter_map(Value::as_str).collect()
}

/// Returns the result as the API has it.
fn describe(tested: StateTested, inspect: bool) -> Value {
    let status: &str = tested.status.into();
    let mut answer = Map::from_iter([("status".to_owned(), status.into())]);
    let mut set = |name: &str, value: Option<Value>| value.map(|value| answer.insert(name.to_owned(), value));
    set("output", tested.output.map(|output| output.to_string().into()));
    let failure = tested.failure.unwrap_or_default();
    set("error", failure.error.map(Into::into));
    set("cause", failure.cause.map(Into::into));
    set("nextState", tested.next.map(Into::into));
    let data = tested.inspection.into_iter().map(|(name, value)| match PLAIN.contains(&name.as_str()) {
        true => (name, value),
        false => (name, value.to_string().into()),
    });
    set("inspectionData", inspect.then(|| Value::Object(data.collect())));
    Value::Object(answer)
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}
