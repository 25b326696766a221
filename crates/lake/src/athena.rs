//! Runs statements on Athena and reads their results.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use aws_sdk_athena::types::{
    ColumnInfo, QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row, StatementType,
};

use aws_sdk_s3::primitives::ByteStream;
use market::run::RunId;
use serde_json::Value;

use crate::error::Error;
use crate::metrics::Metric;
use crate::{Lake, backoff, keys, price, result_csv};

/// The complete result of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResult {
    /// The id of the query execution.
    pub query: String,
    /// The columns, in order. DDL statements have none.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Bytes that Athena scanned.
    pub scanned_bytes: u64,
}

/// A column of a [`QueryResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name or alias in the statement.
    pub name: String,
    /// Its Athena type: `varchar`, `bigint`, `double`, `decimal(18,2)`.
    pub ty: String,
}

impl Column {
    fn is_integer(&self) -> bool {
        matches!(self.ty.as_str(), "tinyint" | "smallint" | "int" | "integer" | "bigint")
    }

    fn is_double(&self) -> bool {
        matches!(self.ty.as_str(), "double" | "float" | "real")
    }

    /// Whether its cells are numbers.
    pub fn is_number(&self) -> bool {
        self.is_integer() || self.is_double() || self.ty.starts_with("decimal")
    }

    /// Returns a cell of this column as JSON. Values without a JSON number (NaN, Infinity) stay text, and so do decimals with
    /// more digits than a double holds, because most JSON parsers read numbers as doubles.
    pub fn json(&self, cell: Option<&str>) -> Value {
        let Some(text) = cell else { return Value::Null };
        let number = if self.is_integer() {
            text.parse::<i64>().ok().map(Value::from)
        } else if self.is_number() {
            let double = text.parse::<f64>().ok().filter(|double| self.is_double() || is_the_same(*double, text));
            double.and_then(serde_json::Number::from_f64).map(Value::from)
        } else if self.ty == "boolean" {
            text.parse::<bool>().ok().map(Value::from)
        } else {
            None
        };
        number.unwrap_or_else(|| Value::from(text))
    }

    /// [`json`](Self::json) for web pages. JavaScript reads every number as a double, so that integers above 2^53 stay text
    /// too.
    pub fn page_json(&self, cell: Option<&str>) -> Value {
        const LARGEST: u64 = 1 << 53;
        match self.json(cell) {
            Value::Number(number) if number.as_i64().is_some_and(|integer| integer.unsigned_abs() > LARGEST) => {
                Value::from(cell)
            }
            value => value,
        }
    }
}

/// Runs one statement in the configured database and workgroup, waits for its end, and fetches all rows.
///
/// # Errors
/// [`Error::Athena`] with the query's id and Athena's reason if the query fails or is cancelled; [`Error::Refused`] if
/// Athena does not accept the statement.
pub async fn run(lake: &Lake, statement: &str) -> Result<QueryResult, Error> {
    run_in(lake, lake.config.athena.database.as_str(), statement).await
}

/// [`run`] with another default database, or with none.
///
/// # Errors
/// As [`run`].
pub async fn run_in(lake: &Lake, database: impl Into<Option<&str>>, statement: &str) -> Result<QueryResult, Error> {
    let query = Query::start(lake, statement, database).await?;
    let finished = query.finished().await?;
    let mut pages = query.pages(&finished);
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await? {
        columns = page.columns;
        rows.extend(page.rows);
    }
    Ok(QueryResult { query: query.id, columns, rows, scanned_bytes: finished.scanned_bytes })
}

/// A query execution, for callers that read its rows page by page or cancel it.
#[derive(Debug)]
pub struct Query<'a> {
    lake: &'a Lake,
    id: String,
    /// The delay before the first poll.
    first_delay: Duration,
}

/// The delays between polls of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollDelays {
    /// The delay before the first poll.
    first: Duration,
    /// The bounds of the delays after it, between which they grow ([`backoff::delay`]).
    min: Duration,
    max: Duration,
}

impl PollDelays {
    /// No statement of Athena takes less than 200 ms. An account may call `GetQueryExecution` 100 times per second
    /// (<https://docs.aws.amazon.com/athena/latest/ug/service-limits.html>): with this minimum, fifteen statements at once
    /// stay below it.
    pub const AWS: Self =
        Self { first: Duration::from_millis(200), min: Duration::from_millis(200), max: Duration::from_secs(2) };

    /// For endpoints on the same machine: a DDL statement takes a millisecond there, so longer delays would dominate.
    pub const LOCAL: Self = Self { first: Duration::ZERO, min: Duration::from_millis(2), max: Duration::from_secs(2) };

    /// Returns the delay before the next poll of a query that was started `elapsed` ago.
    fn next(self, elapsed: Duration) -> Duration {
        backoff::delay(elapsed, self.min, self.max)
    }
}

/// A query that has succeeded: its statement and statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its statement.
    pub statement: String,
    /// Bytes that Athena scanned.
    pub scanned_bytes: u64,
    /// Total execution time that Athena reports.
    pub took: Duration,
    /// Whether the first record of the result is the column names. True for DML (SELECT), false for DDL.
    names_first: bool,
    /// URI of the object with the whole result.
    output: Option<String>,
}

impl<'a> Query<'a> {
    /// Starts a statement in the configured workgroup. `database` is the default for table names without one.
    ///
    /// # Errors
    /// [`Error::Refused`] if Athena does not accept the statement.
    pub async fn start(lake: &'a Lake, statement: &str, database: impl Into<Option<&str>>) -> Result<Self, Error> {
        let database = database.into();
        let context = database.map(|database| QueryExecutionContext::builder().database(database).build());
        let output = keys::uri(&lake.config.buckets.results, keys::QUERY_RESULTS);
        let started = lake
            .athena
            .start_query_execution()
            .query_string(with_run(statement, lake.run.as_ref()))
            .set_query_execution_context(context)
            .work_group(&lake.config.athena.workgroup)
            .result_configuration(ResultConfiguration::builder().output_location(output).build())
            .send()
            .await
            .map_err(Error::aws(format!("starting the query {}", beginning(statement))))?;
        let id = started.query_execution_id.ok_or_else(|| nothing_said("a query without an id"))?;
        tracing::info!(id, database, statement = beginning(statement), "the query is started");
        Ok(Self { lake, id, first_delay: lake.query_polls.first })
    }

    /// Refers to a query execution that was started before.
    pub fn known(lake: &'a Lake, id: impl Into<String>) -> Self {
        Self { lake, id: id.into(), first_delay: Duration::ZERO }
    }

    /// Returns the id of the query execution.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Polls until the query has succeeded, with proportional [`backoff`].
    ///
    /// # Errors
    /// [`Error::Athena`] with Athena's reason if the query fails or is cancelled.
    pub async fn finished(&self) -> Result<Finished, Error> {
        let (started, delays) = (Instant::now(), self.lake.query_polls);
        if !self.first_delay.is_zero() {
            tokio::time::sleep(self.first_delay).await;
        }
        loop {
            let execution = self.look().await?;
            match execution.status().and_then(|status| status.state()) {
                Some(QueryExecutionState::Queued | QueryExecutionState::Running) => {
                    tokio::time::sleep(delays.next(started.elapsed())).await;
                }
                Some(QueryExecutionState::Succeeded) => {
                    let finished = Finished::new(&execution);
                    if finished.scanned_bytes > 0 {
                        let bytes = finished.scanned_bytes as f64;
                        let cost = bytes * price::SCANNED_BYTE;
                        self.lake.measure(&[(Metric::ScannedBytes, bytes), (Metric::Cost, cost)]);
                    }
                    return Ok(finished);
                }
                state => return Err(self.failure(&execution, state.map_or("UNKNOWN", |state| state.as_str()))),
            }
        }
    }

    /// Cancels the query.
    ///
    /// # Errors
    /// Whatever Athena refuses.
    pub async fn cancel(&self) -> Result<(), Error> {
        let request = self.lake.athena.stop_query_execution().query_execution_id(&self.id);
        request.send().await.map_err(Error::aws(format!("cancelling the query {}", self.id)))?;
        Ok(())
    }

    /// Returns the rows of a finished query, page by page.
    ///
    /// The API returns at most a thousand rows per call, which is all of most results. The rest of a longer result is streamed
    /// from its CSV object in S3, which is much faster. If the object cannot be read, all pages come from the API.
    pub fn pages(&self, finished: &Finished) -> Pages<'_> {
        let object = finished.output.clone().filter(|output| finished.names_first && output.ends_with(".csv"));
        Pages { query: self, next: Next::First { names_first: finished.names_first }, object }
    }

    /// Returns the first page of a finished query, and the token of the next page. Tokens can be used in any order and at any
    /// time.
    ///
    /// # Errors
    /// Whatever Athena refuses.
    pub async fn first_page(&self, finished: &Finished, size: PageSize) -> Result<(Page, Option<String>), Error> {
        self.fetch(None, size, usize::from(finished.names_first)).await.map(|fetched| (fetched.page, fetched.next))
    }

    /// Returns the page of a token, and the token of the next page.
    ///
    /// # Errors
    /// Whatever Athena refuses.
    pub async fn page_at(&self, token: String, size: PageSize) -> Result<(Page, Option<String>), Error> {
        self.fetch(Some(token), size, 0).await.map(|fetched| (fetched.page, fetched.next))
    }

    /// Fetches a page, and drops its first `names` records, which are column names.
    async fn fetch(&self, token: Option<String>, size: PageSize, names: usize) -> Result<Fetched, Error> {
        let Self { lake, id, .. } = self;
        let request = lake.athena.get_query_results().query_execution_id(id).set_next_token(token).max_results(size.0);
        let page = request.send().await.map_err(Error::aws(format!("fetching the rows of the query {id}")))?;
        let set = page.result_set.ok_or_else(|| nothing_said("no rows"))?;
        let described = set.result_set_metadata.and_then(|metadata| metadata.column_info);
        let records = set.rows.unwrap_or_default();
        Ok(Fetched {
            records: records.len(),
            page: Page {
                columns: described.unwrap_or_default().into_iter().map(column).collect(),
                rows: records.into_iter().skip(names).map(cells).collect(),
            },
            next: page.next_token,
        })
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
            statement: beginning(execution.query().unwrap_or_default()),
            retryable: error.is_some_and(|error| error.retryable()),
        }
    }
}

impl Finished {
    fn new(execution: &QueryExecution) -> Self {
        let statistics = execution.statistics();
        let scanned = statistics.and_then(|statistics| statistics.data_scanned_in_bytes());
        let millis = statistics.and_then(|statistics| statistics.total_execution_time_in_millis());
        let whole = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        Self {
            statement: execution.query().unwrap_or_default().to_owned(),
            scanned_bytes: whole(scanned),
            took: Duration::from_millis(whole(millis)),
            names_first: execution.statement_type() == Some(&StatementType::Dml),
            output: execution.result_configuration().and_then(|result| result.output_location()).map(str::to_owned),
        }
    }

    /// Whether it read table data, which Athena charges for, and not only metadata.
    pub fn reads_data(&self) -> bool {
        self.names_first || self.scanned_bytes > 0
    }
}

/// Maximum number of records per page. The first record of most results is the column names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(i32);

impl PageSize {
    /// The maximum of the API.
    pub const LARGEST: PageSize = PageSize(1_000);

    /// Creates a page size of `records`; the largest if the API does not support it.
    pub const fn new(records: u16) -> Self {
        let records = records as i32;
        if records < 1 || records > Self::LARGEST.0 { Self::LARGEST } else { Self(records) }
    }
}

/// A page of the API.
struct Fetched {
    page: Page,
    next: Option<String>,
    /// Number of its records, including column names.
    records: usize,
}

/// The rows of a query, page by page.
#[derive(Debug)]
pub struct Pages<'q> {
    query: &'q Query<'q>,
    next: Next,
    /// URI of the CSV object with the whole result, if there is one.
    object: Option<String>,
}

/// Source of the next page.
#[derive(Debug)]
enum Next {
    First { names_first: bool },
    At(String),
    In(Box<Stream>),
    Over,
}

/// A result that is being streamed from its CSV object.
#[derive(Debug)]
struct Stream {
    columns: Vec<Column>,
    body: ByteStream,
    reader: result_csv::Reader,
    /// Records to skip: the column names, and the rows of the first page.
    skip: usize,
}

/// Some rows of a query. Every page has its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The columns, in order. DDL statements have none.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Pages<'_> {
    /// Returns the next page, or `None` after the last one. There is always at least one.
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
        let Fetched { page, next, records } = self.query.fetch(token, PageSize::LARGEST, names).await?;
        self.next = match next {
            None => Next::Over,
            Some(token) => match self.open(&page.columns, records).await {
                Some(stream) => Next::In(Box::new(stream)),
                None => Next::At(token),
            },
        };
        Ok(Some(page))
    }

    /// Opens the object of the result. Tries this once; returns `None` if it cannot be read.
    async fn open(&mut self, columns: &[Column], skip: usize) -> Option<Stream> {
        let object = self.object.take()?;
        let (bucket, key) = object.strip_prefix("s3://")?.split_once('/')?;
        let found = self.query.lake.s3.get_object().bucket(bucket).key(key).send().await.ok()?;
        Some(Stream { columns: columns.to_vec(), body: found.body, reader: result_csv::Reader::default(), skip })
    }
}

/// Number of rows of a page that is read from an object.
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
            return Err(Error::unavailable(format!("reading the rows of the query {query}"), message));
        }
        match self.skip.checked_sub(1) {
            Some(less) => self.skip = less,
            None => rows.push(row),
        }
        Ok(())
    }
}

fn column(info: ColumnInfo) -> Column {
    let ty = match info.r#type.as_str() {
        "decimal" => format!("decimal({},{})", info.precision, info.scale),
        _ => info.r#type,
    };
    Column { name: info.name, ty }
}

fn cells(row: Row) -> Vec<Option<String>> {
    row.data.unwrap_or_default().into_iter().map(|cell| cell.var_char_value).collect()
}

fn nothing_said(what: &str) -> Error {
    Error::unavailable("asking Athena", format!("it answered with {what}"))
}

/// Whether a double prints with the digits of a decimal, apart from trailing zeros.
fn is_the_same(double: f64, decimal: &str) -> bool {
    let digits = if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal };
    double.to_string() == digits
}

/// Returns a query with a comment that names the run, so that the history of queries shows which run asked. Hive parses the
/// statements of DDL, for which Athena documents no comments; they are returned as they are.
fn with_run<'a>(statement: &'a str, run: Option<&RunId>) -> Cow<'a, str> {
    let word = statement.split_whitespace().next().unwrap_or_default();
    let is_query = ["SELECT", "WITH"].iter().any(|query| word.eq_ignore_ascii_case(query));
    match run {
        Some(run) if is_query => Cow::Owned(format!("{statement}\n-- pregao run {run}")),
        _ => Cow::Borrowed(statement),
    }
}

/// Returns the beginning of a statement in one line, for messages.
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

    /// The quotas of the account: <https://docs.aws.amazon.com/athena/latest/ug/service-limits.html>.
    #[test]
    fn fifteen_statements_at_once_stay_below_the_quota_of_polls() {
        const QUOTA: usize = 100;
        let mut polls = vec![PollDelays::AWS.first];
        while let Some(last) = polls.last().copied().filter(|last| *last < Duration::from_mins(2)) {
            polls.push(last + PollDelays::AWS.next(last));
        }
        assert_eq!(polls[0], Duration::from_millis(200));
        let within_a_second = |start: &Duration| {
            polls.iter().filter(|poll| (*start..*start + Duration::from_secs(1)).contains(*poll)).count()
        };
        let most = polls.iter().map(within_a_second).max().expect("polls");
        assert!(15 * most < QUOTA, "{most} polls of a statement in a second");
        assert_eq!(PollDelays::AWS.next(Duration::from_mins(2)), Duration::from_secs(2));
    }

    #[test]
    fn only_an_endpoint_of_its_own_is_polled_at_once() {
        let polls = |endpoint: Option<&str>| {
            let mut sdk = aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest());
            sdk.set_endpoint_url(endpoint.map(str::to_owned));
            Lake::with_sdk(crate::Config::default(), &sdk.build()).query_polls
        };
        assert_eq!(polls(None), PollDelays::AWS);
        assert_eq!(polls(Some("http://127.0.0.1:4599")), PollDelays::LOCAL);
    }

    #[test]
    fn json_has_the_numbers_that_it_can_hold() {
        for (ty, cell, expected) in [
            ("bigint", "9007199254740993", "9007199254740993"),
            ("double", "1.0E7", "10000000.0"),
            ("double", "-Infinity", "\"-Infinity\""),
            ("decimal(20,2)", "123456789012345678.25", "\"123456789012345678.25\""),
            ("decimal(20,0)", "9007199254740993", "\"9007199254740993\""),
            ("decimal(5,2)", "-15.70", "-15.7"),
            ("decimal(5,0)", "120", "120.0"),
            ("boolean", "true", "true"),
            ("varchar", "12", "\"12\""),
        ] {
            let column = Column { name: "x".to_owned(), ty: ty.to_owned() };
            assert_eq!(column.json(Some(cell)).to_string(), expected, "{ty}");
            assert_eq!(column.json(None), Value::Null);
        }
    }

    #[test]
    fn pages_are_given_no_number_that_they_would_round() {
        for (cell, expected) in [
            ("9007199254740992", "9007199254740992"),
            ("-9007199254740993", "\"-9007199254740993\""),
            ("-9223372036854775808", "\"-9223372036854775808\""),
        ] {
            let column = Column { name: "x".to_owned(), ty: "bigint".to_owned() };
            assert_eq!(column.page_json(Some(cell)).to_string(), expected);
            assert_eq!(column.page_json(None), Value::Null);
        }
    }

    #[test]
    fn pages_keep_to_what_athena_gives() {
        assert_eq!([0, 1, 200, 1_000, 1_001].map(|size| PageSize::new(size).0), [1_000, 1, 200, 1_000, 1_000]);
    }

    #[test]
    fn a_decimal_has_its_digits_in_its_type() {
        let info = |ty: &str| ColumnInfo::builder().name("x").r#type(ty).precision(18).scale(2).build();
        let ty = |name| column(info(name).expect("a column")).ty;
        assert_eq!([ty("decimal"), ty("double")], ["decimal(18,2)", "double"]);
    }

    #[test]
    fn queries_name_their_run_and_ddl_does_not() {
        let run: RunId = "nightly-7".parse().expect("a run");
        assert_eq!(with_run("SELECT 1", Some(&run)), "SELECT 1\n-- pregao run nightly-7");
        assert_eq!(with_run("with x AS (SELECT 1) SELECT 2", Some(&run)).lines().count(), 2);
        for ddl in ["CREATE DATABASE x", "ALTER TABLE x ADD COLUMNS (y int)", "SHOW PARTITIONS x", ""] {
            assert_eq!(with_run(ddl, Some(&run)), ddl);
        }
        assert_eq!(with_run("SELECT 1", None), "SELECT 1");
    }

    #[test]
    fn a_statement_is_abbreviated_to_one_line() {
        assert_eq!(beginning("SELECT\n  1"), "SELECT 1");
        let long = beginning(&"é ".repeat(500));
        assert!(long.ends_with("...") && long.chars().count() == 203, "{long}");
    }
}
