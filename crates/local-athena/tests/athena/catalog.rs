//! DDL, SHOW and DESCRIBE: their changes, results and errors.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, StringArray};
use local_athena::Output;
use local_athena::catalog::{Format, TableKind};
use local_athena::{ErrorKind, Limits, Statement, StatementKind};

use crate::fixture::{Fixture, open, quotes};

const QUOTES: &str = "CREATE EXTERNAL TABLE IF NOT EXISTS `market`.`quotes` (
    `ticker` string COMMENT 'what is traded',
    `last` double
  )
  COMMENT 'prices'
  PARTITIONED BY (`year` int, `month` int, `day` int)
  ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
  STORED AS PARQUET
  LOCATION 's3://lake/quotes'
  TBLPROPERTIES ('classification'='parquet', \"owner\"=\"me\")";

async fn with_quotes() -> Fixture {
    let fixture = Fixture::new();
    fixture.run("CREATE DATABASE market").await;
    fixture.run(QUOTES).await;
    fixture
}

#[tokio::test]
async fn databases() {
    let fixture = Fixture::new();
    fixture.run("CREATE SCHEMA IF NOT EXISTS Market COMMENT 'prices' LOCATION 's3://lake/market'").await;
    fixture.run("CREATE DATABASE IF NOT EXISTS market").await;
    assert_eq!(fixture.rows("SHOW DATABASES").await, ["default", "market"]);
    assert_eq!(fixture.rows("SHOW SCHEMAS LIKE 'mark*'").await, ["market"]);
    let market = fixture.engine.catalog().database("MARKET").unwrap().unwrap();
    assert_eq!(market.comment.as_deref(), Some("prices"));
    assert_eq!(market.location.as_deref(), Some("s3://lake/market/"));

    let error = fixture.refusal("CREATE DATABASE market").await;
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
    assert!(error.message.ends_with("DDLTask. Database market already exists"), "{error}");

    fixture.run(QUOTES).await;
    let error = fixture.refusal("DROP DATABASE market").await;
    assert!(error.message.contains("Database market is not empty"), "{error}");
    fixture.run("DROP DATABASE market CASCADE").await;
    assert_eq!(fixture.rows("SHOW DATABASES").await, ["default"]);
    fixture.run("DROP DATABASE IF EXISTS market").await;
    let error = fixture.refusal("DROP DATABASE market").await;
    assert_eq!(error.message, "FAILED: SemanticException [Error 10072]: Database does not exist: market");
}

#[tokio::test]
async fn tables() {
    let fixture = with_quotes().await;
    fixture.run(QUOTES).await;
    let error = fixture.refusal(&QUOTES.replace("IF NOT EXISTS", "")).await;
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
    assert_eq!(fixture.rows("SHOW TABLES IN market").await, ["quotes"]);
    assert_eq!(fixture.rows("SHOW TABLES 'opt*|quo*'").await, ["quotes"]);
    assert_eq!(fixture.rows("SHOW TABLES IN market 'opt*'").await, Vec::<String>::new());
    assert_eq!(fixture.rows("SHOW COLUMNS IN quotes").await, ["ticker", "last", "year", "month", "day"]);
    assert_eq!(fixture.rows("SHOW TBLPROPERTIES quotes ('owner')").await, ["me"]);
    fixture.run("ALTER TABLE quotes SET TBLPROPERTIES ('owner'='you', 'pregao.manifest'='_manifest.json')").await;
    assert_eq!(
        fixture.rows("SHOW TBLPROPERTIES quotes").await,
        ["classification\tparquet", "owner\tyou", "pregao.manifest\t_manifest.json"]
    );
    let error = fixture.refusal("ALTER TABLE quotes SET TBLPROPERTIES ('projection.enabled'='true')").await;
    assert_eq!(error.kind, ErrorKind::NotSupported);
    let error = fixture.refusal("ALTER TABLE quotas SET TBLPROPERTIES ('owner'='you')").await;
    assert_eq!(error.message, "FAILED: SemanticException [Error 10001]: Table not found quotas");

    let table = fixture.engine.catalog().table("market", "QUOTES").unwrap().unwrap();
    assert_eq!(table.kind, TableKind::External { location: "s3://lake/quotes/".to_owned(), format: Format::Parquet });
    assert_eq!(table.comment.as_deref(), Some("prices"));
    let keys: Vec<_> = table.partition_keys.iter().map(|key| (key.name.as_str(), key.type_name())).collect();
    assert_eq!(keys, [("year", "int".to_owned()), ("month", "int".to_owned()), ("day", "int".to_owned())]);

    fixture.run("DROP TABLE quotes").await;
    fixture.run("DROP TABLE IF EXISTS market.quotes").await;
    let error = fixture.refusal("DROP TABLE quotes").await;
    assert_eq!(error.message, "FAILED: SemanticException [Error 10001]: Table not found quotes");
}

#[tokio::test]
async fn descriptions() {
    let fixture = with_quotes().await;
    assert_eq!(
        fixture.rows("DESCRIBE quotes").await,
        [
            "ticker,string,what is traded",
            "last,double,",
            "year,int,",
            "month,int,",
            "day,int,",
            ",,",
            "# Partition Information,,",
            "# col_name,data_type,comment",
            ",,",
            "year,int,",
            "month,int,",
            "day,int,",
        ]
    );
    let formatted = fixture.rows("DESCRIBE FORMATTED market.quotes").await;
    assert!(formatted.contains(&"Location:,s3://lake/quotes,".to_owned()), "{formatted:?}");
    assert!(formatted.contains(&",classification,parquet".to_owned()), "{formatted:?}");
    fixture.run("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=1) LOCATION 's3://lake/a/'").await;
    let partition = fixture.rows("DESCRIBE FORMATTED quotes PARTITION (year=2020, month='04', day=1)").await;
    assert!(partition.contains(&"Location:,s3://lake/a,".to_owned()), "{partition:?}");
    fixture.refusal("DESCRIBE quotes PARTITION (year=2020, month=4, day=2)").await;

    // The output of SHOW CREATE TABLE creates the same table.
    let shown = fixture.rows("SHOW CREATE TABLE quotes").await.join("\n");
    let before = fixture.engine.catalog().table("market", "quotes").unwrap().unwrap();
    fixture.run("DROP TABLE quotes").await;
    fixture.run(&shown).await;
    let mut after = fixture.engine.catalog().table("market", "quotes").unwrap().unwrap();
    after.created = before.created;
    assert_eq!(after, before);
}

/// What Athena does: <https://docs.aws.amazon.com/athena/latest/ug/updates-add-columns-end-of-table.html>, and
/// <https://docs.aws.amazon.com/athena/latest/ug/updates-and-partitions.html> about the partitions.
#[tokio::test]
async fn added_columns_stand_before_the_partition_keys_and_are_null_in_older_files() {
    let fixture = with_quotes().await;
    let tickers = |tickers: [&'static str; 2]| -> ArrayRef { Arc::new(StringArray::from(tickers.to_vec())) };
    let numbers = |numbers: [f64; 2]| -> ArrayRef { Arc::new(Float64Array::from(numbers.to_vec())) };
    fixture.put_parquet("old/p.parquet", vec![("ticker", tickers(["A", "B"])), ("last", numbers([1.0, 2.0]))]);
    let all = vec![("ticker", tickers(["A", "B"])), ("last", numbers([3.0, 4.0])), ("vwap", numbers([3.5, 4.5]))];
    fixture.put_parquet("new/p.parquet", all);
    let add = |day: u32, folder: &str| {
        format!("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day={day}) LOCATION 's3://lake/{folder}/'")
    };
    fixture.run(&add(1, "old")).await;
    fixture.run("ALTER TABLE quotes ADD COLUMNS (`VWAP` double COMMENT 'average', lote bigint)").await;
    fixture.run(&add(2, "new")).await;

    let columns = ["ticker", "last", "vwap", "lote", "year", "month", "day"];
    assert_eq!(fixture.rows("SHOW COLUMNS IN quotes").await, columns);
    assert_eq!(
        fixture.rows("SELECT * FROM quotes ORDER BY day, ticker").await,
        ["A,1.0,NULL,NULL,2020,4,1", "B,2.0,NULL,NULL,2020,4,1", "A,3.0,3.5,NULL,2020,4,2", "B,4.0,4.5,NULL,2020,4,2"]
    );
    let tickers_where = |condition: &str| format!("SELECT ticker, day FROM quotes WHERE {condition} ORDER BY 1, 2");
    assert_eq!(fixture.rows(&tickers_where("vwap IS NULL")).await, ["A,1", "B,1"]);
    assert_eq!(fixture.rows(&tickers_where("vwap > 4")).await, ["B,2"]);
    assert_eq!(fixture.rows(&tickers_where("coalesce(lote, 7) = 7 AND day = 1")).await, ["A,1", "B,1"]);
    assert_eq!(fixture.rows("SELECT count(*), count(vwap), sum(lote) FROM quotes").await, ["4,2,NULL"]);

    // The partition that was there has the columns that the table had.
    let partitions = || fixture.engine.catalog().partitions("market", "quotes").expect("partitions");
    assert_eq!(partitions().iter().map(|partition| partition.lacks).collect::<Vec<_>>(), [2, 0]);
    fixture.run("ALTER TABLE quotes ADD COLUMNS (trades bigint)").await;
    fixture.run("ALTER TABLE quotes PARTITION (year=2020, month=4, day=1) SET LOCATION 's3://lake/new/'").await;
    assert_eq!(partitions().iter().map(|partition| partition.lacks).collect::<Vec<_>>(), [3, 1]);
    let of_day = fixture.rows("DESCRIBE quotes PARTITION (year=2020, month=4, day=2)").await;
    assert_eq!(
        of_day[..5],
        ["ticker,string,what is traded", "last,double,", "vwap,double,average", "lote,bigint,", "year,int,"]
    );
    fixture.run("ALTER TABLE quotes DROP PARTITION (year=2020, month=4, day=1)").await;
    fixture.run(&add(1, "old")).await;
    assert_eq!(partitions().iter().map(|partition| partition.lacks).collect::<Vec<_>>(), [0, 1]);

    let view = "CREATE VIEW v AS SELECT ticker FROM quotes";
    fixture.run(view).await;
    let error = fixture.refusal("ALTER TABLE v ADD COLUMNS (x int)").await;
    assert!(error.message.contains("To alter a view"), "{error}");
}

#[tokio::test]
async fn partitions() {
    let fixture = with_quotes().await;
    fixture
        .run(
            "ALTER TABLE quotes ADD IF NOT EXISTS
             PARTITION (year=2020, month=10, day=1) LOCATION 's3://lake/quotes/x/'
             PARTITION (day='02', month=4, year=2020)",
        )
        .await;
    let shown = ["year=2020/month=4/day=2", "year=2020/month=10/day=1"];
    assert_eq!(fixture.rows("SHOW PARTITIONS quotes").await, shown);
    let location = || {
        let found = fixture.engine.catalog().partitions("market", "quotes").unwrap();
        found.into_iter().map(|partition| partition.location).collect::<Vec<_>>()
    };
    assert_eq!(location(), ["s3://lake/quotes/year=2020/month=4/day=2/", "s3://lake/quotes/x/"]);

    // A statement is atomic.
    let error = fixture
        .refusal("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=3) PARTITION (year=2020, month=4, day=2)")
        .await;
    assert!(error.message.ends_with("AlreadyExistsException(message:Partition already exists.)"), "{error}");
    assert_eq!(fixture.rows("SHOW PARTITIONS quotes").await, shown);

    fixture
        .run("ALTER TABLE quotes ADD IF NOT EXISTS PARTITION (year=2020, month=4, day=2) LOCATION 's3://lake/y/'")
        .await;
    assert_eq!(location()[0], "s3://lake/quotes/year=2020/month=4/day=2/");
    fixture.run("ALTER TABLE quotes PARTITION (year=2020, month=4, day=2) SET LOCATION 's3://lake/y'").await;
    assert_eq!(location()[0], "s3://lake/y/");
    let error =
        fixture.refusal("ALTER TABLE quotes PARTITION (year=2020, month=4, day=9) SET LOCATION 's3://lake/y'").await;
    assert_eq!(error.message, "FAILED: SemanticException [Error 10006]: Partition not found (year=2020/month=4/day=9)");

    fixture
        .run("ALTER TABLE quotes ADD PARTITION (year=2021, month=1, day=1) PARTITION (year=2022, month=1, day=1)")
        .await;
    fixture.run("ALTER TABLE quotes DROP PARTITION (year > 2021), PARTITION (year = 2020, month = 4)").await;
    assert_eq!(fixture.rows("SHOW PARTITIONS quotes").await, ["year=2020/month=10/day=1", "year=2021/month=1/day=1"]);
    fixture.run("ALTER TABLE quotes DROP IF EXISTS PARTITION (year=1999)").await;
    let error = fixture.refusal("ALTER TABLE quotes DROP PARTITION (year=1999)").await;
    assert!(error.message.contains("Partition not found"), "{error}");

    for (spec, why) in [
        ("(year=2020)", "does not name every partition column once"),
        ("(year=2020, month=4, week=1)", "contains non-partition columns"),
        ("(year=2020, month=4, day='x')", "is no int"),
    ] {
        let error = fixture.refusal(&format!("ALTER TABLE quotes ADD PARTITION {spec}")).await;
        assert!(error.message.contains(why), "{error}");
    }
}

#[tokio::test]
async fn repair_adds_the_folders_that_are_there() {
    let fixture = with_quotes().await;
    for key in [
        "year=2020/month=4/day=1/run=a/0.parquet",
        "year=2020/month=04/day=2/0.parquet",
        "other/0.parquet",
        "year=2020/month=4/_tmp/x",
    ] {
        fixture.put(&format!("quotes/{key}"), b"PAR1");
    }
    assert_eq!(
        fixture.rows("MSCK REPAIR TABLE quotes").await,
        [
            "Partitions not in metastore:\tquotes:year=2020/month=4/day=1\tquotes:year=2020/month=4/day=2",
            "Repair: Added partition to metastore quotes:year=2020/month=4/day=1",
            "Repair: Added partition to metastore quotes:year=2020/month=4/day=2",
        ]
    );
    assert_eq!(fixture.rows("SHOW PARTITIONS quotes").await, ["year=2020/month=4/day=1", "year=2020/month=4/day=2"]);
    assert_eq!(fixture.rows("MSCK REPAIR TABLE quotes").await, Vec::<String>::new());
}

#[tokio::test]
async fn views() {
    let fixture = Fixture::market().await;
    fixture.run("CREATE DATABASE other").await;
    fixture.run("CREATE VIEW petr AS SELECT ticker, last AS Price, day FROM quotes WHERE ticker = 'PETR4'").await;
    fixture.run("CREATE VIEW other.closes AS SELECT day, max_by(price, day) AS close FROM petr GROUP BY day").await;
    assert_eq!(fixture.rows("SELECT day, close FROM other.closes WHERE day = 2").await, ["2,16.0"]);
    assert_eq!(fixture.rows("SHOW VIEWS").await, ["petr"]);
    assert_eq!(fixture.rows("DESCRIBE petr").await, ["ticker,string,", "price,double,", "day,int,"]);
    assert_eq!(
        fixture.rows("SHOW CREATE VIEW petr").await.join("\n"),
        "CREATE VIEW market.petr AS\nSELECT ticker, last AS Price, day FROM quotes WHERE ticker = 'PETR4'"
    );

    let error = fixture.refusal("CREATE VIEW petr AS SELECT 1 AS n").await;
    assert_eq!(error.message, "ALREADY_EXISTS: View already exists: 'market.petr'");
    let error = fixture.refusal("CREATE VIEW unnamed AS SELECT day, count(*) FROM quotes GROUP BY day").await;
    assert_eq!(error.message, "MISSING_COLUMN_NAME: Column name not specified at position 2");
    let error = fixture.refusal("CREATE VIEW wrong AS SELECT x FROM quotes").await;
    assert_eq!(error.kind, ErrorKind::ColumnNotFound);

    // A view that refers to itself is refused.
    fixture.run("CREATE OR REPLACE VIEW petr AS SELECT day, close AS price FROM other.closes").await;
    let error = fixture.refusal("SELECT * FROM petr").await;
    assert!(error.message.contains("stands on too many views"), "{error}");
    fixture.run("DROP VIEW petr").await;
    let error = fixture.refusal("SELECT * FROM other.closes").await;
    assert!(error.message.starts_with("Failed analyzing stored view 'awsdatacatalog.other.closes': "), "{error}");
    assert_eq!(error.kind, ErrorKind::TableNotFound);
    fixture.refusal("DROP VIEW quotes").await;
    fixture.refusal("DROP TABLE other.closes").await;
}

#[tokio::test]
async fn what_would_not_be_meant_is_refused() {
    let fixture = with_quotes().await;
    let table = |tail: &str| format!("CREATE EXTERNAL TABLE t (a int) {tail}");
    for (sql, message) in [
        (
            table("STORED AS TEXTFILE LOCATION 's3://b/t/'"),
            "NOT_SUPPORTED: STORED AS TEXTFILE is not supported by the embedded Athena",
        ),
        (table("STORED AS PARQUET"), "line 1:50: missing LOCATION 's3://bucket/folder/' of the table"),
        (
            table("STORED AS PARQUET LOCATION 'file:///tmp'"),
            "line 1:60: 'file:///tmp' is no location: give 's3://bucket/folder/'",
        ),
        (
            table("STORED AS PARQUET LOCATION 's3://b/t/' TBLPROPERTIES ('projection.enabled'='true')"),
            "NOT_SUPPORTED: the table property 'projection.enabled'='true' is not supported by the embedded Athena",
        ),
        (
            table("CLUSTERED BY (a) INTO 2 BUCKETS"),
            "NOT_SUPPORTED: CLUSTERED BY is not supported by the embedded Athena",
        ),
        (
            "CREATE EXTERNAL TABLE t (a text) STORED AS PARQUET LOCATION 's3://b/t/'".to_owned(),
            "line 1:28: 'text' is no type of a table's column",
        ),
        (
            "CREATE EXTERNAL TABLE t (a int, a int) STORED AS PARQUET LOCATION 's3://b/t/'".to_owned(),
            "FAILED: SemanticException [Error 10036]: Duplicate column name: a",
        ),
        (
            "CREATE EXTERNAL TABLE nowhere.t (a int) STORED AS PARQUET LOCATION 's3://b/t/'".to_owned(),
            "FAILED: SemanticException [Error 10072]: Database does not exist: nowhere",
        ),
        (
            "ALTER TABLE quotes PARTITION (year=2020, month=4, day=1) ADD COLUMNS (x int)".to_owned(),
            "NOT_SUPPORTED: ALTER TABLE PARTITION ADD COLUMNS is not supported by the embedded Athena",
        ),
        (
            "ALTER TABLE quotes ADD COLUMNS (x int, LAST double)".to_owned(),
            "FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. Duplicate column name: last",
        ),
        (
            "ALTER TABLE quotes ADD COLUMNS (x int, x int)".to_owned(),
            "FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. Duplicate column name: x",
        ),
        (
            "ALTER TABLE quotes ADD COLUMNS (day string)".to_owned(),
            "FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. Duplicate column name: day",
        ),
        (
            "ALTER TABLE quotes ADD COLUMNS (x date)".to_owned(),
            "FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. \
             ALTER TABLE ADD COLUMNS does not work for columns with the date datatype: use timestamp",
        ),
        ("ALTER TABLE quotes ADD COLUMNS (x text)".to_owned(), "line 1:35: 'text' is no type of a table's column"),
        (
            "ALTER TABLE nothing ADD COLUMNS (x int)".to_owned(),
            "FAILED: SemanticException [Error 10001]: Table not found nothing",
        ),
        (
            "ALTER TABLE quotes RENAME TO other".to_owned(),
            "NOT_SUPPORTED: ALTER TABLE ... RENAME is not supported by the embedded Athena",
        ),
        ("DROP TABLE quotes PURGE".to_owned(), "line 1:19: mismatched input 'PURGE'. Expecting: <EOF>"),
        (
            "SHOW TABLES IN nowhere".to_owned(),
            "FAILED: SemanticException [Error 10072]: Database does not exist: nowhere",
        ),
        ("SHOW PARTITIONS nothing".to_owned(), "FAILED: SemanticException [Error 10001]: Table not found nothing"),
        ("CREATE DATABASE".to_owned(), "line 1:16: mismatched input '<EOF>'. Expecting: an identifier"),
        (
            String::new(),
            "line 1:1: mismatched input '<EOF>'. Expecting: 'ALTER', 'CREATE', 'DESCRIBE', 'DROP', 'EXPLAIN', 'MSCK', 'SELECT', 'SHOW', 'VALUES', 'WITH'",
        ),
    ] {
        assert_eq!(fixture.refusal(&sql).await.message, message, "{sql}");
    }
    assert_eq!(fixture.rows("SHOW TABLES").await, ["quotes"]);
}

#[tokio::test]
async fn the_catalog_survives_a_process_that_is_killed() {
    let fixture = with_quotes().await;
    fixture.run("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=1) LOCATION 's3://lake/a/'").await;
    // Copying the files while the engine is open simulates a killed process.
    let copy = tempfile::TempDir::new().unwrap();
    for name in ["catalog.db", "catalog.db-wal"] {
        std::fs::copy(fixture.folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let engine = open(copy.path(), Limits::default());
    let partitions = engine.catalog().partitions("market", "quotes").unwrap();
    assert_eq!(partitions.len(), 1);
    assert_eq!(partitions[0].location, "s3://lake/a/");
    assert_eq!(partitions[0].values, ["2020", "4", "1"]);
}

#[tokio::test]
async fn a_newer_catalog_and_a_file_that_is_none_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let objects = || std::sync::Arc::new(NoObjects);
    let path = folder.path().join("catalog.db");
    drop(local_athena::Engine::open(&path, objects()).unwrap());
    std::fs::write(folder.path().join("text.db"), "this is text and no catalog, whatever its name says").unwrap();
    let error = local_athena::Engine::open(&folder.path().join("text.db"), objects()).err().unwrap();
    assert!(error.to_string().contains("text.db"), "{error}");
    let error = local_athena::Engine::open(&folder.path().join("nowhere/catalog.db"), objects()).err().unwrap();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

struct NoObjects;

impl local_athena::ObjectFiles for NoObjects {
    fn list(&self, _location: &str) -> std::io::Result<Vec<local_athena::ObjectFile>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn statements_know_what_they_are() {
    for (sql, kind, name) in [
        ("SELECT 1", StatementKind::Dml, "SELECT"),
        ("(SELECT 1)", StatementKind::Dml, "SELECT"),
        ("create database x;", StatementKind::Ddl, "CREATE_DATABASE"),
        ("ALTER TABLE t ADD COLUMNS (a int)", StatementKind::Ddl, "ALTER_TABLE_ADD_COLUMNS"),
        ("ALTER TABLE t ADD PARTITION (a=1)", StatementKind::Ddl, "ALTER_TABLE_ADD_PARTITION"),
        ("SHOW TABLES", StatementKind::Utility, "SHOW_TABLES"),
        ("EXPLAIN SELECT 1", StatementKind::Utility, "EXPLAIN"),
        ("-- why\nDESCRIBE /* what */ t", StatementKind::Utility, "DESCRIBE_TABLE"),
    ] {
        let statement = Statement::parse(sql, &[]).unwrap();
        assert_eq!((statement.kind(), statement.name()), (kind, name), "{sql}");
    }
}

#[tokio::test]
async fn parameters_stand_for_question_marks() {
    let fixture = Fixture::market().await;
    let ask = |sql: &'static str, parameters: &[&str]| {
        let parameters: Vec<_> = parameters.iter().map(|p| (*p).to_owned()).collect();
        Statement::parse(sql, &parameters)
    };
    let sql = "SELECT count(*) FROM quotes WHERE ticker = ? AND last > ?";
    let statement = ask(sql, &["'PETR4'", "15.5 + 0.1"]).unwrap();
    let mut answer = fixture.engine.execute(&statement, "market", &Output::default()).await.unwrap();
    assert_eq!(answer.rows.next().await.unwrap().unwrap(), [[Some("2".to_owned())]]);
    for (parameters, message) in [
        (&["'PETR4'"][..], "Incorrect number of parameters: expected 2 but found 1"),
        (&["'PETR4'", "1) OR (1 = 1"], "the parameter 1) OR (1 = 1 is no expression: quote text, as in 'PETR4'"),
        (&["'PETR4'", ""], "the parameter  is no expression: quote text, as in 'PETR4'"),
    ] {
        assert_eq!(ask(sql, parameters).unwrap_err().message, message);
    }
}

#[tokio::test]
async fn plans_are_explained() {
    let fixture = Fixture::market().await;
    let plan = fixture.rows("EXPLAIN SELECT ticker FROM quotes WHERE day = 2").await.join("\n");
    assert!(plan.contains("day=2/run=a/part-0.parquet") && !plan.contains("day=1"), "{plan}");
    let plan = fixture.rows("EXPLAIN (TYPE LOGICAL) SELECT ticker FROM quotes").await.join("\n");
    assert!(plan.contains("TableScan"), "{plan}");
    assert_eq!(fixture.rows("EXPLAIN (TYPE VALIDATE, FORMAT TEXT) SELECT 1").await, ["true"]);
    assert_eq!(fixture.refusal("EXPLAIN ANALYZE SELECT 1").await.kind, ErrorKind::NotSupported);
    assert_eq!(fixture.refusal("EXPLAIN SELECT x FROM quotes").await.kind, ErrorKind::ColumnNotFound);
}

#[tokio::test]
async fn a_table_without_files_has_no_rows() {
    let fixture = with_quotes().await;
    assert_eq!(fixture.rows("SELECT ticker, last, year FROM quotes").await, Vec::<String>::new());
    assert_eq!(fixture.rows("SELECT count(*), max(day) FROM quotes").await, ["0,NULL"]);
    fixture.run("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=1)").await;
    assert_eq!(fixture.rows("SELECT count(*) FROM quotes").await, ["0"]);
    fixture.put_parquet("quotes/year=2020/month=4/day=1/0.parquet", quotes(&[]));
    assert_eq!(fixture.rows("SELECT count(*), max(ticker) FROM quotes").await, ["0,NULL"]);
}

#[tokio::test]
async fn files_that_are_not_as_declared_are_named() {
    let fixture = with_quotes().await;
    fixture.run("ALTER TABLE quotes ADD PARTITION (year=2020, month=4, day=1)").await;
    let columns: Vec<(&str, datafusion::arrow::array::ArrayRef)> = vec![
        ("ticker", std::sync::Arc::new(datafusion::arrow::array::StringArray::from(vec!["PETR4"]))),
        ("last", std::sync::Arc::new(datafusion::arrow::array::Int64Array::from(vec![15]))),
    ];
    fixture.put_parquet("quotes/year=2020/month=4/day=1/0.parquet", columns);
    let error = fixture.refusal("SELECT last FROM quotes").await;
    assert_eq!(
        error.message,
        "HIVE_BAD_DATA: Malformed Parquet file. Field last's type INT64 in parquet file \
         s3://lake/quotes/year=2020/month=4/day=1/0.parquet is incompatible with type double defined in table schema"
    );
    assert_eq!(fixture.rows("SELECT ticker FROM quotes").await, ["PETR4"]);

    fixture.put("quotes/year=2020/month=4/day=1/0.parquet", b"ticker,last\nPETR4,15.0\n");
    let error = fixture.refusal("SELECT ticker FROM quotes").await;
    assert_eq!(error.kind, ErrorKind::BadData);
    assert!(error.message.contains("s3://lake/quotes/year=2020/month=4/day=1/0.parquet"), "{error}");
    fixture.run("ALTER TABLE quotes PARTITION (year=2020, month=4, day=1) SET LOCATION 's3://nowhere/x/'").await;
    let error = fixture.refusal("SELECT ticker FROM quotes").await;
    assert_eq!(error.kind, ErrorKind::CannotOpenSplit);
    assert!(error.message.contains("s3://nowhere/x/"), "{error}");
}
