//! Attributes of objects in requests and responses: content headers, user metadata and tags. s3s has a type for the input
//! and the output of each operation; these fields are the same in several of them, so macros convert them.

use std::collections::BTreeMap;

use s3s::{S3Result, s3_error};

use crate::url_encoding;

/// The [`Attributes`](crate::s3::Attributes) that `PutObject`, `CreateMultipartUpload` and `CopyObject` set. Moves the fields out
/// of the input.
macro_rules! attributes {
    ($input:expr) => {
        $crate::s3::Attributes {
            content_type: $input.content_type,
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $input.content_encoding,
            content_language: $input.content_language,
            expires: $input.expires,
            metadata: $input.metadata.into_iter().flatten().collect(),
            ..$crate::s3::Attributes::default()
        }
    };
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

/// Parses the header `x-amz-tagging`, whose pairs are written as in a query.
pub(super) fn parse_tags(header: Option<&String>) -> S3Result<BTreeMap<String, String>> {
    let Some(header) = header else { return Ok(BTreeMap::new()) };
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
        )
    };
    let decode = |text| url_encoding::decode_query(text).ok_or_else(invalid);
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}
