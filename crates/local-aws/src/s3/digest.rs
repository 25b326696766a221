//! Digests of an object's bytes, computed in one pass while they are written: the MD5 that becomes the ETag, and the
//! checksum that the client sent or requested.

use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// An algorithm of S3's additional checksums. Names are parsed in any case. [`Algorithm::ALL`] has S3's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    /// The algorithm of an object whose client sent no checksum.
    pub(super) const DEFAULT: Algorithm = Algorithm::Crc64Nvme;

    pub(super) const ALL: [Algorithm; 5] =
        [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

    /// Returns the name in `x-amz-sdk-checksum-algorithm`.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the name in S3's messages.
    pub(super) fn lower_name(self) -> String {
        self.name().to_ascii_lowercase()
    }

    /// Returns the name of the header or trailer for a checksum of this algorithm.
    pub(super) fn header(self) -> String {
        format!("x-amz-checksum-{}", self.lower_name())
    }

    /// Whether a value can be a checksum of this algorithm: base64 of the right length.
    pub(super) fn is_value(self, text: &str) -> bool {
        let length = match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        };
        base64_simd::STANDARD.decode_to_vec(text).is_ok_and(|bytes| bytes.len() == length)
    }

    /// Returns the algorithm of the header or trailer `x-amz-checksum-<algorithm>`.
    pub(super) fn from_header(header: &str) -> Option<Algorithm> {
        header.trim().strip_prefix("x-amz-checksum-")?.parse().ok()
    }

    /// Whether the checksum of a multipart object can be of S3's type `FULL_OBJECT`. Other algorithms have only `COMPOSITE`.
    pub(super) fn is_crc(self) -> bool {
        matches!(self, Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme)
    }

    fn hasher(self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Algorithm::Crc32 => hasher.crc32 = Some(Crc32::new()),
            Algorithm::Crc32c => hasher.crc32c = Some(Crc32c::new()),
            Algorithm::Crc64Nvme => hasher.crc64nvme = Some(Crc64Nvme::new()),
            Algorithm::Sha1 => hasher.sha1 = Some(Sha1::new()),
            Algorithm::Sha256 => hasher.sha256 = Some(Sha256::new()),
        }
        hasher
    }

    /// Returns the value of this algorithm's field, in base64.
    pub(super) fn value(self, checksum: &dto::Checksum) -> Option<&String> {
        match self {
            Algorithm::Crc32 => checksum.checksum_crc32.as_ref(),
            Algorithm::Crc32c => checksum.checksum_crc32c.as_ref(),
            Algorithm::Crc64Nvme => checksum.checksum_crc64nvme.as_ref(),
            Algorithm::Sha1 => checksum.checksum_sha1.as_ref(),
            Algorithm::Sha256 => checksum.checksum_sha256.as_ref(),
        }
    }
}

/// The checksum of an object. S3 stores at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredChecksum {
    pub(super) algorithm: Algorithm,
    /// Base64. A composite checksum ends with `-<number of parts>`.
    pub(super) value: String,
    /// Whether it is computed over the checksums of the parts, and not over the bytes.
    pub(super) composite: bool,
}

impl StoredChecksum {
    /// Returns the checksum as a field of S3's responses.
    pub(super) fn to_dto(&self) -> dto::Checksum {
        let value = Some(self.value.clone());
        let mut checksum = dto::Checksum::default();
        match self.algorithm {
            Algorithm::Crc32 => checksum.checksum_crc32 = value,
            Algorithm::Crc32c => checksum.checksum_crc32c = value,
            Algorithm::Crc64Nvme => checksum.checksum_crc64nvme = value,
            Algorithm::Sha1 => checksum.checksum_sha1 = value,
            Algorithm::Sha256 => checksum.checksum_sha256 = value,
        }
        checksum.checksum_type = Some(self.kind());
        checksum
    }

    /// Returns S3's type of the checksum.
    pub(super) fn kind(&self) -> dto::ChecksumType {
        checksum_type(self.composite)
    }
}

pub(super) fn checksum_type(composite: bool) -> dto::ChecksumType {
    let kind = if composite { dto::ChecksumType::COMPOSITE } else { dto::ChecksumType::FULL_OBJECT };
    dto::ChecksumType::from_static(kind)
}

/// The digests of some bytes.
#[derive(Debug, Clone)]
pub(super) struct Digest {
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) checksum: Option<StoredChecksum>,
    /// The SHA-256 in hexadecimal, if the request has one to compare with.
    pub(super) payload: Option<String>,
}

/// Computes a [`Digest`] of bytes that arrive in pieces.
pub(super) struct Digester {
    size: u64,
    md5: Md5,
    checksum: Option<(Algorithm, ChecksumHasher)>,
    payload: Option<Sha256>,
}

impl Digester {
    pub(super) fn new(algorithm: Option<Algorithm>, with_payload_hash: bool) -> Digester {
        Digester {
            size: 0,
            md5: Md5::new(),
            checksum: algorithm.map(|algorithm| (algorithm, algorithm.hasher())),
            payload: with_payload_hash.then(Sha256::new),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.md5.update(bytes);
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(bytes);
        }
        if let Some(payload) = &mut self.payload {
            payload.update(bytes);
        }
    }

    pub(super) fn finish(self) -> Digest {
        Digest {
            size: self.size,
            md5: self.md5.finalize(),
            checksum: self.checksum.and_then(|(algorithm, hasher)| {
                let value = algorithm.value(&hasher.finalize())?.clone();
                Some(StoredChecksum { algorithm, value, composite: false })
            }),
            payload: self.payload.map(|payload| hex::encode(payload.finalize())),
        }
    }
}

/// Returns the composite checksum of a multipart object: the checksum of its parts' checksums, and their number. `None` if
/// one of them is not base64.
pub(super) fn composite(algorithm: Algorithm, parts: &[String]) -> Option<StoredChecksum> {
    let mut hasher = algorithm.hasher();
    for part in parts {
        hasher.update(&base64_simd::STANDARD.decode_to_vec(part).ok()?);
    }
    let value = format!("{}-{}", algorithm.value(&hasher.finalize())?, parts.len());
    Some(StoredChecksum { algorithm, value, composite: true })
}

/// Returns the ETag of a multipart object: the MD5 of its parts' MD5s, and their number.
pub(super) fn multipart_etag(parts: &[[u8; 16]]) -> String {
    format!("{}-{}", hex::encode(Md5::checksum(&parts.concat())), parts.len())
}

/// Parses the ETag of an object of one part, an MD5 in hexadecimal.
pub(super) fn parse_md5(text: &str) -> Option<[u8; 16]> {
    let mut md5 = [0; 16];
    hex::decode_to_slice(text, &mut md5).ok()?;
    Some(md5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_gives_all_of_it() {
        let mut digester = Digester::new(Some(Algorithm::Crc32), true);
        digester.update(b"hello ");
        digester.update(b"world");
        let digest = digester.finish();
        assert_eq!(digest.size, 11);
        assert_eq!(hex::encode(digest.md5), "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(digest.checksum.unwrap().value, "DUoRhQ==");
        assert_eq!(digest.payload.unwrap(), "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    }

    #[test]
    fn names_of_algorithms_are_read_from_headers() {
        for algorithm in Algorithm::ALL {
            let header = format!("x-amz-checksum-{}", algorithm.name().to_lowercase());
            assert_eq!(Algorithm::from_header(&header), Some(algorithm));
        }
        assert_eq!(Algorithm::from_header("x-amz-checksum-md4"), None);
        assert_eq!(Algorithm::from_header("crc32"), None);
    }

    #[test]
    fn etags_of_parts() {
        // Two parts, "a" and "b".
        let parts = [parse_md5("0cc175b9c0f1b6a831c399e269772661").unwrap(), Md5::checksum(b"b")];
        assert_eq!(multipart_etag(&parts), "96e024ba2074fe77e8e965ba43a704be-2");
        let checksums = ["6Le+Qw==".to_owned(), "cb7v+Q==".to_owned()];
        assert_eq!(composite(Algorithm::Crc32, &checksums).unwrap().value, "7pJxdw==-2");
        assert_eq!(composite(Algorithm::Crc32, &["no base64".to_owned()]), None);
        assert_eq!(parse_md5("0cc1"), None);
        assert_eq!(parse_md5(&"é".repeat(16)), None);
    }
}
