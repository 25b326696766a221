//! Requests that no SDK sends: raw HTTP, and unknown operations.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::World;

/// The header `Authorization` of a request to EMR Serverless.
pub(crate) const EMR_SERVERLESS: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/emr-serverless/aws4_request, SignedHeaders=host, Signature=ab";

/// Sends a request and reads the whole response: status, headers and body.
pub(crate) fn exchange(world: &World, request: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
    let address = world.endpoint.url().replace("http://", "");
    let mut text = format!("{request} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

pub(crate) fn call(world: &World, target: &str, input: &Value) -> (u16, Value) {
    let (status, _, body) = exchange(world, "POST /", &[("X-Amz-Target", target)], &input.to_string());
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_operations_get_the_services_error() {
    let world = World::new().await;
    for target in
        ["AWSStepFunctions.Dance", "AmazonAthena.Dance", "ElasticMapReduce.Dance", "DynamoDB_20120810.ListTables", "x"]
    {
        let (status, body) = call(&world, target, &json!({}));
        assert_eq!((status, body["__type"].as_str()), (400, Some("UnknownOperationException")), "{target}");
    }
    let (status, body) = call(&world, "AWSStepFunctions.StartExecution", &json!({}));
    assert_eq!((status, body["__type"].as_str()), (400, Some("ValidationException")));
    assert!(body["message"].as_str().unwrap().contains("stateMachineArn"), "{body}");
    let (status, _, body) = exchange(&world, "POST /", &[("X-Amz-Target", "AmazonAthena.ListWorkGroups")], "{");
    assert_eq!(status, 400);
    assert!(body.contains("SerializationException"), "{body}");
    for (request, body, expected, name) in [
        ("POST /applications", "{}", 404, "UnknownOperationException"),
        ("PUT /applications", "", 404, "UnknownOperationException"),
        ("GET /applications/00other", "", 404, "ResourceNotFoundException"),
        ("GET /applications?maxResults=0", "", 400, "ValidationException"),
        ("POST /applications/00pregaolocal000/jobruns", "{", 400, "SerializationException"),
        ("POST /applications/00pregaolocal000/jobruns", "{}", 400, "ValidationException"),
    ] {
        let (status, head, body) = exchange(&world, request, &[("Authorization", EMR_SERVERLESS)], body);
        assert_eq!((status, header(&head, "x-amzn-errortype")), (expected, name.to_lowercase().as_str()), "{request}");
        assert!(body.starts_with(r#"{"message":""#), "{request}: {body}");
    }
    let (status, _, body) = exchange(&world, "GET /pregao-raw?versions", &[], "");
    assert_eq!(status, 501);
    assert!(body.contains("<Code>NotImplemented</Code>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_to_this_machine_are_answered() {
    let world = World::new().await;
    let (status, ..) = exchange(&world, "GET /pregao-raw", &[("Host", "evil.example.com")], "");
    assert_eq!(status, 403);
    let (status, ..) = exchange(&world, "GET /pregao-raw", &[("Host", "localhost:1")], "");
    assert_eq!(status, 200);
}

/// Returns the value of a header that occurs once.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let values: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
    assert_eq!(values.len(), 1, "{name}: {head}");
    values[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "bytes").await;
    let mut seen = Vec::new();
    for (request, status) in [
        ("GET /", 200),
        ("GET /pregao-raw?list-type=2", 200),
        ("GET /pregao-raw/k", 200),
        ("HEAD /pregao-raw/k", 200),
        ("HEAD /pregao-raw/missing", 404),
        ("PUT /pregao-raw/new", 200),
        ("DELETE /pregao-raw/new", 204),
        ("GET /pregao-raw/missing", 404),
        ("GET /no-such-bucket", 404),
        ("GET /pregao-raw?versions", 501),
        ("PATCH /pregao-raw/k", 501),
        ("GET /%ff", 400),
    ] {
        let (found, head, body) = exchange(&world, request, &[], "");
        assert_eq!(found, status, "{request}: {head}");
        let (id, host) = (header(&head, "x-amz-request-id"), header(&head, "x-amz-id-2"));
        assert!(id.len() == 16 && host.len() == 64, "{head}");
        seen.push(id.to_owned());
        if status >= 400 && !request.starts_with("HEAD") {
            let named = format!("<RequestId>{}</RequestId><HostId>", id.to_uppercase());
            assert!(body.contains(&named), "{request}: {body}");
            assert_eq!(header(&head, "content-length"), body.len().to_string());
        }
    }
    for target in ["AWSStepFunctions.ListStateMachines", "AmazonAthena.ListWorkGroups", "ElasticMapReduce.X", "x"] {
        let (_, head, _) = exchange(&world, "POST /", &[("X-Amz-Target", target)], "{}");
        seen.push(header(&head, "x-amzn-requestid").to_owned());
    }
    for request in
        ["GET /2015-03-31/functions", "POST /2015-03-31/functions/nobody/invocations", "GET /2015-03-31/functions/x"]
    {
        let (_, head, _) = exchange(&world, request, &[], "");
        seen.push(header(&head, "x-amzn-requestid").to_owned());
    }
    for request in ["GET /applications", "GET /applications/x", "PUT /applications"] {
        let (_, head, _) = exchange(&world, request, &[("Authorization", EMR_SERVERLESS)], "");
        seen.push(header(&head, "x-amzn-requestid").to_owned());
    }
    let (_, head, body) = exchange(&world, "GET /pregao-raw/k", &[("Host", "evil.example")], "");
    assert!(body.to_lowercase().contains(header(&head, "x-amz-request-id")), "{body}");
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "no two requests have one id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_seen_by_who_still_sends() {
    let world = World::new().await;
    // Larger than the buffers of a connection.
    let body = "x".repeat(8 << 20);
    for (request, headers, status) in [
        ("POST /pregao-raw/k", &[][..], 501),
        ("POST /", &[], 501),
        ("PUT /no-such-bucket/k?acl", &[], 501),
        ("PUT /pregao-raw/k", &[("Host", "evil.example")], 403),
        ("PUT /pregao-raw/k", &[("Origin", "http://evil.example")], 403),
        ("PUT /pregao-raw/k", &[("If-None-Match", "\"0123\"")], 501),
        ("POST /2015-03-31/functions/ingest/invocations", &[("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        let (found, _, answer) = exchange(&world, request, headers, &body);
        assert_eq!(found, status, "{request} {headers:?}: {answer}");
    }
    // A client that sends `Expect: 100-continue` does not send its body. The connection is closed, and the response says
    // so: botocore would send the next request over it, and take the end of the connection for a second 501.
    let mut stream = TcpStream::connect(world.endpoint.url().replace("http://", "")).unwrap();
    let head = "POST /pregao-raw/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    assert_eq!(header(&answer, "connection"), "close", "{answer}");
    // A body that was read to its end leaves the connection open.
    let mut stream = TcpStream::connect(world.endpoint.url().replace("http://", "")).unwrap();
    for _ in 0..2 {
        let request = "POST /pregao-raw/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nthe bytes";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 501") && !answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_credentials_are_taken_and_signed_chunks_put_together() {
    let world = World::new().await;
    let headers = [
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=x/20200401/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        ),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-decoded-content-length", "11"),
        ("Content-Encoding", "aws-chunked,gzip"),
    ];
    let body = "6;chunk-signature=00\r\nhello \r\n5;chunk-signature=00\r\nworld\r\n0;chunk-signature=00\r\n\r\n";
    let (status, head, _) = exchange(&world, "PUT /pregao-raw/k", &headers, body);
    assert_eq!(status, 200, "{head}");
    let (status, head, body) = exchange(&world, "GET /pregao-raw/k?X-Amz-Signature=00&X-Amz-Expires=1", &[], "");
    assert_eq!((status, body.as_str()), (200, "hello world"));
    assert!(head.contains("content-encoding: gzip") && !head.contains("aws-chunked"), "{head}");

    let wrong = [("x-amz-content-sha256", "0000000000000000000000000000000000000000000000000000000000000000")];
    let (status, _, body) = exchange(&world, "PUT /pregao-raw/wrong", &wrong, "x");
    assert!(status == 400 && body.contains("XAmzContentSHA256Mismatch"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_invoked() {
    let world = World::new().await;
    let invoke = |name: &str, headers: &[(&str, &str)], event: &str| {
        exchange(&world, &format!("POST /2015-03-31/functions/{name}/invocations"), headers, event)
    };
    let (status, head, body) = invoke("poll-step", &[], r#"{"cluster_id": "j-0000000000000"}"#);
    assert_eq!(status, 200);
    assert!(head.contains("x-amz-function-error: unhandled"), "{head}");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["errorType"], "InvalidInput");
    assert!(error["errorMessage"].as_str().unwrap().contains("step_id"), "{error}");

    assert_eq!(
        invoke(
            "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aingest",
            &[("X-Amz-Invocation-Type", "DryRun")],
            "{}"
        )
        .0,
        204
    );
    assert_eq!(invoke("ingest", &[("X-Amz-Invocation-Type", "Event")], "{}").0, 202);
    let (status, head, _) = invoke("nobody", &[], "{}");
    assert!(status == 404 && head.contains("x-amzn-errortype: resourcenotfoundexception"), "{head}");
    let (status, head, _) = invoke("ingest", &[], "{");
    assert!(status == 400 && head.contains("x-amzn-errortype: invalidrequestcontentexception"), "{head}");

    let (_, _, body) = exchange(&world, "GET /2015-03-31/functions/", &[], "");
    let listed: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(listed["Functions"].as_array().unwrap().len(), 8);
    let (_, _, body) = exchange(&world, "GET /2015-03-31/functions/ingest", &[], "");
    let found: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(found["Configuration"]["FunctionArn"], local_aws::function_arn("ingest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_chunked_as_it_says_is_the_clients_fault() {
    let world = World::new().await;
    let headers = [("Content-Encoding", "aws-chunked")];
    let body = "<Delete><Object><Key>a</Key></Object></Delete>";
    for request in ["PUT /pregao-raw", "PUT /pregao-raw/a", "POST /pregao-raw?delete", "PUT /pregao-raw/a?tagging"] {
        let (status, head, answer) = exchange(&world, request, &headers, body);
        assert_eq!(status, 400, "{request}: {head} {answer}");
        assert!(
            answer.contains("<Code>IncompleteBody</Code>") && answer.contains("aws-chunked"),
            "{request}: {answer}"
        );
    }
}
