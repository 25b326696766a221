//! Tables of JSON files: the rows of valid lines, and the lines, files and statements that are refused.

use std::io::Write;

use local_athena::ErrorKind;

use crate::fixture::Fixture;

const PUBLISHED: &str = "CREATE EXTERNAL TABLE IF NOT EXISTS `market`.`published` (
    `day` date COMMENT 'the business day', `run` string, `number` bigint, `quotes_rows` bigint, `raw_files` int,
    `share` double, `held` boolean, `published_at` timestamp, `size_gb` decimal(12,3)
  )
  COMMENT 'what is published'
  ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
  LOCATION 's3://lake/catalog/published/'
  TBLPROPERTIES ('classification'='json')";

const DAYS: &str = "catalog/published/days.json";

const LINES: &str = r#"{"day":"2020-04-01","run":"a","number":1,"quotes_rows":9007199254740993,"raw_files":84,"share":0.1,"held":false,"published_at":"2020-04-02 07:00:00.123","size_gb":1.5,"more":{"a":[1,"}"]}}
{"published_at":"2020-04-03 07:00:00.000","RUN":"b – ção","day":"2020-04-02","number":9223372036854775807,"held":true,"quotes_rows":null}
"#;

async fn published() -> Fixture {
    let fixture = Fixture::new();
    fixture.run("CREATE DATABASE market").await;
    fixture.run(PUBLISHED).await;
    fixture.put(DAYS, LINES.as_bytes());
    fixture
}

#[tokio::test]
async fn each_line_is_a_row_of_exact_values() {
    let fixture = published().await;
    let (columns, _) = fixture.ask("SELECT * FROM published").await.expect("rows");
    let columns: Vec<_> = columns.iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
    assert_eq!(
        columns.join(" "),
        "day:date run:varchar number:bigint quotes_rows:bigint raw_files:integer share:double held:boolean \
         published_at:timestamp size_gb:decimal"
    );
    assert_eq!(
        fixture.rows("SELECT * FROM published ORDER BY day").await,
        [
            "2020-04-01,a,1,9007199254740993,84,0.1,false,2020-04-02 07:00:00.123,1.500",
            "2020-04-02,b – ção,9223372036854775807,NULL,NULL,NULL,true,2020-04-03 07:00:00.000,NULL",
        ]
    );
    for (select, expected) in [
        ("SELECT count(*) FROM published", "2"),
        ("SELECT count(quotes_rows) FROM published", "1"),
        ("SELECT run FROM published WHERE day = DATE '2020-04-02' AND held", "b – ção"),
        ("SELECT \"$path\" FROM published LIMIT 1", "s3://lake/catalog/published/days.json"),
        ("SELECT upper(run), \"$path\" FROM published WHERE number = 1", "A,s3://lake/catalog/published/days.json"),
        ("SELECT date_diff('hour', CAST(day AS timestamp), published_at) FROM published WHERE number = 1", "31"),
        ("SELECT max(size_gb) + 1 FROM published", "2.500"),
    ] {
        assert_eq!(fixture.rows(select).await, [expected], "{select}");
    }
}

#[tokio::test]
async fn what_was_read_is_counted() {
    let fixture = published().await;
    let mut answer = fixture.execute("SELECT run FROM published").await.expect("an answer");
    while answer.rows.next().await.expect("rows").is_some() {}
    assert_eq!(answer.rows.scanned_bytes(), LINES.len() as u64);
}

#[tokio::test]
async fn rows_come_from_every_visible_file_in_any_form_of_line_end() {
    let fixture = published().await;
    assert_eq!(fixture.rows("SELECT count(*) FROM published").await, ["2"]);
    fixture.put("catalog/published/more.json", b"{\"number\":3}\r\n{\"number\":4}");
    fixture.put("catalog/published/deeper/more.json", b" {\"number\":5} \n");
    fixture.put("catalog/published/empty.json", b"");
    fixture.put("catalog/published/_hidden.json", b"no JSON");
    fixture.put("catalog/published/.hidden", b"no JSON");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"{\"number\":6}\n").expect("bytes");
    let mut packed = packed.finish().expect("bytes");
    let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    second.write_all(b"{\"number\":7}\n").expect("bytes");
    packed.extend(second.finish().expect("bytes"));
    fixture.put("catalog/published/packed.json.gz", &packed);
    let numbers = fixture.rows("SELECT number FROM published WHERE number > 1 ORDER BY number").await;
    assert_eq!(numbers, ["3", "4", "5", "6", "7", "9223372036854775807"]);
}

#[tokio::test]
async fn a_table_without_files_has_no_rows() {
    let fixture = published().await;
    std::fs::remove_file(fixture.path(DAYS)).expect("removed");
    assert_eq!(fixture.rows("SELECT count(*), max(day) FROM published").await, ["0,NULL"]);
    assert_eq!(fixture.rows("SELECT * FROM published").await, [""; 0]);
}

#[tokio::test]
async fn partitions_of_a_table_of_json_are_those_of_any_table() {
    let fixture = published().await;
    fixture
        .run(
            "CREATE EXTERNAL TABLE events (what string) PARTITIONED BY (year int, month int)
             ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' STORED AS TEXTFILE LOCATION 's3://lake/events'",
        )
        .await;
    for month in 1..=3 {
        let line = format!("{{\"what\":\"m{month}\",\"month\":99}}\n");
        fixture.put(&format!("events/year=2020/month={month}/a.json"), line.as_bytes());
    }
    fixture.run("MSCK REPAIR TABLE events").await;
    assert_eq!(
        fixture.rows("SELECT month, what, \"$path\" FROM events WHERE month >= 2 ORDER BY month").await,
        ["2,m2,s3://lake/events/year=2020/month=2/a.json", "3,m3,s3://lake/events/year=2020/month=3/a.json"]
    );
    assert_eq!(fixture.rows("SELECT year, count(*) FROM events GROUP BY year").await, ["2020,3"]);
}

#[tokio::test]
async fn many_rows_are_read_in_batches() {
    let fixture = published().await;
    let lines: String = (0..50_000).map(|n| format!("{{\"number\":{n},\"run\":\"r{}\"}}\n", n % 7)).collect();
    fixture.put(DAYS, lines.as_bytes());
    assert_eq!(
        fixture.rows("SELECT count(*), sum(number), count(DISTINCT run), max(number) FROM published").await,
        ["50000,1249975000,7,49999"]
    );
    let joined = "SELECT count(*) FROM published a JOIN published b ON a.number = b.number + 1";
    assert_eq!(fixture.rows(joined).await, ["49999"]);
    assert_eq!(fixture.rows("SELECT number FROM published ORDER BY number DESC LIMIT 2").await, ["49999", "49998"]);
}

#[tokio::test]
async fn what_is_no_row_fails_by_file_and_line() {
    let fixture = published().await;
    for (line, why) in [
        ("{\"number\":1", "Expected a ',' or '}' at byte 12"),
        ("{\"number\":1}{\"number\":2}", "there is more behind the object at byte 13"),
        ("[{\"number\":1}]", "A JSONObject text must begin with '{' at byte 1"),
        ("number", "A JSONObject text must begin with '{' at byte 1"),
        ("", "A JSONObject text must begin with '{' at byte 1"),
        ("{\"number\":1,\"Number\":2}", "Duplicate key \"number\" at byte 13"),
        ("{\"of_no_column\":1,\"of_no_column\":1}", "Duplicate key \"of_no_column\" at byte 19"),
        ("{\"number\":01}", "invalid number at byte 12"),
    ] {
        fixture.put(DAYS, format!("{LINES}{line}\n{LINES}").as_bytes());
        for select in ["SELECT * FROM published", "SELECT count(*) FROM published", "SELECT day FROM published"] {
            let error = fixture.refusal(select).await;
            assert_eq!(
                error.message,
                format!(
                    "HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: {why}; \
                     line 3 of s3://lake/catalog/published/days.json"
                ),
                "{select} with {line}"
            );
            assert_eq!(error.kind, ErrorKind::Cursor);
        }
    }
    fixture.put(DAYS, b"{\"run\":\"\xff\"}\n");
    let error = fixture.refusal("SELECT count(*) FROM published").await;
    assert!(error.message.contains("no UTF-8 at byte 9; line 1 of s3://lake/"), "{error}");
}

#[tokio::test]
async fn what_is_no_value_of_its_column_fails_where_the_column_is_read() {
    let fixture = published().await;
    for (field, value) in [
        ("number", "\"12\""),
        ("number", "9223372036854775808"),
        ("number", "1.5"),
        ("raw_files", "2147483648"),
        ("share", "\"NaN\""),
        ("held", "\"yes\""),
        ("run", "7"),
        ("day", "\"01/04/2020\""),
        ("published_at", "\"2020-04-01T10:00:00\""),
        ("size_gb", "0.0001"),
    ] {
        fixture.put(DAYS, format!("{{}}\n{{\"{field}\":{value}}}\n").as_bytes());
        let error = fixture.refusal(&format!("SELECT max({field}) FROM published")).await;
        assert_eq!(error.kind, ErrorKind::BadData, "{error}");
        let begins = format!("HIVE_BAD_DATA: Error Parsing a column in the table: field {field}: {value} is no ");
        assert!(error.message.starts_with(&begins), "{error}");
        assert!(error.message.ends_with("; line 2 of s3://lake/catalog/published/days.json"), "{error}");
        assert_eq!(fixture.rows("SELECT count(*) FROM published").await, ["2"]);
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_whole_fail() {
    let fixture = published().await;
    for (name, bytes, expected) in [
        ("a.json.bz2", &b"BZh9"[..], "NOT_SUPPORTED: s3://lake/catalog/published/a.json.bz2: a file of JSON that is"),
        ("a.json.zst", b"\x28\xb5\x2f\xfd", "NOT_SUPPORTED: s3://lake/catalog/published/a.json.zst: a file of JSON"),
        (
            "a.json.gz",
            b"{\"number\":1}\n",
            "HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: the file",
        ),
        ("a.json", b"\x1f\x8b\x08\x00", "HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: no UTF-8"),
    ] {
        let key = format!("catalog/published/{name}");
        fixture.put(&key, bytes);
        let error = fixture.refusal("SELECT count(*) FROM published").await;
        assert!(error.message.starts_with(expected), "{error}");
        std::fs::remove_file(fixture.path(&key)).expect("removed");
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"{\"number\":6}\n{\"number\":7}\n").expect("bytes");
    let packed = packed.finish().expect("bytes");
    fixture.put("catalog/published/cut.gz", &packed[..packed.len() - 4]);
    let error = fixture.refusal("SELECT count(*) FROM published").await;
    assert!(error.message.contains("the file cannot be read on") && error.message.contains("cut.gz"), "{error}");
}

#[tokio::test]
async fn a_line_may_be_long_and_not_longer_than_memory() {
    let fixture = published().await;
    let text = "x".repeat(9 << 20);
    fixture.put(DAYS, format!("{{\"run\":\"{text}\"}}\n{{\"run\":\"y\"}}").as_bytes());
    assert_eq!(fixture.rows("SELECT length(run) FROM published ORDER BY 1 DESC").await, ["9437184", "1"]);
    let text = "x".repeat(17 << 20);
    fixture.put(DAYS, format!("{{\"run\":\"{text}\"}}\n").as_bytes());
    let error = fixture.refusal("SELECT length(run) FROM published").await;
    assert!(error.message.contains("the line is longer than 16777216 bytes; line 1 of s3://lake/"), "{error}");
}

#[tokio::test]
async fn tables_of_json_are_shown_as_they_are() {
    let fixture = published().await;
    fixture.run("CREATE EXTERNAL TABLE plain (a int) STORED AS PARQUET LOCATION 's3://lake/plain/'").await;
    assert_eq!(fixture.rows("SHOW TABLES").await, ["plain", "published"]);
    let described = fixture.rows("DESCRIBE published").await;
    assert_eq!(described.len(), 9);
    assert_eq!((described[0].as_str(), described[8].as_str()), ("day,date,the business day", "size_gb,decimal(12,3),"));
    let shown = fixture.rows("SHOW CREATE TABLE published").await.join("\n");
    assert!(
        shown.contains(
            "ROW FORMAT SERDE\n  'org.openx.data.jsonserde.JsonSerDe'\nSTORED AS INPUTFORMAT\n  \
             'org.apache.hadoop.mapred.TextInputFormat'\nOUTPUTFORMAT\n  \
             'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'\nLOCATION\n  's3://lake/catalog/published'"
        ),
        "{shown}"
    );
    let formatted = fixture.rows("DESCRIBE FORMATTED published").await;
    assert!(formatted.contains(&"SerDe Library:,org.openx.data.jsonserde.JsonSerDe,".to_owned()), "{formatted:?}");
    assert_eq!(
        fixture.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'published' AND ordinal_position IN (1, 8, 9) ORDER BY ordinal_position").await,
        ["day,date", "published_at,timestamp(3)", "size_gb,decimal(12,3)"]
    );
    assert_eq!(
        fixture.rows("SELECT table_type FROM information_schema.tables WHERE table_name = 'published'").await,
        ["BASE TABLE"]
    );
    let error = fixture.refusal("SHOW PARTITIONS published").await;
    assert!(error.message.ends_with("Table published is not a partitioned table"), "{error}");

    // The output of SHOW CREATE TABLE creates the same table, also after the catalog was reopened.
    fixture.run("DROP TABLE published").await;
    fixture.run(&shown).await;
    let again = fixture.reopened();
    assert_eq!(again.rows("SHOW CREATE TABLE published").await.join("\n"), shown);
    assert_eq!(again.rows("SELECT count(*) FROM published").await, ["2"]);
    assert_eq!(again.rows("SELECT count(*) FROM plain").await, ["0"]);
}

#[tokio::test]
async fn what_would_change_the_rows_of_a_table_is_refused() {
    let fixture = published().await;
    let create = |columns: &str, clauses: &str| {
        format!("CREATE EXTERNAL TABLE t ({columns}) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' {clauses}")
    };
    for (columns, clauses, told) in [
        ("a int", "WITH SERDEPROPERTIES ('ignore.malformed.json'='true') LOCATION 's3://lake/t/'", "ignore.malformed"),
        ("a int", "WITH SERDEPROPERTIES ('use.null.for.invalid.data'='TRUE') LOCATION 's3://lake/t/'", "use.null.for"),
        ("a int", "WITH SERDEPROPERTIES ('case.insensitive'='false') LOCATION 's3://lake/t/'", "case.insensitive"),
        ("a int", "WITH SERDEPROPERTIES ('dots.in.keys'='true') LOCATION 's3://lake/t/'", "dots.in.keys"),
        ("a int", "WITH SERDEPROPERTIES ('mapping.a'='A') LOCATION 's3://lake/t/'", "mapping.a"),
        ("a int", "WITH SERDEPROPERTIES ('timestamp.formats'='yyyy') LOCATION 's3://lake/t/'", "timestamp.formats"),
        ("a int", "STORED AS PARQUET LOCATION 's3://lake/t/'", "STORED AS PARQUET"),
        ("a int", "LOCATION 's3://lake/t/' TBLPROPERTIES ('skip.header.line.count'='1')", "skip.header.line.count"),
        ("a int", "LOCATION 's3://lake/t/' TBLPROPERTIES ('pregao.manifest'='_m.json')", "pregao.manifest"),
        ("a array<int>", "LOCATION 's3://lake/t/'", "the column a of type array<int> in a table of JSON files"),
        ("a int, b varchar(9)", "LOCATION 's3://lake/t/'", "the column b of type varchar(9)"),
    ] {
        let error = fixture.refusal(&create(columns, clauses)).await;
        assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
        assert!(error.message.contains(told), "{error}");
    }
    let error = fixture.refusal(&create("a int", "STORED AS TEXTFILE")).await;
    assert!(error.message.contains("missing LOCATION"), "{error}");
    let other = create("a int", "LOCATION 's3://lake/t/'").replace("org.openx.data.", "org.apache.hive.hcatalog.data.");
    assert_eq!(fixture.refusal(&other).await.kind, ErrorKind::NotSupported);
    for property in ["'pregao.manifest'='_manifest.json'", "'skip.header.line.count'='1'"] {
        let error = fixture.refusal(&format!("ALTER TABLE published SET TBLPROPERTIES ({property})")).await;
        assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
    }
    let defaults = "WITH SERDEPROPERTIES ('ignore.malformed.json'='FALSE', 'case.insensitive'='TRUE', 'serialization.format'='1') \
                    STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat' \
                    OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat' LOCATION 's3://lake/t/'";
    fixture.run(&create("a int", defaults)).await;
}

#[tokio::test]
async fn a_view_over_json_and_parquet_is_one_query() {
    let fixture = Fixture::market().await;
    fixture.run(PUBLISHED).await;
    fixture.put(DAYS, LINES.as_bytes());
    fixture
        .run(
            "CREATE VIEW counted AS SELECT p.day, p.run, count(*) AS rows FROM published p
             JOIN quotes q ON q.day = day(p.day) GROUP BY p.day, p.run",
        )
        .await;
    assert_eq!(fixture.rows("SELECT * FROM counted ORDER BY day").await, ["2020-04-01,a,3", "2020-04-02,b – ção,2"]);
}
