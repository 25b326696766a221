//! The CloudFormation stack in an AWS account: its parameters and its outputs.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use lake::config::{Architecture, Config};
use lake::{Error, Lake};

use crate::error_report::{Hint, fail};

/// The stack output with the created resources, in the form of the configuration.
pub(crate) const RESOURCES: &str = "Resources";

/// Returns the lake in the account: its clients, and the configuration with the stack's buckets and roles.
pub(crate) async fn lake(config: &Config) -> anyhow::Result<Lake> {
    let account = Account::load(config).await?;
    let stack = account.stack().await?;
    let lifecycle = Lifecycle::from(stack.as_ref());
    let Some(stack) = stack.filter(|_| lifecycle != Lifecycle::Absent) else {
        return fail(
            format!("there is no stack {} in {}", config.aws.stack, account.region),
            "pregao deploy makes it; aws.stack, aws.region and aws.profile say where to look",
        );
    };
    let outputs = outputs(&stack);
    let Some(resources) = outputs.get(RESOURCES) else {
        if matches!(lifecycle, Lifecycle::CreationFailed | Lifecycle::DeletionFailed) {
            let state = status(&stack);
            return fail(
                format!(
                    "the stack {} in {} cannot be used: it is in the state {state}",
                    config.aws.stack, account.region
                ),
                "pregao destroy removes what is left of it; pregao deploy then makes it",
            );
        }
        return fail(
            format!(
                "the stack {} in {} is none of this program's: it has no output {RESOURCES}",
                config.aws.stack, account.region
            ),
            "set aws.stack to the name that it was deployed under",
        );
    };
    let config = config.with_resources(resources).hint("deploy the stack with this version: pregao deploy")?;
    Ok(Lake::with_sdk(config, &account.sdk))
}

/// What can be done with a stack, by its status.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// There is no stack, or only a change set that would create it.
    Absent,
    /// CloudFormation is changing it. Nothing else can be done meanwhile.
    InProgress,
    /// It can be updated and deleted.
    Complete,
    /// Its creation failed. It can only be deleted.
    CreationFailed,
    /// Its deletion failed. It can only be deleted again.
    DeletionFailed,
    /// The rollback of an update failed. It can be deleted, and updated after the rollback was continued.
    RollbackFailed,
}

impl From<Option<&Stack>> for Lifecycle {
    fn from(stack: Option<&Stack>) -> Self {
        stack.and_then(Stack::stack_status).map_or(Self::Absent, Self::from)
    }
}

impl From<&StackStatus> for Lifecycle {
    fn from(status: &StackStatus) -> Self {
        match status.as_str() {
            "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Self::Absent,
            "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" => Self::CreationFailed,
            "DELETE_FAILED" => Self::DeletionFailed,
            "UPDATE_ROLLBACK_FAILED" | "IMPORT_ROLLBACK_FAILED" => Self::RollbackFailed,
            in_progress if in_progress.ends_with("_IN_PROGRESS") => Self::InProgress,
            _ => Self::Complete,
        }
    }
}

/// Returns the name of a stack's status.
pub(crate) fn status(stack: &Stack) -> &str {
    stack.stack_status().map_or("UNKNOWN", |status| status.as_str())
}

/// An account and a region, and the name of the stack in it.
pub(crate) struct Account {
    pub sdk: aws_config::SdkConfig,
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub region: String,
    pub stack_name: String,
}

impl Account {
    pub(crate) async fn load(config: &Config) -> anyhow::Result<Account> {
        let sdk = lake::sdk(config).await;
        let region = sdk.region().map(ToString::to_string).filter(|region| !region.is_empty());
        let Some(region) = region else {
            return fail("no AWS region is configured", "set aws.region in confs/pregao.toml, or AWS_REGION");
        };
        let cloudformation = aws_sdk_cloudformation::Client::new(&sdk);
        Ok(Account { sdk, cloudformation, region, stack_name: config.aws.stack.to_string() })
    }

    /// Describes the stack, if it exists.
    pub(crate) async fn stack(&self) -> anyhow::Result<Option<Stack>> {
        match self.cloudformation.describe_stacks().stack_name(&self.stack_name).send().await {
            Ok(described) => Ok(described.stacks.unwrap_or_default().into_iter().next()),
            // CloudFormation has no error code of its own for a stack that does not exist.
            Err(error)
                if error.code() == Some("ValidationError")
                    && error.message().is_some_and(|message| message.contains("does not exist")) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(Error::aws(format!("looking for the stack {} in {}", self.stack_name, self.region))(error))
                    .hint("are there credentials? aws sts get-caller-identity says whose they are")
            }
        }
    }
}

/// Returns the outputs of a stack.
pub(crate) fn outputs(stack: &Stack) -> BTreeMap<String, String> {
    let outputs = stack.outputs().iter();
    outputs.filter_map(|output| Some((output.output_key.clone()?, output.output_value.clone()?))).collect()
}

/// Returns the template parameters for a configuration.
pub(crate) fn parameters(config: &Config) -> Vec<(&'static str, String)> {
    let Config { buckets, aws, emr, schedule, .. } = config;
    let defaults = Config::default().buckets;
    // Bucket names are global and the default ones are taken: for these the template generates names.
    let bucket =
        |name: &lake::config::BucketName, default| if name == default { String::new() } else { name.to_string() };
    vec![
        ("Config", config.for_functions().to_string()),
        ("RawBucketName", bucket(&buckets.raw, &defaults.raw)),
        ("LakeBucketName", bucket(&buckets.lake, &defaults.lake)),
        ("ResultsBucketName", bucket(&buckets.results, &defaults.results)),
        ("DatabaseName", database(config)),
        ("EmrKind", emr.kind.to_string()),
        ("EmrRelease", emr.release.clone()),
        ("ScheduleExpression", schedule.expression.clone()),
        ("ScheduleTimezone", schedule.timezone.clone()),
        ("ScheduleState", if schedule.enabled { "ENABLED" } else { "DISABLED" }.to_owned()),
        ("Architecture", architecture(aws.architecture).to_owned()),
        ("ReservedConcurrency", aws.reserved_concurrency.to_string()),
        ("AccessLogsBucketName", aws.access_logs_bucket.clone().unwrap_or_default()),
        ("AlarmEmail", aws.alarm_email.clone().unwrap_or_default()),
        ("QueryScanLimitBytes", aws.query_scan_limit_bytes.to_string()),
        ("LogRetentionDays", aws.log_retention_days.to_string()),
        ("ResultsRetentionDays", aws.results_retention_days.to_string()),
        ("SupersededRetentionDays", aws.superseded_retention_days.to_string()),
    ]
}

/// Returns the names of the buckets that the stack creates in an account.
pub(crate) fn bucket_names(config: &Config, account: &str) -> [String; 3] {
    let (chosen, defaults) = (&config.buckets, Config::default().buckets);
    let kinds = [
        ("raw", &chosen.raw, &defaults.raw),
        ("lake", &chosen.lake, &defaults.lake),
        ("results", &chosen.results, &defaults.results),
    ];
    kinds.map(
        |(kind, name, default)| {
            if name == default { format!("{}-{kind}-{account}", config.aws.stack) } else { name.to_string() }
        },
    )
}

/// Returns the configured database, or one with the name of the stack, because names of databases are unique in an account.
pub(crate) fn database(config: &Config) -> String {
    if config.athena.database == Config::default().athena.database {
        config.aws.stack.to_string().replace('-', "_")
    } else {
        config.athena.database.to_string()
    }
}

/// Returns the name of the architecture in the Lambda API.
fn architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Arm64 => "arm64",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEMPLATE: &str = include_str!("../../../infra/template.yaml");

    #[test]
    fn the_template_is_given_exactly_its_parameters() {
        let section = TEMPLATE.split("\nParameters:\n").nth(1).expect("a section of parameters");
        let section = section.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
        let declared: BTreeSet<&str> = section
            .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
            .filter(|name| name.chars().all(char::is_alphanumeric))
            .collect();
        let parameters = parameters(&Config::default());
        let given: BTreeSet<&str> = parameters.iter().map(|(name, _)| *name).collect();
        assert_eq!(given, declared);
        assert_eq!(given.len(), parameters.len());
    }

    #[test]
    fn every_status_of_a_stack_is_known() {
        let of = |lifecycle: Lifecycle| -> Vec<&str> {
            let statuses = StackStatus::values().iter().copied();
            statuses.filter(|status| Lifecycle::from(&StackStatus::from(*status)) == lifecycle).collect()
        };
        assert_eq!(of(Lifecycle::Absent), ["DELETE_COMPLETE", "REVIEW_IN_PROGRESS"]);
        assert_eq!(of(Lifecycle::CreationFailed), ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"]);
        assert_eq!(of(Lifecycle::DeletionFailed), ["DELETE_FAILED"]);
        assert_eq!(of(Lifecycle::RollbackFailed), ["IMPORT_ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED"]);
        assert_eq!(
            of(Lifecycle::Complete),
            [
                "CREATE_COMPLETE",
                "IMPORT_COMPLETE",
                "IMPORT_ROLLBACK_COMPLETE",
                "UPDATE_COMPLETE",
                "UPDATE_FAILED",
                "UPDATE_ROLLBACK_COMPLETE",
            ]
        );
        assert!(of(Lifecycle::InProgress).iter().all(|status| status.ends_with("_IN_PROGRESS")));
    }

    #[test]
    fn only_names_of_buckets_that_were_chosen_are_given() {
        let mut config = Config::default();
        config.set("buckets.raw", "acme-raw").expect("a name");
        config.set("quality.max_reject_share", "0.5").expect("a share");
        let parameters: BTreeMap<_, _> = parameters(&config).into_iter().collect();
        assert_eq!((parameters["RawBucketName"].as_str(), parameters["LakeBucketName"].as_str()), ("acme-raw", ""));
        assert_eq!(parameters["Config"], r#"{"quality":{"max_reject_share":0.5}}"#);
        assert_eq!(parameters["ScheduleState"], "ENABLED");
    }

    #[test]
    fn buckets_have_the_names_of_the_template() {
        let mut config = Config::default();
        config.set("buckets.lake", "acme-lake").expect("a name");
        let names = bucket_names(&config, "123456789012");
        assert_eq!(names, ["pregao-raw-123456789012", "acme-lake", "pregao-results-123456789012"]);
        for kind in ["raw", "lake", "results"] {
            assert!(TEMPLATE.contains(&format!(r#"!Sub "${{AWS::StackName}}-{kind}-${{AWS::AccountId}}""#)), "{kind}");
        }
    }

    #[test]
    fn a_second_stack_has_a_database_of_its_own() {
        let database = |settings: &[(&str, &str)]| {
            let mut config = Config::default();
            for (key, value) in settings {
                config.set(key, value).expect(key);
            }
            parameters(&config).into_iter().find(|(name, _)| *name == "DatabaseName").expect("a database").1
        };
        assert_eq!(database(&[]), "pregao");
        assert_eq!(database(&[("aws.stack", "acme-dev")]), "acme_dev");
        assert_eq!(database(&[("aws.stack", "acme-dev"), ("athena.database", "market")]), "market");
    }
}
