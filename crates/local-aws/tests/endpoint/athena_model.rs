//! Athena: what its API model says of requests, and what clients look for in its errors. Requests are raw, because SDKs check
//! some of these constraints themselves.

use serde_json::{Value, json};

use crate::World;
use crate::protocols;

fn call(world: &World, operation: &str, input: &Value) -> (u16, Value) {
    protocols::call(world, &format!("AmazonAthena.{operation}"), input)
}

fn ok(world: &World, operation: &str, input: &Value) -> Value {
    let (status, output) = call(world, operation, input);
    assert_eq!(status, 200, "{operation} of {input}: {output}");
    output
}

/// Runs a statement to its end, and returns its id.
async fn run(world: &World, start: &Value) -> Value {
    let started = ok(world, "StartQueryExecution", start);
    crate::eventually(async || {
        let query = ok(world, "GetQueryExecution", &started)["QueryExecution"].clone();
        match query["Status"]["State"].as_str() {
            Some("SUCCEEDED") => Some(()),
            Some("QUEUED" | "RUNNING") => None,
            _ => panic!("{query}"),
        }
    })
    .await;
    started["QueryExecutionId"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_model_is_refused() {
    let world = World::new().await;
    let query = run(&world, &json!({ "QueryString": "SELECT 1" })).await;
    let results = |more: Value| {
        let mut input = json!({ "QueryExecutionId": query });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let start = |more: Value| {
        let mut input = json!({ "QueryString": "SELECT 1" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let cases = [
        ("ListWorkGroups", json!({ "MaxResults": 51 }), "Value '51' at 'maxResults'"),
        ("ListWorkGroups", json!({ "MaxResults": 0 }), "Value '0' at 'maxResults'"),
        ("ListWorkGroups", json!({ "MaxResults": "x" }), "invalid type"),
        ("ListWorkGroups", json!({ "NextToken": "nobody gave it" }), "Invalid Token"),
        ("ListWorkGroups", json!({ "NextToken": "" }), "at 'nextToken'"),
        ("ListDatabases", json!({ "CatalogName": "AwsDataCatalog", "MaxResults": 0 }), "at 'maxResults'"),
        ("ListQueryExecutions", json!({ "MaxResults": 51 }), "at 'maxResults'"),
        ("GetQueryResults", results(json!({ "MaxResults": 0 })), "Value '0' at 'maxResults'"),
        ("GetQueryResults", results(json!({ "MaxResults": 1001 })), "Value '1001' at 'maxResults'"),
        (
            "GetQueryResults",
            results(json!({ "QueryResultType": "NONSENSE" })),
            "enum value set: [DATA_MANIFEST, DATA_ROWS]",
        ),
        ("GetQueryResults", results(json!({ "QueryResultType": "DATA_MANIFEST" })), "no manifests"),
        ("BatchGetQueryExecution", json!({ "QueryExecutionIds": [] }), "at 'queryExecutionIds'"),
        ("StartQueryExecution", json!({}), "QueryString"),
        ("StartQueryExecution", start(json!({ "ClientRequestToken": "short" })), "at 'clientRequestToken'"),
        ("StartQueryExecution", start(json!({ "ExecutionParameters": [] })), "at 'executionParameters'"),
        ("StartQueryExecution", start(json!({ "ResultReuseConfiguration": "x" })), "invalid type"),
        ("StartQueryExecution", start(json!({ "EngineConfiguration": "x" })), "invalid type"),
        (
            "StartQueryExecution",
            start(json!({ "EngineConfiguration": { "MaxConcurrentDpus": 20 } })),
            "EngineConfiguration",
        ),
        (
            "StartQueryExecution",
            start(json!({ "ResultConfiguration": { "EncryptionConfiguration": { "EncryptionOption": "SSE_KMS" } } })),
            "EncryptionConfiguration",
        ),
        (
            "StartQueryExecution",
            start(
                json!({ "ResultConfiguration": { "AclConfiguration": { "S3AclOption": "BUCKET_OWNER_FULL_CONTROL" } } }),
            ),
            "AclConfiguration",
        ),
        (
            "StartQueryExecution",
            start(json!({ "ResultConfiguration": { "ExpectedBucketOwner": "123456789012" } })),
            "Owner",
        ),
    ];
    for (operation, input, words) in cases {
        let (status, output) = call(&world, operation, &input);
        assert_eq!(
            (status, output["__type"].as_str()),
            (400, Some("InvalidRequestException")),
            "{operation} of {input}: {output}"
        );
        assert!(output["Message"].as_str().unwrap().contains(words), "{operation} of {input}: {output}");
    }
    run(
        &world,
        &start(json!({ "ResultReuseConfiguration": { "ResultReuseByAgeConfiguration": { "Enabled": false } } })),
    )
    .await;
    run(&world, &start(json!({ "ResultConfiguration": { "ExpectedBucketOwner": "000000000000" } }))).await;
    assert!(
        ok(&world, "GetQueryResults", &results(json!({ "QueryResultType": "DATA_ROWS" })))["ResultSet"].is_object()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workgroups_come_in_pages() {
    let world = World::new().await;
    let all = ok(&world, "ListWorkGroups", &json!({}))["WorkGroups"].clone();
    let (mut pages, mut token) = (Vec::new(), None);
    loop {
        let mut list = json!({ "MaxResults": 1 });
        if let Some(token) = token {
            list["NextToken"] = token;
        }
        let page = ok(&world, "ListWorkGroups", &list);
        let groups = page["WorkGroups"].as_array().unwrap();
        assert_eq!(groups.len(), 1);
        pages.extend(groups.clone());
        token = page.get("NextToken").cloned();
        if token.is_none() {
            break;
        }
    }
    assert_eq!(json!(pages), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there_is_told_as_clients_look_for_it() {
    let world = World::new().await;
    run(&world, &json!({ "QueryString": "CREATE DATABASE market" })).await;
    let missing =
        |database: &str| json!({ "CatalogName": "AwsDataCatalog", "DatabaseName": database, "TableName": "zzz" });
    for (database, start) in [("market", "Unable to get table zzz"), ("nowhere", "Unable to get database nowhere")] {
        let (status, output) = call(&world, "GetTableMetadata", &missing(database));
        assert_eq!((status, output["__type"].as_str()), (400, Some("MetadataException")));
        let message = output["Message"].as_str().unwrap();
        assert!(message.starts_with(start), "{message}");
        let service =
            "(Service: AmazonDataCatalog; Status Code: 400; Error Code: EntityNotFoundException; Request ID: ";
        assert!(message.contains(service) && message.ends_with("; Proxy: null)"), "{message}");
    }
}

/// awswrangler puts the name of the database in backquotes.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_backquotes_is_that_database() {
    let world = World::new().await;
    run(&world, &json!({ "QueryString": "CREATE DATABASE market" })).await;
    let table = "CREATE EXTERNAL TABLE quotes (ticker string) STORED AS PARQUET LOCATION 's3://pregao-lake/quotes/'";
    for sql in [table, "DESCRIBE quotes", "SHOW CREATE TABLE quotes", "SELECT count(*) FROM quotes", "SHOW TABLES"] {
        run(&world, &json!({ "QueryString": sql, "QueryExecutionContext": { "Database": "`market`" } })).await;
    }
}
