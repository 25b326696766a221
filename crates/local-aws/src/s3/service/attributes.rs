//! Attributes of objects in requests and responses: content headers, user metadata and tags. s3s has a type for the input
//! and the output of each operation; these fields are the same in several of them, so macros convert them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use s3s::dto;

/// The [`Attributes`](crate::s3::Attributes) that `PutObject`, `CreateMultipartUpload` and `CopyObject` set. Moves the fields out
/// of the input.
macro_rules! attributes {
    ($input:expr, $extensions:expr) => {{
        let attributes = $crate::s3::Attributes {
            content_type: $input.content_type,
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $input.content_encoding,
            content_language: $input.content_language,
            expires: $input.expires,
            metadata: $input.metadata.into_iter().flatten().collect(),
            storage_class: $crate::s3::service::attributes::storage_class($input.storage_class.as_ref()),
            ..$crate::s3::Attributes::default()
        };
        $crate::s3::text_headers::restore(&$extensions, attributes)
    }};
}

/// The [`Attributes`](crate::s3::Attributes) that a read returns instead of the stored ones (`response-content-type`).
macro_rules! response_overrides {
    ($input:expr) => {
        $crate::s3::Attributes {
            cache_control: $input.response_cache_control.clone(),
            content_disposition: $input.response_content_disposition.clone(),
            content_encoding: $input.response_content_encoding.clone(),
            content_language: $input.response_content_language.clone(),
            content_type: $input.response_content_type.clone(),
            expires: $input.response_expires.clone(),
            ..$crate::s3::Attributes::default()
        }
    };
}

pub(super) use {attributes, response_overrides};

/// Returns the metadata as headers: in S3's form of RFC 2047 where a value has other characters than ASCII's.
pub(super) fn encoded_metadata(metadata: &BTreeMap<String, String>) -> Option<dto::Metadata> {
    let encode = |value: &String| {
        if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return value.clone();
        }
        let mut text = "=?UTF-8?Q?".to_owned();
        for byte in value.bytes() {
            match byte {
                b' ' => text.push('_'),
                // A String takes all.
                b'=' | b'?' | b'_' | 0..b' ' | 127.. => _ = write!(text, "={byte:02X}"),
                _ => text.push(char::from(byte)),
            }
        }
        text + "?="
    };
    let headers: dto::Metadata = metadata.iter().map(|(name, value)| (name.clone(), encode(value))).collect();
    (!headers.is_empty()).then_some(headers)
}

/// Returns the storage class to store: none for S3's default.
pub(super) fn storage_class(requested: Option<&dto::StorageClass>) -> Option<String> {
    requested.map(|class| class.as_str().to_owned()).filter(|class| class != dto::StorageClass::STANDARD)
}
