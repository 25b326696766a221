//! The engine's storage in S3.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use etl::{EtlError, Input, Part, Storage, TableWriter};
use lake::objects::Object;
use lake::record::RawFileVersion;
use lake::{Error, Lake, keys};
use market::run::RunId;
use market::snapshot::SnapshotName;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::object_reader::{CHUNK_BYTES, ObjectReader, Pending};
use crate::object_writer::ObjectWriter;

/// The most files of a task that are requested ahead of the one that the engine reads. A raw file is small (about 400 kB), and
/// the engine reads it in less time than S3 takes for the first byte.
const FILES_AHEAD: usize = 8;

/// The size of the requested chunks, in bytes, from which on no more files are requested ahead.
const BYTES_AHEAD: u64 = CHUNK_BYTES;

/// The raw files of a day, and the folders of a run.
pub(crate) struct ObjectStorage {
    lake: Arc<Lake>,
    runtime: Handle,
    run: RunId,
    raw_files: HashMap<SnapshotName, Object>,
    /// The first chunks that are requested and not read yet.
    pending: Mutex<HashMap<SnapshotName, Pending>>,
}

impl ObjectStorage {
    /// Creates the storage. `runtime` executes the requests.
    pub(crate) fn new(lake: Arc<Lake>, runtime: Handle, run: RunId, raw_files: Vec<RawFileVersion>) -> Self {
        let object = |file: RawFileVersion| Object {
            key: keys::raw(file.name),
            bytes: file.bytes,
            // The plan of a run has the ETags of a listing.
            etag: file.etag.unwrap_or_default(),
            last_modified: None,
        };
        let raw_files = raw_files.into_iter().map(|file| (file.name, object(file))).collect();
        Self { lake, runtime, run, raw_files, pending: Mutex::default() }
    }

    /// Returns the raw files as inputs of the engine.
    pub(crate) fn inputs(&self) -> Vec<Input> {
        let bucket = &self.lake.config.buckets.raw;
        let path = |object: &Object| PathBuf::from(keys::uri(bucket, &object.key));
        self.raw_files.iter().map(|(name, object)| Input { path: path(object), snapshot: *name }).collect()
    }

    fn object(&self, input: &Input) -> io::Result<&Object> {
        self.raw_files.get(&input.snapshot).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Returns the pending first chunk of a file, and requests those of the files that the engine opens next.
    fn request(&self, input: &Input, next: &[&Input]) -> io::Result<Pending> {
        let first = |object: &Object| Pending::new(&self.runtime, &self.lake, object, 0);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let requested = match pending.remove(&input.snapshot) {
            Some(requested) => requested,
            None => first(self.object(input)?),
        };
        let mut ahead = 0;
        for input in next.iter().take(FILES_AHEAD) {
            let object = self.object(input)?;
            pending.entry(input.snapshot).or_insert_with(|| first(object));
            ahead += object.bytes.min(CHUNK_BYTES);
            if ahead >= BYTES_AHEAD {
                break;
            }
        }
        Ok(requested)
    }
}

impl Storage for ObjectStorage {
    fn size(&self, input: &Input) -> io::Result<u64> {
        Ok(self.object(input)?.bytes)
    }

    fn open(&self, input: &Input, next: &[&Input]) -> io::Result<Box<dyn Read + '_>> {
        let first = self.request(input, next)?;
        Ok(Box::new(ObjectReader::new(&self.runtime, &self.lake, self.object(input)?, first)))
    }

    fn create(&self, part: Part) -> io::Result<Box<dyn TableWriter>> {
        Ok(Box::new(ObjectWriter::new(self.runtime.clone(), self.lake.clone(), self.name(part))))
    }

    fn path(&self, part: Part) -> PathBuf {
        PathBuf::from(keys::uri(&self.lake.config.buckets.lake, &self.name(part)))
    }

    fn name(&self, part: Part) -> String {
        part.name(Some(&self.run))
    }

    /// Does nothing: no reader looks into the folders of a run before the record of a day names them.
    fn publish(&self, _: &[Part]) -> Result<(), EtlError> {
        Ok(())
    }
}

/// Waits for a request, which is a task of the runtime. The request fails if the runtime shuts down meanwhile; on the thread of
/// the engine itself, its timers would panic.
pub(crate) fn wait<T>(runtime: &Handle, request: &mut JoinHandle<Result<T, Error>>) -> io::Result<T> {
    match runtime.block_on(request) {
        Ok(result) => result.map_err(io::Error::other),
        Err(error) => Err(io::Error::other(error)),
    }
}
