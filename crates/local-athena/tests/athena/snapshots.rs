//! Snapshot isolation: a query sees one state of the catalog and its data.

use std::sync::Arc;

use crate::fixture::{Fixture, quotes};

/// One partition with two runs of it: 3 rows of 1.0, and 5 of 2.0.
async fn two_runs() -> Fixture {
    let fixture = Fixture::new();
    fixture.run("CREATE DATABASE market").await;
    fixture
        .run(
            "CREATE EXTERNAL TABLE quotes (ticker string, last double) PARTITIONED BY (year int, month int, day int)
             STORED AS PARQUET LOCATION 's3://lake/quotes/'",
        )
        .await;
    for (run, count, last) in [("a", 3, 1.0), ("b", 5, 2.0)] {
        let rows = vec![(202004011000, "PETR4", Some(last), None, None, None); count];
        fixture.put_parquet(&format!("quotes/year=2020/month=4/day=1/run={run}/0.parquet"), quotes(&rows));
    }
    fixture.run(&format!("ALTER TABLE quotes ADD {}", partition("a").replace("SET ", ""))).await;
    fixture
}

fn partition(run: &str) -> String {
    format!("PARTITION (year=2020, month=4, day=1) SET LOCATION 's3://lake/quotes/year=2020/month=4/day=1/run={run}/'")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_moves_between_two_queries_and_never_within_one() {
    let fixture = Arc::new(two_runs().await);
    let writer = {
        let fixture = fixture.clone();
        tokio::spawn(async move {
            for turn in 0..40 {
                let run = if turn % 2 == 0 { "b" } else { "a" };
                fixture.run(&format!("ALTER TABLE quotes {}", partition(run))).await;
            }
        })
    };
    let (mut before, mut after) = (0, 0);
    while !writer.is_finished() {
        let sql = "SELECT count(*), min(last), max(last), (SELECT count(*) FROM quotes) FROM quotes";
        match fixture.rows(sql).await[0].as_str() {
            "3,1.0,1.0,3" => before += 1,
            "5,2.0,2.0,5" => after += 1,
            mixed => panic!("a query saw {mixed}"),
        }
    }
    writer.await.unwrap();
    assert!(before + after > 0);
    assert_eq!(fixture.rows("SELECT DISTINCT last FROM quotes").await, ["1.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_has_begun_reads_on_from_where_it_was_planned() {
    let fixture = two_runs().await;
    // More rows than are read ahead, so that the file is still being read when the partition moves.
    let many = vec![(202004011000, "PETR4", Some(1.0), None, None, None); 200_000];
    fixture.put_rows("quotes/year=2020/month=4/day=1/run=c/0.parquet", quotes(&many), 10_000);
    fixture.run(&format!("ALTER TABLE quotes {}", partition("c"))).await;
    let mut answer = fixture.execute("SELECT last FROM quotes").await.unwrap();
    let mut rows = answer.rows.next().await.unwrap().unwrap().len();
    fixture.run(&format!("ALTER TABLE quotes {}", partition("b"))).await;
    std::fs::remove_dir_all(fixture.path("quotes/year=2020/month=4/day=1/run=a")).unwrap();
    while let Some(batch) = answer.rows.next().await.unwrap() {
        assert!(batch.iter().all(|row| row[0].as_deref() == Some("1.0")));
        rows += batch.len();
    }
    assert_eq!(rows, 200_000);
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes").await, ["5"]);
}
