//! Multipart uploads: objects that are written in parts, while later bytes are not known yet.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use crate::config::BucketName;
use crate::error::Error;
use crate::{Lake, keys, objects};

/// The size of all parts but the last, in bytes. S3 accepts 5 MB or more, and 10,000 parts.
pub const PART_BYTES: usize = 8 << 20;

/// A multipart upload. No reader sees its object before it is completed.
#[derive(Debug)]
pub struct MultipartUpload {
    bucket: BucketName,
    key: String,
    id: String,
}

/// A part that S3 has stored.
#[derive(Debug)]
pub struct Part {
    number: i32,
    etag: String,
    bytes: u64,
}

impl MultipartUpload {
    /// Starts the upload of an object.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn start(lake: &Lake, bucket: &BucketName, key: &str, kind: &str) -> Result<Self, Error> {
        let request = lake.s3.create_multipart_upload().bucket(bucket.as_str()).key(key).content_type(kind);
        let doing = || format!("starting the upload of {}", keys::uri(bucket, key));
        let started = request.send().await.map_err(Error::aws(doing()))?;
        let id = started.upload_id.ok_or_else(|| Error::unavailable(doing(), "S3 returned no upload id"))?;
        Ok(Self { bucket: bucket.clone(), key: key.to_owned(), id })
    }

    /// Uploads a part. `number` counts from 1.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn put(&self, lake: &Lake, number: i32, bytes: Bytes) -> Result<Part, Error> {
        let size = bytes.len() as u64;
        let request = lake.s3.upload_part().bucket(self.bucket.as_str()).key(&self.key).upload_id(&self.id);
        let doing = format!("writing part {number} of {}", keys::uri(&self.bucket, &self.key));
        let stored = request.part_number(number).body(bytes.into()).send().await.map_err(Error::aws(doing))?;
        Ok(Part { number, etag: stored.e_tag.unwrap_or_default(), bytes: size })
    }

    /// Completes the object from all parts, in order. Overwrites an existing object.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn complete(&self, lake: &Lake, parts: &[Part]) -> Result<(), Error> {
        let listed =
            parts.iter().map(|part| CompletedPart::builder().part_number(part.number).e_tag(part.etag.clone()).build());
        let listed = CompletedMultipartUpload::builder().set_parts(Some(listed.collect())).build();
        let request = lake.s3.complete_multipart_upload().bucket(self.bucket.as_str()).key(&self.key);
        let Err(error) = request.upload_id(&self.id).multipart_upload(listed).send().await else { return Ok(()) };
        if error.code() == Some("NoSuchUpload") {
            // The response of a first attempt may be lost: then the object exists and has these parts.
            let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
            let suffix = format!("-{}", parts.len());
            let found = objects::head(lake, &self.bucket, &self.key).await?;
            if found.is_some_and(|found| found.bytes == bytes && found.etag.ends_with(&suffix)) {
                return Ok(());
            }
        }
        Err(Error::aws(format!("completing {}", keys::uri(&self.bucket, &self.key)))(error))
    }

    /// Discards the upload and its parts.
    ///
    /// # Errors
    /// Whatever S3 refuses.
    pub async fn abort(&self, lake: &Lake) -> Result<(), Error> {
        let request = lake.s3.abort_multipart_upload().bucket(self.bucket.as_str()).key(&self.key);
        let doing = format!("discarding the upload of {}", keys::uri(&self.bucket, &self.key));
        request.upload_id(&self.id).send().await.map_err(Error::aws(doing)).map(drop)
    }
}
