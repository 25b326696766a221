//! Opens a raw file as a stream of bytes, plain or gzip, and counts the bytes that are read.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use maybe_gzip::Reader;

use crate::error::EtlError;
use crate::job::{Input, Progress};

/// The bytes that all threads of a job have read. Calls `on_progress` after each read.
pub(crate) struct Tally<'a> {
    read: AtomicU64,
    total: u64,
    on_progress: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Tally<'a> {
    /// Starts at 0 of `total` bytes.
    pub(crate) fn new(total: u64, on_progress: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self { read: AtomicU64::new(0), total, on_progress }
    }

    fn add(&self, bytes: usize) {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        (self.on_progress)(Progress { read, total: self.total });
    }
}

/// The text of an open raw file, decompressed if need be.
pub(crate) type RawFile<'a> = Reader<Counted<'a>>;

/// Returns the text of `input`, whose bytes `file` returns as they are stored.
pub(crate) fn text<'a>(input: &Input, file: Box<dyn Read + 'a>, tally: &'a Tally<'a>) -> RawFile<'a> {
    Reader::new(Counted { file, bytes: 0, failed: false, tally }, input.snapshot.gzip)
}

/// Converts an I/O error that occurred after line `line` of `input`, in the storage or in the decoder.
pub(crate) fn read_error(input: &Input, line: u64, source: io::Error, file: &RawFile<'_>) -> EtlError {
    let path = input.path.clone();
    if file.get_ref().failed { EtlError::Read { path, source } } else { EtlError::Gzip { path, line, source } }
}

/// A file that counts the bytes that are read from it.
pub(crate) struct Counted<'a> {
    file: Box<dyn Read + 'a>,
    /// Bytes read so far, before decompression.
    pub bytes: u64,
    /// Whether a read of the file failed. The decoder has failed otherwise.
    failed: bool,
    tally: &'a Tally<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read =
            self.file.read(buffer).inspect_err(|error| self.failed |= error.kind() != io::ErrorKind::Interrupted)?;
        self.bytes += read as u64;
        if read > 0 {
            self.tally.add(read);
        }
        Ok(read)
    }
}
