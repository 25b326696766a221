//! The CloudFormation stack in an AWS account: its parameters and its outputs.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::Stack;
use lake::config::{Architecture, Config};
use lake::{Error, Lake};

use crate::error_report::{Hint, fail};

/// The stack output with the created resources, in the form of the configuration.
const RESOURCES: &str = "Resources";

/// Returns the lake in the account: its clients, and the configuration with the stack's buckets and roles.
pub(crate) async fn lake(config: &Config) -> anyhow::Result<Lake> {
    let account = Account::load(config).await?;
    let Some(stack) = account.stack().await? else {
        return fail(
            format!("there is no stack {} in {}", config.aws.stack, account.region),
            "pregao deploy makes it; aws.stack, aws.region and aws.profile say where to look",
        );
    };
    let outputs = outputs(&stack);
    let Some(resources) = outputs.get(RESOURCES) else {
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

/// An account and a region, and the name of the stack in it.
pub(crate) struct Account {
    sdk: aws_config::SdkConfig,
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub region: String,
    pub stack_name: String,
}

impl Account {
    pub(crate) async fn load(config: &Config) -> anyhow::Result<Account> {
        let sdk = lake::sdk(config).await;
        let Some(region) = sdk.region().map(ToString::to_string) else {
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
    let Config { buckets, athena, aws, schedule, .. } = config;
    let defaults = Config::default().buckets;
    // Bucket names are global and the default ones are taken: for these the template generates names.
    let bucket =
        |name: &lake::config::BucketName, default| if name == default { String::new() } else { name.to_string() };
    vec![
        ("Config", config.for_functions().to_string()),
        ("RawBucketName", bucket(&buckets.raw, &defaults.raw)),
        ("LakeBucketName", bucket(&buckets.lake, &defaults.lake)),
        ("ResultsBucketName", bucket(&buckets.results, &defaults.results)),
        ("DatabaseName", athena.database.to_string()),
        ("ScheduleExpression", schedule.expression.clone()),
        ("ScheduleTimezone", schedule.timezone.clone()),
        ("ScheduleState", if schedule.enabled { "ENABLED" } else { "DISABLED" }.to_owned()),
        ("Architecture", architecture(aws.architecture).to_owned()),
        ("AlarmEmail", aws.alarm_email.clone().unwrap_or_default()),
        ("QueryScanLimitBytes", aws.query_scan_limit_bytes.to_string()),
        ("LogRetentionDays", aws.log_retention_days.to_string()),
        ("ResultsRetentionDays", aws.results_retention_days.to_string()),
        ("SupersededRetentionDays", aws.superseded_retention_days.to_string()),
    ]
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
    fn only_names_of_buckets_that_were_chosen_are_given() {
        let mut config = Config::default();
        config.set("buckets.raw", "acme-raw").expect("a name");
        config.set("quality.max_reject_share", "0.5").expect("a share");
        let parameters: BTreeMap<_, _> = parameters(&config).into_iter().collect();
        assert_eq!((parameters["RawBucketName"].as_str(), parameters["LakeBucketName"].as_str()), ("acme-raw", ""));
        assert_eq!(parameters["Config"], r#"{"quality":{"max_reject_share":0.5}}"#);
        assert_eq!(parameters["ScheduleState"], "ENABLED");
    }
}
