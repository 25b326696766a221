//! Raw requests to the endpoint, over a socket, for all of its services.
//!
//! Each connection gets an answer or is closed, also when a request never comes to its end. No answer is an internal error,
//! no panic is caught in silence, and whatever came before, the endpoint answers the next request.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use fuzz::{Random, Target};
use local_aws::{Endpoint, Options};
use tokio::runtime::Runtime;

/// How long an answer may begin to come before the request is taken for one that has no end.
const PATIENCE: Duration = Duration::from_millis(400);

/// The header by which a request is for EMR Serverless.
const EMR_SERVERLESS: &str =
    "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/emr-serverless/aws4_request, Signature=a\r\n";

#[test]
fn http() {
    let pieces = [
        "GET ",
        "PUT ",
        "POST ",
        "DELETE ",
        "HEAD ",
        "OPTIONS ",
        "/",
        "/pregao-raw",
        "/pregao-lake/a%2Fb",
        "?",
        "&",
        "=",
        "list-type=2",
        "delete",
        "uploads",
        "uploadId=x",
        "partNumber=1",
        "versions",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "\r\n",
        "\r\n\r\n",
        "Host: localhost\r\n",
        "Connection: close\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Range: bytes=0-1\r\n",
        "Origin: null\r\n",
        "x-amz-target: AWSStepFunctions.ListStateMachines\r\n",
        EMR_SERVERLESS,
        "x-amz-copy-source: /pregao-raw/a\r\n",
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n",
        "Content-Encoding: aws-chunked\r\n",
        "If-None-Match: *\r\n",
        "x-amz-tagging: a=b\r\n",
        "{}",
        "{\"",
        "null",
        "%00",
        "%ff",
        "..",
        "\u{0}",
        "é",
        ":",
        "<Delete>",
        "<Object><Key>a</Key></Object>",
        "</Delete>",
    ];
    Target::new("http").pieces(pieces).build(request).fixed_cases(300).run(check);
}

/// Requests that come to the operations: right in form, with fields of any kind.
fn request(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(2) {
        let request = match random.below(5) {
            0 | 1 => json_request(random),
            2 => s3_request(random),
            3 => emr_serverless_request(random),
            _ => lambda_request(random),
        };
        bytes.extend(request);
    }
    bytes
}

fn json_request(random: &mut Random) -> Vec<u8> {
    let operations = [
        "AWSStepFunctions.CreateStateMachine",
        "AWSStepFunctions.UpdateStateMachine",
        "AWSStepFunctions.DescribeStateMachine",
        "AWSStepFunctions.ListStateMachines",
        "AWSStepFunctions.ValidateStateMachineDefinition",
        "AWSStepFunctions.StartExecution",
        "AWSStepFunctions.StopExecution",
        "AWSStepFunctions.DescribeExecution",
        "AWSStepFunctions.ListExecutions",
        "AWSStepFunctions.GetExecutionHistory",
        "AWSStepFunctions.DescribeStateMachineForExecution",
        "AWSStepFunctions.Nonsense",
        "AmazonAthena.StartQueryExecution",
        "AmazonAthena.GetQueryExecution",
        "AmazonAthena.GetQueryResults",
        "AmazonAthena.StopQueryExecution",
        "AmazonAthena.ListQueryExecutions",
        "AmazonAthena.ListWorkGroups",
        "AmazonAthena.GetWorkGroup",
        "AmazonAthena.GetTableMetadata",
        "AmazonAthena.ListTableMetadata",
        "AmazonAthena.ListDatabases",
        "AmazonAthena.BatchGetQueryExecution",
        "ElasticMapReduce.RunJobFlow",
        "ElasticMapReduce.AddJobFlowSteps",
        "ElasticMapReduce.DescribeCluster",
        "ElasticMapReduce.DescribeStep",
        "ElasticMapReduce.ListSteps",
        "ElasticMapReduce.ListClusters",
        "ElasticMapReduce.CancelSteps",
        "ElasticMapReduce.TerminateJobFlows",
        "DynamoDB.ListTables",
        ".",
        "",
    ];
    let target = operations[random.below(operations.len())];
    let fields: Vec<String> = (0..random.below(5)).map(|_| field(random)).collect();
    let body = match random.below(8) {
        0 => value(random),
        1 => format!("{}1{}", "[".repeat(300), "]".repeat(300)),
        _ => format!("{{{}}}", fields.join(",")),
    };
    with_body("POST /", &format!("x-amz-target: {target}\r\n"), body.as_bytes(), random)
}

fn field(random: &mut Random) -> String {
    let names = [
        "stateMachineArn",
        "executionArn",
        "name",
        "definition",
        "roleArn",
        "input",
        "maxResults",
        "nextToken",
        "reverseOrder",
        "statusFilter",
        "QueryString",
        "QueryExecutionId",
        "QueryExecutionContext",
        "MaxResults",
        "NextToken",
        "WorkGroup",
        "ResultConfiguration",
        "CatalogName",
        "DatabaseName",
        "TableName",
        "ClusterId",
        "StepId",
        "Name",
        "Instances",
        "Steps",
        "JobFlowId",
        "JobFlowIds",
        "ReleaseLabel",
        "StepIds",
        "ClusterStates",
        "QueryExecutionIds",
        "clientToken",
        "executionRoleArn",
        "jobDriver",
        "configurationOverrides",
        "executionTimeoutMinutes",
        "error",
        "cause",
    ];
    format!("\"{}\":{}", names[random.below(names.len())], value(random))
}

fn value(random: &mut Random) -> String {
    let values = [
        "null",
        "true",
        "0",
        "-1",
        "1e999",
        "1.5",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        "[null]",
        "99999999999999999999",
        "\"arn:aws:states:us-east-1:000000000000:stateMachine:create_datalake\"",
        "\"arn:aws:states:us-east-1:000000000000:execution:create_datalake:x\"",
        "\"{\\\"StartAt\\\":\\\"A\\\",\\\"States\\\":{\\\"A\\\":{\\\"Type\\\":\\\"Pass\\\",\\\"End\\\":true}}}\"",
        "\"SELECT 1\"",
        "\"SELECT * FROM quotes\"",
        "\"SHOW TABLES\"",
        "\"{}\"",
        "\"{\\\"from\\\":\\\"2020-04-01\\\"}\"",
        "\"primary\"",
        "\"AwsDataCatalog\"",
        "\"pregao\"",
        "\"\\u0000\"",
        "\"é\"",
        "\"\\ud83d\\ude00\"",
        "\"RUNNING\"",
        "{\"Database\":\"pregao\"}",
        "{\"OutputLocation\":\"s3://pregao-results/x/\"}",
        "[\"x\"]",
        "\"j-1\"",
        "[{\"Name\":\"s\",\"HadoopJarStep\":{\"Jar\":\"command-runner.jar\",\"Args\":[\"spark-sql\"]}}]",
        "{\"KeepJobFlowAliveWhenNoSteps\":true}",
        "\"emr-7.0.0\"",
        "\"arn:aws:iam::000000000000:role/x\"",
        "{\"sparkSubmit\":{\"entryPoint\":\"s3://pregao-results/run_sql.py\"}}",
        "{\"monitoringConfiguration\":{\"s3MonitoringConfiguration\":{\"logUri\":\"s3://pregao-results/\"}}}",
    ];
    values[random.below(values.len())].to_owned()
}

fn s3_request(random: &mut Random) -> Vec<u8> {
    let method = ["GET", "PUT", "POST", "DELETE", "HEAD"][random.below(5)];
    let path = [
        "/",
        "/pregao-raw",
        "/pregao-raw/",
        "/pregao-raw/a",
        "/pregao-raw/a/b",
        "/none/a",
        "/pregao-raw/%2e%2e/x",
        "/pregao-raw/a%00b",
        "/pregao-raw/%ff",
        "/pregao-raw//",
        "//",
        "/PREGAO_RAW",
    ][random.below(12)];
    let queries = [
        "list-type=2",
        "prefix=a",
        "delimiter=%2F",
        "max-keys=0",
        "max-keys=x",
        "continuation-token=x",
        "start-after=a",
        "uploads",
        "uploadId=x",
        "partNumber=0",
        "partNumber=1",
        "delete",
        "tagging",
        "versions",
        "versionId=x",
        "acl",
        "location",
        "encoding-type=url",
        "marker=%ff",
        "x-id=GetObject",
        "attributes",
        "lifecycle",
    ];
    let query: Vec<&str> = (0..random.below(4)).map(|_| queries[random.below(queries.len())]).collect();
    let headers = [
        "Range: bytes=0-1\r\n",
        "Range: bytes=9-1\r\n",
        "Range: bytes=-0\r\n",
        "If-Match: *\r\n",
        "If-None-Match: *\r\n",
        "If-Modified-Since: x\r\n",
        "x-amz-copy-source: pregao-raw/a\r\n",
        "x-amz-copy-source: %\r\n",
        "x-amz-copy-source-range: bytes=0-9\r\n",
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n",
        "x-amz-decoded-content-length: 5\r\n",
        "x-amz-decoded-content-length: -5\r\n",
        "Content-Encoding: aws-chunked\r\n",
        "x-amz-checksum-crc32: AAAAAA==\r\n",
        "x-amz-checksum-sha256: x\r\n",
        "Content-MD5: x\r\n",
        "x-amz-meta-a: \u{e9}\r\n",
        "x-amz-tagging: a=%ff\r\n",
        "x-amz-trailer: x-amz-checksum-crc32\r\n",
        "x-amz-mp-object-size: 1\r\n",
        "x-amz-metadata-directive: REPLACE\r\n",
        "x-amz-storage-class: GLACIER\r\n",
        "Origin: http://evil.example\r\n",
    ];
    let headers: String = (0..random.below(4)).map(|_| headers[random.below(headers.len())]).collect();
    let bodies = [
        "",
        "hello",
        "5\r\nhello\r\n0\r\n\r\n",
        "<Delete><Object><Key>a</Key></Object></Delete>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        "<Delete><Object>",
        "<!DOCTYPE a>",
        "<?xml version=\"1.0\"?><Delete/>",
    ];
    let line =
        if query.is_empty() { format!("{method} {path}") } else { format!("{method} {path}?{}", query.join("&")) };
    with_body(&line, &headers, bodies[random.below(bodies.len())].as_bytes(), random)
}

fn lambda_request(random: &mut Random) -> Vec<u8> {
    let functions = ["ingest", "poll-step", "validate-partitions", "launch-emr-step", "none", "a/b", "%00", ""];
    let function = functions[random.below(functions.len())];
    let rest = ["/invocations", "", "/invocations?Qualifier=1", "/configuration"][random.below(4)];
    let fields: Vec<String> = (0..random.below(4)).map(|_| field(random)).collect();
    let headers = ["", "x-amz-invocation-type: Event\r\n", "x-amz-invocation-type: DryRun\r\n"][random.below(3)];
    let line = format!("{} /2015-03-31/functions/{function}{rest}", ["POST", "GET"][random.below(2)]);
    with_body(&line, headers, format!("{{{}}}", fields.join(",")).as_bytes(), random)
}

fn emr_serverless_request(random: &mut Random) -> Vec<u8> {
    let method = ["GET", "POST", "DELETE", "PATCH"][random.below(4)];
    let path = [
        "/applications",
        "/applications/00pregaolocal000",
        "/applications/00pregaolocal000/jobruns",
        "/applications/00pregaolocal000/jobruns/x",
        "/applications/00pregaolocal000/jobruns/%ff",
        "/applications/00pregaolocal000/stop",
        "/applications//jobruns",
        "/",
    ][random.below(8)];
    let queries = [
        "maxResults=1",
        "maxResults=-1",
        "nextToken=after-9223372036854775807",
        "nextToken=x",
        "states=RUNNING",
        "states=%ff",
        "createdAtAfter=2020-04-01T13%3A20%3A00Z",
        "createdAtBefore=%2B262142-01-01T00:00:00Z",
        "attempt=2",
        "mode=x",
        "&=",
    ];
    let query: Vec<&str> = (0..random.below(4)).map(|_| queries[random.below(queries.len())]).collect();
    let fields: Vec<String> = (0..random.below(6)).map(|_| field(random)).collect();
    let line = format!("{method} {path}?{}", query.join("&"));
    with_body(&line, EMR_SERVERLESS, format!("{{{}}}", fields.join(",")).as_bytes(), random)
}

fn with_body(line: &str, headers: &str, body: &[u8], random: &mut Random) -> Vec<u8> {
    let close = if random.once_in(4) { "" } else { "Connection: close\r\n" };
    let length = match random.below(10) {
        0 => body.len() + 1,
        1 => body.len().saturating_sub(1),
        _ => body.len(),
    };
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{close}{headers}").into_bytes();
    if random.once_in(8) {
        bytes.extend_from_slice(format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n").as_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(body);
    }
    bytes
}

fn check(bytes: &[u8]) {
    let server = Server::get();
    let mut random = Random::of(bytes);
    let longest = [1 << 20, 700, 20][random.below(3)];
    let answer = exchange(server.address, &random.cut(bytes, longest));
    let text = String::from_utf8_lossy(&answer);
    if !answer.is_empty() {
        assert!(text.starts_with("HTTP/1."), "no answer of HTTP: {}", answer.escape_ascii());
    }
    for line in text.lines().filter(|line| line.starts_with("HTTP/1.")) {
        let status = line.split(' ').nth(1).unwrap_or_default();
        assert!(!["500", "502"].contains(&status), "an internal error: {text}");
    }
    let alive =
        b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-amz-target: AmazonAthena.ListWorkGroups\r\n\
        Content-Length: 2\r\n\r\n{}";
    let answer = exchange(server.address, &[alive]);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "the next request: {}", answer.escape_ascii());
}

/// Sends the pieces, and returns what comes back until the other side closes the connection.
fn exchange(address: SocketAddr, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    stream.set_nodelay(true).expect("a socket");
    for piece in pieces {
        // It may close the connection before all has come.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // It waits for more, or for the next request. There will be none, which has to end it.
                stream.set_read_timeout(None).expect("a socket");
                let _ = stream.shutdown(Shutdown::Write);
            }
            Err(_) => return answer,
        }
    }
}

/// An endpoint for all cases.
struct Server {
    address: SocketAddr,
    _runtime: Runtime,
    _endpoint: Endpoint,
    _home: tempfile::TempDir,
}

impl Server {
    fn get() -> &'static Server {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let home = tempfile::tempdir().expect("a folder");
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            let starting = Endpoint::start(home.path(), lake::Config::default(), Options::default());
            let endpoint = runtime.block_on(starting).expect("a home of our own");
            let address = endpoint.url().replace("http://", "").parse().expect("an address");
            Server { address, _runtime: runtime, _endpoint: endpoint, _home: home }
        })
    }
}
