//! Uploads that are interrupted at any call: each snapshot has a file at any time, no byte is lost, and no run reads an
//! incomplete upload.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use flate2::{Compression, write::GzEncoder};
use lake::{Config, Lake};
use market::snapshot::Feed;
use serde_json::{Value, json};

use crate::World;

const RAW: &str = "pregao-raw";
const TIMES: [&str; 2] = ["202004011000", "202004011010"];

/// What happens to the call at which an upload is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is not executed.
    Refused,
    /// It is executed, and its response is lost.
    AnswerLost,
}

/// Lets the first calls of S3 pass and no later ones, as if the process had been killed.
#[derive(Debug, Clone)]
struct Killed {
    at: usize,
    fault: Fault,
    begun: Arc<AtomicUsize>,
}

impl Killed {
    fn check(&self, number: usize) -> Result<(), BoxError> {
        if number < self.at { Ok(()) } else { Err("the process is gone".into()) }
    }
}

impl Intercept for Killed {
    fn name(&self) -> &'static str {
        "Killed"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Refused => self.check(number),
            // This call is executed, and what would follow from its response is not.
            Fault::AnswerLost => self.check(number.saturating_sub(1)),
        }
    }

    fn read_before_deserialization(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match self.fault {
            Fault::Refused => Ok(()),
            Fault::AnswerLost => self.check(self.begun.load(Ordering::SeqCst).saturating_sub(1)),
        }
    }
}

fn one_at_a_time() -> Config {
    let mut config = Config::default();
    config.ingest.parallel_files = 1.try_into().expect("not zero");
    config
}

/// A lake whose calls of S3 are interrupted at one.
fn killed(lake: &Lake, at: usize, fault: Fault) -> (Lake, Killed) {
    let killed = Killed { at, fault, begun: Arc::default() };
    let s3 = lake.s3.config().to_builder().retry_config(RetryConfig::disabled()).interceptor(killed.clone());
    (Lake { s3: aws_sdk_s3::Client::from_conf(s3.build()), config: one_at_a_time(), ..lake.clone() }, killed)
}

fn snapshot(time: &str, ticker: &str) -> Vec<u8> {
    let record = "10.0,10.0,10.5,11.0,9.5,10.4,10.6,100.0,200.0,10.0,10.5,1,30.0,Nome,300.0,0,,3000.0";
    format!("{time},{}\n{ticker},{record}\n", Feed::Quotes.raw_columns().join(",")).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Returns name and bytes of a snapshot's file, in one of its forms.
fn file(time: &str, ticker: &str, packed: bool) -> (String, Vec<u8>) {
    let bytes = snapshot(time, ticker);
    if packed { (format!("{time}_flashpanel.csv.gz"), gzip(&bytes)) } else { (format!("{time}_flashpanel.csv"), bytes) }
}

fn place(name: &str) -> String {
    format!("quotes/date=2020-04-01/{name}")
}

async fn objects(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for key in world.keys(RAW, "").await {
        let found = world.lake.s3.get_object().bucket(RAW).key(&key).send().await.expect("it is there");
        objects.insert(key, found.body.collect().await.expect("a body").to_vec());
    }
    objects
}

async fn plan(lake: &Lake) -> Result<Value, lake::Error> {
    // Planning is idempotent by run: each call needs a new one.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = format!("r{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let event = json!({"stage": "raw", "run": run, "input": {"date": "2020-04-01"}});
    let plan = validate_partitions::handle(lake, event).await?;
    Ok(serde_json::to_value(plan).expect("JSON"))
}

fn date() -> Value {
    json!({"date": "2020-04-01"})
}

#[tokio::test]
async fn an_upload_that_ends_anywhere_loses_nothing_and_is_not_half_read() {
    for (before, after) in [(false, true), (true, false), (false, false)] {
        for fault in [Fault::Refused, Fault::AnswerLost] {
            let mut ended = false;
            for at in 0.. {
                ended = kill_at(at, fault, before, after).await;
                if ended {
                    assert!(at > 10, "an upload takes some calls");
                    break;
                }
            }
            assert!(ended);
        }
    }
}

/// Interrupts an upload at its call `at`. It replaces the files of a day, in the same form or another. Returns whether it
/// ended before.
async fn kill_at(at: usize, fault: Fault, before: bool, after: bool) -> bool {
    let when = format!("{before} to {after}, {fault:?} at {at}");
    let world = World::new().await;
    let old = TIMES.map(|time| file(time, "OLD4", before));
    let new = TIMES.map(|time| file(time, "NEW4", after));
    for (name, bytes) in &old {
        world.put(RAW, &place(name), bytes.clone()).await;
    }
    for (name, bytes) in &new {
        world.put(RAW, &format!("landing/a/{name}"), bytes.clone()).await;
    }
    let (lake, killed) = killed(&world.lake, at, fault);
    let result = ingest::handle(&lake, date()).await;
    let is_over = killed.begun.load(Ordering::SeqCst) <= at;
    assert_eq!(result.is_ok(), is_over, "{when}: {result:?}");

    let left = objects(&world).await;
    for (_, bytes) in old.iter().chain(&new) {
        assert!(left.values().any(|kept| kept == bytes), "{when}: bytes are lost, of {:?}", left.keys());
    }
    for (old, new) in old.iter().zip(&new) {
        let forms = [old, new].map(|(name, bytes)| left.get(&place(name)).map(|found| (found, bytes)));
        let stands = forms.iter().flatten().any(|(found, _)| [&old.1, &new.1].contains(found));
        assert!(stands, "{when}: nothing stands in the place of {}: {:?}", new.0, left.keys());
    }
    let are_new = new.iter().all(|(name, bytes)| left.get(&place(name)) == Some(bytes))
        && (before == after || old.iter().all(|(name, _)| !left.contains_key(&place(name))));
    match plan(&world.lake).await {
        Ok(plan) => {
            assert!(are_new, "{when}: a run would read half of it, {plan}");
            assert_eq!(plan["files"], 2, "{when}");
        }
        Err(error) => {
            assert!(!is_over && error.name() == "UploadPending", "{when}: {error}");
            let said = error.to_string();
            assert!(said.contains("landing/a/2020040110") && said.contains("pregao upload DIR"), "{said}");
        }
    }

    ingest::handle(&world.lake, date()).await.unwrap_or_else(|error| panic!("{when}, and again: {error}"));
    let left = objects(&world).await;
    let placed: BTreeMap<_, _> = left.iter().filter(|(key, _)| key.starts_with("quotes/")).collect();
    let expected: Vec<(String, &Vec<u8>)> = new.iter().map(|(name, bytes)| (place(name), bytes)).collect();
    assert!(placed.into_iter().map(|(key, bytes)| (key.clone(), bytes)).eq(expected), "{when}: {:?}", left.keys());
    assert!(!left.keys().any(|key| key.starts_with("landing/")), "{when}");
    for (_, bytes) in &old {
        assert!(left.iter().any(|(key, kept)| key.starts_with("quarantine/") && kept == bytes), "{when}");
    }
    assert_eq!(plan(&world.lake).await.expect("a plan")["files"], 2, "{when}");
    is_over
}

/// Each event of an object is an execution, and two forms of a snapshot may arrive concurrently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_forms_that_land_together_leave_one() {
    let world = World::new().await;
    for round in 0..40 {
        let files = [file(TIMES[0], &format!("A{round}"), false), file(TIMES[0], &format!("B{round}"), true)];
        let mut taking = Vec::new();
        for (name, bytes) in &files {
            let key = format!("landing/{name}");
            world.put(RAW, &key, bytes.clone()).await;
            let event = json!({"source": "aws.s3", "detail-type": "Object Created",
                "detail": {"bucket": {"name": RAW}, "object": {"key": key}}});
            let lake = world.lake.clone();
            taking.push(tokio::spawn(async move { ingest::handle(&lake, event).await }));
        }
        for taken in taking {
            match taken.await.expect("no panic") {
                Ok(_) => {}
                Err(error) => assert_eq!(error.name(), "ServiceUnavailable", "{error}"),
            }
        }
        // If both failed, the workflow's retry ingests what is left.
        ingest::handle(&world.lake, date()).await.expect("what is left");
        let placed = world.keys(RAW, "quotes/").await;
        assert_eq!(placed.len(), 1, "round {round}: {placed:?}");
        let left = objects(&world).await;
        for (_, bytes) in &files {
            assert!(left.values().any(|kept| kept == bytes), "round {round}: bytes are lost");
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_moved_keeps_no_other_of_its_batch_in_landing() {
    let world = World::failing("service=s3&op=CopyObject&key=*/202004011000_*:deny").await;
    let files: Vec<(String, Vec<u8>)> = TIMES.iter().map(|time| file(time, "PETR4", false)).collect();
    for (name, bytes) in &files {
        world.put(RAW, &format!("landing/{name}"), bytes.clone()).await;
    }
    let batch = files.iter().map(|(name, _)| json!({"bucket": RAW, "key": format!("landing/{name}")})).collect();
    let error = ingest::handle(&world.lake, batch).await.expect_err("one cannot be moved");
    assert!(error.to_string().contains("202004011000"), "{error}");
    let left: Vec<String> = objects(&world).await.into_keys().collect();
    assert_eq!(left, ["landing/202004011000_flashpanel.csv".to_owned(), place(&files[1].0)]);
}

#[tokio::test]
async fn a_landed_file_of_another_day_or_with_the_bytes_in_place_keeps_no_run_waiting() {
    let world = World::new().await;
    let (name, bytes) = file(TIMES[0], "PETR4", false);
    world.put(RAW, &place(&name), bytes.clone()).await;
    world.put(RAW, &format!("landing/{name}"), bytes).await;
    world.put(RAW, "landing/202004021000_flashpanel.csv", snapshot("202004021000", "PETR4")).await;
    world.put(RAW, "landing/notes.txt", "x").await;
    assert_eq!(plan(&world.lake).await.expect("a plan")["files"], 1);

    let (name, bytes) = file(TIMES[1], "PETR4", false);
    world.put(RAW, &format!("landing/b/{name}"), bytes).await;
    let error = plan(&world.lake).await.expect_err("one has landed");
    assert!(error.to_string().starts_with("1 of the snapshots of 2020-04-01 are uploaded"), "{error}");
    // A plan that only lists, and reads nothing, succeeds.
    let asked = validate_partitions::handle(&world.lake, json!({"stage": "raw", "date": "2020-04-01"})).await;
    assert_eq!(serde_json::to_value(asked.expect("counts")).expect("JSON")["files"], 1);
}

#[tokio::test]
async fn both_forms_of_a_snapshot_are_counted_once_and_never_read() {
    let world = World::new().await;
    for packed in [false, true] {
        let (name, bytes) = file(TIMES[0], "PETR4", packed);
        world.put(RAW, &place(&name), bytes).await;
    }
    let error = plan(&world.lake).await.expect_err("which of them?");
    assert_eq!(error.name(), "QualityError");
    for words in ["202004011000_flashpanel.csv and ", "202004011000_flashpanel.csv.gz", "start upload_raw_data"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    let asked = validate_partitions::handle(&world.lake, json!({"stage": "raw", "date": "2020-04-01"})).await;
    assert_eq!(serde_json::to_value(asked.expect("counts")).expect("JSON")["files"], 1);
}
