//! What a request says of its body's bytes, held against the bytes.

use http::Request;
use s3s::{S3Request, S3Result, dto, s3_error};

use super::digest::{Algorithm, Digest, Digester};
use super::service::other_error;
use super::store::StoreError;
use super::unsigned::BodyClaims;

/// Everything that a request says of its body's bytes.
pub(super) struct Claims {
    md5: Option<String>,
    checksum: Option<(Algorithm, String)>,
    /// Named in `x-amz-trailer` or `x-amz-sdk-checksum-algorithm`: its value comes behind the body, if at all.
    pub(super) announced: Option<Algorithm>,
    length: Option<i64>,
    body: BodyClaims,
}

impl Claims {
    pub(super) fn new<T>(
        request: &S3Request<T>,
        checksum: Option<(Algorithm, String)>,
        md5: Option<&String>,
        named: Option<&dto::ChecksumAlgorithm>,
        length: Option<i64>,
    ) -> Claims {
        let trailer = request.headers.get("x-amz-trailer").and_then(|names| names.to_str().ok());
        let announced = trailer
            .and_then(|names| names.split(',').find_map(Algorithm::of_header))
            .or_else(|| named.and_then(|named| Algorithm::named(named.as_str())));
        let body = request.extensions.get::<BodyClaims>().cloned().unwrap_or_default();
        Claims { md5: md5.cloned(), checksum, announced, length, body }
    }

    /// The same of a body that is a document: S3 has no fields for it in its shapes. What completes an upload has a
    /// checksum that is the object's.
    pub(super) fn of_document<T>(request: &Request<T>, is_of_object: bool) -> Claims {
        let headers = request.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let checksum = Algorithm::ALL.into_iter().find_map(|algorithm| {
            Some((algorithm, text(&algorithm.header())?.to_owned()))
                .filter(|(_, value)| !is_of_object && !value.is_empty())
        });
        let announced = text("x-amz-trailer").and_then(|names| names.split(',').find_map(Algorithm::of_header));
        let md5 = text("content-md5").filter(|md5| !md5.is_empty()).map(str::to_owned);
        let length = text("content-length").and_then(|length| length.parse().ok());
        let body = request.extensions().get::<BodyClaims>().cloned().unwrap_or_default();
        Claims { md5, checksum, announced, length, body }
    }

    fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm).or(self.announced)
    }

    pub(super) fn digester(&self) -> Digester {
        Digester::new(self.algorithm(), self.body.sha256.is_some())
    }

    pub(super) fn check(&self, digest: &Digest) -> S3Result<()> {
        if self.length.is_some_and(|length| length.cast_unsigned() != digest.size) {
            return Err(s3_error!(IncompleteBody, "the body has {} bytes and not as many as declared", digest.size));
        }
        if let Some(md5) = &self.md5 {
            let sent = base64_simd::STANDARD.decode_to_vec(md5).unwrap_or_default();
            if sent.len() != digest.md5.len() {
                return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."));
            }
            if sent != digest.md5 {
                return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
            }
        }
        if self.body.sha256.is_some() && self.body.sha256 != digest.payload {
            let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(other_error("XAmzContentSHA256Mismatch", http::StatusCode::BAD_REQUEST, text));
        }
        match (self.sent_value(), &digest.checksum) {
            (Some(sent), Some(found)) if sent != found.value => {
                Err(StoreError::BadDigest { algorithm: found.algorithm.name() }.into())
            }
            _ => Ok(()),
        }
    }

    fn sent_value(&self) -> Option<String> {
        if let Some((_, value)) = &self.checksum {
            return Some(value.clone());
        }
        let name = self.announced?.header();
        self.body.trailers().get(name)?.to_str().ok().map(str::to_owned)
    }
}
