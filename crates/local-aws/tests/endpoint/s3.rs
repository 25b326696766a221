//! The semantics of S3 that the lake and its users rely on.

use std::collections::BTreeMap;
use std::fs;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete, EncodingType, MetadataDirective,
    ObjectIdentifier, Tag, Tagging,
};

use crate::{World, code};

pub(crate) const BUCKET: &str = "pregao-raw";

pub(crate) async fn put(s3: &Client, key: &str, bytes: impl Into<Vec<u8>>) -> String {
    let body = ByteStream::from(bytes.into());
    let output = s3.put_object().bucket(BUCKET).key(key).body(body).send().await.expect("the object is put");
    output.e_tag.expect("an ETag")
}

pub(crate) async fn get(s3: &Client, key: &str) -> Vec<u8> {
    let output =
        s3.get_object().bucket(BUCKET).key(key).send().await.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    output.body.collect().await.expect("a whole body").to_vec()
}

async fn keys(s3: &Client, prefix: &str) -> Vec<String> {
    let mut pages = s3.list_objects_v2().bucket(BUCKET).prefix(prefix).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.expect("a page").contents().iter().map(|object| object.key().expect("a key").to_owned()));
    }
    keys
}

pub(crate) fn status<T: std::fmt::Debug, E>(result: Result<T, SdkError<E>>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(error) => error.raw_response().expect("an answer").status().as_u16(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_plain_files_with_what_was_said_of_them() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let etag = s3
        .put_object()
        .bucket(BUCKET)
        .key("quotes/date=2020-04-01/a.csv")
        .body(ByteStream::from_static(b"hello world"))
        .content_type("text/csv")
        .metadata("origin", "floor")
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    assert_eq!(etag, "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"");
    let file = world.home().join("s3/pregao-raw/quotes/date=2020-04-01/a.csv");
    assert_eq!(fs::read(&file).unwrap(), b"hello world");

    let head = s3
        .head_object()
        .bucket(BUCKET)
        .key("quotes/date=2020-04-01/a.csv")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(11));
    assert_eq!(head.content_type(), Some("text/csv"));
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    assert_eq!(head.metadata().unwrap()["origin"], "floor");
    assert_eq!(head.checksum_crc32(), Some("DUoRhQ=="), "the SDK's checksum came as a trailer and is kept");
    assert!(head.last_modified().is_some());

    let missing = s3.get_object().bucket(BUCKET).key("missing").send().await;
    assert_eq!(code(missing), "NoSuchKey");
    let nowhere = s3.get_object().bucket("no-such-bucket").key("a").send().await;
    assert_eq!(code(nowhere), "NoSuchBucket");
    let unknown = s3.get_bucket_policy().bucket(BUCKET).send().await;
    assert_eq!(code(unknown), "NotImplemented");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_an_object_and_none_leaves_its_bucket() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let long = "x".repeat(300);
    let longest = "y/".repeat(508);
    let odd = [
        "a",
        "a/b",
        "a/b/c",
        "..",
        "../pregao-lake/stolen",
        "a/../../x",
        "//",
        "a//b",
        "folder/",
        "folder",
        ".",
        "./a",
        "ç/ã ó+&?%.csv",
        "tab\tand\u{1}control",
        "%2e%2e/x",
        long.as_str(),
        longest.as_str(),
        "a%2Fb",
    ];
    for key in odd {
        put(s3, key, format!("bytes of {key}")).await;
    }
    for key in odd {
        assert_eq!(get(s3, key).await, format!("bytes of {key}").as_bytes(), "{key:?}");
    }
    // XML cannot hold every character of a key: clients can request encoded names.
    let page = s3.list_objects_v2().bucket(BUCKET).encoding_type(EncodingType::Url).send().await.unwrap();
    let listed: Vec<&str> = page.contents().iter().filter_map(|object| object.key()).collect();
    let mut sorted = odd;
    sorted.sort_unstable();
    let expected: Vec<String> = sorted.iter().map(|key| escape(key)).collect();
    assert_eq!(listed, expected);
    assert!(keys_of_bucket(s3, "pregao-lake").await.is_empty());
    assert!(!world.home().join("s3/pregao-lake/stolen").exists());

    for key in odd {
        s3.copy_object()
            .bucket(BUCKET)
            .key(format!("copies/{key}"))
            .copy_source(format!("{BUCKET}/{}", escape(key)))
            .send()
            .await
            .unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    for key in odd {
        assert_eq!(get(s3, &format!("copies/{key}")).await, format!("bytes of {key}").as_bytes(), "{key:?}");
        s3.delete_object().bucket(BUCKET).key(format!("copies/{key}")).send().await.unwrap();
    }
    assert!(keys(s3, "").await.is_empty());
    let left: Vec<_> = fs::read_dir(world.home().join("s3/pregao-raw")).unwrap().collect();
    assert!(left.is_empty(), "empty folders go with their last object: {left:?}");

    let too_long = s3.put_object().bucket(BUCKET).key("z".repeat(1025)).body(ByteStream::from_static(b"")).send().await;
    assert_eq!(code(too_long), "KeyTooLongError");
}

async fn keys_of_bucket(s3: &Client, bucket: &str) -> Vec<String> {
    let page = s3.list_objects_v2().bucket(bucket).send().await.unwrap();
    page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
}

fn escape(key: &str) -> String {
    let escape = |byte: u8| match byte {
        b'-' | b'_' | b'.' | b'*' | b'/' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    key.bytes().map(escape).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_writers_who_want_to_be_first_one_is() {
    let world = World::new().await;
    for round in 0..5 {
        let key = format!("lock-{round}");
        let writers = (0..32).map(|writer| {
            let s3 = world.lake.s3.clone();
            let key = key.clone();
            tokio::spawn(async move {
                let body = ByteStream::from(vec![writer; 10_000]);
                s3.put_object().bucket(BUCKET).key(key).if_none_match("*").body(body).send().await.map(|_| writer)
            })
        });
        let mut winners = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(winner) => winners.push(winner),
                Err(error) => assert_eq!(error.code(), Some("PreconditionFailed")),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(get(&world.lake.s3, &key).await, vec![winners[0]; 10_000]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_for_reads_and_writes() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let old = put(s3, "k", "old").await;
    let new = s3
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .if_match(&old)
        .body(ByteStream::from_static(b"new"))
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    let late =
        s3.put_object().bucket(BUCKET).key("k").if_match(&old).body(ByteStream::from_static(b"late")).send().await;
    assert_eq!(code(late), "PreconditionFailed");
    let absent =
        s3.put_object().bucket(BUCKET).key("none").if_match(&old).body(ByteStream::from_static(b"x")).send().await;
    assert_eq!(code(absent), "NoSuchKey");
    assert_eq!(get(s3, "k").await, b"new");

    assert_eq!(status(s3.get_object().bucket(BUCKET).key("k").if_none_match(&new).send().await), 304);
    assert_eq!(status(s3.get_object().bucket(BUCKET).key("k").if_none_match(&old).send().await), 200);
    assert_eq!(status(s3.get_object().bucket(BUCKET).key("k").if_match(&old).send().await), 412);
    assert_eq!(status(s3.head_object().bucket(BUCKET).key("k").if_match(&old).send().await), 412);
    let modified = *s3.head_object().bucket(BUCKET).key("k").send().await.unwrap().last_modified().unwrap();
    assert_eq!(status(s3.get_object().bucket(BUCKET).key("k").if_modified_since(modified).send().await), 304);
    assert_eq!(status(s3.get_object().bucket(BUCKET).key("k").if_unmodified_since(modified).send().await), 200);
    assert_eq!(status(s3.delete_object().bucket(BUCKET).key("k").if_match(&old).send().await), 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_replaces_only_what_its_condition_allows() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    put(s3, "source", "one").await;
    let there = put(s3, "target", "two").await;
    let copy = |key: &str| s3.copy_object().bucket(BUCKET).key(key).copy_source(format!("{BUCKET}/source"));

    assert_eq!(code(copy("target").if_none_match("*").send().await), "PreconditionFailed");
    assert_eq!(code(copy("target").if_match("\"0\"").send().await), "PreconditionFailed");
    assert_eq!(get(s3, "target").await, b"two");

    copy("free").if_none_match("*").send().await.unwrap();
    copy("target").if_match(there).send().await.unwrap();
    assert_eq!(get(s3, "free").await, b"one");
    assert_eq!(get(s3, "target").await, b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_bytes_of_the_object() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let bytes: Vec<u8> = (0..=255).cycle().take(600_000).collect();
    put(s3, "k", bytes.clone()).await;
    let last = bytes.len() - 1;
    let cases = [
        ("bytes=0-0", 0..=0),
        ("bytes=5-9", 5..=9),
        ("bytes=599990-700000", 599_990..=last),
        ("bytes=262143-262145", 262_143..=262_145),
        ("bytes=-7", last - 6..=last),
        ("bytes=1-", 1..=last),
    ];
    for (range, expected) in cases {
        let output = s3.get_object().bucket(BUCKET).key("k").range(range).send().await.unwrap();
        assert_eq!(
            output.content_range(),
            Some(format!("bytes {}-{}/600000", expected.start(), expected.end()).as_str())
        );
        assert_eq!(output.body.collect().await.unwrap().to_vec(), bytes[expected], "{range}");
    }
    let beyond = s3.get_object().bucket(BUCKET).key("k").range("bytes=600000-").send().await;
    assert_eq!(code(beyond), "InvalidRange");
    assert_eq!(get(s3, "k").await, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_have_pages_of_a_thousand_and_roll_folders_up() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..2_500 {
        let s3 = s3.clone();
        puts.spawn(async move { put(&s3, &format!("many/{:02}/{number:05}", number % 50), "x").await });
        if puts.len() == 32 {
            puts.join_next().await;
        }
    }
    puts.join_all().await;

    let first = s3.list_objects_v2().bucket(BUCKET).prefix("many/").send().await.unwrap();
    assert_eq!((first.key_count(), first.is_truncated()), (Some(1000), Some(true)));
    assert!(
        first
            .contents()
            .iter()
            .all(|object| object.e_tag() == Some("\"9dd4e461268c8034f5c8564e155c67a6\"") && object.size() == Some(1))
    );
    let all = keys(s3, "many/").await;
    assert_eq!(all.len(), 2_500);
    assert!(all.is_sorted());

    let mut pages =
        s3.list_objects_v2().bucket(BUCKET).prefix("many/").delimiter("/").max_keys(7).into_paginator().send();
    let mut folders = Vec::new();
    while let Some(page) = pages.next().await {
        folders.extend(page.unwrap().common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()));
    }
    assert_eq!(folders, (0..50).map(|folder| format!("many/{folder:02}/")).collect::<Vec<_>>());

    let after = s3.list_objects_v2().bucket(BUCKET).start_after(&all[2_497]).send().await.unwrap();
    assert_eq!(after.contents().len(), 2);
    let old_style = s3
        .list_objects()
        .bucket(BUCKET)
        .delimiter("/")
        .max_keys(1)
        .prefix("many/")
        .marker("many/03/")
        .send()
        .await
        .unwrap();
    assert_eq!(old_style.next_marker(), Some("many/04/"));
    let bad_token = s3.list_objects_v2().bucket(BUCKET).continuation_token("!").send().await;
    assert_eq!(code(bad_token), "InvalidArgument");

    for batch in all.chunks(1000) {
        let objects = batch.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap()).collect();
        let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
        let output = s3.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
        assert_eq!(output.deleted().len(), batch.len());
    }
    assert!(keys(s3, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_keep_or_replace_what_is_said() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    s3.put_object()
        .bucket(BUCKET)
        .key("from")
        .content_type("text/csv")
        .metadata("a", "1")
        .tagging("t=x%20y")
        .body(ByteStream::from_static(b"bytes"))
        .send()
        .await
        .unwrap();
    s3.copy_object().bucket("pregao-lake").key("deep/to").copy_source("pregao-raw/from").send().await.unwrap();
    let kept = s3.head_object().bucket("pregao-lake").key("deep/to").send().await.unwrap();
    assert_eq!((kept.content_type(), kept.metadata().unwrap()["a"].as_str()), (Some("text/csv"), "1"));

    let same = s3.copy_object().bucket(BUCKET).key("from").copy_source("pregao-raw/from").send().await;
    assert_eq!(code(same), "InvalidRequest");
    for round in ["2", "3"] {
        let copy = s3.copy_object().bucket(BUCKET).key("from").copy_source("pregao-raw/from");
        copy.metadata_directive(MetadataDirective::Replace)
            .metadata("a", round)
            .content_type("text/plain")
            .send()
            .await
            .unwrap();
        let replaced = s3.head_object().bucket(BUCKET).key("from").send().await.unwrap();
        assert_eq!((replaced.content_type(), replaced.metadata().unwrap()["a"].as_str()), (Some("text/plain"), round));
    }
    put(s3, "from", "other bytes").await;
    let copied = s3.get_object().bucket("pregao-lake").key("deep/to").send().await.unwrap();
    assert_eq!(copied.body.collect().await.unwrap().to_vec(), b"bytes", "a copy is a copy");

    let tags = s3.get_object_tagging().bucket("pregao-lake").key("deep/to").send().await.unwrap();
    assert_eq!((tags.tag_set()[0].key(), tags.tag_set()[0].value()), ("t", "x y"));
    let tag = Tag::builder().key("day").value("1").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    s3.put_object_tagging().bucket(BUCKET).key("from").tagging(tagging).send().await.unwrap();
    let tags = s3.get_object_tagging().bucket(BUCKET).key("from").send().await.unwrap();
    assert_eq!(tags.tag_set().len(), 1);

    let changed = s3
        .copy_object()
        .bucket(BUCKET)
        .key("x")
        .copy_source("pregao-raw/from")
        .copy_source_if_match("\"no\"")
        .send()
        .await;
    assert_eq!(code(changed), "PreconditionFailed");
    let missing = s3.copy_object().bucket(BUCKET).key("x").copy_source("pregao-raw/none").send().await;
    assert_eq!(code(missing), "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_as_claimed_are_refused() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    let body = || ByteStream::from_static(b"hello world");
    let md5 = s3.put_object().bucket(BUCKET).key("k").content_md5("XrY7u+Ae7tCTyyK7j1rNww==").body(body()).send().await;
    assert_eq!(status(md5), 200);
    let wrong =
        s3.put_object().bucket(BUCKET).key("bad").content_md5("AAAAAAAAAAAAAAAAAAAAAA==").body(body()).send().await;
    assert_eq!(code(wrong), "BadDigest");
    let no_md5 = s3.put_object().bucket(BUCKET).key("bad").content_md5("!").body(body()).send().await;
    assert_eq!(code(no_md5), "InvalidDigest");
    let right = s3
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .checksum_sha256("uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=")
        .body(body())
        .send()
        .await;
    assert_eq!(right.unwrap().checksum_sha256(), Some("uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="));
    let wrong = s3.put_object().bucket(BUCKET).key("bad").checksum_crc32("AAAAAA==").body(body()).send().await;
    assert_eq!(code(wrong), "BadDigest");
    assert_eq!(code(s3.get_object().bucket(BUCKET).key("bad").send().await), "NoSuchKey");
    assert_eq!(fs::read_dir(world.home().join("tmp")).unwrap().count(), 0, "nothing is left of what was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_one_object() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    const PART: usize = 5 * 1024 * 1024;
    let bytes: Vec<u8> = (0..251).cycle().take(2 * PART + 1000).collect();
    let create = s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("big")
        .content_type("text/csv")
        .checksum_algorithm(ChecksumAlgorithm::Crc32);
    let upload = create.send().await.unwrap().upload_id.unwrap();
    let mut parts = BTreeMap::new();
    for (number, piece) in (1..).zip(bytes.chunks(PART)) {
        let body = ByteStream::from(piece.to_vec());
        let sent = s3
            .upload_part()
            .bucket(BUCKET)
            .key("big")
            .upload_id(&upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body);
        let part = sent.send().await.unwrap();
        assert!(part.checksum_crc32().is_some());
        parts.insert(
            number,
            CompletedPart::builder()
                .part_number(number)
                .e_tag(part.e_tag.unwrap())
                .set_checksum_crc32(part.checksum_crc32)
                .build(),
        );
    }
    let small = s3.upload_part().bucket(BUCKET).key("big").upload_id(&upload).part_number(4);
    let small = small.body(ByteStream::from_static(b"x")).send().await.unwrap();
    let small =
        CompletedPart::builder().part_number(4).set_e_tag(small.e_tag).set_checksum_crc32(small.checksum_crc32).build();
    let listed = s3.list_parts().bucket(BUCKET).key("big").upload_id(&upload).max_parts(2).send().await.unwrap();
    assert_eq!(
        (listed.parts().len(), listed.is_truncated(), listed.next_part_number_marker()),
        (2, Some(true), Some("2"))
    );
    let uploads = s3.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(upload.as_str()));

    let complete = |parts: Vec<CompletedPart>| {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        s3.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(&upload).multipart_upload(parts).send()
    };
    let reversed = complete(parts.values().rev().cloned().collect()).await;
    assert_eq!(code(reversed), "InvalidPartOrder");
    let small_third = complete(parts.values().cloned().chain([small]).collect()).await;
    assert_eq!(code(small_third), "EntityTooSmall");
    let wrong =
        complete(vec![CompletedPart::builder().part_number(1).e_tag("\"00000000000000000000000000000000\"").build()])
            .await;
    assert_eq!(code(wrong), "InvalidPart");

    let answer = complete(parts.values().cloned().collect()).await.unwrap();
    assert!(answer.e_tag().unwrap().ends_with("-3\""), "{answer:?}");
    assert!(answer.checksum_crc32().unwrap().ends_with("-3"));
    assert_eq!(get(s3, "big").await, bytes);
    let second = s3.get_object().bucket(BUCKET).key("big").part_number(2).send().await.unwrap();
    assert_eq!(second.parts_count(), Some(3));
    assert_eq!(second.body.collect().await.unwrap().to_vec(), bytes[PART..2 * PART]);

    let upload = s3.create_multipart_upload().bucket(BUCKET).key("copied").send().await.unwrap().upload_id.unwrap();
    let copy = s3
        .upload_part_copy()
        .bucket(BUCKET)
        .key("copied")
        .upload_id(&upload)
        .part_number(1)
        .copy_source("pregao-raw/big");
    let part = copy.copy_source_range("bytes=10-19").send().await.unwrap().copy_part_result.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(part.e_tag.unwrap()).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    s3.complete_multipart_upload()
        .bucket(BUCKET)
        .key("copied")
        .upload_id(&upload)
        .multipart_upload(parts)
        .send()
        .await
        .unwrap();
    assert_eq!(get(s3, "copied").await, bytes[10..20]);

    let upload = s3.create_multipart_upload().bucket(BUCKET).key("dropped").send().await.unwrap().upload_id.unwrap();
    s3.upload_part()
        .bucket(BUCKET)
        .key("dropped")
        .upload_id(&upload)
        .part_number(1)
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    s3.abort_multipart_upload().bucket(BUCKET).key("dropped").upload_id(&upload).send().await.unwrap();
    assert_eq!(fs::read_dir(world.home().join("s3-parts")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_come_and_go() {
    let world = World::new().await;
    let s3 = &world.lake.s3;
    s3.create_bucket().bucket("mine").send().await.unwrap();
    s3.create_bucket().bucket("mine").send().await.expect("in us-east-1, its owner may create it again");
    assert_eq!(code(s3.create_bucket().bucket("No_Name").send().await), "InvalidBucketName");
    let names: Vec<String> = s3
        .list_buckets()
        .send()
        .await
        .unwrap()
        .buckets()
        .iter()
        .map(|bucket| bucket.name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["mine", "pregao-lake", "pregao-raw", "pregao-results"]);
    s3.head_bucket().bucket("mine").send().await.unwrap();
    s3.get_bucket_location().bucket("mine").send().await.unwrap();
    s3.put_object().bucket("mine").key("k").body(ByteStream::from_static(b"")).send().await.unwrap();
    assert_eq!(code(s3.delete_bucket().bucket("mine").send().await), "BucketNotEmpty");
    s3.delete_object().bucket("mine").key("k").send().await.unwrap();
    s3.delete_bucket().bucket("mine").send().await.unwrap();
    assert_eq!(status(s3.head_bucket().bucket("mine").send().await), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_survive_their_owner() {
    let world = World::new().await;
    let etag = put(&world.lake.s3, "a/b", "kept").await;
    put(&world.lake.s3, "a//b", "odd and kept").await;
    fs::write(world.home().join("tmp/half-written"), "x").unwrap();
    let world = world.restarted().await;
    assert_eq!(get(&world.lake.s3, "a/b").await, b"kept");
    assert_eq!(get(&world.lake.s3, "a//b").await, b"odd and kept");
    let head = world.lake.s3.head_object().bucket(BUCKET).key("a/b").send().await.unwrap();
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    assert!(!world.home().join("tmp/half-written").exists());

    fs::write(world.home().join("s3/pregao-raw/a/b"), "changed by hand").unwrap();
    let changed = world.lake.s3.get_object().bucket(BUCKET).key("a/b").send().await.expect_err("refused");
    assert!(changed.message().unwrap().contains("changed outside"), "{changed:?}");
}
