//! Requests whose body is a short document: the keys of a batch, the parts of an upload, tags. It is held against its
//! checksums before it is read: half a list of keys is another request.

use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use s3s::{Body, S3Result, s3_error};

use super::claims::Claims;

/// The longest document: the 10,000 parts of an upload take about 3 MB.
const LONGEST: usize = 20 * 1024 * 1024;

/// The same request, whose document is read and as its sender meant it.
pub(super) async fn read(request: Request<Body>) -> S3Result<Request<Body>> {
    let completes =
        request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("uploadId=")));
    let claims = Claims::of_document(&request, completes);
    let (head, body) = request.into_parts();
    let document = match Limited::new(body, LONGEST).collect().await {
        Ok(document) => document.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(s3_error!(MaxMessageLengthExceeded, "Your request was too big: more than {LONGEST} bytes"));
        }
        Err(error) => return Err(s3_error!(IncompleteBody, "the body could not be read to its end: {error}")),
    };
    let mut digester = claims.digester();
    digester.update(&document);
    claims.check(&digester.finish())?;
    Ok(Request::from_parts(head, Body::from(document)))
}
