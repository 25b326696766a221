//! The workflows: how they are made, what ran, how one execution goes; starting and stopping them.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::try_join_all;
use lake::execution_history::{Kind, Visit, millis};
use lake::workflow::{self, Machine, Workflow};
use lake::workflow_input::{self, Request};
use lake::{Error, Lake, keys};
use market::partition::DateRange;
use market::table::TableName;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Answer;
use crate::app::App;
use crate::documents::{self, Document};
use crate::error::Failure;
use crate::watched::{Brief, Watched, parsed};

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/workflows", get(workflows))
        .route("/executions", get(executions).post(start))
        .route("/executions/check", post(check))
        .route("/executions/stop", post(stop))
        .route("/execution", get(execution))
        .route("/document", get(document))
}

/// How many executions stand on one page.
const PAGE: usize = 20;

#[derive(Serialize)]
struct Drawn {
    name: &'static str,
    arn: String,
    definition: Value,
}

async fn workflows(State(app): State<Arc<App>>) -> Answer<Vec<Drawn>> {
    let drawn = machines(&app.lake).await?.into_iter().map(async |Machine { workflow, arn }| {
        let described = app.lake.sfn.describe_state_machine().state_machine_arn(&arn).send().await;
        let described = described.map_err(Error::aws(format!("reading the definition of {}", workflow.name())))?;
        Ok::<_, Failure>(Drawn { name: workflow.name(), arn, definition: parsed(&described.definition) })
    });
    Ok(Json(try_join_all(drawn).await?))
}

async fn machines(lake: &Lake) -> Result<Vec<Machine>, Failure> {
    let machines = workflow::machines(lake).await?;
    if machines.is_empty() {
        return Err(Failure::not_found("there are no workflows of a lake at this endpoint")
            .hint("pregao local serves them on this machine, and pregao deploy makes them in an account."));
    }
    Ok(machines)
}

#[derive(Deserialize)]
struct Which {
    workflow: Option<String>,
    status: Option<String>,
    /// The page, from 0 on.
    #[serde(default)]
    page: usize,
    /// Those that were started later are on no page, in milliseconds since 1970.
    until: Option<i64>,
}

#[derive(Serialize)]
struct Listed {
    executions: Vec<Brief>,
    /// Whether there are older ones.
    more: bool,
    /// The time of the server, in milliseconds since 1970.
    now: i64,
}

/// The most pages that can be looked back: Step Functions keeps executions for 90 days.
const PAGES: usize = 500;

async fn executions(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Answer<Listed> {
    let mut machines = machines(&app.lake).await?;
    if let Some(name) = &which.workflow {
        let workflow = named(name)?;
        machines.retain(|machine| machine.workflow == workflow);
    }
    let (first, behind) = (which.page.min(PAGES) * PAGE, (which.page.min(PAGES) + 1) * PAGE);
    let lists = machines.iter().map(async |machine| {
        let until = which.until.unwrap_or(i64::MAX);
        let items = workflow::executions_until(&app.lake, machine, which.status.as_deref(), until, behind + 1).await?;
        Ok::<_, Error>(items.into_iter().map(|item| Brief {
            workflow: machine.workflow.name().to_owned(),
            started: millis(&item.start_date),
            stopped: item.stop_date.as_ref().map(millis),
            status: item.status.as_str().to_owned(),
            arn: item.execution_arn,
            name: item.name,
        }))
    });
    let mut all: Vec<Brief> = try_join_all(lists).await?.into_iter().flatten().collect();
    // By the ARN among those of one instant, so that two pages have the same order.
    all.sort_by(|one, other| (other.started, &other.arn).cmp(&(one.started, &one.arn)));
    let more = all.len() > behind;
    all.truncate(behind);
    Ok(Json(Listed { executions: all.split_off(first.min(all.len())), more, now: now() }))
}

fn named(name: &str) -> Result<Workflow, Failure> {
    Workflow::named(name).ok_or_else(|| {
        let known = Workflow::ALL.map(Workflow::name).join(", ");
        Failure::invalid(format!("{name:?} is no workflow")).hint(format!("There are {known}."))
    })
}

fn now() -> i64 {
    Utc::now().timestamp_millis()
}

#[derive(Deserialize)]
struct One {
    /// The ARN of an execution, or its name.
    run: String,
}

#[derive(Serialize)]
struct Execution {
    #[serde(flatten)]
    brief: Brief,
    now: i64,
    input: Value,
    output: Option<Value>,
    failure: Option<Failed>,
    definition: Value,
    visits: Vec<Shown>,
    nested: Vec<Nested>,
    /// The objects that the errors name.
    documents: Vec<String>,
}

#[derive(Serialize)]
struct Failed {
    error: String,
    cause: String,
}

impl From<&lake::execution_history::Failure> for Failed {
    fn from(failure: &lake::execution_history::Failure) -> Self {
        Self { error: failure.error.clone(), cause: failure.cause.clone() }
    }
}

/// One visit to a state.
#[derive(Serialize)]
struct Shown {
    state: String,
    entered: i64,
    left: Option<i64>,
    outcome: Outcome,
    attempts: usize,
    failures: Vec<Failed>,
}

#[derive(Serialize)]
struct Nested {
    /// The number of the visit that started it.
    visit: usize,
    #[serde(flatten)]
    brief: Brief,
}

/// How a visit stands, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Running,
    Succeeded,
    /// It failed, and the execution went on by a `Catch`.
    Caught,
    Failed,
    /// The execution was over before it was.
    Stopped,
}

impl Outcome {
    /// That of a visit to an execution of this status; `last` is whether it was the last to begin.
    fn of(visit: &Visit, status: &str, last: bool) -> Outcome {
        match (visit.left, status) {
            (Some(_), _) if visit.failed => Outcome::Caught,
            (Some(_), _) | (None, "SUCCEEDED") => Outcome::Succeeded,
            (None, "RUNNING" | "PENDING_REDRIVE") => Outcome::Running,
            (None, "FAILED") if visit.failed || last => Outcome::Failed,
            (None, _) => Outcome::Stopped,
        }
    }
}

async fn execution(State(app): State<Arc<App>>, Query(One { run }): Query<One>) -> Answer<Execution> {
    let lake = &app.lake;
    let unknown = || {
        Failure::not_found(format!("there is no execution {run:?}"))
            .hint("Choose one from the list; Step Functions forgets them after 90 days.")
    };
    let arn = workflow::find(lake, &run).await?.ok_or_else(unknown)?;
    let described = match lake.sfn.describe_execution().execution_arn(&arn).send().await.map_err(Error::aws("asking")) {
        Err(Error::Refused { code, .. }) if matches!(code.as_str(), "ExecutionDoesNotExist" | "InvalidArn") => {
            return Err(unknown());
        }
        described => described?,
    };
    let brief = Brief {
        workflow: workflow_of(lake, &described.state_machine_arn),
        name: described.name.unwrap_or_default(),
        status: described.status.as_str().to_owned(),
        started: millis(&described.start_date),
        stopped: described.stop_date.as_ref().map(millis),
        arn: arn.clone(),
    };
    // After the description, so that what is said to be over is told to its end.
    let watched = app.executions.get(lake, &arn).await?;
    let mut watched = watched.lock().await;
    watched.update(lake, brief.stopped.is_some()).await?;
    let nested = nested(lake, &mut watched).await?;
    let timeline = &watched.timeline;
    let over_badly = !matches!(brief.status.as_str(), "RUNNING" | "SUCCEEDED");
    let failure = timeline.failure.as_ref().filter(|_| over_badly);
    let causes = failure.into_iter().chain(timeline.visits.iter().flat_map(|visit| &visit.failures));
    let causes: Vec<&str> = causes.map(|failure| failure.cause.as_str()).collect();
    let shown = timeline.visits.iter().enumerate().map(|(at, visit)| Shown {
        state: visit.state.clone(),
        entered: visit.entered,
        left: visit.left,
        outcome: Outcome::of(visit, &brief.status, at + 1 == timeline.visits.len()),
        attempts: visit.failures.len() + usize::from(visit.kind == Kind::Work && !visit.failed),
        failures: visit.failures.iter().map(Failed::from).collect(),
    });
    Ok(Json(Execution {
        now: now(),
        input: parsed(described.input.as_deref().unwrap_or("{}")),
        output: described.output.as_deref().map(parsed),
        failure: failure.map(Failed::from),
        definition: watched.definition.clone(),
        visits: shown.collect(),
        nested,
        documents: documents::uris(&causes.join("\n")),
        brief,
    }))
}

/// The name of the workflow whose state machine, or execution, this is the ARN of.
fn workflow_of(lake: &Lake, machine: &str) -> String {
    let name = machine.rsplit(':').next().unwrap_or(machine);
    name.strip_prefix(&format!("{}-", lake.config.aws.stack)).unwrap_or(name).to_owned()
}

/// The executions that one started. Those that are over are asked for once.
async fn nested(lake: &Lake, watched: &mut Watched) -> Result<Vec<Nested>, Error> {
    let asked = watched.nested.iter().map(async |(visit, arn)| {
        if let Some(known) = watched.ended.iter().find(|known| known.arn == *arn) {
            return Ok(Nested { visit: *visit, brief: known.clone() });
        }
        let described = lake.sfn.describe_execution().execution_arn(arn).send().await;
        let described = described.map_err(Error::aws(format!("asking for {arn}")))?;
        let brief = Brief {
            arn: arn.clone(),
            workflow: workflow_of(lake, &described.state_machine_arn),
            name: described.name.unwrap_or_default(),
            status: described.status.as_str().to_owned(),
            started: millis(&described.start_date),
            stopped: described.stop_date.as_ref().map(millis),
        };
        Ok::<_, Error>(Nested { visit: *visit, brief })
    });
    let nested = try_join_all(asked).await?;
    watched.ended = nested.iter().filter(|one| one.brief.stopped.is_some()).map(|one| one.brief.clone()).collect();
    Ok(nested)
}

/// What is to be started.
#[derive(Deserialize)]
struct Wanted {
    workflow: String,
    input: Value,
}

/// What an input asks for.
#[derive(Serialize)]
struct Checked {
    workflow: &'static str,
    input: Value,
    /// The same in words.
    means: String,
    #[serde(skip)]
    purpose: String,
}

/// One table of one run, which `create_datalake` asks `athena_update` for.
#[derive(Deserialize)]
struct Table {
    table: TableName,
    #[serde(flatten)]
    range: DateRange,
}

/// Holds an input against what the functions take.
fn checked(Wanted { workflow, input }: Wanted, at: DateTime<Utc>) -> Result<Checked, Failure> {
    let workflow = named(&workflow)?;
    let is_update = workflow == Workflow::AthenaUpdate;
    let of_table = (is_update && input.get("table").is_some())
        .then(|| Table::deserialize(&input))
        .transpose()
        .map_err(|error| Failure::from(Error::InvalidInput(format!("the input names no days of a table: {error}"))))?;
    let (means, purpose) = match of_table {
        Some(Table { table, range }) => (format!("{table}, {range}"), format!("{table}_{}", days_in_name(range))),
        None => match workflow_input::resolve(&input, at)? {
            Request::DayBefore(day) => (format!("{day}, the day before in Sao Paulo"), day.to_string()),
            Request::Days(range) => (range.to_string(), days_in_name(range)),
            Request::Stale(range) => (format!("what is not up to date of {range}"), days_in_name(range)),
            Request::Object { bucket, key } => (format!("the object s3://{bucket}/{key}"), "object".to_owned()),
        },
    };
    Ok(Checked { workflow: workflow.name(), input, means, purpose })
}

/// Days as the names of executions have them.
fn days_in_name(range: DateRange) -> String {
    let (from, to): (NaiveDate, NaiveDate) = (range.from(), range.to());
    if from == to { from.to_string() } else { format!("{from}_{to}") }
}

async fn check(Json(wanted): Json<Wanted>) -> Answer<Checked> {
    Ok(Json(checked(wanted, Utc::now())?))
}

async fn start(State(app): State<Arc<App>>, Json(wanted): Json<Wanted>) -> Answer<Value> {
    let Checked { workflow, input, purpose, .. } = checked(wanted, Utc::now())?;
    let name = workflow::new_name(&purpose).map_err(|error| Failure::invalid(error.to_string()))?;
    let arn = workflow::start(&app.lake, named(workflow)?, &name, &input).await?;
    Ok(Json(json!({ "arn": arn, "name": name })))
}

async fn stop(State(app): State<Arc<App>>, Json(One { run }): Json<One>) -> Answer<Value> {
    let request = app.lake.sfn.stop_execution().execution_arn(&run).error("Stopped").cause("stopped in the explorer");
    request.send().await.map_err(Error::aws("stopping the execution"))?;
    Ok(Json(json!({ "arn": run })))
}

#[derive(Deserialize)]
struct At {
    uri: String,
}

async fn document(State(app): State<Arc<App>>, Query(At { uri }): Query<At>) -> Answer<Document> {
    // Of the lake itself only what is written for people: its tables are read by SQL.
    let lake = keys::uri(&app.lake.config.buckets.lake, "");
    if uri.strip_prefix(&lake).is_some_and(keys::is_of_table) {
        return Err(Failure::invalid(format!("{uri} is data of a table")).hint("Ask for it under SQL."));
    }
    Ok(Json(documents::read(&app.lake, &uri).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(workflow: &str, input: Value) -> Result<(String, String), Failure> {
        let wanted = Wanted { workflow: workflow.to_owned(), input };
        let checked = checked(wanted, "2020-04-03T12:00:00Z".parse().expect("a time"))?;
        Ok((checked.means, checked.purpose))
    }

    #[test]
    fn an_input_is_told_in_words_before_it_is_started() {
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
        };
        for (visit, status, last, outcome) in [
            (visit(Some(2), false), "RUNNING", false, Outcome::Succeeded),
            (visit(Some(2), true), "FAILED", false, Outcome::Caught),
            (visit(None, true), "RUNNING", true, Outcome::Running),
            (visit(None, true), "FAILED", false, Outcome::Failed),
            // A Fail state fails by being entered.
            (visit(None, false), "FAILED", true, Outcome::Failed),
            // Another branch of a Parallel failed.
            (visit(None, false), "FAILED", false, Outcome::Stopped),
            (visit(None, false), "ABORTED", true, Outcome::Stopped),
            (visit(None, false), "TIMED_OUT", true, Outcome::Stopped),
        ] {
            assert_eq!(Outcome::of(&visit, status, last), outcome, "{visit:?} {status}");
        }
    }
}
