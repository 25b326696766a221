//! Limits of a query's memory and disk, and the bytes that it scans.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use local_athena::{ErrorKind, Limits};
use tokio::time::timeout;

use crate::fixture::Fixture;

const ROWS: i64 = 400_000;

/// Creates a table of 400,000 rows: a number, and a text of 32 characters with its digits reversed.
async fn many(limits: Limits) -> Fixture {
    let fixture = Fixture::with_limits(limits);
    fixture.run("CREATE DATABASE market").await;
    fixture.run("CREATE EXTERNAL TABLE many (n bigint, s string) STORED AS PARQUET LOCATION 's3://lake/many/'").await;
    let texts = (0..ROWS).map(|n| format!("{:032}", n * 7919 % ROWS));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from_iter_values(0..ROWS))),
        ("s", Arc::new(StringArray::from_iter_values(texts))),
    ];
    fixture.put_rows("many/0.parquet", columns, 20_000);
    fixture
}

fn small() -> Limits {
    Limits { memory: 24 << 20, threads: 2 }
}

/// Returns the spill files.
fn spilled(fixture: &Fixture) -> usize {
    let folder = fixture.folder.path().join("athena-spill");
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| std::fs::read_dir(folder).map_or(0, Iterator::count)).sum()
}

/// Runs a query that spills to disk, and checks that its rows are ordered by the first column. Returns the number of rows.
async fn sorted_on_disk(fixture: &Fixture, sql: &str) -> i64 {
    let mut answer = fixture.execute(sql).await.unwrap();
    let (mut count, mut last, mut most) = (0, String::new(), 0);
    while let Some(batch) = answer.rows.next().await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
        most = most.max(spilled(fixture));
        for row in batch {
            let text = row[0].clone().unwrap();
            assert!(last <= text, "{sql}: {last} before {text}");
            last = text;
            count += 1;
        }
    }
    assert!(most > 0, "{sql} did not go to disk");
    drop(answer);
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_memory_goes_to_disk() {
    let fixture = many(small()).await;
    for (sql, rows) in [
        ("SELECT s, n FROM many ORDER BY s", ROWS),
        ("SELECT s, n FROM many ORDER BY s, n DESC", ROWS),
        // The batches of an aggregation's result are slices of one large batch.
        ("SELECT substr(s, 2) AS t, max(n) FROM many GROUP BY s ORDER BY t", ROWS),
        // Rows so wide that a batch with the default number of rows has 20 MB.
        ("SELECT s || lpad('', 2500, 'x') AS t, n FROM many WHERE n < 30000 ORDER BY t", 30_000),
        ("SELECT cast(1000000 + row_number() OVER (ORDER BY s) AS varchar), s FROM many ORDER BY 1", ROWS),
    ] {
        assert_eq!(sorted_on_disk(&fixture, sql).await, rows, "{sql}");
    }
}

/// Two threads that write rows for a third one to the disk waited for ever in a few of a hundred such queries:
/// <https://github.com/apache/datafusion/issues/24883>.
#[tokio::test(flavor = "multi_thread")]
async fn an_aggregation_whose_exchange_goes_to_disk_ends() {
    const ATTEMPTS: usize = 30;
    const PATIENCE: Duration = Duration::from_mins(2);
    let fixture = many(small()).await;
    let sql = "SELECT substr(s, 2) AS t, max(n) FROM many GROUP BY s ORDER BY t";
    for attempt in 0..ATTEMPTS {
        let query = async {
            let mut answer = fixture.execute(sql).await.unwrap();
            let mut count = 0;
            while let Some(batch) = answer.rows.next().await.unwrap_or_else(|error| panic!("{sql}: {error}")) {
                count += batch.len();
            }
            count
        };
        let ended = timeout(PATIENCE, query).await;
        assert_eq!(ended.expect("it waits for ever"), ROWS as usize, "attempt {attempt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_the_usual_memory_goes_to_disk() {
    let fixture = Fixture::market().await;
    let sql = "SELECT lpad(cast((x * 100 + y) * 7919 % 1500007 AS varchar), 200, 'x') AS s
         FROM UNNEST(sequence(1, 10000)) AS a(x) CROSS JOIN UNNEST(sequence(1, 150)) AS b(y) ORDER BY s";
    assert_eq!(sorted_on_disk(&fixture, sql).await, 1_500_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn sorts_beside_one_another_share_the_memory() {
    let fixture = many(Limits { memory: 64 << 20, threads: 2 }).await;
    let sort = || sorted_on_disk(&fixture, "SELECT s, n FROM many ORDER BY s");
    assert_eq!(tokio::join!(sort(), sort(), sort()), (ROWS, ROWS, ROWS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_do_with_its_memory_fails_and_the_engine_goes_on() {
    let fixture = many(small()).await;
    let error = fixture.refusal("SELECT count(*) FROM many a JOIN many b ON a.s || '' = b.s || ''").await;
    assert_eq!(error.kind, ErrorKind::ExhaustedResources);
    assert!(
        error.message.starts_with("EXHAUSTED_RESOURCES: Query exhausted resources at this scale factor"),
        "{error}"
    );
    assert_eq!(fixture.rows("SELECT count(*) FROM many").await, [ROWS.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_dropped_stops_its_query() {
    let fixture = many(small()).await;
    // 160,000,000,000 rows: this test ends only if the query is cancelled.
    let mut answer = fixture.execute("SELECT a.n, b.n FROM many a CROSS JOIN many b").await.unwrap();
    assert!(answer.rows.next().await.unwrap().is_some());
    drop(answer);
    assert_eq!(fixture.rows("SELECT max(n) FROM many").await, [(ROWS - 1).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_never_ends_lets_others_have_their_turn() {
    let fixture = many(small()).await;
    // 160,000,000,000 pairs each, half of which are rows, and more queries than there are threads.
    let endless = "SELECT max(a.n - b.n) FROM many a, many b WHERE a.n < b.n + 1";
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(fixture.execute(endless).await.unwrap());
    }
    for _ in 0..3 {
        assert_eq!(fixture.rows("SELECT max(n) FROM many").await, [(ROWS - 1).to_string()]);
    }
    drop(running);
    assert_eq!(fixture.rows("SELECT min(n) FROM many").await, ["0"]);
}

async fn scanned(fixture: &Fixture, sql: &str) -> u64 {
    let mut answer = fixture.execute(sql).await.unwrap();
    while answer.rows.next().await.unwrap().is_some() {}
    answer.rows.scanned_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_needed_is_read() {
    let fixture = many(Limits::default()).await;
    let file = fixture.path("many/0.parquet").metadata().unwrap().len();
    let all = scanned(&fixture, "SELECT n, s FROM many").await;
    assert!(all > file / 2 && all <= file, "{all} of {file}");
    let one_column = scanned(&fixture, "SELECT sum(n) FROM many").await;
    assert!(one_column > 0 && one_column < all / 2, "{one_column} of {all}");
    let one_group = scanned(&fixture, "SELECT sum(n) FROM many WHERE n >= 399990").await;
    assert!(one_group > 0 && one_group < one_column / 10, "{one_group} of {one_column}");
    assert_eq!(scanned(&fixture, "SELECT 1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pruned_partitions_are_not_listed() {
    let fixture = Fixture::market().await;
    fixture.run("ALTER TABLE quotes ADD PARTITION (year=2019, month=1, day=1) LOCATION 's3://nowhere/x/'").await;
    assert_eq!(fixture.refusal("SELECT count(*) FROM quotes").await.kind, ErrorKind::CannotOpenSplit);
    for condition in [
        "year = 2020",
        "year IN (2020, 2021)",
        "year > 2019 OR month = 4",
        "NOT (year < 2020)",
        "year BETWEEN 2020 AND 2030 AND ticker <> ''",
        "date_parse(cast(year * 10000 + month * 100 + day AS varchar), '%Y%m%d') >= timestamp '2020-04-01 00:00:00'",
    ] {
        let sql = format!("SELECT count(*) FROM quotes WHERE {condition}");
        assert_eq!(fixture.rows(&sql).await, ["5"], "{condition}");
    }
}
