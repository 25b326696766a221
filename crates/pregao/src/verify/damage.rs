//! Compares bytes of objects with their checksums.

use bytes::Bytes;
use lake::config::BucketName;
use lake::objects::{self, Object};
use lake::{Error, Lake, keys};
use md5::{Digest, Md5};

/// Reads this version of an object; `None` if it no longer exists.
pub(crate) async fn read(lake: &Lake, bucket: &BucketName, object: &Object) -> Result<Option<Bytes>, Error> {
    let Some(body) = objects::open(lake, bucket, object).await? else { return Ok(None) };
    let bytes = body.collect().await.map_err(Error::body(keys::uri(bucket, &object.key)))?;
    Ok(Some(bytes.into_bytes()))
}

/// Compares bytes with an ETag that is an MD5. Returns the expected and the found checksum if they differ. An ETag with a hyphen
/// is that of a multipart upload and not an MD5. Neither is that of an object encrypted with a KMS key, which the stack does
/// not use.
pub(crate) fn etag_mismatch(bytes: &[u8], etag: &str) -> Option<(String, String)> {
    let is_md5 = etag.len() == 32 && etag.bytes().all(|digit| digit.is_ascii_hexdigit());
    let found = hex::encode(Md5::digest(bytes));
    (is_md5 && !found.eq_ignore_ascii_case(etag)).then(|| (format!("the ETag {etag}"), format!("the ETag {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_md5_is_compared() {
        assert_eq!(etag_mismatch(b"abc", "900150983cd24fb0d6963f7d28e17f72"), None);
        assert_eq!(etag_mismatch(b"abc", "900150983CD24FB0D6963F7D28E17F72"), None);
        let (expected, found) = etag_mismatch(b"abd", "900150983cd24fb0d6963f7d28e17f72").expect("a difference");
        assert_eq!(expected, "the ETag 900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(found, "the ETag 4911e516e5aa21d327512e0c8b197616");
        assert_eq!(etag_mismatch(b"abd", "900150983cd24fb0d6963f7d28e17f72-2"), None);
    }
}
