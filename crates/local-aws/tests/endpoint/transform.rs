//! The function transform: its objects have the bytes of the engine's files, also when requests fail.

use std::collections::BTreeMap;
use std::fs;

use lake::keys;
use lake::plan::Plan;
use serde_json::{Value, json};

use super::*;

const RAW: &str = "pregao-raw";
const LAKE: &str = "pregao-lake";
const DAY: &str = "2020-04-01";

/// A raw file of `lines` option records, whose prices are random and hardly compress.
fn options(lines: usize, seed: u64) -> String {
    let columns = Feed::Options.raw_columns();
    let mut text = format!("202004011000;{}\n", columns.join(";"));
    let mut state = seed;
    for line in 0..lines {
        let cells = columns.iter().map(|column| match *column {
            "OptnStyle" => "EURO".to_owned(),
            "OptnTp" => "CALL".to_owned(),
            "TradgEndDt" => "2020-05-18".to_owned(),
            "Du" => "30".to_owned(),
            "Underlying" => "PETR4".to_owned(),
            _ => {
                // An LCG: the high bits are random enough.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("0.{:016}", (state >> 11) % 10_000_000_000_000_000)
            }
        });
        writeln!(text, "T{line:06};{}", cells.collect::<Vec<_>>().join(";")).expect("a String takes all");
    }
    text
}

fn key(time: &str) -> String {
    format!("options/date={DAY}/20200401{time}_options.csv")
}

async fn plan(lake: &Lake, run: &str) -> Value {
    let event = json!({ "stage": "raw", "run": run, "input": { "date": DAY, "engine": "lambda" } });
    let planned = validate_partitions::handle(lake, event).await.expect("a plan");
    serde_json::to_value(planned).expect("JSON")
}

async fn transform(lake: &Lake, run: &str) -> Result<Value, lake::Error> {
    let done = ::transform::handle(lake, json!({ "run": run, "day": DAY })).await?;
    Ok(serde_json::to_value(done).expect("JSON"))
}

/// The Parquet objects of a run, by name below its folder.
async fn written(world: &World, run: &str) -> BTreeMap<String, Vec<u8>> {
    let prefix = format!("runs/run={run}/");
    let mut objects = BTreeMap::new();
    for key in world.keys(LAKE, &prefix).await {
        if !key.ends_with(".parquet") {
            continue;
        }
        let found = world.lake.s3.get_object().bucket(LAKE).key(&key).send().await.expect("an object");
        let bytes = found.body.collect().await.expect("its bytes").to_vec();
        objects.insert(key[prefix.len()..].to_owned(), bytes);
    }
    objects
}

/// The files that the engine writes in folders.
fn expected(raw: &BTreeMap<String, String>) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = |(key, text): (&String, &String)| {
        let path = folder.path().join(keys::file_name(key));
        fs::write(&path, text).expect("a file");
        etl::Input::from_path(path).expect("a snapshot")
    };
    let out = folder.path().join("out");
    let job = etl::Job { inputs: raw.iter().map(input).collect(), out: out.clone(), threads: 1, run: None };
    let report = etl::run(&job, &|_| ()).expect("the engine succeeds");
    let names = report.partitions.into_iter().flat_map(|partition| partition.files);
    names.map(|name| (name.clone(), fs::read(out.join(&name)).expect("a file"))).collect()
}

async fn arrive(world: &World, files: &[(&str, usize)]) -> BTreeMap<String, String> {
    let mut raw = BTreeMap::new();
    for (seed, (time, lines)) in files.iter().enumerate() {
        let text = options(*lines, seed as u64);
        world.put(RAW, &key(time), text.clone()).await;
        raw.insert(key(time), text);
    }
    raw
}

async fn etag(world: &World, key: &str) -> String {
    let found = world.lake.s3.head_object().bucket(LAKE).key(key).send().await.expect("an object");
    found.e_tag.expect("an ETag")
}

async fn uploads(world: &World) -> usize {
    let listed = world.lake.s3.list_multipart_uploads().bucket(LAKE).send().await.expect("a listing");
    listed.uploads().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_objects_have_the_bytes_of_the_engine() {
    let world = World::new().await;
    // Several chunks of a raw file, several tasks of a day, and several parts of an object.
    let raw = arrive(&world, &[("1000", 90_000), ("1010", 1), ("1020", 30_000)]).await;
    let planned = plan(&world.lake, "r").await;
    assert_eq!((&planned["engine"], &planned["transform"]), (&json!("lambda"), &json!([DAY])));
    let done = transform(&world.lake, "r").await.expect("it succeeds");
    assert_eq!(done["rows"], json!({ "quotes": 0, "options": 120_001, "rejects": 0 }), "{done}");
    assert_eq!((&done["files"], &done["records"]), (&json!(3), &json!(120_001)));
    let expected = expected(&raw);
    assert!(expected.len() > 2, "several tasks: {:?}", expected.keys());
    assert!(written(&world, "r").await == expected, "the same names and bytes");
    let large = "runs/run=r/options/year=2020/month=4/day=1/part-options-00000.parquet";
    assert!(etag(&world, large).await.ends_with("-2\""), "in parts");
    // Once more: the same.
    transform(&world.lake, "r").await.expect("it succeeds again");
    assert!(written(&world, "r").await == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_request_changes_nothing() {
    let parquet = "key=*.parquet";
    for fault in [
        format!("op=CreateMultipartUpload&{parquet}&n=1:lost"),
        format!("op=UploadPart&{parquet}&n=2:lost"),
        format!("op=CompleteMultipartUpload&{parquet}&n=1:lost"),
        format!("op=PutObject&{parquet}&n=1:lost"),
        "op=GetObject&key=*/options/*&n=2:truncate".to_owned(),
        "op=GetObject&key=*/options/*&n=1:reset".to_owned(),
        "op=GetObject&key=*/options/*&n=3:throttle".to_owned(),
    ] {
        let world = World::failing(&format!("speed=100,{fault}")).await;
        let raw = arrive(&world, &[("1000", 80_000)]).await;
        plan(&world.lake, "r").await;
        transform(&world.lake, "r").await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert!(written(&world, "r").await == expected(&raw), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_file_in_another_version_is_not_read() {
    let world = World::new().await;
    arrive(&world, &[("1000", 10), ("1010", 10)]).await;
    plan(&world.lake, "replaced").await;
    world.put(RAW, &key("1010"), options(10, 99)).await;
    let error = transform(&world.lake, "replaced").await.expect_err("another version");
    assert_eq!(error.name(), "RawFilesChanged", "{error}");
    assert!(error.to_string().starts_with(&format!("s3://{RAW}/{} was replaced", key("1010"))), "{error}");
    plan(&world.lake, "removed").await;
    world.lake.s3.delete_object().bucket(RAW).key(key("1000")).send().await.expect("it is deleted");
    let error = transform(&world.lake, "removed").await.expect_err("no version");
    assert_eq!(error.name(), "RawFilesChanged", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_file_that_is_replaced_while_it_is_read_is_refused() {
    // The third chunk of the file is requested after the first one is read, and its request arrives late.
    let world = World::failing(&format!("op=GetObject&key={RAW}/*&n=3:delay=2s")).await;
    arrive(&world, &[("1000", 90_000)]).await;
    plan(&world.lake, "r").await;
    let lake = world.lake.clone();
    let running = tokio::spawn(async move { transform(&lake, "r").await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.put(RAW, &key("1000"), options(90_000, 99)).await;
    let error = running.await.expect("no panic").expect_err("another version");
    assert_eq!(error.name(), "RawFilesChanged", "{error}");
    assert!(error.to_string().contains("was replaced"), "{error}");
    assert!(written(&world, "r").await.is_empty());
    assert_eq!(uploads(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_leaves_no_upload_and_no_object() {
    for fault in ["op=UploadPart&n=2:deny", "op=CompleteMultipartUpload&n=1:deny"] {
        let world = World::failing(fault).await;
        let raw = arrive(&world, &[("1000", 90_000)]).await;
        plan(&world.lake, "r").await;
        let error = transform(&world.lake, "r").await.expect_err(fault);
        assert_eq!(error.name(), "AccessDenied", "{fault}: {error}");
        assert!(error.to_string().contains("s3://pregao-lake/runs/run=r/options/"), "{fault}: {error}");
        assert_eq!(uploads(&world).await, 0, "{fault}");
        assert!(!written(&world, "r").await.keys().any(|name| name.starts_with("options/")), "{fault}");
        // The next attempt of the same run.
        transform(&world.lake, "r").await.expect("it succeeds");
        assert!(written(&world, "r").await == expected(&raw), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_file_that_cannot_be_read_fails_the_day() {
    let world = World::new().await;
    arrive(&world, &[("1000", 10)]).await;
    world.put(RAW, &key("1010"), "what is this").await;
    plan(&world.lake, "r").await;
    let error = transform(&world.lake, "r").await.expect_err("no header");
    assert_eq!(error.name(), "QualityError", "{error}");
    assert!(error.to_string().contains(&key("1010")), "{error}");
    assert!(written(&world, "r").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_records_has_empty_tables() {
    let world = World::new().await;
    let raw = arrive(&world, &[("1000", 0)]).await;
    plan(&world.lake, "r").await;
    let done = transform(&world.lake, "r").await.expect("it succeeds");
    assert_eq!((&done["files"], &done["records"]), (&json!(1), &json!(0)));
    assert!(written(&world, "r").await == expected(&raw));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_raw_files_transforms_nothing() {
    let world = World::new().await;
    let planned = plan(&world.lake, "r").await;
    assert_eq!((&planned["engine"], &planned["to_publish"]), (&json!("lambda"), &json!(0)));
    assert_eq!(planned.get("transform"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_names_a_day_of_a_plan() {
    let world = World::new().await;
    arrive(&world, &[("1000", 1)]).await;
    plan(&world.lake, "r").await;
    for (event, name) in [
        (json!({ "run": "r", "day": "2020-04-02" }), "InvalidInput"),
        (json!({ "run": "r" }), "InvalidInput"),
        (json!({ "run": "other", "day": DAY }), "QualityError"),
    ] {
        let error = ::transform::handle(&world.lake, event.clone()).await.expect_err("refused");
        assert_eq!(error.name(), name, "{event}: {error}");
    }
    let planned = Plan::read(&world.lake, &"r".parse().expect("a run")).await.expect("a plan");
    assert_eq!(planned.engine, lake::engine::Engine::Lambda);
}
