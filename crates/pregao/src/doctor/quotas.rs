//! Checks of quotas: Lambda's concurrent executions, EC2's vCPUs, Athena's statements.

use std::collections::BTreeMap;

use lake::config::Emr;
use serde::Deserialize;
use serde_json::json;

use super::Check;
use super::api::{Api, ApiError, Service};

/// A quota of Service Quotas.
struct Quota {
    service: &'static str,
    code: &'static str,
}

/// Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances, in vCPUs.
const ON_DEMAND: Quota = Quota { service: "ec2", code: "L-1216C47A" };

/// All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests, in vCPUs.
const SPOT: Quota = Quota { service: "ec2", code: "L-34B43A08" };

/// Active DDL queries.
const DDL: Quota = Quota { service: "athena", code: "L-3CE0BBA0" };

/// The families of the quotas [`ON_DEMAND`] and [`SPOT`]. Others have quotas of their own.
/// <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>
const STANDARD: [&str; 11] = ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"];

/// The concurrent executions that Lambda keeps unreserved in an account.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>
const UNRESERVED: i64 = 100;

/// The DDL statements of two runs at once: one for each table.
const DDL_STATEMENTS: f64 = 6.0;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QuotaResponse {
    quota: QuotaValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QuotaValue {
    value: f64,
}

/// Returns the value of a quota in the account, or AWS's default if the account has none of its own.
async fn value(api: &Api, quota: &Quota) -> Result<f64, ApiError> {
    let input = json!({ "ServiceCode": quota.service, "QuotaCode": quota.code });
    let found: Result<QuotaResponse, _> = api.quotas("GetServiceQuota", &input).await;
    match found {
        Err(error) if error.code() == "NoSuchResourceException" => {
            let default: QuotaResponse = api.quotas("GetAWSDefaultServiceQuota", &input).await?;
            Ok(default.quota.value)
        }
        found => Ok(found?.quota.value),
    }
}

fn unknown(name: &str, error: &ApiError, permissions: &str) -> Check {
    Check::unknown(name, error.to_string(), format!("permit {permissions}"))
}

fn increase(quota: &Quota, needed: f64, region: &str) -> String {
    format!(
        "aws service-quotas request-service-quota-increase --service-code {} --quota-code {} --desired-value {needed} \
         --region {region}",
        quota.service, quota.code
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccountSettings {
    account_limit: AccountLimit,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccountLimit {
    concurrent_executions: i64,
    unreserved_concurrent_executions: i64,
}

/// Checks that the functions of the stack can reserve their executions. `deployed` is what they reserve already.
pub(super) async fn lambda(api: &Api, reserved: i64, deployed: i64) -> Check {
    let name = "Lambda concurrency";
    let settings: AccountSettings = match api.lambda("/2016-08-19/account-settings").await {
        Ok(settings) => settings,
        Err(error) => return unknown(name, &error, "lambda:GetAccountSettings"),
    };
    let AccountLimit { concurrent_executions: quota, unreserved_concurrent_executions: unreserved } =
        settings.account_limit;
    let left = unreserved + deployed - reserved;
    if reserved > 0 && left < UNRESERVED {
        let needed = quota + UNRESERVED - left;
        return Check::failed(
            name,
            format!(
                "the account has {quota} concurrent executions, of which {unreserved} are unreserved; the functions \
                 reserve {reserved}, and {UNRESERVED} must stay unreserved"
            ),
            format!("request {needed} concurrent executions from Lambda, or set aws.reserved_concurrency = 0"),
        );
    }
    Check::ok(name, format!("{quota} concurrent executions, {unreserved} unreserved; the functions reserve {reserved}"))
}

#[derive(Deserialize)]
struct InstanceTypes {
    #[serde(rename = "instanceTypeSet", default)]
    types: Items,
}

#[derive(Default, Deserialize)]
struct Items {
    #[serde(rename = "item", default)]
    items: Vec<InstanceType>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceType {
    instance_type: String,
    v_cpu_info: VCpuInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VCpuInfo {
    default_v_cpus: u32,
}

/// Checks the quotas of EC2 for one cluster, and that the region has its instance types.
pub(super) async fn clusters(api: &Api, emr: &Emr, region: &str) -> Vec<Check> {
    let (on_demand, spot) = ("EC2 On-Demand vCPUs", "EC2 Spot vCPUs");
    let cpus = match cpus(api, emr).await {
        Ok(cpus) => cpus,
        Err(error) if error.code().starts_with("InvalidInstanceType") => {
            let remedy = "set emr.instance_types to types of this region";
            return vec![Check::failed(on_demand, error.to_string(), remedy)];
        }
        Err(error) => return vec![unknown(on_demand, &error, "ec2:DescribeInstanceTypes")],
    };
    let other = emr.instance_types.iter().find(|name| !STANDARD.contains(&family(name)));
    if let Some(other) = other {
        let found = format!("{other} has a quota of its own, which is not checked");
        return vec![Check::unknown(on_demand, found, "compare it with the cluster in the console of Service Quotas")];
    }
    // EMR may choose the largest type for all nodes.
    let each = cpus.values().copied().max().unwrap_or_default();
    let core = u32::from(emr.core_instances.get()) * each;
    let mut checks = Vec::new();
    if emr.spot {
        checks.push(of_cpus(api, on_demand, &ON_DEMAND, each, region).await);
        checks.push(of_cpus(api, spot, &SPOT, core, region).await);
    } else {
        checks.push(of_cpus(api, on_demand, &ON_DEMAND, each + core, region).await);
    }
    checks
}

async fn cpus(api: &Api, emr: &Emr) -> Result<BTreeMap<String, u32>, ApiError> {
    let names = emr.instance_types.iter().zip(1..);
    let parameters: Vec<_> = names.map(|(name, number)| (format!("InstanceType.{number}"), name.clone())).collect();
    let found: InstanceTypes = api.query(Service::Ec2, "DescribeInstanceTypes", &parameters).await?;
    Ok(found.types.items.into_iter().map(|one| (one.instance_type, one.v_cpu_info.default_v_cpus)).collect())
}

async fn of_cpus(api: &Api, name: &str, quota: &Quota, needed: u32, region: &str) -> Check {
    match value(api, quota).await {
        Ok(value) if value < f64::from(needed) => Check::failed(
            name,
            format!("the quota is {value}, and a cluster needs {needed}"),
            format!(
                "{}; or a smaller cluster ([emr]), or transform.engine = \"lambda\"",
                increase(quota, needed.into(), region)
            ),
        ),
        Ok(value) => Check::ok(name, format!("the quota is {value}, and a cluster needs {needed}")),
        Err(error) => unknown(name, &error, "servicequotas:GetServiceQuota and GetAWSDefaultServiceQuota"),
    }
}

/// Returns the family of an instance type: `m` of `m5.xlarge`, `im` of `im4gn.large`.
fn family(instance_type: &str) -> &str {
    instance_type.split(|character: char| !character.is_ascii_lowercase()).next().unwrap_or_default()
}

/// Checks the quota of concurrent DDL statements.
pub(super) async fn athena(api: &Api, region: &str) -> Check {
    let name = "Athena DDL";
    match value(api, &DDL).await {
        Ok(value) if value < DDL_STATEMENTS => Check::failed(
            name,
            format!("{value} statements at once; two runs use {DDL_STATEMENTS}"),
            increase(&DDL, DDL_STATEMENTS, region),
        ),
        Ok(value) => Check::ok(name, format!("{value} statements at once")),
        Err(error) => unknown(name, &error, "servicequotas:GetServiceQuota and GetAWSDefaultServiceQuota"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_the_letters_before_the_generation() {
        for (instance_type, name) in
            [("m5.xlarge", "m"), ("r6gd.4xlarge", "r"), ("im4gn.large", "im"), ("g5.xlarge", "g")]
        {
            assert_eq!(family(instance_type), name);
        }
        assert!(!STANDARD.contains(&family("g5.xlarge")));
    }

    #[test]
    fn instance_types_are_read() {
        let xml = "<R><instanceTypeSet><item><instanceType>m5.xlarge</instanceType><vCpuInfo><defaultVCpus>4</defaultVCpus>\
                   <defaultCores>2</defaultCores></vCpuInfo></item></instanceTypeSet></R>";
        let types: InstanceTypes = quick_xml::de::from_str(xml).expect("types");
        assert_eq!(types.types.items[0].v_cpu_info.default_v_cpus, 4);
    }
}
