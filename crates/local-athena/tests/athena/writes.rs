//! CREATE TABLE AS, INSERT INTO and UNLOAD: what was written is read again, by this engine and by DataFusion's Parquet reader.

use std::fs::{self, File};

use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use local_athena::StatementKind;

use crate::fixture::Fixture;

/// Executes a statement that writes. Returns its kind, its number of rows and the URIs of the objects.
async fn write(fixture: &Fixture, sql: &str) -> (StatementKind, String, Vec<String>) {
    let mut answer = fixture.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = answer.rows.next().await.unwrap().unwrap();
    (answer.kind, rows[0][0].clone().unwrap(), answer.written.unwrap())
}

const KINDS: &str = "SELECT b, i, l, f, d, s, day, at, m, list, raw FROM kinds";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_has_the_rows_and_types_of_its_query() {
    let fixture = Fixture::market().await;
    let expected = fixture.ask(&format!("{KINDS} ORDER BY i")).await.unwrap();
    for (name, properties) in [
        ("plain", ""),
        ("snappy", "WITH (format = 'PARQUET', write_compression = 'SNAPPY')"),
        ("zstd", "WITH (parquet_compression = 'ZSTD', external_location = 's3://lake/here')"),
    ] {
        let (kind, rows, objects) = write(&fixture, &format!("CREATE TABLE {name} {properties} AS {KINDS}")).await;
        assert_eq!((kind, rows.as_str(), objects.len()), (StatementKind::Ddl, "3", 1), "{name}");
        let found = fixture.ask(&format!("SELECT * FROM {name} ORDER BY i")).await.unwrap();
        assert_eq!(found, expected, "{name}");
    }
    let described = fixture.rows("DESCRIBE zstd").await;
    assert!(described[9].starts_with("list") && described[9].contains("array<bigint>"), "{described:?}");
    let shown = fixture.rows("SHOW CREATE TABLE zstd").await.join("\n");
    assert!(shown.contains("s3://lake/here"), "{shown}");
    // The location of results, and the id of the execution.
    let shown = fixture.rows("SHOW CREATE TABLE plain").await.join("\n");
    assert!(shown.contains("s3://lake/results/tables/"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_json_has_the_values_that_it_can_have() {
    let fixture = Fixture::market().await;
    let select = "SELECT b, i, l, d, s, at, ticker FROM kinds CROSS JOIN (VALUES 'PETR4') AS t(ticker) WHERE i = 1";
    for properties in ["WITH (format = 'JSON')", "WITH (format = 'JSON', write_compression = 'NONE')"] {
        let (_, rows, objects) = write(&fixture, &format!("CREATE TABLE lines {properties} AS {select}")).await;
        assert_eq!(rows, "1");
        assert_eq!(objects[0].ends_with(".gz"), !properties.contains("NONE"));
        assert_eq!(fixture.rows("SELECT * FROM lines").await, fixture.rows(select).await);
        fixture.run("DROP TABLE lines").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_to_the_partitions_of_their_values() {
    let fixture = Fixture::market().await;
    let select = "SELECT last, bid, ticker, day FROM quotes";
    let sql = format!("CREATE TABLE by_ticker WITH (partitioned_by = ARRAY['ticker', 'day']) AS {select}");
    let (_, rows, objects) = write(&fixture, &sql).await;
    assert_eq!((rows.as_str(), objects.len()), ("5", 4));
    assert!(objects.iter().any(|uri| uri.contains("/ticker=ABEV3/day=2/")), "{objects:?}");
    let partitions = fixture.rows("SHOW PARTITIONS by_ticker").await;
    assert_eq!(partitions, ["ticker=ABEV3/day=2", "ticker=PETR4/day=1", "ticker=PETR4/day=2", "ticker=VALE3/day=1"]);
    let own = "SELECT last, bid, ticker, day FROM by_ticker ORDER BY 3, 4, 1";
    assert_eq!(fixture.rows(own).await, fixture.rows(&format!("{select} ORDER BY 3, 4, 1")).await);

    let (kind, rows, _) =
        write(&fixture, "INSERT INTO by_ticker VALUES (1.5e0, 2, 'PETR4', 1), (NULL, NULL, 'new/one', 3)").await;
    assert_eq!((kind, rows.as_str()), (StatementKind::Dml, "2"));
    assert_eq!(fixture.rows("SELECT count(*), max(day) FROM by_ticker").await, ["7,3"]);
    assert_eq!(fixture.rows("SELECT last, bid FROM by_ticker WHERE ticker = 'new/one'").await, ["NULL,NULL"]);
    assert_eq!(fixture.rows("SHOW PARTITIONS by_ticker").await.len(), 5);

    let error = fixture.refusal("INSERT INTO by_ticker VALUES (1, 2, CAST(NULL AS varchar), 1)").await;
    assert!(error.message.contains("NULL in the partition key ticker"), "{error}");
    let many = "CREATE TABLE many WITH (partitioned_by = ARRAY['k']) AS SELECT 1 AS x, k FROM UNNEST(sequence(1, 101)) AS t(k)";
    let error = fixture.refusal(many).await;
    assert!(error.message.contains("Exceeded limit of 100 open writers"), "{error}");
    let error = fixture.refusal("SELECT * FROM many").await;
    assert!(error.message.contains("does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn named_columns_are_inserted_and_others_are_null() {
    let fixture = Fixture::market().await;
    fixture.run("CREATE TABLE t WITH (format = 'PARQUET') AS SELECT CAST(1 AS bigint) AS n, 'a' AS s, 1.5e0 AS d WITH NO DATA").await;
    assert_eq!(fixture.rows("SELECT count(*) FROM t").await, ["0"]);
    write(&fixture, "INSERT INTO t (d, n) SELECT 2, 7").await;
    write(&fixture, "INSERT INTO t SELECT 1, 'x', NULL").await;
    assert_eq!(fixture.rows("SELECT * FROM t ORDER BY n").await, ["1,x,NULL", "7,NULL,2.0"]);
    for (sql, message) in [
        ("INSERT INTO t (n, n) SELECT 1, 2", "specified more than once"),
        ("INSERT INTO t (nosuch) SELECT 1", "does not exist in target table"),
        ("INSERT INTO t SELECT 'text', 'x', 1e0", "mismatched column types"),
        ("INSERT INTO nosuch SELECT 1", "does not exist"),
        ("CREATE TABLE u WITH (external_location = 's3://lake/quotes/') AS SELECT 1 AS x", "HIVE_PATH_ALREADY_EXISTS"),
        ("CREATE TABLE u WITH (bucketed_by = ARRAY['x']) AS SELECT 1 AS x", "the property bucketed_by"),
    ] {
        let error = fixture.refusal(sql).await;
        assert!(error.message.contains(message), "{sql}: {error}");
    }
    let (kind, rows, objects) = write(&fixture, "CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS other").await;
    assert_eq!((kind, rows.as_str(), objects.len()), (StatementKind::Ddl, "0", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_table_takes_no_rows() {
    let fixture = Fixture::market().await;
    let manifest = format!("quotes/year=2020/month=4/day=1/run=a/{}", manifest::NAME);
    fixture.put(&manifest, b"{}");
    let error = fixture.refusal("INSERT INTO quotes VALUES (1, 'a', 1e0, 1e0, 1e0, 1e0, 2020, 4, 1)").await;
    assert!(error.message.contains("published by a pipeline"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unloaded_objects_are_files_that_others_read() {
    let fixture = Fixture::market().await;
    let select = "SELECT ticker, last, date '2020-04-01' AS day FROM quotes";
    let sql = format!("UNLOAD ({select}) TO 's3://lake/out/parquet' WITH (format = 'PARQUET', compression = 'snappy')");
    let (kind, rows, objects) = write(&fixture, &sql).await;
    assert_eq!((kind, rows.as_str(), objects.len()), (StatementKind::Dml, "5", 1));
    let path = fixture.path(objects[0].strip_prefix("s3://lake/").unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 5);
    assert_eq!(
        reader.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
        ["ticker", "last", "day"]
    );

    let sql = format!(
        "UNLOAD ({select} WHERE ticker <> 'PETR4' ORDER BY 1) TO 's3://lake/out/text/' WITH (format = 'TEXTFILE', field_delimiter = ';', compression = 'NONE')"
    );
    let (_, _, objects) = write(&fixture, &sql).await;
    let text = fs::read_to_string(fixture.path(objects[0].strip_prefix("s3://lake/").unwrap())).unwrap();
    assert_eq!(text, "ABEV3;\\N;2020-04-01\nVALE3;43.2;2020-04-01\n");

    let error = fixture.refusal(&sql).await;
    assert!(error.message.contains("is not empty"), "{error}");
}
