//! Statements that users write.
//!
//! The server is stateless: the page keeps the id of the query execution, and later requests read its state and rows from
//! Athena. Cells are returned as text, because numbers of JavaScript cannot represent every bigint and decimal.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query as UrlQuery, State};
use axum::http::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use lake::athena::{Finished, Page, PageSize, Query};
use lake::result_csv::Row;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::Instrument;

use super::ApiResult;
use crate::app::App;
use crate::download::{Format, download};
use crate::error::ApiError;
use crate::sql_guard;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sql/run", post(run))
        .route("/sql/result", get(result))
        .route("/sql/rows", get(rows))
        .route("/sql/count", get(count))
        .route("/sql/csv", get(csv))
        .route("/sql/parquet", get(parquet))
}

/// The number of rows of a page. Athena counts the header as a row, so the first page has one row less. It has the same
/// size as the others because Athena does not document whether a token is valid with another size.
const PAGE_SIZE: PageSize = PageSize::new(200);

#[derive(Deserialize)]
struct RunRequest {
    statement: String,
    /// The user has confirmed that the statement reads all days of a table.
    #[serde(default)]
    whole: bool,
}

#[derive(Deserialize)]
struct QueryParams {
    /// The id of a query execution.
    query: String,
}

#[derive(Deserialize)]
struct RowsParams {
    /// The id of a query execution.
    query: String,
    /// The token of the page.
    token: String,
}

/// A query that has succeeded, with its first page of rows.
#[derive(Serialize)]
struct QueryResponse {
    query: String,
    statement: String,
    took_ms: u64,
    scanned_bytes: u64,
    /// The price on AWS, in USD.
    cost: f64,
    #[serde(flatten)]
    rows: RowsResponse,
}

/// A page of rows.
#[derive(Serialize)]
struct RowsResponse {
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// The token of the next page; `None` on the last page.
    next: Option<String>,
}

#[derive(Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    number: bool,
}

impl From<(Page, Option<String>)> for RowsResponse {
    fn from((page, next): (Page, Option<String>)) -> Self {
        let columns = page.columns.into_iter().map(|column| Column {
            number: column.is_number(),
            name: column.name,
            ty: column.ty,
        });
        Self { columns: columns.collect(), rows: page.rows, next }
    }
}

/// Runs a statement, and waits for its end. When the client disconnects, the query is cancelled.
async fn run(State(app): State<Arc<App>>, Json(request): Json<RunRequest>) -> ApiResult<QueryResponse> {
    sql_guard::check_read_only(&request.statement)?;
    if !request.whole {
        confirm_full_scans(&app, &request.statement).await?;
    }
    let (mut sender, receiver) = oneshot::channel();
    // In a task of its own: axum drops this future when the client disconnects, and the query has to be cancelled even when
    // that happens while it is being started.
    let work = async move {
        let database = app.lake.config.athena.database.as_str();
        let query = match Query::start(&app.lake, &request.statement, database).await {
            Ok(query) => query,
            Err(error) => return drop(sender.send(Err(api_error(&app, error).await))),
        };
        let response = tokio::select! {
            response = query_response(&app, &query) => Some(response),
            () = sender.closed() => None,
        };
        match response {
            Some(response) => drop(sender.send(response)),
            // The client has disconnected, so an error cannot be reported.
            None => drop(query.cancel().await),
        }
    };
    tokio::spawn(work.in_current_span());
    receiver.await.map_err(|_| ApiError::invalid("the query could not be run"))?.map(Json)
}

/// Returns the result of an earlier query. Athena keeps the rows, and reading them again is free.
async fn result(State(app): State<Arc<App>>, UrlQuery(params): UrlQuery<QueryParams>) -> ApiResult<QueryResponse> {
    query_response(&app, &Query::known(&app.lake, params.query)).await.map(Json)
}

async fn rows(State(app): State<Arc<App>>, UrlQuery(params): UrlQuery<RowsParams>) -> ApiResult<RowsResponse> {
    Ok(Json(RowsResponse::from(Query::known(&app.lake, params.query).page_at(params.token, PAGE_SIZE).await?)))
}

/// Waits for the end of a query, and reads its first page.
async fn query_response(app: &App, query: &Query<'_>) -> Result<QueryResponse, ApiError> {
    let finished = match query.finished().await {
        Ok(finished) => finished,
        Err(error) => return Err(api_error(app, error).await),
    };
    let rows = RowsResponse::from(query.first_page(&finished, PAGE_SIZE).await?);
    let cost = cost(&finished);
    let Finished { statement, took, scanned_bytes, .. } = finished;
    Ok(QueryResponse { query: query.id().to_owned(), statement, took_ms: millis(took), scanned_bytes, cost, rows })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Converts an error of Athena. For a missing table, the hint depends on whether any table exists.
async fn api_error(app: &App, error: lake::Error) -> ApiError {
    let no_table = error.is_missing_table();
    let error = ApiError::from(error);
    if !no_table {
        return error;
    }
    // When tables exist, the name is wrong; otherwise nothing has been published, as the default hint says.
    match app.published_days(market::table::TableName::Quotes).await {
        Ok(days) if !days.is_empty() => error.hint("SHOW TABLES lists the tables that there are."),
        _ => error,
    }
}

/// Requires the user's confirmation for a statement that reads all days of a table.
///
/// # Errors
/// 409 when it reads all days of a table that has more than one.
async fn confirm_full_scans(app: &App, statement: &str) -> Result<(), ApiError> {
    let tables = sql_guard::full_scans(statement, app.lake.config.athena.database.as_str());
    let mut scans = Vec::new();
    for table in tables {
        let days = app.published_days(table).await?;
        if let Some(last) = days.last().filter(|_| days.len() > 1) {
            scans.push((table, days.len(), market::partition::Partition::from(*last)));
        }
    }
    let Some((_, _, last)) = scans.first() else { return Ok(()) };
    let keys = market::partition::KEYS.iter().zip(last.values()).map(|(key, value)| format!("{key} = {value}"));
    let condition = keys.collect::<Vec<_>>().join(" AND ");
    let read: Vec<String> = scans.iter().map(|(table, days, _)| format!("all {days} days of {table}")).collect();
    Err(ApiError::unconfirmed(format!("This reads {}: it has no condition on year, month or day.", read.join(" and ")))
        .hint(format!(
            "On AWS every byte that is read is paid for. With a condition such as {condition} it reads one day."
        )))
}

/// Athena's list price in us-east-1. Scanned bytes are rounded up to a megabyte, with a minimum for each query.
const USD_PER_TB: f64 = 5.0;
const MIN_MB: u64 = 10;
const MB: u64 = 1_000_000;

/// Returns the price of a query in USD. Statements about the catalog are free.
fn cost(finished: &Finished) -> f64 {
    if !finished.reads_data() {
        return 0.0;
    }
    let megabytes = finished.scanned_bytes.div_ceil(MB).max(MIN_MB);
    megabytes as f64 * USD_PER_TB / 1e6
}

/// The highest exact count. Counting reads the rows.
const MAX_COUNT: usize = 250_000;

#[derive(Serialize)]
struct CountResponse {
    rows: usize,
    /// Whether there are more than `rows` rows.
    more: bool,
}

async fn count(State(app): State<Arc<App>>, UrlQuery(params): UrlQuery<QueryParams>) -> ApiResult<CountResponse> {
    let query = Query::known(&app.lake, params.query);
    let finished = query.finished().await?;
    let mut pages = query.pages(&finished);
    let mut rows = 0;
    while let Some(page) = pages.next().await? {
        rows += page.rows.len();
        if rows > MAX_COUNT {
            return Ok(Json(CountResponse { rows: MAX_COUNT, more: true }));
        }
    }
    Ok(Json(CountResponse { rows, more: false }))
}

async fn csv(State(app): State<Arc<App>>, UrlQuery(params): UrlQuery<QueryParams>) -> Result<Response<Body>, ApiError> {
    download(app, params.query, Format::Csv).await
}

async fn parquet(
    State(app): State<Arc<App>>,
    UrlQuery(params): UrlQuery<QueryParams>,
) -> Result<Response<Body>, ApiError> {
    download(app, params.query, Format::Parquet).await
}
