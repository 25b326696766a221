//! The additional checksums (CRC-32 to SHA-256) of requests and responses. Many of S3's shapes have the same five fields
//! for them, one for each algorithm, so macros read and fill the fields.

use s3s::{S3Result, dto, s3_error};

use crate::s3::digest::{Algorithm, StoredChecksum};
use crate::s3::errors::header_not_implemented;
use crate::s3::multipart::UploadChecksum;

/// Returns algorithm and value of the checksum that an input has, if any.
macro_rules! sent_checksum {
    ($input:expr) => {
        $crate::s3::service::checksums::first(&s3s::dto::Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            checksum_type: None,
        })
    };
}

/// Fills the checksum fields of an output.
macro_rules! with_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = &$checksum {
            let checksum = checksum.to_dto();
            $output.checksum_crc32 = checksum.checksum_crc32;
            $output.checksum_crc32c = checksum.checksum_crc32c;
            $output.checksum_crc64nvme = checksum.checksum_crc64nvme;
            $output.checksum_sha1 = checksum.checksum_sha1;
            $output.checksum_sha256 = checksum.checksum_sha256;
        }
    };
}

/// Fills the checksum fields of an output, and the field for the checksum's type that some outputs have.
macro_rules! with_checksum_and_type {
    ($output:expr, $checksum:expr) => {
        $crate::s3::service::checksums::with_checksum!($output, $checksum);
        $output.checksum_type = $checksum.as_ref().map($crate::s3::digest::StoredChecksum::kind);
    };
}

pub(super) use {sent_checksum, with_checksum, with_checksum_and_type};

pub(super) fn first(checksum: &dto::Checksum) -> Option<(Algorithm, String)> {
    Algorithm::ALL.into_iter().find_map(|algorithm| Some((algorithm, algorithm.value(checksum)?.clone())))
}

/// Whether a read is to return the checksum (`x-amz-checksum-mode`).
pub(super) fn is_requested(mode: Option<&dto::ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED)
}

pub(super) fn algorithms(checksum: Option<&StoredChecksum>) -> Option<Vec<dto::ChecksumAlgorithm>> {
    checksum.map(|checksum| vec![dto::ChecksumAlgorithm::from_static(checksum.algorithm.name())])
}

pub(super) fn parse_algorithm(name: Option<&dto::ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    let parse = |name: &dto::ChecksumAlgorithm| {
        let unknown = || header_not_implemented("x-amz-checksum-algorithm", None);
        name.as_str().parse().map_err(|_| unknown())
    };
    name.map(parse).transpose()
}

/// Returns the algorithm and type of the checksum of a new upload's object. Each algorithm has a default type (`COMPOSITE` or `FULL_OBJECT`), and some
/// allow the other one.
pub(super) fn upload_checksum(
    algorithm: Option<Algorithm>,
    kind: Option<&dto::ChecksumType>,
) -> S3Result<Option<UploadChecksum>> {
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let composite = match kind.map(dto::ChecksumType::as_str) {
        None => algorithm != Algorithm::Crc64Nvme,
        Some(dto::ChecksumType::COMPOSITE) if algorithm != Algorithm::Crc64Nvme => true,
        Some(dto::ChecksumType::FULL_OBJECT) if algorithm.is_crc() => false,
        Some(kind) => {
            let name = algorithm.lower_name();
            return Err(s3_error!(
                InvalidRequest,
                "The {kind} checksum type cannot be used with the {name} checksum algorithm."
            ));
        }
    };
    Ok(Some(UploadChecksum { algorithm, composite }))
}
