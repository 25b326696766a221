//! Objects that are put under `landing/` are ingested without a further request.

use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use chrono::NaiveDate;
use lake::workflow::Workflow;
use lake::{athena, record};
use local_aws::{FaultPlan, Landed, Options, state_machine_arn};
use serde_json::{Value, json};

use crate::{World, eventually, start_with};

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
    serving(home, Landed::Ingested, None).await
}

async fn serving(home: tempfile::TempDir, landed: Landed, faults: Option<FaultPlan>) -> World {
    let (endpoint, lake) = start_with(home.path(), Options { landed, faults, ..Options::default() }).await;
    World { endpoint, lake, home }
}

fn day() -> NaiveDate {
    "2020-04-01".parse().expect("a day")
}

/// Returns the number of rows that readers see; `None` before there is a table.
async fn rows(world: &World) -> Option<u64> {
    let counted = athena::run_in(&world.lake, "pregao", "SELECT count(*) FROM quotes").await.ok()?;
    counted.rows.first()?.first()?.as_deref()?.parse().ok()
}

/// Returns the executions of a workflow, oldest first, as soon as all of them have ended: the rows of a run are visible before
/// its end, because it publishes its tables at the same time.
async fn ended(world: &World, workflow: Workflow) -> Vec<ExecutionListItem> {
    eventually(async || {
        let machine = state_machine_arn(workflow.name());
        let listed = world.lake.sfn.list_executions().state_machine_arn(machine).send().await.expect("a list");
        let mut executions = listed.executions;
        executions.sort_by_key(|execution| execution.start_date);
        executions.iter().all(|execution| execution.status != ExecutionStatus::Running).then_some(executions)
    })
    .await
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
    assert_eq!(batch, &json!([{ "bucket": RAW, "key": format!("landing/{name}") }]));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_days_of_landed_objects_are_published_by_a_handful_of_runs() {
    let world = serving(tempfile::tempdir().expect("a temporary folder"), Landed::Processed, None).await;
    let files: Vec<_> =
        (10..15).flat_map(|hour| (0..50).step_by(5).map(move |minute| snapshot(hour, minute))).collect();
    // A burst, and then one by one: each is in a run after its arrival.
    let (burst, singles) = files.split_at(48);
    for (name, bytes) in burst {
        world.put(RAW, &format!("landing/{name}"), bytes.clone()).await;
    }
    eventually(async || (rows(&world).await == Some(48)).then_some(())).await;
    for (number, (name, bytes)) in singles.iter().enumerate() {
        world.put(RAW, &format!("landing/{name}"), bytes.clone()).await;
        eventually(async || (rows(&world).await == Some(49 + number as u64)).then_some(())).await;
    }
    let published = record::read(&world.lake, day()).await.expect("it is read").expect("a record").record;
    assert_eq!(published.published.expect("files").raw_files.len(), 50);
    let runs = ended(&world, Workflow::CreateDatalake).await;
    assert!((3..=12).contains(&runs.len()), "{} runs", runs.len());
    assert!(runs.iter().all(|run| run.status == ExecutionStatus::Succeeded), "{runs:?}");
    let ends = runs.iter().map(|run| run.stop_date.expect("it ended"));
    assert!(runs.iter().skip(1).zip(ends).all(|(next, end)| next.start_date >= end), "one at a time: {runs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_runs_after_uploads_the_second_waits_and_has_the_files_that_arrived_meanwhile() {
    let plan = "service=lambda&key=*transform*:delay=1s,speed=100".parse().expect("a plan");
    let world = serving(tempfile::tempdir().expect("a temporary folder"), Landed::Stay, Some(plan)).await;
    let sfn = &world.lake.sfn;
    let start = async |name: &str| {
        let input = json!({ "from": "2020-04-01", "to": "2020-04-01", "which": "uploaded" });
        let request = sfn.start_execution().state_machine_arn(state_machine_arn("create_datalake"));
        let started = request.name(name).input(input.to_string()).send().await;
        started.expect("it starts").execution_arn
    };
    let put = async |hour: usize| {
        let (name, bytes) = snapshot(hour, 0);
        world.put(RAW, &place(&name), bytes).await;
    };
    put(10).await;
    let first = start("first").await;
    eventually(async || world.keys("pregao-lake", "runs/run=first/").await.first().map(|_| ())).await;
    put(11).await;
    let second = start("second").await;
    let mut ends = Vec::new();
    for execution in [&first, &second] {
        let described = eventually(async || {
            let described = sfn.describe_execution().execution_arn(execution).send().await.expect("an execution");
            (described.status != ExecutionStatus::Running).then_some(described)
        })
        .await;
        assert_eq!(described.status, ExecutionStatus::Succeeded, "{described:?}");
        ends.push(described.stop_date.expect("it ended"));
    }
    assert!(ends[0] < ends[1], "{ends:?}");
    let history = sfn.get_execution_history().execution_arn(&second).max_results(1_000).send().await.expect("events");
    let failed = history.events.iter().filter_map(|event| event.task_failed_event_details.as_ref());
    let errors: Vec<&str> = failed.filter_map(|failed| failed.error.as_deref()).collect();
    assert!(errors.len() > 1 && errors.iter().all(|error| *error == "RunInProgress"), "{errors:?}");
    let chain = record::history(&world.lake, day()).await.expect("a chain");
    let files: Vec<_> = chain.iter().map(|record| record.published.as_ref().map(|day| day.raw_files.len())).collect();
    assert_eq!(files, [Some(1), Some(2)], "the first run publishes what it has read, though a file arrived meanwhile");
    assert_eq!(rows(&world).await, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_after_an_upload_that_ended_with_its_process_is_repeated_by_the_next_one() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let plan = "service=lambda&key=*transform*:delay=3s".parse().expect("a plan");
    let world = serving(home, Landed::Processed, Some(plan)).await;
    let (name, bytes) = snapshot(10, 0);
    world.put(RAW, &format!("landing/{name}"), bytes).await;
    eventually(async || world.keys("pregao-lake", "runs/").await.first().map(|_| ())).await;
    ended(&world, Workflow::UploadRawData).await;
    let World { endpoint, home, .. } = world;
    endpoint.shutdown().await;

    let world = serving(home, Landed::Processed, None).await;
    eventually(async || (rows(&world).await == Some(1)).then_some(())).await;
    let runs = ended(&world, Workflow::CreateDatalake).await;
    let World { endpoint, home, .. } = world;
    endpoint.shutdown().await;
    let statuses: Vec<_> = runs.iter().map(|run| run.status.as_str()).collect();
    assert_eq!(statuses, ["ABORTED", "SUCCEEDED"]);

    // What was repeated is not repeated again.
    let world = serving(home, Landed::Processed, None).await;
    let (name, bytes) = snapshot(10, 5);
    world.put(RAW, &format!("landing/{name}"), bytes).await;
    eventually(async || (rows(&world).await == Some(2)).then_some(())).await;
    assert_eq!(ended(&world, Workflow::CreateDatalake).await.len(), 3);
}
