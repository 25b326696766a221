//! Concurrent requests for the same cached value share one call of AWS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use lake::{Config, Lake};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An endpoint that answers like Glue and Athena, and counts the calls of each operation.
#[derive(Clone, Default)]
struct FakeAws {
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
    /// Whether the first call of `GetPartitions` is refused.
    refuse_first: bool,
}

impl FakeAws {
    /// Starts an explorer on this endpoint. Returns its address.
    async fn explorer(&self) -> SocketAddr {
        let endpoint = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", endpoint.local_addr().expect("an address"));
        let router = Router::new().fallback(respond).with_state(self.clone());
        tokio::spawn(async move { axum::serve(endpoint, router).await });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let lake = Lake::at_endpoint(Config::default(), &url);
        tokio::spawn(explorer::serve(lake, "pregao".to_owned(), listener, std::future::pending()));
        address
    }

    fn calls_of(&self, operation: &str) -> usize {
        self.calls.lock().expect("no panic").get(operation).copied().unwrap_or_default()
    }
}

async fn respond(State(aws): State<FakeAws>, headers: HeaderMap) -> impl IntoResponse {
    let target = headers["x-amz-target"].to_str().expect("ASCII");
    let operation = target.split('.').next_back().expect("an operation").to_owned();
    let count = {
        let mut calls = aws.calls.lock().expect("no panic");
        let count = calls.entry(operation.clone()).or_default();
        *count += 1;
        *count
    };
    // So that the other requests arrive while this one is being answered.
    tokio::time::sleep(Duration::from_millis(200)).await;
    if aws.refuse_first && operation == "GetPartitions" && count == 1 {
        let body = json!({ "__type": "AccessDeniedException", "Message": "not yet" });
        return (StatusCode::BAD_REQUEST, body.to_string());
    }
    let body = match operation.as_str() {
        "GetPartitions" => json!({ "Partitions": [{
            "Values": ["2020", "4", "1"],
            "StorageDescriptor": { "Location": "s3://pregao-lake/quotes/" },
        }] }),
        "StartQueryExecution" => json!({ "QueryExecutionId": "1" }),
        "GetQueryExecution" => json!({ "QueryExecution": { "Status": { "State": "SUCCEEDED" } } }),
        "GetQueryResults" => json!({ "ResultSet": {
            "ResultSetMetadata": { "ColumnInfo": [
                { "Name": "ticker", "Type": "varchar" },
                { "Name": "weight", "Type": "bigint" },
            ] },
            "Rows": [{ "Data": [{ "VarCharValue": "PETR4" }, { "VarCharValue": "7" }] }],
        } }),
        other => panic!("{other} is not expected"),
    };
    (StatusCode::OK, body.to_string())
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    response
}

#[tokio::test]
async fn ten_concurrent_requests_send_one_query() {
    let aws = FakeAws::default();
    let address = aws.explorer().await;
    let requests = (0..10).map(|_| get(address, "/api/instruments?typed=P"));
    for response in futures::future::join_all(requests).await {
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("PETR4"), "{response}");
    }
    assert_eq!(aws.calls_of("GetPartitions"), 1, "the published days");
    assert_eq!(aws.calls_of("StartQueryExecution"), 1, "the names of the latest day");
}

#[tokio::test]
async fn an_error_is_not_cached() {
    let aws = FakeAws { refuse_first: true, ..FakeAws::default() };
    let address = aws.explorer().await;
    let refused = get(address, "/api/instruments?typed=P").await;
    assert!(refused.contains("AccessDeniedException"), "{refused}");
    let response = get(address, "/api/instruments?typed=P").await;
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("PETR4"), "{response}");
}
