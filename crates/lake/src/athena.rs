//! Statements on Athena, each run to its end.

use std::time::Duration;

use aws_sdk_athena::types::{
    ColumnInfo, QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row, StatementType,
};

use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;

use crate::error::Error;
use crate::{Lake, keys, result_csv};

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

impl Column {
    fn is_integer(&self) -> bool {
        matches!(self.ty.as_str(), "tinyint" | "smallint" | "int" | "integer" | "bigint")
    }

    /// Whether its cells are numbers.
    pub fn is_number(&self) -> bool {
        self.is_integer() || matches!(self.ty.as_str(), "double" | "float" | "real") || self.ty.starts_with("decimal")
    }

    /// A cell of it as JSON. What JSON has no number for (NaN, Infinity) stays the text that Athena gives.
    pub fn json(&self, cell: Option<&str>) -> Value {
        let Some(text) = cell else { return Value::Null };
        let number = if self.is_integer() {
            text.parse::<i64>().ok().map(Value::from)
        } else if self.is_number() {
            text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::from)
        } else if self.ty == "boolean" {
            text.parse::<bool>().ok().map(Value::from)
        } else {
            None
        };
        number.unwrap_or_else(|| Value::from(text))
    }
}

/// Runs one statement in the configured database and workgroup, waits for its end, and fetches all rows.
///
/// # Errors
/// [`Error::Athena`] with the query's id and Athena's reason when it fails or is cancelled; [`Error::Refused`] when it
/// is no statement.
pub async fn run(lake: &Lake, statement: &str) -> Result<Answer, Error> {
    run_in(lake, lake.config.athena.database.as_str(), statement).await
}

/// [`run`] in another database, or in none.
///
/// # Errors
/// As [`run`].
pub async fn run_in(lake: &Lake, database: impl Into<Option<&str>>, statement: &str) -> Result<Answer, Error> {
    let query = Query::start(lake, statement, database).await?;
    let finished = query.finished().await?;
    let mut pages = query.pages(&finished);
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await? {
        columns = page.columns;
        rows.extend(page.rows);
    }
    Ok(Answer { query: query.id, columns, rows, scanned_bytes: finished.scanned_bytes })
}

/// A query that has been started, for those who cannot hold all its rows.
#[derive(Debug)]
pub struct Query<'a> {
    lake: &'a Lake,
    id: String,
    statement: &'a str,
}

/// What a query took, now that it has succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The bytes that were read for it.
    pub scanned_bytes: u64,
    /// How long it took Athena.
    pub took: Duration,
    /// The first row of such an answer is the names of its columns, and no row.
    names_first: bool,
    /// The object that holds the whole answer.
    output: Option<String>,
}

impl<'a> Query<'a> {
    /// Starts a statement in the configured workgroup; names without a database are those of `database`, if any.
    ///
    /// # Errors
    /// [`Error::Refused`] when Athena does not take it for a statement.
    pub async fn start(lake: &'a Lake, statement: &'a str, database: impl Into<Option<&str>>) -> Result<Self, Error> {
        let context = database.into().map(|database| QueryExecutionContext::builder().database(database).build());
        let output = keys::uri(&lake.config.buckets.results, keys::QUERY_RESULTS);
        let started = lake
            .athena
            .start_query_execution()
            .query_string(statement)
            .set_query_execution_context(context)
            .work_group(&lake.config.athena.workgroup)
            .result_configuration(ResultConfiguration::builder().output_location(output).build())
            .send()
            .await
            .map_err(Error::aws(format!("starting the query {}", beginning(statement))))?;
        let id = started.query_execution_id.ok_or_else(|| nothing_said("a query without an id"))?;
        Ok(Self { lake, id, statement })
    }

    /// Looks until the query has succeeded: often at first, since most statements here take milliseconds or a second.
    ///
    /// # Errors
    /// [`Error::Athena`] with Athena's reason when it fails or is cancelled.
    pub async fn finished(&self) -> Result<Finished, Error> {
        let mut pause = Duration::from_millis(10);
        loop {
            let execution = self.look().await?;
            match execution.status().and_then(|status| status.state()) {
                Some(QueryExecutionState::Queued | QueryExecutionState::Running) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                Some(QueryExecutionState::Succeeded) => return Ok(Finished::of(&execution)),
                state => return Err(self.failure(&execution, state.map_or("UNKNOWN", |state| state.as_str()))),
            }
        }
    }

    /// Asks Athena to give the query up.
    ///
    /// # Errors
    /// Whatever Athena refuses.
    pub async fn cancel(&self) -> Result<(), Error> {
        let request = self.lake.athena.stop_query_execution().query_execution_id(&self.id);
        request.send().await.map_err(Error::aws(format!("cancelling the query {}", self.id)))?;
        Ok(())
    }

    /// The rows of a query that has finished, from the first one on.
    ///
    /// Athena gives a thousand rows at a time, which is the whole of most answers. Of a longer one the others are read
    /// from the object that it keeps, as they come: that is as fast as S3 is. Where it cannot be read, Athena is asked on.
    pub fn pages(&self, finished: &Finished) -> Pages<'_> {
        let object = finished.output.clone().filter(|output| finished.names_first && output.ends_with(".csv"));
        Pages { query: self, next: Next::First { names_first: finished.names_first }, object }
    }

    async fn look(&self) -> Result<QueryExecution, Error> {
        let request = self.lake.athena.get_query_execution().query_execution_id(&self.id);
        let look = request.send().await.map_err(Error::aws(format!("looking at the query {}", self.id)))?;
        look.query_execution.ok_or_else(|| nothing_said("no query execution"))
    }

    fn failure(&self, execution: &QueryExecution, state: &str) -> Error {
        let status = execution.status();
        let error = status.and_then(|status| status.athena_error());
        let reason = status
            .and_then(|status| status.state_change_reason())
            .or_else(|| error.and_then(|error| error.error_message()))
            .unwrap_or("Athena gives no reason");
        Error::Athena {
            query: self.id.clone(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            statement: beginning(self.statement),
            retryable: error.is_some_and(|error| error.retryable()),
        }
    }
}

impl Finished {
    fn of(execution: &QueryExecution) -> Self {
        let statistics = execution.statistics();
        let scanned = statistics.and_then(|statistics| statistics.data_scanned_in_bytes());
        let millis = statistics.and_then(|statistics| statistics.total_execution_time_in_millis());
        let whole = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        Self {
            scanned_bytes: whole(scanned),
            took: Duration::from_millis(whole(millis)),
            names_first: execution.statement_type() == Some(&StatementType::Dml),
            output: execution.result_configuration().and_then(|result| result.output_location()).map(str::to_owned),
        }
    }
}

/// The rows of a query, a page at a time.
#[derive(Debug)]
pub struct Pages<'q> {
    query: &'q Query<'q>,
    next: Next,
    /// Where the whole answer lies as CSV, if it does.
    object: Option<String>,
}

/// Where the next page begins.
#[derive(Debug)]
enum Next {
    First { names_first: bool },
    At(String),
    In(Box<Stream>),
    Over,
}

/// An answer that is being read from its object.
#[derive(Debug)]
struct Stream {
    columns: Vec<Column>,
    body: ByteStream,
    reader: result_csv::Reader,
    /// Records that have been given already: the names of the columns, and the rows of the first page.
    skip: usize,
}

/// Some rows of a query. Every page has its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The columns, in order. A statement that defines something has none.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Pages<'_> {
    /// The next page, or `None` behind the last; there is always a first.
    ///
    /// # Errors
    /// Whatever Athena or S3 refuse.
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        let (token, names) = match std::mem::replace(&mut self.next, Next::Over) {
            Next::First { names_first } => (None, usize::from(names_first)),
            Next::At(token) => (Some(token), 0),
            Next::In(mut stream) => {
                let page = stream.page(&self.query.id).await?;
                if page.is_some() {
                    self.next = Next::In(stream);
                }
                return Ok(page);
            }
            Next::Over => return Ok(None),
        };
        let Query { lake, id, .. } = self.query;
        let request = lake.athena.get_query_results().query_execution_id(id).set_next_token(token);
        let page = request.send().await.map_err(Error::aws(format!("fetching the rows of the query {id}")))?;

        let set = page.result_set.ok_or_else(|| nothing_said("no rows"))?;
        let described = set.result_set_metadata.and_then(|metadata| metadata.column_info);
        let records = set.rows.unwrap_or_default();
        let given = records.len();
        let page_of = Page {
            columns: described.unwrap_or_default().into_iter().map(column).collect(),
            rows: records.into_iter().skip(names).map(cells).collect(),
        };
        self.next = match page.next_token {
            None => Next::Over,
            Some(token) => match self.open(&page_of.columns, given).await {
                Some(stream) => Next::In(Box::new(stream)),
                None => Next::At(token),
            },
        };
        Ok(Some(page_of))
    }

    /// The object of the answer, from its beginning; at most once, and nothing when it cannot be read.
    async fn open(&mut self, columns: &[Column], skip: usize) -> Option<Stream> {
        let object = self.object.take()?;
        let (bucket, key) = object.strip_prefix("s3://")?.split_once('/')?;
        let found = self.query.lake.s3.get_object().bucket(bucket).key(key).send().await.ok()?;
        Some(Stream { columns: columns.to_vec(), body: found.body, reader: result_csv::Reader::default(), skip })
    }
}

/// How many rows a page has that is read from an object.
const ROWS_OF_PAGE: usize = 8_192;

impl Stream {
    async fn page(&mut self, query: &str) -> Result<Option<Page>, Error> {
        let mut rows = Vec::new();
        while rows.len() < ROWS_OF_PAGE {
            if let Some(row) = self.reader.next_row() {
                self.take(row, &mut rows, query)?;
            } else if let Some(bytes) = self.body.next().await {
                self.reader.push(&bytes.map_err(Error::body(format!("the rows of the query {query}")))?);
            } else {
                if let Some(row) = self.reader.last_row() {
                    self.take(row, &mut rows, query)?;
                }
                break;
            }
        }
        Ok((!rows.is_empty()).then(|| Page { columns: self.columns.clone(), rows }))
    }

    fn take(&mut self, row: result_csv::Row, rows: &mut Vec<result_csv::Row>, query: &str) -> Result<(), Error> {
        if row.len() != self.columns.len() {
            let message = format!("a row has {} cells, and the answer {} columns", row.len(), self.columns.len());
            return Err(Error::Unavailable { doing: format!("reading the rows of the query {query}"), message });
        }
        match self.skip.checked_sub(1) {
            Some(less) => self.skip = less,
            None => rows.push(row),
        }
        Ok(())
    }
}

fn column(info: ColumnInfo) -> Column {
    Column { name: info.name, ty: info.r#type }
}

fn cells(row: Row) -> Vec<Option<String>> {
    row.data.unwrap_or_default().into_iter().map(|cell| cell.var_char_value).collect()
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
