//! Queries: started idempotently by token, run as tasks of this process, described from their rows.

use std::any::Any;
use std::collections::HashMap;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use local_athena::{Column, ErrorKind, ObjectFiles as _, Output, QueryError, Statement, StatementKind, panic_message};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr};
use tokio::sync::watch;
use tokio::task::{AbortHandle, block_in_place, spawn_blocking};
use tokio::time::timeout;
use tracing::{Instrument as _, debug_span};

use super::model::{self, input};
use super::results::{Format, read_page};
use super::{Athena, invalid_request};
use crate::aws_json::{AwsError, AwsResult};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::ACCOUNT;
use crate::paging::PageRequest;
use crate::s3::{Attributes, Staged, StoreError, WriteCondition};
use crate::s3_uri::S3Uri;
use crate::state::{json, to_json};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS athena_queries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    token TEXT UNIQUE,
    workgroup TEXT NOT NULL,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    output TEXT NOT NULL,
    state TEXT NOT NULL,
    problem TEXT,
    columns TEXT,
    scanned INTEGER NOT NULL DEFAULT 0,
    submitted INTEGER NOT NULL,
    started INTEGER,
    completed INTEGER
) STRICT;
";

/// The names of the statements that write objects and list them in a manifest.
const WRITING: [&str; 3] = ["CREATE_TABLE_AS_SELECT", "INSERT", "UNLOAD"];

/// The maximum size of a statement.
const MAX_STATEMENT_BYTES: usize = 262_144;

/// The database of a query without a context.
const DEFAULT_DATABASE: &str = "default";

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
enum QueryState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl QueryState {
    fn name(self) -> &'static str {
        self.into()
    }
}

/// Why a query failed or was cancelled.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct QueryFailure {
    reason: String,
    /// Athena's error category: 1 system, 2 user, 3 other. `None` for a cancelled query.
    category: Option<u8>,
    retryable: bool,
}

impl QueryFailure {
    fn from_query_error(error: &QueryError) -> QueryFailure {
        let category = match error.kind {
            ErrorKind::Internal | ErrorKind::ExhaustedResources | ErrorKind::CannotOpenSplit => 1,
            _ => 2,
        };
        QueryFailure { reason: error.to_string(), category: Some(category), retryable: false }
    }

    fn from_store_error(error: &StoreError) -> QueryFailure {
        QueryFailure {
            reason: format!("The result could not be written: {error}"),
            category: Some(1),
            retryable: false,
        }
    }

    fn from_panic(panic: &(dyn Any + Send)) -> QueryFailure {
        let message = panic_message(panic).unwrap_or("no message");
        let reason = format!("The query panicked: {message}; this is a bug, please report it");
        QueryFailure { reason, category: Some(1), retryable: false }
    }

    /// The statement exceeded its time limit.
    fn timeout() -> QueryFailure {
        QueryFailure { reason: "Query timeout".to_owned(), category: Some(2), retryable: false }
    }

    fn cancelled(reason: &str) -> QueryFailure {
        QueryFailure { reason: reason.to_owned(), category: None, retryable: false }
    }
}

/// A column of a result, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredColumn {
    name: String,
    ty: String,
    precision: u32,
    scale: u32,
}

impl StoredColumn {
    fn from(column: &Column) -> StoredColumn {
        let Column { name, ty, precision, scale } = column.clone();
        StoredColumn { name, ty, precision, scale }
    }

    fn info(&self) -> Value {
        json!({
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": self.name,
            "Label": self.name,
            "Type": self.ty,
            "Precision": self.precision,
            "Scale": self.scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": matches!(self.ty.as_str(), "varchar" | "char" | "string"),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartQueryExecution {
    query_string: String,
    #[serde(default, skip_serializing)]
    client_request_token: Option<String>,
    #[serde(default)]
    query_execution_context: QueryExecutionContext,
    #[serde(default)]
    result_configuration: ResultConfiguration,
    work_group: Option<String>,
    #[serde(default)]
    execution_parameters: Vec<String>,
    /// A hint: results are never reused.
    #[serde(default, skip_serializing)]
    result_reuse_configuration: Option<Map<String, Value>>,
    #[serde(default, skip_serializing)]
    engine_configuration: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueryExecutionContext {
    database: Option<String>,
    catalog: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultConfiguration {
    output_location: Option<String>,
    #[serde(default, skip_serializing)]
    encryption_configuration: Option<Value>,
    #[serde(default, skip_serializing)]
    expected_bucket_owner: Option<String>,
    #[serde(default, skip_serializing)]
    acl_configuration: Option<Value>,
}

impl StartQueryExecution {
    /// Refuses what would have no effect.
    fn refuse_other_members(&self) -> Result<(), AwsError> {
        let result = &self.result_configuration;
        let is_owner = result.expected_bucket_owner.as_deref().is_none_or(|owner| owner == ACCOUNT);
        let message = if result.encryption_configuration.is_some() {
            "ResultConfiguration.EncryptionConfiguration: this endpoint keeps results in the clear, leave it out"
        } else if result.acl_configuration.is_some() {
            "ResultConfiguration.AclConfiguration: objects have no ACL in this endpoint, leave it out"
        } else if self.engine_configuration.as_ref().is_some_and(|engine| !engine.is_empty()) {
            "EngineConfiguration: this endpoint has one engine and no capacity to set, leave it out"
        } else if !is_owner {
            "ResultConfiguration.ExpectedBucketOwner: the bucket is another account's"
        } else {
            return Ok(());
        };
        Err(invalid_request(message))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueryExecutionId {
    query_execution_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchGetQueryExecution {
    query_execution_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueryExecutions {
    work_group: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueryResults {
    query_execution_id: String,
    max_results: Option<u32>,
    next_token: Option<String>,
    query_result_type: Option<String>,
}

/// A row of the state: a query.
#[derive(Debug, Clone)]
struct Query {
    id: String,
    workgroup: String,
    request: StartQueryExecution,
    kind: String,
    name: String,
    output: String,
    state: QueryState,
    problem: Option<QueryFailure>,
    columns: Vec<StoredColumn>,
    scanned: i64,
    submitted: i64,
    started: Option<i64>,
    completed: Option<i64>,
}

impl Query {
    const COLUMNS: &str =
        "id, workgroup, request, kind, name, output, state, problem, columns, scanned, submitted, started, completed";

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Query> {
        let state: String = row.get(6)?;
        let has = |column: usize| row.get::<_, Option<String>>(column).map(|text| text.is_some());
        Ok(Query {
            id: row.get(0)?,
            workgroup: row.get(1)?,
            request: json(row, 2)?,
            kind: row.get(3)?,
            name: row.get(4)?,
            output: row.get(5)?,
            state: state.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
            problem: if has(7)? { Some(json(row, 7)?) } else { None },
            columns: if has(8)? { json(row, 8)? } else { Vec::new() },
            scanned: row.get(9)?,
            submitted: row.get(10)?,
            started: row.get(11)?,
            completed: row.get(12)?,
        })
    }

    fn find_by(rows: &Connection, column: &str, value: &str) -> rusqlite::Result<Option<Query>> {
        let sql = format!("SELECT {} FROM athena_queries WHERE {column} = ?1", Query::COLUMNS);
        rows.query_row(&sql, [value], Query::from_row).optional()
    }

    fn insert(&self, rows: &Connection, token: Option<&str>) -> rusqlite::Result<()> {
        rows.execute(
            "INSERT INTO athena_queries (id, token, workgroup, request, kind, name, output, state, submitted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                self.id,
                token,
                self.workgroup,
                to_json(&self.request)?,
                self.kind,
                self.name,
                self.output,
                self.state.name(),
                self.submitted
            ],
        )
        .map(|_| ())
    }

    fn format(&self) -> Format {
        if self.kind == StatementKind::Dml.as_str() { Format::Csv } else { Format::Text }
    }

    /// The database, without the backquotes in which some clients put its name.
    fn database(&self) -> &str {
        let named = self.request.query_execution_context.database.as_deref().unwrap_or(DEFAULT_DATABASE);
        named.strip_prefix('`').and_then(|named| named.strip_suffix('`')).unwrap_or(named)
    }

    /// Returns the place of the objects that the statement writes without naming one: that of the result.
    fn written_to(&self) -> Output {
        let folder = self.output.rfind('/').map_or("", |end| &self.output[..=end]);
        Output { location: folder.to_owned(), id: self.id.clone() }
    }

    /// Returns the URI of the list of written objects; `None` for a statement that writes none.
    fn manifest(&self) -> Option<String> {
        let writes = WRITING.contains(&self.name.as_str());
        writes.then(|| format!("{}{}-manifest.csv", self.written_to().location, self.id))
    }

    fn status(&self) -> Value {
        let mut status = json!({ "State": self.state.name(), "SubmissionDateTime": epoch_seconds(self.submitted) });
        if let Some(completed) = self.completed {
            status["CompletionDateTime"] = epoch_seconds(completed);
        }
        if let Some(problem) = &self.problem {
            status["StateChangeReason"] = problem.reason.clone().into();
            if let Some(category) = problem.category {
                status["AthenaError"] = json!({
                    "ErrorCategory": category,
                    "Retryable": problem.retryable,
                    "ErrorMessage": problem.reason,
                });
            }
        }
        status
    }

    fn statistics(&self) -> Value {
        let now = self.completed.unwrap_or_else(now_millis);
        let queued = self.started.unwrap_or(now) - self.submitted;
        let mut statistics = json!({
            "EngineExecutionTimeInMillis": self.started.map_or(0, |started| now - started),
            "DataScannedInBytes": self.scanned,
            "TotalExecutionTimeInMillis": now - self.submitted,
            "QueryQueueTimeInMillis": queued,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": { "ReusedPreviousResult": false },
        });
        if let Some(manifest) = self.manifest().filter(|_| self.state == QueryState::Succeeded) {
            statistics["DataManifestLocation"] = manifest.into();
        }
        statistics
    }

    fn description(&self) -> Value {
        let mut context = json!({ "Database": self.database() });
        if let Some(catalog) = &self.request.query_execution_context.catalog {
            context["Catalog"] = catalog.to_lowercase().into();
        }
        let mut query = json!({
            "QueryExecutionId": self.id,
            "Query": self.request.query_string,
            "StatementType": self.kind,
            "SubstatementType": self.name,
            "ResultConfiguration": { "OutputLocation": self.output },
            "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": false } },
            "QueryExecutionContext": context,
            "Status": self.status(),
            "Statistics": self.statistics(),
            "WorkGroup": self.workgroup,
            "EngineVersion": super::engine_version(),
        });
        if !self.request.execution_parameters.is_empty() {
            query["ExecutionParameters"] = json!(self.request.execution_parameters);
        }
        query
    }
}

/// The queued and running queries.
#[derive(Debug, Default)]
pub(super) struct RunningQueries(Mutex<HashMap<String, RunningQuery>>);

/// The task of a query.
#[derive(Debug)]
struct RunningQuery {
    abort: AbortHandle,
    /// Is dropped with this entry, which its receivers notice.
    ended: watch::Sender<()>,
}

impl RunningQueries {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, RunningQuery>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when the query has ended, or after `limit`.
    async fn wait(&self, id: &str, limit: Duration) {
        let ended = self.with(|running| running.get(id).map(|query| query.ended.subscribe()));
        if let Some(mut ended) = ended {
            // The sender never sends: its receivers wait until it is dropped.
            let _ = timeout(limit, ended.changed()).await;
        }
    }
}

/// The columns and the scanned bytes of a successful query, as stored.
struct QueryOutput {
    columns: Vec<StoredColumn>,
    scanned: u64,
}

impl Athena {
    pub(super) async fn start(self: &Arc<Self>, start: StartQueryExecution) -> AwsResult {
        start.refuse_other_members()?;
        let workgroup = self.check_workgroup(start.work_group.as_deref())?;
        check_catalog(start.query_execution_context.catalog.as_deref())?;
        if start.query_string.len() > MAX_STATEMENT_BYTES {
            return Err(invalid_request(format!("The query is longer than {MAX_STATEMENT_BYTES} bytes")));
        }
        let statement = self.parse(&start).await?;
        let token = start.client_request_token.clone();
        let query = self.new_query(start, workgroup, &statement)?;
        let known = self.state.write(|rows| {
            let known = token.as_ref().map(|token| Query::find_by(rows, "token", token)).transpose()?.flatten();
            if known.is_none() {
                query.insert(rows, token.as_deref())?;
            }
            Ok::<_, AwsError>(known)
        })?;
        match known {
            Some(known) if same_request(&known.request, &query.request) => Ok(json!({ "QueryExecutionId": known.id })),
            Some(_) => Err(invalid_request("Idempotent parameters do not match")),
            None => {
                let id = query.id.clone();
                self.spawn(query, statement);
                Ok(json!({ "QueryExecutionId": id }))
            }
        }
    }

    /// Parses the statement on a blocking thread, since it is CPU-bound and would delay other requests.
    async fn parse(&self, start: &StartQueryExecution) -> Result<Statement, AwsError> {
        let (text, parameters) = (start.query_string.clone(), start.execution_parameters.clone());
        let _permit = self.parse_slots.acquire().await.map_err(AwsError::internal)?;
        let parsed = spawn_blocking(move || Statement::parse(&text, &parameters)).await;
        parsed
            .map_err(AwsError::internal)?
            .map_err(|error| invalid_request(error.to_string()).with("AthenaErrorCode", "MALFORMED_QUERY"))
    }

    fn new_query(
        &self,
        request: StartQueryExecution,
        workgroup: String,
        statement: &Statement,
    ) -> Result<Query, AwsError> {
        let location = match request.result_configuration.output_location.as_deref() {
            Some(location) => {
                S3Uri::parse(location).map_err(|error| invalid_request(format!("outputLocation: {error}")))?
            }
            None => self.results.clone(),
        };
        if !self.store.has_bucket(&location.bucket).map_err(AwsError::internal)? {
            return Err(invalid_request(format!("Unable to verify/create output bucket {}", location.bucket)));
        }
        let id = uuid::Uuid::new_v4().to_string();
        let kind = statement.kind();
        let output = location.child(&format!("{id}.{}", Format::from_kind(kind).extension())).to_string();
        Ok(Query {
            id,
            workgroup,
            request,
            kind: kind.as_str().to_owned(),
            name: statement.name().to_owned(),
            output,
            state: QueryState::Queued,
            problem: None,
            columns: Vec::new(),
            scanned: 0,
            submitted: now_millis(),
            started: None,
            completed: None,
        })
    }

    fn spawn(self: &Arc<Self>, query: Query, statement: Statement) {
        let service = Arc::clone(self);
        let id = query.id.clone();
        // Not in the span of the request, which ends long before the query.
        let span = debug_span!(parent: None, "query", id, statement = query.name, database = query.database());
        // Under the lock: a query that ends at once removes its entry only after it was inserted.
        self.running.with(|running| {
            let work = async move {
                let outcome = AssertUnwindSafe(service.run(&query, &statement)).catch_unwind().await;
                let outcome = outcome.unwrap_or_else(|panic| Err(QueryFailure::from_panic(panic.as_ref())));
                service.finish(&query.id, outcome);
                service.running.with(|running| running.remove(&query.id));
            };
            let task = tokio::spawn(work.instrument(span));
            running.insert(id, RunningQuery { abort: task.abort_handle(), ended: watch::Sender::new(()) });
        });
    }

    async fn run(&self, query: &Query, statement: &Statement) -> Result<QueryOutput, QueryFailure> {
        let permit = self.run_slots.acquire().await;
        let began = self.state.lock().execute(
            "UPDATE athena_queries SET state = 'RUNNING', started = ?2 WHERE id = ?1 AND state = 'QUEUED'",
            params![query.id, now_millis()],
        );
        if let Err(error) = began {
            self.state.report_failure("the start of a query", error);
        }
        let limit = self.time_limits.limit(statement.kind());
        let done =
            timeout(limit, self.execute(query, statement)).await.unwrap_or_else(|_| Err(QueryFailure::timeout()));
        drop(permit);
        done
    }

    /// Executes the statement, and streams its rows to the result object.
    async fn execute(&self, query: &Query, statement: &Statement) -> Result<QueryOutput, QueryFailure> {
        let mut answer = self
            .engine
            .execute(statement, query.database(), &query.written_to())
            .await
            .map_err(|error| QueryFailure::from_query_error(&error))?;
        let format = query.format();
        let (mut file, path) = self.store.temporary_file().map_err(|error| QueryFailure::from_store_error(&error))?;
        let mut text = String::new();
        if format == Format::Csv {
            format.write(&mut text, &answer.columns.iter().map(|column| Some(column.name.clone())).collect());
        }
        while let Some(rows) = answer.rows.next().await.map_err(|error| QueryFailure::from_query_error(&error))? {
            for row in &rows {
                format.write(&mut text, row);
            }
            block_in_place(|| file.write_all(text.as_bytes()))
                .map_err(|error| QueryFailure::from_store_error(&StoreError::io(&path)(error)))?;
            text.clear();
        }
        let place = S3Uri::parse(&query.output)
            .map_err(|error| QueryFailure::from_store_error(&StoreError::NoSuchBucket(error.to_string())))?;
        block_in_place(|| {
            file.write_all(text.as_bytes()).map_err(StoreError::io(&path))?;
            let staged = Staged::from_file(&place.key, path, Attributes::with_content_type(format.content_type()))?;
            self.store.put(&place.bucket, staged, &WriteCondition::default())
        })
        .map_err(|error| QueryFailure::from_store_error(&error))?;
        if let (Some(written), Some(manifest)) = (&answer.written, query.manifest()) {
            self.write_manifest(&manifest, written)?;
        }
        Ok(QueryOutput {
            columns: answer.columns.iter().map(StoredColumn::from).collect(),
            scanned: answer.rows.scanned_bytes(),
        })
    }

    /// Writes the list of written objects, one URI a line.
    fn write_manifest(&self, manifest: &str, written: &[String]) -> Result<(), QueryFailure> {
        let lines: String = written.iter().map(|uri| format!("{uri}\n")).collect();
        self.store.write(manifest, lines.as_bytes()).map_err(|error| QueryFailure {
            reason: format!("The manifest could not be written: {error}"),
            category: Some(1),
            retryable: false,
        })
    }

    fn finish(&self, id: &str, outcome: Result<QueryOutput, QueryFailure>) {
        let (state, problem, done) = match outcome {
            Ok(done) => (QueryState::Succeeded, None, done),
            Err(problem) => (QueryState::Failed, Some(problem), QueryOutput { columns: Vec::new(), scanned: 0 }),
        };
        let reason = problem.as_ref().map(|problem| &problem.reason);
        tracing::debug!(state = state.name(), scanned_bytes = done.scanned, reason, "the query ended");
        if let Err(error) = end(&self.state.lock(), id, state, problem.as_ref(), &done) {
            // The state stays as it was, and the next start fails the query.
            self.state.report_failure("the end of a query", error);
        }
    }

    /// Fails the queries that a crashed process left.
    pub(super) fn end_lost(&self) -> rusqlite::Result<()> {
        self.state.write(|rows| {
            let mut statement = rows.prepare("SELECT id FROM athena_queries WHERE completed IS NULL")?;
            let lost: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let problem = QueryFailure {
                reason: "The process that ran this query ended before it did: run it again".to_owned(),
                category: Some(1),
                retryable: true,
            };
            let nothing = QueryOutput { columns: Vec::new(), scanned: 0 };
            lost.iter().try_for_each(|id| end(rows, id, QueryState::Failed, Some(&problem), &nothing))
        })
    }

    fn query(&self, id: &str) -> Result<Query, AwsError> {
        Query::find_by(&self.state.lock(), "id", id)?.ok_or_else(|| not_found(id))
    }

    /// Describes a query. Waits a moment for a query that runs (long polling): most end within milliseconds, and clients would
    /// send several requests meanwhile.
    pub(super) async fn get(&self, named: &QueryExecutionId) -> AwsResult {
        self.running.wait(&named.query_execution_id, self.long_poll).await;
        Ok(json!({ "QueryExecution": self.query(&named.query_execution_id)?.description() }))
    }

    pub(super) fn batch_get(&self, batch: &BatchGetQueryExecution) -> AwsResult {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for id in &batch.query_execution_ids {
            match self.query(id) {
                Ok(query) => found.push(query.description()),
                Err(error) => missing.push(json!({
                    "QueryExecutionId": id,
                    "ErrorCode": "INVALID_QUERY_EXECUTION_ID",
                    "ErrorMessage": error.message(),
                })),
            }
        }
        Ok(json!({ "QueryExecutions": found, "UnprocessedQueryExecutionIds": missing }))
    }

    pub(super) fn list(&self, list: &ListQueryExecutions) -> AwsResult {
        let workgroup = self.check_workgroup(list.work_group.as_deref())?;
        let page = PageRequest::new(list.max_results, 50, 50, list.next_token.as_deref()).map_err(invalid_request)?;
        let rows = self.state.lock();
        let mut statement =
            rows.prepare("SELECT number, id FROM athena_queries WHERE workgroup = ?1 AND number < coalesce(?2, 9223372036854775807) ORDER BY number DESC LIMIT ?3")?;
        let ids = statement.query_map(params![workgroup, page.after(), page.query_limit()], |row| {
            Ok((row.get(0)?, Value::String(row.get(1)?)))
        })?;
        let ids: Vec<(i64, Value)> = ids.collect::<Result<_, _>>()?;
        Ok(page.into_output("QueryExecutionIds", "NextToken", ids))
    }

    pub(super) fn stop(&self, named: &QueryExecutionId) -> AwsResult {
        self.query(&named.query_execution_id)?;
        self.cancel(&named.query_execution_id, "Query cancelled by user")?;
        Ok(json!({}))
    }

    fn cancel(&self, id: &str, reason: &str) -> Result<(), AwsError> {
        if let Some(query) = self.running.with(|running| running.remove(id)) {
            query.abort.abort();
        }
        let nothing = QueryOutput { columns: Vec::new(), scanned: 0 };
        end(&self.state.lock(), id, QueryState::Cancelled, Some(&QueryFailure::cancelled(reason)), &nothing)?;
        Ok(())
    }

    /// Cancels all queued and running queries.
    pub(crate) fn shutdown(&self) {
        let all: Vec<String> = self.running.with(|running| running.keys().cloned().collect());
        for id in all {
            if let Err(error) = self.cancel(&id, "The endpoint was shut down while this query ran: run it again") {
                tracing::warn!(error = error.message(), query = id, "a query could not be cancelled");
            }
        }
    }

    /// Handles `GetQueryResults`. Serializes the page directly: building a [`Value`] of each of its many thousand cells takes
    /// longer than all else.
    pub(crate) fn results(&self, value: Value) -> Result<String, AwsError> {
        model::check(Athena::RESULTS, &value)?;
        let get: GetQueryResults = input(value)?;
        if get.query_result_type.as_deref() == Some("DATA_MANIFEST") {
            return Err(invalid_request(
                "QueryResultType: this endpoint writes no manifests of results, ask for DATA_ROWS",
            ));
        }
        let query = self.query(&get.query_execution_id)?;
        match query.state {
            QueryState::Succeeded => {}
            QueryState::Queued | QueryState::Running => {
                let text = format!("Query has not yet finished. Current state: {}", query.state.name());
                return Err(invalid_request(text).with("AthenaErrorCode", "INVALID_QUERY_EXECUTION_STATE"));
            }
            QueryState::Failed | QueryState::Cancelled => {
                let text = format!("Query did not finish successfully. Final query state: {}", query.state.name());
                return Err(invalid_request(text).with("AthenaErrorCode", "INVALID_QUERY_EXECUTION_STATE"));
            }
        }
        let limit = get.max_results.unwrap_or(1000);
        let from = match get.next_token.as_deref() {
            None => 0,
            Some(token) => token
                .strip_prefix("byte-")
                .and_then(|byte| byte.parse().ok())
                .ok_or_else(|| invalid_request(format!("NextToken '{token}' is not valid")))?,
        };
        let place = S3Uri::parse(&query.output).map_err(AwsError::internal)?;
        let (_, file) = self
            .store
            .open_object(&place.bucket, &place.key)
            .map_err(|error| invalid_request(format!("Could not find results of the query: {error}")))?;
        let page =
            read_page(query.format(), file, from, query.columns.len(), limit as usize).map_err(AwsError::internal)?;
        // A statement that writes has the number of rows in its result, and no rows.
        let count = page.rows.last().and_then(|row| row.first()?.as_deref()?.parse().ok());
        let count = count.filter(|_| query.manifest().is_some());
        let output = GetQueryResultsOutput {
            update_count: count.unwrap_or(0),
            result_set: ResultSet {
                rows: page
                    .rows
                    .iter()
                    .filter(|_| count.is_none())
                    .map(|row| ResultRow { data: row.iter().map(ResultCell::new).collect() })
                    .collect(),
                result_set_metadata: Metadata { column_info: query.columns.iter().map(StoredColumn::info).collect() },
            },
            next_token: page.next.map(|next| format!("byte-{next}")),
        };
        serde_json::to_string(&output).map_err(AwsError::internal)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueryResultsOutput<'a> {
    update_count: u64,
    result_set: ResultSet<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResultSet<'a> {
    rows: Vec<ResultRow<'a>>,
    result_set_metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    column_info: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResultRow<'a> {
    data: Vec<ResultCell<'a>>,
}

/// A cell. NULL has no value.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResultCell<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    var_char_value: Option<&'a str>,
}

impl ResultCell<'_> {
    fn new(cell: &Option<String>) -> ResultCell<'_> {
        ResultCell { var_char_value: cell.as_deref() }
    }
}

/// Ends a query, unless it has ended.
fn end(
    rows: &Connection,
    id: &str,
    state: QueryState,
    problem: Option<&QueryFailure>,
    done: &QueryOutput,
) -> rusqlite::Result<()> {
    rows.execute(
        "UPDATE athena_queries SET state = ?2, problem = ?3, columns = ?4, scanned = ?5, completed = ?6
         WHERE id = ?1 AND completed IS NULL",
        params![
            id,
            state.name(),
            problem.map(to_json).transpose()?,
            to_json(&done.columns)?,
            done.scanned.cast_signed(),
            now_millis()
        ],
    )
    .map(|_| ())
}

fn same_request(one: &StartQueryExecution, other: &StartQueryExecution) -> bool {
    let one = StartQueryExecution { client_request_token: None, ..one.clone() };
    one == StartQueryExecution { client_request_token: None, ..other.clone() }
}

/// Checks the name of the catalog: there is only one.
pub(super) fn check_catalog(catalog: Option<&str>) -> Result<(), AwsError> {
    match catalog {
        Some(name) if !name.eq_ignore_ascii_case(super::CATALOG) => {
            Err(invalid_request(format!("Catalog {name} is not found: this endpoint has {}", super::CATALOG)))
        }
        _ => Ok(()),
    }
}

fn not_found(id: &str) -> AwsError {
    invalid_request(format!("QueryExecution {id} was not found")).with("AthenaErrorCode", "INVALID_QUERY_EXECUTION_ID")
}
