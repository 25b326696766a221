//! Records, leases and the publication of runs: which of several concurrent runs wins, and which errors the others return.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::NaiveDate;
use create_athena_table::Done;
use create_athena_table::record::Recorded;
use lake::lease::Lease;
use lake::record::{self, Cause, Decision, Record, Stored, Swap};
use lake::{Error, keys, objects};
use market::run::RunId;
use market::table::TableName;
use serde_json::{Value, json};

use super::*;

const LAKE: &str = "pregao-lake";
const DAY: &str = "2020-04-01";
const PATIENCE: Duration = Duration::from_mins(1);

fn day() -> NaiveDate {
    DAY.parse().expect("a day")
}

fn next(before: Option<&Stored>, actor: &str) -> Record {
    Record::following(before.map(|before| &before.record), day(), Cause::MissingAccepted, actor)
}

async fn swap(lake: &Lake, before: Option<&Stored>, actor: &str) -> Swap {
    record::compare_and_swap(lake, before, &next(before, actor)).await.expect("S3 answers")
}

async fn current(lake: &Lake) -> Stored {
    record::read(lake, day()).await.expect("it is read").expect("a record")
}

// --- records ---

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_saw_the_same_record_one_wins() {
    let World { endpoint: _endpoint, lake, home: _home } = World::new().await;
    assert!(matches!(swap(&lake, None, "first").await, Swap::Written(_)));
    assert_eq!(swap(&lake, None, "late").await, Swap::Lost, "there is one already");
    let before = current(&lake).await;
    let lake = Arc::new(lake);
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (lake, before) = (lake.clone(), before.clone());
            tokio::spawn(async move { swap(&lake, Some(&before), &format!("task {number}")).await })
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        if let Swap::Written(stored) = task.await.expect("no panic") {
            won.push(*stored);
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(current(&lake).await, won[0]);
    let chain = record::history(&lake, day()).await.expect("a chain");
    assert_eq!(chain, [before.record, won[0].record.clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_answer_is_lost_counts_as_written() {
    let key = "op=PutObject&key=*/published/year=2020/month=4/day=1.json";
    let world = World::failing(&format!("speed=100,{key}&n=1:lost,{key}&n=3:lost")).await;
    let Swap::Written(first) = swap(&world.lake, None, "first").await else { panic!("it was written") };
    assert_eq!(current(&world.lake).await, *first);
    let Swap::Written(second) = swap(&world.lake, Some(&first), "second").await else { panic!("it was written") };
    assert_eq!(second.record.number, 2);
    assert_eq!(current(&world.lake).await, *second);
    assert_eq!(swap(&world.lake, Some(&first), "late").await, Swap::Lost);
    assert_eq!(record::history(&world.lake, day()).await.expect("a chain").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_removed_runs_changes_without_a_new_number() {
    let world = World::new().await;
    swap(&world.lake, None, "first").await;
    let before = current(&world.lake).await;
    let mut edited = before.record.clone();
    edited.removed_runs.insert("r".parse().expect("a run"));
    let swapped = record::compare_and_swap(&world.lake, Some(&before), &edited).await.expect("S3 answers");
    assert!(matches!(swapped, Swap::Written(_)));
    assert_eq!(current(&world.lake).await.record, edited);
    assert_eq!(world.keys(LAKE, "published/").await, ["published/year=2020/month=4/day=1.json"], "and no history");
    assert_eq!(swap(&world.lake, Some(&before), "late").await, Swap::Lost, "it was made without the edit");
    let following = next(Some(&current(&world.lake).await), "second");
    assert_eq!(following.removed_runs, edited.removed_runs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_an_error_with_its_place() {
    let world = World::new().await;
    for (bytes, expected) in
        [("{\"version\": 1, \"day\"", "EOF"), ("{\"version\": 2}", "it has version 2"), ("", "EOF")]
    {
        world.put(LAKE, &keys::record(day()), bytes).await;
        let error = record::read(&world.lake, day()).await.expect_err("it is damaged");
        assert_eq!(error.name(), "RecordError", "{error}");
        let text = error.to_string();
        assert!(text.starts_with("s3://pregao-lake/published/year=2020/month=4/day=1.json"), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_history_is_an_error_with_its_place() {
    let world = World::new().await;
    swap(&world.lake, None, "first").await;
    swap(&world.lake, Some(&current(&world.lake).await), "second").await;
    let key = keys::record_history(day(), 1);
    world.lake.s3.delete_object().bucket(LAKE).key(&key).send().await.expect("it is deleted");
    let error = record::history(&world.lake, day()).await.expect_err("a gap");
    assert!(error.name() == "RecordError" && error.to_string().contains(&key), "{error}");
}

// --- leases ---

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_works_under_a_lease() {
    let World { endpoint: _endpoint, lake, home: _home } = World::new().await;
    let lake = Arc::new(lake);
    let (busy, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (lake, busy, done) = (lake.clone(), busy.clone(), done.clone());
            tokio::spawn(async move {
                let key = keys::catalog_lease(TableName::Quotes);
                let mut lease = Lease::take(&lake, key, &format!("task {number}"), PATIENCE).await.expect("its turn");
                for _ in 0..3 {
                    let work = async {
                        assert!(!busy.swap(true, Ordering::SeqCst), "two at once");
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        busy.store(false, Ordering::SeqCst);
                        Ok(())
                    };
                    lease.within(work).await.expect("it is valid");
                }
                lease.release().await.expect("S3 answers");
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(done.load(Ordering::SeqCst), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_nobody_who_lives_is_taken() {
    let world = World::new().await;
    let key = keys::catalog_lease(TableName::Quotes);
    let dead = json!({"holder": "dead", "id": "1", "until": "2020-04-01T10:00:00Z"}).to_string();
    for document in [dead.as_str(), "{\"holder\": \"half", ""] {
        world.put(LAKE, &key, document).await;
        let lease = Lease::take(&world.lake, key.clone(), "living", PATIENCE).await.expect("nobody renews it");
        lease.release().await.expect("S3 answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_held_is_waited_for_and_its_holder_is_named() {
    let world = World::new().await;
    let key = keys::catalog_lease(TableName::Quotes);
    let held = Lease::take(&world.lake, key.clone(), "athena_update of quotes", PATIENCE).await.expect("it is free");
    let refused = Lease::take(&world.lake, key.clone(), "other", Duration::ZERO).await.expect_err("it is held");
    assert_eq!(refused.name(), "ServiceUnavailable");
    assert!(refused.to_string().contains("athena_update of quotes has held it"), "{refused}");
    held.release().await.expect("S3 answers");
    Lease::take(&world.lake, key, "other", Duration::ZERO).await.expect("it is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_a_lease_does_not_release_that_of_another() {
    let world = World::new().await;
    let key = keys::catalog_lease(TableName::Quotes);
    let lost = Lease::take(&world.lake, key.clone(), "slow", PATIENCE).await.expect("it is free");
    // As after its expiry: another owner takes it.
    world.put(LAKE, &key, "").await;
    let held = Lease::take(&world.lake, key.clone(), "quick", PATIENCE).await.expect("nobody renews it");
    lost.release().await.expect("S3 answers");
    Lease::take(&world.lake, key, "third", Duration::ZERO).await.expect_err("it is still held");
    held.release().await.expect("S3 answers");
}

// --- publication of the days of a run ---

/// Uploads another version of the day's raw file, with this many records.
async fn arrive(world: &World, lines: usize) {
    world.put_raw_quotes(lines).await;
}

async fn plan(lake: &Lake, run: &str) {
    let event = json!({"stage": "raw", "run": run, "input": {"date": DAY}});
    validate_partitions::handle(lake, event).await.expect("a plan");
}

/// Runs the job to its end.
async fn job(lake: &Lake, run: &str) {
    let event = json!({"run": run, "from": DAY, "to": DAY});
    let launched = launch_emr_step::handle(lake, event).await.expect("it is launched");
    let step = json!({"cluster_id": launched.cluster_id, "step_id": launched.step_id});
    eventually(async || {
        let look = poll_step::handle(lake, step.clone()).await.expect("it is there");
        assert!(!["FAILED", "CANCELLED", "INTERRUPTED"].contains(&look.state.as_str()), "{look:?}");
        (look.state == "COMPLETED").then_some(())
    })
    .await;
}

async fn audit(lake: &Lake, run: &str) -> Result<(), Error> {
    validate_partitions::handle(lake, json!({"stage": "staged", "run": run})).await.map(drop)
}

async fn publish(lake: &Lake, run: &str) -> Result<Recorded, Error> {
    match create_athena_table::handle(lake, json!({"record": true, "run": run})).await? {
        Done::Recorded(recorded) => Ok(recorded),
        Done::Updated(updated) => panic!("{updated:?}"),
    }
}

/// Performs a run up to its publication.
async fn audited(lake: &Lake, run: &str) {
    plan(lake, run).await;
    job(lake, run).await;
    audit(lake, run).await.expect("it passes");
}

/// Returns the numbers of published, superseded and held days.
fn outcome(recorded: &Recorded) -> (u64, usize, usize) {
    (recorded.outcome.published, recorded.outcome.superseded.count, recorded.outcome.held.count)
}

async fn published_run(lake: &Lake) -> String {
    current(lake).await.record.run().expect("a run").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_published_once_and_another_of_the_same_view_is_superseded() {
    let world = World::failing("speed=100").await;
    let lake = &world.lake;
    arrive(&world, 5).await;
    audited(lake, "first").await;
    audited(lake, "second").await;
    let recorded = publish(lake, "first").await.expect("it is published");
    assert_eq!(outcome(&recorded), (1, 0, 0));
    let stored = current(lake).await;
    assert_eq!(publish(lake, "first").await.expect("it was published"), recorded);
    assert_eq!(outcome(&publish(lake, "second").await.expect("an outcome")), (0, 1, 0));
    assert_eq!(current(lake).await, stored, "nothing was written by either");
    audited(lake, "third").await;
    assert_eq!(outcome(&publish(lake, "third").await.expect("an outcome")), (1, 0, 0), "planned on the first");
    assert_eq!((current(lake).await.record.number, published_run(lake).await.as_str()), (2, "third"));
}

/// Returns two audited runs, `older` and `newer`. A raw file arrived between their plans.
async fn older_and_newer(world: &World) {
    arrive(world, 5).await;
    audited(&world.lake, "older").await;
    // S3's instants are whole seconds: in the same one, neither version is the newer.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    arrive(world, 6).await;
    audited(&world.lake, "newer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_a_newer_record_is_audited_once_more() {
    let world = World::failing("speed=100").await;
    let lake = &world.lake;
    older_and_newer(&world).await;
    assert_eq!(outcome(&publish(lake, "older").await.expect("nothing is published yet")), (1, 0, 0));
    let error = publish(lake, "newer").await.expect_err("its audit compared with nothing");
    assert_eq!(error.name(), "RecordChanged", "{error}");
    audit(lake, "newer").await.expect("the raw files are its own");
    assert_eq!(outcome(&publish(lake, "newer").await.expect("it is published")), (1, 0, 0));
    assert_eq!((current(lake).await.record.number, published_run(lake).await.as_str()), (2, "newer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_view_never_replaces_a_newer_one() {
    let world = World::failing("speed=100").await;
    let lake = &world.lake;
    older_and_newer(&world).await;
    assert_eq!(outcome(&publish(lake, "newer").await.expect("it is published")), (1, 0, 0));
    assert_eq!(outcome(&publish(lake, "older").await.expect("an outcome")), (0, 1, 0));
    let error = audit(lake, "older").await.expect_err("the raw files are others");
    assert_eq!(error.name(), "RawFilesChanged", "{error}");
    assert_eq!((current(lake).await.record.number, published_run(lake).await.as_str()), (1, "newer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_stays_and_what_is_removed_is_refused() {
    let world = World::failing("speed=100").await;
    let lake = &world.lake;
    arrive(&world, 5).await;
    audited(lake, "first").await;
    publish(lake, "first").await.expect("it is published");
    let before = current(lake).await;
    let mut held = Record::following(Some(&before.record), day(), Cause::RolledBack, "test");
    held.held = Some(Decision::now("test"));
    record::compare_and_swap(lake, Some(&before), &held).await.expect("S3 answers");
    audited(lake, "second").await;
    assert_eq!(outcome(&publish(lake, "second").await.expect("an outcome")), (0, 0, 1));
    assert_eq!(published_run(lake).await, "first");

    let before = current(lake).await;
    let mut released = Record::following(Some(&before.record), day(), Cause::Released, "test");
    released.held = None;
    released.removed_runs = BTreeSet::from(["second".parse::<RunId>().expect("a run")]);
    record::compare_and_swap(lake, Some(&before), &released).await.expect("S3 answers");
    audit(lake, "second").await.expect("its files are still there");
    let error = publish(lake, "second").await.expect_err("its files may go at any moment");
    assert!(error.name() == "QualityError" && error.to_string().contains("are removed"), "{error}");
    assert_eq!(published_run(lake).await, "first");
}

// --- raw files that change while the job reads them ---

/// Starts `create_datalake`, and replaces the raw file repeatedly until the plan of `until` exists or the execution has ended.
/// Returns its status, and the number of records that the file has then.
async fn disturbed(world: &World, until: &str) -> (String, Value, usize) {
    let (sfn, bucket) = (&world.lake.sfn, &world.lake.config.buckets.lake);
    let machine = local_aws::state_machine_arn("create_datalake");
    let input = json!({"date": DAY}).to_string();
    let start = sfn.start_execution().state_machine_arn(machine).name("r").input(input);
    let execution = start.send().await.expect("it starts").execution_arn;
    let ended = async || {
        let described = sfn.describe_execution().execution_arn(&execution).send().await.expect("a description");
        (described.status.as_str() != "RUNNING").then_some(described)
    };
    let key = keys::plan(&until.parse().expect("a run"));
    let mut lines = 5;
    while objects::get(&world.lake, bucket, &key).await.expect("S3 answers").is_none() && ended().await.is_none() {
        lines += 1;
        arrive(world, lines).await;
    }
    let ended = eventually(ended).await;
    let said = json!({"error": ended.error, "cause": ended.cause, "output": ended.output});
    (ended.status.as_str().to_owned(), said, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_raw_files_change_is_planned_once_more_and_published() {
    let world = World::failing("speed=100").await;
    arrive(&world, 5).await;
    let (status, said, lines) = disturbed(&world, "r.2").await;
    assert_eq!(status, "SUCCEEDED", "{said}");
    let record = current(&world.lake).await.record;
    // The last change may be later than the second plan.
    assert!(["r.2", "r.3"].contains(&record.run().expect("a run").as_str()), "{record:?}");
    assert_eq!(record.table(TableName::Quotes).expect("a table").rows, lines as u64, "those of the newest file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_raw_files_change_three_times_fails_and_publishes_nothing() {
    let world = World::failing("speed=100").await;
    arrive(&world, 5).await;
    let (status, said, _) = disturbed(&world, "r.4").await;
    assert_eq!((status.as_str(), said["error"].as_str()), ("FAILED", Some("RawFilesChanged")), "{said}");
    assert!(record::read(&world.lake, day()).await.expect("S3 answers").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_files_that_change_at_any_moment_of_an_audit_are_named() {
    // Each file is read some time after it was listed.
    let world = Arc::new(World::failing("speed=100,op=GetObject&key=pregao-raw/quotes/*:delay=100ms").await);
    for number in 0..5 {
        arrive(&world, 5).await;
        let run = format!("r{number}");
        plan(&world.lake, &run).await;
        job(&world.lake, &run).await;
        let auditing = tokio::spawn({
            let world = world.clone();
            async move { audit(&world.lake, &run).await }
        });
        let mut lines = 5;
        while !auditing.is_finished() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            lines += 1;
            arrive(&world, lines).await;
        }
        match auditing.await.expect("no panic") {
            // The file was listed and read before the first change.
            Ok(()) => {}
            Err(error) => assert_eq!(error.name(), "RawFilesChanged", "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_being_replaced_by_its_other_form_has_changed() {
    let world = World::failing("speed=100").await;
    arrive(&world, 5).await;
    plan(&world.lake, "r").await;
    job(&world.lake, "r").await;
    world.put("pregao-raw", "quotes/date=2020-04-01/202004011320_flashpanel.csv.gz", "x").await;
    let error = audit(&world.lake, "r").await.expect_err("both forms are there for a moment");
    assert_eq!(error.name(), "RawFilesChanged", "{error}");
}
