//! Verification of bodies: a request's length, MD5, SHA-256 and checksum are compared with those of its bytes.

use std::sync::PoisonError;

use http::{HeaderMap, Request};
use s3s::{S3ErrorCode, S3Request, S3Result, s3_error};

use super::aws_chunked::Trailers;
use super::digest::{Algorithm, Digest, Digester};
use super::errors::{custom_error, error, invalid_request, with_elements};
use super::store::StoreError;

/// The digests of a body in the signature's headers and in the trailers of a chunked body. An extension of the request.
#[derive(Debug, Clone, Default)]
pub(super) struct PayloadIntegrity {
    /// `x-amz-content-sha256` in lower-case hexadecimal, unless the payload is unsigned.
    pub(super) sha256: Option<String>,
    pub(super) trailers: Trailers,
}

impl PayloadIntegrity {
    fn trailers(&self) -> HeaderMap {
        self.trailers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The length and digests that a request declares for its body.
pub(super) struct IntegrityHeaders {
    md5: Option<String>,
    checksum: Option<(Algorithm, String)>,
    /// The algorithm in `x-amz-trailer`, whose value follows the body.
    trailer: Option<Algorithm>,
    /// The algorithm of the checksum to compute, if the client sends none.
    computed: Option<Algorithm>,
    length: Option<i64>,
    body: PayloadIntegrity,
}

impl IntegrityHeaders {
    pub(super) fn new<T>(
        request: &S3Request<T>,
        checksum: Option<(Algorithm, String)>,
        md5: Option<&String>,
        length: Option<i64>,
    ) -> IntegrityHeaders {
        let trailer = trailer_algorithm(&request.headers);
        let body = request.extensions.get::<PayloadIntegrity>().cloned().unwrap_or_default();
        IntegrityHeaders { md5: md5.cloned(), checksum, trailer, computed: None, length, body }
    }

    /// Reads the headers of a request whose body is a document, for which the inputs of s3s have no fields. With
    /// `is_of_object`, a checksum is the object's and not the body's, as in `CompleteMultipartUpload`.
    pub(super) fn from_document<T>(request: &Request<T>, is_of_object: bool) -> IntegrityHeaders {
        let headers = request.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let checksum = Algorithm::ALL.into_iter().find_map(|algorithm| {
            Some((algorithm, text(&algorithm.header())?.to_owned()))
                .filter(|(_, value)| !is_of_object && !value.is_empty())
        });
        let trailer = trailer_algorithm(headers);
        let md5 = text("content-md5").filter(|md5| !md5.is_empty()).map(str::to_owned);
        let length = text("content-length").and_then(|length| length.parse().ok());
        let body = request.extensions().get::<PayloadIntegrity>().cloned().unwrap_or_default();
        IntegrityHeaders { md5, checksum, trailer, computed: None, length, body }
    }

    /// Returns the algorithm of the checksum that the client sends.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm).or(self.trailer)
    }

    /// Makes the digester compute a checksum, if the client sends none.
    pub(super) fn compute(&mut self, algorithm: Algorithm) {
        self.computed = Some(algorithm);
    }

    /// Returns a digester for the digests that [`IntegrityHeaders::check`] compares.
    pub(super) fn digester(&self) -> Digester {
        Digester::new(self.algorithm().or(self.computed), self.body.sha256.is_some())
    }

    /// Compares the declared length and digests with those of the bytes.
    ///
    /// # Errors
    /// S3's error for the first that differs.
    pub(super) fn check(&self, digest: &Digest) -> S3Result<()> {
        if self.length.is_some_and(|length| length.cast_unsigned() != digest.size) {
            return Err(s3_error!(
                IncompleteBody,
                "the body has {} bytes, which is not the declared length",
                digest.size
            ));
        }
        if let Some(md5) = &self.md5 {
            let sent = base64_simd::STANDARD.decode_to_vec(md5).unwrap_or_default();
            if sent.len() != digest.md5.len() {
                return Err(error(S3ErrorCode::InvalidDigest, &[("Content-MD5", md5)]));
            }
            if sent != digest.md5 {
                let found = base64_simd::STANDARD.encode_to_string(digest.md5);
                let refused = s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received.");
                let expected = hex::encode(sent);
                return Err(with_elements(refused, &[("CalculatedDigest", &found), ("ExpectedDigest", &expected)]));
            }
        }
        if self.body.sha256.is_some() && self.body.sha256 != digest.payload {
            let elements = [
                ("ClientComputedContentSHA256", self.body.sha256.as_deref().unwrap_or_default()),
                ("S3ComputedContentSHA256", digest.payload.as_deref().unwrap_or_default()),
            ];
            return Err(custom_error("XAmzContentSHA256Mismatch", http::StatusCode::BAD_REQUEST, &elements));
        }
        match (self.sent_value()?, &digest.checksum) {
            (Some(sent), Some(found)) if sent != found.value => {
                Err(StoreError::BadDigest { algorithm: found.algorithm.name().to_owned() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Returns the checksum of the header, or that of the trailer, which has to be there.
    fn sent_value(&self) -> S3Result<Option<String>> {
        if let Some((_, value)) = &self.checksum {
            return Ok(Some(value.clone()));
        }
        let Some(algorithm) = self.trailer else { return Ok(None) };
        let trailers = self.body.trailers();
        let Some(value) = trailers.get(algorithm.header()) else {
            return Err(custom_error("MalformedTrailerError", http::StatusCode::BAD_REQUEST, &[]));
        };
        match value.to_str() {
            Ok(value) if algorithm.is_value(value) => Ok(Some(value.to_owned())),
            _ => Err(invalid_request(format!("Value for {} trailing header is invalid.", algorithm.header()))),
        }
    }
}

/// Returns the algorithm of the checksum that follows the body.
fn trailer_algorithm(headers: &HeaderMap) -> Option<Algorithm> {
    headers.get("x-amz-trailer")?.to_str().ok()?.split(',').find_map(Algorithm::from_header)
}
