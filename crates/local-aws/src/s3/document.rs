//! Requests whose body is a short XML document: the keys of a batch, the parts of an upload, tags. Its checksums are verified
//! before it is parsed: a truncated list of keys would be another valid request.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use s3s::{Body, S3Result, s3_error};

use super::integrity::IntegrityHeaders;

/// The maximum length of a document in bytes. The 10,000 parts of an upload take about 3 MB.
const MAX_DOCUMENT_BYTES: usize = 20 * 1024 * 1024;

/// Reads the document, and returns the request with it in memory.
///
/// # Errors
/// S3's errors for a document that is too long, incomplete, or does not match its checksums.
pub(super) async fn read(request: Request<Body>) -> S3Result<Request<Body>> {
    let completes =
        request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("uploadId=")));
    let integrity = IntegrityHeaders::from_document(&request, completes);
    let (head, body) = request.into_parts();
    let document = match Limited::new(body, MAX_DOCUMENT_BYTES).collect().await {
        Ok(document) => document.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(s3_error!(
                MaxMessageLengthExceeded,
                "Your request was too big: more than {MAX_DOCUMENT_BYTES} bytes"
            ));
        }
        Err(error) => return Err(s3_error!(IncompleteBody, "the body could not be read to its end: {error}")),
    };
    let mut digester = integrity.digester();
    digester.update(&document);
    integrity.check(&digester.finish())?;
    // s3s ignores the tags of a bucket, and takes an empty list of parts for no document.
    if head.method == Method::PUT && find(&document, b"<Tags") {
        return Err(s3_error!(NotImplemented, "tags of a bucket are not implemented"));
    }
    let document = if completes && document.is_empty() { Bytes::from_static(NO_PARTS) } else { document };
    Ok(Request::from_parts(head, Body::from(document)))
}

const NO_PARTS: &[u8] = b"<CompleteMultipartUpload></CompleteMultipartUpload>";

fn find(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
