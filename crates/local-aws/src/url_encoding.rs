//! Percent-encoding of URLs (RFC 3986).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that S3 encodes in the keys of a listing with `encoding-type=url`: all but letters, digits and `-_.*/`.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// Encodes a key as S3 does in a listing.
pub(crate) fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string()
}

/// Decodes a name or value of a query. Returns `None` for an incomplete escape, and where the result is not UTF-8:
/// decoders that keep a bad escape as it is would read a parameter that the client did not send.
pub(crate) fn decode_query(text: &str) -> Option<String> {
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    // In a query, `+` is a space.
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Decodes a path for display. A bad escape stays as it is.
pub(crate) fn decode_lossy(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_by_s3() {
        assert_eq!(encode_key("a-Z_0.*/b c+é~\n%"), "a-Z_0.*/b%20c%2B%C3%A9%7E%0A%25");
    }

    #[test]
    fn bad_escapes_are_refused() {
        assert_eq!(decode_query("a%2Fb+c%c3%a9").as_deref(), Some("a/b cé"));
        assert_eq!(decode_query("%2B").as_deref(), Some("+"));
        for bad in ["%", "a%2", "%zz", "%+1", "%é", "%ff", "a%%20"] {
            assert_eq!(decode_query(bad), None, "{bad}");
        }
        assert_eq!(decode_lossy("a%20b%zz%"), "a b%zz%");
    }
}
