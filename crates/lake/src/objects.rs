//! Operations on S3 objects: listing, and conditional reads, writes, copies and deletions.
//!
//! Two functions may work on the same object concurrently, and a user may replace it meanwhile. So every copy and deletion
//! is conditional: on the version of the object, by its ETag, and on whether the target exists. S3 performs it, or reports
//! that the condition does not hold.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::BucketName;
use crate::error::Error;
use crate::{Lake, keys};

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was stored. Only listings have it.
    pub last_modified: Option<DateTime<Utc>>,
}

impl Object {
    fn new(key: String, bytes: Option<i64>, etag: Option<&str>) -> Self {
        let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
        Self { key, bytes, etag: unquoted(etag), last_modified: None }
    }

    fn listed(object: aws_sdk_s3::types::Object) -> Self {
        let time = object.last_modified().and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos()));
        let etag = object.e_tag.as_deref();
        Self { last_modified: time, ..Self::new(object.key.unwrap_or_default(), object.size, etag) }
    }

    /// Whether it is a folder marker, which the S3 console creates to show an empty folder.
    pub fn is_folder_marker(&self) -> bool {
        self.bytes == 0 && self.key.ends_with('/')
    }

    /// Returns the ETag with quotes, for request conditions.
    fn quoted_etag(&self) -> String {
        format!("\"{}\"", self.etag)
    }
}

/// Lists all objects whose keys start with `prefix`, ordered by key.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn list(lake: &Lake, bucket: &BucketName, prefix: &str) -> Result<Vec<Object>, Error> {
    list_between(lake, bucket, prefix, None, None).await
}

/// Lists the objects whose keys start with `prefix`, sort after `after` and before `before`, ordered by key.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn list_between(
    lake: &Lake,
    bucket: &BucketName,
    prefix: &str,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<Vec<Object>, Error> {
    let request = lake.s3.list_objects_v2().bucket(bucket.as_str()).prefix(prefix);
    let mut pages = request.set_start_after(after.map(str::to_owned)).into_paginator().send();
    let mut objects = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing {}", keys::uri(bucket, prefix))))?;
        for object in page.contents.unwrap_or_default() {
            let object = Object::listed(object);
            if before.is_some_and(|before| object.key.as_str() >= before) {
                return Ok(objects);
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Lists the folders directly below `prefix`: the distinct parts of keys between it and the next `/`, in order.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn folders(lake: &Lake, bucket: &BucketName, prefix: &str) -> Result<Vec<String>, Error> {
    let request = lake.s3.list_objects_v2().bucket(bucket.as_str()).prefix(prefix).delimiter("/");
    let mut pages = request.into_paginator().send();
    let mut folders = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing {}", keys::uri(bucket, prefix))))?;
        let common = page.common_prefixes.unwrap_or_default().into_iter().filter_map(|common| common.prefix);
        folders.extend(common.map(|common| common[prefix.len()..].trim_end_matches('/').to_owned()));
    }
    Ok(folders)
}

/// Lists the data objects in a folder of a table: without folder markers, and without names that start with `_` or `.`, which
/// every engine ignores.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn list_data(lake: &Lake, folder: &str) -> Result<Vec<Object>, Error> {
    let mut objects = list(lake, &lake.config.buckets.lake, folder).await?;
    objects.retain(|object| {
        let name = object.key[folder.len()..].split('/').find(|part| part.starts_with(['_', '.']));
        !object.is_folder_marker() && name.is_none()
    });
    Ok(objects)
}

/// Returns the object at `key`, if it exists.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn head(lake: &Lake, bucket: &BucketName, key: &str) -> Result<Option<Object>, Error> {
    match lake.s3.head_object().bucket(bucket.as_str()).key(key).send().await {
        Ok(found) => Ok(Some(Object::new(key.to_owned(), found.content_length, found.e_tag.as_deref()))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::aws(format!("looking at {}", keys::uri(bucket, key)))(error)),
    }
}

/// Opens this version of an object as a stream. Returns `None` if the version no longer exists.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn open(lake: &Lake, bucket: &BucketName, object: &Object) -> Result<Option<ByteStream>, Error> {
    let request = lake.s3.get_object().bucket(bucket.as_str()).key(&object.key).if_match(object.quoted_etag());
    match request.send().await {
        Ok(found) => Ok(Some(found.body)),
        Err(error) if is_missing(&error) || is_unmet(&error) => Ok(None),
        Err(error) => Err(Error::aws(format!("reading {}", keys::uri(bucket, &object.key)))(error)),
    }
}

/// Attempts to read a body that breaks off. The SDK retries failed requests, but not bodies that break off.
const READS: u32 = 3;

/// Returns the whole body of a request, and the object's ETag. The inner error is a refusal of S3; the outer one is a body
/// that broke off in each attempt.
async fn whole(
    request: GetObjectFluentBuilder,
    uri: &str,
) -> Result<Result<(bytes::Bytes, String), SdkError<GetObjectError>>, Error> {
    let mut reads = 0;
    loop {
        let found = match request.clone().send().await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        reads += 1;
        let etag = unquoted(found.e_tag.as_deref());
        match found.body.collect().await {
            Ok(body) => return Ok(Ok((body.into_bytes(), etag))),
            Err(error) if reads == READS => return Err(Error::body(uri)(error)),
            Err(error) => tracing::warn!(uri, error = %error, "the body broke off: reading it once more"),
        }
    }
}

/// Reads the bytes `from..to` of an object.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn read_range(
    lake: &Lake,
    bucket: &BucketName,
    key: &str,
    from: u64,
    to: u64,
) -> Result<bytes::Bytes, Error> {
    let uri = keys::uri(bucket, key);
    let range = format!("bytes={from}-{}", to.saturating_sub(1));
    let request = lake.s3.get_object().bucket(bucket.as_str()).key(key).range(range);
    whole(request, &uri).await?.map(|(bytes, _)| bytes).map_err(Error::aws(format!("reading {uri}")))
}

/// Reads the bytes `from..to` of this version of an object. Returns `None` if the version no longer exists.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn read_range_of_version(
    lake: &Lake,
    bucket: &BucketName,
    object: &Object,
    from: u64,
    to: u64,
) -> Result<Option<bytes::Bytes>, Error> {
    read_version(lake, bucket, object, format!("bytes={from}-{}", to.saturating_sub(1))).await
}

/// Reads this version of an object from byte `from`, which must exist, to its end. Returns `None` if the version no longer
/// exists.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn read_end(
    lake: &Lake,
    bucket: &BucketName,
    object: &Object,
    from: u64,
) -> Result<Option<bytes::Bytes>, Error> {
    read_version(lake, bucket, object, format!("bytes={from}-")).await
}

async fn read_version(
    lake: &Lake,
    bucket: &BucketName,
    object: &Object,
    range: String,
) -> Result<Option<bytes::Bytes>, Error> {
    let uri = keys::uri(bucket, &object.key);
    let request = lake.s3.get_object().bucket(bucket.as_str()).key(&object.key).if_match(object.quoted_etag());
    match whole(request.range(range), &uri).await? {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(error) if is_missing(&error) || is_unmet(&error) => Ok(None),
        Err(error) => Err(Error::aws(format!("reading {uri}"))(error)),
    }
}

/// Reads the object at `key`, if it exists.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn get(lake: &Lake, bucket: &BucketName, key: &str) -> Result<Option<bytes::Bytes>, Error> {
    Ok(get_version(lake, bucket, key).await?.map(|(bytes, _)| bytes))
}

/// Reads the object at `key`, if it exists. Returns its bytes and its ETag, without quotes.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn get_version(lake: &Lake, bucket: &BucketName, key: &str) -> Result<Option<(bytes::Bytes, String)>, Error> {
    let uri = keys::uri(bucket, key);
    match whole(lake.s3.get_object().bucket(bucket.as_str()).key(key), &uri).await? {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::aws(format!("reading {uri}"))(error)),
    }
}

/// Reads the JSON document at `key`, if it exists.
///
/// # Errors
/// [`Error::InvalidInput`] if it is not a document of this type.
pub async fn get_json<T: DeserializeOwned>(lake: &Lake, bucket: &BucketName, key: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = get(lake, bucket, key).await? else { return Ok(None) };
    let document = serde_json::from_slice(&bytes);
    document.map(Some).map_err(|error| {
        Error::malformed(format!("{} is not what it should be: {error}", keys::uri(bucket, key)), error)
    })
}

/// Writes a JSON document to `key`. Overwrites what is there.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn put_json(lake: &Lake, bucket: &BucketName, key: &str, document: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(document).expect("a document is JSON");
    put(lake, bucket, key, "application/json", text).await
}

/// Writes to `key`. Overwrites what is there.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn put(lake: &Lake, bucket: &BucketName, key: &str, kind: &str, body: Vec<u8>) -> Result<(), Error> {
    let request = lake.s3.put_object().bucket(bucket.as_str()).key(key).content_type(kind);
    let sent = request.body(body.into()).send().await;
    sent.map_err(Error::aws(format!("writing {}", keys::uri(bucket, key)))).map(drop)
}

/// Writes to `key` unless the object exists. Returns whether it wrote.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn put_new(lake: &Lake, bucket: &BucketName, key: &str, kind: &str, body: Vec<u8>) -> Result<bool, Error> {
    Ok(put_if(lake, bucket, key, kind, body, PutIf::Absent).await? != Conditional::Unmet)
}

/// The condition of a PUT.
#[derive(Debug, Clone, Copy)]
pub enum PutIf<'a> {
    /// There is no object at the key.
    Absent,
    /// The object at the key has this ETag, without quotes.
    Is(&'a str),
}

/// Outcome of a conditional PUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// It was executed.
    Written {
        /// The ETag of the new version, without quotes.
        etag: String,
    },
    /// The condition does not hold, or a concurrent request for the key interfered. Nothing was written.
    Unmet,
}

/// Writes to `key` if the condition holds (compare-and-swap).
///
/// [`Conditional::Unmet`] may be caused by the write itself: if the response is lost, the SDK retries the request, whose
/// condition no longer holds. Callers that need to know read the object.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn put_if(
    lake: &Lake,
    bucket: &BucketName,
    key: &str,
    kind: &str,
    body: Vec<u8>,
    condition: PutIf<'_>,
) -> Result<Conditional, Error> {
    let request = lake.s3.put_object().bucket(bucket.as_str()).key(key).content_type(kind);
    let request = match condition {
        PutIf::Absent => request.if_none_match("*"),
        PutIf::Is(etag) => request.if_match(format!("\"{etag}\"")),
    };
    match request.body(body.into()).send().await {
        Ok(written) => Ok(Conditional::Written { etag: unquoted(written.e_tag.as_deref()) }),
        Err(error) if is_unmet(&error) || is_missing(&error) => Ok(Conditional::Unmet),
        Err(error) => Err(Error::aws(format!("writing {}", keys::uri(bucket, key)))(error)),
    }
}

/// Condition on the target of a copy.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// It does not exist.
    Free,
    /// It is this version, which is replaced.
    Holding(&'a Object),
}

/// Outcome of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The object was copied.
    Done,
    /// Nothing was copied: the target is not as expected.
    TargetTaken,
    /// Nothing was copied: the version of the source no longer exists.
    SourceGone,
}

/// Copies a version of an object within its bucket if the target is as expected.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn copy(
    lake: &Lake,
    bucket: &BucketName,
    source: &Object,
    to: &str,
    target: Target<'_>,
) -> Result<Copied, Error> {
    let request = lake.s3.copy_object().bucket(bucket.as_str()).key(to);
    let request =
        request.copy_source(keys::copy_source(bucket, &source.key)).copy_source_if_match(source.quoted_etag());
    let request = match target {
        Target::Free => request.if_none_match("*"),
        Target::Holding(object) => request.if_match(object.quoted_etag()),
    };
    match request.send().await {
        Ok(_) => Ok(Copied::Done),
        Err(error) if is_missing(&error) || is_unmet(&error) => {
            // S3 answers with the same status for both conditions.
            let still_there = head(lake, bucket, &source.key).await?.is_some_and(|now| now.etag == source.etag);
            Ok(if still_there { Copied::TargetTaken } else { Copied::SourceGone })
        }
        Err(error) => {
            let doing = format!("copying {} to {}", keys::uri(bucket, &source.key), keys::uri(bucket, to));
            Err(Error::aws(doing)(error))
        }
    }
}

/// Deletes an object if it is still this version. One that does not exist is not an error.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn delete(lake: &Lake, bucket: &BucketName, object: &Object) -> Result<(), Error> {
    let request = lake.s3.delete_object().bucket(bucket.as_str()).key(&object.key).if_match(object.quoted_etag());
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if is_missing(&error) || is_unmet(&error) => Ok(()),
        Err(error) => Err(Error::aws(format!("deleting {}", keys::uri(bucket, &object.key)))(error)),
    }
}

/// Maximum number of keys of one `DeleteObjects` request.
const DELETED_AT_ONCE: usize = 1_000;

/// Deletes the objects at these keys in order, whatever their version. One that does not exist is not an error.
///
/// # Errors
/// The first key that S3 did not delete, with its reason. Other keys of the same request of a thousand may have been deleted;
/// those of later requests have not.
pub async fn delete_all(lake: &Lake, bucket: &BucketName, keys: Vec<String>) -> Result<(), Error> {
    for some in keys.chunks(DELETED_AT_ONCE) {
        let doing = || format!("deleting {} and {} more objects", keys::uri(bucket, &some[0]), some.len() - 1);
        let ids = some.iter().map(|key| ObjectIdentifier::builder().key(key).build().expect("it has a key"));
        let delete = Delete::builder().set_objects(Some(ids.collect())).quiet(true).build().expect("it has objects");
        let answer = lake.s3.delete_objects().bucket(bucket.as_str()).delete(delete).send().await;
        let answer = answer.map_err(Error::aws(doing()))?;
        if let Some(refused) = answer.errors().first() {
            let code = refused.code().unwrap_or("nameless");
            let key = keys::uri(bucket, refused.key().unwrap_or_default());
            let (doing, message) = (format!("deleting {key}"), refused.message().unwrap_or_default().to_owned());
            return Err(match code {
                "InternalError" | "SlowDown" | "ServiceUnavailable" => {
                    Error::unavailable(doing, format!("{code}: {message}"))
                }
                _ => Error::refused(doing, code, message),
            });
        }
    }
    Ok(())
}

/// Whether two objects have the same bytes. They are read only if their `ETags` differ: an ETag depends on upload and
/// encryption, so that equal bytes may have different ones.
///
/// # Errors
/// [`Error::Aws`] if S3 does not perform the request.
pub async fn same_bytes(lake: &Lake, bucket: &BucketName, a: &Object, b: &Object) -> Result<bool, Error> {
    if a.bytes != b.bytes || a.etag == b.etag {
        return Ok(a.bytes == b.bytes);
    }
    let (Some(mut left), Some(mut right)) = (open(lake, bucket, a).await?, open(lake, bucket, b).await?) else {
        return Ok(false);
    };
    let (mut ahead, mut behind) = (bytes::Bytes::new(), bytes::Bytes::new());
    loop {
        if ahead.is_empty() {
            ahead = next(&mut left, bucket, a).await?;
        }
        if behind.is_empty() {
            behind = next(&mut right, bucket, b).await?;
        }
        let common = ahead.len().min(behind.len());
        if common == 0 {
            return Ok(ahead.len() == behind.len());
        }
        if ahead.split_to(common) != behind.split_to(common) {
            return Ok(false);
        }
    }
}

/// Returns the next bytes of the body of `object`; empty at its end.
///
/// # Errors
/// [`Error::Aws`] if the body breaks off.
pub async fn next(body: &mut ByteStream, bucket: &BucketName, object: &Object) -> Result<bytes::Bytes, Error> {
    loop {
        match body.next().await.transpose().map_err(Error::body(keys::uri(bucket, &object.key)))? {
            Some(bytes) if bytes.is_empty() => {}
            bytes => return Ok(bytes.unwrap_or_default()),
        }
    }
}

fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether an object does not exist. A bucket that does not exist is another error, except for HEAD, whose response has no
/// body to tell them apart.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// Whether a condition of the request does not hold, or a concurrent request for the same key interfered.
fn is_unmet<E>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(status(error), Some(409 | 412))
}
