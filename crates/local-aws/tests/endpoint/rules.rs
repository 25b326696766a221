//! The event rule of the stack, on an endpoint that is asked to have it.

use aws_sdk_emr::types::{ClusterState, JobFlowInstancesConfig, Tag};
use lake::cluster;
use local_aws::{Options, state_machine_arn};
use serde_json::json;

use crate::{World, eventually, start_with};

async fn world(rules: bool, faults: Option<&str>) -> World {
    let home = tempfile::tempdir().expect("a temporary folder");
    let faults = faults.map(|plan| plan.parse().expect("a plan"));
    let (endpoint, lake) = start_with(home.path(), Options { rules, faults, ..Options::default() }).await;
    World { endpoint, lake, home }
}

/// Starts a cluster of a run, and an execution of its name that is aborted. Returns the state of the cluster: when it has
/// terminated, or after `patience` looks.
async fn cluster_of_an_aborted_run(world: &World, patience: usize) -> Option<ClusterState> {
    let lake = &world.lake;
    let instances = JobFlowInstancesConfig::builder().keep_job_flow_alive_when_no_steps(true).build();
    let tag = Tag::builder().key("pregao:lake").value("pregao-lake").build();
    let cluster = lake.emr.run_job_flow().name("pregao-a-1").instances(instances).tags(tag).send().await;
    let cluster = cluster.expect("a cluster").job_flow_id.expect("an id");
    // Files of the day in landing/ keep the run in its first state for a while.
    world.put("pregao-raw", "landing/202004011320_options.csv", "x").await;
    let start = lake.sfn.start_execution().state_machine_arn(state_machine_arn("create_datalake")).name("a-1");
    let execution = start.input(json!({ "date": "2020-04-01" }).to_string()).send().await.expect("it starts");
    lake.sfn.stop_execution().execution_arn(&execution.execution_arn).send().await.expect("it is stopped");
    let mut looks = 0;
    eventually(async || {
        looks += 1;
        let described = cluster::describe(lake, &cluster).await.expect("a cluster");
        let state = described.status.and_then(|status| status.state);
        (state == Some(ClusterState::Terminated) || looks > patience).then_some(state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_of_an_aborted_run_is_terminated() {
    let ended = Some(ClusterState::Terminated);
    assert_eq!(cluster_of_an_aborted_run(&world(true, None).await, usize::MAX).await, ended);
    assert_ne!(cluster_of_an_aborted_run(&world(false, None).await, 20).await, ended, "without rules");
    let lost = world(true, Some("service=events&key=GivenUpRule:reset")).await;
    assert_ne!(cluster_of_an_aborted_run(&lost, 20).await, ended, "the event is lost");
    let denied = world(true, Some("service=emr&op=TerminateJobFlows:deny")).await;
    assert_ne!(cluster_of_an_aborted_run(&denied, 20).await, ended, "the function may not terminate it");
}
