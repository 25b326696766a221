//! The allowlist of query parameters and headers. A request with any other is refused with `NotImplemented` before it has an
//! effect: a parameter that is ignored would be reported as a success that did not happen.
//!
//! An allowlist and not a denylist, because S3 grows: a sub-resource or an `x-amz-` header that is newer than this code must
//! not be treated as a plain PUT or GET of the object.

use http::header::{CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::request::Parts;
use http::{HeaderName, Method};
use s3s::{S3Result, s3_error};

use super::digest::Algorithm;
use super::errors::header_not_implemented;
use super::refusals;
use crate::identity::ACCOUNT;
use crate::url_encoding::decode_query;

/// The kind of resource that a path addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Root,
    Bucket,
    Object,
}

impl Target {
    /// Classifies a path as s3s does: after decoding, so that `%2F` is a separator.
    fn from_path(path: &str) -> Target {
        let path = path.replace("%2F", "/").replace("%2f", "/");
        match path.strip_prefix('/').unwrap_or(&path).split_once('/') {
            None if path.len() <= 1 => Target::Root,
            None | Some((_, "")) => Target::Bucket,
            Some(_) => Target::Object,
        }
    }
}

/// An operation, by method, target and the names in the query.
struct Operation {
    method: Method,
    kind: Target,
    /// Query parameters that identify it.
    required: &'static [&'static str],
    /// Query parameters that are allowed.
    optional: &'static [&'static str],
    /// Whether its body is an XML document, and not an object.
    document: bool,
}

const fn operation(
    method: Method,
    kind: Target,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Operation {
    Operation { method, kind, required, optional, document: false }
}

const fn document_operation(
    method: Method,
    kind: Target,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Operation {
    Operation { method, kind, required, optional, document: true }
}

const READ: &[&str] = &[
    "versionId",
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];
const LISTED: &[&str] = &["delimiter", "encoding-type", "marker", "max-keys", "prefix"];
const LISTED_V2: &[&str] =
    &["continuation-token", "delimiter", "encoding-type", "fetch-owner", "max-keys", "prefix", "start-after"];
const UPLOADS: &[&str] = &["delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"];

/// All operations of this endpoint.
const OPERATIONS: &[Operation] = &[
    operation(Method::GET, Target::Root, &[], &["bucket-region", "continuation-token", "max-buckets", "prefix"]),
    operation(Method::HEAD, Target::Bucket, &[], &[]),
    operation(Method::GET, Target::Bucket, &["location"], &[]),
    operation(Method::GET, Target::Bucket, &["uploads"], UPLOADS),
    operation(Method::GET, Target::Bucket, &["list-type"], LISTED_V2),
    operation(Method::GET, Target::Bucket, &[], LISTED),
    document_operation(Method::PUT, Target::Bucket, &[], &[]),
    operation(Method::DELETE, Target::Bucket, &[], &[]),
    document_operation(Method::POST, Target::Bucket, &["delete"], &[]),
    operation(Method::HEAD, Target::Object, &[], READ),
    operation(Method::GET, Target::Object, &["tagging"], &["versionId"]),
    operation(Method::GET, Target::Object, &["uploadId"], &["max-parts", "part-number-marker"]),
    operation(Method::GET, Target::Object, &[], READ),
    document_operation(Method::PUT, Target::Object, &["tagging"], &["versionId"]),
    operation(Method::PUT, Target::Object, &["partNumber", "uploadId"], &[]),
    operation(Method::PUT, Target::Object, &[], &[]),
    operation(Method::DELETE, Target::Object, &["tagging"], &["versionId"]),
    operation(Method::DELETE, Target::Object, &["uploadId"], &[]),
    operation(Method::DELETE, Target::Object, &[], &["versionId"]),
    operation(Method::POST, Target::Object, &["uploads"], &[]),
    document_operation(Method::POST, Target::Object, &["uploadId"], &[]),
];

impl Operation {
    /// Finds the operation of a request.
    ///
    /// # Errors
    /// `NotImplemented`, with the parameter that no operation allows.
    fn from_head(head: &Parts) -> S3Result<&'static Operation> {
        let kind = Target::from_path(head.uri.path());
        let names = parameter_names(head.uri.query().unwrap_or_default())?;
        let candidates =
            || OPERATIONS.iter().filter(|operation| operation.method == head.method && operation.kind == kind);
        let allows = |operation: &Operation, name: &str| {
            operation.required.contains(&name) || operation.optional.contains(&name)
        };
        let matches = |operation: &&Operation| {
            operation.required.iter().all(|required| names.iter().any(|name| name == required))
                && names.iter().all(|name| allows(operation, name))
        };
        candidates().find(matches).ok_or_else(|| {
            let unknown = names.iter().find(|name| !candidates().any(|operation| allows(operation, name)));
            match unknown.or(names.first()) {
                Some(name) => s3_error!(
                    NotImplemented,
                    "{} with the parameter {name:?} in the address is not implemented here",
                    head.method
                ),
                None => s3_error!(NotImplemented, "{} of this address is not implemented here", head.method),
            }
        })
    }
}

/// Returns the names in a query, without those that S3 ignores: `x-id`, which SDKs add with the name of the operation, and
/// other names that begin with `x-` and not with `x-amz-`.
fn parameter_names(query: &str) -> S3Result<Vec<String>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split('=').next().unwrap_or(pair))
        .map(|name| decode_query(name).ok_or_else(|| s3_error!(InvalidURI, "the query of the address is not UTF-8")))
        .filter(|name| !name.as_ref().is_ok_and(|name| name.starts_with("x-") && !name.starts_with("x-amz-")))
        .collect()
}

/// The body of an allowed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// The bytes of an object, or empty.
    Object,
    /// A short XML document.
    Document,
}

/// Checks all query parameters and headers of a request.
///
/// # Errors
/// `NotImplemented` for a parameter that would be ignored, or S3's own error for an invalid value.
pub(super) fn check(head: &Parts) -> S3Result<BodyKind> {
    let operation = Operation::from_head(head)?;
    if head.headers.get(CONTENT_TYPE).is_some_and(|kind| is_form_upload(kind.as_bytes())) && head.method == Method::POST
    {
        return Err(s3_error!(NotImplemented, "uploads by HTML forms (POST Object) are not implemented"));
    }
    let rules = HeaderRules { operation, is_copy: head.headers.contains_key("x-amz-copy-source") };
    refusals::check(&head.headers, &rules)?;
    for (name, value) in &head.headers {
        let is_allowed = match name.as_str().strip_prefix("x-amz-") {
            _ if value.is_empty() => true,
            None => rules.allows_http_header(name),
            // Its text may have any characters.
            Some(short) if short.starts_with("meta-") => rules.allows(short, ""),
            Some(short) => {
                let value = value.to_str().map_err(|_| s3_error!(InvalidArgument, "the header {name} is not text"))?;
                rules.allows(short, value.trim())
            }
        };
        if !is_allowed {
            return Err(header_not_implemented(&conventional_name(name), None));
        }
    }
    Ok(if operation.document { BodyKind::Document } else { BodyKind::Object })
}

/// The headers that an operation allows.
pub(super) struct HeaderRules {
    operation: &'static Operation,
    pub(super) is_copy: bool,
}

impl HeaderRules {
    /// Whether it is this operation on objects.
    fn is(&self, method: &Method, required: &[&str]) -> bool {
        self.operation.method == *method && self.operation.kind == Target::Object && self.operation.required == required
    }

    /// `PutObject` and `CopyObject`.
    fn writes_object(&self) -> bool {
        self.is(&Method::PUT, &[])
    }

    fn begins_upload(&self) -> bool {
        self.is(&Method::POST, &["uploads"])
    }

    /// Whether its headers describe the object that it, or the upload that it begins, will write.
    pub(super) fn describes_object(&self) -> bool {
        self.writes_object() || self.begins_upload()
    }

    pub(super) fn creates_bucket(&self) -> bool {
        self.operation.kind == Target::Bucket && self.operation.method == Method::PUT
    }

    /// Whether the operation has a copy's source.
    pub(super) fn may_copy(&self) -> bool {
        self.operation.method == Method::PUT
    }

    /// Whether it deletes objects.
    pub(super) fn deletes(&self) -> bool {
        self.is(&Method::DELETE, &[]) || self.operation.required == ["delete"]
    }

    pub(super) fn completes_upload(&self) -> bool {
        self.is(&Method::POST, &["uploadId"])
    }

    pub(super) fn writes(&self) -> bool {
        matches!(self.operation.method, Method::PUT | Method::POST | Method::DELETE)
    }

    /// Whether it sends bytes that a checksum can be of.
    pub(super) fn has_body(&self) -> bool {
        matches!(self.operation.method, Method::PUT | Method::POST) && !self.is_copy && !self.begins_upload()
    }

    /// Whether a header of HTTP is allowed. One that changes the meaning of a request is allowed only where it is implemented.
    fn allows_http_header(&self, name: &HeaderName) -> bool {
        let writes = self.writes();
        match *name {
            IF_MODIFIED_SINCE | IF_UNMODIFIED_SINCE | CONTENT_RANGE => !writes,
            IF_NONE_MATCH => !writes || self.writes_object() || self.completes_upload(),
            IF_MATCH => !writes || self.writes_object() || self.completes_upload() || self.is(&Method::DELETE, &[]),
            _ => true,
        }
    }

    /// Whether `x-amz-<short>` is allowed with this value.
    fn allows(&self, short: &str, value: &str) -> bool {
        match short {
            // Signatures, and how the body is sent.
            "date" | "content-sha256" | "security-token" | "user-agent" | "decoded-content-length" => true,
            // Sent by the C++ SDK.
            "api-version" => true,
            "trailer" => value.split(',').all(|name| Algorithm::from_header(name).is_some()),
            // No effect here: there is no billing and no archive.
            "request-payer" | "optional-object-attributes" => true,
            // Properties of the object, where the operation stores or returns them.
            "tagging" => self.describes_object(),
            "checksum-mode" => !self.is_copy,
            "checksum-type" => self.begins_upload() || self.completes_upload(),
            "mp-object-size" => self.completes_upload(),
            "checksum-algorithm" | "sdk-checksum-algorithm" => value.parse::<Algorithm>().is_ok(),
            "copy-source" => self.writes_object() || self.is(&Method::PUT, &["partNumber", "uploadId"]),
            "copy-source-if-match"
            | "copy-source-if-none-match"
            | "copy-source-if-modified-since"
            | "copy-source-if-unmodified-since" => self.is_copy,
            "copy-source-range" => self.is_copy && !self.writes_object(),
            "metadata-directive" | "tagging-directive" => self.is_copy && self.writes_object(),
            "expected-bucket-owner" | "source-expected-bucket-owner" => value == ACCOUNT,
            // The only values that describe this endpoint.
            "storage-class" => {
                self.describes_object() && refusals::STORAGE_CLASSES.contains(&value) || value == "STANDARD"
            }
            "acl" => value == if self.creates_bucket() { refusals::PRIVATE } else { refusals::FULL_CONTROL },
            "object-ownership" => value == refusals::OWNERSHIP,
            "bucket-namespace" => value == "global",
            "bucket-object-lock-enabled"
            | "bypass-governance-retention"
            | "server-side-encryption-bucket-key-enabled" => value.eq_ignore_ascii_case("false"),
            _ if short.starts_with("meta-") => self.describes_object(),
            _ if Algorithm::from_header(&format!("x-amz-{short}")).is_some() => true,
            // A read that ignores a header loses no effect, and some clients send headers of their own.
            _ => !self.writes() && !short.starts_with("server-side-encryption"),
        }
    }
}

/// Whether s3s would parse a POST as an upload by an HTML form, whatever its URI says.
fn is_form_upload(content_type: &[u8]) -> bool {
    content_type.to_ascii_lowercase().trim_ascii_start().starts_with(b"multipart/form-data")
}

/// Returns the name of a header as it is usually written: `If-Match`, and `x-amz-acl`.
fn conventional_name(name: &HeaderName) -> String {
    if name.as_str().starts_with("x-") {
        return name.as_str().to_owned();
    }
    let word = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(request: &str, headers: &[(&str, &str)]) -> Result<BodyKind, String> {
        let (method, uri) = request.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let head = request.body(()).unwrap().into_parts().0;
        check(&head).map_err(|error| error.code().as_str().to_owned())
    }

    fn refused(code: &str) -> Result<BodyKind, String> {
        Err(code.to_owned())
    }

    #[test]
    fn forms_are_known_by_their_queries() {
        for request in [
            "GET /",
            "GET /?x-id=ListBuckets",
            "GET /b?list-type=2&prefix=a%2Fb&x-id=ListObjectsV2",
            "GET /b/",
            "GET /b?location",
            "PUT /b/k?x-id=PutObject",
            "PUT /b/k?partNumber=1&uploadId=u",
            "GET /b/k?versionId=null&response-content-type=text%2Fcsv",
            "DELETE /b/k?uploadId=u",
            "POST /b/k?uploads=",
        ] {
            assert_eq!(checked(request, &[]), Ok(BodyKind::Object), "{request}");
        }
        for request in ["POST /b?delete", "PUT /b/k?tagging", "PUT /b/", "POST /b/k?uploadId=u&x-id=Complete"] {
            assert_eq!(checked(request, &[]), Ok(BodyKind::Document), "{request}");
        }
    }

    #[test]
    fn what_is_not_known_is_never_taken_for_something_else() {
        for request in [
            // Treated as a plain PUT, each of these would replace the object by an empty one.
            "PUT /b/k?renameObject",
            "PUT /b/k?encryption",
            "PUT /b/k?annotation=x",
            "PUT /b/k?acl",
            "PUT /b/k?uploadId=u",
            "PUT /b/k?partNumber=1",
            "PUT /b%2Fk?renameObject",
            "PUT /b?metadataConfiguration",
            "PUT /b?abac",
            "DELETE /b/k?annotation=x",
            "DELETE /b?lifecycle",
            "DELETE /b/k?uploadId=u&versionId=v",
            "GET /b/k?attributes",
            "GET /b/k?torrent",
            "GET /b?versions",
            "GET /b?metadataConfiguration",
            "POST /b/k?select&select-type=2",
            "POST /b/k",
            "POST /",
            "PATCH /b/k",
            "GET /?x=1&directory-bucket",
            "PUT /b/k?%61cl",
        ] {
            assert_eq!(checked(request, &[]), refused("NotImplemented"), "{request}");
        }
    }

    #[test]
    fn headers_are_kept_or_refused() {
        for (request, header, value) in [
            ("PUT /b/k", "x-amz-storage-class", "STANDARD"),
            ("PUT /b/k", "x-amz-acl", "bucket-owner-full-control"),
            ("PUT /b/k", "x-amz-acl", ""),
            ("PUT /b/k", "x-amz-meta-any", "thing"),
            ("PUT /b/k", "x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
            ("PUT /b/k", "x-amz-storage-class", "STANDARD_IA"),
            ("POST /b/k?uploads", "x-amz-storage-class", "GLACIER_IR"),
            ("POST /b/k?uploads", "x-amz-checksum-algorithm", "SHA256"),
            ("POST /b/k?uploadId=u", "x-amz-checksum-crc32", "AAAAAA==-3"),
            ("PUT /b/k", "x-amz-trailer", "x-amz-checksum-crc32"),
            ("PUT /b/k", "x-amz-expected-bucket-owner", ACCOUNT),
            ("PUT /b/k", "x-amzn-trace-id", "x"),
            ("PUT /b/k", "if-none-match", "*"),
            ("DELETE /b/k", "if-match", "\"e\""),
            ("GET /b/k", "if-modified-since", "x"),
            ("GET /b/k", "x-amz-of-a-client", "x"),
            ("PUT /b/k", "x-amz-api-version", "2006-03-01"),
        ] {
            checked(request, &[(header, value)]).unwrap_or_else(|code| panic!("{request} {header}: {value}: {code}"));
        }
        for (request, header, value) in [
            ("PUT /b/k", "x-amz-storage-class", "GLACIER"),
            ("PUT /b/k?partNumber=1&uploadId=u", "x-amz-storage-class", "STANDARD_IA"),
            ("PUT /b/k", "x-amz-write-offset-bytes", "3"),
            ("PUT /b/k", "x-amz-checksum-xxhash3", "x"),
            ("PUT /b/k", "x-amz-checksum-type", "FULL_OBJECT"),
            ("PUT /b/k", "x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-md5"),
            ("PUT /b/k", "x-amz-sdk-checksum-algorithm", "SHA512"),
            ("PUT /b/k", "x-amz-header-of-next-year", "x"),
            ("PUT /b/k", "x-amz-copy-source-if-match", "x"),
            ("PUT /b/k", "content-range", "bytes 0-1/2"),
            ("PUT /b/k", "if-unmodified-since", "x"),
            ("PUT /b/k?partNumber=1&uploadId=u", "if-match", "x"),
            ("PUT /b/k?partNumber=1&uploadId=u", "x-amz-meta-any", "x"),
            ("PUT /b/k?tagging", "if-match", "x"),
            ("POST /b/k?uploads", "if-none-match", "*"),
            ("POST /b?delete", "x-amz-mfa", "x"),
            ("POST /b?delete", "content-type", "Multipart/Form-Data; boundary=b"),
            ("POST /b", "content-type", "multipart/form-data; boundary=b"),
            ("DELETE /b/k", "if-none-match", "*"),
            ("DELETE /b/k", "x-amz-if-match-size", "3"),
            ("GET /b/k", "x-amz-server-side-encryption-customer-key", "x"),
        ] {
            assert_eq!(checked(request, &[(header, value)]), refused("NotImplemented"), "{request} {header}: {value}");
        }
        let copy = ("x-amz-copy-source", "b/k");
        assert_eq!(checked("PUT /b/k", &[copy, ("x-amz-copy-source-range", "bytes=0-1")]), refused("NotImplemented"));
    }

    #[test]
    fn what_s3_refuses_has_its_error() {
        let copy = ("x-amz-copy-source", "b/k");
        for (request, headers, code) in [
            ("PUT /b/k", &[copy, ("x-amz-metadata-directive", "MOVE")][..], "InvalidArgument"),
            ("GET /b/k", &[copy], "InvalidArgument"),
            ("PUT /b/k", &[("x-amz-copy-source", "")], "InvalidArgument"),
            ("PUT /b/k?partNumber=1&uploadId=u", &[("x-amz-copy-source", "")], "InvalidArgument"),
            ("PUT /b/k", &[("x-amz-copy-source", "/b")], "InvalidArgument"),
            ("PUT /b/k", &[("x-amz-copy-source", "b/%zz")], "InvalidArgument"),
            ("PUT /b", &[("x-amz-object-ownership", "Nobody")], "InvalidArgument"),
            ("GET /b/k", &[("x-amz-expected-bucket-owner", "111122223333")], "AccessDenied"),
            ("GET /b/k", &[("x-amz-expected-bucket-owner", "me")], "InvalidBucketOwnerAWSAccountID"),
            ("PUT /b/k", &[("x-amz-acl", "public-read")], "AccessControlListNotSupported"),
            ("PUT /b/k", &[("x-amz-acl", "private")], "AccessControlListNotSupported"),
            ("POST /b/k?uploads", &[("x-amz-grant-read", "id=x")], "AccessControlListNotSupported"),
            ("PUT /b/k", &[("x-amz-acl", "mine")], "InvalidArgument"),
            ("PUT /b", &[("x-amz-acl", "public-read")], "InvalidBucketAclWithObjectOwnership"),
            ("PUT /b", &[("x-amz-grant-write", "id=x")], "InvalidBucketAclWithObjectOwnership"),
            ("PUT /b/k", &[("x-amz-object-lock-legal-hold", "ON")], "InvalidRequest"),
            ("PUT /b/k", &[("x-amz-object-lock-mode", "GOVERNANCE")], "InvalidArgument"),
            ("DELETE /b/k", &[("x-amz-bypass-governance-retention", "true")], "InvalidArgument"),
            ("PUT /b/k", &[("x-amz-storage-class", "FAST")], "InvalidStorageClass"),
            ("PUT /b/k", &[("x-amz-storage-class", "OUTPOSTS")], "InvalidStorageClass"),
            ("PUT /b/k", &[("content-md5", "")], "InvalidDigest"),
            ("PUT /b/k", &[("x-amz-checksum-sha256", "TEST")], "InvalidRequest"),
            ("PUT /b/k", &[("x-amz-checksum-crc32", "AAAAAA==-3")], "InvalidRequest"),
            ("PUT /b/k", &[("x-amz-checksum-crc32", ""), ("x-amz-checksum-sha1", "")], "InvalidRequest"),
            ("PUT /b/k", &[("x-amz-sdk-checksum-algorithm", "CRC32")], "InvalidRequest"),
            ("PUT /b/k", &[("x-amz-sdk-checksum-algorithm", "CRC")], "InvalidRequest"),
            ("POST /b/k?uploads", &[("x-amz-checksum-algorithm", "CRC")], "InvalidRequest"),
        ] {
            assert_eq!(checked(request, headers), refused(code), "{request} {headers:?}");
        }
        let metadata = "x".repeat(refusals::MAX_METADATA_BYTES);
        assert_eq!(checked("PUT /b/k", &[("x-amz-meta-a", &metadata)]), refused("MetadataTooLarge"));
        checked("PUT /b/k", &[("x-amz-meta-a", &metadata[1..])]).unwrap();
    }
}
