//! Statements that people write.
//!
//! The server keeps nothing of a query: the page has the id of its execution, and whatever is asked about it later is
//! asked of Athena, which keeps the rows. Every cell goes to the page as the text that Athena gives, because numbers of
//! JavaScript do not hold every bigint or decimal.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query as Parameters, State};
use axum::http::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use lake::athena::{Finished, Page, PageSize, Query};
use lake::result_csv::Row;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Answer;
use crate::app::App;
use crate::download::{Format, download};
use crate::error::Failure;
use crate::reading;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sql/run", post(run))
        .route("/sql/result", get(result))
        .route("/sql/rows", get(rows))
        .route("/sql/count", get(count))
        .route("/sql/csv", get(csv))
        .route("/sql/parquet", get(parquet))
}

/// What a page of rows is asked for with. Athena counts the names of the columns as a row, so that the first page has one
/// less; a first page of another size would leave it open whether its token is good for the next.
const PAGE: PageSize = PageSize::new(200);

#[derive(Deserialize)]
struct Run {
    statement: String,
    /// Run it even though it reads all days of a table.
    #[serde(default)]
    whole: bool,
}

#[derive(Deserialize)]
struct Named {
    query: String,
}

#[derive(Deserialize)]
struct At {
    query: String,
    token: String,
}

/// A query that has succeeded, and its first rows.
#[derive(Serialize)]
struct Outcome {
    query: String,
    statement: String,
    took_ms: u64,
    scanned_bytes: u64,
    /// In USD, on AWS.
    cost: f64,
    #[serde(flatten)]
    rows: Rows,
}

/// Some rows.
#[derive(Serialize)]
struct Rows {
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// What the next page is asked for with; none behind the last.
    next: Option<String>,
}

#[derive(Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    number: bool,
}

impl Rows {
    fn of((page, next): (Page, Option<String>)) -> Self {
        let columns = page.columns.into_iter().map(|column| Column {
            number: column.is_number(),
            name: column.name,
            ty: column.ty,
        });
        Self { columns: columns.collect(), rows: page.rows, next }
    }
}

/// Runs a statement to its end. When the page no longer waits, the query is cancelled.
async fn run(State(app): State<Arc<App>>, Json(asked): Json<Run>) -> Answer<Outcome> {
    reading::check(&asked.statement)?;
    if !asked.whole {
        narrowed(&app, &asked.statement).await?;
    }
    let (mut answer, answered) = oneshot::channel();
    // On its own, so that a query whose page goes while it is being started is cancelled too.
    tokio::spawn(async move {
        let database = app.lake.config.athena.database.as_str();
        let query = match Query::start(&app.lake, &asked.statement, database).await {
            Ok(query) => query,
            Err(error) => return drop(answer.send(Err(failure(&app, error).await))),
        };
        let outcome = tokio::select! {
            outcome = outcome(&app, &query) => Some(outcome),
            () = answer.closed() => None,
        };
        match outcome {
            Some(outcome) => drop(answer.send(outcome)),
            // Nobody is left to be told that it could not be cancelled.
            None => drop(query.cancel().await),
        }
    });
    let outcome = answered.await.map_err(|_| Failure::invalid("the query could not be run"))?;
    outcome.map(Json)
}

/// What became of a query that was run before: its rows are still there, and cost nothing to look at again.
async fn result(State(app): State<Arc<App>>, Parameters(named): Parameters<Named>) -> Answer<Outcome> {
    outcome(&app, &Query::known(&app.lake, named.query)).await.map(Json)
}

async fn rows(State(app): State<Arc<App>>, Parameters(at): Parameters<At>) -> Answer<Rows> {
    Ok(Json(Rows::of(Query::known(&app.lake, at.query).page_at(at.token, PAGE).await?)))
}

async fn outcome(app: &App, query: &Query<'_>) -> Result<Outcome, Failure> {
    let finished = match query.finished().await {
        Ok(finished) => finished,
        Err(error) => return Err(failure(app, error).await),
    };
    let rows = Rows::of(query.first_page(&finished, PAGE).await?);
    let cost = cost(&finished);
    let Finished { statement, took, scanned_bytes, .. } = finished;
    Ok(Outcome { query: query.id().to_owned(), statement, took_ms: millis(took), scanned_bytes, cost, rows })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Athena's words, and what to do where they leave it open.
async fn failure(app: &App, error: lake::Error) -> Failure {
    let no_table = error.is_missing_table();
    let failure = Failure::from(error);
    if !no_table {
        return failure;
    }
    // With tables it is the name that is wrong, and without them there is nothing to ask yet.
    match app.days.of(&app.lake, market::table::TableName::Quotes).await {
        Ok(days) if !days.is_empty() => failure.hint("SHOW TABLES lists the tables that there are."),
        _ => failure,
    }
}

/// Asks back before all days of a table are read.
async fn narrowed(app: &App, statement: &str) -> Result<(), Failure> {
    let tables = reading::whole_tables(statement, app.lake.config.athena.database.as_str());
    let mut whole = Vec::new();
    for table in tables {
        let days = app.days.of(&app.lake, table).await?;
        if let Some(last) = days.last().filter(|_| days.len() > 1) {
            whole.push((table, days.len(), market::partition::Partition::from(*last)));
        }
    }
    let Some((_, _, last)) = whole.first() else { return Ok(()) };
    let keys = market::partition::KEYS.iter().zip(last.values()).map(|(key, value)| format!("{key} = {value}"));
    let condition = keys.collect::<Vec<_>>().join(" AND ");
    let read: Vec<String> = whole.iter().map(|(table, days, _)| format!("all {days} days of {table}")).collect();
    Err(Failure::unconfirmed(format!("This reads {}: it has no condition on year, month or day.", read.join(" and ")))
        .hint(format!(
            "On AWS every byte that is read is paid for. With a condition such as {condition} it reads one day."
        )))
}

/// USD for a TB, what Athena takes for a query at least, and what it rounds up to: list prices of us-east-1.
const USD_PER_TB: f64 = 5.0;
const LEAST_MB: u64 = 10;
const MB: u64 = 1_000_000;

/// What a query costs on AWS. Looking at what there is costs nothing.
fn cost(finished: &Finished) -> f64 {
    if !finished.reads_data() {
        return 0.0;
    }
    let megabytes = finished.scanned_bytes.div_ceil(MB).max(LEAST_MB);
    megabytes as f64 * USD_PER_TB / 1e6
}

/// Rows are counted up to here: for that they are read.
const MOST_COUNTED: usize = 250_000;

#[derive(Serialize)]
struct Count {
    rows: usize,
    /// There are more.
    more: bool,
}

async fn count(State(app): State<Arc<App>>, Parameters(named): Parameters<Named>) -> Answer<Count> {
    let query = Query::known(&app.lake, named.query);
    let finished = query.finished().await?;
    let mut pages = query.pages(&finished);
    let mut rows = 0;
    while let Some(page) = pages.next().await? {
        rows += page.rows.len();
        if rows > MOST_COUNTED {
            return Ok(Json(Count { rows: MOST_COUNTED, more: true }));
        }
    }
    Ok(Json(Count { rows, more: false }))
}

async fn csv(State(app): State<Arc<App>>, Parameters(named): Parameters<Named>) -> Result<Response<Body>, Failure> {
    download(app, named.query, Format::Csv).await
}

async fn parquet(State(app): State<Arc<App>>, Parameters(named): Parameters<Named>) -> Result<Response<Body>, Failure> {
    download(app, named.query, Format::Parquet).await
}
