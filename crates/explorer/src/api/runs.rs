//! The workflows: their definitions, their executions, and the progress of one execution. Starts and stops executions.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::try_join_all;
use lake::workflow_input::{self, LandedObject, Request};
use lake::{Error, Lake, keys};
use lake_client::execution_history::{Kind, Visit, millis};
use lake_client::workflow::{self, Machine, Workflow};
use market::partition::DateRange;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ApiResult;
use crate::app::App;
use crate::error::ApiError;
use crate::execution_cache::{CachedExecution, ExecutionSummary, json_or_text};
use crate::objects::{self, ObjectResponse};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/workflows", get(list_workflows))
        .route("/executions", get(list_executions).post(start))
        .route("/executions/check", post(check))
        .route("/executions/stop", post(stop))
        .route("/execution", get(execution))
        .route("/document", get(object))
}

/// The number of executions on a page.
const PAGE_SIZE: usize = 20;

#[derive(Serialize)]
struct WorkflowResponse {
    name: &'static str,
    arn: String,
    definition: Value,
}

async fn list_workflows(State(app): State<Arc<App>>) -> ApiResult<Vec<WorkflowResponse>> {
    let workflows = machines(&app.lake).await?.into_iter().map(async |Machine { workflow, arn }| {
        let described = app.lake.sfn.describe_state_machine().state_machine_arn(&arn).send().await;
        let described = described.map_err(Error::aws(format!("reading the definition of {}", workflow.name())))?;
        let definition = json_or_text(&described.definition);
        Ok::<_, ApiError>(WorkflowResponse { name: workflow.name(), arn, definition })
    });
    Ok(Json(try_join_all(workflows).await?))
}

/// Returns the state machines of the lake.
async fn machines(lake: &Lake) -> Result<Vec<Machine>, ApiError> {
    let machines = workflow::machines(lake).await?;
    if machines.is_empty() {
        return Err(ApiError::not_found("there are no workflows of a lake at this endpoint")
            .hint("pregao local serves them on this machine, and pregao deploy makes them in an account."));
    }
    Ok(machines)
}

#[derive(Deserialize)]
struct ExecutionsQuery {
    workflow: Option<String>,
    status: Option<String>,
    /// The number of the page, from 0.
    #[serde(default)]
    page: usize,
    /// Executions that started later are excluded, so that pages do not shift. Milliseconds since 1970.
    until: Option<i64>,
}

#[derive(Serialize)]
struct ExecutionsResponse {
    /// The latest execution first.
    executions: Vec<ExecutionSummary>,
    /// Whether there are older executions.
    more: bool,
    /// The time of the server, in milliseconds since 1970.
    now: i64,
}

/// The highest page number. Step Functions keeps executions for 90 days.
const MAX_PAGE: usize = 500;

async fn list_executions(
    State(app): State<Arc<App>>,
    Query(query): Query<ExecutionsQuery>,
) -> ApiResult<ExecutionsResponse> {
    let mut machines = machines(&app.lake).await?;
    if let Some(name) = &query.workflow {
        let workflow = parse_workflow(name)?;
        machines.retain(|machine| machine.workflow == workflow);
    }
    let page = query.page.min(MAX_PAGE);
    let (first, end) = (page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    let lists = machines.iter().map(async |machine| {
        let until = query.until.unwrap_or(i64::MAX);
        let items = workflow::executions_until(&app.lake, machine, query.status.as_deref(), until, end + 1).await?;
        Ok::<_, Error>(items.into_iter().map(|item| ExecutionSummary {
            workflow: machine.workflow.name().to_owned(),
            started: millis(&item.start_date),
            stopped: item.stop_date.as_ref().map(millis),
            status: item.status.as_str().to_owned(),
            arn: item.execution_arn,
            name: item.name,
        }))
    });
    let mut all: Vec<ExecutionSummary> = try_join_all(lists).await?.into_iter().flatten().collect();
    // A total order, so that pages neither repeat nor omit an execution.
    all.sort_by(|one, other| (other.started, &other.arn).cmp(&(one.started, &one.arn)));
    let more = all.len() > end;
    all.truncate(end);
    Ok(Json(ExecutionsResponse { executions: all.split_off(first.min(all.len())), more, now: now() }))
}

fn parse_workflow(name: &str) -> Result<Workflow, ApiError> {
    name.parse().map_err(|_| {
        let known = Workflow::ALL.map(Workflow::name).join(", ");
        ApiError::invalid(format!("{name:?} is no workflow")).hint(format!("There are {known}."))
    })
}

/// The time of the server, in milliseconds since 1970.
fn now() -> i64 {
    Utc::now().timestamp_millis()
}

#[derive(Deserialize)]
struct ExecutionParams {
    /// The ARN of an execution, or its name.
    run: String,
}

#[derive(Serialize)]
struct ExecutionResponse {
    #[serde(flatten)]
    summary: ExecutionSummary,
    now: i64,
    input: Value,
    output: Option<Value>,
    failure: Option<FailureDetail>,
    definition: Value,
    visits: Vec<VisitResponse>,
    nested: Vec<NestedExecution>,
    /// The URIs of objects in the causes of the failures.
    documents: Vec<String>,
}

#[derive(Serialize)]
struct FailureDetail {
    error: String,
    cause: String,
}

impl From<&lake_client::execution_history::ExecutionFailure> for FailureDetail {
    fn from(failure: &lake_client::execution_history::ExecutionFailure) -> Self {
        Self { error: failure.error.clone(), cause: failure.cause.clone() }
    }
}

/// A visit to a state. Times are in milliseconds since 1970.
#[derive(Serialize)]
struct VisitResponse {
    state: String,
    entered: i64,
    left: Option<i64>,
    outcome: VisitOutcome,
    attempts: usize,
    failures: Vec<FailureDetail>,
}

#[derive(Serialize)]
struct NestedExecution {
    /// The index of the visit that started it.
    visit: usize,
    #[serde(flatten)]
    summary: ExecutionSummary,
}

/// The outcome of a visit, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum VisitOutcome {
    Running,
    Succeeded,
    /// It failed, and a `Catch` continued the execution.
    Caught,
    Failed,
    /// The execution ended before the visit did.
    Stopped,
}

impl VisitOutcome {
    /// The outcome of a visit in an execution with this status. `last` is whether no visit began later.
    fn new(visit: &Visit, status: &str, last: bool) -> Self {
        match (visit.left, status) {
            (Some(_), _) if visit.failed => VisitOutcome::Caught,
            (Some(_), _) | (None, "SUCCEEDED") => VisitOutcome::Succeeded,
            (None, "RUNNING" | "PENDING_REDRIVE") => VisitOutcome::Running,
            (None, "FAILED") if visit.failed || last => VisitOutcome::Failed,
            (None, _) => VisitOutcome::Stopped,
        }
    }
}

async fn execution(
    State(app): State<Arc<App>>,
    Query(ExecutionParams { run }): Query<ExecutionParams>,
) -> ApiResult<ExecutionResponse> {
    let lake = &app.lake;
    let unknown = || {
        ApiError::not_found(format!("there is no execution {run:?}"))
            .hint("Choose one from the list; Step Functions forgets them after 90 days.")
    };
    let arn = workflow::find(lake, &run).await?.ok_or_else(unknown)?;
    let described = match lake.sfn.describe_execution().execution_arn(&arn).send().await.map_err(Error::aws("asking")) {
        Err(Error::Refused { code, .. }) if matches!(code.as_str(), "ExecutionDoesNotExist" | "InvalidArn") => {
            return Err(unknown());
        }
        described => described?,
    };
    let summary = ExecutionSummary {
        workflow: workflow_name(lake, &described.state_machine_arn),
        name: described.name.unwrap_or_default(),
        status: described.status.as_str().to_owned(),
        started: millis(&described.start_date),
        stopped: described.stop_date.as_ref().map(millis),
        arn: arn.clone(),
    };
    // Updated after the description was read, so that the history of an ended execution is complete.
    let cached = app.executions.get(lake, &arn).await?;
    let mut cached = cached.lock().await;
    cached.update(lake, summary.stopped.is_some()).await?;
    let nested = describe_nested(lake, &mut cached).await?;
    let timeline = &cached.timeline;
    let has_failed = !matches!(summary.status.as_str(), "RUNNING" | "SUCCEEDED");
    let failure = timeline.failure.as_ref().filter(|_| has_failed);
    let causes = failure.into_iter().chain(timeline.visits.iter().flat_map(|visit| &visit.failures));
    let causes: Vec<&str> = causes.map(|failure| failure.cause.as_str()).collect();
    let visits = timeline.visits.iter().enumerate().map(|(at, visit)| VisitResponse {
        state: visit.state.clone(),
        entered: visit.entered,
        left: visit.left,
        outcome: VisitOutcome::new(visit, &summary.status, at + 1 == timeline.visits.len()),
        attempts: visit.failures.len() + usize::from(visit.kind == Kind::Work && !visit.failed),
        failures: visit.failures.iter().map(FailureDetail::from).collect(),
    });
    Ok(Json(ExecutionResponse {
        now: now(),
        input: json_or_text(described.input.as_deref().unwrap_or("{}")),
        output: described.output.as_deref().map(json_or_text),
        failure: failure.map(FailureDetail::from),
        definition: cached.definition.clone(),
        visits: visits.collect(),
        nested,
        documents: objects::uris_in(&causes.join("\n")),
        summary,
    }))
}

/// Returns the name of the workflow of a state machine's ARN.
fn workflow_name(lake: &Lake, machine: &str) -> String {
    let name = machine.rsplit(':').next().unwrap_or(machine);
    name.strip_prefix(&format!("{}-", lake.config.aws.stack)).unwrap_or(name).to_owned()
}

/// Describes the nested executions of an execution. Those that have ended are described once and then cached.
async fn describe_nested(lake: &Lake, cached: &mut CachedExecution) -> Result<Vec<NestedExecution>, Error> {
    let descriptions = cached.nested.iter().map(async |(visit, arn)| {
        if let Some(summary) = cached.ended.iter().find(|ended| ended.arn == *arn) {
            return Ok(NestedExecution { visit: *visit, summary: summary.clone() });
        }
        let described = lake.sfn.describe_execution().execution_arn(arn).send().await;
        let described = described.map_err(Error::aws(format!("asking for {arn}")))?;
        let summary = ExecutionSummary {
            arn: arn.clone(),
            workflow: workflow_name(lake, &described.state_machine_arn),
            name: described.name.unwrap_or_default(),
            status: described.status.as_str().to_owned(),
            started: millis(&described.start_date),
            stopped: described.stop_date.as_ref().map(millis),
        };
        Ok::<_, Error>(NestedExecution { visit: *visit, summary })
    });
    let nested = try_join_all(descriptions).await?;
    let ended = nested.iter().map(|nested| &nested.summary).filter(|summary| summary.stopped.is_some());
    cached.ended = ended.cloned().collect();
    Ok(nested)
}

/// A request to start an execution, or to check its input.
#[derive(Deserialize)]
struct StartRequest {
    workflow: String,
    input: Value,
}

/// A valid input, with its meaning.
#[derive(Serialize)]
struct CheckResponse {
    workflow: &'static str,
    input: Value,
    /// The meaning of the input in words.
    means: String,
    /// The beginning of the execution's name.
    #[serde(skip)]
    purpose: String,
}

/// The input with which `create_datalake` starts `athena_update`.
#[derive(Deserialize)]
struct TableInput {
    table: TableName,
    #[serde(flatten)]
    range: DateRange,
}

/// Returns the request of an input that names no table.
fn request(workflow: Workflow, input: &Value, at: DateTime<Utc>) -> Result<Request, Error> {
    match workflow {
        // No other workflow has an engine.
        Workflow::CreateDatalake => workflow_input::resolve_run(input, at).map(|(request, _)| request),
        Workflow::Backfill => workflow_input::resolve_backfill(input).map(|request| Request::Days(request.range)),
        Workflow::UploadRawData | Workflow::AthenaUpdate => workflow_input::resolve(input, at),
    }
}

/// Validates an input as the functions do.
fn check_input(StartRequest { workflow, input }: StartRequest, at: DateTime<Utc>) -> Result<CheckResponse, ApiError> {
    let workflow = parse_workflow(&workflow)?;
    let is_update = workflow == Workflow::AthenaUpdate;
    let table_input =
        (is_update && input.get("table").is_some()).then(|| TableInput::deserialize(&input)).transpose().map_err(
            |error| ApiError::from(Error::malformed(format!("the input names no days of a table: {error}"), error)),
        )?;
    let (means, purpose) = match table_input {
        Some(TableInput { table, range }) => (format!("{table}, {range}"), format!("{table}_{}", days_in_name(range))),
        None => match request(workflow, &input, at)? {
            Request::DayBefore(day) => (format!("{day}, the day before in Sao Paulo"), day.to_string()),
            Request::Days(range) => (range.to_string(), days_in_name(range)),
            Request::Stale(range) | Request::NotCurrent(range) | Request::Uploaded(range) => {
                (format!("what is not up to date of {range}"), days_in_name(range))
            }
            Request::Objects(objects) => (
                objects.iter().map(LandedObject::to_string).collect::<Vec<_>>().join(", "),
                if objects.len() == 1 { "object" } else { "objects" }.to_owned(),
            ),
        },
    };
    Ok(CheckResponse { workflow: workflow.name(), input, means, purpose })
}

/// Formats a range for the name of an execution.
fn days_in_name(range: DateRange) -> String {
    let (from, to): (NaiveDate, NaiveDate) = (range.from(), range.to());
    if from == to { from.to_string() } else { format!("{from}_{to}") }
}

async fn check(Json(request): Json<StartRequest>) -> ApiResult<CheckResponse> {
    Ok(Json(check_input(request, Utc::now())?))
}

async fn start(State(app): State<Arc<App>>, Json(request): Json<StartRequest>) -> ApiResult<Value> {
    let CheckResponse { workflow, input, purpose, .. } = check_input(request, Utc::now())?;
    let name = workflow::new_name(&purpose).map_err(|error| ApiError::invalid(error.to_string()))?;
    let arn = workflow::start(&app.lake, parse_workflow(workflow)?, &name, &input).await?;
    Ok(Json(json!({ "arn": arn, "name": name })))
}

async fn stop(State(app): State<Arc<App>>, Json(ExecutionParams { run }): Json<ExecutionParams>) -> ApiResult<Value> {
    let request = app.lake.sfn.stop_execution().execution_arn(&run).error("Stopped").cause("stopped in the explorer");
    request.send().await.map_err(Error::aws("stopping the execution"))?;
    Ok(Json(json!({ "arn": run })))
}

#[derive(Deserialize)]
struct ObjectParams {
    uri: String,
}

async fn object(
    State(app): State<Arc<App>>,
    Query(ObjectParams { uri }): Query<ObjectParams>,
) -> ApiResult<ObjectResponse> {
    // Reports only: the data of tables is binary, and is read by SQL.
    let lake = keys::uri(&app.lake.config.buckets.lake, "");
    if uri.strip_prefix(&lake).is_some_and(keys::is_of_table) {
        return Err(ApiError::invalid(format!("{uri} is data of a table")).hint("Ask for it under SQL."));
    }
    Ok(Json(objects::read(&app.lake, &uri).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(workflow: &str, input: Value) -> Result<(String, String), ApiError> {
        let request = StartRequest { workflow: workflow.to_owned(), input };
        let checked = check_input(request, "2020-04-03T12:00:00Z".parse().expect("a time"))?;
        Ok((checked.means, checked.purpose))
    }

    #[test]
    fn an_input_is_described_before_it_is_started() {
        for (workflow, input, words, purpose) in [
            ("create_datalake", json!({}), "2020-04-02, the day before in Sao Paulo", "2020-04-02"),
            ("upload_raw_data", json!({"date": "2020-04-01"}), "2020-04-01", "2020-04-01"),
            (
                "athena_update",
                json!({"from": "2020-04-01", "to": "2020-04-09"}),
                "2020-04-01 to 2020-04-09",
                "2020-04-01_2020-04-09",
            ),
            (
                "backfill",
                json!({"from": "2010-01-04", "to": "2019-12-30", "parallel": 2, "force": true}),
                "2010-01-04 to 2019-12-30",
                "2010-01-04_2019-12-30",
            ),
            (
                "create_datalake",
                json!({"from": "2020-04-01", "to": "2020-04-09", "which": "not_current"}),
                "what is not up to date of 2020-04-01 to 2020-04-09",
                "2020-04-01_2020-04-09",
            ),
            (
                "athena_update",
                json!({"table": "quotes", "from": "2020-04-01", "to": "2020-04-01"}),
                "quotes, 2020-04-01",
                "quotes_2020-04-01",
            ),
        ] {
            let told = means(workflow, input.clone()).unwrap_or_else(|failure| panic!("{input}: {failure:?}"));
            assert_eq!(told, (words.to_owned(), purpose.to_owned()));
            assert!(workflow::new_name(&told.1).is_ok(), "{told:?}");
        }
    }

    #[test]
    fn an_input_that_says_nothing_is_not_started() {
        for (workflow, input) in [
            ("create_datalake", json!({"date": "2020-4-1"})),
            ("create_datalake", json!([])),
            ("backfill", json!({})),
            ("backfill", json!({"from": "2010-01-04", "to": "2019-12-30", "parallel": 11})),
            ("create_datalake", json!({"table": "quotes", "run": "r", "from": "2020-04-01", "to": "2020-04-01"})),
            ("athena_update", json!({"table": "trades", "run": "r", "from": "2020-04-01", "to": "2020-04-01"})),
            ("drop_datalake", json!({})),
        ] {
            assert!(means(workflow, input.clone()).is_err(), "{workflow} {input}");
        }
    }

    #[test]
    fn how_a_visit_ended_follows_from_the_execution() {
        let visit = |left: Option<i64>, failed: bool| Visit {
            state: "x".to_owned(),
            kind: Kind::Work,
            entered: 1,
            left,
            failures: Vec::new(),
            failed,
            map: None,
            iterations: None,
        };
        for (visit, status, last, outcome) in [
            (visit(Some(2), false), "RUNNING", false, VisitOutcome::Succeeded),
            (visit(Some(2), true), "FAILED", false, VisitOutcome::Caught),
            (visit(None, true), "RUNNING", true, VisitOutcome::Running),
            (visit(None, true), "FAILED", false, VisitOutcome::Failed),
            // A Fail state fails by being entered.
            (visit(None, false), "FAILED", true, VisitOutcome::Failed),
            // Another branch of a Parallel failed.
            (visit(None, false), "FAILED", false, VisitOutcome::Stopped),
            (visit(None, false), "ABORTED", true, VisitOutcome::Stopped),
            (visit(None, false), "TIMED_OUT", true, VisitOutcome::Stopped),
        ] {
            assert_eq!(VisitOutcome::new(&visit, status, last), outcome, "{visit:?} {status}");
        }
    }
}
