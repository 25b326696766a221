//! A raw file as a stream of bytes, plain or gzip, that tells how far it has been read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::error::EtlError;
use crate::job::{Input, Progress};

/// Compressed bytes are fetched this many at a time; plain ones go straight to the reader's own buffer.
const COMPRESSED_BUFFER: usize = 64 << 10;

/// The bytes that all threads have read, told to whoever watches.
pub struct Tally<'a> {
    read: AtomicU64,
    total: u64,
    watcher: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Tally<'a> {
    /// Nothing read yet of `total` bytes.
    pub fn new(total: u64, watcher: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self { read: AtomicU64::new(0), total, watcher }
    }

    fn add(&self, bytes: usize) {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        (self.watcher)(Progress { read, total: self.total });
    }
}

/// An open raw file.
pub enum RawFile<'a> {
    Plain(Counted<'a>),
    Gzip(Box<MultiGzDecoder<BufReader<Counted<'a>>>>),
}

impl<'a> RawFile<'a> {
    /// Opens the file of `input`.
    pub fn open(input: &Input, tally: &'a Tally<'a>) -> Result<Self, EtlError> {
        let file = File::open(&input.path).map_err(|source| EtlError::Read { path: input.path.clone(), source })?;
        let counted = Counted { file, bytes: 0, tally };
        Ok(if input.snapshot.gzip {
            let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, counted);
            RawFile::Gzip(Box::new(MultiGzDecoder::new(buffered)))
        } else {
            RawFile::Plain(counted)
        })
    }

    /// Bytes on disk that were read so far.
    pub fn bytes(&self) -> u64 {
        match self {
            RawFile::Plain(counted) => counted.bytes,
            RawFile::Gzip(decoder) => decoder.get_ref().get_ref().bytes,
        }
    }
}

impl Read for RawFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            RawFile::Plain(counted) => counted.read(buffer),
            RawFile::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// What went wrong while reading `input` behind its line `line`: the file system, or the compression.
pub fn read_error(input: &Input, line: u64, source: io::Error) -> EtlError {
    let path = input.path.clone();
    // The decoder's own errors have no code of the operating system.
    if input.snapshot.gzip && source.raw_os_error().is_none() {
        EtlError::Gzip { path, line, source }
    } else {
        EtlError::Read { path, source }
    }
}

/// A file that counts what is read from it.
pub struct Counted<'a> {
    file: File,
    bytes: u64,
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
