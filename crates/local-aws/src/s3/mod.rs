//! S3: the protocol is [s3s](https://docs.rs/s3s), the objects are plain files under `HOME/s3/<bucket>/<key>`, and
//! what is known of them is in SQLite.

mod bytes;
mod copy;
mod digest;
mod index;
mod listing;
mod location;
mod multipart;
mod service;
mod store;
mod unsigned;

use std::sync::Arc;

use http::{Request, Response};
use s3s::service::{S3Service, S3ServiceBuilder};

pub(crate) use index::{Attributes, Object, SCHEMA};
pub(crate) use store::{ObjectStore, Staged, StoreError, WriteCondition};
pub(crate) use unsigned::decode as decode_chunks;

/// The HTTP face of the [`ObjectStore`].
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    service: S3Service,
}

impl S3 {
    pub(crate) fn new(store: Arc<ObjectStore>) -> S3 {
        S3 { service: S3ServiceBuilder::new(service::S3Operations { store }).build() }
    }

    pub(crate) async fn answer(&self, request: Request<s3s::Body>) -> Result<Response<s3s::Body>, s3s::HttpError> {
        self.service.call(unsigned::unsign(request)).await
    }
}
