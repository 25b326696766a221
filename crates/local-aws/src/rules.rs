//! The event rule of the stack by which an execution of `create_datalake` that ended without success invokes `stop-emr-step`.
//!
//! An endpoint has it only if it is asked to ([`Options::rules`](crate::Options)): on a laptop, commands do what the rule does
//! on AWS. A delivery is a call, so that a fault plan can lose it. It is tried once.

use serde_json::{Value, json};

use crate::clock::now_millis;
use crate::faults::{Faults, Service, ServiceCall};
use crate::identity::{ACCOUNT, REGION, state_machine_arn};
use crate::lambda::Functions;

/// The rules of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    faults: Faults,
}

/// The operation of a delivery, in fault plans. Its key is the name of the rule or pipe in the template.
pub(crate) const DELIVERY: &str = "InvokeTarget";

impl Rules {
    pub(crate) fn new(faults: Faults) -> Rules {
        Rules { faults }
    }

    /// Takes the change of the status of an execution. `GivenUpRule` invokes `stop-emr-step` for an execution of
    /// `create_datalake` that ended without success; the others match no rule.
    pub(crate) fn status_changed(&self, functions: &Functions, detail: &Value) {
        let status = detail["status"].as_str().unwrap_or_default();
        let is_ours = detail["stateMachineArn"] == state_machine_arn("create_datalake").as_str();
        if !is_ours || !matches!(status, "FAILED" | "TIMED_OUT" | "ABORTED") {
            return;
        }
        let resources = std::slice::from_ref(&detail["executionArn"]);
        let event = event("aws.states", "Step Functions Execution Status Change", resources, detail);
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
fn event(source: &str, detail_type: &str, resources: &[Value], detail: &Value) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(now_millis()).unwrap_or_default();
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "region": REGION,
        "resources": resources,
        "detail": detail,
    })
}
