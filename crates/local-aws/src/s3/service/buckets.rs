//! Operations on buckets.

use std::sync::Arc;

use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto, s3_error};

use super::listing::{owner, page_token, parse_page_token};
use super::{blocking, timestamp};
use crate::identity::REGION;
use crate::s3::errors::{error, with_elements};
use crate::s3::store::ObjectStore;

pub(super) async fn create_bucket(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::CreateBucketInput>,
) -> S3Result<S3Response<dto::CreateBucketOutput>> {
    if let Some(configuration) = request.input.create_bucket_configuration {
        require_plain_bucket(&configuration)?;
    }
    let bucket = request.input.bucket;
    if is_reserved(&bucket) {
        return Err(error(S3ErrorCode::InvalidBucketName, &[("BucketName", &bucket)]));
    }
    let location = format!("/{bucket}");
    // In us-east-1, and only there, its owner may create it again.
    blocking(store, move |store| store.ensure_bucket(&bucket)).await?;
    Ok(S3Response::new(dto::CreateBucketOutput { location: Some(location) }))
}

pub(super) async fn head_bucket(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::HeadBucketInput>,
) -> S3Result<S3Response<dto::HeadBucketOutput>> {
    let bucket = request.input.bucket;
    blocking(store, move |store| store.require_bucket(&bucket)).await?;
    Ok(S3Response::new(dto::HeadBucketOutput {
        bucket_region: Some(REGION.to_owned()),
        access_point_alias: Some(false),
        ..Default::default()
    }))
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
        Some(limit) => usize::try_from(limit).unwrap_or_default(),
    };
    let after = input.continuation_token.as_deref().map(parse_page_token).transpose()?.unwrap_or_default();
    if let Some(region) = input.bucket_region.as_deref()
        && region != REGION
        && !OTHER_REGIONS.contains(&region)
    {
        let message = format!("Argument value {region} is not a valid AWS Region");
        let refused = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
        return Err(with_elements(refused, &[("ArgumentName", "bucket-region")]));
    }
    let has_parameter = input.max_buckets.is_some()
        || input.continuation_token.is_some()
        || input.bucket_region.is_some()
        || input.prefix.is_some();
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
        bucket_region: has_parameter.then(|| REGION.to_owned()),
    };
    Ok(S3Response::new(dto::ListBucketsOutput {
        buckets: Some(buckets.into_iter().map(bucket).collect()),
        owner: Some(owner()),
        prefix: input.prefix,
        continuation_token,
    }))
}

/// The location constraints of S3: all regions but `us-east-1`.
const OTHER_REGIONS: &[&str] = &[
    "EU",
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// Whether a name is one that S3 keeps for itself. s3s checks the other rules for names.
fn is_reserved(bucket: &str) -> bool {
    let prefixes = ["sthree-", "amzn-s3-demo-"];
    let suffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    prefixes.iter().any(|prefix| bucket.starts_with(prefix)) || suffixes.iter().any(|suffix| bucket.ends_with(suffix))
}

/// Refuses directory buckets, and buckets of other regions.
fn require_plain_bucket(configuration: &dto::CreateBucketConfiguration) -> S3Result<()> {
    // All fields are named, so that a field which a new version of s3s adds is an error of the compiler.
    let dto::CreateBucketConfiguration { bucket, location, location_constraint } = configuration;
    if bucket.is_some() || location.is_some() {
        return Err(s3_error!(NotImplemented, "directory buckets are not implemented"));
    }
    match location_constraint.as_ref().map(dto::BucketLocationConstraint::as_str) {
        None | Some("") => Err(error(S3ErrorCode::MalformedXML, &[])),
        Some(region) if OTHER_REGIONS.contains(&region) => Err(s3_error!(
            IllegalLocationConstraintException,
            "The {region} location constraint is incompatible for the region specific endpoint this request was sent to."
        )),
        // S3 has no location constraint for us-east-1.
        Some(region) => Err(with_elements(
            S3Error::with_message(
                S3ErrorCode::InvalidLocationConstraint,
                "The specified location-constraint is not valid",
            ),
            &[("LocationConstraint", region)],
        )),
    }
}
