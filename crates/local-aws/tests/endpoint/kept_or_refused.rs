//! S3 implements a parameter or refuses it: none is ignored. `tests/test_s3_parameters.py` tries every parameter of the API;
//! these tests send what no SDK sends, and check the effects of parameters.

use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumAlgorithm, ChecksumMode, ChecksumType, CreateBucketConfiguration, Delete,
    ObjectIdentifier,
};

use crate::protocols::exchange;
use crate::s3::{BUCKET, get, put};
use crate::{World, code};

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_none_is_not_looked_at() {
    let world = World::new().await;
    put(&world.lake.s3, "k", "0123456789").await;
    put(&world.lake.s3, "empty", "").await;
    let read = |key: &str, headers: &[(&str, &str)]| {
        let (status, _, body) = exchange(&world, &format!("GET /{BUCKET}/{key}"), headers, "");
        (status, body)
    };
    for range in ["bytes=4-2", "lines=0-1", "bytes=0-1,3-4", "bytes=a-b", "bytes=", "0-1"] {
        assert_eq!(read("k", &[("Range", range)]), (200, "0123456789".to_owned()), "{range}");
        let (status, head, _) = exchange(&world, &format!("HEAD /{BUCKET}/k"), &[("Range", range)], "");
        assert!(status == 200 && head.contains("content-length: 10"), "{range}: {head}");
    }
    assert_eq!(read("k", &[("Range", "bytes=2-3")]), (206, "23".to_owned()));
    assert_eq!(read("k", &[("Range", "bytes=8-99999999999999999999")]), (206, "89".to_owned()));
    assert_eq!(read("k", &[("Range", "bytes=0-1"), ("Range", "bytes=3-4")]), (200, "0123456789".to_owned()));
    for (key, range) in [("k", "bytes=10-"), ("k", "bytes=-0"), ("empty", "bytes=0-"), ("empty", "bytes=-5")] {
        let (status, body) = read(key, &[("Range", range)]);
        assert!(status == 416 && body.contains("<Code>InvalidRange</Code>"), "{key} {range}: {status} {body}");
    }
    let (status, body) = exchange_of_part(&world);
    assert!(status == 400 && body.contains("<Code>InvalidRequest</Code>"), "{body}");
}

fn exchange_of_part(world: &World) -> (u16, String) {
    let (status, _, body) = exchange(world, &format!("GET /{BUCKET}/k?partNumber=1"), &[("Range", "bytes=0-1")], "");
    (status, body)
}

/// A download that is resumed after the object was replaced would mix two versions.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_another_version_is_the_whole_object() {
    let world = World::new().await;
    let etag = put(&world.lake.s3, "k", "0123456789").await;
    let (_, head, _) = exchange(&world, &format!("HEAD /{BUCKET}/k"), &[], "");
    let modified = head.lines().find_map(|line| line.strip_prefix("last-modified: ")).expect("a date");
    // The headers are in lower case.
    let modified = modified.split(' ').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<Vec<_>>().join(" ");
    let modified = modified.replace("Gmt", "GMT");
    let read = |version: &str| {
        let headers = [("Range", "bytes=2-3"), ("If-Range", version)];
        exchange(&world, &format!("GET /{BUCKET}/k"), &headers, "").0
    };
    assert_eq!((read(&etag), read(&modified)), (206, 206), "{etag} {modified}");
    assert_eq!((read("\"0123\""), read("W/\"0123\""), read("Thu, 01 Jan 2015 00:00:00 GMT")), (200, 200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_not_known_is_never_a_plain_put() {
    let world = World::new().await;
    put(&world.lake.s3, "k", "the bytes").await;
    for (request, headers) in [
        ("PUT /pregao-raw/k?renameObject", &[("x-amz-rename-source", "/pregao-raw/a")][..]),
        ("PUT /pregao-raw/k?encryption", &[]),
        ("PUT /pregao-raw/k?uploadId=x", &[]),
        ("PUT /pregao-raw/k?partNumber=1", &[]),
        ("PUT /pregao-raw/k", &[("x-amz-of-next-year", "x")]),
        ("PUT /pregao-raw/k", &[("x-amz-write-offset-bytes", "3")]),
        ("PUT /pregao-raw/k", &[("Content-Range", "bytes 0-1/2")]),
        ("PUT /pregao-raw/k?x-amz-storage-class=GLACIER&X-Amz-Signature=0", &[]),
        ("DELETE /pregao-raw/k", &[("If-None-Match", "*")]),
        ("DELETE /pregao-raw/k?annotation", &[]),
    ] {
        let (status, _, body) = exchange(&world, request, headers, "forged");
        assert!(status == 501 && body.contains("<Code>NotImplemented</Code>"), "{request}: {status} {body}");
    }
    let two = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-sha256", "x")];
    let (status, _, body) = exchange(&world, "PUT /pregao-raw/k", &two, "forged");
    assert!(status == 400 && body.contains("<Code>InvalidRequest</Code>"), "{body}");
    assert_eq!(get(&world.lake.s3, "k").await, b"the bytes");
}

/// Its fields have other names than those of a PUT, and s3s ignores unknown ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_refused_as_a_whole() {
    let world = World::new().await;
    put(&world.lake.s3, "k", "the bytes").await;
    let field =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let form = format!("{}{}{}--b--\r\n", field("key", "k"), field("acl", "public-read"), field("file", "forged"));
    for request in ["POST /pregao-raw", "POST /pregao-raw/", "POST /pregao-raw?delete", "POST /pregao-raw/k?uploads"] {
        let kind = [("Content-Type", "multipart/form-data; boundary=b")];
        let (status, _, body) = exchange(&world, request, &kind, &form);
        assert!(status == 501 && body.contains("<Code>NotImplemented</Code>"), "{request}: {status} {body}");
    }
    assert_eq!(get(&world.lake.s3, "k").await, b"the bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_what_its_sender_wrote() {
    let world = World::new().await;
    put(&world.lake.s3, "k", "bytes").await;
    let document = "<Delete><Object><Key>k</Key></Object></Delete>";
    for (header, value, refusal) in [
        ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==", "BadDigest"),
        ("Content-MD5", "no base64", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-content-sha256", &"0".repeat(64), "XAmzContentSHA256Mismatch"),
    ] {
        let (status, _, body) = exchange(&world, "POST /pregao-raw?delete", &[(header, value)], document);
        assert!(status == 400 && body.contains(&format!("<Code>{refusal}</Code>")), "{header}: {body}");
    }
    assert_eq!(get(&world.lake.s3, "k").await, b"bytes");
    let s3 = &world.lake.s3;
    let sized = ObjectIdentifier::builder().key("k").size(1).build().expect("a key");
    let batch = Delete::builder().objects(sized).build().expect("objects");
    assert_eq!(code(s3.delete_objects().bucket(BUCKET).delete(batch).send().await), "NotImplemented");
    assert_eq!(get(s3, "k").await, b"bytes");
    let (status, _, body) = exchange(&world, "POST /pregao-raw?delete", &[], document);
    assert!(status == 200 && body.contains("<Deleted><Key>k</Key>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_an_answer_is_in_it() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    put(s3, "k", "bytes").await;
    let read = s3.get_object().bucket(BUCKET).key("k").response_content_type("text/csv");
    let read = read.response_content_disposition("attachment").response_cache_control("no-store").send().await;
    let read = read.expect("an object");
    assert_eq!(read.content_type(), Some("text/csv"));
    assert_eq!((read.content_disposition(), read.cache_control()), (Some("attachment"), Some("no-store")));
    let owned = s3.list_objects_v2().bucket(BUCKET).fetch_owner(true).send().await.expect("a listing");
    assert_eq!(owned.contents()[0].owner().and_then(|owner| owner.id()), Some(local_aws::ACCOUNT));
    let page = s3.list_buckets().max_buckets(2).send().await.expect("a listing");
    assert_eq!(page.buckets().len(), 2);
    let rest = s3.list_buckets().max_buckets(2).set_continuation_token(page.continuation_token.clone()).send().await;
    let rest = rest.expect("a listing");
    assert!(rest.continuation_token().is_none() && rest.buckets()[0].name() > page.buckets()[1].name());
    let elsewhere = s3.list_buckets().bucket_region("eu-west-1").send().await.expect("a listing");
    assert!(elsewhere.buckets().is_empty());
    let region = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuWest1).build();
    let made = s3.create_bucket().bucket("elsewhere").create_bucket_configuration(region).send().await;
    assert_eq!(code(made), "IllegalLocationConstraintException");
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_those_that_were_asked_for() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    put(s3, "k", "hello world").await;
    let copy = s3.copy_object().bucket(BUCKET).key("copy").copy_source("pregao-raw/k");
    let copied = copy.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.expect("a copy");
    let sha256 = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
    assert_eq!(copied.copy_object_result().and_then(|result| result.checksum_sha256()), Some(sha256));
    let head = s3.head_object().bucket(BUCKET).key("copy").checksum_mode(ChecksumMode::Enabled).send().await;
    assert_eq!(head.expect("an object").checksum_sha256(), Some(sha256));

    let create = || s3.create_multipart_upload().bucket(BUCKET).key("parts");
    for (algorithm, kind) in [
        (Some(ChecksumAlgorithm::Sha256), ChecksumType::FullObject),
        (Some(ChecksumAlgorithm::Crc64Nvme), ChecksumType::Composite),
        (None, ChecksumType::FullObject),
    ] {
        let refused = create().set_checksum_algorithm(algorithm.clone()).checksum_type(kind).send().await;
        assert_eq!(code(refused), "InvalidRequest", "{algorithm:?}");
    }
    let whole = create().checksum_algorithm(ChecksumAlgorithm::Crc32).checksum_type(ChecksumType::FullObject);
    assert_eq!(whole.send().await.expect("an upload").checksum_type(), Some(&ChecksumType::FullObject));
}
