//! An LRU cache of execution histories: a request reads only the events that were added since the previous one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lake::{Error, Lake, backoff};
use lake_client::execution_history::{Change, Timeline};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::ApiError;

/// The capacity of the cache, in executions.
const CAPACITY: u64 = 16;

/// One execution.
#[derive(Debug)]
pub(crate) struct CachedExecution {
    /// The definition that it executes, which may be older than that of its state machine.
    pub definition: Value,
    /// Its visits to states.
    pub timeline: Timeline,
    /// The ARNs of the nested executions that it started, each with the index of the visit that started it.
    pub nested: Vec<(usize, String)>,
    /// The nested executions that have ended.
    pub ended: Vec<ExecutionSummary>,
}

/// An execution in a list.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ExecutionSummary {
    pub arn: String,
    pub workflow: String,
    pub name: String,
    pub status: String,
    /// Milliseconds since 1970.
    pub started: i64,
    /// Milliseconds since 1970.
    pub stopped: Option<i64>,
}

impl CachedExecution {
    /// Reads the definition. The history is empty until the first [`update`](Self::update).
    async fn load(lake: &Lake, arn: &str) -> Result<Self, Error> {
        let described = lake.sfn.describe_state_machine_for_execution().execution_arn(arn).send().await;
        let definition = described.map_err(Error::aws("reading the definition of the execution"))?.definition;
        let (timeline, nested, ended) = (Timeline::new(arn), Vec::new(), Vec::new());
        Ok(Self { definition: json_or_text(&definition), timeline, nested, ended })
    }

    /// Reads new events of the history. For an execution that has `ended`, waits until the history contains its end: the
    /// page does not request it again, and on AWS the description may show the end before the history does.
    pub(crate) async fn update(&mut self, lake: &Lake, ended: bool) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let changes = self.timeline.update(lake).await?;
            self.nested.extend(changes.into_iter().filter_map(|change| match change {
                Change::Nested { visit, arn } => Some((visit, arn)),
                Change::Entered(_) | Change::Left | Change::Ended | Change::Redriven => None,
            }));
            let elapsed = started.elapsed();
            if !ended || self.timeline.ended || elapsed >= END_TIMEOUT {
                return Ok(());
            }
            tokio::time::sleep(backoff::delay(elapsed, MIN_DELAY, MAX_DELAY)).await;
        }
    }
}

/// How long to wait for the end of a history, and the delays between two reads.
const END_TIMEOUT: Duration = Duration::from_secs(5);
const MIN_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Parses JSON. Text that is not valid JSON becomes a JSON string.
pub(crate) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// A cache entry. The lock serializes the requests for one execution.
type Entry = Arc<Mutex<CachedExecution>>;

/// The cache, by ARN. Concurrent requests for an execution share one entry (single flight).
#[derive(Debug)]
pub(crate) struct ExecutionCache(Cache<String, Entry>);

impl Default for ExecutionCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl ExecutionCache {
    /// Returns the entry of an execution, and creates it if necessary.
    pub(crate) async fn get(&self, lake: &Lake, arn: &str) -> Result<Entry, ApiError> {
        let load = async { Ok::<_, ApiError>(Arc::new(Mutex::new(CachedExecution::load(lake, arn).await?))) };
        Ok(self.0.try_get_with_by_ref(arn, load).await?)
    }
}
