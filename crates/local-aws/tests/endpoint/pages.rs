//! Requests of web pages have no effect, whatever they send.

use crate::World;
use crate::protocols::{EMR_SERVERLESS, exchange};

const BUCKET: &str = "pregao-raw";
const KEY: &str = "quotes/date=2020-04-01/202004011320_flashpanel.csv";

/// Method, path, headers and body.
type Asked<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, &'a str);

/// The headers that browsers add to requests of a page from another origin.
const PAGES: [&[(&str, &str)]; 8] = [
    &[("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
    &[("Origin", "http://localhost:8000"), ("Sec-Fetch-Site", "same-site")],
    &[("Origin", "null")],
    &[("origin", "HTTP://EVIL.EXAMPLE")],
    &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
    &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "same-site")],
    &[("Referer", "http://evil.example/"), ("User-Agent", "Mozilla/5.0 (Macintosh) Version/12.0 Safari/605.1.15")],
    &[("Origin", "http://evil.example"), ("Upgrade", "websocket"), ("Connection", "Upgrade")],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_changes_nothing_and_reads_nothing() {
    let world = World::new().await;
    world.put(BUCKET, KEY, "the raw bytes").await;
    let delete = format!("<Delete><Object><Key>{KEY}</Key></Object></Delete>");
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{KEY}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nforged\r\n--b--\r\n"
    );
    let object = format!("/{BUCKET}/{KEY}");
    let (bucket, batch) = (format!("/{BUCKET}"), format!("/{BUCKET}?delete"));
    let text = ("Content-Type", "text/plain");
    let signed = ("Authorization", EMR_SERVERLESS);
    let requests: Vec<Asked> = vec![
        ("POST", &batch, vec![text], &delete),
        ("POST", &bucket, vec![("Content-Type", "multipart/form-data; boundary=b")], &form),
        ("PUT", &object, vec![text], "forged"),
        ("DELETE", &object, vec![], ""),
        ("GET", &object, vec![], ""),
        ("HEAD", &object, vec![], ""),
        ("OPTIONS", &object, vec![("Access-Control-Request-Method", "PUT")], ""),
        ("PATCH", &object, vec![], "forged"),
        ("GET", "/", vec![], ""),
        ("PUT", "/a-bucket-of-a-page", vec![], ""),
        ("DELETE", &bucket, vec![], ""),
        ("POST", "/2015-03-31/functions/ingest/invocations", vec![text], "{}"),
        ("GET", "/2015-03-31/functions", vec![], ""),
        ("GET", "/applications", vec![signed], ""),
        ("DELETE", "/applications/00pregaolocal000/jobruns/00x", vec![signed], ""),
        ("POST", "/", vec![text, ("X-Amz-Target", "AmazonAthena.ListWorkGroups")], "{}"),
        ("POST", "/", vec![text, ("X-Amz-Target", "AWSStepFunctions.ListStateMachines")], "{}"),
        ("POST", "/", vec![text, ("X-Amz-Target", "ElasticMapReduce.ListClusters")], "{}"),
        ("POST", "/", vec![text, ("X-Amz-Target", "x")], "{}"),
    ];
    for page in PAGES {
        for (method, path, headers, body) in &requests {
            let headers = [headers, page].concat();
            let (status, head, answer) = exchange(&world, &format!("{method} {path}"), &headers, body);
            assert_eq!(status, 403, "{method} {path} {headers:?}: {head}{answer}");
            assert!(!head.contains("access-control-allow"), "{head}");
            // In the form of the service.
            let form = if headers.iter().any(|(name, _)| *name == "X-Amz-Target") {
                "\"__type\":\"AccessDeniedException\""
            } else if headers.contains(&signed) {
                "{\"message\":"
            } else if path.starts_with("/2015") {
                "\"Type\":\"User\""
            } else {
                "<Code>AccessDenied</Code>"
            };
            assert!(*method == "HEAD" || answer.contains(form), "{method} {path}: {answer}");
        }
    }
    let kept = world.lake.s3.get_object().bucket(BUCKET).key(KEY).send().await.expect("it is there");
    assert_eq!(kept.body.collect().await.expect("a body").to_vec(), b"the raw bytes");
    assert_eq!(world.keys(BUCKET, "").await, [KEY], "and nothing else");
    let buckets = world.lake.s3.list_buckets().send().await.expect("a listing");
    assert!(buckets.buckets().iter().all(|bucket| bucket.name() != Some("a-bucket-of-a-page")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_and_programs_are_answered() {
    let world = World::new().await;
    world.put(BUCKET, KEY, "the raw bytes").await;
    let own = world.endpoint.url();
    for headers in [
        vec![],
        vec![("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        vec![("Sec-Fetch-Site", "same-origin"), ("Origin", own.as_str())],
        vec![("User-Agent", "Boto3/1.42"), ("Accept-Encoding", "identity")],
    ] {
        let (status, head, body) = exchange(&world, &format!("GET /{BUCKET}/{KEY}"), &headers, "");
        assert_eq!((status, body.as_str()), (200, "the raw bytes"), "{headers:?}");
        // A browser that opens it runs no script.
        for said in ["content-security-policy: default-src 'none'; sandbox", "x-content-type-options: nosniff"] {
            assert!(head.contains(said), "{head}");
        }
    }
}
