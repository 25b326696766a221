//! Errors as S3 writes them: code, message, and the elements beside them that say what the error is about (`Key`,
//! `BucketName`, `Condition`).

use std::fmt::Write as _;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{Body, S3Error, S3ErrorCode};

use super::store::StoreError;
use crate::url_encoding::decode_lossy;

/// An element of an error on its way through s3s, whose errors have a code, a message and headers: its name, a space, and its
/// value in percent-encoding. [`complete`] moves it into the body.
const ELEMENT: HeaderName = HeaderName::from_static("x-error-element");

/// S3's messages, by code, of the errors that always have the same one.
const MESSAGES: &[(&str, &str)] = &[
    ("AccessDenied", "Access Denied"),
    ("BucketNotEmpty", "The bucket you tried to delete is not empty"),
    ("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it."),
    (
        "ConditionalRequestConflict",
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    ("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"),
    ("InvalidBucketName", "The specified bucket is not valid."),
    ("InvalidDigest", "The Content-MD5 you specified was invalid."),
    (
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified \
         entity tag may not match the part's entity tag.",
    ),
    ("InvalidPartNumber", "The requested partnumber is not satisfiable"),
    ("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number."),
    ("InvalidRange", "The requested range is not satisfiable"),
    ("InvalidURI", "Couldn't parse the specified URI."),
    ("KeyTooLongError", "Your key is too long"),
    ("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"),
    ("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"),
    ("MethodNotAllowed", "The specified method is not allowed against this resource."),
    ("MissingRequestBodyError", "Request Body is empty"),
    (
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    ("NoSuchBucket", "The specified bucket does not exist"),
    ("NoSuchKey", "The specified key does not exist."),
    (
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or \
         completed.",
    ),
    ("NoSuchVersion", "The specified version does not exist."),
    ("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."),
    ("PreconditionFailed", "At least one of the pre-conditions you specified did not hold"),
];

fn message_of(code: &str) -> Option<&'static str> {
    MESSAGES.iter().find(|(known, _)| *known == code).map(|(_, message)| *message)
}

/// An error with S3's message for its code, and elements.
pub(super) fn error(code: S3ErrorCode, elements: &[(&str, &str)]) -> S3Error {
    let mut error = S3Error::new(code);
    if let Some(message) = message_of(error.code().as_str()) {
        error.set_message(message);
    }
    with_elements(error, elements)
}

/// Adds elements to the body of an error.
pub(super) fn with_elements(mut error: S3Error, elements: &[(&str, &str)]) -> S3Error {
    let mut headers = error.headers().cloned().unwrap_or_default();
    for (name, value) in elements {
        let text = format!("{name} {}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.append(ELEMENT, value);
        }
    }
    error.set_headers(headers);
    error
}

/// An `InvalidArgument`, with the name and the value of the argument.
pub(super) fn invalid_argument(message: &'static str, name: &str, value: &str) -> S3Error {
    let error = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
    with_elements(error, &[("ArgumentName", name), ("ArgumentValue", value)])
}

pub(super) fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

/// Refuses a header that is not implemented, or not with this value.
pub(super) fn header_not_implemented(header: &str, more: Option<&str>) -> S3Error {
    let text = "A header you provided implies functionality that is not implemented";
    let error = with_elements(S3Error::with_message(S3ErrorCode::NotImplemented, text), &[("Header", header)]);
    match more {
        Some(more) => with_elements(error, &[("additionalMessage", more)]),
        None => error,
    }
}

/// An error of S3 that s3s has no code for.
pub(super) fn custom_error(code: &'static str, status: StatusCode, elements: &[(&str, &str)]) -> S3Error {
    let mut error = error(S3ErrorCode::Custom(code.into()), elements);
    error.set_status_code(status);
    error
}

/// Writes message and elements into the body of an error response. `elements` are those that follow from the request and not
/// from the error: each has the code of the errors that it belongs to.
pub(super) fn complete(mut response: Response<Body>, elements: &[(&str, &str, &str)]) -> Response<Body> {
    const END: &str = "</Error>";
    let headers = response.headers_mut();
    let own: Vec<String> =
        headers.get_all(ELEMENT).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    headers.remove(ELEMENT);
    if !(response.status().is_client_error() || response.status().is_server_error()) {
        return response;
    }
    let Some(text) = response.body().bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()) else {
        return response;
    };
    let Some(inside) = text.strip_suffix(END) else { return response };
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let mut body = inside.to_owned();
    if !inside.contains("<Message>")
        && let Some(message) = message_of(code)
    {
        append_element(&mut body, "Message", message);
    }
    for (name, value) in own.iter().filter_map(|element| element.split_once(' ')) {
        append_element(&mut body, name, &decode_lossy(value));
    }
    for (_, name, value) in elements.iter().filter(|(of, ..)| own.is_empty() && *of == code) {
        append_element(&mut body, name, value);
    }
    body += END;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    *response.body_mut() = Body::from(body);
    response
}

fn append_element(body: &mut String, name: &str, value: &str) {
    // S3 has a header as the name of an element, and `Content-MD5` needs no escape.
    let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // A String takes all.
    let _ = write!(body, "<{name}>{value}</{name}>");
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> S3Error {
        let error = error.root();
        let code = match error {
            StoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            StoreError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
            StoreError::PreconditionFailed(_) => S3ErrorCode::PreconditionFailed,
            StoreError::ConditionalRequestConflict { .. } => S3ErrorCode::ConditionalRequestConflict,
            StoreError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            StoreError::BucketAlreadyOwnedByYou(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
            StoreError::InvalidPart { .. } => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder { .. } => S3ErrorCode::InvalidPartOrder,
            StoreError::EntityTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::BadDigest { .. } | StoreError::BadPartDigest { .. } => S3ErrorCode::BadDigest,
            StoreError::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
            StoreError::DiskFull { .. }
            | StoreError::Io { .. }
            | StoreError::ChangedOutside { .. }
            | StoreError::Missing { .. }
            | StoreError::DamagedPart { .. }
            | StoreError::Index(_)
            | StoreError::Sync(_)
            | StoreError::Shared(_) => S3ErrorCode::InternalError,
        };
        let mut converted = S3Error::new(code);
        match message_of(converted.code().as_str()) {
            Some(message) => converted.set_message(message),
            None => converted.set_message(error.to_string()),
        }
        if matches!(error, StoreError::DiskFull { .. }) {
            // SDKs retry a 500, which would not help on a full disk. They do not retry a 507.
            converted.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        }
        let elements = error.elements();
        let elements: Vec<(&str, &str)> = elements.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if elements.is_empty() { converted } else { with_elements(converted, &elements) }
    }
}

impl StoreError {
    /// Returns what the error is about, as elements of S3's error.
    fn elements(&self) -> Vec<(&'static str, String)> {
        match self {
            StoreError::NoSuchBucket(name)
            | StoreError::BucketNotEmpty(name)
            | StoreError::BucketAlreadyOwnedByYou(name) => vec![("BucketName", name.clone())],
            StoreError::NoSuchKey(key) => vec![("Key", key.clone())],
            StoreError::PreconditionFailed(condition) => vec![("Condition", (*condition).to_owned())],
            StoreError::ConditionalRequestConflict { condition, key } => {
                vec![("Condition", (*condition).to_owned()), ("Key", key.clone())]
            }
            StoreError::NoSuchUpload(id) | StoreError::InvalidPartOrder { upload: id } => {
                vec![("UploadId", id.clone())]
            }
            StoreError::InvalidPart { upload, number, etag } => {
                vec![("UploadId", upload.clone()), ("PartNumber", number.to_string()), ("ETag", etag.clone())]
            }
            StoreError::EntityTooSmall { number, size, minimum, etag } => vec![
                ("ProposedSize", size.to_string()),
                ("MinSizeAllowed", minimum.to_string()),
                ("PartNumber", number.to_string()),
                ("ETag", etag.clone()),
            ],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: S3Error, elements: &[(&str, &str, &str)]) -> String {
        let response = complete(error.to_http_response().unwrap(), elements);
        assert_eq!(response.headers()["content-type"], "application/xml");
        assert!(!response.headers().contains_key(ELEMENT));
        let body = String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap();
        body.split_once("?>").unwrap().1.to_owned()
    }

    #[test]
    fn an_error_says_what_it_is_about() {
        assert_eq!(
            text(StoreError::NoSuchKey("a/é & <b> c".to_owned()).into(), &[("NoSuchKey", "Key", "not this")]),
            "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>\
             <Key>a/é &amp; &lt;b&gt; c</Key></Error>"
        );
        let other = [("NoSuchKey", "Key", "k"), ("InvalidBucketName", "BucketName", "No_Name")];
        assert_eq!(
            text(S3Error::new(S3ErrorCode::InvalidBucketName), &other),
            "<Error><Code>InvalidBucketName</Code><Message>The specified bucket is not valid.</Message>\
             <BucketName>No_Name</BucketName></Error>"
        );
    }
}
