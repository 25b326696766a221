//! Writes an object in parts, one of which is sent while the engine fills the next. A small object is one PUT.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use etl::TableWriter;
use lake::multipart::{MultipartUpload, PART_BYTES, Part};
use lake::{Error, Lake, objects};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::object_storage::wait;

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
        let lake = self.lake.clone();
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                let key = self.key.clone();
                let started = self.request(|lake| async move {
                    MultipartUpload::start(&lake, &lake.config.buckets.lake, &key, PARQUET).await
                })?;
                self.upload.insert(Arc::new(started)).clone()
            }
        };
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let number = self.parts.len() as i32 + 1;
        self.sending = Some(self.runtime.spawn(async move { upload.put(&lake, number, bytes).await }));
        Ok(())
    }

    /// Waits for the part that is being sent.
    fn wait(&mut self) -> io::Result<()> {
        if let Some(mut sending) = self.sending.take() {
            self.parts.push(wait(&self.runtime, &mut sending)?);
        }
        Ok(())
    }

    /// Performs a request, and waits for its response.
    fn request<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send>(
        &self,
        request: impl FnOnce(Arc<Lake>) -> F + Send + 'static,
    ) -> io::Result<T> {
        let lake = self.lake.clone();
        wait(&self.runtime, &mut self.runtime.spawn(async move { request(lake).await }))
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
        if self.upload.is_none() {
            let (key, body) = (self.key.clone(), std::mem::take(&mut self.buffer));
            return self.request(|lake| async move {
                objects::put(&lake, &lake.config.buckets.lake, &key, PARQUET, body).await
            });
        }
        self.send()?;
        self.wait()?;
        if let Some(upload) = self.upload.clone() {
            let parts = std::mem::take(&mut self.parts);
            self.request(|lake| async move { upload.complete(&lake, &parts).await })?;
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
            if let Err(error) = self.request(|lake| async move { upload.abort(&lake).await }) {
                tracing::warn!(%error, "an upload was not discarded");
            }
        }
    }
}
