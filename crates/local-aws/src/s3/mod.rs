//! S3: [s3s](https://docs.rs/s3s) implements the protocol, objects are plain files under `HOME/s3/<bucket>/<key>`, and an
//! index in SQLite has their metadata.
//!
//! A request passes `signature` (removes the signature, decodes `aws-chunked`), `ranges`, `parameters`, `refusals` (what S3
//! refuses too) and `allowlist` (refuses what would be ignored), then s3s, which calls `service`. `store` has the objects, and
//! `group_commit` makes their changes durable. `errors` writes what S3 says of an error.

mod allowlist;
mod aws_chunked;
mod bytes;
mod copy;
#[cfg(test)]
mod crash_images;
mod digest;
mod document;
mod errors;
mod file_system;
mod group_commit;
mod index;
mod integrity;
mod listing;
mod multipart;
mod notifications;
mod object_path;
mod parameters;
mod ranges;
mod refusals;
mod service;
mod signature;
mod store;
mod tags;
mod text_headers;
mod verify;

use std::sync::Arc;

use http::header::CONTENT_RANGE;
use http::{Method, Request, Response, StatusCode};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Result};

use allowlist::BodyKind;

use crate::url_encoding;

pub(crate) use aws_chunked::decode as decode_chunks;
pub(crate) use index::{Attributes, Object, SCHEMA, find, for_each};
pub(crate) use object_path::OBJECT_FOLDERS;
pub(crate) use store::{ObjectStore, Staged, StoreError, WriteCondition};
pub(crate) use verify::{Difference, difference};

/// S3 over HTTP, on an [`ObjectStore`].
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    service: S3Service,
}

impl S3 {
    pub(crate) fn new(store: Arc<ObjectStore>) -> S3 {
        S3 { service: S3ServiceBuilder::new(service::S3Operations { store }).build() }
    }

    /// Handles a request. Errors of S3 are responses too.
    pub(crate) async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, HttpError> {
        let path = url_encoding::decode_lossy(request.uri().path());
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let is_head = request.method() == Method::HEAD;
        let mut response = match S3::prepare(request).await {
            Ok(request) => self.service.call(request).await?,
            Err(refusal) => refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error)))?,
        };
        // s3s has this status for GET only.
        if is_head && response.headers().contains_key(CONTENT_RANGE) && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let length = key.len().to_string();
        let elements = [
            ("InvalidBucketName", "BucketName", bucket),
            ("KeyTooLongError", "Size", &length),
            ("KeyTooLongError", "MaxSizeAllowed", "1024"),
        ];
        Ok(errors::complete(response, &elements))
    }

    /// Returns the request in the form that s3s takes, or an error if s3s would ignore a parameter of it.
    async fn prepare(request: Request<Body>) -> S3Result<Request<Body>> {
        let mut request = signature::strip(request);
        ranges::normalize(request.headers_mut());
        let (mut head, body) = request.into_parts();
        parameters::normalize(&mut head)?;
        text_headers::take(&mut head.headers, &mut head.extensions);
        let body_kind = allowlist::check(&head)?;
        service::conditions::remove_invalid_dates(&mut head.headers);
        let request = Request::from_parts(head, body);
        match body_kind {
            BodyKind::Object => Ok(request),
            BodyKind::Document => document::read(request).await,
        }
    }
}
