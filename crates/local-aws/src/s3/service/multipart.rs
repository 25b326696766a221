//! Operations on multipart uploads.

use std::sync::Arc;

use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::attributes::attributes;
use super::checksums::{self, sent_checksum, with_checksum, with_checksum_and_type};
use super::conditions::{copy_source_condition, write_condition};
use super::listing::{NameEncoding, owner, page_limit};
use super::{blocking, copy_source, etag, timestamp};
use crate::identity::ACCOUNT;
use crate::s3::bytes::receive;
use crate::s3::errors::{error, invalid_argument, invalid_request, with_elements};
use crate::s3::index::Attributes;
use crate::s3::integrity::IntegrityHeaders;
use crate::s3::multipart::{
    ExpectedObject, Part, RequestedPart, Upload, UploadChecksum, UploadEntry, UploadListRequest,
};
use crate::s3::ranges;
use crate::s3::store::ObjectStore;
use crate::s3::tags;

pub(super) async fn create_multipart_upload(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CreateMultipartUploadInput>,
) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
    let input = request.input;
    let tags = tags::parse_header(input.tagging.as_ref())?;
    let attributes = Attributes { tags, ..attributes!(input, request.extensions) };
    let algorithm = checksums::parse_algorithm(input.checksum_algorithm.as_ref())?;
    let checksum = checksums::upload_checksum(algorithm, input.checksum_type.as_ref())?;
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let id = blocking(store, move |store| store.create_upload(&bucket, &key, &attributes, checksum)).await?;
    Ok(S3Response::new(dto::CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: checksum.map(UploadChecksum::kind),
        ..Default::default()
    }))
}

pub(super) async fn upload_part(
    store: &Arc<ObjectStore>,
    mut request: S3Request<dto::UploadPartInput>,
) -> S3Result<S3Response<dto::UploadPartOutput>> {
    let body = request.input.body.take();
    let mut integrity = IntegrityHeaders::new(
        &request,
        sent_checksum!(request.input),
        request.input.content_md5.as_ref(),
        request.input.content_length,
    );
    let input = request.input;
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
    let upload = blocking(store, move |store| store.upload(&bucket, &key, &id)).await?;
    if let Some(checksum) = upload.checksum {
        checksum.check_part(integrity.algorithm())?;
        integrity.compute(checksum.algorithm);
    }
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
    let (from_bucket, from_key) = copy_source(&input.copy_source)?;
    let range = input.copy_source_range.as_deref().map(|range| {
        ranges::parse_copy_range(range).ok_or_else(|| {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last \
                           are the zero-based offsets of the first and last bytes to copy";
            invalid_argument(message, "x-amz-copy-source-range", range)
        })
    });
    let range = range.transpose()?;
    let part = blocking(store, move |store| -> S3Result<_> {
        let (source, bytes) = store.open_object(&from_bucket, &from_key)?;
        copy_source_condition!(input).check(&source)?;
        let range = match range {
            None => 0..source.size,
            Some((first, last)) if last < source.size => first..last + 1,
            Some((first, _)) if first >= source.size => {
                return Err(invalid_request("The specified copy range is invalid for the source object size"));
            }
            Some(_) => {
                let message = format!("Range specified is not valid for source object of size: {}", source.size);
                let range = input.copy_source_range.as_deref().unwrap_or_default();
                return Err(with_elements(
                    S3Error::with_message(S3ErrorCode::InvalidArgument, message),
                    &[("ArgumentName", "x-amz-copy-source-range"), ("ArgumentValue", range)],
                ));
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
    let (max_parts, limit) = page_limit(input.max_parts);
    let after = input.part_number_marker.unwrap_or(0);
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
    let (upload, mut parts) = blocking(store, move |store| -> S3Result<_> {
        Ok((store.upload(&bucket, &key, &id)?, store.parts(&id, after, limit + 1)?))
    })
    .await?;
    let is_truncated = parts.len() > limit;
    parts.truncate(limit);
    let last = parts.last().map(|part| part.number);
    let has_checksums = upload.checksum.is_some();
    let part = |part: Part| {
        let mut listed = dto::Part {
            part_number: Some(part.number),
            size: Some(part.size.cast_signed()),
            e_tag: etag(&part.etag),
            last_modified: timestamp(part.modified),
            ..Default::default()
        };
        with_checksum!(listed, part.checksum.filter(|_| has_checksums));
        listed
    };
    Ok(S3Response::new(dto::ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(max_parts),
        part_number_marker: Some(after),
        next_part_number_marker: Some(last.unwrap_or(0)),
        is_truncated: Some(is_truncated),
        parts: Some(parts.into_iter().map(part).collect()),
        checksum_algorithm: upload
            .checksum
            .map(|checksum| dto::ChecksumAlgorithm::from_static(checksum.algorithm.name())),
        checksum_type: upload.checksum.map(UploadChecksum::kind),
        initiator: Some(initiator()),
        owner: Some(owner()),
        storage_class: Some(storage_class(&upload)),
        ..Default::default()
    }))
}

fn storage_class(upload: &Upload) -> dto::StorageClass {
    upload.attributes.storage_class().to_owned().into()
}

/// Returns who begins every upload: the endpoint's account.
fn initiator() -> dto::Initiator {
    dto::Initiator { id: Some(ACCOUNT.to_owned()), display_name: None }
}

pub(super) async fn list_multipart_uploads(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::ListMultipartUploadsInput>,
) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
    let input = request.input;
    let names = NameEncoding::new(input.encoding_type.as_ref());
    let (max_uploads, limit) = page_limit(input.max_uploads);
    let key_marker = input.key_marker.unwrap_or_default();
    // Without a key it has no meaning.
    let id_marker = input.upload_id_marker.filter(|id| !id.is_empty() && !key_marker.is_empty());
    let listed = UploadListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        key_marker: key_marker.clone(),
        id_marker: id_marker.clone(),
        limit,
    };
    let bucket = input.bucket.clone();
    let page = blocking(store, move |store| store.uploads(&bucket, &listed)).await?;
    let id_marker = id_marker.unwrap_or_default();
    let page = page.ok_or_else(|| invalid_argument("Invalid uploadId marker", "upload-id-marker", &id_marker))?;
    let (next_key_marker, next_upload_id_marker) = match page.entries.last() {
        None => (String::new(), String::new()),
        Some(UploadEntry::Upload(upload)) => (names.encode(&upload.key), upload.id.clone()),
        Some(UploadEntry::Prefix(prefix)) => (names.encode(prefix), String::new()),
    };
    let (mut uploads, mut common_prefixes) = (Vec::new(), Vec::new());
    for entry in &page.entries {
        match entry {
            UploadEntry::Upload(upload) => uploads.push(listed_upload(upload, names)),
            UploadEntry::Prefix(prefix) => {
                common_prefixes.push(dto::CommonPrefix { prefix: Some(names.encode(prefix)) });
            }
        }
    }
    Ok(S3Response::new(dto::ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix.filter(|prefix| !prefix.is_empty()).map(|text| names.encode(&text)),
        delimiter: names.delimiter(input.delimiter.as_deref()),
        key_marker: Some(names.encode(&key_marker)),
        upload_id_marker: Some(id_marker),
        encoding_type: input.encoding_type,
        max_uploads: Some(max_uploads),
        is_truncated: Some(page.is_truncated),
        next_key_marker: Some(next_key_marker),
        next_upload_id_marker: Some(next_upload_id_marker),
        uploads: Some(uploads),
        common_prefixes: Some(common_prefixes),
        ..Default::default()
    }))
}

fn listed_upload(upload: &Upload, names: NameEncoding) -> dto::MultipartUpload {
    dto::MultipartUpload {
        key: Some(names.encode(&upload.key)),
        upload_id: Some(upload.id.clone()),
        initiated: timestamp(upload.initiated),
        initiator: Some(initiator()),
        owner: Some(owner()),
        storage_class: Some(storage_class(upload)),
        checksum_algorithm: upload
            .checksum
            .map(|checksum| dto::ChecksumAlgorithm::from_static(checksum.algorithm.name())),
        checksum_type: upload.checksum.map(UploadChecksum::kind),
    }
}

pub(super) async fn complete_multipart_upload(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CompleteMultipartUploadInput>,
) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
    let input = request.input;
    let checksum = sent_checksum!(input);
    let condition = write_condition(input.if_match, input.if_none_match.as_ref())?;
    if let Some(size) = input.mpu_object_size.filter(|size| *size < 0) {
        let message = format!("Value for x-amz-mp-object-size header is less than zero: {size}");
        return Err(invalid_request(message));
    }
    let expected = ExpectedObject {
        checksum,
        composite: input.checksum_type.map(|kind| kind.as_str() == dto::ChecksumType::COMPOSITE),
        size: input.mpu_object_size.map(i64::cast_unsigned),
    };
    let parts = requested_parts(input.multipart_upload)?;
    if let Some(part) = parts.iter().find(|part| part.number < 1) {
        return Err(invalid_argument("PartNumber must be >= 1", "PartNumber", &part.number.to_string()));
    }
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
    let requested = |part: &dto::CompletedPart| {
        let (Some(number), Some(etag)) = (part.part_number, &part.e_tag) else {
            return Err(error(S3ErrorCode::MalformedXML, &[]));
        };
        Ok(RequestedPart { number, etag: etag.value().to_owned(), checksum: sent_checksum!(part) })
    };
    parts.iter().map(requested).collect()
}
