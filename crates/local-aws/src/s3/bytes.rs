//! Bodies in and out, with memory bounded by a few pieces: an upload goes to a temporary file and is
//! hashed on the way; a download is read from its file as the client takes it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
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

/// How many pieces of a body may wait for the disk.
const PIECES_AHEAD: usize = 8;

/// Writes the body to a temporary file.
pub(super) async fn receive(
    store: &Arc<ObjectStore>,
    body: Option<StreamingBlob>,
    mut digester: Digester,
) -> Result<(TempPath, Digest), S3Error> {
    let (send, mut pieces) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let store = Arc::clone(store);
    let writer = spawn_blocking(move || {
        let (mut file, path) = store.temporary_file()?;
        while let Some(piece) = pieces.blocking_recv() {
            digester.update(&piece);
            file.write_all(&piece).map_err(StoreError::io(&path))?;
        }
        Ok::<_, StoreError>((path, digester.finish()))
    });
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| incomplete(&error))?;
            if send.send(piece).await.is_err() {
                break; // The writer stopped: it says why.
            }
        }
    }
    drop(send);
    Ok(writer.await.map_err(S3Error::internal_error)??)
}

fn incomplete(error: &StdError) -> S3Error {
    S3Error::with_message(S3ErrorCode::IncompleteBody, format!("the body could not be read to its end: {error}"))
}

/// How much is read at once.
const PIECE: u64 = 256 * 1024;

/// A range of a file as a stream that reads as it is taken.
pub(super) struct FileRange {
    file: Arc<File>,
    position: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileRange {
    pub(super) fn stream(file: File, range: std::ops::Range<u64>) -> StreamingBlob {
        let stream = FileRange { file: Arc::new(file), position: range.start, end: range.end, reading: None };
        StreamingBlob::new(stream)
    }
}

fn read_piece(file: &File, position: u64, length: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut piece, position)?;
    Ok(piece.into())
}

impl Stream for FileRange {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.position == self.end {
            return Poll::Ready(None);
        }
        let (position, length) = (self.position, PIECE.min(self.end - self.position));
        let file = Arc::clone(&self.file);
        let reading = self.reading.get_or_insert_with(|| spawn_blocking(move || read_piece(&file, position, length)));
        let piece = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(Some(match piece {
            Ok(Ok(piece)) => {
                self.position += piece.len() as u64;
                Ok(piece)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }))
    }
}

impl ByteStream for FileRange {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.end - self.position)
            .map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_range_is_read_in_pieces() {
        let bytes: Vec<u8> = (0..700_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        for range in [0..0, 0..1, 5..bytes.len(), 0..bytes.len(), 262_144..524_288] {
            let stream = FileRange::stream(file.try_clone().unwrap(), range.start as u64..range.end as u64);
            assert_eq!(stream.remaining_length().exact(), Some(range.len()));
            let pieces: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
            assert_eq!(pieces.concat(), bytes[range]);
        }
    }
}
