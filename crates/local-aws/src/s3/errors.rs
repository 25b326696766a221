//! Errors of the store as errors of S3.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

use super::store::StoreError;

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> S3Error {
        let error = error.root();
        let code = match error {
            StoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            StoreError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
            StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            StoreError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            StoreError::BucketAlreadyOwnedByYou(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
            StoreError::InvalidPart(_) => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            StoreError::EntityTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::BadDigest { .. } => S3ErrorCode::BadDigest,
            StoreError::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
            StoreError::DiskFull { .. }
            | StoreError::Io { .. }
            | StoreError::ChangedOutside { .. }
            | StoreError::Missing { .. }
            | StoreError::DamagedPart { .. }
            | StoreError::Index(_)
            | StoreError::Sync(_)
            | StoreError::Shared(_) => S3ErrorCode::InternalError,
        };
        let mut converted = S3Error::with_message(code, error.to_string());
        if matches!(error, StoreError::DiskFull { .. }) {
            // SDKs retry a 500, which would not help on a full disk. They do not retry a 507.
            converted.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        }
        converted
    }
}

/// An error of S3 that s3s has no code for.
pub(super) fn custom_error(code: &'static str, status: StatusCode, text: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), text);
    error.set_status_code(status);
    error
}
