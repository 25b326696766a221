//! Statements on Athena, each run to its end.

use std::time::Duration;

use aws_sdk_athena::types::{
    ColumnInfo, QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row, StatementType,
};

use crate::error::Error;
use crate::{Lake, keys};

/// What a statement gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The id of the query execution.
    pub query: String,
    /// The columns, in order. A statement that defines something has none.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// The bytes that were read for it.
    pub scanned_bytes: u64,
}

/// A column of an [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, as the statement gives it.
    pub name: String,
    /// The type in Athena's words: `varchar`, `bigint`, `double`.
    pub ty: String,
}

/// Runs one statement in the configured database and workgroup, waits for its end, and fetches all rows.
///
/// # Errors
/// [`Error::Athena`] with the query's id and Athena's reason when it fails or is cancelled; [`Error::Refused`] when it
/// is no statement.
pub async fn run(lake: &Lake, statement: &str) -> Result<Answer, Error> {
    let query = start(lake, statement).await?;
    let execution = wait(lake, &query).await?;
    let state = execution.status().and_then(|status| status.state()).map_or("UNKNOWN", |state| state.as_str());
    if state != QueryExecutionState::Succeeded.as_str() {
        return Err(failure(&execution, query, state, statement));
    }
    let scanned = execution.statistics().and_then(|statistics| statistics.data_scanned_in_bytes());
    let (columns, rows) = results(lake, &query, execution.statement_type() == Some(&StatementType::Dml)).await?;
    let scanned_bytes = scanned.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
    Ok(Answer { query, columns, rows, scanned_bytes })
}

async fn start(lake: &Lake, statement: &str) -> Result<String, Error> {
    let athena = &lake.config.athena;
    let output = keys::uri(&lake.config.buckets.results, keys::QUERY_RESULTS);
    let started = lake
        .athena
        .start_query_execution()
        .query_string(statement)
        .query_execution_context(QueryExecutionContext::builder().database(athena.database.as_str()).build())
        .work_group(&athena.workgroup)
        .result_configuration(ResultConfiguration::builder().output_location(output).build())
        .send()
        .await
        .map_err(Error::aws(format!("starting the query {}", beginning(statement))))?;
    started.query_execution_id.ok_or_else(|| nothing_said("a query without an id"))
}

/// Looks until the query has ended: often at first, since most statements here take milliseconds or a second.
async fn wait(lake: &Lake, query: &str) -> Result<QueryExecution, Error> {
    let mut pause = Duration::from_millis(10);
    loop {
        let request = lake.athena.get_query_execution().query_execution_id(query);
        let look = request.send().await.map_err(Error::aws(format!("looking at the query {query}")))?;
        let execution = look.query_execution.ok_or_else(|| nothing_said("no query execution"))?;
        match execution.status().and_then(|status| status.state()) {
            Some(QueryExecutionState::Queued | QueryExecutionState::Running) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            _ => return Ok(execution),
        }
    }
}

/// All pages of the rows. The first row of a SELECT is the names of its columns, and no row.
async fn results(lake: &Lake, query: &str, is_select: bool) -> Result<(Vec<Column>, Vec<Vec<Option<String>>>), Error> {
    let mut pages = lake.athena.get_query_results().query_execution_id(query).into_paginator().send();
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    let mut first = true;
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("fetching the rows of the query {query}")))?;
        let Some(set) = page.result_set else { continue };
        if first {
            let described = set.result_set_metadata.and_then(|metadata| metadata.column_info);
            columns = described.unwrap_or_default().into_iter().map(column).collect();
        }
        let header = usize::from(first && is_select);
        rows.extend(set.rows.unwrap_or_default().into_iter().skip(header).map(cells));
        first = false;
    }
    Ok((columns, rows))
}

fn column(info: ColumnInfo) -> Column {
    Column { name: info.name, ty: info.r#type }
}

fn cells(row: Row) -> Vec<Option<String>> {
    row.data.unwrap_or_default().into_iter().map(|cell| cell.var_char_value).collect()
}

fn failure(execution: &QueryExecution, query: String, state: &str, statement: &str) -> Error {
    let status = execution.status();
    let error = status.and_then(|status| status.athena_error());
    let reason = status
        .and_then(|status| status.state_change_reason())
        .or_else(|| error.and_then(|error| error.error_message()))
        .unwrap_or("Athena gives no reason")
        .to_owned();
    let retryable = error.is_some_and(|error| error.retryable());
    Error::Athena { query, state: state.to_owned(), reason, statement: beginning(statement), retryable }
}

fn nothing_said(what: &str) -> Error {
    Error::Unavailable { doing: "asking Athena".to_owned(), message: format!("it answered with {what}") }
}

/// Enough of a statement to know it by, in one line.
fn beginning(statement: &str) -> String {
    let line: Vec<&str> = statement.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_in_one_short_line() {
        assert_eq!(beginning("SELECT\n  1"), "SELECT 1");
        let long = beginning(&"é ".repeat(500));
        assert!(long.ends_with("...") && long.chars().count() == 203, "{long}");
    }
}
