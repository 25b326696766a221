//! Operations on buckets.

use std::sync::Arc;

use s3s::{S3Request, S3Response, S3Result, dto, s3_error};

use super::listing::{owner, page_token, parse_page_token};
use super::{blocking, timestamp};
use crate::identity::REGION;
use crate::s3::store::ObjectStore;

pub(super) async fn create_bucket(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CreateBucketInput>,
) -> S3Result<S3Response<dto::CreateBucketOutput>> {
    if let Some(configuration) = request.input.create_bucket_configuration {
        require_plain_bucket(&configuration)?;
    }
    let bucket = request.input.bucket;
    let location = format!("/{bucket}");
    blocking(store, move |store| store.create_bucket(&bucket)).await?;
    Ok(S3Response::new(dto::CreateBucketOutput { location: Some(location) }))
}

pub(super) async fn head_bucket(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::HeadBucketInput>,
) -> S3Result<S3Response<dto::HeadBucketOutput>> {
    let bucket = request.input.bucket;
    blocking(store, move |store| store.require_bucket(&bucket)).await?;
    Ok(S3Response::new(dto::HeadBucketOutput { bucket_region: Some(REGION.to_owned()), ..Default::default() }))
}

pub(super) async fn get_bucket_location(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::GetBucketLocationInput>,
) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
    let bucket = request.input.bucket;
    blocking(store, move |store| store.require_bucket(&bucket)).await?;
    // S3 has no location constraint for us-east-1.
    Ok(S3Response::new(dto::GetBucketLocationOutput::default()))
}

pub(super) async fn delete_bucket(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::DeleteBucketInput>,
) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
    let bucket = request.input.bucket;
    blocking(store, move |store| store.delete_bucket(&bucket)).await?;
    Ok(S3Response::new(dto::DeleteBucketOutput {}))
}

pub(super) async fn list_buckets(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::ListBucketsInput>,
) -> S3Result<S3Response<dto::ListBucketsOutput>> {
    let input = request.input;
    let limit = match input.max_buckets {
        None => usize::MAX,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=10_000).contains(limit))
            .ok_or_else(|| s3_error!(InvalidArgument, "Argument max-buckets must be an integer between 1 and 10000"))?,
    };
    let after = input.continuation_token.as_deref().map(parse_page_token).transpose()?.unwrap_or_default();
    let is_elsewhere = input.bucket_region.as_ref().is_some_and(|region| region.as_str() != REGION);
    let prefix = input.prefix.clone().unwrap_or_default();
    let mut buckets = blocking(store, |store| store.buckets()).await?;
    buckets.retain(|(name, _)| !is_elsewhere && name.starts_with(&prefix) && *name > after);
    let is_truncated = buckets.len() > limit;
    buckets.truncate(limit);
    let continuation_token = buckets.last().filter(|_| is_truncated).map(|(name, _)| page_token(name));
    let bucket = |(name, created): (String, i64)| dto::Bucket {
        name: Some(name),
        creation_date: timestamp(created),
        bucket_region: Some(REGION.to_owned()),
    };
    Ok(S3Response::new(dto::ListBucketsOutput {
        buckets: Some(buckets.into_iter().map(bucket).collect()),
        owner: Some(owner()),
        prefix: input.prefix,
        continuation_token,
    }))
}

/// Refuses directory buckets, and buckets of other regions.
fn require_plain_bucket(configuration: &dto::CreateBucketConfiguration) -> S3Result<()> {
    // All fields are named, so that a field which a new version of s3s adds is an error of the compiler.
    let dto::CreateBucketConfiguration { bucket, location, location_constraint } = configuration;
    if bucket.is_some() || location.is_some() {
        return Err(s3_error!(NotImplemented, "directory buckets are not implemented"));
    }
    match location_constraint.as_ref().map(dto::BucketLocationConstraint::as_str) {
        None | Some("" | REGION) => Ok(()),
        Some(region) => Err(s3_error!(
            IllegalLocationConstraintException,
            "The {region} location constraint is incompatible for the region specific endpoint this request was sent to."
        )),
    }
}
