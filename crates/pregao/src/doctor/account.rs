//! Checks of an AWS account: whether the stack can be deployed in it, and its runs can start.

use aws_sdk_cloudformation::types::Stack;
use chrono::TimeDelta;
use lake::config::EmrKind;
use lake::engine::EngineChoice;
use lake::{Config, Error, Lake};
use serde::Deserialize;

use super::api::{Api, ApiError, Service};
use super::{Check, CheckResult, Moment, network, quotas};
use crate::error_report;
use crate::stack::{self, Account, Lifecycle};

/// The largest deviation of the clock that AWS accepts in a signature is five minutes.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html>
const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

/// The deviation of a clock from which a check warns.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// The concurrent executions that the template reserves in addition to `aws.reserved_concurrency` for each of two functions.
const OTHER_FUNCTIONS: i64 = 71;

/// The roles that services create for themselves, and when.
/// <https://docs.aws.amazon.com/emr/latest/ManagementGuide/using-service-linked-roles-cleanup.html>
const CLEANUP_ROLE: &str = "AWSServiceRoleForEMRCleanup";
const SPOT_ROLE: &str = "AWSServiceRoleForEC2Spot";

/// Makes all checks. Without credentials or a region, only those that need none.
pub(super) async fn checks(config: &Config, moment: Moment) -> Vec<Check> {
    let account = match Account::load(config).await {
        Ok(account) => account,
        Err(error) => {
            let (message, hints) = error_report::message_and_hints(&error);
            return vec![Check::failed("region", message, hints.join("; ")), not_made("without a region")];
        }
    };
    let api = Api::new(&account.sdk, &account.region);
    let identity = identity(&api).await;
    let mut checks = vec![of_credentials(&identity, config), of_clock(api.skew())];
    let Ok(Identity { account: number, .. }) = identity else {
        checks.push(not_made("without credentials"));
        return checks;
    };
    checks.push(of_region(&api, &account.region).await);
    let (stack, check) = of_stack(&account).await;
    let lifecycle = Lifecycle::from(stack.as_ref());
    // Not if it is unknown: a stack that cannot be described has these names.
    let is_first = lifecycle == Lifecycle::Absent && check.result == CheckResult::Ok;
    checks.push(check);
    let lake = Lake::with_sdk(config.clone(), &account.sdk);
    if is_first {
        checks.push(of_new_buckets(&lake, config, &number).await);
        checks.push(of_new_database(&lake, config).await);
    }
    checks.push(of_default_database(&lake).await);
    let deployed = stack.as_ref().filter(|_| lifecycle == Lifecycle::Complete).map_or(0, deployed_reservations);
    checks.push(quotas::lambda(&api, reservations(config.aws.reserved_concurrency.into()), deployed).await);
    checks.push(quotas::athena(&api, &account.region).await);
    checks.extend(of_clusters(&api, config, &account.region).await);
    if moment == Moment::Any
        && let Some(resources) = stack.as_ref().and_then(|stack| stack::outputs(stack).remove(stack::RESOURCES))
    {
        checks.push(of_roles(&api, config, &resources).await);
    }
    checks.push(of_service_role(&api, "EMR cleanup role", CLEANUP_ROLE).await);
    if config.emr.spot {
        checks.push(of_service_role(&api, "EC2 Spot role", SPOT_ROLE).await);
    }
    checks
}

/// The check that stands for those that were not made.
fn not_made(why: &str) -> Check {
    Check::unknown(
        "account",
        format!("the other checks were not made {why}"),
        "correct what is named above, and repeat",
    )
}

#[derive(Debug, Deserialize)]
struct CallerIdentity {
    #[serde(rename = "GetCallerIdentityResult")]
    result: Identity,
}

/// The account and the principal of the credentials.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    account: String,
    arn: String,
}

async fn identity(api: &Api) -> Result<Identity, ApiError> {
    let caller: CallerIdentity = api.query(Service::Sts, "GetCallerIdentity", &[]).await?;
    Ok(caller.result)
}

fn of_credentials(identity: &Result<Identity, ApiError>, config: &Config) -> Check {
    let name = "credentials";
    match identity {
        Ok(Identity { account, arn }) => Check::ok(name, format!("account {account}, {arn}")),
        Err(error @ ApiError::Unreachable(..)) => {
            Check::failed(name, error.to_string(), "is the name of the region right, and is there a network or proxy?")
        }
        Err(error) => {
            let profile =
                config.aws.profile.as_deref().map_or(String::new(), |profile| format!(" --profile {profile}"));
            let remedy = format!("aws sso login{profile}, or aws configure{profile}; aws.profile selects another");
            Check::failed(name, error.to_string(), remedy)
        }
    }
}

/// Compares the clock of this machine with that of the services. `skew` is by how much theirs is ahead.
fn of_clock(skew: Option<TimeDelta>) -> Check {
    let name = "clock";
    let Some(skew) = skew else {
        return Check::unknown(name, "no service has answered", "correct what is named above, and repeat");
    };
    let remedy = "set the clock of this machine, for example by timedatectl set-ntp true";
    let way = if skew < TimeDelta::zero() { "ahead of" } else { "behind" };
    let found = format!("{} s {way} that of AWS", skew.num_seconds().abs());
    if skew.abs() >= MAX_SKEW {
        return Check::failed(name, format!("{found}, which accepts {} s", MAX_SKEW.num_seconds()), remedy);
    }
    if skew.abs() >= SKEW { Check::warning(name, found, remedy) } else { Check::ok(name, "as that of AWS") }
}

#[derive(Debug, Deserialize)]
struct Regions {
    #[serde(rename = "regionInfo", default)]
    regions: RegionItems,
}

#[derive(Debug, Default, Deserialize)]
struct RegionItems {
    #[serde(rename = "item", default)]
    items: Vec<RegionItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegionItem {
    region_name: String,
    #[serde(default)]
    opt_in_status: String,
}

async fn of_region(api: &Api, region: &str) -> Check {
    let name = "region";
    let parameters = [("AllRegions".to_owned(), "true".to_owned())];
    let found: Regions = match api.query(Service::Ec2, "DescribeRegions", &parameters).await {
        Ok(found) => found,
        Err(error) => return Check::unknown(name, error.to_string(), "permit ec2:DescribeRegions"),
    };
    match found.regions.items.iter().find(|item| item.region_name == region) {
        None => Check::failed(name, format!("there is no region {region}"), "set aws.region to one of AWS's"),
        Some(item) if item.opt_in_status == "not-opted-in" => Check::failed(
            name,
            format!("{region} is not enabled in this account"),
            format!("aws account enable-region --region-name {region}"),
        ),
        Some(_) => Check::ok(name, region),
    }
}

async fn of_stack(account: &Account) -> (Option<Stack>, Check) {
    let name = "stack";
    let stack = match account.stack().await {
        Ok(stack) => stack,
        Err(error) => {
            let message = error_report::message_and_hints(&error).0;
            return (None, Check::unknown(name, message, "permit cloudformation:DescribeStacks"));
        }
    };
    let shown = format!("{} in {}", account.stack_name, account.region);
    let state = stack.as_ref().map_or("", stack::status);
    let found = format!("{shown} is in the state {state}");
    let check = match Lifecycle::from(stack.as_ref()) {
        Lifecycle::Absent => Check::ok(name, format!("there is none named {shown}; pregao deploy creates it")),
        Lifecycle::Complete => Check::ok(name, found),
        Lifecycle::InProgress => Check::warning(name, found, "wait until it has finished"),
        Lifecycle::CreationFailed | Lifecycle::DeletionFailed => {
            Check::failed(name, found, "pregao destroy removes it, then pregao deploy")
        }
        Lifecycle::RollbackFailed => Check::failed(
            name,
            found,
            format!("aws cloudformation continue-update-rollback --stack-name {}", account.stack_name),
        ),
    };
    (stack, check)
}

/// Returns the concurrent executions that the functions reserve, for a value of the parameter.
fn reservations(parameter: i64) -> i64 {
    if parameter == 0 { 0 } else { 2 * parameter + OTHER_FUNCTIONS }
}

/// Returns the concurrent executions that the functions of a stack reserve now.
fn deployed_reservations(stack: &Stack) -> i64 {
    let parameters = stack.parameters().iter();
    let mut value = parameters.filter(|parameter| parameter.parameter_key() == Some("ReservedConcurrency"));
    value.next().and_then(|parameter| parameter.parameter_value()?.parse().ok()).map_or(0, reservations)
}

/// Checks that the names of the buckets are free. A destroyed stack leaves two of them.
async fn of_new_buckets(lake: &Lake, config: &Config, account: &str) -> Check {
    let name = "bucket names";
    let (mut taken, mut unknown) = (Vec::new(), Vec::new());
    let names = stack::bucket_names(config, account);
    for bucket in &names {
        match lake.s3.head_bucket().bucket(bucket).send().await {
            Ok(_) => taken.push(format!("{bucket} is in this account")),
            Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(404) => {}
                Some(301 | 403) => taken.push(format!("{bucket} is of another account or region")),
                _ => unknown.push(Error::aws(format!("looking for {bucket}"))(error).to_string()),
            },
        }
    }
    if !taken.is_empty() {
        let remedy =
            "set [buckets] or aws.stack to other names; docs/aws.md says how to move the data of a kept bucket";
        return Check::failed(name, taken.join("; "), remedy);
    }
    if !unknown.is_empty() {
        return Check::unknown(name, unknown.join("; "), "permit s3:ListBucket on them");
    }
    Check::ok(name, format!("{} are free", names.join(", ")))
}

/// Whether the catalog has a database.
async fn has_database(lake: &Lake, database: &str) -> Result<bool, Error> {
    match lake.glue.get_database().name(database).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_entity_not_found_exception()) => Ok(false),
        Err(error) => Err(Error::aws(format!("looking for the database {database}"))(error)),
    }
}

async fn of_new_database(lake: &Lake, config: &Config) -> Check {
    let name = "database name";
    let database = stack::database(config);
    match has_database(lake, &database).await {
        Ok(false) => Check::ok(name, format!("{database} is free")),
        Ok(true) => Check::failed(
            name,
            format!("there is a database {database}, which is not of this stack"),
            "set athena.database to another name",
        ),
        Err(error) => Check::unknown(name, error.to_string(), "permit glue:GetDatabase"),
    }
}

/// Checks that Athena can use its database `default`, which its functions may create.
async fn of_default_database(lake: &Lake) -> Check {
    let name = "Glue default database";
    match has_database(lake, "default").await {
        Ok(true) => Check::ok(name, "it exists"),
        Ok(false) => Check::ok(name, "there is none; Athena creates it with the first statement"),
        Err(error) => Check::unknown(
            name,
            error.to_string(),
            "permit glue:GetDatabase on database/default, also in Lake Formation if the account uses it",
        ),
    }
}

async fn of_clusters(api: &Api, config: &Config, region: &str) -> Vec<Check> {
    let not_needed = if config.emr.kind == EmrKind::Serverless {
        "not needed: emr.kind is \"serverless\"".to_owned()
    } else if let Some(cluster) = &config.emr.cluster_id {
        format!("not needed: all steps run on the cluster {cluster}")
    } else if config.transform.engine == EngineChoice::Lambda {
        "not needed: transform.engine is \"lambda\"".to_owned()
    } else {
        let mut checks = quotas::clusters(api, &config.emr, region).await;
        let nodes = u32::from(config.emr.core_instances.get()) + 1;
        checks.push(network::check(api, region, &config.emr.subnet_ids, nodes).await);
        return checks;
    };
    vec![Check::ok("EC2 On-Demand vCPUs", &*not_needed), Check::ok(network::NAME, not_needed)]
}

#[derive(Debug, Deserialize)]
struct Anything {}

/// Checks that the roles of clusters exist. The stack creates them.
async fn of_roles(api: &Api, config: &Config, resources: &str) -> Check {
    let name = "EMR roles";
    let emr = match config.with_resources(resources) {
        Ok(config) => config.emr,
        Err(error) => return Check::failed(name, error.to_string(), "pregao deploy, with this version"),
    };
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let (role, profile) = (last(&emr.service_role), last(&emr.instance_profile));
    for (action, parameter, of) in
        [("GetRole", "RoleName", &role), ("GetInstanceProfile", "InstanceProfileName", &profile)]
    {
        let found: Result<Anything, _> = api.query(Service::Iam, action, &[(parameter.to_owned(), of.clone())]).await;
        match found {
            Ok(_) => {}
            Err(error) if error.code() == "NoSuchEntity" => {
                let remedy =
                    "create it again as infra/template.yaml has it: CloudFormation does not notice that it is gone";
                return Check::failed(name, format!("there is no {of}"), remedy);
            }
            Err(error) => return Check::unknown(name, error.to_string(), format!("permit iam:{action}")),
        }
    }
    Check::ok(name, format!("{role}, {profile}"))
}

/// Looks for a role that a service creates when it first needs it. The roles of the stack permit that.
async fn of_service_role(api: &Api, name: &str, role: &str) -> Check {
    let found: Result<Anything, _> =
        api.query(Service::Iam, "GetRole", &[("RoleName".to_owned(), role.to_owned())]).await;
    match found {
        Ok(_) => Check::ok(name, role),
        Err(error) if error.code() == "NoSuchEntity" => {
            Check::ok(name, format!("there is no {role} yet; the first cluster creates it"))
        }
        Err(error) => Check::unknown(name, error.to_string(), "permit iam:GetRole"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reservations_are_those_of_the_template() {
        let template = include_str!("../../../../infra/template.yaml");
        let reserved = template.lines().filter_map(|line| line.trim().strip_prefix("ReservedConcurrentExecutions: "));
        let (mut fixed, mut chosen) = (0, 0);
        for value in reserved {
            match value.split(", ").nth(1).and_then(|value| value.parse::<i64>().ok()) {
                Some(number) => fixed += number,
                None => chosen += 1,
            }
        }
        assert_eq!((fixed, chosen), (OTHER_FUNCTIONS, 2));
        assert_eq!((reservations(50), reservations(0)), (171, 0));
    }

    #[test]
    fn a_clock_may_differ_by_less_than_five_minutes() {
        for (seconds, result) in [
            (0, CheckResult::Ok),
            (-59, CheckResult::Ok),
            (120, CheckResult::Warning),
            (-299, CheckResult::Warning),
            (300, CheckResult::Failed),
            (-3_600, CheckResult::Failed),
        ] {
            assert_eq!(of_clock(Some(TimeDelta::seconds(seconds))).result, result, "{seconds}");
        }
        assert!(of_clock(Some(TimeDelta::seconds(400))).found.contains("400 s behind that of AWS"));
        assert_eq!(of_clock(None).result, CheckResult::Unknown);
    }
}
