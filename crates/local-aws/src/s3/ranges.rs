//! The `Range` header by S3's rules: only a single range of bytes has an effect, any other value is ignored.

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};
use s3s::dto;

/// The largest position: s3s refuses larger numbers, and no object is longer.
const MAX_POSITION: u64 = i64::MAX.cast_unsigned();

/// Normalizes a valid range for s3s, and removes any other: for other units, several ranges and ranges that end before they
/// begin, S3 returns the whole object and no error.
pub(super) fn normalize(headers: &mut HeaderMap) {
    let mut values = headers.get_all(RANGE).iter();
    let range = match (values.next(), values.next()) {
        (None, _) => return,
        (Some(value), None) => value.to_str().ok().and_then(parse),
        _ => None,
    };
    match range.and_then(|range| HeaderValue::try_from(range.to_header_string()).ok()) {
        Some(range) => headers.insert(RANGE, range),
        None => headers.remove(RANGE),
    };
}

fn parse(text: &str) -> Option<dto::Range> {
    let (unit, range) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first, last) {
        ("", length) => Some(dto::Range::Suffix { length: number(length)? }),
        (first, "") => Some(dto::Range::Int { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(dto::Range::Int { first, last: Some(last) })
        }
    }
}

/// Parses digits. A number that is too large becomes [`MAX_POSITION`], which is after the end of every object.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(MAX_POSITION).min(MAX_POSITION))
}

/// Parses `bytes=first-last`, the only form of a range that `UploadPartCopy` allows.
pub(super) fn parse_copy_range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RANGE, HeaderValue::from_str(value).unwrap());
        }
        normalize(&mut headers);
        headers.get(RANGE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn one_range_of_bytes_is_kept() {
        for (given, kept) in [
            ("bytes=0-4", "bytes=0-4"),
            ("bytes=007-8", "bytes=7-8"),
            ("bytes=5-", "bytes=5-"),
            ("bytes=-5", "bytes=-5"),
            ("bytes=-0", "bytes=-0"),
            ("Bytes=0-4", "bytes=0-4"),
            ("bytes=0-99999999999999999999", "bytes=0-9223372036854775807"),
            ("bytes=18446744073709551615-", "bytes=9223372036854775807-"),
        ] {
            assert_eq!(normalized(&[given]).as_deref(), Some(kept), "{given}");
        }
    }

    #[test]
    fn what_is_none_is_ignored() {
        for given in [
            "bytes=4-2",
            "lines=0-1",
            "bytes=0-1,3-4",
            "bytes=0-1, -1",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=--5",
            "bytes=1.0-2",
            "bytes=0x1-2",
            "bytes: 0-1",
            "0-1",
            "",
        ] {
            assert_eq!(normalized(&[given]), None, "{given}");
        }
        assert_eq!(normalized(&["bytes=0-1", "bytes=2-3"]), None);
        assert_eq!(normalized(&[]), None);
    }

    #[test]
    fn a_copied_range_has_both_ends() {
        assert_eq!(parse_copy_range("bytes=5-50"), Some((5, 50)));
        for bad in ["bytes=5-", "bytes=-5", "bytes=8-3", "5-50", "Bytes=5-50", "bytes=0-1,2-3", "bytes= 0-1", ""] {
            assert_eq!(parse_copy_range(bad), None, "{bad}");
        }
    }
}
