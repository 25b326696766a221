//! Operations on multipart uploads.

use std::sync::Arc;

use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, dto, s3_error};

use super::attributes::{attributes, parse_tags};
use super::checksums::{self, sent_checksum, with_checksum, with_checksum_and_type};
use super::conditions::{copy_source_condition, write_condition};
use super::listing::{NameEncoding, page_limit};
use super::{blocking, copy_source, etag, timestamp};
use crate::s3::bytes::receive;
use crate::s3::index::Attributes;
use crate::s3::integrity::IntegrityHeaders;
use crate::s3::multipart::{ExpectedObject, Part, RequestedPart, Upload};
use crate::s3::ranges;
use crate::s3::store::ObjectStore;

pub(super) async fn create_multipart_upload(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CreateMultipartUploadInput>,
) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
    let input = request.input;
    let tags = parse_tags(input.tagging.as_ref())?;
    let attributes = Attributes { tags, ..attributes!(input) };
    let algorithm = checksums::parse_algorithm(input.checksum_algorithm.as_ref())?;
    let checksum = checksums::upload_checksum(algorithm, input.checksum_type.as_ref())?;
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let id = blocking(store, move |store| store.create_upload(&bucket, &key, &attributes, checksum)).await?;
    Ok(S3Response::new(dto::CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: checksum.map(|checksum| {
            dto::ChecksumType::from_static(if checksum.composite {
                dto::ChecksumType::COMPOSITE
            } else {
                dto::ChecksumType::FULL_OBJECT
            })
        }),
        ..Default::default()
    }))
}

pub(super) async fn upload_part(
    store: &Arc<ObjectStore>,
    mut request: S3Request<dto::UploadPartInput>,
) -> S3Result<S3Response<dto::UploadPartOutput>> {
    check_part_number(request.input.part_number)?;
    let body = request.input.body.take();
    let mut integrity = IntegrityHeaders::new(
        &request,
        sent_checksum!(request.input),
        request.input.content_md5.as_ref(),
        request.input.checksum_algorithm.as_ref(),
        request.input.content_length,
    );
    let input = request.input;
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
    let upload = blocking(store, move |store| store.upload(&bucket, &key, &id)).await?;
    integrity.announced = integrity.announced.or(upload.checksum.map(|checksum| checksum.algorithm));
    let part = receive(store, body, integrity.digester(), move |store, file, digest| {
        integrity.check(digest)?;
        Ok(store.put_part(&input.bucket, &input.key, &input.upload_id, input.part_number, &file, digest)?)
    })
    .await?;
    let mut output = dto::UploadPartOutput { e_tag: etag(&part.etag), ..Default::default() };
    with_checksum!(output, part.checksum);
    Ok(S3Response::new(output))
}

pub(super) async fn upload_part_copy(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::UploadPartCopyInput>,
) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
    let input = request.input;
    check_part_number(input.part_number)?;
    let (from_bucket, from_key) = copy_source(&input.copy_source)?;
    let range = input.copy_source_range.as_deref().map(|range| {
        ranges::parse_copy_range(range).ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
                 the zero-based offsets of the first and last bytes to copy"
            )
        })
    });
    let range = range.transpose()?;
    let part = blocking(store, move |store| -> S3Result<_> {
        let (source, bytes) = store.open_object(&from_bucket, &from_key)?;
        copy_source_condition!(input).check(&source, S3ErrorCode::PreconditionFailed)?;
        let range = match range {
            None => 0..source.size,
            Some((first, last)) if last < source.size => first..last + 1,
            Some(_) => {
                let size = source.size;
                return Err(s3_error!(InvalidRange, "Range specified is not valid for source object of size: {size}"));
            }
        };
        let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
        let (file, digest) = store.stage_range(bytes, range, upload.checksum.map(|checksum| checksum.algorithm))?;
        Ok(store.put_part(&input.bucket, &input.key, &input.upload_id, input.part_number, &file, &digest)?)
    })
    .await?;
    let mut result =
        dto::CopyPartResult { e_tag: etag(&part.etag), last_modified: timestamp(part.modified), ..Default::default() };
    with_checksum!(result, part.checksum);
    Ok(S3Response::new(dto::UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
}

pub(super) async fn list_parts(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::ListPartsInput>,
) -> S3Result<S3Response<dto::ListPartsOutput>> {
    let input = request.input;
    let (max_parts, limit) = page_limit(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or(0);
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
    let (upload, mut parts) = blocking(store, move |store| -> S3Result<_> {
        Ok((store.upload(&bucket, &key, &id)?, store.parts(&id, after, limit + 1)?))
    })
    .await?;
    let is_truncated = parts.len() > limit;
    parts.truncate(limit);
    let last = parts.last().map(|part| part.number);
    let part = |part: Part| {
        let mut listed = dto::Part {
            part_number: Some(part.number),
            size: Some(part.size.cast_signed()),
            e_tag: etag(&part.etag),
            last_modified: timestamp(part.modified),
            ..Default::default()
        };
        with_checksum!(listed, part.checksum);
        listed
    };
    Ok(S3Response::new(dto::ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(max_parts),
        part_number_marker: Some(after),
        next_part_number_marker: last.filter(|_| is_truncated),
        is_truncated: Some(is_truncated),
        parts: Some(parts.into_iter().map(part).collect()),
        checksum_algorithm: upload
            .checksum
            .map(|checksum| dto::ChecksumAlgorithm::from_static(checksum.algorithm.name())),
        storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        ..Default::default()
    }))
}

pub(super) async fn list_multipart_uploads(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::ListMultipartUploadsInput>,
) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
    let input = request.input;
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented, "a delimiter for uploads is not implemented"));
    }
    let names = NameEncoding::new(input.encoding_type.as_ref());
    let (max_uploads, limit) = page_limit(input.max_uploads)?;
    let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
    let after = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
    let mut uploads = blocking(store, move |store| {
        // A key marker without an upload id is after all uploads of its key. Ids are hexadecimal, which sorts before `~`.
        let id = after.1.as_deref().unwrap_or(if after.0.is_empty() { "" } else { "~" });
        store.uploads(&bucket, &prefix, (&after.0, id), limit + 1)
    })
    .await?;
    let is_truncated = uploads.len() > limit;
    uploads.truncate(limit);
    let last = uploads.last().filter(|_| is_truncated);
    let upload = |upload: &Upload| dto::MultipartUpload {
        key: Some(names.encode(&upload.key)),
        upload_id: Some(upload.id.clone()),
        initiated: timestamp(upload.initiated),
        storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        ..Default::default()
    };
    Ok(S3Response::new(dto::ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix.as_deref().map(|text| names.encode(text)),
        key_marker: input.key_marker.as_deref().map(|text| names.encode(text)),
        upload_id_marker: input.upload_id_marker,
        encoding_type: input.encoding_type,
        max_uploads: Some(max_uploads),
        is_truncated: Some(is_truncated),
        next_key_marker: last.map(|upload| names.encode(&upload.key)),
        next_upload_id_marker: last.map(|upload| upload.id.clone()),
        uploads: Some(uploads.iter().map(upload).collect()),
        ..Default::default()
    }))
}

pub(super) async fn complete_multipart_upload(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CompleteMultipartUploadInput>,
) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
    let input = request.input;
    let checksum = sent_checksum!(input);
    let condition = write_condition(input.if_match, input.if_none_match.as_ref())?;
    let expected = ExpectedObject {
        checksum,
        composite: input.checksum_type.map(|kind| kind.as_str() == dto::ChecksumType::COMPOSITE),
        size: input.mpu_object_size.map(i64::cast_unsigned),
    };
    let parts = requested_parts(input.multipart_upload)?;
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
    let object =
        blocking(store, move |store| store.complete_upload(&bucket, &key, &id, &parts, &expected, &condition)).await?;
    let mut output = dto::CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: etag(&object.etag),
        ..Default::default()
    };
    with_checksum_and_type!(output, object.attributes.checksum);
    Ok(S3Response::new(output))
}

pub(super) async fn abort_multipart_upload(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::AbortMultipartUploadInput>,
) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
    let input = request.input;
    blocking(store, move |store| store.abort_upload(&input.bucket, &input.key, &input.upload_id)).await?;
    Ok(S3Response::with_status(dto::AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
}

fn requested_parts(upload: Option<dto::CompletedMultipartUpload>) -> S3Result<Vec<RequestedPart>> {
    let parts = upload.and_then(|upload| upload.parts).unwrap_or_default();
    if parts.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    let requested = |part: &dto::CompletedPart| RequestedPart {
        number: part.part_number.unwrap_or(0),
        etag: part.e_tag.as_ref().map(|etag| etag.value().to_owned()),
        checksum: sent_checksum!(part),
    };
    Ok(parts.iter().map(requested).collect())
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}
