//! Headers of an object whose text has other characters than ASCII's. S3 stores them, and s3s reads ASCII only.

use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};
use http::{Extensions, HeaderMap, HeaderValue};

use super::index::Attributes;

/// The headers that were taken out of a request. An extension of it.
#[derive(Debug, Clone)]
struct TextHeaders(HeaderMap);

/// Moves the headers into the extensions.
pub(super) fn take(headers: &mut HeaderMap, extensions: &mut Extensions) {
    let mut taken = HeaderMap::new();
    for name in [CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE] {
        if headers.get(&name).is_some_and(|value| value.to_str().is_err())
            && let Some(value) = headers.remove(&name)
        {
            taken.insert(name, value);
        }
    }
    if !taken.is_empty() {
        extensions.insert(TextHeaders(taken));
    }
}

/// Adds the headers that were taken out of the request.
pub(super) fn restore(extensions: &Extensions, mut attributes: Attributes) -> Attributes {
    let Some(TextHeaders(headers)) = extensions.get() else { return attributes };
    for (name, field) in [
        (CACHE_CONTROL, &mut attributes.cache_control),
        (CONTENT_DISPOSITION, &mut attributes.content_disposition),
        (CONTENT_ENCODING, &mut attributes.content_encoding),
        (CONTENT_LANGUAGE, &mut attributes.content_language),
        (CONTENT_TYPE, &mut attributes.content_type),
    ] {
        if let Some(value) = headers.get(name) {
            *field = Some(text(value));
        }
    }
    attributes
}

/// Reads UTF-8, or else ISO 8859-1, which any bytes are.
fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}
