//! EMR Serverless: one application without machines, whose job runs are Spark jobs.
//!
//! Its paths could be those of a bucket with the name `applications`. A request is for this service if its signature says so.

mod job_run;
mod job_runs;
mod operation;
mod query;
mod request;

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::aws_json::{AwsError, AwsResult, input};
use crate::clock::{epoch_seconds, now_millis};
use crate::identity::{ACCOUNT, REGION};
use crate::s3_uri::S3Uri;
use crate::spark::Spark;
use crate::state::State;

use job_run::JobRun;
pub(crate) use job_run::SCHEMA;
pub(crate) use operation::Operation;
use query::Query;

/// The id of the only application.
pub const APPLICATION: &str = "00pregaolocal000";

/// The name of the service in the credential scope of a signature.
const SERVICE: &str = "emr-serverless";

/// The states of an application.
const APPLICATION_STATES: [&str; 7] =
    ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED", "TERMINATED"];

/// Whether a request with these headers is for this service: its credential scope is `DATE/REGION/emr-serverless/aws4_request`.
pub(crate) fn is_addressed(headers: &HeaderMap) -> bool {
    crate::sts::credential_service(headers) == Some(SERVICE)
}

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct EmrServerless {
    state: Arc<State>,
    /// What runs the job runs.
    spark: Spark,
    /// The folder for logs of job runs without a `logUri`.
    logs: S3Uri,
    /// The EMR release of the application.
    release: Arc<str>,
    /// When this process opened the application.
    opened: i64,
    /// The tasks of job runs that have not ended.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl EmrServerless {
    /// Ends the job runs that a crashed process left.
    pub(crate) fn open(state: Arc<State>, spark: Spark, logs: S3Uri, release: &str) -> rusqlite::Result<EmrServerless> {
        JobRun::fail_lost(&state.lock())?;
        Ok(EmrServerless { state, spark, logs, release: release.into(), opened: now_millis(), tasks: Arc::default() })
    }

    /// Fails the job runs that have not ended, whose results are discarded, and stops their tasks.
    pub(crate) fn shutdown(&self) {
        if let Err(error) = JobRun::fail_lost(&self.state.lock()) {
            tracing::warn!(%error, "the job runs could not be ended");
        }
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Handles an operation of the API.
    pub(crate) fn call(&self, method: &Method, uri: &Uri, body: Value) -> AwsResult {
        let operation = Operation::of(method, uri.path());
        let query = Query::parse(uri.query().unwrap_or_default())?;
        if let Some(application) = operation.application() {
            check_application(application)?;
        }
        match operation {
            Operation::ListApplications => self.list_applications(&query),
            Operation::GetApplication(_) => Ok(json!({ "application": self.application("applicationId") })),
            Operation::StartJobRun(_) => self.start_job_run(input(body)?),
            Operation::ListJobRuns(_) => self.list_job_runs(&query),
            Operation::GetJobRun(_, id) => self.get_job_run(id, &query),
            Operation::CancelJobRun(_, id) => self.cancel_job_run(id),
            Operation::Unsupported(name) => Err(unknown_operation(name)),
            Operation::Unknown => Err(unknown_operation(&format!("{method} of {}", uri.path()))),
        }
    }

    fn list_applications(&self, query: &Query) -> AwsResult {
        let states: Vec<&str> = query.all("states").collect();
        if let Some(state) = states.iter().find(|state| !APPLICATION_STATES.contains(state)) {
            return Err(validation(format!("'{state}' is no state of an application")));
        }
        let page = query.page()?;
        let is_listed = page.after().is_none() && (states.is_empty() || states.contains(&"STARTED"));
        let rows = is_listed.then(|| (1, self.application("id")));
        Ok(page.into_output("applications", "nextToken", rows.into_iter().collect()))
    }

    /// The application, with its id in the member `id`.
    fn application(&self, id: &str) -> Value {
        json!({
            id: APPLICATION,
            "name": "pregao",
            "arn": application_arn(),
            "releaseLabel": *self.release,
            "type": "Spark",
            "state": "STARTED",
            "stateDetails": "",
            "createdAt": epoch_seconds(self.opened),
            "updatedAt": epoch_seconds(self.opened),
            "architecture": if cfg!(target_arch = "aarch64") { "ARM64" } else { "X86_64" },
        })
    }
}

fn check_application(id: &str) -> Result<(), AwsError> {
    if id == APPLICATION {
        return Ok(());
    }
    Err(not_found(format!("Application {id} does not exist. The application of this endpoint is {APPLICATION}")))
}

fn application_arn() -> String {
    format!("arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{APPLICATION}")
}

fn unknown_operation(name: &str) -> AwsError {
    AwsError::unknown_operation(name).with_status(StatusCode::NOT_FOUND)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new("ResourceNotFoundException", message).with_status(StatusCode::NOT_FOUND)
}

fn conflict(message: impl Into<String>) -> AwsError {
    AwsError::new("ConflictException", message).with_status(StatusCode::CONFLICT)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_application_has_the_form_of_an_id() {
        assert_eq!(APPLICATION.len(), 16);
        assert!(APPLICATION.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()));
    }

    #[test]
    fn the_signature_names_the_service() {
        let is_addressed = |authorization: &str| {
            let request = Request::get("/applications").header("authorization", authorization).body(()).unwrap();
            super::is_addressed(request.headers())
        };
        let signed = |scope: &str| format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=ab");
        assert!(is_addressed(&signed("AKID/20260101/us-east-1/emr-serverless/aws4_request")));
        // Some clients write no space after a comma.
        assert!(is_addressed(
            "AWS4-HMAC-SHA256 Credential=a/20260101/sa-east-1/emr-serverless/aws4_request,Signature=ab"
        ));
        for other in [
            signed("AKID/20260101/us-east-1/s3/aws4_request"),
            signed("emr-serverless/20260101/us-east-1/s3/aws4_request"),
            signed("emr-serverless"),
            "Basic emr-serverless".to_owned(),
            String::new(),
        ] {
            assert!(!is_addressed(&other), "{other}");
        }
        assert!(!super::is_addressed(&HeaderMap::new()));
    }
}
