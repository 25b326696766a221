//! Ingests what clients put under `landing/`: the counterpart of `LandingRule`, `LandingQueue` and `LandingPipe` of the template.
//!
//! Keys are collected for a moment and ingested in batches, one execution of `upload_raw_data` after the other, so that a burst
//! of files causes a handful of executions. While another execution of it is running, as that of `pregao upload`, or a run of the
//! batch before, the batch grows. A batch has no objects that are gone by then. What a process that ended left in `landing/` is
//! the first batch of the next one, which also repeats the uploads that ended with it, and the runs that uploads had started.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use lake::keys;
use lake::workflow::{self, StartedRun, Workflow};
use lake::workflow_input::STARTED_BY;
use market::run::RunId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use crate::aws_json::AwsError;
use crate::faults::{Faults, Service, ServiceCall};
use crate::rules::DELIVERY;
use crate::s3::{ObjectStore, StoreError};
use crate::state_machine_arn;
use crate::step_functions::{StepFunctions, is_end_of_process};

/// The batching window: a batch is complete when no object was created for this time,
const QUIET: Duration = Duration::from_millis(100);
/// or when its first object has waited for this time,
const WINDOW: Duration = Duration::from_secs(1);
/// or when it has so many objects. An object of a batch has at most 1,024 bytes of a key, escaped, and an input 256 KiB.
const MAX_BATCH: usize = 100;

/// Number of the newest executions of a workflow that are considered at the start.
const MAX_REPEATED: usize = 100;

/// The pause before the next look for an upload that another client has started.
const PAUSE: Duration = Duration::from_millis(10);

/// Ingests landed objects until it is dropped.
pub(crate) struct LandingPipe {
    store: Arc<ObjectStore>,
    step_functions: Arc<StepFunctions>,
    bucket: String,
    faults: Faults,
    created: UnboundedReceiver<String>,
}

/// The output of `upload_raw_data`.
#[derive(Deserialize)]
struct Output {
    /// Absent if the batch has no snapshot.
    #[serde(default)]
    runs: Vec<StartedRun>,
}

/// Why a batch was not ingested. Its objects stay in `landing/`.
#[derive(Debug, thiserror::Error)]
enum PipeError {
    #[error("{}", .0.message())]
    StepFunctions(AwsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// By a fault plan.
    #[error("the delivery of the batch is lost: {0}")]
    Lost(String),
    #[error("upload_raw_data {name} is {status}: {cause}")]
    Failed { name: RunId, status: String, cause: String },
}

impl From<AwsError> for PipeError {
    fn from(error: AwsError) -> PipeError {
        PipeError::StepFunctions(error)
    }
}

impl LandingPipe {
    /// Subscribes to the objects that are created under `landing/`. Returns `None` if another pipe has.
    pub(crate) fn new(
        store: Arc<ObjectStore>,
        step_functions: Arc<StepFunctions>,
        bucket: &str,
        faults: Faults,
    ) -> Option<LandingPipe> {
        let created = store.notifications.subscribe(bucket, keys::LANDING)?;
        Some(LandingPipe { store, step_functions, bucket: bucket.to_owned(), faults, created })
    }

    /// Ingests what is in `landing/`, and then what arrives.
    pub(crate) async fn run(mut self) {
        let mut waiting: BTreeSet<String> = self.landed().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "landing/ could not be listed: upload its files again");
            BTreeSet::new()
        });
        if let Err(error) = self.repeat_interrupted().await {
            tracing::warn!(%error, "what ended with an earlier process is not repeated: pregao run --stale processes its days");
        }
        loop {
            if waiting.is_empty() {
                let Some(key) = self.created.recv().await else { return };
                waiting.insert(key);
            }
            self.collect(&mut waiting).await;
            let rest = waiting.iter().nth(MAX_BATCH).cloned().map(|first| waiting.split_off(&first));
            let batch = std::mem::replace(&mut waiting, rest.unwrap_or_default());
            if let Err(error) = self.ingest(batch).await {
                tracing::warn!(%error, "objects stay in landing/: start upload_raw_data for their days");
            }
        }
    }

    /// Starts executions once more that ended with the process that ran them, unless their input was repeated since.
    async fn repeat_interrupted(&self) -> Result<(), PipeError> {
        for workflow in [Workflow::UploadRawData, Workflow::CreateDatalake] {
            let newest = json!({ "stateMachineArn": machine(workflow), "maxResults": MAX_REPEATED });
            let listed = self.step_functions.call("ListExecutions", newest).await?;
            let mut known = HashSet::new();
            for execution in listed["executions"].as_array().into_iter().flatten() {
                let named = json!({ "executionArn": execution["executionArn"] });
                let described = self.step_functions.call("DescribeExecution", named).await?;
                let input: Value =
                    serde_json::from_str(described["input"].as_str().unwrap_or_default()).unwrap_or_default();
                // A run that somebody else has started is theirs to repeat.
                if workflow == Workflow::CreateDatalake && input["which"] != "uploaded" {
                    continue;
                }
                let request = days_or_objects(&input);
                let ended_with_its_process = described["error"].as_str().is_some_and(is_end_of_process);
                if known.insert(request.to_string()) && ended_with_its_process {
                    let name = workflow::new_name("repeated").map_err(AwsError::internal)?;
                    let input = request.to_string();
                    let start = json!({ "stateMachineArn": machine(workflow), "name": name, "input": input });
                    self.step_functions.call("StartExecution", start).await?;
                }
            }
        }
        Ok(())
    }

    /// Returns the keys of the objects in `landing/`.
    async fn landed(&self) -> Result<BTreeSet<String>, StoreError> {
        let (store, bucket) = (Arc::clone(&self.store), self.bucket.clone());
        let listed = spawn_blocking(move || store.files_with_prefix(&bucket, keys::LANDING)).await;
        let objects = listed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        Ok(objects.into_iter().map(|(object, _)| object.key).collect())
    }

    /// Adds the keys that arrive within the batching window, and while another upload is running.
    async fn collect(&mut self, waiting: &mut BTreeSet<String>) {
        let end = Instant::now() + WINDOW;
        while waiting.len() < MAX_BATCH {
            match timeout_at(end.min(Instant::now() + QUIET), self.created.recv()).await {
                Ok(Some(key)) => waiting.insert(key),
                Ok(None) | Err(_) => break,
            };
        }
        while let Ok(Some(execution)) = self.running_upload().await {
            // If it has ended meanwhile, or cannot be waited for, the next look tells.
            let _ = self.step_functions.wait(&execution).await;
            sleep(PAUSE).await;
        }
        while let Ok(key) = self.created.try_recv() {
            waiting.insert(key);
        }
    }

    /// Returns the ARN of a running execution of `upload_raw_data`, if there is one.
    async fn running_upload(&self) -> Result<Option<String>, AwsError> {
        let running =
            json!({ "stateMachineArn": machine(Workflow::UploadRawData), "statusFilter": "RUNNING", "maxResults": 1 });
        let listed = self.step_functions.call("ListExecutions", running).await?;
        Ok(listed["executions"][0]["executionArn"].as_str().map(str::to_owned))
    }

    /// Runs `upload_raw_data` for a batch, to its end.
    async fn ingest(&self, batch: BTreeSet<String>) -> Result<(), PipeError> {
        let (store, bucket) = (Arc::clone(&self.store), self.bucket.clone());
        let existing = spawn_blocking(move || {
            let existing = batch.into_iter().filter(|key| store.find(&bucket, key).is_ok());
            existing.map(|key| json!({ "bucket": bucket, "key": key })).collect::<Vec<Value>>()
        });
        let objects = existing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if objects.is_empty() {
            return Ok(());
        }
        let name = workflow::new_name("landing").map_err(AwsError::internal)?;
        let input = Value::Array(objects).to_string();
        let request = json!({ "stateMachineArn": machine(Workflow::UploadRawData), "name": name, "input": input });
        let step_functions = Arc::clone(&self.step_functions);
        let start = async move { step_functions.call("StartExecution", request).await };
        let delivery = ServiceCall::new(Service::Events, DELIVERY, "LandingPipe");
        let delivered = self.faults.inject(&delivery, start).await.into_result();
        let started = delivered.map_err(|refusal| PipeError::Lost(format!("{refusal:?}")))??;
        self.step_functions.wait(started["executionArn"].as_str().unwrap_or_default()).await?;
        let described = self.step_functions.call("DescribeExecution", started).await?;
        let text = |field: &str| described[field].as_str().unwrap_or_default().to_owned();
        match text("status").as_str() {
            "SUCCEEDED" => self.wait_for_runs(&text("output")).await,
            _ => Err(PipeError::Failed { name, status: text("status"), cause: text("cause") }),
        }
    }

    /// Waits for the runs that an execution of `upload_raw_data` has started, so that objects which arrive meanwhile are in one
    /// batch, and in one run of each day.
    async fn wait_for_runs(&self, output: &str) -> Result<(), PipeError> {
        let output: Output = serde_json::from_str(output).map_err(AwsError::internal)?;
        for run in output.runs {
            self.step_functions.wait(&run.execution).await?;
        }
        Ok(())
    }
}

fn machine(workflow: Workflow) -> String {
    state_machine_arn(workflow.name())
}

/// Returns an input without the name of the execution that started this one.
fn days_or_objects(input: &Value) -> Value {
    let mut input = input.clone();
    if let Some(fields) = input.as_object_mut() {
        fields.shift_remove(STARTED_BY);
    }
    input
}
