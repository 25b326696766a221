//! The event rules of the stack, by which services start each other: an object that is created under `landing/` starts
//! `upload_raw_data`, and an execution of `create_datalake` that ended without success invokes `stop-emr-step`.
//!
//! An endpoint has them only if it is asked to ([`Options::rules`](crate::Options)): on a laptop, commands do what the rules do
//! on AWS. A delivery is a call, so that a fault plan can lose it. It is tried once.

use std::sync::Arc;

use lake::keys;
use serde_json::{Value, json};

use crate::clock::now_millis;
use crate::faults::{Faults, Service, ServiceCall};
use crate::identity::{ACCOUNT, REGION};
use crate::lambda::Functions;
use crate::step_functions::StepFunctions;

/// The rules of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    raw_bucket: String,
    faults: Faults,
}

/// The operation of a delivery, in fault plans. Its key is the name of the rule in the template.
const DELIVERY: &str = "InvokeTarget";

impl Rules {
    pub(crate) fn new(raw_bucket: &str, faults: Faults) -> Rules {
        Rules { raw_bucket: raw_bucket.to_owned(), faults }
    }

    /// `LandingRule`: starts `upload_raw_data` if the call, which has succeeded, has created an object under `landing/`.
    pub(crate) fn after_s3(&self, call: &ServiceCall, step_functions: &Arc<StepFunctions>) {
        let creates = matches!(call.operation.as_str(), "PutObject" | "CopyObject" | "CompleteMultipartUpload");
        let Some((bucket, key)) = call.key.split_once('/') else { return };
        if !creates || bucket != self.raw_bucket || !key.starts_with(keys::LANDING) {
            return;
        }
        let event = event(
            "aws.s3",
            "Object Created",
            &json!({ "version": "0", "bucket": { "name": bucket }, "object": { "key": key }, "reason": call.operation }),
        );
        let step_functions = Arc::clone(step_functions);
        self.deliver("LandingRule", async move { step_functions.start_by_rule("upload_raw_data", &event) });
    }

    /// `GivenUpRule`: invokes `stop-emr-step` for an execution of `create_datalake` that ended without success.
    pub(crate) fn after_execution(&self, functions: &Functions, machine: &str, detail: &Value) {
        let status = detail["status"].as_str().unwrap_or_default();
        if machine != "create_datalake" || !matches!(status, "FAILED" | "TIMED_OUT" | "ABORTED") {
            return;
        }
        let event = event("aws.states", "Step Functions Execution Status Change", detail);
        let functions = functions.clone();
        self.deliver("GivenUpRule", async move {
            match functions.invoke("stop-emr-step", event).await {
                Ok(invocation) => Ok(json!(format!("{invocation:?}"))),
                Err(error) => Err(crate::aws_json::AwsError::internal(error)),
            }
        });
    }

    fn deliver(&self, rule: &'static str, target: impl Future<Output = crate::aws_json::AwsResult> + Send + 'static) {
        let faults = self.faults.clone();
        tokio::spawn(async move {
            match faults.inject(&ServiceCall::new(Service::Events, DELIVERY, rule), target).await.into_result() {
                Ok(Ok(answer)) => tracing::debug!(rule, %answer, "a rule was delivered"),
                Ok(Err(error)) => tracing::warn!(rule, error = error.message(), "the target of a rule failed"),
                Err(refusal) => tracing::warn!(rule, ?refusal, "the delivery of a rule is lost"),
            }
        });
    }
}

/// Returns an event as EventBridge delivers it.
fn event(source: &str, detail_type: &str, detail: &Value) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(now_millis()).unwrap_or_default();
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "region": REGION,
        "resources": [],
        "detail": detail,
    })
}
