//! Copies of the records of a year: they save requests, and are never believed over a record.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use lake::record::{self, Cause, Record, Swap, yearly};
use lake::{keys, objects};

use super::*;

const LAKE: &str = "pregao-lake";
const DAYS: u64 = 60;

fn day(number: u64) -> NaiveDate {
    "2020-12-01".parse::<NaiveDate>().expect("a day") + Days::new(number)
}

async fn write(lake: &Lake, day: NaiveDate) {
    let before = record::read(lake, day).await.expect("it is read");
    let next = Record::following(before.as_ref().map(|before| &before.record), day, Cause::MissingAccepted, "test");
    let swapped = record::compare_and_swap(lake, before.as_ref(), &next).await.expect("S3 answers");
    assert!(matches!(swapped, Swap::Written(_)));
}

async fn read(lake: &Lake) -> Result<BTreeMap<NaiveDate, Record>, lake::Error> {
    let listed = objects::list(lake, &lake.config.buckets.lake, keys::PUBLISHED).await.expect("a listing");
    yearly::read(lake, &listed).await
}

async fn truth(lake: &Lake) -> BTreeMap<NaiveDate, Record> {
    record::records(record::read_all(lake, None).await.expect("all records"))
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_read_in_place_of_records() {
    // Each day is read once before it is written, and once for the copies. A request more is refused.
    let plan = format!("op=GetObject&key=pregao-lake/published/*&n={}-9999:deny", 2 * DAYS + 1);
    let world = World::failing(&plan).await;
    for number in 0..DAYS {
        write(&world.lake, day(number)).await;
    }
    for year in [2020, 2021] {
        yearly::refresh(&world.lake, year).await.expect("copies");
    }
    assert_eq!(read(&world.lake).await.expect("no request for a record").len() as u64, DAYS);
    // Nothing has changed, so that nothing is written.
    let before = objects::get_version(&world.lake, &world.lake.config.buckets.lake, &keys::record_copies(2020)).await;
    yearly::refresh(&world.lake, 2020).await.expect("no request for a record");
    let after = objects::get_version(&world.lake, &world.lake.config.buckets.lake, &keys::record_copies(2020)).await;
    assert_eq!(before.expect("copies"), after.expect("copies"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_out_of_date_is_never_returned() {
    let world = World::new().await;
    let lake = &world.lake;
    for number in 0..DAYS {
        write(lake, day(number)).await;
    }
    assert_eq!(read(lake).await.expect("records"), truth(lake).await, "there are no copies yet");
    for year in [2020, 2021] {
        yearly::refresh(lake, year).await.expect("copies");
    }
    assert_eq!(read(lake).await.expect("records"), truth(lake).await);
    for changed in [0, 17, 59] {
        write(lake, day(changed)).await;
    }
    lake.s3.delete_object().bucket(LAKE).key(keys::record(day(3))).send().await.expect("it is deleted");
    let now = truth(lake).await;
    assert_eq!((now.len() as u64, now[&day(17)].number), (DAYS - 1, 2));
    assert_eq!(read(lake).await.expect("records"), now);
    yearly::refresh(lake, 2020).await.expect("copies");
    assert_eq!(read(lake).await.expect("records"), now);
    for wrong in ["{", r#"{"version": 999, "records": []}"#] {
        let put = lake.s3.put_object().bucket(LAKE).key(keys::record_copies(2020));
        put.body(ByteStream::from(wrong.as_bytes().to_vec())).send().await.expect("it is put");
        assert_eq!(read(lake).await.expect("records"), now, "{wrong}");
    }
}
