//! EMR: what its API model says of requests and answers. Requests are raw, because SDKs check some of these constraints
//! themselves.

use serde_json::{Value, json};

use crate::World;
use crate::protocols;

fn call(world: &World, operation: &str, input: &Value) -> (u16, Value) {
    protocols::call(world, &format!("ElasticMapReduce.{operation}"), input)
}

fn ok(world: &World, operation: &str, input: &Value) -> Value {
    let (status, output) = call(world, operation, input);
    assert_eq!(status, 200, "{operation} of {input}: {output}");
    output
}

fn cluster(more: Value) -> Value {
    let mut input =
        json!({ "Name": "c", "ReleaseLabel": "emr-7.5.0", "Instances": { "KeepJobFlowAliveWhenNoSteps": true } });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_waits_has_no_reason_code_and_no_key() {
    let world = World::new().await;
    let id =
        ok(&world, "RunJobFlow", &cluster(json!({ "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION" })))["JobFlowId"]
            .clone();
    let waiting = crate::eventually(async || {
        let found = ok(&world, "DescribeCluster", &json!({ "ClusterId": id }))["Cluster"].clone();
        (found["Status"]["State"] == "WAITING").then_some(found)
    })
    .await;
    assert_eq!(waiting["Status"]["StateChangeReason"], json!({ "Message": "Cluster ready to run steps." }));
    assert_eq!(waiting["Ec2InstanceAttributes"], json!({}), "a member that is null is none");
    assert_eq!(waiting["ScaleDownBehavior"], "TERMINATE_AT_TASK_COMPLETION");
    assert!(!waiting.to_string().contains("null"), "{waiting}");
    let listed = ok(&world, "ListClusters", &json!({}));
    assert_eq!(listed["Clusters"][0]["Status"]["StateChangeReason"].get("Code"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_model_is_refused() {
    let world = World::new().await;
    let id = ok(&world, "RunJobFlow", &cluster(json!({})))["JobFlowId"].clone();
    let group =
        json!({ "InstanceGroups": [{ "InstanceRole": "BOSS", "InstanceType": "m5.xlarge", "InstanceCount": 1 }] });
    let eleven: Vec<String> = (0..11).map(|number| format!("s-{number}")).collect();
    let step = json!({ "Name": "s", "HadoopJarStep": { "Jar": "command-runner.jar", "Args": [] } });
    let no_job_flow = "Specified job flow ID does not exist.";
    let cases = [
        (
            "ListSteps",
            json!({ "ClusterId": id, "StepIds": eleven }),
            "Member must have length less than or equal to 10",
        ),
        ("AddJobFlowSteps", json!({ "JobFlowId": "j-NONE", "Steps": [step] }), no_job_flow),
        ("TerminateJobFlows", json!({ "JobFlowIds": ["j-NONE"] }), no_job_flow),
        ("SetTerminationProtection", json!({ "JobFlowIds": ["j-NONE"], "TerminationProtected": true }), no_job_flow),
        ("RunJobFlow", cluster(json!({ "Instances": group })), "enum value set: [MASTER, TASK, CORE]"),
        ("RunJobFlow", cluster(json!({ "ScaleDownBehavior": "NEVER" })), "at 'scaleDownBehavior'"),
        (
            "RunJobFlow",
            cluster(json!({ "ReleaseLabel": "emr-0.0" })),
            "The supplied release label is invalid: emr-0.0.",
        ),
        ("RunJobFlow", cluster(json!({ "ReleaseLabel": "7.5.0" })), "The supplied release label is invalid: 7.5.0."),
        ("RunJobFlow", cluster(json!({ "SecurityConfiguration": "s" })), "SecurityConfiguration"),
        ("RunJobFlow", cluster(json!({ "KerberosAttributes": {} })), "KerberosAttributes"),
        ("RunJobFlow", cluster(json!({ "ManagedScalingPolicy": {} })), "ManagedScalingPolicy"),
    ];
    for (operation, input, words) in cases {
        let (status, output) = call(&world, operation, &input);
        assert_eq!(
            (status, output["__type"].as_str()),
            (400, Some("ValidationException")),
            "{operation} of {input}: {output}"
        );
        assert!(output["Message"].as_str().unwrap().contains(words), "{operation} of {input}: {output}");
    }
    let (_, described) = call(&world, "DescribeCluster", &json!({ "ClusterId": "j-NONE" }));
    assert_eq!(
        (&described["__type"], &described["ErrorCode"]),
        (&json!("InvalidRequestException"), &json!("NoSuchCluster"))
    );
}
