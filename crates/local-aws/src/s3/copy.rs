//! Copies. The files of objects are immutable, so a copy of a whole object is a hard link to its file: no bytes are written.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;

use tempfile::TempPath;

use super::digest::{Algorithm, Digest, Digester};
use super::index::Object;
use super::store::{ObjectStore, Staged, StoreError, for_each_chunk};

impl ObjectStore {
    /// Stages the source under another key, with its attributes, and with a checksum of `algorithm` if there is one. `bytes`
    /// is the opened source.
    pub(super) fn stage_copy(
        &self,
        key: &str,
        source: &Object,
        bytes: File,
        algorithm: Option<Algorithm>,
    ) -> Result<Staged, StoreError> {
        let is_multipart = !source.attributes.parts.is_empty();
        let own = source.attributes.checksum.as_ref().map(|checksum| checksum.algorithm);
        let has_checksum = own.is_some() && (algorithm.is_none() || algorithm == own);
        if !is_multipart
            && has_checksum
            && let Some(file) = self.hard_link(source, &bytes)?
        {
            let attributes = source.attributes.clone();
            let (key, etag) = (key.to_owned(), source.etag.clone());
            return Ok(Staged { key, file, size: source.size, etag, attributes, is_durable: true });
        }
        // As in S3, the copy has one part, so its ETag and checksum are computed over its bytes.
        let (file, digest) = self.stage_range(bytes, 0..source.size, algorithm.or(own).or(Some(Algorithm::DEFAULT)))?;
        let mut attributes = source.attributes.clone();
        attributes.parts.clear();
        attributes.completed = None;
        Ok(Staged::new(key, file, &digest, attributes))
    }

    /// Creates a hard link to the source. Returns `None` if the file system cannot, or if the source's name has become that
    /// of another version: its inode is not the opened one.
    fn hard_link(&self, source: &Object, bytes: &File) -> Result<Option<TempPath>, StoreError> {
        use std::os::unix::fs::MetadataExt as _;
        let link = self.temporary_path()?;
        if fs::hard_link(self.path(source), &link).is_err() {
            return Ok(None);
        }
        let opened = bytes.metadata().map_err(StoreError::io(&link))?;
        let linked = fs::metadata(&link).map_err(StoreError::io(&link))?;
        Ok((opened.ino() == linked.ino()).then_some(link))
    }

    /// Copies some bytes of an object to a temporary file.
    pub(super) fn stage_range(
        &self,
        mut bytes: File,
        range: Range<u64>,
        algorithm: Option<Algorithm>,
    ) -> Result<(TempPath, Digest), StoreError> {
        let (mut file, path) = self.temporary_file()?;
        let mut digester = Digester::new(algorithm, false);
        bytes.seek(SeekFrom::Start(range.start)).map_err(StoreError::io(&path))?;
        for_each_chunk(&mut bytes.take(range.end - range.start), |piece| {
            digester.update(piece);
            file.write_all(piece)
        })
        .map_err(StoreError::io(&path))?;
        Ok((path, digester.finish()))
    }
}
