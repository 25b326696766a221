//! EMR clusters: starting them, and finding those of this lake.
//!
//! Clusters are found by name. `pregao-RUN` is the transient cluster of a run, which ends with its step. `pregao standing for
//! BUCKET` was started by hand, serves all runs, and ends when it has been idle for long enough. Several lakes may share an
//! account, so a cluster also has a tag with its lake.

use std::time::{Duration, SystemTime};

use aws_sdk_emr::types::{
    Application, AutoTerminationPolicy, Cluster, ClusterState, ClusterSummary, Configuration, InstanceFleetConfig,
    InstanceFleetProvisioningSpecifications, InstanceFleetType, InstanceTypeConfig, JobFlowInstancesConfig,
    OnDemandProvisioningAllocationStrategy, OnDemandProvisioningSpecification, SpotProvisioningAllocationStrategy,
    SpotProvisioningSpecification, SpotProvisioningTimeoutAction, StepConfig, StepSummary, Tag,
};
use market::run::RunId;

use crate::config::{Config, Emr};
use crate::error::Error;
use crate::{Lake, keys};

/// Minimum delay between two polls of a step: a small job on a laptop takes as long, and EMR does not throttle it.
pub const MIN_POLL_DELAY: Duration = Duration::from_millis(50);

/// The states in which a cluster accepts steps, or will soon.
pub const ALIVE: [ClusterState; 4] =
    [ClusterState::Starting, ClusterState::Bootstrapping, ClusterState::Running, ClusterState::Waiting];

/// The tag with the lake of a cluster.
const LAKE_TAG: &str = "pregao:lake";

/// The tag that EMR copies from a cluster to what it creates for it. The service role may delete only resources with it.
/// <https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-iam-role.html>
const EMR_TAG: (&str, &str) = ("for-use-with-amazon-emr-managed-policies", "true");

/// Returns the cost tags, which the resources of infra/template.yaml have too. EMR copies the tags of a cluster to its instances
/// (<https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-plan-tags.html>). Those of the volumes are set when the instances
/// are started, for which the service role has the permission that EMR's own policy has
/// (<https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEMRServicePolicy_v2.html>).
pub fn cost_tags(config: &Config) -> [(&'static str, &str); 2] {
    [("project", "pregao"), ("stack", config.aws.stack.as_str())]
}

/// The settings of the Spark job.
pub const JOB_SETTINGS: [&str; 2] = [
    // It suffices, because the job creates no permanent tables.
    "spark.sql.catalogImplementation=in-memory",
    // When a job ends, the committers of S3A abort all uploads below its destination, and with them those of another job that
    // writes there (CommitConstants and AbstractS3ACommitter of hadoop-aws). EMR writes by S3A since 7.10, and by a committer of
    // its own, of which this is not documented. Each run has a destination of its own, but attempts of a run share one. What
    // an attempt leaves behind, the lifecycle rule of the bucket removes.
    // <https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/committers.html>
    // <https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-s3a-migrate.html>
    // <https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-spark-magic-commit-protocol.html>
    "spark.hadoop.fs.s3a.committer.abort.pending.uploads=false",
];

/// The purpose of a cluster.
#[derive(Debug)]
pub enum Purpose<'a> {
    /// Transient: one step of one run.
    Run(&'a RunId, Box<StepConfig>),
    /// Standing: the steps of all runs, until it has been idle for long enough.
    Standing,
}

/// Returns the name of a run's step and of its transient cluster. Each redrive of a failed execution has a name of its own,
/// so that it can start another step.
pub fn step_name(run: &RunId, redrives: u64) -> String {
    if redrives == 0 { format!("pregao-{run}") } else { format!("pregao-{run} redrive {redrives}") }
}

/// Whether a cluster or step of this name belongs to the execution of a run, in any attempt. The run may be of another lake.
/// Names of runs have no spaces.
pub fn is_of_run(name: &str, run: &RunId) -> bool {
    run_of(name).is_some_and(|named| named.execution() == run.execution())
}

/// Returns the run of a cluster or step by its [`step_name`], or `None` for another name.
pub fn run_of(name: &str) -> Option<RunId> {
    name.split(' ').next()?.strip_prefix("pregao-")?.parse().ok()
}

/// Returns the name of the standing cluster. It differs from those of runs and of other lakes.
pub fn standing(lake: &Lake) -> String {
    format!("pregao standing for {}", lake.config.buckets.lake)
}

/// Starts a cluster as configured. Returns its id.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn start(lake: &Lake, purpose: Purpose<'_>) -> Result<String, Error> {
    let emr = &lake.config.emr;
    let name = match &purpose {
        Purpose::Run(_, step) => step.name().unwrap_or_default().to_owned(),
        Purpose::Standing => standing(lake),
    };
    let stays = matches!(purpose, Purpose::Standing);
    let idle = i64::from(emr.idle_minutes.get()) * 60;
    let instances = JobFlowInstancesConfig::builder()
        .instance_fleets(primary(emr))
        .instance_fleets(core(emr))
        .set_ec2_subnet_ids(Some(emr.subnet_ids.clone()).filter(|ids| !ids.is_empty()))
        .keep_job_flow_alive_when_no_steps(stays)
        .termination_protected(false)
        .build();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let mut request = lake
        .emr
        .run_job_flow()
        .name(&name)
        .release_label(&emr.release)
        .applications(Application::builder().name("Spark").build())
        .configurations(spark_defaults())
        .instances(instances)
        .log_uri(keys::uri(&lake.config.buckets.results, keys::LOGS))
        .service_role(&emr.service_role)
        .job_flow_role(&emr.instance_profile)
        .visible_to_all_users(true)
        // A transient cluster ends with its step. This policy ends it if it does not.
        .auto_termination_policy(AutoTerminationPolicy::builder().idle_timeout(idle).build())
        .tags(tag(LAKE_TAG, lake.config.buckets.lake.as_str()))
        .tags(tag(EMR_TAG.0, EMR_TAG.1));
    for (key, value) in cost_tags(&lake.config) {
        request = request.tags(tag(key, value));
    }
    request = match purpose {
        Purpose::Run(run, step) => request.steps(*step).tags(tag("pregao:run", run.as_str())),
        Purpose::Standing => request,
    };
    let started = request.send().await.map_err(Error::aws(format!("starting the cluster {name}")))?;
    started.job_flow_id.ok_or_else(|| Error::Emr(format!("the cluster {name} was started and has no id")))
}

/// The primary node. Always On-Demand, because its loss ends the cluster.
fn primary(emr: &Emr) -> InstanceFleetConfig {
    let fleet = InstanceFleetConfig::builder()
        .name("primary")
        .instance_fleet_type(InstanceFleetType::Master)
        .target_on_demand_capacity(1);
    instance_types(emr, fleet).launch_specifications(on_demand().build()).build()
}

/// The core nodes. Each counts as one unit of capacity, whatever its type.
fn core(emr: &Emr) -> InstanceFleetConfig {
    let nodes = i32::from(emr.core_instances.get());
    let fleet = InstanceFleetConfig::builder().name("core").instance_fleet_type(InstanceFleetType::Core);
    let (fleet, specifications) = if emr.spot {
        // Cheap and rarely interrupted Spot instances; On-Demand if there are none within ten minutes.
        let spot = SpotProvisioningSpecification::builder()
            .timeout_duration_minutes(10)
            .timeout_action(SpotProvisioningTimeoutAction::SwitchToOnDemand)
            .allocation_strategy(SpotProvisioningAllocationStrategy::PriceCapacityOptimized)
            .build();
        (fleet.target_spot_capacity(nodes), on_demand().spot_specification(spot))
    } else {
        (fleet.target_on_demand_capacity(nodes), on_demand())
    };
    instance_types(emr, fleet).launch_specifications(specifications.build()).build()
}

fn instance_types(
    emr: &Emr,
    fleet: aws_sdk_emr::types::builders::InstanceFleetConfigBuilder,
) -> aws_sdk_emr::types::builders::InstanceFleetConfigBuilder {
    let types = emr.instance_types.iter();
    let types = types.map(|name| InstanceTypeConfig::builder().instance_type(name).weighted_capacity(1).build());
    fleet.set_instance_type_configs(Some(types.collect()))
}

fn on_demand() -> aws_sdk_emr::types::builders::InstanceFleetProvisioningSpecificationsBuilder {
    let cheapest = OnDemandProvisioningSpecification::builder()
        .allocation_strategy(OnDemandProvisioningAllocationStrategy::LowestPrice)
        .build();
    InstanceFleetProvisioningSpecifications::builder().on_demand_specification(cheapest)
}

/// Assigns all resources of the cluster to one job.
fn spark_defaults() -> Configuration {
    Configuration::builder().classification("spark").properties("maximizeResourceAllocation", "true").build()
}

/// Maximum age of a cluster: no execution takes longer, and no idle timeout is longer.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_hours(8 * 24);

/// Lists the clusters of the account that are young enough to be of a run, youngest first: those in `states`, or in all
/// states if it is empty.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn list(lake: &Lake, states: &[ClusterState]) -> Result<Vec<ClusterSummary>, Error> {
    let since = SystemTime::now().checked_sub(LONGEST_LIFE).unwrap_or(SystemTime::UNIX_EPOCH);
    let states = Some(states.to_vec()).filter(|states| !states.is_empty());
    let request = lake.emr.list_clusters().created_after(since.into()).set_cluster_states(states);
    let mut pages = request.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.map_err(Error::aws("listing the clusters"))?.clusters.unwrap_or_default());
    }
    Ok(found)
}

/// Lists the active clusters of this lake: transient ones, and the standing one.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn list_alive(lake: &Lake) -> Result<Vec<ClusterSummary>, Error> {
    list_of_lake(lake, &ALIVE).await
}

/// Lists the clusters of this lake that have not terminated. They still write logs.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn list_not_terminated(lake: &Lake) -> Result<Vec<ClusterSummary>, Error> {
    let states: Vec<ClusterState> = ALIVE.into_iter().chain([ClusterState::Terminating]).collect();
    list_of_lake(lake, &states).await
}

async fn list_of_lake(lake: &Lake, states: &[ClusterState]) -> Result<Vec<ClusterSummary>, Error> {
    let mut ours = Vec::new();
    for found in list(lake, states).await? {
        let (Some(id), Some(name)) = (found.id(), found.name()) else { continue };
        if name.starts_with("pregao") && is_of_lake(lake, id).await? {
            ours.push(found);
        }
    }
    Ok(ours)
}

/// Whether a cluster has the tag of this lake. Another lake of the account may have a cluster of the same name.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn is_of_lake(lake: &Lake, cluster: &str) -> Result<bool, Error> {
    let is_lake = |tag: &Tag| tag.key() == Some(LAKE_TAG) && tag.value() == Some(lake.config.buckets.lake.as_str());
    Ok(describe(lake, cluster).await?.tags().iter().any(is_lake))
}

/// Whether a cluster accepts steps, or will soon.
pub fn is_alive(cluster: &ClusterSummary) -> bool {
    cluster.status().and_then(|status| status.state()).is_some_and(|state| ALIVE.contains(state))
}

/// Lists the steps of a cluster, youngest first.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn steps(lake: &Lake, cluster: &str) -> Result<Vec<StepSummary>, Error> {
    let mut pages = lake.emr.list_steps().cluster_id(cluster).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing the steps of cluster {cluster}")))?;
        found.extend(page.steps.unwrap_or_default());
    }
    Ok(found)
}

/// Describes a cluster.
///
/// # Errors
/// [`Error::Emr`] if the response is empty; whatever EMR refuses.
pub async fn describe(lake: &Lake, cluster: &str) -> Result<Cluster, Error> {
    let request = lake.emr.describe_cluster().cluster_id(cluster);
    let described = request.send().await.map_err(Error::aws(format!("looking at cluster {cluster}")))?;
    described.cluster.ok_or_else(|| Error::Emr(format!("there is no cluster {cluster}")))
}

/// Terminates a cluster, with the steps that run on it.
///
/// # Errors
/// Whatever EMR refuses.
pub async fn end(lake: &Lake, cluster: &str) -> Result<(), Error> {
    let request = lake.emr.terminate_job_flows().job_flow_ids(cluster);
    request.send().await.map_err(Error::aws(format!("ending cluster {cluster}"))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_its_own() {
        let run = |name: &str| name.parse::<RunId>().expect("a run");
        for (attempt, redrives) in [("a-1", 0), ("a-1", 1), ("a-1", 12), ("a-1.2", 0), ("a-1.3", 1)] {
            assert!(is_of_run(&step_name(&run(attempt), redrives), &run("a-1")), "{attempt} {redrives}");
        }
        for other in ["pregao-a-11", "pregao-a", "a-1", "pregao standing for pregao-lake", ""] {
            assert!(!is_of_run(other, &run("a-1")), "{other}");
        }
    }

    #[test]
    fn the_cost_tags_are_those_of_the_template() {
        let template = include_str!("../../../infra/template.yaml");
        let resources = r#"{"aws": {"stack": "acme"}}"#;
        assert!(template.contains(r#"{"aws":{"stack":"${AWS::StackName}"},"#), "functions know the name of the stack");
        let config = Config::default().with_resources(resources).expect("JSON");
        assert_eq!(cost_tags(&config), [("project", "pregao"), ("stack", "acme")]);
        for (key, value) in [("project", "pregao"), ("stack", "!Ref AWS::StackName")] {
            assert!(template.contains(&format!("- Key: {key}\n          Value: {value}\n")), "{key}");
        }
    }

    fn emr(change: impl Fn(&mut Emr)) -> Emr {
        let mut emr = Emr { instance_types: vec!["a.large".into(), "b.large".into()], ..Emr::default() };
        change(&mut emr);
        emr
    }

    #[test]
    fn every_node_may_be_of_any_configured_type() {
        let emr = emr(|_| {});
        for fleet in [primary(&emr), core(&emr)] {
            let types: Vec<_> = fleet.instance_type_configs().iter().map(|one| one.instance_type()).collect();
            assert_eq!(types, [Some("a.large"), Some("b.large")]);
            assert!(fleet.instance_type_configs().iter().all(|one| one.weighted_capacity() == Some(1)));
        }
    }

    #[test]
    fn spot_is_for_core_nodes_and_gives_way_to_on_demand() {
        let spot = emr(|emr| {
            emr.spot = true;
            emr.core_instances = 7.try_into().expect("not zero");
        });
        assert_eq!((core(&spot).target_spot_capacity(), core(&spot).target_on_demand_capacity()), (Some(7), None));
        let specifications = core(&spot).launch_specifications().expect("specifications").clone();
        let gives_way = specifications.spot_specification().and_then(|spot| spot.timeout_action());
        assert_eq!(gives_way, Some(&SpotProvisioningTimeoutAction::SwitchToOnDemand));
        assert_eq!(
            (primary(&spot).target_spot_capacity(), primary(&spot).target_on_demand_capacity()),
            (None, Some(1))
        );
        assert_eq!(core(&emr(|_| {})).target_on_demand_capacity(), Some(1));
    }
}
