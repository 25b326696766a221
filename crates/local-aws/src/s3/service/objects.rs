//! Operations on objects: `PutObject`, `GetObject`, `HeadObject`, `CopyObject` and the deletions.

use std::ops::Range;
use std::sync::Arc;

use http::HeaderValue;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::attributes::{attributes, encoded_metadata, response_overrides, storage_class};
use super::checksums::{self, sent_checksum, with_checksum_and_type};
use super::conditions::{copy_source_condition, copy_target_condition, range_applies, read_condition, write_condition};
use super::{NULL_VERSION, blocking, copy_source, etag, require_no_version, timestamp};
use crate::s3::bytes::{FileRange, receive};
use crate::s3::digest::Algorithm;
use crate::s3::errors::{custom_error, error, header_not_implemented, invalid_request};
use crate::s3::index::{Attributes, Object};
use crate::s3::integrity::IntegrityHeaders;
use crate::s3::store::{ObjectStore, Staged, StoreError, WriteCondition};
use crate::s3::tags;

/// S3's limit for the keys of one `DeleteObjects`.
const MAX_DELETED: usize = 1000;

pub(super) async fn put_object(
    store: &Arc<ObjectStore>,
    mut request: S3Request<dto::PutObjectInput>,
) -> S3Result<S3Response<dto::PutObjectOutput>> {
    let body = request.input.body.take();
    let mut integrity = IntegrityHeaders::new(
        &request,
        sent_checksum!(request.input),
        request.input.content_md5.as_ref(),
        request.input.content_length,
    );
    integrity.compute(Algorithm::DEFAULT);
    let input = request.input;
    let condition = write_condition(input.if_match, input.if_none_match.as_ref())?;
    let tags = tags::parse_header(input.tagging.as_ref())?;
    let attributes = Attributes { tags, ..attributes!(input, request.extensions) };
    let (bucket, key) = (input.bucket, input.key);
    let object = receive(store, body, integrity.digester(), move |store, file, digest| {
        integrity.check(digest)?;
        Ok(store.put(&bucket, Staged::new(&key, file, digest, attributes), &condition)?)
    })
    .await?;
    let mut output = dto::PutObjectOutput { e_tag: etag(&object.etag), ..Default::default() };
    with_checksum_and_type!(output, object.attributes.checksum);
    Ok(S3Response::new(output))
}

/// Builds the output of `GetObject` or `HeadObject` for some bytes of an object. The outputs have the same fields, and are two
/// types in s3s.
macro_rules! object_output {
    ($output:ident, $object:expr, $range:expr, $part:expr, $is_partial:expr, $with_checksum:expr, $overrides:expr) => {{
        let (object, range, is_partial): (&Object, &Range<u64>, bool) = ($object, $range, $is_partial);
        let overrides: Attributes = $overrides;
        let attributes = object.attributes.clone();
        let mut output = dto::$output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: overrides.cache_control.or(attributes.cache_control),
            content_disposition: overrides.content_disposition.or(attributes.content_disposition),
            content_encoding: overrides.content_encoding.or(attributes.content_encoding),
            content_language: overrides.content_language.or(attributes.content_language),
            content_length: Some((range.end - range.start).cast_signed()),
            content_range: is_partial
                .then(|| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), object.size)),
            content_type: overrides
                .content_type
                .or(attributes.content_type)
                .or_else(|| Some("binary/octet-stream".to_owned())),
            e_tag: etag(&object.etag),
            expires: overrides.expires.or(attributes.expires),
            last_modified: timestamp(object.modified),
            metadata: encoded_metadata(&attributes.metadata),
            parts_count: parts_count(object, $part),
            storage_class: attributes.storage_class.map(dto::StorageClass::from),
            ..Default::default()
        };
        if $with_checksum && !is_partial {
            with_checksum_and_type!(output, attributes.checksum);
        }
        output
    }};
}

pub(super) async fn get_object(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::GetObjectInput>,
) -> S3Result<S3Response<dto::GetObjectOutput>> {
    let input = request.input;
    require_no_version(input.version_id.as_ref())?;
    let (part_number, with_checksum) = (input.part_number, checksums::is_requested(input.checksum_mode.as_ref()));
    let (headers, overrides) = (request.headers, response_overrides!(input));
    let (object, range, is_range, body) = blocking(store, move |store| -> S3Result<_> {
        let (object, file) = store.open_object(&input.bucket, &input.key)?;
        read_condition!(input).check(&object)?;
        let requested = input.range.filter(|_| range_applies(&headers, &object));
        let range = requested_bytes(&object, requested.as_ref(), input.part_number)?;
        let body = FileRange::open(file, range.clone()).map_err(StoreError::io(&store.path(&object)))?;
        Ok((object, range, requested.is_some(), body))
    })
    .await?;
    let is_partial = is_range || is_part(&object, part_number);
    let mut output =
        object_output!(GetObjectOutput, &object, &range, part_number, is_partial, with_checksum, overrides);
    output.body = Some(body.stream());
    output.tag_count = i32::try_from(object.attributes.tags.len()).ok().filter(|count| *count > 0);
    Ok(S3Response::new(output))
}

pub(super) async fn head_object(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::HeadObjectInput>,
) -> S3Result<S3Response<dto::HeadObjectOutput>> {
    let input = request.input;
    require_no_version(input.version_id.as_ref())?;
    let overrides = response_overrides!(input);
    let (bucket, key) = (input.bucket, input.key);
    let object = blocking(store, move |store| store.find(&bucket, &key)).await?;
    read_condition!(input).check(&object)?;
    let requested = input.range.filter(|_| range_applies(&request.headers, &object));
    let range = requested_bytes(&object, requested.as_ref(), input.part_number)?;
    let is_partial = requested.is_some() || is_part(&object, input.part_number);
    let with_checksum = checksums::is_requested(input.checksum_mode.as_ref());
    let output =
        object_output!(HeadObjectOutput, &object, &range, input.part_number, is_partial, with_checksum, overrides);
    let mut response = S3Response::new(output);
    // s3s has this field only in the output of GetObject.
    let tags = object.attributes.tags.len();
    if tags > 0 {
        response.headers.insert("x-amz-tagging-count", HeaderValue::from(tags));
    }
    Ok(response)
}

pub(super) async fn copy_object(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CopyObjectInput>,
) -> S3Result<S3Response<dto::CopyObjectOutput>> {
    let condition = copy_target_condition(&request.headers)?;
    let input = request.input;
    let (from_bucket, from_key) = copy_source(&input.copy_source)?;
    let replaces = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == dto::MetadataDirective::REPLACE);
    let is_same = (&from_bucket, &from_key) == (&input.bucket, &input.key);
    let changes_nothing = is_same && !replaces && input.storage_class.is_none() && !condition.is_some();
    let new_tags = match input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str) {
        Some(dto::TaggingDirective::REPLACE) => Some(tags::parse_header(input.tagging.as_ref())?),
        _ => None,
    };
    let algorithm = checksums::parse_algorithm(input.checksum_algorithm.as_ref())?;
    let extensions = request.extensions;
    let class = storage_class(input.storage_class.as_ref());
    let object = blocking(store, move |store| -> S3Result<Object> {
        let (source, bytes) = store.open_object(&from_bucket, &from_key)?;
        copy_source_condition!(input).check(&source)?;
        if changes_nothing {
            return Err(invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes.",
            ));
        }
        let mut staged = store.stage_copy(&input.key, &source, bytes, algorithm)?;
        if replaces {
            let tags = std::mem::take(&mut staged.attributes.tags);
            let checksum = staged.attributes.checksum.take();
            staged.attributes = Attributes { tags, checksum, ..attributes!(input, extensions) };
        }
        if let Some(tags) = new_tags {
            staged.attributes.tags = tags;
        }
        // The class of the source is not copied.
        staged.attributes.storage_class = class;
        Ok(store.put(&input.bucket, staged, &condition)?)
    })
    .await?;
    let mut result = dto::CopyObjectResult {
        e_tag: etag(&object.etag),
        last_modified: timestamp(object.modified),
        ..Default::default()
    };
    with_checksum_and_type!(result, object.attributes.checksum);
    Ok(S3Response::new(dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
}

pub(super) async fn delete_object(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::DeleteObjectInput>,
) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
    let input = request.input;
    require_no_version(input.version_id.as_ref())?;
    if input.version_id.is_some() && input.if_match.is_some() {
        return Err(header_not_implemented(WriteCondition::IF_MATCH, None));
    }
    let condition = WriteCondition { matches: input.if_match, ..WriteCondition::default() };
    blocking(store, move |store| store.delete(&input.bucket, &input.key, &condition)).await?;
    Ok(S3Response::with_status(dto::DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
}

pub(super) async fn delete_objects(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::DeleteObjectsInput>,
) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
    let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
    if delete.objects.is_empty() || delete.objects.len() > MAX_DELETED {
        return Err(error(S3ErrorCode::MalformedXML, &[]));
    }
    let deletions: Vec<BatchDeletion> =
        delete.objects.into_iter().map(BatchDeletion::from_dto).collect::<S3Result<_>>()?;
    let (of_versions, deletions): (Vec<_>, Vec<_>) =
        deletions.into_iter().partition(BatchDeletion::names_other_version);
    let no_version = error(S3ErrorCode::NoSuchVersion, &[]);
    let mut errors: Vec<dto::Error> = of_versions.iter().map(|deletion| deletion.error(&no_version)).collect();
    let keys: Vec<_> = deletions.iter().map(|deletion| (deletion.key.clone(), deletion.condition.clone())).collect();
    let results = blocking(store, move |store| store.delete_batch(&bucket, &keys)).await?;
    let mut deleted = Vec::new();
    for (deletion, result) in deletions.iter().zip(results) {
        match result {
            Ok(()) => deleted.push(deletion.deleted()),
            Err(refused) => errors.push(deletion.error(&refused.into())),
        }
    }
    Ok(S3Response::new(dto::DeleteObjectsOutput {
        deleted: (delete.quiet != Some(true)).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    }))
}

/// An object of a batch of deletions.
struct BatchDeletion {
    key: String,
    version: Option<String>,
    condition: WriteCondition,
}

impl BatchDeletion {
    fn from_dto(object: dto::ObjectIdentifier) -> S3Result<BatchDeletion> {
        // All fields are named, so that a field which a new version of s3s adds is an error of the compiler.
        let dto::ObjectIdentifier { key, version_id, e_tag, last_modified_time, size } = object;
        // As in S3, whose general purpose buckets have only the condition on the ETag.
        if last_modified_time.is_some() {
            return Err(header_not_implemented("x-amz-if-match-last-modified-time", None));
        }
        if size.is_some() {
            return Err(header_not_implemented("x-amz-if-match-size", None));
        }
        let matches = e_tag.map(|etag| match etag.value() {
            "*" => dto::ETagCondition::Any,
            _ => dto::ETagCondition::ETag(etag),
        });
        let condition = WriteCondition { matches, ..WriteCondition::default() };
        Ok(BatchDeletion { key, version: version_id, condition })
    }

    /// Whether it is of a version that no object has: buckets are not versioned.
    fn names_other_version(&self) -> bool {
        self.version.as_ref().is_some_and(|version| version != NULL_VERSION)
    }

    fn deleted(&self) -> dto::DeletedObject {
        dto::DeletedObject {
            key: Some(self.key.clone()),
            version_id: self.version.clone(),
            ..dto::DeletedObject::default()
        }
    }

    fn error(&self, error: &s3s::S3Error) -> dto::Error {
        dto::Error {
            code: Some(error.code().as_str().to_owned()),
            key: Some(self.key.clone()),
            message: error.message().map(str::to_owned),
            version_id: self.version.clone(),
        }
    }
}

/// Returns the bytes that a read requests: a range, a part of a multipart object, or all.
fn requested_bytes(object: &Object, range: Option<&dto::Range>, part: Option<i32>) -> S3Result<Range<u64>> {
    if let Some(range) = range {
        if part.is_some() {
            return Err(invalid_request("Cannot specify both Range header and partNumber query parameter"));
        }
        // `bytes=-5` of an empty object: a response cannot name an empty range.
        let bytes = range.check(object.size).ok().filter(|bytes| !bytes.is_empty());
        return bytes.ok_or_else(|| {
            let (requested, size) = (range.to_header_string(), object.size.to_string());
            error(S3ErrorCode::InvalidRange, &[("RangeRequested", &requested), ("ActualObjectSize", &size)])
        });
    }
    match part {
        None => Ok(0..object.size),
        Some(1) if object.attributes.parts.is_empty() => Ok(0..object.size),
        Some(number) => {
            let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let size = object.attributes.parts.get(index).ok_or_else(|| {
                let parts = object.attributes.parts.len().max(1).to_string();
                custom_error(
                    "InvalidPartNumber",
                    http::StatusCode::RANGE_NOT_SATISFIABLE,
                    &[("PartNumberRequested", &number.to_string()), ("ActualPartCount", &parts)],
                )
            })?;
            let start: u64 = object.attributes.parts[..index].iter().sum();
            Ok(start..start + size)
        }
    }
}

/// Whether the response is of a part. An object that was not uploaded in parts is one part.
fn is_part(object: &Object, part: Option<i32>) -> bool {
    part.is_some() && object.size > 0
}

/// Returns the number of parts, if a part of a multipart object is read.
fn parts_count(object: &Object, part: Option<i32>) -> Option<i32> {
    part.filter(|_| !object.attributes.parts.is_empty()).and_then(|_| i32::try_from(object.attributes.parts.len()).ok())
}
