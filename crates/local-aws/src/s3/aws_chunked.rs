//! Decoding of `aws-chunked` bodies, in which SDKs send an object in chunks, signed or unsigned, and checksums as trailers
//! after it: `<hex size>[;chunk-signature=...]\r\n<bytes>\r\n ... 0\r\n<trailers>\r\n`.
//!
//! Hand-written, because s3s's decoder verifies the signature of each chunk, and this endpoint has no secret keys.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::{Body, StdError};

/// The trailers of a body: empty until its last chunk is read.
pub(super) type Trailers = Arc<Mutex<HeaderMap>>;

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// Whether the headers say that the body is chunked.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text("x-amz-content-sha256").starts_with("STREAMING-")
        || text("content-encoding").split(',').any(|encoding| encoding.trim() == "aws-chunked")
}

/// Returns the decoded body. Its trailers are stored in `trailers` when the last chunk is read.
pub(super) fn decode_body(body: Body, trailers: &Trailers) -> Body {
    let chunks = body.map(|piece| piece.map_err(ChunkError::Body));
    let stream = decoded(chunks, Arc::clone(trailers));
    Body::from(s3s::stream::DynByteStream::from(s3s::dto::StreamingBlob::wrap(stream)))
}

/// Makes the headers those of the decoded body: its length, and its encodings without `aws-chunked`, which would be stored
/// with the object.
pub(super) fn remove_chunk_headers(headers: &mut HeaderMap) {
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

/// An invalid or incomplete chunked body.
#[derive(Debug, thiserror::Error)]
enum ChunkError {
    #[error("{0}")]
    Body(StdError),
    #[error("the aws-chunked body ended inside a chunk")]
    Truncated,
    #[error("the aws-chunked body has a line that is not a chunk header: {0:?}")]
    Malformed(String),
    #[error("the aws-chunked body has {0:?} where a chunk has to end with a line end: its size is wrong")]
    NoLineEnd(String),
    #[error("the aws-chunked body has a line that is not a trailer: {0:?}")]
    NoTrailer(String),
    #[error("the trailers of the aws-chunked body have more than {MAX_LINE_BYTES} bytes")]
    TooManyTrailers,
    #[error("the aws-chunked body continues after its last chunk")]
    ContinuesAfterEnd,
}

/// The maximum length of a chunk header, and of all trailers together: memory stays bounded whatever a client sends.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// A decoder over the pieces in which the body arrives, which end anywhere in a chunk.
struct Chunks<S> {
    source: S,
    buffer: BytesMut,
    /// Remaining bytes of the current chunk.
    left: usize,
}

impl<S: Stream<Item = Result<Bytes, ChunkError>> + Unpin> Chunks<S> {
    /// Returns the next bytes of the object, or `None` after the last chunk.
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
                return Err(ChunkError::NoLineEnd(excerpt(&line)));
            }
        }
        Ok(Some(piece))
    }

    async fn chunk_size(&mut self) -> Result<usize, ChunkError> {
        let line = self.line().await?.ok_or(ChunkError::Truncated)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        // `from_str_radix` would accept a sign.
        let is_size = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let size = is_size.then(|| usize::from_str_radix(digits, 16).ok()).flatten();
        size.ok_or_else(|| ChunkError::Malformed(excerpt(&line)))
    }

    /// Reads the trailers, to the empty line that ends the body.
    async fn trailers(&mut self) -> Result<HeaderMap, ChunkError> {
        let (mut trailers, mut bytes) = (HeaderMap::new(), 0);
        while let Some(line) = self.line().await? {
            if line.is_empty() {
                return match self.buffer.is_empty() && !self.fill().await? {
                    true => Ok(trailers),
                    false => Err(ChunkError::ContinuesAfterEnd),
                };
            }
            bytes += line.len();
            if bytes > MAX_LINE_BYTES {
                return Err(ChunkError::TooManyTrailers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| ChunkError::NoTrailer(excerpt(&line)))?;
            match (HeaderName::try_from(name.trim()), HeaderValue::try_from(value.trim())) {
                (Ok(name), Ok(value)) => drop(trailers.insert(name, value)),
                _ => return Err(ChunkError::NoTrailer(excerpt(&line))),
            }
        }
        // Some clients omit the last line end.
        Ok(trailers)
    }

    /// Returns the next line without its end, or `None` at the end of the body.
    async fn line(&mut self) -> Result<Option<String>, ChunkError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + end);
                if line.len() > MAX_LINE_BYTES {
                    return Err(ChunkError::Malformed(excerpt(&String::from_utf8_lossy(&line[..64]))));
                }
                self.buffer.advance(1);
                return Ok(Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned()));
            }
            searched = self.buffer.len();
            if searched > MAX_LINE_BYTES {
                return Err(ChunkError::Malformed(excerpt(&String::from_utf8_lossy(&self.buffer[..64]))));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ChunkError::Truncated) };
            }
        }
    }

    /// Reads one more piece. Returns `false` at the end of the body.
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

/// Returns the beginning of a line, for an error message.
fn excerpt(line: &str) -> String {
    line.chars().take(64).collect()
}

/// Decodes a body, given as the pieces in which it arrived, into its bytes and its trailers. For fuzz targets.
pub(crate) async fn decode(pieces: Vec<Bytes>) -> Result<(Vec<u8>, HeaderMap), String> {
    let trailers = Arc::default();
    let source = futures::stream::iter(pieces.into_iter().map(Ok));
    let decoded: Vec<_> = decoded(source, Arc::clone(&trailers)).collect().await;
    let decoded: Result<Vec<Bytes>, ChunkError> = decoded.into_iter().collect();
    let bytes = decoded.map_err(|error| error.to_string())?.concat();
    let trailers = trailers.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((bytes, trailers))
}

fn decoded<S>(source: S, trailers: Trailers) -> impl Stream<Item = Result<Bytes, ChunkError>>
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
        assert!(decode(b"xyz\r\nhello", 3).await.unwrap_err().contains("not a chunk header: \"xyz\""));
        assert!(decode(b"+5\r\nhello\r\n0\r\n\r\n", 3).await.unwrap_err().contains("not a chunk header: \"+5\""));
    }

    #[tokio::test]
    async fn bytes_beside_the_chunks_are_errors_and_not_dropped() {
        for piece in [1, 4, 99] {
            let longer = decode(b"5\r\nhello world\r\n0\r\n\r\n", piece).await.unwrap_err();
            assert!(longer.contains("has \" world\" where a chunk has to end"), "{longer}");
            assert!(decode(b"5\r\nhello", piece).await.unwrap_err().contains("ended inside a chunk"));
            let longer_body = decode(b"5\r\nhello\r\n0\r\n\r\n5\r\nworld\r\n0\r\n\r\n", piece).await.unwrap_err();
            assert!(longer_body.contains("continues after its last chunk"), "{longer_body}");
            let cut = decode(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AA", piece).await.unwrap_err();
            assert!(cut.contains("ended inside a chunk"), "{cut}");
            let other = decode(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", piece).await.unwrap_err();
            assert!(other.contains("not a trailer: \"x-amz-checksum-crc32\""), "{other}");
        }
        assert_eq!(decode(b"5\r\nhello\r\n0\r\n", 9).await.unwrap().0, b"hello");
    }

    #[tokio::test]
    async fn trailers_are_bounded() {
        let trailers: String = (0..40_000).map(|number| format!("x-{number}:1\r\n")).collect();
        let body = Bytes::from(format!("0\r\n{trailers}\r\n"));
        assert!(super::decode(vec![body]).await.unwrap_err().contains("more than 16384 bytes"));
    }
}
