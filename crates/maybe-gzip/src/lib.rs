//! Decompresses streams that are plain or gzip, as the name of a raw file says.
//!
//! [`Reader`] is for sources that are read (pull), such as files; [`Writer`] is for bytes that arrive in pieces (push), such
//! as the body of an HTTP response. Both read all members of a gzip file and verify their checksums.
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let mut writer = maybe_gzip::Writer::new(Vec::new(), false);
//! writer.write_all(b"as it is").unwrap();
//! assert_eq!(writer.finish().unwrap(), b"as it is");
//!
//! let mut text = String::new();
//! maybe_gzip::Reader::new(&b"as it is"[..], false).read_to_string(&mut text).unwrap();
//! assert_eq!(text, "as it is");
//! ```

use std::io::{self, BufReader, Read, Write};

use flate2::{bufread, write};

/// The size of a read of compressed bytes. Plain bytes are read straight into the caller's buffer.
const COMPRESSED_BUFFER: usize = 64 << 10;

/// Reads from `R`, and decompresses if it is gzip.
pub enum Reader<R> {
    /// Bytes as they are.
    Plain(R),
    /// Compressed bytes.
    Gzip(Box<bufread::MultiGzDecoder<BufReader<R>>>),
}

impl<R: Read> Reader<R> {
    /// Returns a reader of `source`, which is compressed if `gzip`.
    pub fn new(source: R, gzip: bool) -> Self {
        if gzip {
            let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, source);
            Self::Gzip(Box::new(bufread::MultiGzDecoder::new(buffered)))
        } else {
            Self::Plain(source)
        }
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &R {
        match self {
            Self::Plain(source) => source,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
        }
    }
}

impl<R: Read> Read for Reader<R> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// Decompresses the bytes that are written to it if they are gzip, and writes them to `W`.
pub enum Writer<W: Write> {
    /// Bytes as they are.
    Plain(W),
    /// Compressed bytes.
    Gzip(Box<write::MultiGzDecoder<W>>),
}

impl<W: Write> Writer<W> {
    /// Returns a writer to `target` of bytes that are compressed if `gzip`.
    pub fn new(target: W, gzip: bool) -> Self {
        if gzip { Self::Gzip(Box::new(write::MultiGzDecoder::new(target))) } else { Self::Plain(target) }
    }

    /// Returns the target, after all bytes were written to it.
    ///
    /// # Errors
    /// If the gzip stream is truncated or damaged; the error of `W` if it refuses a write.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(target) => Ok(target),
            Self::Gzip(decoder) => decoder.finish(),
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(target) => target.write(bytes),
            Self::Gzip(decoder) => decoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(target) => target.flush(),
            Self::Gzip(decoder) => decoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;

    /// Two members, as `cat a.gz b.gz` makes them.
    fn gzip(members: [&str; 2]) -> Vec<u8> {
        let member = |text: &str| {
            let mut encoder = write::GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).expect("memory");
            encoder.finish().expect("memory")
        };
        members.map(member).concat()
    }

    fn written(bytes: &[u8], gzip: bool) -> io::Result<Vec<u8>> {
        let mut writer = Writer::new(Vec::new(), gzip);
        bytes.chunks(3).try_for_each(|piece| writer.write_all(piece))?;
        writer.finish()
    }

    fn read(bytes: &[u8], gzip: bool) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Reader::new(bytes, gzip).read_to_end(&mut text).map(|_| text)
    }

    #[test]
    fn plain_bytes_pass_and_all_members_of_a_gzip_are_decompressed() {
        let packed = gzip(["one\n", "two\n"]);
        for from in [read, written] {
            assert_eq!(from(b"one\n", false).expect("plain"), b"one\n");
            assert_eq!(from(&packed, false).expect("plain"), packed);
            assert_eq!(from(&packed, true).expect("gzip"), b"one\ntwo\n");
        }
    }

    #[test]
    fn a_truncated_or_damaged_gzip_is_an_error() {
        let mut packed = gzip(["one\n", "two\n"]);
        for from in [read, written] {
            assert!(from(&packed[..packed.len() - 1], true).is_err());
        }
        let checksum = packed.len() - 6;
        packed[checksum] ^= 1;
        for from in [read, written] {
            assert!(from(&packed, true).is_err());
        }
    }
}
