//! Reads an object by ranged requests, one chunk ahead of the engine.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use lake::objects::{self, Object};
use lake::{Error, Lake, keys};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::object_storage::wait;

/// The size of a chunk in bytes. At most two are in memory for each file that is open.
pub(crate) const CHUNK_BYTES: u64 = 4 << 20;

/// A requested chunk. Dropping it cancels the request.
pub(crate) struct Pending(JoinHandle<Result<Bytes, Error>>);

impl Pending {
    /// Requests the chunk that begins at byte `from` of this version of an object. There is no request for the end of the
    /// object.
    pub(crate) fn new(runtime: &Handle, lake: &Arc<Lake>, object: &Object, from: u64) -> Self {
        let (lake, object) = (lake.clone(), object.clone());
        Self(runtime.spawn(async move {
            let to = object.bytes.min(from + CHUNK_BYTES);
            if from >= to {
                return Ok(Bytes::new());
            }
            let bucket = &lake.config.buckets.raw;
            let chunk = objects::read_range_of_version(&lake, bucket, &object, from, to).await?;
            let chunk = chunk.ok_or_else(|| {
                let uri = keys::uri(bucket, &object.key);
                Error::RawFilesChanged(format!("{uri} was replaced or removed after the run was planned"))
            })?;
            let (read, wanted) = (chunk.len() as u64, to - from);
            if read == wanted {
                return Ok(chunk);
            }
            let message = format!("S3 returned {read} bytes of {wanted}");
            Err(Error::unavailable(format!("reading {}", keys::uri(bucket, &object.key)), message))
        }))
    }

    fn wait(mut self, runtime: &Handle) -> io::Result<Bytes> {
        wait(runtime, &mut self.0)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An object that is being read.
pub(crate) struct ObjectReader<'a> {
    runtime: &'a Handle,
    lake: &'a Arc<Lake>,
    object: &'a Object,
    /// The bytes that were received and not read yet.
    chunk: Bytes,
    /// The next chunk. `None` after the last.
    next: Option<Pending>,
    /// Where the chunk after `next` begins.
    requested: u64,
}

impl<'a> ObjectReader<'a> {
    /// Creates the reader of an object, whose first chunk is requested.
    pub(crate) fn new(runtime: &'a Handle, lake: &'a Arc<Lake>, object: &'a Object, first: Pending) -> Self {
        Self { runtime, lake, object, chunk: Bytes::new(), next: Some(first), requested: CHUNK_BYTES }
    }
}

impl Read for ObjectReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty()
            && let Some(next) = self.next.take()
        {
            if self.requested < self.object.bytes {
                self.next = Some(Pending::new(self.runtime, self.lake, self.object, self.requested));
                self.requested += CHUNK_BYTES;
            }
            self.chunk = next.wait(self.runtime)?;
        }
        let read = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
