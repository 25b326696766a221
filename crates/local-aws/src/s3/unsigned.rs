//! Takes the signature off a request, so that any credentials are accepted.
//!
//! The endpoint is for one user on one machine and has no secrets to check against. What the signature's
//! headers say of the *bytes* still counts: a body in signed or unsigned chunks (`aws-chunked`) is put together here, and
//! its checksum trailers and its SHA-256 go along as [`BodyClaims`].

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use s3s::{Body, StdError};

/// What the request said of its body, to be checked once the body is read.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyClaims {
    /// Lower-case hexadecimal.
    pub(super) sha256: Option<String>,
    /// Filled when the last chunk has been read.
    trailers: Arc<Mutex<HeaderMap>>,
}

impl BodyClaims {
    /// The trailers that came behind the body.
    pub(super) fn trailers(&self) -> HeaderMap {
        self.trailers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// The same request without a signature, its body as the client meant it.
pub(super) fn unsign(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(AUTHORIZATION);
    if let Some(uri) = without_signature(&head.uri, &mut head.headers) {
        head.uri = uri;
    }
    let mut claims = BodyClaims::default();
    let said =
        head.headers.get("x-amz-content-sha256").and_then(|said| said.to_str().ok()).unwrap_or_default().to_owned();
    let is_chunked = said.starts_with("STREAMING-") || names_aws_chunked(&head.headers);
    if said.len() == 64 && said.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        claims.sha256 = Some(said.to_ascii_lowercase());
    }
    let body = if is_chunked {
        forget_chunks(&mut head.headers);
        let chunks = body.map(|piece| piece.map_err(ChunkError::Body));
        let stream = decoded(chunks, Arc::clone(&claims.trailers));
        Body::from(s3s::stream::DynByteStream::from(s3s::dto::StreamingBlob::wrap(stream)))
    } else {
        body
    };
    head.extensions.insert(claims);
    Request::from_parts(head, body)
}

/// The parameters of a pre-signed URL.
const SIGNATURE_PARAMETERS: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "awsaccesskeyid",
    "signature",
    "expires",
];

/// The address without what belongs to the signature. Other parameters of `x-amz-` are headers that were signed as a
/// part of the address: they become headers again.
fn without_signature(uri: &Uri, headers: &mut HeaderMap) -> Option<Uri> {
    let query = uri.query()?;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase();
        if SIGNATURE_PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        let header = name.starts_with("x-amz-").then(|| Some((unescape(&name)?, unescape(value)?))).flatten();
        let header = header
            .and_then(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
        match header {
            Some((name, value)) => drop(headers.entry(name).or_insert(value)),
            None => kept.push(pair),
        }
    }
    if kept.len() == query.split('&').count() {
        return None;
    }
    let path = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// A name or value of a query, or `None` where it is no UTF-8.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn names_aws_chunked(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .and_then(|encodings| encodings.to_str().ok())
        .is_some_and(|encodings| encodings.split(',').any(|encoding| encoding.trim() == "aws-chunked"))
}

/// The chunks are the protocol's and not the object's: their headers become those of the object.
fn forget_chunks(headers: &mut HeaderMap) {
    match headers.remove(DECODED_LENGTH) {
        Some(length) => headers.insert(CONTENT_LENGTH, length),
        None => headers.remove(CONTENT_LENGTH),
    };
    let Some(encodings) = headers.remove(CONTENT_ENCODING) else { return };
    let rest: Vec<&str> = encodings
        .to_str()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|encoding| !encoding.is_empty() && *encoding != "aws-chunked")
        .collect();
    if let (false, Ok(rest)) = (rest.is_empty(), HeaderValue::try_from(rest.join(","))) {
        headers.insert(CONTENT_ENCODING, rest);
    }
}

/// Why a chunked body could not be read.
#[derive(Debug, thiserror::Error)]
enum ChunkError {
    #[error("{0}")]
    Body(StdError),
    #[error("the aws-chunked body ended inside a chunk")]
    Truncated,
    #[error("the aws-chunked body has a line that is no chunk header: {0:?}")]
    Malformed(String),
    #[error("the aws-chunked body has {0:?} where a chunk has to end with a line end: its size is wrong")]
    NoLineEnd(String),
    #[error("the aws-chunked body has a line that is no trailer: {0:?}")]
    NoTrailer(String),
    #[error("the trailers of the aws-chunked body have more than {LONGEST_LINE} bytes")]
    TooManyTrailers,
    #[error("the aws-chunked body goes on behind its last chunk")]
    GoesOn,
}

/// The longest chunk header, and the most that all trailers have.
const LONGEST_LINE: usize = 16 * 1024;

/// A chunked body: `<hex size>[;chunk-signature=...]\r\n<bytes>\r\n ... 0\r\n<trailers>\r\n`.
struct Chunks<S> {
    source: S,
    buffer: BytesMut,
    /// Bytes of the current chunk that are still to come.
    left: usize,
}

impl<S: Stream<Item = Result<Bytes, ChunkError>> + Unpin> Chunks<S> {
    /// The next bytes of the object, or `None` behind the last chunk.
    async fn next(&mut self, trailers: &Mutex<HeaderMap>) -> Result<Option<Bytes>, ChunkError> {
        if self.left == 0 {
            self.left = self.chunk_size().await?;
            if self.left == 0 {
                *trailers.lock().unwrap_or_else(PoisonError::into_inner) = self.trailers().await?;
                return Ok(None);
            }
        }
        if self.buffer.is_empty() && !self.fill().await? {
            return Err(ChunkError::Truncated);
        }
        let piece = self.buffer.split_to(self.left.min(self.buffer.len())).freeze();
        self.left -= piece.len();
        if self.left == 0 {
            let line = self.line().await?.ok_or(ChunkError::Truncated)?;
            if !line.is_empty() {
                return Err(ChunkError::NoLineEnd(shown(&line)));
            }
        }
        Ok(Some(piece))
    }

    async fn chunk_size(&mut self) -> Result<usize, ChunkError> {
        let line = self.line().await?.ok_or(ChunkError::Truncated)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        // A sign is no digit.
        let is_size = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let size = is_size.then(|| usize::from_str_radix(digits, 16).ok()).flatten();
        size.ok_or_else(|| ChunkError::Malformed(shown(&line)))
    }

    /// The trailers, up to the empty line behind them, which is the end of the body.
    async fn trailers(&mut self) -> Result<HeaderMap, ChunkError> {
        let (mut trailers, mut bytes) = (HeaderMap::new(), 0);
        while let Some(line) = self.line().await? {
            if line.is_empty() {
                return match self.buffer.is_empty() && !self.fill().await? {
                    true => Ok(trailers),
                    false => Err(ChunkError::GoesOn),
                };
            }
            bytes += line.len();
            if bytes > LONGEST_LINE {
                return Err(ChunkError::TooManyTrailers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| ChunkError::NoTrailer(shown(&line)))?;
            match (HeaderName::try_from(name.trim()), HeaderValue::try_from(value.trim())) {
                (Ok(name), Ok(value)) => drop(trailers.insert(name, value)),
                _ => return Err(ChunkError::NoTrailer(shown(&line))),
            }
        }
        // Some clients leave the last line end out.
        Ok(trailers)
    }

    /// The next line without its end, or `None` at the end of the body.
    async fn line(&mut self) -> Result<Option<String>, ChunkError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + end);
                if line.len() > LONGEST_LINE {
                    return Err(ChunkError::Malformed(shown(&String::from_utf8_lossy(&line[..64]))));
                }
                self.buffer.advance(1);
                return Ok(Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned()));
            }
            searched = self.buffer.len();
            if searched > LONGEST_LINE {
                return Err(ChunkError::Malformed(shown(&String::from_utf8_lossy(&self.buffer[..64]))));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ChunkError::Truncated) };
            }
        }
    }

    async fn fill(&mut self) -> Result<bool, ChunkError> {
        match self.source.next().await {
            None => Ok(false),
            Some(piece) => {
                self.buffer.extend_from_slice(&piece?);
                Ok(true)
            }
        }
    }
}

/// The beginning of a line, for a message.
fn shown(line: &str) -> String {
    line.chars().take(64).collect()
}

/// For the fuzz targets: an `aws-chunked` body, in the pieces in which it came, as its bytes and its trailers.
pub(crate) async fn decode(pieces: Vec<Bytes>) -> Result<(Vec<u8>, HeaderMap), String> {
    let trailers = Arc::default();
    let source = futures::stream::iter(pieces.into_iter().map(Ok));
    let decoded: Vec<_> = decoded(source, Arc::clone(&trailers)).collect().await;
    let decoded: Result<Vec<Bytes>, ChunkError> = decoded.into_iter().collect();
    let bytes = decoded.map_err(|error| error.to_string())?.concat();
    let trailers = trailers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((bytes, trailers))
}

fn decoded<S>(source: S, trailers: Arc<Mutex<HeaderMap>>) -> impl Stream<Item = Result<Bytes, ChunkError>>
where
    S: Stream<Item = Result<Bytes, ChunkError>> + Unpin,
{
    let chunks = Chunks { source, buffer: BytesMut::new(), left: 0 };
    futures::stream::try_unfold((chunks, trailers), |(mut chunks, trailers)| async move {
        let piece = chunks.next(&trailers).await?;
        Ok(piece.map(|piece| (piece, (chunks, trailers))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn decode(body: &'static [u8], piece: usize) -> Result<(Vec<u8>, HeaderMap), String> {
        super::decode(body.chunks(piece).map(Bytes::from_static).collect()).await
    }

    #[tokio::test]
    async fn chunks_become_the_object_however_they_are_cut() {
        let body = b"6;chunk-signature=ab\r\nhello \r\n5\r\nwor\r\n\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for piece in 1..body.len() {
            let (bytes, trailers) = decode(body, piece).await.unwrap();
            assert_eq!(bytes, b"hello wor\r\n", "cut by {piece}");
            assert_eq!(trailers["x-amz-checksum-crc32"], "AAAA");
        }
    }

    #[tokio::test]
    async fn broken_chunks_are_errors() {
        assert!(decode(b"6\r\nhel", 9).await.unwrap_err().contains("ended inside a chunk"));
        assert!(decode(b"", 9).await.unwrap_err().contains("ended inside a chunk"));
        assert!(decode(b"xyz\r\nhello", 3).await.unwrap_err().contains("no chunk header: \"xyz\""));
        assert!(decode(b"+5\r\nhello\r\n0\r\n\r\n", 3).await.unwrap_err().contains("no chunk header: \"+5\""));
    }

    #[tokio::test]
    async fn bytes_beside_the_chunks_are_errors_and_not_dropped() {
        for piece in [1, 4, 99] {
            let longer = decode(b"5\r\nhello world\r\n0\r\n\r\n", piece).await.unwrap_err();
            assert!(longer.contains("has \" world\" where a chunk has to end"), "{longer}");
            assert!(decode(b"5\r\nhello", piece).await.unwrap_err().contains("ended inside a chunk"));
            let behind = decode(b"5\r\nhello\r\n0\r\n\r\n5\r\nworld\r\n0\r\n\r\n", piece).await.unwrap_err();
            assert!(behind.contains("goes on behind its last chunk"), "{behind}");
            let cut = decode(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AA", piece).await.unwrap_err();
            assert!(cut.contains("ended inside a chunk"), "{cut}");
            let other = decode(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", piece).await.unwrap_err();
            assert!(other.contains("no trailer: \"x-amz-checksum-crc32\""), "{other}");
        }
        assert_eq!(decode(b"5\r\nhello\r\n0\r\n", 9).await.unwrap().0, b"hello");
    }

    #[tokio::test]
    async fn trailers_are_bounded() {
        let trailers: String = (0..40_000).map(|number| format!("x-{number}:1\r\n")).collect();
        let body = Bytes::from(format!("0\r\n{trailers}\r\n"));
        assert!(super::decode(vec![body]).await.unwrap_err().contains("more than 16384 bytes"));
    }

    #[test]
    fn signatures_leave_the_query() {
        let cases = [
            ("/b/k?X-Amz-Signature=1&X-Amz-Date=2&partNumber=3", Some("/b/k?partNumber=3")),
            ("/b/k?X-Amz-Signature=1", Some("/b/k")),
            ("/b?list-type=2&prefix=a%2Fb", None),
            ("/b", None),
        ];
        for (uri, expected) in cases {
            let found = without_signature(&Uri::from_static(uri), &mut HeaderMap::new()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{uri}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", HeaderValue::from_static("stays"));
        let uri = Uri::from_static("/b/k?X-Amz-Signature=1&x-amz-meta-a=b%20c&x-amz-acl=public-read&x-id=PutObject");
        assert_eq!(without_signature(&uri, &mut headers).unwrap(), "/b/k?x-id=PutObject");
        assert_eq!(
            (&headers["x-amz-meta-a"], &headers["x-amz-acl"]),
            (&"b c".parse().unwrap(), &"stays".parse().unwrap())
        );
    }
}
