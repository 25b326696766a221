//! The bytes of objects against what is known of them.

use bytes::Bytes;
use lake::config::BucketName;
use lake::objects::{self, Object};
use lake::{Error, Lake, keys};
use md5::{Digest, Md5};

/// The bytes of this version of an object; `None` when another or none is there now.
pub async fn read(lake: &Lake, bucket: &BucketName, object: &Object) -> Result<Option<Bytes>, Error> {
    let Some(body) = objects::open(lake, bucket, object).await? else { return Ok(None) };
    let bytes = body.collect().await.map_err(Error::body(keys::uri(bucket, &object.key)))?;
    Ok(Some(bytes.into_bytes()))
}

/// How bytes differ from an ETag that is an MD5: what was expected, and what was found. The ETag of an object that was uploaded
/// in parts, or encrypted with a key of KMS, is no MD5 of its bytes and says nothing here: such an ETag has a hyphen, and
/// a key of KMS is not what the stack of this program encrypts with.
pub fn of_etag(bytes: &[u8], etag: &str) -> Option<(String, String)> {
    let is_md5 = etag.len() == 32 && etag.bytes().all(|digit| digit.is_ascii_hexdigit());
    let found: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    (is_md5 && !found.eq_ignore_ascii_case(etag)).then(|| (format!("the ETag {etag}"), format!("the ETag {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_md5_is_compared() {
        assert_eq!(of_etag(b"abc", "900150983cd24fb0d6963f7d28e17f72"), None);
        assert_eq!(of_etag(b"abc", "900150983CD24FB0D6963F7D28E17F72"), None);
        let (expected, found) = of_etag(b"abd", "900150983cd24fb0d6963f7d28e17f72").expect("a difference");
        assert_eq!(expected, "the ETag 900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(found, "the ETag 4911e516e5aa21d327512e0c8b197616");
        assert_eq!(of_etag(b"abd", "900150983cd24fb0d6963f7d28e17f72-2"), None);
    }
}
