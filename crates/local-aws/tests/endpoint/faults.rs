//! Fault injection, as clients see it: over the network, and in the process.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;

use super::*;

const RAW: &str = "pregao-raw";

/// The clients without retries, so that each fault is visible.
fn once(lake: &Lake) -> aws_sdk_s3::Client {
    let config = lake.s3.config().to_builder().retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled());
    aws_sdk_s3::Client::from_conf(config.build())
}

async fn put(client: &aws_sdk_s3::Client, key: &str) -> Result<(), String> {
    let sent = client.put_object().bucket(RAW).key(key).body(ByteStream::from_static(b"0123456789")).send().await;
    sent.map(drop).map_err(refusal)
}

fn refusal<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> String {
    match &error {
        SdkError::DispatchFailure(_) => "broken".to_owned(),
        _ => error.code().unwrap_or("nameless").to_owned(),
    }
}

async fn holds(lake: &Lake, key: &str) -> bool {
    once(lake).head_object().bucket(RAW).key(key).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_those_of_s3_and_nothing_is_done() {
    for (kind, name) in
        [("throttle", "SlowDown"), ("error", "InternalError"), ("deny", "AccessDenied"), ("reset", "broken")]
    {
        let world = World::failing(&format!("op=PutObject:{kind}")).await;
        for lake in [&world.lake, world.endpoint.lake()] {
            assert_eq!(put(&once(lake), "k").await, Err(name.to_owned()), "{kind}");
            assert!(!holds(lake, "k").await, "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_a_broken_connection_and_the_object_is_there() {
    for way in 0..2 {
        let world = World::failing("op=PutObject:lost").await;
        let lake = [&world.lake, world.endpoint.lake()][way];
        assert_eq!(put(&once(lake), "k").await, Err("broken".to_owned()));
        assert!(holds(lake, "k").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_call_is_carried_out_when_its_caller_has_given_up() {
    for way in 0..2 {
        let world = World::failing("op=PutObject:late").await;
        let lake = [&world.lake, world.endpoint.lake()][way];
        assert_eq!(put(&once(lake), "k").await, Err("broken".to_owned()));
        // The first poll is the call that the delayed one waits for.
        while !holds(lake, "k").await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_is_an_error_and_never_an_object() {
    let world = World::failing("op=GetObject:truncate").await;
    for lake in [&world.lake, world.endpoint.lake()] {
        put(&once(lake), "k").await.expect("nothing befalls it");
        let got = once(lake).get_object().bucket(RAW).key("k").send().await.expect("the answer begins");
        assert!(got.body.collect().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_read_once_more() {
    let bucket = |lake: &Lake| lake.config.buckets.raw.clone();
    let world = World::failing("op=GetObject&n=1:truncate,op=GetObject&n=2:truncate,op=GetObject&n=4:truncate").await;
    let lake = &world.lake;
    put(&once(lake), "k").await.expect("nothing befalls it");
    let read = lake::objects::get(lake, &bucket(lake), "k").await.expect("the third time").expect("an object");
    assert_eq!(read, "0123456789");
    let part = lake::objects::read_range(lake, &bucket(lake), "k", 2, 5).await.expect("the second time");
    assert_eq!(part, "234");

    let world = World::failing("op=GetObject:truncate").await;
    put(&once(&world.lake), "k").await.expect("nothing befalls it");
    let error = lake::objects::get(&world.lake, &bucket(&world.lake), "k").await.expect_err("it always breaks off");
    assert_eq!(error.name(), "ServiceUnavailable", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_tried_again_succeeds_by_itself() {
    // Half of the calls fail, each in a random way. Waits are a hundred times shorter.
    let world = World::failing("speed=100,n=1:throttle,n=3:reset,n=5:lost,n=7:error").await;
    for number in 0..4 {
        world
            .endpoint
            .lake()
            .s3
            .put_object()
            .bucket(RAW)
            .key(format!("{number}"))
            .body(ByteStream::from_static(b"x"))
            .send()
            .await
            .expect("it is tried again");
    }
    assert_eq!(world.keys(RAW, "").await, ["0", "1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_services_refuse_in_their_form() {
    let world = World::failing("service=athena:throttle,service=emr:deny").await;
    let athena = world.lake.athena.list_work_groups().send();
    let emr = world.lake.emr.list_clusters().send().await.expect_err("it is refused");
    assert_eq!(emr.code(), Some("AccessDeniedException"));
    assert_eq!(athena.await.expect_err("it is refused").code(), Some("ThrottlingException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_meet_faults_of_functions_and_try_again() {
    let world = World::failing("speed=100,service=lambda&n=1:throttle,service=lambda&n=2:lost").await;
    let lake = world.endpoint.lake();
    let arn = local_aws::state_machine_arn("upload_raw_data");
    let input = r#"{"date": "2020-04-01"}"#;
    let started = lake.sfn.start_execution().state_machine_arn(arn).input(input).send().await.expect("a start");
    let described = eventually(async || {
        let described = lake.sfn.describe_execution().execution_arn(&started.execution_arn).send().await;
        let described = described.expect("it is there");
        (described.status.as_str() != "RUNNING").then_some(described)
    })
    .await;
    assert_eq!(described.status.as_str(), "SUCCEEDED", "{:?}", described.cause);
    let history =
        lake.sfn.get_execution_history().execution_arn(&started.execution_arn).send().await.expect("a history");
    let failures: Vec<&str> =
        history.events.iter().filter_map(|event| event.task_failed_event_details.as_ref()?.error()).collect();
    assert_eq!(failures, ["Lambda.TooManyRequestsException", "Lambda.SdkClientException"]);
}
