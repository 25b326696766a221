//! Athena: the API, on the engine of `local-athena`. Queries are rows of the state, their results are objects in S3.

mod metadata;
mod model;
mod object_files;
mod queries;
mod results;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use local_athena::catalog::Catalog;
use local_athena::{Engine, ObjectFiles, OpenError, StatementKind};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::model::input;
use crate::aws_json::{AwsError, AwsResult};
use crate::s3::ObjectStore;
use crate::s3_uri::S3Uri;
use crate::seal::{self, Damaged};
use crate::state::State;

/// The tables of the service.
pub(crate) const SCHEMA: &str = queries::SCHEMA;

/// The name of the only catalog.
const CATALOG: &str = "AwsDataCatalog";

/// The maximum number of running queries (bounded concurrency). Others are QUEUED.
const MAX_RUNNING: usize = 8;

/// The maximum number of statements that are parsed at the same time. Parsing is CPU-bound and takes up to some 0.1 s.
const MAX_PARSING: usize = 2;

/// How long `GetQueryExecution` waits for the end of a query. Less than a round trip to AWS.
const LONG_POLL: Duration = Duration::from_millis(20);

/// The service.
pub(crate) struct Athena {
    state: Arc<State>,
    store: Arc<ObjectStore>,
    engine: Engine,
    /// The folder for results of queries without an output location.
    results: S3Uri,
    workgroups: Vec<String>,
    run_slots: Semaphore,
    /// Permits to parse a statement.
    parse_slots: Semaphore,
    time_limits: TimeLimits,
    long_poll: Duration,
    running: queries::RunningQueries,
}

/// Athena's quotas for the run time of a statement.
#[derive(Debug, Clone, Copy)]
struct TimeLimits {
    /// For queries.
    dml: Duration,
    /// For statements that change the catalog.
    ddl: Duration,
}

impl TimeLimits {
    const ATHENA: TimeLimits = TimeLimits { dml: Duration::from_mins(30), ddl: Duration::from_hours(10) };

    fn limit(self, kind: StatementKind) -> Duration {
        match kind {
            StatementKind::Dml | StatementKind::Utility => self.dml,
            StatementKind::Ddl => self.ddl,
        }
    }
}

/// An error of starting the service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AthenaError {
    #[error(transparent)]
    Engine(#[from] OpenError),
    #[error(transparent)]
    State(#[from] rusqlite::Error),
}

impl Athena {
    /// Opens the catalog, and fails the queries that a crashed process left.
    pub(crate) fn open(
        state: Arc<State>,
        store: Arc<ObjectStore>,
        catalog: &Path,
        workgroup: &str,
        results: S3Uri,
    ) -> Result<Arc<Athena>, AthenaError> {
        let objects: Arc<dyn ObjectFiles> = Arc::<ObjectStore>::clone(&store);
        let engine = Engine::open(catalog, objects)?;
        let file = catalog.to_owned();
        engine.catalog().before_changes(move || seal::break_seal(&file).map_err(|damaged| damaged.to_string()));
        let mut workgroups = vec![metadata::PRIMARY.to_owned(), workgroup.to_owned()];
        workgroups.dedup();
        let athena = Athena {
            state,
            store,
            engine,
            results,
            workgroups,
            run_slots: Semaphore::new(MAX_RUNNING),
            parse_slots: Semaphore::new(MAX_PARSING),
            time_limits: TimeLimits::ATHENA,
            long_poll: LONG_POLL,
            running: queries::RunningQueries::default(),
        };
        athena.end_lost()?;
        Ok(Arc::new(athena))
    }

    /// The catalog, which Glue shares.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.engine.catalog()
    }

    /// Closes the catalog, in the file `catalog`, and writes its checksum. Later calls find no tables.
    pub(crate) fn close(&self, catalog: &Path) -> Result<(), Damaged> {
        let writer = self.engine.catalog().close().map_err(|error| Damaged::unreadable(catalog, &error))?;
        seal::close(catalog, writer)
    }

    /// The operation that [`Athena::results`] handles.
    pub(crate) const RESULTS: &str = "GetQueryResults";

    /// Handles an operation of the API other than [`Athena::RESULTS`].
    pub(crate) async fn call(self: &Arc<Self>, operation: &str, value: Value) -> AwsResult {
        model::check(operation, &value)?;
        match operation {
            "StartQueryExecution" => self.start(input(value)?).await,
            "StopQueryExecution" => self.stop(&input(value)?),
            "GetQueryExecution" => self.get(&input(value)?).await,
            "BatchGetQueryExecution" => self.batch_get(&input(value)?),
            "ListQueryExecutions" => self.list(&input(value)?),
            "GetWorkGroup" => self.get_workgroup(&input(value)?),
            "ListWorkGroups" => self.list_workgroups(&input(value)?),
            "GetDataCatalog" => Athena::get_catalog(&input(value)?),
            "ListDataCatalogs" => Athena::list_catalogs(),
            "GetDatabase" => self.get_database(&input(value)?),
            "ListDatabases" => self.list_databases(&input(value)?),
            "GetTableMetadata" => self.get_table(&input(value)?),
            "ListTableMetadata" => self.list_tables(&input(value)?),
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }
}

fn engine_version() -> Value {
    json!({ "SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3" })
}

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    /// A service in a temporary home, whose statements may run for `time_limits` and whose polls take up to `long_poll`.
    fn service(time_limits: TimeLimits, long_poll: Duration) -> (tempfile::TempDir, Arc<Athena>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = Arc::new(Home::own(folder.path()).expect("a home"));
        let schemas = [crate::s3::SCHEMA, SCHEMA];
        let state = Arc::new(State::open(&home.state(), &schemas).expect("a state"));
        let store = Arc::new(ObjectStore::open(&home, Arc::clone(&state)).expect("a store"));
        store.ensure_bucket("results").expect("a bucket");
        let results = S3Uri { bucket: "results".to_owned(), key: "athena/".to_owned() };
        let athena = Athena::open(state, store, &home.catalog(), "primary", results).expect("a service");
        let athena = Arc::into_inner(athena).expect("nobody else's");
        (folder, Arc::new(Athena { time_limits, long_poll, ..athena }))
    }

    async fn run(athena: &Arc<Athena>, sql: &str) -> Value {
        let started = athena.call("StartQueryExecution", json!({ "QueryString": sql })).await.expect("a query");
        loop {
            let query = athena.call("GetQueryExecution", started.clone()).await.expect("a query");
            let status = &query["QueryExecution"]["Status"];
            if !matches!(status["State"].as_str(), Some("QUEUED" | "RUNNING")) {
                return status.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    const ENDLESS: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT count(*) FROM n";

    #[tokio::test(flavor = "multi_thread")]
    async fn a_statement_without_an_end_has_a_time_limit() {
        let limits = TimeLimits { dml: Duration::from_millis(100), ddl: Duration::from_hours(1) };
        let (_folder, athena) = service(limits, LONG_POLL);
        let status = run(&athena, ENDLESS).await;
        assert_eq!((&status["State"], &status["StateChangeReason"]), (&json!("FAILED"), &json!("Query timeout")));
        assert_eq!(run(&athena, "CREATE DATABASE market").await["State"], "SUCCEEDED");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_poll_waits_for_the_end_of_a_query() {
        let forever = TimeLimits { dml: Duration::from_hours(1), ddl: Duration::from_hours(1) };
        let (_folder, athena) = service(forever, Duration::from_mins(5));
        let started = athena.call("StartQueryExecution", json!({ "QueryString": "SELECT 1" })).await.expect("a query");
        let query = athena.call("GetQueryExecution", started).await.expect("a query");
        assert_eq!(query["QueryExecution"]["Status"]["State"], "SUCCEEDED", "of the first poll");

        let started = athena.call("StartQueryExecution", json!({ "QueryString": ENDLESS })).await.expect("a query");
        let (poll, stop) = tokio::join!(
            athena.call("GetQueryExecution", started.clone()),
            athena.call("StopQueryExecution", started.clone())
        );
        assert!(poll.is_ok() && stop.is_ok(), "a cancelled query ends the poll");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_poll_of_a_long_query_returns_before_its_end() {
        let forever = TimeLimits { dml: Duration::from_hours(1), ddl: Duration::from_hours(1) };
        let (_folder, athena) = service(forever, Duration::from_millis(1));
        let started = athena.call("StartQueryExecution", json!({ "QueryString": ENDLESS })).await.expect("a query");
        let query = athena.call("GetQueryExecution", started.clone()).await.expect("a query");
        let state = &query["QueryExecution"]["Status"]["State"];
        assert!(state == "RUNNING" || state == "QUEUED", "{query}");
        athena.call("StopQueryExecution", started).await.expect("it is running");
    }

    #[test]
    fn the_limits_are_athenas() {
        let of = |kind| TimeLimits::ATHENA.limit(kind).as_secs() / 60;
        assert_eq!((of(StatementKind::Dml), of(StatementKind::Utility), of(StatementKind::Ddl)), (30, 30, 600));
    }
}
