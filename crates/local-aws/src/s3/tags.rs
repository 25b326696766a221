//! The tags of an object: how they are sent, and S3's rules for them.

use std::collections::BTreeMap;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Result, dto};

use super::errors::{custom_error, error, invalid_argument, with_elements};
use crate::url_encoding;

const MAX_TAGS: usize = 10;

/// Limits in characters.
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// The characters of keys and values beside letters, digits and spaces.
const MARKS: &str = "_.:/=+-@";

/// Parses the header `x-amz-tagging`, whose pairs are written as in a query.
pub(super) fn parse_header(header: Option<&String>) -> S3Result<BTreeMap<String, String>> {
    let Some(header) = header else { return Ok(BTreeMap::new()) };
    let invalid = || {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without \
                       tag name duplicates.";
        invalid_argument(message, "x-amz-tagging", header)
    };
    let decode = |text| url_encoding::decode_query(text).ok_or_else(invalid);
    let mut tags = BTreeMap::new();
    for pair in header.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        if key.is_empty() || !is_text(&key) || !is_text(&value) || tags.insert(key, value).is_some() {
            return Err(invalid());
        }
    }
    checked(tags)
}

/// Reads the tags in a document.
pub(super) fn from_document(tags: Vec<dto::Tag>) -> S3Result<BTreeMap<String, String>> {
    let mut read = BTreeMap::new();
    for tag in tags {
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            return Err(error(S3ErrorCode::MalformedXML, &[]));
        };
        if read.contains_key(&key) {
            return Err(invalid_tag("Cannot provide multiple Tags with the same key", &key, None));
        }
        read.insert(key, value);
    }
    checked(read)
}

fn checked(tags: BTreeMap<String, String>) -> S3Result<BTreeMap<String, String>> {
    if tags.len() > MAX_TAGS {
        return Err(too_many());
    }
    for (key, value) in &tags {
        if key.starts_with("aws:") {
            return Err(invalid_tag("Your TagKey cannot be prefixed with aws:", key, None));
        }
        if key.is_empty() || key.chars().count() > MAX_KEY || !is_text(key) {
            return Err(invalid_tag("The TagKey you have provided is invalid", key, None));
        }
        if value.chars().count() > MAX_VALUE || !is_text(value) {
            return Err(invalid_tag("The TagValue you have provided is invalid", key, Some(value)));
        }
    }
    Ok(tags)
}

fn is_text(text: &str) -> bool {
    text.chars().all(|letter| letter.is_alphanumeric() || letter.is_whitespace() || MARKS.contains(letter))
}

fn too_many() -> S3Error {
    let mut refused = custom_error("BadRequest", StatusCode::BAD_REQUEST, &[]);
    refused.set_message("Object tags cannot be greater than 10");
    refused
}

fn invalid_tag(message: &'static str, key: &str, value: Option<&str>) -> S3Error {
    let refused = with_elements(S3Error::with_message(S3ErrorCode::InvalidTag, message), &[("TagKey", key)]);
    match value {
        Some(value) => with_elements(refused, &[("TagValue", value)]),
        None => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_query() {
        let parsed = |header: &str| parse_header(Some(&header.to_owned()));
        let tags = parsed("a=1&b=x%20y+z&c&d=%C3%A9&").unwrap();
        let expected = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "é")];
        assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(parse_header(None).unwrap(), BTreeMap::new());
        for (header, code) in [
            ("a=%zz", "InvalidArgument"),
            ("a=1&a=2", "InvalidArgument"),
            ("a=b!", "InvalidArgument"),
            ("=", "InvalidArgument"),
            ("aws:a=x", "InvalidTag"),
            ("1&2&3&4&5&6&7&8&9&10&11", "BadRequest"),
        ] {
            assert_eq!(parsed(header).unwrap_err().code().as_str(), code, "{header}");
        }
        assert_eq!(parsed(&"k".repeat(129)).unwrap_err().code().as_str(), "InvalidTag");
    }
}
