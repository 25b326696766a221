//! Writes an object in parts, one of which is sent while the engine fills the next. A small object is one PUT.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use etl::TableWriter;
use lake::multipart::{MultipartUpload, PART_BYTES, Part};
use lake::{Error, Lake, objects};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::object_storage::io_error;

const PARQUET: &str = "application/vnd.apache.parquet";

/// An object that is being written. Dropping it before it is complete discards it.
pub(crate) struct ObjectWriter {
    runtime: Handle,
    lake: Arc<Lake>,
    key: String,
    /// The bytes of the next part.
    buffer: Vec<u8>,
    upload: Option<Arc<MultipartUpload>>,
    parts: Vec<Part>,
    /// The part that is being sent.
    sending: Option<JoinHandle<Result<Part, Error>>>,
}

impl ObjectWriter {
    /// Creates the writer of an object of the lake bucket.
    pub(crate) fn new(runtime: Handle, lake: Arc<Lake>, key: String) -> Self {
        Self { runtime, lake, key, buffer: Vec::new(), upload: None, parts: Vec::new(), sending: None }
    }

    /// Sends the buffer as the next part, after the part that is being sent.
    fn send(&mut self) -> io::Result<()> {
        self.wait()?;
        let (lake, bucket) = (self.lake.clone(), &self.lake.config.buckets.lake);
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                let started = MultipartUpload::start(&lake, bucket, &self.key, PARQUET);
                let started = Arc::new(self.runtime.block_on(started).map_err(io_error)?);
                self.upload.insert(started).clone()
            }
        };
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let number = self.parts.len() as i32 + 1;
        self.sending = Some(self.runtime.spawn(async move { upload.put(&lake, number, bytes).await }));
        Ok(())
    }

    /// Waits for the part that is being sent.
    fn wait(&mut self) -> io::Result<()> {
        if let Some(sending) = self.sending.take() {
            let part = self.runtime.block_on(sending).map_err(io::Error::other)?;
            self.parts.push(part.map_err(io_error)?);
        }
        Ok(())
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= PART_BYTES {
            self.send()?;
        }
        let taken = bytes.len().min(PART_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Does nothing: S3 has no object before it is complete.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TableWriter for ObjectWriter {
    fn complete(&mut self) -> io::Result<()> {
        let lake = self.lake.clone();
        if self.upload.is_none() {
            let body = std::mem::take(&mut self.buffer);
            let put = objects::put(&lake, &lake.config.buckets.lake, &self.key, PARQUET, body);
            return self.runtime.block_on(put).map_err(io_error);
        }
        self.send()?;
        self.wait()?;
        if let Some(upload) = &self.upload {
            self.runtime.block_on(upload.complete(&lake, &self.parts)).map_err(io_error)?;
            self.upload = None;
        }
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            // S3 may keep a part that arrives after the upload was discarded.
            let _ = self.wait();
            // Otherwise the vacuum does it after a day.
            if let Err(error) = self.runtime.block_on(upload.abort(&self.lake)) {
                tracing::warn!(%error, "an upload was not discarded");
            }
        }
    }
}
