//! S3's answers, as AWS gives them: codes, messages, and what is beside them. Each line of a table is a request in words, the
//! request, and parts of its answer.

use crate::World;
use crate::protocols::exchange;

/// What a request is about, its line, its headers and its body, and the status and parts of the answer: of its body, or, where
/// they begin with a small letter and a colon follows, of its head.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a [&'a str]);

fn check(world: &World, cases: &[Case<'_>]) {
    for (what, request, headers, body, status, parts) in cases {
        let (found, head, answer) = exchange(world, request, headers, body);
        let answer = answer.replace("&apos;", "'").replace("&quot;", "\"");
        assert_eq!(found, *status, "{what}: {head}\n{answer}");
        for part in *parts {
            assert!(head.contains(part) || answer.contains(part), "{what}: no {part}\n{head}\n{answer}");
        }
    }
}

/// Returns the text of an element.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let found = body.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<'));
    let (value, _) = found.unwrap_or_else(|| panic!("{name}: {body}"));
    value
}

fn begin(world: &World, key: &str, headers: &[(&str, &str)]) -> String {
    let (status, _, body) = exchange(world, &format!("POST /pregao-raw/{key}?uploads"), headers, "");
    assert_eq!(status, 200, "{body}");
    element(&body, "UploadId").to_owned()
}

/// Uploads a part and returns its ETag.
fn part(world: &World, key: &str, upload: &str, number: u32, headers: &[(&str, &str)], bytes: &str) -> String {
    let request = format!("PUT /pregao-raw/{key}?partNumber={number}&uploadId={upload}");
    let (status, head, body) = exchange(world, &request, headers, bytes);
    assert_eq!(status, 200, "{body}");
    head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an ETag").to_owned()
}

/// The document that completes an upload of one part.
fn parts(etag: &str, checksum: &str) -> String {
    format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{checksum}</Part>\
         </CompleteMultipartUpload>"
    )
}

/// The ETag of `0123456789`.
const ETAG: &str = "\"781e5e245d69b566979b86e28d23f2c7\"";
const PAST: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
const FUTURE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
const OTHER_VERSION: &str = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD";
const NOT_HELD: &str = "<Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did \
                        not hold</Message>";
const NOT_IMPLEMENTED: &str = "<Code>NotImplemented</Code><Message>A header you provided implies functionality that is \
                               not implemented</Message>";

#[tokio::test(flavor = "multi_thread")]
async fn reads() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "0123456789").await;
    let get = "GET /pregao-raw/k";
    check(
        &world,
        &[
            (
                "no object",
                "GET /pregao-raw/a%26b",
                &[],
                "",
                404,
                &["<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&amp;b</Key>"],
            ),
            (
                "no bucket",
                "GET /no-such-bucket/k",
                &[],
                "",
                404,
                &[
                    "<Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message>",
                    "<BucketName>no-such-bucket</BucketName><RequestId>",
                ],
            ),
            (
                "an ETag that is not the object's",
                get,
                &[("If-Match", "\"0\"")],
                "",
                412,
                &[NOT_HELD, "<Condition>If-Match</Condition>"],
            ),
            (
                "an object that changed since",
                get,
                &[("If-Unmodified-Since", PAST)],
                "",
                412,
                &[NOT_HELD, "<Condition>If-Unmodified-Since</Condition>"],
            ),
            ("the ETag before the date", get, &[("If-Match", ETAG), ("If-Unmodified-Since", PAST)], "", 200, &[]),
            ("an object that the client has", get, &[("If-None-Match", ETAG)], "", 304, &["etag: "]),
            (
                "one that the client has, and that changed",
                get,
                &[("If-None-Match", ETAG), ("If-Modified-Since", PAST)],
                "",
                304,
                &[],
            ),
            ("a change since tomorrow is not asked for", get, &[("If-Modified-Since", FUTURE)], "", 200, &[]),
            ("nor of the head", "HEAD /pregao-raw/k", &[("If-Modified-Since", FUTURE)], "", 200, &[]),
            (
                "an empty version",
                "GET /pregao-raw/k?versionId=",
                &[],
                "",
                400,
                &["Version id cannot be the empty string"],
            ),
            ("a date that is none", get, &[("If-Modified-Since", "yesterday")], "", 200, &[]),
            ("an ETag without quotes", get, &[("If-Match", "781e5e245d69b566979b86e28d23f2c7")], "", 200, &[]),
            ("no change before tomorrow", get, &[("If-Unmodified-Since", FUTURE)], "", 200, &[]),
            (
                "a range after the end",
                get,
                &[("Range", "bytes=10-20")],
                "",
                416,
                &[
                    "<Code>InvalidRange</Code><Message>The requested range is not satisfiable</Message>",
                    "<RangeRequested>bytes=10-20</RangeRequested><ActualObjectSize>10</ActualObjectSize>",
                ],
            ),
            ("an object is one part", "GET /pregao-raw/k?partNumber=1", &[], "", 206, &["content-range: bytes 0-9/10"]),
            ("and its head", "HEAD /pregao-raw/k?partNumber=1", &[], "", 206, &["content-length: 10"]),
            (
                "it has no second part",
                "GET /pregao-raw/k?partNumber=2",
                &[],
                "",
                416,
                &[
                    "<Code>InvalidPartNumber</Code><Message>The requested partnumber is not satisfiable</Message>",
                    "<PartNumberRequested>2</PartNumberRequested><ActualPartCount>1</ActualPartCount>",
                ],
            ),
            (
                "parts are counted from 1",
                "GET /pregao-raw/k?partNumber=0",
                &[],
                "",
                400,
                &[
                    "<Code>InvalidArgument</Code>",
                    "<ArgumentName>partNumber</ArgumentName><ArgumentValue>0</ArgumentValue>",
                ],
            ),
            (
                "a part and a range",
                "GET /pregao-raw/k?partNumber=1",
                &[("Range", "bytes=0-1")],
                "",
                400,
                &["<Code>InvalidRequest</Code>", "Cannot specify both Range header and partNumber query parameter"],
            ),
            ("and of the head", "HEAD /pregao-raw/k?partNumber=1", &[("Range", "bytes=0-1")], "", 400, &[]),
        ],
    );
    for range in ["bytes=1-0", "bytes=-1-", "bytes=0--1", "bytes=0-1,3-4", "0-1", "bytes=-", "bytes"] {
        check(&world, &[("a range that is none", get, &[("Range", range)], "", 200, &["0123456789"])]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_bucket_without_versions() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "0123456789").await;
    let other = format!("?versionId={OTHER_VERSION}");
    let refused: &[&str] = &[
        "<Code>InvalidArgument</Code><Message>Invalid version id specified</Message>",
        &format!("<ArgumentName>versionId</ArgumentName><ArgumentValue>{OTHER_VERSION}</ArgumentValue>"),
    ];
    for method in ["GET", "DELETE"] {
        check(&world, &[(method, &format!("{method} /pregao-raw/k{other}"), &[], "", 400, refused)]);
        check(&world, &[(method, &format!("{method} /pregao-raw/k{other}&tagging"), &[], "", 400, refused)]);
    }
    check(
        &world,
        &[
            ("the head", &format!("HEAD /pregao-raw/k{other}"), &[], "", 400, &[]),
            (
                "the source of a copy",
                "PUT /pregao-raw/c",
                &[("x-amz-copy-source", &format!("pregao-raw/k{other}"))],
                "",
                400,
                refused,
            ),
            ("the only version", "GET /pregao-raw/k?versionId=null", &[], "", 200, &["0123456789"]),
            (
                "a batch",
                "POST /pregao-raw?delete",
                &[],
                &format!("<Delete><Object><Key>k</Key><VersionId>{OTHER_VERSION}</VersionId></Object></Delete>"),
                200,
                &[
                    "<Error><Code>NoSuchVersion</Code><Key>k</Key><Message>The specified version does not exist.</Message>",
                    &format!("<VersionId>{OTHER_VERSION}</VersionId></Error>"),
                ],
            ),
            ("the object stays", "GET /pregao-raw/k", &[], "", 200, &["0123456789"]),
            (
                "the only version in a batch",
                "POST /pregao-raw?delete",
                &[],
                "<Delete><Object><Key>k</Key><VersionId>null</VersionId></Object></Delete>",
                200,
                &["<Deleted><Key>k</Key><VersionId>null</VersionId></Deleted>"],
            ),
            ("it is gone", "GET /pregao-raw/k", &[], "", 404, &[]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_deletions() {
    let world = World::new().await;
    for key in ["a", "b", "k"] {
        world.put("pregao-raw", key, "0123456789").await;
    }
    let delete = "DELETE /pregao-raw/k";
    check(
        &world,
        &[
            (
                "another time",
                delete,
                &[("x-amz-if-match-last-modified-time", PAST)],
                "",
                501,
                &[NOT_IMPLEMENTED, "<Header>x-amz-if-match-last-modified-time</Header>"],
            ),
            (
                "another size",
                delete,
                &[("x-amz-if-match-size", "3")],
                "",
                501,
                &["<Header>x-amz-if-match-size</Header>"],
            ),
            (
                "a version",
                "DELETE /pregao-raw/k?versionId=null",
                &[("If-Match", ETAG)],
                "",
                501,
                &["<Header>If-Match</Header>"],
            ),
            ("another ETag without quotes", delete, &[("If-Match", "badetag")], "", 412, &[NOT_HELD]),
            ("another ETag", delete, &[("If-Match", "\"0\"")], "", 412, &[NOT_HELD, "<Condition>If-Match</Condition>"]),
            ("no object", "DELETE /pregao-raw/none", &[("If-Match", "*")], "", 404, &["<Code>NoSuchKey</Code>"]),
            (
                "ETags in a batch",
                "POST /pregao-raw?delete",
                &[],
                &format!(
                    "<Delete><Object><Key>a</Key><ETag>\"0\"</ETag></Object>\
                     <Object><Key>b</Key><ETag>{ETAG}</ETag></Object>\
                     <Object><Key>none</Key><ETag>*</ETag></Object></Delete>"
                ),
                200,
                &[
                    "<Deleted><Key>b</Key></Deleted>",
                    "<Error><Code>PreconditionFailed</Code><Key>a</Key><Message>At least one of the pre-conditions",
                    "<Error><Code>NoSuchKey</Code><Key>none</Key>",
                ],
            ),
            ("what another ETag protects", "GET /pregao-raw/a", &[], "", 200, &[]),
            ("what its own does not", "GET /pregao-raw/b", &[], "", 404, &[]),
            ("its own ETag", delete, &[("If-Match", ETAG)], "", 204, &[]),
            (
                "a quiet batch names only errors",
                "POST /pregao-raw?delete",
                &[],
                "<Delete><Quiet>true</Quiet><Object><Key>a</Key><ETag>\"0\"</ETag></Object>\
                 <Object><Key>b</Key></Object></Delete>",
                200,
                &["<Error><Code>PreconditionFailed</Code><Key>a</Key>"],
            ),
            (
                "an empty batch",
                "POST /pregao-raw?delete",
                &[],
                "<Delete></Delete>",
                400,
                &["<Code>MalformedXML</Code><Message>The XML"],
            ),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_writes() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "0123456789").await;
    let value = "<additionalMessage>We don't accept the provided value of";
    check(
        &world,
        &[
            (
                "any object",
                "PUT /pregao-raw/k",
                &[("If-Match", "*")],
                "x",
                501,
                &[NOT_IMPLEMENTED, "<Header>If-Match</Header>", value],
            ),
            (
                "no object of this ETag",
                "PUT /pregao-raw/k",
                &[("If-None-Match", "\"0\"")],
                "x",
                501,
                &["<Header>If-None-Match</Header>", value],
            ),
            (
                "two",
                "PUT /pregao-raw/k",
                &[("If-Match", ETAG), ("If-None-Match", "*")],
                "x",
                501,
                &[NOT_IMPLEMENTED, "<Header>If-Match,If-None-Match</Header>"],
            ),
            (
                "a header that has no meaning here",
                "PUT /pregao-raw/k",
                &[("If-Modified-Since", PAST)],
                "x",
                501,
                &["<Header>If-Modified-Since</Header>"],
            ),
            (
                "there is one",
                "PUT /pregao-raw/k",
                &[("If-None-Match", "*")],
                "x",
                412,
                &[NOT_HELD, "<Condition>If-None-Match</Condition>"],
            ),
            (
                "another ETag",
                "PUT /pregao-raw/k",
                &[("If-Match", "\"0\"")],
                "x",
                412,
                &["<Condition>If-Match</Condition>"],
            ),
            (
                "an ETag of none",
                "PUT /pregao-raw/none",
                &[("If-Match", ETAG)],
                "x",
                404,
                &["<Code>NoSuchKey</Code>", "<Key>none</Key>"],
            ),
            ("nothing changed", "GET /pregao-raw/k", &[], "", 200, &["0123456789"]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn copies() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "0123456789").await;
    world.put("pregao-raw", "there", "x").await;
    let source = ("x-amz-copy-source", "pregao-raw/k");
    let copy = "PUT /pregao-raw/c";
    let same = "PUT /pregao-raw/k";
    let condition = |name: &str| format!("<Condition>x-amz-copy-source-{name}</Condition>");
    check(
        &world,
        &[
            (
                "another ETag",
                copy,
                &[source, ("x-amz-copy-source-if-match", "\"0\"")],
                "",
                412,
                &[NOT_HELD, &condition("If-Match")],
            ),
            (
                "changed since",
                copy,
                &[source, ("x-amz-copy-source-if-unmodified-since", PAST)],
                "",
                412,
                &[&condition("If-Unmodified-Since")],
            ),
            (
                "its own ETag",
                copy,
                &[source, ("x-amz-copy-source-if-none-match", ETAG)],
                "",
                412,
                &[NOT_HELD, &condition("If-None-Match")],
            ),
            (
                "a change since tomorrow is not asked for",
                copy,
                &[source, ("x-amz-copy-source-if-modified-since", FUTURE)],
                "",
                200,
                &[],
            ),
            (
                "the ETag before the date",
                copy,
                &[source, ("x-amz-copy-source-if-match", ETAG), ("x-amz-copy-source-if-unmodified-since", PAST)],
                "",
                200,
                &[".000Z</LastModified>"],
            ),
            ("over any object", copy, &[source, ("If-Match", "*")], "", 501, &["<Header>If-Match</Header>"]),
            (
                "over no object",
                "PUT /pregao-raw/there",
                &[source, ("If-None-Match", "*")],
                "",
                412,
                &["<Condition>If-None-Match</Condition>"],
            ),
            (
                "onto itself, nothing changed",
                same,
                &[source],
                "",
                400,
                &["<Code>InvalidRequest</Code><Message>This copy request is illegal"],
            ),
            ("onto itself, if it is not there", same, &[source, ("If-None-Match", "*")], "", 412, &[NOT_HELD]),
            ("onto itself, if it is this one", same, &[source, ("If-Match", ETAG)], "", 200, &[]),
            ("onto itself, in another class", same, &[source, ("x-amz-storage-class", "STANDARD_IA")], "", 200, &[]),
            ("its class", "HEAD /pregao-raw/k", &[], "", 200, &["x-amz-storage-class: standard_ia"]),
            ("a copy has its own class", copy, &[source], "", 200, &[]),
            (
                "which is in the listing",
                "GET /pregao-raw?prefix=c",
                &[],
                "",
                200,
                &["<StorageClass>STANDARD</StorageClass>"],
            ),
            (
                "a directive",
                copy,
                &[source, ("x-amz-metadata-directive", "MOVE")],
                "",
                400,
                &[
                    "<Message>Unknown metadata directive.</Message><ArgumentName>x-amz-metadata-directive</ArgumentName>",
                ],
            ),
            (
                "an empty source",
                copy,
                &[("x-amz-copy-source", "")],
                "",
                400,
                &["<Message>Invalid copy source bucket name</Message><ArgumentName>x-amz-copy-source</ArgumentName>"],
            ),
            (
                "a source without key",
                copy,
                &[("x-amz-copy-source", "pregao-raw")],
                "",
                400,
                &["<Message>Invalid copy source object key</Message>"],
            ),
            (
                "a source that is not encoded",
                copy,
                &[("x-amz-copy-source", "pregao-raw/%%%")],
                "",
                400,
                &["<Message>Invalid copy source encoding.</Message>"],
            ),
            (
                "no source",
                copy,
                &[("x-amz-copy-source", "pregao-raw/none")],
                "",
                404,
                &["<Code>NoSuchKey</Code>", "<Key>none</Key>"],
            ),
            (
                "no source's bucket",
                copy,
                &[("x-amz-copy-source", "nowhere/k")],
                "",
                404,
                &["<BucketName>nowhere</BucketName>"],
            ),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums() {
    let world = World::new().await;
    let put = "PUT /pregao-raw/k";
    let upload = begin(&world, "u", &[("x-amz-checksum-algorithm", "SHA256")]);
    let plain = begin(&world, "u", &[]);
    let full = begin(&world, "u", &[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")]);
    let begin_line = "POST /pregao-raw/u?uploads";
    let (sha256, crc32) = ("uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", "DUoRhQ==");
    let to = |id: &str| format!("PUT /pregao-raw/u?partNumber=1&uploadId={id}");
    check(
        &world,
        &[
            (
                "two right ones",
                put,
                &[("x-amz-checksum-sha256", sha256), ("x-amz-checksum-crc32", crc32)],
                "hello world",
                400,
                &[
                    "<Code>InvalidRequest</Code><Message>Expecting a single x-amz-checksum- header. Multiple checksum Types are \
                 not allowed.</Message>",
                ],
            ),
            (
                "one that cannot be",
                put,
                &[("x-amz-checksum-sha256", "TEST")],
                "hello world",
                400,
                &["<Code>InvalidRequest</Code><Message>Value for x-amz-checksum-sha256 header is invalid.</Message>"],
            ),
            (
                "an empty one",
                put,
                &[("x-amz-checksum-crc32", "")],
                "hello world",
                400,
                &["Value for x-amz-checksum-crc32 header is invalid."],
            ),
            (
                "a wrong one",
                put,
                &[("x-amz-checksum-crc32", "AAAAAA==")],
                "hello world",
                400,
                &[
                    "<Code>BadDigest</Code><Message>The CRC32 you specified did not match the calculated checksum.</Message>",
                ],
            ),
            (
                "an algorithm without a value",
                put,
                &[("x-amz-sdk-checksum-algorithm", "CRC32")],
                "hello world",
                400,
                &["x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-*"],
            ),
            (
                "an algorithm that is none",
                put,
                &[("x-amz-sdk-checksum-algorithm", "CRC")],
                "hello world",
                400,
                &["Value for x-amz-sdk-checksum-algorithm header is invalid."],
            ),
            (
                "an empty MD5",
                put,
                &[("Content-MD5", "")],
                "hello world",
                400,
                &[
                    "<Code>InvalidDigest</Code><Message>The Content-MD5 you specified was invalid.</Message><Content-MD5></Content-MD5>",
                ],
            ),
            (
                "an MD5 that is none",
                put,
                &[("Content-MD5", "bad")],
                "hello world",
                400,
                &["<Content-MD5>bad</Content-MD5>"],
            ),
            (
                "a wrong MD5",
                put,
                &[("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")],
                "hello world",
                400,
                &[
                    "<Code>BadDigest</Code><Message>The Content-MD5 you specified did not match what we received.</Message>",
                    "<CalculatedDigest>XrY7u+Ae7tCTyyK7j1rNww==</CalculatedDigest>",
                    "<ExpectedDigest>d41d8cd98f00b204e9800998ecf8427e</ExpectedDigest>",
                ],
            ),
            ("none", put, &[], "hello world", 200, &["x-amz-checksum-crc64nvme: ", "x-amz-checksum-type: full_object"]),
            (
                "none, and asked for",
                "HEAD /pregao-raw/k",
                &[("x-amz-checksum-mode", "ENABLED")],
                "",
                200,
                &["x-amz-checksum-crc64nvme: ", "x-amz-checksum-type: full_object"],
            ),
            ("in the listing", "GET /pregao-raw", &[], "", 200, &["<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"]),
            (
                "a part of another algorithm",
                &to(&upload),
                &[("x-amz-checksum-crc32", crc32)],
                "hello world",
                400,
                &[
                    "<Code>InvalidRequest</Code><Message>Checksum Type mismatch occurred, expected checksum Type: sha256, actual \
                 checksum Type: crc32</Message>",
                ],
            ),
            (
                "a part without one",
                &to(&upload),
                &[],
                "hello world",
                400,
                &["expected checksum Type: sha256, actual checksum Type: null"],
            ),
            (
                "a part of an upload without one",
                &to(&plain),
                &[("x-amz-checksum-crc32", crc32)],
                "hello world",
                200,
                &[],
            ),
            ("a part of a whole", &to(&full), &[], "hello world", 200, &[]),
            (
                "a composed CRC64NVME",
                begin_line,
                &[("x-amz-checksum-algorithm", "CRC64NVME"), ("x-amz-checksum-type", "COMPOSITE")],
                "",
                400,
                &[
                    "<Message>The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.</Message>",
                ],
            ),
            (
                "a SHA1 of the whole",
                begin_line,
                &[("x-amz-checksum-algorithm", "SHA1"), ("x-amz-checksum-type", "FULL_OBJECT")],
                "",
                400,
                &["The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm."],
            ),
            (
                "a type of none",
                begin_line,
                &[("x-amz-checksum-type", "COMPOSITE")],
                "",
                400,
                &["The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."],
            ),
            (
                "an unknown algorithm",
                begin_line,
                &[("x-amz-checksum-algorithm", "CRC")],
                "",
                400,
                &["<Code>InvalidRequest</Code><Message>Checksum algorithm provided is unsupported."],
            ),
            (
                "one that is not implemented",
                begin_line,
                &[("x-amz-checksum-algorithm", "XXHASH3")],
                "",
                501,
                &["<Header>x-amz-checksum-algorithm</Header>"],
            ),
            (
                "parts without algorithm",
                &format!("GET /pregao-raw/u?uploadId={plain}"),
                &[],
                "",
                200,
                &["<PartNumber>1</PartNumber>"],
            ),
        ],
    );
    let (_, _, listed) = exchange(&world, &format!("GET /pregao-raw/u?uploadId={plain}"), &[], "");
    assert!(!listed.contains("Checksum"), "{listed}");
    let (_, _, listed) = exchange(&world, &format!("GET /pregao-raw/u?uploadId={full}"), &[], "");
    assert_eq!((element(&listed, "ChecksumType"), element(&listed, "ChecksumCRC32")), ("FULL_OBJECT", crc32));
}

#[tokio::test(flavor = "multi_thread")]
async fn completions() {
    let world = World::new().await;
    let upload = begin(&world, "m", &[]);
    let etag = part(&world, "m", &upload, 1, &[], "x");
    let small = part(&world, "m", &upload, 2, &[], "y");
    let complete = format!("POST /pregao-raw/m?uploadId={upload}");
    let whole = parts(&etag, "");
    let two =
        whole.replace("</Complete", &format!("<Part><PartNumber>2</PartNumber><ETag>{small}</ETag></Part></Complete"));
    let list = two.replace(">1<", ">3<");
    let none = "POST /pregao-raw/m?uploadId=none";
    let unknown: &[&str] = &[
        "<Code>NoSuchUpload</Code><Message>The specified upload does not exist. The upload ID may be invalid, or the upload \
         may have been aborted or completed.</Message><UploadId>none</UploadId>",
    ];
    check(
        &world,
        &[
            ("an unknown upload", none, &[], &whole, 404, unknown),
            ("an unknown upload without parts", none, &[], "", 404, unknown),
            (
                "no parts",
                &complete,
                &[],
                "",
                400,
                &["<Code>InvalidRequest</Code><Message>You must specify at least one part</Message>"],
            ),
            (
                "an empty list",
                &complete,
                &[],
                "<CompleteMultipartUpload/>",
                400,
                &["You must specify at least one part"],
            ),
            (
                "another size",
                &complete,
                &[("x-amz-mp-object-size", "7")],
                &whole,
                400,
                &[
                    "<Code>InvalidRequest</Code>",
                    "The provided 'x-amz-mp-object-size' header value 7 does not match what was computed: 1",
                ],
            ),
            (
                "a part's checksum, of an upload without",
                &complete,
                &[],
                &parts(&etag, "<ChecksumCRC32>jNz+sQ==</ChecksumCRC32>"),
                400,
                &["<Code>InvalidPart</Code>"],
            ),
            (
                "a part that is 0",
                &complete,
                &[],
                &parts(&etag, "").replace(">1<", ">0<"),
                400,
                &["<Message>PartNumber must be &gt;= 1</Message>"],
            ),
            (
                "a part without ETag",
                &complete,
                &[],
                &parts("", "").replace("<ETag></ETag>", ""),
                400,
                &["<Code>MalformedXML</Code>"],
            ),
            (
                "a part without number",
                &complete,
                &[],
                &parts(&etag, "").replace("<PartNumber>1</PartNumber>", ""),
                400,
                &["<Code>MalformedXML</Code>"],
            ),
            (
                "another order",
                &complete,
                &[],
                &list,
                400,
                &[
                    "<Code>InvalidPartOrder</Code><Message>The list of parts was not in ascending order. Parts must be ordered \
                 by part number.</Message><UploadId>",
                ],
            ),
            (
                "another ETag",
                &complete,
                &[],
                &parts("\"0\"", ""),
                400,
                &[
                    "<Code>InvalidPart</Code><Message>One or more of the specified parts could not be found.  The part may not",
                    "<PartNumber>1</PartNumber><ETag>0</ETag>",
                ],
            ),
            (
                "a small part that is not the last",
                &complete,
                &[],
                &two,
                400,
                &[
                    "<Code>EntityTooSmall</Code><Message>Your proposed upload is smaller than the minimum allowed size</Message>",
                    "<ProposedSize>1</ProposedSize><MinSizeAllowed>5242880</MinSizeAllowed><PartNumber>1</PartNumber>",
                ],
            ),
            (
                "another type",
                &complete,
                &[("x-amz-checksum-type", "COMPOSITE")],
                &whole,
                400,
                &[
                    "The upload was created using the null checksum mode. The complete request must use the same checksum mode.",
                ],
            ),
            ("over any object", &complete, &[("If-Match", "*")], &whole, 501, &["<Header>If-Match</Header>"]),
            ("an ETag of none", &complete, &[("If-Match", ETAG)], &whole, 404, &["<Code>NoSuchKey</Code>"]),
            ("an object of that key", "PUT /pregao-raw/m", &[], "0123456789", 200, &[]),
            (
                "which is there",
                &complete,
                &[("If-None-Match", "*")],
                &whole,
                412,
                &["<Condition>If-None-Match</Condition>"],
            ),
            (
                "which is later",
                &complete,
                &[("If-Match", ETAG)],
                &whole,
                409,
                &[
                    "<Code>ConditionalRequestConflict</Code><Message>The conditional request cannot succeed due to a conflicting \
                 operation against this resource.</Message><Condition>If-Match</Condition><Key>m</Key>",
                ],
            ),
            ("and is deleted", "DELETE /pregao-raw/m", &[], "", 204, &[]),
            (
                "since the upload began",
                &complete,
                &[("If-None-Match", "*")],
                &whole,
                409,
                &["<Code>ConditionalRequestConflict</Code>", "<Condition>If-None-Match</Condition><Key>m</Key>"],
            ),
            ("without a condition", &complete, &[], &whole, 200, &["<ChecksumCRC64NVME>", "<ChecksumType>FULL_OBJECT"]),
            ("again", &complete, &[("If-None-Match", "*")], &whole, 200, &[]),
            ("another after it", &complete, &[], &two, 404, &["<Code>NoSuchUpload</Code>"]),
            ("the object's only part", "HEAD /pregao-raw/m?partNumber=1", &[], "", 206, &["x-amz-mp-parts-count: 1"]),
            (
                "no second one",
                "GET /pregao-raw/m?partNumber=2",
                &[],
                "",
                416,
                &["<ActualPartCount>1</ActualPartCount>"],
            ),
            (
                "an upload that ended",
                &format!("DELETE /pregao-raw/m?uploadId={upload}"),
                &[],
                "",
                404,
                &["<Code>NoSuchUpload</Code>"],
            ),
            ("of no bucket", "GET /no-such-bucket/m?uploadId=x", &[], "", 404, &["<Code>NoSuchBucket</Code>"]),
        ],
    );

    let sha256 = ("x-amz-checksum-sha256", "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=");
    let upload = begin(&world, "m", &[("x-amz-checksum-algorithm", "SHA256")]);
    let etag = part(&world, "m", &upload, 1, &[sha256], "hello world");
    let complete = format!("POST /pregao-raw/m?uploadId={upload}");
    let with = |checksum: &str| parts(&etag, checksum);
    let own = format!("<ChecksumSHA256>{}</ChecksumSHA256>", sha256.1);
    check(
        &world,
        &[
            (
                "the part's checksum is missing",
                &complete,
                &[],
                &with(""),
                400,
                &[
                    "<Code>InvalidRequest</Code><Message>The upload was created using a sha256 checksum. The complete request must \
                 include the checksum for each part. It was missing for part 1 in the request.</Message>",
                ],
            ),
            (
                "it is of another algorithm",
                &complete,
                &[],
                &with("<ChecksumCRC32>DUoRhQ==</ChecksumCRC32>"),
                400,
                &[
                    "<Code>BadDigest</Code><Message>The crc32 you specified for part 1 did not match what we received.</Message>",
                ],
            ),
            ("it is wrong", &complete, &[], &with(&own.replace("uU", "UU")), 400, &["<Code>InvalidPart</Code>"]),
            (
                "another type",
                &complete,
                &[("x-amz-checksum-type", "FULL_OBJECT")],
                &with(&own),
                400,
                &["The upload was created using the COMPOSITE checksum mode."],
            ),
            (
                "parts from 2 on",
                &complete,
                &[],
                &with(&own).replace("<PartNumber>1", "<PartNumber>2"),
                400,
                &["<Code>InvalidPart</Code>"],
            ),
            ("all of it", &complete, &[], &with(&own), 200, &["-1</ChecksumSHA256>", "<ChecksumType>COMPOSITE"]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_ranges() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "0123456789").await;
    let upload = begin(&world, "m", &[]);
    let copy = format!("PUT /pregao-raw/m?partNumber=1&uploadId={upload}");
    let source = ("x-amz-copy-source", "pregao-raw/k");
    let range = |range| [source, ("x-amz-copy-source-range", range)];
    check(
        &world,
        &[
            (
                "an end after the end",
                &copy,
                &range("bytes=0-100"),
                "",
                400,
                &[
                    "<Code>InvalidArgument</Code><Message>Range specified is not valid for source object of size: 10</Message>",
                    "<ArgumentName>x-amz-copy-source-range</ArgumentName><ArgumentValue>bytes=0-100</ArgumentValue>",
                ],
            ),
            (
                "a start after the end",
                &copy,
                &range("bytes=100-200"),
                "",
                400,
                &[
                    "<Code>InvalidRequest</Code><Message>The specified copy range is invalid for the source object size</Message>",
                ],
            ),
            (
                "no end",
                &copy,
                &range("bytes=5-"),
                "",
                400,
                &[
                    "<Message>The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
                 zero-based offsets of the first and last bytes to copy</Message>",
                    "<ArgumentValue>bytes=5-</ArgumentValue>",
                ],
            ),
            (
                "another ETag",
                &copy,
                &[source, ("x-amz-copy-source-if-match", "\"0\"")],
                "",
                412,
                &["<Condition>x-amz-copy-source-If-Match</Condition>"],
            ),
            (
                "parts are counted to 10000",
                &copy.replace("partNumber=1", "partNumber=10001"),
                &[source],
                "",
                400,
                &["<Message>Part number must be an integer between 1 and 10000, inclusive</Message>"],
            ),
            (
                "nothing was copied",
                &format!("GET /pregao-raw/m?uploadId={upload}"),
                &[],
                "",
                200,
                &["<NextPartNumberMarker>0</NextPartNumberMarker>"],
            ),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listings() {
    let world = World::new().await;
    for key in ["d/asub/1", "d/asub/2", "d/f1", "d/f2"] {
        world.put("pregao-raw", key, "x").await;
    }
    let invalid = "<Code>InvalidArgument</Code>";
    check(
        &world,
        &[
            (
                "a marker in a folder",
                "GET /pregao-raw?prefix=d/&delimiter=/&max-keys=1&marker=d/asub/1",
                &[],
                "",
                200,
                &[
                    "<Key>d/f1</Key>",
                    "<NextMarker>d/f1</NextMarker>",
                    "<Owner><ID>000000000000</ID></Owner>",
                    ".000Z</LastModified>",
                ],
            ),
            (
                "a start in a folder",
                "GET /pregao-raw?list-type=2&prefix=d/&delimiter=/&start-after=d/asub/1",
                &[],
                "",
                200,
                &["<CommonPrefixes><Prefix>d/asub/</Prefix></CommonPrefixes>"],
            ),
            ("no more than a thousand", "GET /pregao-raw?max-keys=5000", &[], "", 200, &["<MaxKeys>1000</MaxKeys>"]),
            ("no number", "GET /pregao-raw?max-keys=", &[], "", 200, &["<MaxKeys>1000</MaxKeys>"]),
            (
                "a bad number",
                "GET /pregao-raw?list-type=2&max-keys=x",
                &[],
                "",
                400,
                &[
                    "<Message>Provided max-keys not an integer or within integer range</Message>",
                    "<ArgumentName>max-keys</ArgumentName><ArgumentValue>x</ArgumentValue>",
                ],
            ),
            (
                "a negative number",
                "GET /pregao-raw?max-keys=-1",
                &[],
                "",
                400,
                &["<Message>Argument maxKeys must be an integer between 0 and 2147483647</Message>"],
            ),
            (
                "an empty token",
                "GET /pregao-raw?list-type=2&continuation-token=",
                &[],
                "",
                400,
                &[
                    invalid,
                    "<Message>The continuation token provided is incorrect</Message>",
                    "<ArgumentName>continuation-token</ArgumentName>",
                ],
            ),
            (
                "a bad token",
                "GET /pregao-raw?list-type=2&continuation-token=!",
                &[],
                "",
                400,
                &["token provided is incorrect"],
            ),
            ("a bad token of buckets", "GET /?continuation-token=!", &[], "", 400, &["token provided is incorrect"]),
            (
                "no region",
                "GET /?bucket-region=nowhere",
                &[],
                "",
                400,
                &["Argument value nowhere is not a valid AWS Region", "<ArgumentName>bucket-region</ArgumentName>"],
            ),
            (
                "a region if there is a parameter",
                "GET /?prefix=pregao-raw",
                &[],
                "",
                200,
                &["<BucketRegion>us-east-1</BucketRegion>"],
            ),
            ("no buckets", "GET /?max-buckets=0", &[], "", 400, &["<ArgumentName>max-buckets</ArgumentName>"]),
            ("buckets by page", "GET /?max-buckets=1", &[], "", 200, &["<ContinuationToken>", ".000Z</CreationDate>"]),
            ("another version of the API", "GET /pregao-raw?list-type=3", &[], "", 400, &[invalid]),
        ],
    );
    for listing in ["GET /pregao-raw?", "GET /pregao-raw?list-type=2&", "GET /pregao-raw?uploads&"] {
        for encoding in ["value", ""] {
            let request = format!("{listing}encoding-type={encoding}");
            check(
                &world,
                &[(
                    "an encoding",
                    &request,
                    &[],
                    "",
                    400,
                    &[
                        "<Message>Invalid Encoding Method specified in Request</Message><ArgumentName>encoding-type</ArgumentName>",
                    ],
                )],
            );
        }
        let (_, _, body) =
            exchange(&world, &format!("{listing}delimiter=&start-after=").replace("&start-after=", ""), &[], "");
        assert!(!body.contains("<Delimiter>"), "{body}");
    }
    let (_, _, body) = exchange(&world, "GET /pregao-raw?list-type=2&start-after=&prefix=", &[], "");
    assert!(!body.contains("<StartAfter>") && body.contains("<Prefix></Prefix>"), "{body}");
    let (_, head, _) = exchange(&world, "HEAD /pregao-raw/d/f1", &[], "");
    let (_, _, body) = exchange(&world, "GET /pregao-raw?prefix=d/f1", &[], "");
    let second = &element(&body, "LastModified")[11..19];
    assert!(head.contains(second), "the instant of the listing is that of the head: {second} {head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_of_uploads() {
    let world = World::new().await;
    let list = |query: &str| exchange(&world, &format!("GET /pregao-raw?uploads{query}"), &[], "").2;
    let ids = |body: &str| -> Vec<String> {
        body.split("<UploadId>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default().to_owned()).collect()
    };
    let empty = list("");
    for name in ["KeyMarker", "UploadIdMarker", "NextKeyMarker", "NextUploadIdMarker"] {
        assert_eq!(element(&empty, name), "", "{name}");
    }
    let begun: Vec<String> = (0..5).map(|_| begin(&world, "a", &[])).collect();
    let other = begin(&world, "d/1", &[("x-amz-checksum-algorithm", "CRC32")]);
    begin(&world, "d/2", &[]);
    let all = list("");
    assert_eq!(ids(&all)[..5], begun, "in the order in which they were begun");
    assert_eq!(element(&all, "NextKeyMarker"), "d/2");
    assert!(all.contains("<Initiator><ID>000000000000</ID>") && all.contains("<Owner><ID>000000000000</ID>"), "{all}");
    assert!(all.contains("<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>") && all.contains(".000Z</Initiated>"), "{all}");
    let page = list(&format!("&max-uploads=2&key-marker=a&upload-id-marker={}", begun[1]));
    assert_eq!(ids(&page), begun[2..4]);
    assert_eq!((element(&page, "NextKeyMarker"), element(&page, "NextUploadIdMarker")), ("a", begun[3].as_str()));
    assert_eq!((element(&page, "IsTruncated"), element(&page, "UploadIdMarker")), ("true", begun[1].as_str()));
    assert_eq!(ids(&list("&key-marker=a")).len(), 2);
    let ignored = list("&upload-id-marker=anything");
    assert_eq!((ids(&ignored).len(), element(&ignored, "UploadIdMarker")), (7, ""), "an id without a key");
    let folders = list("&delimiter=/&max-uploads=6");
    assert!(folders.contains("<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"), "{folders}");
    assert_eq!((element(&folders, "NextKeyMarker"), element(&folders, "IsTruncated")), ("d/", "false"));
    assert_eq!(ids(&list("&delimiter=/&key-marker=d/")), Vec::<String>::new());
    assert_eq!(ids(&list("&prefix=d/&delimiter=/")).len(), 2);
    check(
        &world,
        &[(
            "a marker of another key",
            &format!("GET /pregao-raw?uploads&key-marker=a&upload-id-marker={other}"),
            &[],
            "",
            400,
            &[
                "<Code>InvalidArgument</Code><Message>Invalid uploadId marker</Message>",
                &format!("<ArgumentName>upload-id-marker</ArgumentName><ArgumentValue>{other}</ArgumentValue>"),
            ],
        )],
    );
    part(&world, "d/1", &other, 3, &[("x-amz-checksum-crc32", "DUoRhQ==")], "hello world");
    check(
        &world,
        &[(
            "parts",
            &format!("GET /pregao-raw/d/1?uploadId={other}&part-number-marker="),
            &[],
            "",
            200,
            &[
                "<PartNumberMarker>0</PartNumberMarker>",
                "<NextPartNumberMarker>3</NextPartNumberMarker>",
                "<Initiator><ID>000000000000</ID>",
                "<Owner><ID>000000000000</ID>",
                "<ChecksumType>COMPOSITE</ChecksumType>",
                "<ChecksumCRC32>DUoRhQ==</ChecksumCRC32>",
                ".000Z</LastModified>",
            ],
        )],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags() {
    let world = World::new().await;
    world.put("pregao-raw", "k", "x").await;
    let put = "PUT /pregao-raw/k?tagging";
    let tag = |key: &str, value: &str| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    let set = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let many: String = (0..11).map(|number| tag(&number.to_string(), "")).collect();
    let header = (0..11).map(|number| format!("{number}=x")).collect::<Vec<_>>().join("&");
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    let too_many = "<Code>BadRequest</Code><Message>Object tags cannot be greater than 10</Message>";
    check(
        &world,
        &[
            ("eleven", put, &[], &set(&many), 400, &[too_many]),
            ("eleven in a header", "PUT /pregao-raw/k", &[("x-amz-tagging", &header)], "y", 400, &[too_many]),
            ("of an upload too", "POST /pregao-raw/k?uploads", &[("x-amz-tagging", &header)], "", 400, &[too_many]),
            (
                "a long key",
                put,
                &[],
                &set(&tag(&long_key, "")),
                400,
                &["<Code>InvalidTag</Code><Message>The TagKey you have provided is invalid</Message><TagKey>"],
            ),
            ("no key", put, &[], &set(&tag("", "x")), 400, &["<Code>InvalidTag</Code>"]),
            (
                "a long value",
                put,
                &[],
                &set(&tag("a", &long_value)),
                400,
                &["<Message>The TagValue you have provided is invalid</Message><TagKey>a</TagKey><TagValue>"],
            ),
            ("a mark", put, &[], &set(&tag("a,b", "x")), 400, &["The TagKey you have provided is invalid"]),
            (
                "AWS's prefix",
                put,
                &[],
                &set(&tag("aws:x", "y")),
                400,
                &[
                    "<Code>InvalidTag</Code><Message>Your TagKey cannot be prefixed with aws:</Message><TagKey>aws:x</TagKey>",
                ],
            ),
            (
                "the same key twice",
                put,
                &[],
                &set(&(tag("a", "1") + &tag("a", "2"))),
                400,
                &[
                    "<Code>InvalidTag</Code><Message>Cannot provide multiple Tags with the same key</Message><TagKey>a</TagKey>",
                ],
            ),
            (
                "no value",
                put,
                &[],
                "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
                400,
                &["<Code>MalformedXML</Code><Message>The XML you provided was not well-formed or did not validate"],
            ),
            (
                "a header that is no query",
                "PUT /pregao-raw/k",
                &[("x-amz-tagging", "a=1&a=2")],
                "y",
                400,
                &[
                    "<Message>The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag \
                 name duplicates.</Message><ArgumentName>x-amz-tagging</ArgumentName><ArgumentValue>a=1&amp;a=2</ArgumentValue>",
                ],
            ),
            ("nothing was kept", "GET /pregao-raw/k?tagging", &[], "", 200, &["<TagSet></TagSet>"]),
            ("no object to read", "GET /pregao-raw/none?tagging", &[], "", 404, &["<Key>pregao-raw/none</Key>"]),
            ("no object", "PUT /pregao-raw/none?tagging", &[], &set(&tag("a", "b")), 404, &["<Code>NoSuchKey</Code>"]),
            ("ten", put, &[], &set(&many.replace(&tag("10", ""), "")), 200, &[]),
            ("their number", "HEAD /pregao-raw/k", &[], "", 200, &["x-amz-tagging-count: 10"]),
            ("with the object", "GET /pregao-raw/k", &[], "", 200, &["x-amz-tagging-count: 10"]),
            ("letters of any language", put, &[], &set(&tag("ação", "a b_.:/=+-@ç")), 200, &[]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets() {
    let world = World::new().await;
    let upload = |world: &World| {
        let (_, _, body) = exchange(world, "POST /mine/k?uploads", &[], "");
        element(&body, "UploadId").to_owned()
    };
    let region = |name: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{name}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    let invalid =
        "<Code>InvalidLocationConstraint</Code><Message>The specified location-constraint is not valid</Message>";
    check(
        &world,
        &[
            ("a bucket", "PUT /mine", &[], "", 200, &[]),
            (
                "its head",
                "HEAD /mine",
                &[],
                "",
                200,
                &["x-amz-bucket-region: us-east-1", "x-amz-access-point-alias: false"],
            ),
            ("again, by its owner", "PUT /mine", &[], "", 200, &["location: /mine"]),
            (
                "a name that is none",
                "PUT /No_Name",
                &[],
                "",
                400,
                &[
                    "<Code>InvalidBucketName</Code><Message>The specified bucket is not valid.</Message>",
                    "<BucketName>No_Name</BucketName>",
                ],
            ),
            ("a name that S3 keeps", "PUT /mine-s3alias", &[], "", 400, &["<BucketName>mine-s3alias</BucketName>"]),
            ("no constraint is of us-east-1", "PUT /other", &[], &region("us-east-1"), 400, &[invalid]),
            (
                "no region",
                "PUT /other",
                &[],
                &region("nowhere"),
                400,
                &[invalid, "<LocationConstraint>nowhere</LocationConstraint>"],
            ),
            (
                "another region",
                "PUT /other",
                &[],
                &region("eu-west-1"),
                400,
                &[
                    "<Code>IllegalLocationConstraintException</Code><Message>The eu-west-1 location constraint is incompatible",
                ],
            ),
            (
                "an empty configuration",
                "PUT /other",
                &[],
                "<CreateBucketConfiguration/>",
                400,
                &["<Code>MalformedXML</Code>"],
            ),
            (
                "tags",
                "PUT /other",
                &[],
                "<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>",
                501,
                &["<Code>NotImplemented</Code>"],
            ),
            (
                "an ACL",
                "PUT /other",
                &[("x-amz-acl", "public-read")],
                "",
                400,
                &["<Code>InvalidBucketAclWithObjectOwnership</Code>"],
            ),
            ("it was not made", "HEAD /other", &[], "", 404, &[]),
            ("an object", "PUT /mine/k", &[], "x", 200, &[]),
            (
                "a bucket with an object",
                "DELETE /mine",
                &[],
                "",
                409,
                &[
                    "<Code>BucketNotEmpty</Code><Message>The bucket you tried to delete is not empty</Message>",
                    "<BucketName>mine</BucketName>",
                ],
            ),
            ("its last object", "DELETE /mine/k", &[], "", 204, &[]),
        ],
    );
    let id = upload(&world);
    check(
        &world,
        &[
            ("a part", &format!("PUT /mine/k?partNumber=1&uploadId={id}"), &[], "x", 200, &[]),
            ("a bucket with nothing but an upload", "DELETE /mine", &[], "", 204, &[]),
            ("it is gone", "GET /mine", &[], "", 404, &["<BucketName>mine</BucketName>"]),
            ("a new one of its name", "PUT /mine", &[], "", 200, &[]),
        ],
    );
    let (_, _, listed) = exchange(&world, "GET /mine?uploads", &[], "");
    assert!(!listed.contains("<Upload>"), "{listed}");
    assert!(!world.home().join("s3-parts").join(id).exists(), "its parts are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_s3_refuses() {
    let world = World::new().await;
    let put = "PUT /pregao-raw/k";
    let lock =
        [("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z")];
    let metadata = "x".repeat(2048);
    let key = "z".repeat(1025);
    check(
        &world,
        &[
            (
                "an object that is locked",
                put,
                &lock,
                "x",
                400,
                &["<Code>InvalidRequest</Code><Message>Bucket is missing Object Lock Configuration</Message>"],
            ),
            ("half a lock", put, &lock[..1], "x", 400, &["<Code>InvalidArgument</Code>", "must both be supplied"]),
            (
                "a lock to pass by",
                "DELETE /pregao-raw/k",
                &[("x-amz-bypass-governance-retention", "true")],
                "",
                400,
                &["x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets."],
            ),
            (
                "an ACL",
                put,
                &[("x-amz-acl", "public-read")],
                "x",
                400,
                &["<Code>AccessControlListNotSupported</Code><Message>The bucket does not allow ACLs</Message>"],
            ),
            (
                "a grant",
                put,
                &[("x-amz-grant-read", "id=x")],
                "x",
                400,
                &["<Code>AccessControlListNotSupported</Code>"],
            ),
            (
                "an ACL that is none",
                put,
                &[("x-amz-acl", "mine")],
                "x",
                400,
                &[
                    "<Code>InvalidArgument</Code><ArgumentName>x-amz-acl</ArgumentName><ArgumentValue>mine</ArgumentValue>",
                ],
            ),
            (
                "a bucket of another account",
                put,
                &[("x-amz-expected-bucket-owner", "123456789012")],
                "x",
                403,
                &["<Code>AccessDenied</Code><Message>Access Denied</Message>"],
            ),
            (
                "read",
                "GET /pregao-raw",
                &[("x-amz-expected-bucket-owner", "123456789012")],
                "",
                403,
                &["<Code>AccessDenied</Code>"],
            ),
            (
                "an account that is none",
                put,
                &[("x-amz-expected-bucket-owner", "me")],
                "x",
                400,
                &["<Code>InvalidBucketOwnerAWSAccountID</Code>"],
            ),
            (
                "a class that is none",
                put,
                &[("x-amz-storage-class", "FAST")],
                "x",
                400,
                &[
                    "<Code>InvalidStorageClass</Code><Message>The storage class you specified is not valid</Message>",
                    "<StorageClassRequested>FAST</StorageClassRequested>",
                ],
            ),
            (
                "an archive",
                put,
                &[("x-amz-storage-class", "DEEP_ARCHIVE")],
                "x",
                501,
                &[NOT_IMPLEMENTED, "<Header>x-amz-storage-class</Header>"],
            ),
            (
                "a key of the client",
                put,
                &[("x-amz-server-side-encryption-customer-algorithm", "AES256")],
                "x",
                501,
                &["<Header>x-amz-server-side-encryption-customer-algorithm</Header>"],
            ),
            (
                "much metadata",
                put,
                &[("x-amz-meta-a", &metadata)],
                "x",
                400,
                &[
                    "<Code>MetadataTooLarge</Code><Message>Your metadata headers exceed the maximum allowed metadata size</Message>",
                    "<Size>2049</Size><MaxSizeAllowed>2048</MaxSizeAllowed>",
                ],
            ),
            (
                "a long key",
                &format!("PUT /pregao-raw/{key}"),
                &[],
                "x",
                400,
                &[
                    "<Code>KeyTooLongError</Code><Message>Your key is too long</Message><Size>1025</Size>",
                    "<MaxSizeAllowed>1024</MaxSizeAllowed>",
                ],
            ),
            ("nothing was put", "GET /pregao-raw/k", &[], "", 404, &[]),
            ("a class", put, &[("x-amz-storage-class", "STANDARD_IA")], "x", 200, &[]),
            ("is kept", "GET /pregao-raw/k", &[], "", 200, &["x-amz-storage-class: standard_ia"]),
            ("and listed", "GET /pregao-raw", &[], "", 200, &["<StorageClass>STANDARD_IA</StorageClass>"]),
            ("letters outside ASCII", put, &[("x-amz-meta-a", "ação ="), ("Cache-Control", "não")], "x", 200, &[]),
            (
                "in S3's form",
                "GET /pregao-raw/k",
                &[],
                "",
                200,
                &["x-amz-meta-a: =?utf-8?q?a=c3=a7=c3=a3o_=3d?=", "cache-control: não"],
            ),
        ],
    );
}
