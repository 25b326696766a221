//! The input of `StartJobRun`.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::validation;
use crate::aws_json::AwsError;
use crate::s3_uri::S3Uri;

/// The service's limits, in minutes, for the time that a batch job may run, and its default. Since release 7.11, 0 is refused, which
/// was no limit (<https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/release-version-7110.html>).
const TIMEOUT_MINUTES: std::ops::RangeInclusive<u64> = 5..=10_080;
const DEFAULT_TIMEOUT_MINUTES: u64 = 720;

const MAX_NAME: usize = 256;
const MAX_TOKEN: usize = 64;
const MAX_ARGUMENTS: usize = 1024;
const MAX_TAGS: usize = 200;

/// The input of the operation.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartJobRun {
    /// Recognises a repetition.
    pub(super) client_token: String,
    #[serde(flatten)]
    pub(super) request: JobRunRequest,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    retry_policy: RetryPolicy,
}

/// What a job run is to do, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobRunRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) execution_role_arn: String,
    pub(super) job_driver: JobDriver,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) configuration_overrides: Option<Value>,
    /// It grants and denies nothing: there is no access control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) execution_iam_policy: Option<Value>,
    #[serde(default = "default_timeout")]
    pub(super) execution_timeout_minutes: u64,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT_MINUTES
}

/// The union of drivers, of which this endpoint has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "AnyDriver")]
pub(super) struct JobDriver {
    pub(super) spark_submit: SparkSubmit,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum AnyDriver {
    SparkSubmit(SparkSubmit),
    Hive(IgnoredAny),
}

impl TryFrom<AnyDriver> for JobDriver {
    type Error = &'static str;

    fn try_from(driver: AnyDriver) -> Result<JobDriver, &'static str> {
        match driver {
            AnyDriver::SparkSubmit(spark_submit) => Ok(JobDriver { spark_submit }),
            AnyDriver::Hive(_) => Err("this endpoint has no Hive: give jobDriver.sparkSubmit"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SparkSubmit {
    pub(super) entry_point: String,
    #[serde(default)]
    pub(super) entry_point_arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spark_submit_parameters: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Mode {
    #[default]
    Batch,
    Streaming,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RetryPolicy {
    max_attempts: Option<u32>,
}

impl StartJobRun {
    pub(super) fn check(&self) -> Result<(), AwsError> {
        let token = &self.client_token;
        let is_valid = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'_' | b'-');
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(is_valid) {
            return Err(validation(format!(
                "clientToken is 1 to {MAX_TOKEN} letters, digits, dots, underscores and hyphens, not {token:?}"
            )));
        }
        if self.mode != Mode::Batch {
            return Err(validation("This endpoint has no streaming jobs: mode has to be BATCH"));
        }
        if self.retry_policy.max_attempts.is_some_and(|attempts| attempts != 1) {
            return Err(validation("This endpoint tries a job run once: retryPolicy.maxAttempts has to be 1"));
        }
        self.request.check()
    }
}

impl JobRunRequest {
    fn check(&self) -> Result<(), AwsError> {
        if !is_role_arn(&self.execution_role_arn) {
            return Err(validation(format!(
                "executionRoleArn is the ARN of a role, as arn:aws:iam::123456789012:role/NAME, not {:?}",
                self.execution_role_arn
            )));
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > MAX_NAME) {
            return Err(validation(format!("name has 1 to {MAX_NAME} characters, and not only spaces")));
        }
        if !TIMEOUT_MINUTES.contains(&self.execution_timeout_minutes) {
            let (least, most) = (TIMEOUT_MINUTES.start(), TIMEOUT_MINUTES.end());
            return Err(validation(format!("executionTimeoutMinutes is {least} to {most}")));
        }
        if self.tags.len() > MAX_TAGS {
            return Err(validation(format!("a job run has at most {MAX_TAGS} tags")));
        }
        let arguments = &self.job_driver.spark_submit.entry_point_arguments;
        if arguments.len() > MAX_ARGUMENTS || arguments.iter().any(|argument| argument.trim().is_empty()) {
            return Err(validation(format!("entryPointArguments are at most {MAX_ARGUMENTS}, and none is empty")));
        }
        if let Some(uri) = self.monitoring("/s3MonitoringConfiguration/logUri") {
            let text = uri.as_str().unwrap_or_default();
            S3Uri::parse(text).map_err(|error| validation(format!("s3MonitoringConfiguration.logUri: {error}")))?;
        }
        let logs_elsewhere = self.monitoring("/cloudWatchLoggingConfiguration/enabled") == Some(&Value::Bool(true))
            || self.monitoring("/prometheusMonitoringConfiguration").is_some();
        if logs_elsewhere {
            return Err(validation(
                "This endpoint writes logs to S3, and not to CloudWatch or Prometheus: give an s3MonitoringConfiguration",
            ));
        }
        Ok(())
    }

    /// The folder for logs.
    pub(super) fn logs(&self) -> Option<S3Uri> {
        self.monitoring("/s3MonitoringConfiguration/logUri")?.as_str().and_then(|uri| S3Uri::parse(uri).ok())
    }

    /// A member of the monitoring configuration, by its JSON pointer.
    fn monitoring(&self, pointer: &str) -> Option<&Value> {
        self.configuration_overrides.as_ref()?.get("monitoringConfiguration")?.pointer(pointer)
    }
}

/// Whether a text has the form `arn:aws:iam::123456789012:role/NAME`.
fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return false };
    let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    let name = resource.strip_prefix("role/");
    (arn, service, region) == ("arn", "iam", "")
        && partition.starts_with("aws")
        && is_account
        && name.is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_json::input;
    use crate::identity::role_arn;
    use serde_json::json;

    fn request() -> Value {
        json!({
            "clientToken": "a.B_9-",
            "executionRoleArn": role_arn(),
            "jobDriver": { "sparkSubmit": { "entryPoint": "s3://b/run_sql.py", "entryPointArguments": ["x"] } },
        })
    }

    fn parsed(request: Value) -> Result<StartJobRun, AwsError> {
        let start: StartJobRun = input(request)?;
        start.check().map(|()| start)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let start = parsed(request()).unwrap();
        assert_eq!(start.request.execution_timeout_minutes, 720);
        assert_eq!(start.request.logs(), None);
        let stored = serde_json::to_value(&start.request).unwrap();
        assert_eq!(serde_json::from_value::<JobRunRequest>(stored).unwrap(), start.request);
        let mut explicit = request();
        explicit["mode"] = "BATCH".into();
        explicit["retryPolicy"] = json!({ "maxAttempts": 1 });
        explicit["executionTimeoutMinutes"] = 720.into();
        assert_eq!(parsed(explicit).unwrap().request, start.request);
    }

    #[test]
    fn logs_go_where_the_request_says() {
        let mut logged = request();
        let monitoring = json!({ "s3MonitoringConfiguration": { "logUri": "s3://pregao-results/logs/" } });
        logged["configurationOverrides"] = json!({ "monitoringConfiguration": monitoring });
        let logs = parsed(logged).unwrap().request.logs().unwrap();
        assert_eq!(logs.child("x").to_string(), "s3://pregao-results/logs/x");
    }

    #[test]
    fn anything_else_is_refused() {
        let monitoring = |configuration: Value| json!({ "monitoringConfiguration": configuration });
        for (member, value, expected) in [
            ("clientToken", json!(""), "clientToken is 1 to 64"),
            ("clientToken", json!("a b"), "clientToken is 1 to 64"),
            ("clientToken", json!("x".repeat(65)), "clientToken is 1 to 64"),
            ("executionRoleArn", json!("role/x"), "executionRoleArn is the ARN of a role"),
            ("executionRoleArn", json!("arn:aws:iam::000000000000:user/x"), "executionRoleArn is the ARN of a role"),
            ("name", json!(" "), "name has 1 to 256 characters"),
            ("name", json!("é".repeat(257)), "name has 1 to 256 characters"),
            ("executionTimeoutMinutes", json!(0), "executionTimeoutMinutes is 5 to 10080"),
            ("executionTimeoutMinutes", json!(10_081), "executionTimeoutMinutes is 5 to 10080"),
            ("mode", json!("STREAMING"), "mode has to be BATCH"),
            ("mode", json!("batch"), "unknown variant `batch`"),
            ("retryPolicy", json!({ "maxAttempts": 2 }), "maxAttempts has to be 1"),
            ("jobDriver", json!({ "hive": { "query": "SELECT 1" } }), "this endpoint has no Hive"),
            ("jobDriver", json!({}), "expected map with a single key"),
            ("jobDriver", json!({ "sparkSubmit": {} }), "missing field `entryPoint`"),
            (
                "jobDriver",
                json!({ "sparkSubmit": { "entryPoint": "s3://b/x.py", "entryPointArguments": [""] } }),
                "none is empty",
            ),
            (
                "configurationOverrides",
                monitoring(json!({ "s3MonitoringConfiguration": { "logUri": "/tmp" } })),
                "s3MonitoringConfiguration.logUri: ",
            ),
            (
                "configurationOverrides",
                monitoring(json!({ "cloudWatchLoggingConfiguration": { "enabled": true } })),
                "writes logs to S3",
            ),
        ] {
            let mut changed = request();
            changed[member] = value.clone();
            let error = parsed(changed).unwrap_err();
            assert_eq!(error.code(), "ValidationException");
            assert!(error.message().contains(expected), "{member} {value}: {}", error.message());
        }
        for member in ["clientToken", "executionRoleArn", "jobDriver"] {
            let mut incomplete = request();
            incomplete.as_object_mut().unwrap().remove(member);
            let error = parsed(incomplete).unwrap_err();
            assert!(error.message().contains(member), "{}", error.message());
        }
    }
}
