//! In-process clients and network clients get the same responses.

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;

use crate::{World, code};

const RAW: &str = "pregao-raw";

/// Larger than one chunk of reading and writing.
fn bytes() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| (number % 251) as u8).collect()
}

#[tokio::test]
async fn both_ways_lead_to_the_same_objects() {
    let world = World::new().await;
    let (near, far) = (world.endpoint.lake(), &world.lake);
    for (key, writer, reader) in [("near", near, far), ("far", far, near), ("nearer", near, near)] {
        writer.s3.put_object().bucket(RAW).key(key).body(bytes().into()).send().await.expect("it is put");
        let found = reader.s3.get_object().bucket(RAW).key(key).send().await.expect("it is there");
        assert_eq!(found.content_length(), Some(3_000_000), "{key}");
        assert!(found.body.collect().await.expect("a body").to_vec() == bytes(), "{key}");
        let part = reader.s3.get_object().bucket(RAW).key(key).range("bytes=1048570-2097160").send().await;
        let part = part.expect("a part of it").body.collect().await.expect("a body").to_vec();
        assert!(part == bytes()[1_048_570..=2_097_160], "{key}");
    }
}

#[tokio::test]
async fn a_file_that_is_read_as_it_is_sent_arrives() {
    let world = World::new().await;
    let path = world.home().join("sent");
    std::fs::write(&path, bytes()).expect("a file");
    let s3 = &world.endpoint.lake().s3;
    let body = ByteStream::from_path(&path).await.expect("the file");
    s3.put_object().bucket(RAW).key("k").body(body).send().await.expect("it is put");
    let found = s3.get_object().bucket(RAW).key("k").send().await.expect("it is there");
    assert!(found.body.collect().await.expect("a body").to_vec() == bytes());
}

#[tokio::test]
async fn refusals_are_the_same() {
    let world = World::new().await;
    world.put(RAW, "k", "x").await;
    let mut told = Vec::new();
    for lake in [world.endpoint.lake(), &world.lake] {
        let (s3, sfn) = (&lake.s3, &lake.sfn);
        told.push([
            code(s3.head_object().bucket(RAW).key("missing").send().await),
            code(s3.head_object().bucket("no-such-bucket").key("missing").send().await),
            code(s3.get_object().bucket(RAW).key("missing").send().await),
            code(s3.list_objects_v2().bucket("no-such-bucket").send().await),
            code(s3.put_object().bucket(RAW).key("k").if_none_match("*").send().await),
            code(s3.delete_object().bucket(RAW).key("k").if_match("\"0\"").send().await),
            code(sfn.describe_execution().execution_arn("arn:aws:states:x").send().await),
        ]);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(&told[0][2..5], ["NoSuchKey", "NoSuchBucket", "PreconditionFailed"]);
}

#[tokio::test]
async fn an_endpoint_that_has_ended_answers_nobody() {
    let World { endpoint, home: _home, .. } = World::new().await;
    let once = aws_sdk_s3::Config::builder().retry_config(RetryConfig::disabled());
    let request = endpoint.lake().s3.list_buckets().customize().config_override(once);
    endpoint.shutdown().await;
    let refused = request.send().await.expect_err("nobody is there");
    assert!(matches!(refused, SdkError::DispatchFailure(_)), "{refused:?}");
}
