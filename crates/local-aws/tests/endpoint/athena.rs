//! Athena: queries, from statement to rows.

use aws_sdk_athena::Client;
use aws_sdk_athena::types::{QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row};

use crate::{World, code, eventually};

async fn start(athena: &Client, sql: &str) -> String {
    let context = QueryExecutionContext::builder().database("market").build();
    let start = athena.start_query_execution().query_string(sql).query_execution_context(context);
    start.send().await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).query_execution_id.expect("an id")
}

async fn ended(athena: &Client, id: &str) -> QueryExecution {
    eventually(async || {
        let query =
            athena.get_query_execution().query_execution_id(id).send().await.expect("a query").query_execution?;
        let state = query.status()?.state()?.clone();
        (!matches!(state, QueryExecutionState::Queued | QueryExecutionState::Running)).then_some(query)
    })
    .await
}

fn state_of(query: &QueryExecution) -> (&str, &str) {
    let status = query.status().expect("a status");
    (status.state().expect("a state").as_str(), status.state_change_reason().unwrap_or_default())
}

async fn run(athena: &Client, sql: &str) -> QueryExecution {
    let query = ended(athena, &start(athena, sql).await).await;
    assert_eq!(state_of(&query), ("SUCCEEDED", ""), "{sql}");
    query
}

fn cells(row: &Row) -> Vec<Option<&str>> {
    row.data().iter().map(|cell| cell.var_char_value()).collect()
}

/// Creates a database with one table, `quotes`, whose only partition has these files.
async fn with_table(world: &World, rows: usize) {
    world.put_raw_quotes(rows).await;
    let raw = world.home().join("s3/pregao-raw/quotes/date=2020-04-01/202004011320_flashpanel.csv");
    let out = tempfile::tempdir().unwrap();
    let job = etl::Job {
        inputs: vec![etl::Input::from_path(raw).unwrap()],
        out: out.path().to_owned(),
        threads: 1,
        run: None,
    };
    let report = etl::run(&job, &|_| {}).unwrap();
    for file in
        report.partitions.iter().flat_map(|partition| &partition.files).filter(|file| file.starts_with("quotes"))
    {
        world.put("pregao-lake", file, std::fs::read(out.path().join(file)).unwrap()).await;
    }
    let athena = &world.lake.athena;
    for ddl in [
        "CREATE DATABASE market",
        "CREATE EXTERNAL TABLE quotes (intdate bigint, ticker string, last_close double) PARTITIONED BY (year int, month int, day int) \
         STORED AS PARQUET LOCATION 's3://pregao-lake/quotes/'",
        "ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=1)",
    ] {
        run(athena, ddl).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_pages_and_stay_in_s3() {
    let world = World::new().await;
    with_table(&world, 2_500).await;
    let athena = &world.lake.athena;
    let query =
        run(athena, "SELECT ticker, last_close, CAST(NULL AS varchar) AS nothing FROM quotes ORDER BY ticker").await;
    assert_eq!((query.statement_type().unwrap().as_str(), query.substatement_type()), ("DML", Some("SELECT")));
    let statistics = query.statistics().unwrap();
    assert!(statistics.data_scanned_in_bytes() > Some(0), "{statistics:?}");
    let id = query.query_execution_id().unwrap();
    let place = query.result_configuration().unwrap().output_location().unwrap();
    assert_eq!(place, format!("s3://pregao-results/athena/{id}.csv"));
    let csv = std::fs::read_to_string(world.home().join(format!("s3/pregao-results/athena/{id}.csv"))).unwrap();
    assert!(csv.starts_with("\"ticker\",\"last_close\",\"nothing\"\n\"T00000\",\"10.5\",\n"), "{}", &csv[..80]);

    let mut pages = athena.get_query_results().query_execution_id(id).into_paginator().send();
    let mut sizes = Vec::new();
    let mut tickers = Vec::new();
    while let Some(page) = pages.next().await {
        let results = page.unwrap().result_set.unwrap();
        let columns = results.result_set_metadata().unwrap().column_info();
        assert_eq!(columns.iter().map(|column| column.r#type()).collect::<Vec<_>>(), ["varchar", "double", "varchar"]);
        sizes.push(results.rows().len());
        tickers.extend(results.rows().iter().map(|row| cells(row)[0].unwrap().to_owned()));
        assert!(results.rows().iter().skip(1).all(|row| cells(row)[2].is_none()));
    }
    assert_eq!(sizes, [1000, 1000, 501], "the header is a row");
    assert_eq!((tickers[0].as_str(), tickers[1].as_str(), tickers[2_500].as_str()), ("ticker", "T00000", "T02499"));

    let id = id.to_owned();
    let world = world.restarted().await;
    let page = world.lake.athena.get_query_results().query_execution_id(&id).max_results(2).send().await.unwrap();
    assert_eq!(page.result_set().unwrap().rows().len(), 2);
    let listed = world.lake.athena.list_query_executions().max_results(1).send().await.unwrap();
    assert_eq!((listed.query_execution_ids(), listed.next_token().is_some()), (&[id][..], true), "newest first");
    run(&world.lake.athena, "SELECT count(*) FROM quotes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_is_the_same_query() {
    let world = World::new().await;
    let athena = &world.lake.athena;
    let start = async |sql: &str| {
        let start = athena.start_query_execution().query_string(sql).client_request_token("x".repeat(32));
        start.send().await.map(|started| started.query_execution_id.expect("an id"))
    };
    let id = start("SELECT 1").await.unwrap();
    assert_eq!(start("SELECT 1").await.unwrap(), id);
    assert_eq!(code(start("SELECT 2").await), "InvalidRequestException");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_athenas_way() {
    let world = World::new().await;
    let athena = &world.lake.athena;
    let refused = |sql: &str| athena.start_query_execution().query_string(sql).send();
    assert_eq!(code(refused("SELEC 1").await), "InvalidRequestException");
    let other_place = ResultConfiguration::builder().output_location("s3://nowhere/").build();
    let nowhere =
        athena.start_query_execution().query_string("SELECT 1").result_configuration(other_place).send().await;
    assert_eq!(code(nowhere), "InvalidRequestException");
    assert_eq!(code(athena.get_query_execution().query_execution_id("none").send().await), "InvalidRequestException");
    assert_eq!(code(athena.get_work_group().work_group("none").send().await), "InvalidRequestException");

    let id = athena
        .start_query_execution()
        .query_string("SELECT * FROM nothing")
        .send()
        .await
        .unwrap()
        .query_execution_id
        .unwrap();
    let query = ended(athena, &id).await;
    let (state, reason) = state_of(&query);
    assert!(state == "FAILED" && reason.contains("TABLE_NOT_FOUND") | reason.contains("nothing"), "{reason}");
    assert_eq!(query.status().unwrap().athena_error().unwrap().error_category(), Some(2));
    assert_eq!(code(athena.get_query_results().query_execution_id(&id).send().await), "InvalidRequestException");
    let batch =
        athena.batch_get_query_execution().query_execution_ids(&id).query_execution_ids("none").send().await.unwrap();
    assert_eq!((batch.query_executions().len(), batch.unprocessed_query_execution_ids().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_can_be_looked_at() {
    let world = World::new().await;
    with_table(&world, 1).await;
    let athena = &world.lake.athena;
    let databases = athena.list_databases().catalog_name("AwsDataCatalog").send().await.unwrap();
    assert!(databases.database_list().iter().any(|database| database.name() == "market"));
    let table = athena
        .get_table_metadata()
        .catalog_name("AwsDataCatalog")
        .database_name("market")
        .table_name("quotes")
        .send()
        .await
        .unwrap();
    let table = table.table_metadata.unwrap();
    assert_eq!(
        table.columns().iter().map(|column| (column.name(), column.r#type().unwrap())).collect::<Vec<_>>(),
        [("intdate", "bigint"), ("ticker", "string"), ("last_close", "double")]
    );
    assert_eq!(table.partition_keys().len(), 3);
    assert_eq!(
        table.parameters().unwrap()["serde.serialization.lib"],
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    );
    let tables =
        athena.list_table_metadata().catalog_name("AwsDataCatalog").database_name("market").send().await.unwrap();
    assert_eq!(tables.table_metadata_list().len(), 1);
    let missing =
        athena.get_table_metadata().catalog_name("AwsDataCatalog").database_name("market").table_name("x").send().await;
    assert_eq!(code(missing), "MetadataException");
    let partitions = run(athena, "SHOW PARTITIONS quotes").await;
    let id = partitions.query_execution_id().unwrap();
    assert!(partitions.result_configuration().unwrap().output_location().unwrap().ends_with(".txt"));
    let results = athena.get_query_results().query_execution_id(id).send().await.unwrap();
    assert_eq!(cells(&results.result_set().unwrap().rows()[0]), [Some("year=2020/month=4/day=1")]);
}

/// Short statements that could keep a parser or a planner busy forever.
fn hostile() -> Vec<String> {
    let nested = |before: &str, inner: &str, behind: &str, depth: usize| {
        format!("SELECT {}{inner}{}", before.repeat(depth), behind.repeat(depth))
    };
    let doubling: String =
        (1..=24).map(|level| format!(", a{level} AS (SELECT a.x FROM a{0} a CROSS JOIN a{0} b)", level - 1)).collect();
    vec![
        nested("CAST(", "1", " AS bigint)", 110),
        nested("CAST(", "1", "", 38),
        nested("INTERVAL ", "1", "", 38),
        nested("(SELECT ", "1", ")", 24),
        nested("EXISTS (SELECT 1 WHERE ", "true", ")", 30),
        nested("transform(ARRAY[1], x -> ", "1", ")", 30),
        nested("coalesce(", "x", ", x)", 38) + " FROM (VALUES 1) AS t(x)",
        nested("* FROM ((SELECT ", "* FROM t", ") JOIN", 19),
        format!("WITH a0 AS (SELECT 1 x){doubling} SELECT count(*) FROM a24"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_statements_leave_the_endpoint_to_others() {
    let world = World::new().await;
    let athena = &world.lake.athena;
    run(athena, "CREATE DATABASE market").await;
    // More concurrent statements than threads or permits. The test is that this ends.
    let statements = hostile().into_iter().cycle().take(60);
    let all = statements.map(async |sql| {
        let started = athena.start_query_execution().query_string(&sql).send().await;
        match started {
            Ok(started) => {
                let query = ended(athena, &started.query_execution_id.expect("an id")).await;
                assert_eq!(state_of(&query).0, "FAILED", "{sql}");
            }
            refused => assert_eq!(code(refused), "InvalidRequestException", "{sql}"),
        }
    });
    let others = async {
        for number in 0..20 {
            world.put("pregao-raw", &format!("other/{number}"), "bytes").await;
            run(athena, "SELECT 1").await;
        }
    };
    tokio::join!(futures::future::join_all(all), others);
    assert_eq!(world.keys("pregao-raw", "other/").await.len(), 20);
    world.endpoint.shutdown().await;
}

/// A table of JSON files has no manifest: its files are compared with the `ETags` of their objects.
#[tokio::test(flavor = "multi_thread")]
async fn json_that_changed_on_the_disk_is_no_answer() {
    let world = World::new().await;
    let athena = &world.lake.athena;
    run(athena, "CREATE DATABASE market").await;
    let create = "CREATE EXTERNAL TABLE published (day date, quotes_rows bigint) \
                  ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://pregao-lake/catalog/published/'";
    run(athena, create).await;
    let rows = b"{\"day\":\"2020-04-01\",\"quotes_rows\":7}\n".to_vec();
    world.put("pregao-lake", "catalog/published/days.json", rows.clone()).await;
    let table = athena.get_table_metadata().catalog_name("AwsDataCatalog").database_name("market");
    let table = table.table_name("published").send().await.unwrap().table_metadata.unwrap();
    assert_eq!(table.parameters().unwrap()["serde.serialization.lib"], "org.openx.data.jsonserde.JsonSerDe");
    let select = "SELECT day, quotes_rows FROM published";
    let query = run(athena, select).await;
    let answer =
        athena.get_query_results().query_execution_id(query.query_execution_id().unwrap()).send().await.unwrap();
    let answer = answer.result_set().unwrap().rows().iter().map(cells).collect::<Vec<_>>();
    assert_eq!(answer, [[Some("day"), Some("quotes_rows")], [Some("2020-04-01"), Some("7")]]);

    let file = world.home().join("s3/pregao-lake/catalog/published/days.json");
    for (harm, told) in [
        (String::from_utf8(rows).unwrap().replace(":7}", ":3}"), "its file has the MD5 "),
        (String::new(), "catalog/published/"),
    ] {
        std::fs::write(&file, harm).unwrap();
        let failed = ended(athena, &start(athena, select).await).await;
        let (state, reason) = state_of(&failed);
        assert_eq!(state, "FAILED");
        assert!(reason.starts_with("HIVE_CANNOT_OPEN_SPLIT: ") && reason.contains(told), "{reason}");
    }
}

/// What awswrangler and dbt read after CREATE TABLE AS and UNLOAD: the manifest, the objects and the count.
#[tokio::test(flavor = "multi_thread")]
async fn written_objects_are_listed_in_a_manifest() {
    let world = World::new().await;
    let athena = &world.lake.athena;
    run(athena, "CREATE DATABASE market").await;
    for (sql, name, rows) in [
        ("CREATE TABLE copied AS SELECT n FROM UNNEST(sequence(1, 5)) AS t(n)", "CREATE_TABLE_AS_SELECT", 5),
        ("INSERT INTO copied VALUES (6), (7)", "INSERT", 2),
        ("UNLOAD (SELECT n FROM copied) TO 's3://pregao-lake/out/' WITH (format = 'PARQUET')", "UNLOAD", 7),
    ] {
        let query = run(athena, sql).await;
        assert_eq!(query.substatement_type(), Some(name));
        let manifest = query.statistics().unwrap().data_manifest_location().expect("a manifest");
        let (bucket, key) = manifest.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let text =
            world.lake.s3.get_object().bucket(bucket).key(key).send().await.unwrap().body.collect().await.unwrap();
        let text = String::from_utf8(text.into_bytes().to_vec()).unwrap();
        let uris: Vec<_> = text.lines().collect();
        assert_eq!(uris.len(), 1, "{text}");
        let (bucket, key) = uris[0].strip_prefix("s3://").unwrap().split_once('/').unwrap();
        assert!(world.lake.s3.head_object().bucket(bucket).key(key).send().await.is_ok(), "{text}");
        let answer = athena.get_query_results().query_execution_id(query.query_execution_id().unwrap()).send();
        let answer = answer.await.unwrap();
        assert_eq!((answer.update_count(), answer.result_set().unwrap().rows().len()), (Some(rows), 0), "{sql}");
    }
    let query = run(athena, "SELECT sum(n) FROM copied").await;
    assert_eq!(query.statistics().unwrap().data_manifest_location(), None);
    let answer = athena.get_query_results().query_execution_id(query.query_execution_id().unwrap()).send().await;
    assert_eq!(cells(&answer.unwrap().result_set().unwrap().rows()[1]), [Some("28")]);
}
