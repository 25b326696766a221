//! Opens a raw file as a stream of bytes, plain or gzip, and counts the bytes that are read.

use std::fs::File;
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

/// Opens the file of `input`.
///
/// # Errors
/// [`EtlError::Read`] if it cannot be opened.
pub(crate) fn open<'a>(input: &Input, tally: &'a Tally<'a>) -> Result<RawFile<'a>, EtlError> {
    let file = File::open(&input.path).map_err(|source| EtlError::Read { path: input.path.clone(), source })?;
    Ok(Reader::new(Counted { file, bytes: 0, tally }, input.snapshot.gzip))
}

/// Converts an I/O error that occurred after line `line` of `input`, in the file system or in the decoder.
pub(crate) fn read_error(input: &Input, line: u64, source: io::Error) -> EtlError {
    let path = input.path.clone();
    // Errors of the operating system have a code; those of the decoder do not.
    if input.snapshot.gzip && source.raw_os_error().is_none() {
        EtlError::Gzip { path, line, source }
    } else {
        EtlError::Read { path, source }
    }
}

/// A file that counts the bytes that are read from it.
pub(crate) struct Counted<'a> {
    file: File,
    /// Bytes read so far, before decompression.
    pub bytes: u64,
    tally: &'a Tally<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        if read > 0 {
            self.tally.add(read);
        }
        Ok(read)
    }
}
