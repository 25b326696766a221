//! Bodies in and out, with memory bounded by a few pieces: an upload goes to a temporary file and is
//! hashed on the way; a download is read from its file as the client takes it.

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

/// As much of a body is gathered before it is written. Most bodies are not longer: they make one trip to where one may
/// block, with all that there is to do.
const BATCH: usize = 1 << 20;

/// How many batches of a long body may wait for the disk.
const BATCHES_AHEAD: usize = 2;

/// Bytes of a body, as they came.
struct Batch {
    pieces: Vec<Bytes>,
    is_last: bool,
}

impl Batch {
    async fn next(body: &mut Option<StreamingBlob>) -> Result<Batch, S3Error> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH {
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

/// Writes the body to a temporary file and gives that, with what was computed on the way, to `keep`, which may block.
pub(super) async fn receive<T: Send + 'static>(
    store: &Arc<ObjectStore>,
    mut body: Option<StreamingBlob>,
    mut digester: Digester,
    keep: impl FnOnce(&ObjectStore, TempPath, &Digest) -> Result<T, S3Error> + Send + 'static,
) -> Result<T, S3Error> {
    let (send, mut batches) = mpsc::channel::<Batch>(BATCHES_AHEAD);
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
        // A writer that stopped says why.
        if send.send(batch).await.is_err() || is_last {
            break;
        }
        // Where this fails, nothing is kept: the writer never gets the last batch.
        batch = Batch::next(&mut body).await?;
    }
    let kept = writer.await.map_err(S3Error::internal_error)??;
    kept.ok_or_else(|| incomplete(&"its end was not written".into()))
}

fn incomplete(error: &StdError) -> S3Error {
    S3Error::with_message(S3ErrorCode::IncompleteBody, format!("the body could not be read to its end: {error}"))
}

/// How much is read at once.
const PIECE: u64 = 1 << 20;

/// A range of a file as a stream that reads as it is taken.
pub(super) struct FileRange {
    file: Arc<File>,
    /// Read, and not yet taken.
    ready: Option<Bytes>,
    /// How many bytes are still to be taken.
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileRange {
    /// Reads the first piece, which is often the only one.
    pub(super) fn open(mut file: File, range: Range<u64>) -> io::Result<FileRange> {
        let left = range.end - range.start;
        file.seek(SeekFrom::Start(range.start))?;
        let ready = (left > 0).then(|| read_piece(&file, PIECE.min(left))).transpose()?;
        Ok(FileRange { file: Arc::new(file), ready, left, reading: None })
    }

    pub(super) fn stream(self) -> StreamingBlob {
        StreamingBlob::new(self)
    }

    fn taken(&mut self, piece: Bytes) -> Bytes {
        self.left -= piece.len() as u64;
        piece
    }
}

/// The next `length` bytes.
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
            return Poll::Ready(Some(Ok(self.taken(piece))));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let (file, length) = (Arc::clone(&self.file), PIECE.min(self.left));
        let reading = self.reading.get_or_insert_with(|| spawn_blocking(move || read_piece(&file, length)));
        let piece = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(Some(match piece {
            Ok(Ok(piece)) => Ok(self.taken(piece)),
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
