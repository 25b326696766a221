//! Vacuum, concurrent with publication: no record names what it removed, and none of it can be published any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDate, TimeDelta};
use lake::Error;
use lake::record::{self, Cause, Publication, PublishedTable, Record, Swap};
use lake::vacuum::{self, Freed, Options, Retention};
use lake_client::as_of::AsOf;
use market::run::RunId;
use market::table::TableName;

use super::*;

const LAKE: &str = "pregao-lake";
/// The options that keep no superseded run, however young. For tests without concurrent updates of the catalog.
const NOTHING: Retention = Retention { keep: TimeDelta::zero(), floor: TimeDelta::zero() };

fn day() -> NaiveDate {
    "2020-04-01".parse().expect("a day")
}

async fn vacuum(lake: &Lake, retention: Retention, dry_run: bool) -> Result<Freed, Error> {
    vacuum::vacuum(lake, Options { retention, dry_run, state_machine: None }).await
}

fn run(name: &str) -> RunId {
    name.parse().expect("a run")
}

fn data(run: &RunId) -> String {
    format!("runs/run={run}/quotes/year=2020/month=4/day=1/part-0.parquet")
}

async fn write(lake: &Lake, run: &RunId) {
    for key in [format!("runs/run={run}/plan.json"), data(run)] {
        let put = lake.s3.put_object().bucket(LAKE).key(key).body(ByteStream::from_static(b"rows"));
        put.send().await.expect("it is put");
    }
}

/// Publishes a run unless its files were removed, as publication and rollback do. Returns whether it is published.
async fn publish(lake: &Lake, run: &RunId) -> bool {
    loop {
        let current = record::read(lake, day()).await.expect("a record");
        let before = current.as_ref().map(|current| &current.record);
        if before.is_some_and(|before| before.removed_runs.contains(run)) {
            return false;
        }
        let mut next = Record::following(before, day(), Cause::Published, "test");
        next.published = Some(Publication {
            run: run.clone(),
            published_at: next.written_at,
            tables: [(TableName::Quotes, published(run))].into(),
            raw_files: Vec::new(),
        });
        let swapped = record::compare_and_swap(lake, current.as_ref(), &next).await.expect("S3 answers");
        if matches!(swapped, Swap::Written(_)) {
            return true;
        }
    }
}

fn published(run: &RunId) -> PublishedTable {
    let key = data(run);
    let (folder, _) = key.rsplit_once('/').expect("a folder");
    PublishedTable {
        location: format!("s3://{LAKE}/{folder}/"),
        report: String::new(),
        rows: 1,
        bytes: 4,
        files: Vec::new(),
    }
}

/// A task that runs vacuum repeatedly until its flag is set.
type Cleaner = (Arc<AtomicBool>, tokio::task::JoinHandle<()>);

async fn stop(cleaner: Option<Cleaner>) {
    if let Some((over, task)) = cleaner {
        over.store(true, Ordering::SeqCst);
        task.await.expect("no panic");
    }
}

/// Starts a cleaner after a delay.
fn clean(lake: &Arc<Lake>, after: Duration) -> Cleaner {
    let over = Arc::new(AtomicBool::new(false));
    let task = tokio::spawn({
        let (lake, over) = (lake.clone(), over.clone());
        async move {
            tokio::time::sleep(after).await;
            while !over.load(Ordering::SeqCst) {
                vacuum(&lake, NOTHING, false).await.expect("nothing is wrong");
            }
        }
    });
    (over, task)
}

fn left(keys: Vec<String>) -> BTreeSet<String> {
    let folders = keys.iter().filter_map(|key| key.strip_prefix("runs/run=")?.split_once('/'));
    folders.map(|(run, _)| run.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_published_by_nobody_and_what_is_published_is_there() {
    let world = World::new().await;
    let lake = Arc::new(world.lake.clone());
    let mut published = 0;
    let mut cleaner = None;
    for number in 0..60 {
        let run = run(&format!("r{number}"));
        write(&lake, &run).await;
        // The first run is published in any case, the others compete with the vacuum.
        if number == 1 {
            cleaner = Some(clean(&lake, Duration::ZERO));
        }
        // Earlier runs are published again too, as by a rollback.
        for run in [run.clone(), self::run(&format!("r{}", number / 2)), run] {
            if publish(&lake, &run).await {
                published += 1;
                let found = lake.s3.head_object().bucket(LAKE).key(data(&run)).send().await;
                assert!(found.is_ok(), "{run} is published and its files are gone");
            }
        }
    }
    stop(cleaner).await;
    assert!(published > 0, "the first run met no vacuum");
    vacuum(&lake, NOTHING, false).await.expect("nothing is wrong");
    let current = record::read(&lake, day()).await.expect("it is read").expect("a record").record;
    let run = current.run().expect("a run").to_string();
    assert_eq!(left(world.keys(LAKE, "runs/").await), BTreeSet::from([run]));
}

/// A database for queries of the past is created while its files are removed: it is refused, or they are kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_tables_of_a_moment_read_stays_once_they_are_confirmed() {
    // Some time passes between vacuum's read of the catalog and the record of what it removes.
    let world = World::failing("op=PutObject&key=pregao-lake/published/*:delay=60ms").await;
    let lake = Arc::new(world.lake.clone());
    let mut confirmed = 0;
    for number in 0..12 {
        let [old, new] = ["old", "new"].map(|name| run(&format!("{name}{number}")));
        for run in [&old, &new] {
            write(&lake, run).await;
        }
        assert!(publish(&lake, &old).await);
        let current = record::read(&lake, day()).await.expect("it is read").expect("a record");
        assert!(publish(&lake, &new).await);
        // From before the creation of the tables to after it. The first tables meet no vacuum.
        let cleaner = (number > 0).then(|| clean(&lake, Duration::from_millis(3 * number)));
        let prepared = AsOf::prepare(&lake, current.record.written_at).await;
        let asked = match &prepared {
            Ok(tables) => tables.confirm(&lake).await,
            Err(error) => Err(Error::record(error.to_string())),
        };
        match asked {
            Ok(()) => {
                confirmed += 1;
                stop(cleaner).await;
                vacuum(&lake, NOTHING, false).await.expect("nothing is wrong");
                let found = lake.s3.head_object().bucket(LAKE).key(data(&old)).send().await;
                assert!(found.is_ok(), "{old} is read by a database and its files are gone");
            }
            Err(error) => {
                assert!(error.to_string().contains("removed"), "{error}");
                stop(cleaner).await;
            }
        }
        if let Ok(tables) = prepared {
            tables.end(&lake).await.expect("it is dropped");
        }
    }
    assert!(confirmed > 0, "the first tables met no vacuum");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retention_counts_from_when_a_run_was_replaced() {
    let world = World::new().await;
    let lake = &world.lake;
    for name in ["a", "b", "failed"] {
        write(lake, &run(name)).await;
    }
    assert!(publish(lake, &run("a")).await && publish(lake, &run("b")).await);
    let hour = Retention { keep: TimeDelta::hours(1), floor: TimeDelta::zero() };
    let shown = vacuum(lake, hour, true).await.expect("it looks");
    assert_eq!(shown.runs.iter().map(|freed| freed.run.as_str()).collect::<Vec<_>>(), ["failed"]);
    assert_eq!(left(world.keys(LAKE, "runs/").await).len(), 3, "it only looked");
    let before = record::read(lake, day()).await.expect("it is read");
    assert!(before.expect("a record").record.removed_runs.is_empty());

    let freed = vacuum(lake, hour, false).await.expect("it cleans");
    assert_eq!(freed, shown);
    assert_eq!((freed.days(), freed.objects(), freed.bytes()), (1, 2, 8));
    assert_eq!(vacuum(lake, hour, false).await.expect("again"), Freed::default());
    assert!(!publish(lake, &run("failed")).await, "its files are gone");
    let floor = Retention { keep: TimeDelta::zero(), floor: TimeDelta::hours(1) };
    assert!(vacuum(lake, floor, false).await.expect("it looks").runs.is_empty(), "all of it is young");
    let freed = vacuum(lake, NOTHING, false).await.expect("it cleans");
    assert_eq!(freed.runs.iter().map(|freed| freed.run.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(left(world.keys(LAKE, "runs/").await), BTreeSet::from(["b".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_day_that_was_never_published_goes_and_stays_refused() {
    let world = World::new().await;
    write(&world.lake, &run("failed")).await;
    vacuum(&world.lake, NOTHING, false).await.expect("it cleans");
    let record = record::read(&world.lake, day()).await.expect("it is read").expect("a record").record;
    assert_eq!((record.number, record.cause, record.run()), (1, Cause::Vacuumed, None));
    assert_eq!(record.removed_runs, BTreeSet::from([run("failed")]));
    assert!(!publish(&world.lake, &run("failed")).await);
    assert!(world.keys(LAKE, "runs/").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_history_has_a_gap_is_left_alone() {
    let world = World::new().await;
    let lake = &world.lake;
    for name in ["a", "b", "c"] {
        write(lake, &run(name)).await;
        assert!(publish(lake, &run(name)).await);
    }
    let key = lake::keys::record_history(day(), 1);
    lake.s3.delete_object().bucket(LAKE).key(&key).send().await.expect("it is deleted");
    let keep = Retention { keep: TimeDelta::days(1), floor: TimeDelta::zero() };
    let error = vacuum(lake, keep, false).await.expect_err("nobody knows what was current");
    assert!(error.name() == "RecordError" && error.to_string().contains(&key), "{error}");
    assert_eq!(left(world.keys(LAKE, "runs/").await).len(), 3);
}
