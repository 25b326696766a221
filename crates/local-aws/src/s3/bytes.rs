//! Streaming of bodies with bounded memory: an upload is hashed while it is written to a temporary file, and a download is
//! read from its file as the client consumes it (backpressure).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3ErrorCode, StdError};
use tempfile::TempPath;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::digest::{Digest, Digester};
use super::store::{ObjectStore, StoreError};

/// Bytes of a body that are collected before they are written. Most bodies are shorter, so that one blocking task does all
/// the work of a request.
const BATCH_BYTES: usize = 1 << 20;

/// The maximum number of batches of a body that are queued for the disk.
const QUEUED_BATCHES: usize = 2;

/// Consecutive pieces of a body, as they arrived.
struct Batch {
    pieces: Vec<Bytes>,
    is_last: bool,
}

impl Batch {
    /// Reads up to [`BATCH_BYTES`] of the body.
    async fn next(body: &mut Option<StreamingBlob>) -> Result<Batch, S3Error> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let piece = match body {
                Some(body) => body.next().await.transpose().map_err(|error| incomplete(&error))?,
                None => None,
            };
            let Some(piece) = piece else { return Ok(Batch { pieces, is_last: true }) };
            bytes += piece.len();
            pieces.push(piece);
        }
        Ok(Batch { pieces, is_last: false })
    }
}

/// Writes the body to a temporary file, and calls `keep` with the file and the digest of its bytes. `keep` may block. It is
/// not called if the body ends early, and the file is removed.
pub(super) async fn receive<T: Send + 'static>(
    store: &Arc<ObjectStore>,
    mut body: Option<StreamingBlob>,
    mut digester: Digester,
    keep: impl FnOnce(&ObjectStore, TempPath, &Digest) -> Result<T, S3Error> + Send + 'static,
) -> Result<T, S3Error> {
    let (send, mut batches) = mpsc::channel::<Batch>(QUEUED_BATCHES);
    let mut batch = Batch::next(&mut body).await?;
    let store = Arc::clone(store);
    let writer = spawn_blocking(move || {
        let (mut file, path) = store.temporary_file()?;
        while let Some(batch) = batches.blocking_recv() {
            for piece in &batch.pieces {
                digester.update(piece);
                file.write_all(piece).map_err(StoreError::io(&path))?;
            }
            if batch.is_last {
                return keep(&store, path, &digester.finish()).map(Some);
            }
        }
        Ok(None)
    });
    loop {
        let is_last = batch.is_last;
        // The channel is closed when the writer failed: its error is returned below.
        if send.send(batch).await.is_err() || is_last {
            break;
        }
        // If this fails, nothing is kept: the writer never receives the last batch.
        batch = Batch::next(&mut body).await?;
    }
    let kept = writer.await.map_err(S3Error::internal_error)??;
    kept.ok_or_else(|| incomplete(&"its end was not written".into()))
}

fn incomplete(error: &StdError) -> S3Error {
    S3Error::with_message(S3ErrorCode::IncompleteBody, format!("the body could not be read to its end: {error}"))
}

/// Bytes of one read from a file.
const READ_BYTES: u64 = 1 << 20;

/// A range of a file as a stream, which reads a piece when the one before was consumed.
pub(super) struct FileRange {
    file: Arc<File>,
    /// A piece that is read and not yet consumed.
    ready: Option<Bytes>,
    /// Bytes that are not yet consumed.
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileRange {
    /// Opens the range and reads its first piece, which is often the only one, so that most reads need no second blocking task.
    pub(super) fn open(mut file: File, range: Range<u64>) -> io::Result<FileRange> {
        let left = range.end - range.start;
        file.seek(SeekFrom::Start(range.start))?;
        let ready = (left > 0).then(|| read_piece(&file, READ_BYTES.min(left))).transpose()?;
        Ok(FileRange { file: Arc::new(file), ready, left, reading: None })
    }

    pub(super) fn stream(self) -> StreamingBlob {
        StreamingBlob::new(self)
    }

    fn consume(&mut self, piece: Bytes) -> Bytes {
        self.left -= piece.len() as u64;
        piece
    }
}

/// Reads exactly `length` bytes.
fn read_piece(file: &File, length: u64) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    if file.take(length).read_to_end(&mut piece)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(piece.into())
}

impl Stream for FileRange {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(piece) = self.ready.take() {
            return Poll::Ready(Some(Ok(self.consume(piece))));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let (file, length) = (Arc::clone(&self.file), READ_BYTES.min(self.left));
        let reading = self.reading.get_or_insert_with(|| spawn_blocking(move || read_piece(&file, length)));
        let piece = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(Some(match piece {
            Ok(Ok(piece)) => Ok(self.consume(piece)),
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }))
    }
}

impl ByteStream for FileRange {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_range_is_read_in_pieces() {
        let bytes: Vec<u8> = (0..2_500_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        for range in [0..0, 0..1, 5..bytes.len(), 0..bytes.len(), 1_048_576..2_097_152] {
            let range_of_file = range.start as u64..range.end as u64;
            let stream = FileRange::open(file.try_clone().unwrap(), range_of_file).unwrap().stream();
            assert_eq!(stream.remaining_length().exact(), Some(range.len()));
            let pieces: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
            assert_eq!(pieces.concat(), bytes[range]);
        }
    }
}
