//! The operations of S3 over the [`ObjectStore`], as an implementation of s3s's trait [`S3`]. A module has the operations of
//! one kind; the trait's implementation only dispatches. Operations that are not listed return `NotImplemented`, s3s's
//! default.

mod attributes;
mod buckets;
mod checksums;
pub(super) mod conditions;
mod listing;
mod multipart;
mod objects;
mod tagging;

use std::sync::Arc;

use s3s::dto::{self, ETag, Timestamp};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::task::spawn_blocking;

use super::errors::invalid_argument;
use super::store::ObjectStore;
use crate::clock;

/// S3's operations, as a service of s3s.
#[derive(Debug)]
pub(super) struct S3Operations {
    pub(super) store: Arc<ObjectStore>,
}

/// Implements the trait: each method calls the function of the same name.
macro_rules! dispatch {
    ($($module:ident::$operation:ident($input:ident) -> $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for S3Operations {
            $(async fn $operation(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                $module::$operation(&self.store, request).await
            })*
        }
    };
}

dispatch! {
    buckets::create_bucket(CreateBucketInput) -> CreateBucketOutput;
    buckets::delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
    buckets::get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    buckets::head_bucket(HeadBucketInput) -> HeadBucketOutput;
    buckets::list_buckets(ListBucketsInput) -> ListBucketsOutput;
    listing::list_objects(ListObjectsInput) -> ListObjectsOutput;
    listing::list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    multipart::abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    multipart::complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    multipart::create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    multipart::list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
    multipart::list_parts(ListPartsInput) -> ListPartsOutput;
    multipart::upload_part(UploadPartInput) -> UploadPartOutput;
    multipart::upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
    objects::copy_object(CopyObjectInput) -> CopyObjectOutput;
    objects::delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    objects::delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    objects::get_object(GetObjectInput) -> GetObjectOutput;
    objects::head_object(HeadObjectInput) -> HeadObjectOutput;
    objects::put_object(PutObjectInput) -> PutObjectOutput;
    tagging::delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput;
    tagging::get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    tagging::put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput;
}

/// Runs work of the store on a thread that may block: the store waits for the disk.
async fn blocking<T, E>(
    store: &Arc<ObjectStore>,
    work: impl FnOnce(&ObjectStore) -> Result<T, E> + Send + 'static,
) -> S3Result<T>
where
    T: Send + 'static,
    E: Into<S3Error> + Send + 'static,
{
    let store = Arc::clone(store);
    spawn_blocking(move || work(&store)).await.map_err(S3Error::internal_error)?.map_err(Into::into)
}

fn etag(text: &str) -> Option<ETag> {
    Some(ETag::Strong(text.to_owned()))
}

/// Returns an instant as S3 does: in whole seconds, the resolution of HTTP's dates.
fn timestamp(millis: i64) -> Option<Timestamp> {
    Some(clock::system_time(millis - millis.rem_euclid(1000)).into())
}

/// Refuses the name of a version: buckets are not versioned, so the only version of an object is `null`.
fn require_no_version(version: Option<&String>) -> S3Result<()> {
    match version {
        Some(version) if version != NULL_VERSION => {
            Err(invalid_argument("Invalid version id specified", "versionId", version))
        }
        _ => Ok(()),
    }
}

/// The version of every object.
const NULL_VERSION: &str = "null";

/// Returns bucket and key of the source of a copy.
fn copy_source(source: &dto::CopySource) -> S3Result<(String, String)> {
    match source {
        dto::CopySource::Bucket { bucket, key, version_id } => {
            require_no_version(version_id.as_ref().map(ToString::to_string).as_ref())?;
            Ok((bucket.to_string(), key.to_string()))
        }
        _ => Err(s3_error!(NotImplemented, "access points and outposts cannot be a copy's source here")),
    }
}
