//! Operations on the tags of an object. They change its row in the index and nothing else.

use std::sync::Arc;

use s3s::{S3Request, S3Response, S3Result, dto};

use super::{blocking, require_no_version};
use crate::s3::store::{ObjectStore, StoreError};
use crate::s3::tags;

pub(super) async fn put_object_tagging(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::PutObjectTaggingInput>,
) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
    let input = request.input;
    require_no_version(input.version_id.as_ref())?;
    let tags = tags::from_document(input.tagging.tag_set)?;
    blocking(store, move |store| {
        store.update_attributes(&input.bucket, &input.key, |attributes| attributes.tags = tags)
    })
    .await?;
    Ok(S3Response::new(dto::PutObjectTaggingOutput::default()))
}

pub(super) async fn get_object_tagging(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::GetObjectTaggingInput>,
) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
    let input = request.input;
    require_no_version(input.version_id.as_ref())?;
    let find = move |store: &ObjectStore| match store.find(&input.bucket, &input.key) {
        // In this operation, and only here, S3 names the bucket too.
        Err(StoreError::NoSuchKey(key)) => Err(StoreError::NoSuchKey(format!("{}/{key}", input.bucket))),
        found => found,
    };
    let object = blocking(store, find).await?;
    let tag = |(key, value)| dto::Tag { key: Some(key), value: Some(value) };
    let tag_set = object.attributes.tags.into_iter().map(tag).collect();
    Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set, version_id: None }))
}

pub(super) async fn delete_object_tagging(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::DeleteObjectTaggingInput>,
) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
    let input = request.input;
    require_no_version(input.version_id.as_ref())?;
    blocking(store, move |store| {
        store.update_attributes(&input.bucket, &input.key, |attributes| attributes.tags.clear())
    })
    .await?;
    Ok(S3Response::with_status(dto::DeleteObjectTaggingOutput::default(), http::StatusCode::NO_CONTENT))
}
