//! EMR: clusters without machines, whose steps are Spark jobs.

mod clusters;
mod reason;
mod step;
mod steps;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::aws_json::{AwsError, AwsResult, input};
use crate::s3_uri::S3Uri;
use crate::spark::Spark;
use crate::state::{State, json, to_json};

/// The tables of the service.
pub(crate) const SCHEMAS: [&str; 2] = [clusters::SCHEMA, step::SCHEMA];

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Emr {
    state: Arc<State>,
    /// What runs the steps.
    spark: Spark,
    /// The folder for logs of clusters without a `LogUri`.
    logs: S3Uri,
    workers: Arc<Workers>,
}

/// The tasks of clusters that are not terminated, by cluster id.
#[derive(Debug, Default)]
struct Workers(Mutex<HashMap<String, Worker>>);

#[derive(Debug)]
struct Worker {
    /// Notified when a step is added or the cluster is to end.
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Workers {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Worker>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Emr {
    /// Ends what a crashed process left, and starts the tasks of clusters that are kept alive.
    pub(crate) fn open(state: Arc<State>, spark: Spark, logs: S3Uri) -> rusqlite::Result<Emr> {
        let emr = Emr { state, spark, logs, workers: Arc::default() };
        emr.resume()?;
        Ok(emr)
    }

    /// Fails the running steps, whose results are discarded, and stops the tasks of all clusters.
    pub(crate) fn shutdown(&self) {
        if let Err(error) = step::Step::fail_lost(&self.state.lock()) {
            tracing::warn!(%error, "the running steps could not be ended");
        }
        self.workers.with(|workers| workers.drain().for_each(|(_, worker)| worker.task.abort()));
    }

    /// Handles an operation of the API.
    pub(crate) fn call(&self, operation: &str, value: Value) -> AwsResult {
        match operation {
            "RunJobFlow" => self.run_job_flow(input(value)?),
            "ListClusters" => self.list_clusters(&input(value)?),
            "DescribeCluster" => self.describe_cluster(&input(value)?),
            "TerminateJobFlows" => self.terminate(&input(value)?),
            "SetTerminationProtection" => self.protect(&input(value)?),
            "ListInstanceGroups" => self.list_instance_groups(&input(value)?),
            "ListBootstrapActions" => self.list_bootstrap_actions(&input(value)?),
            "AddJobFlowSteps" => self.add_steps(input(value)?),
            "DescribeStep" => self.describe_step(&input(value)?),
            "ListSteps" => self.list_steps(&input(value)?),
            "CancelSteps" => self.cancel_steps(&input(value)?),
            _ => Err(AwsError::unknown_operation(operation)),
        }
    }
}

/// Returns a random id: `j-` or `s-`, and 13 letters and digits.
fn new_id(prefix: &str) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let random = uuid::Uuid::new_v4();
    let letters = random.as_bytes().iter().take(13).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    prefix.chars().chain(letters).collect()
}

fn invalid_request(message: String) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_as_on_emr() {
        let id = new_id("j-");
        assert_eq!(id.len(), 15);
        assert!(id[2..].bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit()), "{id}");
        assert_ne!(id, new_id("j-"));
    }
}
