//! S3: [s3s](https://docs.rs/s3s) implements the protocol, objects are plain files under `HOME/s3/<bucket>/<key>`, and an
//! index in SQLite has their metadata.
//!
//! A request passes `signature` (removes the signature, decodes `aws-chunked`), `ranges` and `allowlist` (refuses what would
//! be ignored), then s3s, which calls `service`. `store` has the objects, and `group_commit` makes their changes durable.

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
mod ranges;
mod service;
mod signature;
mod store;
mod verify;

use std::sync::Arc;

use http::{Request, Response};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Result};

use allowlist::BodyKind;

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
        let request = match S3::prepare(request).await {
            Ok(request) => request,
            Err(refusal) => return refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error))),
        };
        self.service.call(request).await
    }

    /// Returns the request in the form that s3s takes, or an error if s3s would ignore a parameter of it.
    async fn prepare(request: Request<Body>) -> S3Result<Request<Body>> {
        let mut request = signature::strip(request);
        ranges::normalize(request.headers_mut());
        let (head, body) = request.into_parts();
        let body_kind = allowlist::check(&head)?;
        let request = Request::from_parts(head, body);
        match body_kind {
            BodyKind::Object => Ok(request),
            BodyKind::Document => document::read(request).await,
        }
    }
}
