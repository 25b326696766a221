//! S3: the protocol is [s3s](https://docs.rs/s3s), the objects are plain files under `HOME/s3/<bucket>/<key>`, and
//! what is known of them is in SQLite.

mod accepted;
mod bytes;
mod claims;
mod commit;
mod copy;
#[cfg(test)]
mod crash_images;
mod digest;
mod document;
mod files;
mod index;
mod listing;
mod location;
mod multipart;
mod ranges;
mod service;
mod store;
mod unsigned;
mod whole;

use std::sync::Arc;

use http::{Request, Response};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Result};

use accepted::Accepted;

pub(crate) use index::{Attributes, Object, SCHEMA};
pub(crate) use index::{each, find};
pub(crate) use location::FOLDERS;
pub(crate) use store::{ObjectStore, Staged, StoreError, WriteCondition};
pub(crate) use unsigned::decode as decode_chunks;
pub(crate) use whole::{Difference, difference};

/// The HTTP face of the [`ObjectStore`].
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    service: S3Service,
}

impl S3 {
    pub(crate) fn new(store: Arc<ObjectStore>) -> S3 {
        S3 { service: S3ServiceBuilder::new(service::S3Operations { store }).build() }
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, HttpError> {
        let request = match S3::accept(request).await {
            Ok(request) => request,
            Err(refusal) => return refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error))),
        };
        self.service.call(request).await
    }

    /// The request as s3s is to see it, unless something in it would be forgotten.
    async fn accept(request: Request<Body>) -> S3Result<Request<Body>> {
        let mut request = unsigned::unsign(request);
        ranges::normalize(request.headers_mut());
        let (head, body) = request.into_parts();
        let accepted = accepted::check(&head)?;
        let request = Request::from_parts(head, body);
        match accepted {
            Accepted::Bytes => Ok(request),
            Accepted::Document => document::read(request).await,
        }
    }
}
