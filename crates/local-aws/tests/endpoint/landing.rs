//! Objects that are put under `landing/` are ingested without a further request.

use serde_json::Value;

use crate::{World, eventually, start_with};
use local_aws::{Options, state_machine_arn};

const RAW: &str = "pregao-raw";

/// A raw file of the feed of quotes, with its name.
fn snapshot(hour: usize, minute: usize) -> (String, Vec<u8>) {
    let time = format!("20200401{hour:02}{minute:02}");
    let header = market::snapshot::Feed::Quotes.raw_columns().join(",");
    let cells = "10.0,10.0,10.5,11.0,9.5,10.4,10.6,100.0,200.0,10.0,10.5,1,30.0,Nome,300.0,0,,3000.0";
    (format!("{time}_flashpanel.csv"), format!("{time},{header}\nPETR4,{cells}\n").into_bytes())
}

fn place(name: &str) -> String {
    format!("quotes/date=2020-04-01/{name}")
}

async fn ingesting(home: tempfile::TempDir) -> World {
    let (endpoint, lake) = start_with(home.path(), Options { ingests_landed: true, ..Options::default() }).await;
    World { endpoint, lake, home }
}

/// The inputs of all executions of `upload_raw_data`.
async fn inputs(world: &World) -> Vec<Value> {
    let machine = state_machine_arn("upload_raw_data");
    let listed = world.lake.sfn.list_executions().state_machine_arn(machine).send().await.expect("a list");
    let mut inputs = Vec::new();
    for execution in listed.executions {
        let described = world.lake.sfn.describe_execution().execution_arn(execution.execution_arn).send().await;
        let input = described.expect("an execution").input.expect("an input");
        inputs.push(serde_json::from_str(&input).expect("JSON"));
    }
    inputs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_landed_objects_is_ingested_once_each_in_batches() {
    let world = ingesting(tempfile::tempdir().expect("a temporary folder")).await;
    let files: Vec<_> = (10..14).flat_map(|hour| (0..60).map(move |minute| snapshot(hour, minute))).collect();
    for (name, bytes) in &files {
        world.put(RAW, &format!("landing/burst/{name}"), bytes.clone()).await;
    }
    world.put(RAW, "landing/readme.md", b"# hello".to_vec()).await;
    eventually(async || world.keys(RAW, "landing/").await.is_empty().then_some(())).await;
    let mut expected: Vec<String> = files.iter().map(|(name, _)| place(name)).collect();
    expected.sort();
    assert_eq!(world.keys(RAW, "quotes/").await, expected);
    assert_eq!(world.keys(RAW, "quarantine/").await, ["quarantine/readme.md", "quarantine/readme.md.reason.json"]);

    let inputs = inputs(&world).await;
    let sizes: Vec<usize> = inputs.iter().map(|input| input.as_array().expect("a batch").len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), files.len() + 1, "each object is in one batch: {sizes:?}");
    assert!(sizes.len() <= files.len() / 10 && sizes.iter().all(|size| *size <= 100), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_left_in_landing_is_ingested_at_the_start() {
    let world = World::new().await;
    let (name, bytes) = snapshot(10, 0);
    world.put(RAW, &format!("landing/{name}"), bytes).await;
    assert_eq!(inputs(&world).await, Vec::<Value>::new(), "this endpoint does not ingest by itself");
    let World { endpoint, home, .. } = world;
    endpoint.shutdown().await;

    let world = ingesting(home).await;
    eventually(async || (world.keys(RAW, "quotes/").await == [place(&name)]).then_some(())).await;
    let batch = &inputs(&world).await[0];
    assert_eq!(batch, &serde_json::json!([{ "bucket": RAW, "key": format!("landing/{name}") }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_was_uploaded_in_parts_is_ingested() {
    let world = ingesting(tempfile::tempdir().expect("a temporary folder")).await;
    let (name, bytes) = snapshot(10, 0);
    let (s3, key) = (&world.lake.s3, format!("landing/{name}"));
    let created = s3.create_multipart_upload().bucket(RAW).key(&key).send().await.expect("an upload");
    let id = created.upload_id.expect("an id");
    let part = s3.upload_part().bucket(RAW).key(&key).upload_id(&id).part_number(1).body(bytes.into()).send().await;
    let part =
        aws_sdk_s3::types::CompletedPart::builder().part_number(1).set_e_tag(part.expect("a part").e_tag).build();
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder().parts(part).build();
    let complete = s3.complete_multipart_upload().bucket(RAW).key(&key).upload_id(&id).multipart_upload(parts);
    complete.send().await.expect("an object");
    eventually(async || (world.keys(RAW, "quotes/").await == [place(&name)]).then_some(())).await;
}
