//! Removal of signatures: the endpoint serves one user on one machine and has no secret keys to check them against, so it
//! accepts any credentials.
//!
//! The headers that describe the *bytes* still apply: `x-amz-content-sha256` and the trailers of a chunked body are kept as
//! [`PayloadIntegrity`], and checked against the body.

use http::header::AUTHORIZATION;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use s3s::Body;

use super::aws_chunked;
use super::integrity::PayloadIntegrity;
use crate::url_encoding::decode_query;

/// Returns the request without its signature, with the decoded body. Its [`PayloadIntegrity`] is an extension.
pub(super) fn strip(request: Request<Body>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(AUTHORIZATION);
    if let Some(uri) = without_signature(&head.uri, &mut head.headers) {
        head.uri = uri;
    }
    let mut integrity = PayloadIntegrity::default();
    let sha256 = head.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if sha256.len() == 64 && sha256.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        integrity.sha256 = Some(sha256.to_ascii_lowercase());
    }
    let body = if aws_chunked::is_chunked(&head.headers) {
        aws_chunked::remove_chunk_headers(&mut head.headers);
        aws_chunked::decode_body(body, &integrity.trailers)
    } else {
        body
    };
    head.extensions.insert(integrity);
    Request::from_parts(head, body)
}

/// The parameters of a pre-signed URL.
const SIGNATURE_PARAMETERS: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "awsaccesskeyid",
    "signature",
    "expires",
];

/// Returns the URI without the parameters of a signature, or `None` if it has none. Other parameters of `x-amz-` are
/// headers that were signed in the query: they become headers again.
fn without_signature(uri: &Uri, headers: &mut HeaderMap) -> Option<Uri> {
    let query = uri.query()?;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase();
        if SIGNATURE_PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        let header = name.starts_with("x-amz-").then(|| Some((decode_query(&name)?, decode_query(value)?))).flatten();
        let header = header
            .and_then(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
        match header {
            Some((name, value)) => drop(headers.entry(name).or_insert(value)),
            None => kept.push(pair),
        }
    }
    if kept.len() == query.split('&').count() {
        return None;
    }
    let path = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_leave_the_query() {
        let cases = [
            ("/b/k?X-Amz-Signature=1&X-Amz-Date=2&partNumber=3", Some("/b/k?partNumber=3")),
            ("/b/k?X-Amz-Signature=1", Some("/b/k")),
            ("/b?list-type=2&prefix=a%2Fb", None),
            ("/b", None),
        ];
        for (uri, expected) in cases {
            let found = without_signature(&Uri::from_static(uri), &mut HeaderMap::new()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{uri}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", HeaderValue::from_static("stays"));
        let uri = Uri::from_static("/b/k?X-Amz-Signature=1&x-amz-meta-a=b%20c&x-amz-acl=public-read&x-id=PutObject");
        assert_eq!(without_signature(&uri, &mut headers).unwrap(), "/b/k?x-id=PutObject");
        assert_eq!(
            (&headers["x-amz-meta-a"], &headers["x-amz-acl"]),
            (&"b c".parse().unwrap(), &"stays".parse().unwrap())
        );
    }
}
