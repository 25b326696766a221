//! `CompleteMultipartUpload` is idempotent: a client that lost the response repeats the call, and gets the object.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

use crate::protocols::exchange;
use crate::s3::{BUCKET, get, put};
use crate::{World, code};

async fn begin(s3: &Client, key: &str) -> String {
    let created = s3.create_multipart_upload().bucket(BUCKET).key(key).send().await.expect("an upload");
    created.upload_id.expect("an id")
}

async fn part(s3: &Client, key: &str, upload: &str, number: i32, bytes: &'static [u8]) -> CompletedPart {
    let sent = s3.upload_part().bucket(BUCKET).key(key).upload_id(upload).part_number(number);
    let sent = sent.body(ByteStream::from_static(bytes)).send().await.expect("a part");
    CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build()
}

macro_rules! complete {
    ($s3:expr, $key:expr, $upload:expr, $parts:expr) => {{
        let parts = CompletedMultipartUpload::builder().set_parts(Some($parts.to_vec())).build();
        $s3.complete_multipart_upload().bucket(BUCKET).key($key).upload_id($upload).multipart_upload(parts)
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_can_be_repeated() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let upload = begin(s3, "k").await;
    let parts = [part(s3, "k", &upload, 1, b"bytes").await];
    // The condition held when the object was created. It is not checked for the repetition.
    let first = complete!(s3, "k", &upload, parts).if_none_match("*").send().await.expect("an object");
    let again = complete!(s3, "k", &upload, parts).if_none_match("*").send().await.expect("the same object");
    assert_eq!(first.e_tag, again.e_tag);
    assert_eq!(first.checksum_crc32, again.checksum_crc32);
    assert!(first.e_tag().expect("an ETag").ends_with("-1\""));

    let world = world.restarted().await;
    let s3 = &world.lake.s3;
    let again = complete!(s3, "k", &upload, parts).send().await.expect("the same object");
    assert_eq!(first.e_tag, again.e_tag);
    assert_eq!(get(s3, "k").await, b"bytes");
    assert!(!world.home().join("s3-parts").join(&upload).exists(), "the parts are gone");
    let uploads = s3.list_multipart_uploads().bucket(BUCKET).send().await.expect("a listing");
    assert!(uploads.uploads().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_completion_is_none() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let upload = begin(s3, "k").await;
    let parts = [part(s3, "k", &upload, 1, b"bytes").await];
    complete!(s3, "k", &upload, parts).send().await.expect("an object");

    let other = CompletedPart::builder().part_number(1).e_tag("\"0123\"").build();
    assert_eq!(code(complete!(s3, "k", &upload, [other]).send().await), "NoSuchUpload");
    let other = CompletedPart::builder().part_number(2).set_e_tag(parts[0].e_tag.clone()).build();
    assert_eq!(code(complete!(s3, "k", &upload, [other]).send().await), "NoSuchUpload");
    assert_eq!(code(complete!(s3, "other", &upload, parts).send().await), "NoSuchUpload");
    assert_eq!(code(complete!(s3, "k", "other", parts).send().await), "NoSuchUpload");
    let late = s3.upload_part().bucket(BUCKET).key("k").upload_id(&upload).part_number(1).body(b"x".to_vec().into());
    assert_eq!(code(late.send().await), "NoSuchUpload");

    // A copy of the object, or a later version, is not the result of the upload.
    s3.copy_object().bucket(BUCKET).key("copy").copy_source("pregao-raw/k").send().await.expect("a copy");
    assert_eq!(code(complete!(s3, "copy", &upload, parts).send().await), "NoSuchUpload");
    put(s3, "k", "newer").await;
    assert_eq!(code(complete!(s3, "k", &upload, parts).send().await), "NoSuchUpload");
    assert_eq!(get(s3, "k").await, b"newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_at_once_are_one() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let upload = begin(s3, "k").await;
    let parts = [part(s3, "k", &upload, 1, b"bytes").await];
    let all = (0..16).map(|_| complete!(s3, "k", &upload, parts).send());
    let etags: Vec<_> = futures(all).await.into_iter().map(|answer| answer.expect("the object").e_tag).collect();
    assert!(etags.iter().all(|etag| *etag == etags[0]), "{etags:?}");
    assert_eq!(get(s3, "k").await, b"bytes");
}

async fn futures<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let running: Vec<_> = all.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for one in running {
        done.push(one.await.expect("no panic"));
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_the_whole_is_held_against_it() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let upload = begin(s3, "k").await;
    let parts = [part(s3, "k", &upload, 1, b"hello world").await];
    assert_eq!(code(complete!(s3, "k", &upload, parts).mpu_object_size(12).send().await), "InvalidRequest");
    assert_eq!(code(complete!(s3, "k", &upload, parts).checksum_crc32("AAAAAA==").send().await), "BadDigest");
    let claimed =
        CompletedPart::builder().part_number(1).set_e_tag(parts[0].e_tag.clone()).checksum_sha256("x").build();
    assert_eq!(code(complete!(s3, "k", &upload, [claimed]).send().await), "InvalidPart");
    let composite = complete!(s3, "k", &upload, parts).checksum_type(ChecksumType::Composite).send().await;
    assert_eq!(code(composite), "InvalidRequest");

    let create = s3.create_multipart_upload().bucket(BUCKET).key("k").checksum_algorithm(ChecksumAlgorithm::Crc32);
    let upload = create.send().await.expect("an upload").upload_id.expect("an id");
    let part = part(s3, "k", &upload, 1, b"hello world").await;
    let checksum = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).checksum_crc32("DUoRhQ==");
    let parts = [checksum.build()];
    let whole = complete!(s3, "k", &upload, parts).checksum_type(ChecksumType::FullObject).send().await;
    assert_eq!(code(whole), "InvalidRequest");
    assert_eq!(code(complete!(s3, "k", &upload, parts).checksum_sha256("x").send().await), "InvalidRequest");
    let made = complete!(s3, "k", &upload, parts).mpu_object_size(11).checksum_type(ChecksumType::Composite);
    let made = made.send().await.expect("an object");
    assert!(made.checksum_crc32().expect("a checksum").ends_with("-1"));
}

/// If an upload has no checksum, one that is sent with the completion is computed over all its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_that_comes_last_is_held_against_the_bytes() {
    let world = World::new().await;
    let (_, _, begun) = exchange(&world, "POST /pregao-raw/k?uploads", &[], "");
    let id = begun.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).expect("an id").to_owned();
    let (_, head, _) = exchange(&world, &format!("PUT /pregao-raw/k?partNumber=1&uploadId={id}"), &[], "hello world");
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an ETag").to_owned();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    // The header is the checksum of the object, and not of the request's document.
    let complete = |crc: &str| {
        exchange(&world, &format!("POST /pregao-raw/k?uploadId={id}"), &[("x-amz-checksum-crc32", crc)], &parts)
    };
    let (status, _, body) = complete("AAAAAA==");
    assert!(status == 400 && body.contains("<Code>BadDigest</Code>"), "{body}");
    let (status, _, body) = complete("DUoRhQ==");
    assert!(status == 200 && body.contains("<ChecksumCRC32>DUoRhQ==</ChecksumCRC32>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_range_is_of_the_source() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    put(s3, "ten", "0123456789").await;
    let upload = begin(s3, "k").await;
    let copy = |range: &str| {
        let copy = s3.upload_part_copy().bucket(BUCKET).key("k").upload_id(&upload).part_number(1);
        copy.copy_source("pregao-raw/ten").copy_source_range(range).send()
    };
    for range in ["bytes=10-10", "bytes=100-200"] {
        assert_eq!(code(copy(range).await), "InvalidRequest", "{range}");
    }
    for range in [
        "bytes=5-50",
        "bytes=0-10",
        "bytes=0-99999999999999999999",
        "bytes=5-",
        "bytes=-5",
        "bytes=8-3",
        "5-6",
        "bytes=0-1,3-4",
        "lines=0-1",
    ] {
        assert_eq!(code(copy(range).await), "InvalidArgument", "{range}");
    }
    let listed = s3.list_parts().bucket(BUCKET).key("k").upload_id(&upload).send().await.expect("a listing");
    assert!(listed.parts().is_empty(), "nothing was copied");
    let copied = copy("bytes=5-9").await.expect("a part").copy_part_result.expect("a result");
    let parts = [CompletedPart::builder().part_number(1).set_e_tag(copied.e_tag).build()];
    complete!(s3, "k", &upload, parts).send().await.expect("an object");
    assert_eq!(get(s3, "k").await, b"56789");
}
