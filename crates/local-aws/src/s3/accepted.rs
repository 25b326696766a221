//! Which parameters of S3 this endpoint knows. A request with any other is refused before anything is done: what would
//! be accepted and forgotten is a success that did not happen.
//!
//! S3 itself grows: a parameter that is younger than this code (a sub-resource, a header of `x-amz-`) is refused too,
//! and never taken for a plain PUT or GET of the object.

use http::header::{CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use s3s::{S3Result, s3_error};

use super::digest::Algorithm;
use super::unsigned::unescape;
use crate::identity::ACCOUNT;

/// What a request is about, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    Bucket,
    Object,
}

impl Kind {
    /// As s3s reads it: the slashes count after the path is decoded.
    fn of(path: &str) -> Kind {
        let path = path.replace("%2F", "/").replace("%2f", "/");
        match path.strip_prefix('/').unwrap_or(&path).split_once('/') {
            None if path.len() <= 1 => Kind::Root,
            None | Some((_, "")) => Kind::Bucket,
            Some(_) => Kind::Object,
        }
    }
}

/// One form that requests have: the names in its query.
struct Form {
    method: Method,
    kind: Kind,
    /// All of them are there.
    required: &'static [&'static str],
    /// These may be.
    optional: &'static [&'static str],
    /// Its body is a short document and no object.
    document: bool,
}

const fn form(
    method: Method,
    kind: Kind,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Form {
    Form { method, kind, required, optional, document: false }
}

const fn with_document(
    method: Method,
    kind: Kind,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Form {
    Form { method, kind, required, optional, document: true }
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

/// Every form of the operations that are here.
const FORMS: &[Form] = &[
    form(Method::GET, Kind::Root, &[], &["bucket-region", "continuation-token", "max-buckets", "prefix"]),
    form(Method::HEAD, Kind::Bucket, &[], &[]),
    form(Method::GET, Kind::Bucket, &["location"], &[]),
    form(Method::GET, Kind::Bucket, &["uploads"], UPLOADS),
    form(Method::GET, Kind::Bucket, &["list-type"], LISTED_V2),
    form(Method::GET, Kind::Bucket, &[], LISTED),
    with_document(Method::PUT, Kind::Bucket, &[], &[]),
    form(Method::DELETE, Kind::Bucket, &[], &[]),
    with_document(Method::POST, Kind::Bucket, &["delete"], &[]),
    form(Method::HEAD, Kind::Object, &[], READ),
    form(Method::GET, Kind::Object, &["tagging"], &["versionId"]),
    form(Method::GET, Kind::Object, &["uploadId"], &["max-parts", "part-number-marker"]),
    form(Method::GET, Kind::Object, &[], READ),
    with_document(Method::PUT, Kind::Object, &["tagging"], &["versionId"]),
    form(Method::PUT, Kind::Object, &["partNumber", "uploadId"], &[]),
    form(Method::PUT, Kind::Object, &[], &[]),
    form(Method::DELETE, Kind::Object, &["tagging"], &["versionId"]),
    form(Method::DELETE, Kind::Object, &["uploadId"], &[]),
    form(Method::DELETE, Kind::Object, &[], &["versionId"]),
    form(Method::POST, Kind::Object, &["uploads"], &[]),
    with_document(Method::POST, Kind::Object, &["uploadId"], &[]),
];

impl Form {
    /// The form that a request has.
    fn of(head: &Parts) -> S3Result<&'static Form> {
        let kind = Kind::of(head.uri.path());
        let names = names_of(head.uri.query().unwrap_or_default())?;
        let forms = || FORMS.iter().filter(|form| form.method == head.method && form.kind == kind);
        let knows = |form: &Form, name: &str| form.required.contains(&name) || form.optional.contains(&name);
        let fits = |form: &&Form| {
            form.required.iter().all(|required| names.iter().any(|name| name == required))
                && names.iter().all(|name| knows(form, name))
        };
        forms().find(fits).ok_or_else(|| {
            let unknown = names.iter().find(|name| !forms().any(|form| knows(form, name)));
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

/// The names in a query. `x-id` names the operation once more, and others of `x-` are the caller's own: S3 does not
/// look at them.
fn names_of(query: &str) -> S3Result<Vec<String>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split('=').next().unwrap_or(pair))
        .map(|name| unescape(name).ok_or_else(|| s3_error!(InvalidURI, "the query of the address is no UTF-8")))
        .filter(|name| !name.as_ref().is_ok_and(|name| name.starts_with("x-") && !name.starts_with("x-amz-")))
        .collect()
}

/// What there is to do with a request that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Its body is an object's bytes, or none.
    Bytes,
    /// Its body is a short document.
    Document,
}

/// Refuses a request with a parameter that would be forgotten.
pub(super) fn check(head: &Parts) -> S3Result<Accepted> {
    let form = Form::of(head)?;
    if head.headers.get(CONTENT_TYPE).is_some_and(|kind| is_page_form(kind.as_bytes())) && head.method == Method::POST {
        return Err(s3_error!(NotImplemented, "objects in the forms of web pages (POST Object) are not implemented"));
    }
    let asked = Asked { form, is_copy: head.headers.contains_key("x-amz-copy-source") };
    require_one_checksum(&head.headers)?;
    for (name, value) in &head.headers {
        let is_kept = match name.as_str().strip_prefix("x-amz-") {
            _ if value.is_empty() => true,
            None => asked.keeps_of_http(name),
            Some(short) => {
                let value = value.to_str().map_err(|_| s3_error!(InvalidArgument, "the header {name} is no text"))?;
                asked.keeps(short, value.trim())?
            }
        };
        if !is_kept {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented: {name}"
            ));
        }
    }
    Ok(if form.document { Accepted::Document } else { Accepted::Bytes })
}

/// What a request asks for, as far as it decides which headers count.
struct Asked {
    form: &'static Form,
    is_copy: bool,
}

impl Asked {
    /// Whether it is this operation.
    fn is(&self, method: &Method, required: &[&str]) -> bool {
        self.form.method == *method && self.form.kind == Kind::Object && self.form.required == required
    }

    /// PutObject and CopyObject.
    fn writes_object(&self) -> bool {
        self.is(&Method::PUT, &[])
    }

    fn begins_upload(&self) -> bool {
        self.is(&Method::POST, &["uploads"])
    }

    fn completes_upload(&self) -> bool {
        self.is(&Method::POST, &["uploadId"])
    }

    fn writes(&self) -> bool {
        matches!(self.form.method, Method::PUT | Method::POST | Method::DELETE)
    }

    /// HTTP's own headers that would make another request of it.
    fn keeps_of_http(&self, name: &HeaderName) -> bool {
        let writes = self.writes();
        match *name {
            IF_MODIFIED_SINCE | IF_UNMODIFIED_SINCE | CONTENT_RANGE => !writes,
            IF_NONE_MATCH => !writes || self.writes_object() || self.completes_upload(),
            IF_MATCH => !writes || self.writes_object() || self.completes_upload() || self.is(&Method::DELETE, &[]),
            _ => true,
        }
    }

    /// `short` is what comes behind `x-amz-`.
    fn keeps(&self, short: &str, value: &str) -> S3Result<bool> {
        Ok(match short {
            // Signatures, and how the body is sent.
            "date" | "content-sha256" | "security-token" | "user-agent" | "decoded-content-length" => true,
            // Of the C++ SDK.
            "api-version" => true,
            "trailer" => value.split(',').all(|name| Algorithm::of_header(name).is_some()),
            // Nobody pays, and nothing is archived.
            "request-payer" | "optional-object-attributes" => true,
            // What is said of the object, or asked of it.
            "tagging" => self.writes_object() || self.begins_upload(),
            "checksum-mode" => !self.is_copy,
            "checksum-type" => self.begins_upload() || self.completes_upload(),
            "mp-object-size" => self.completes_upload(),
            "checksum-algorithm" | "sdk-checksum-algorithm" => Algorithm::named(value).is_some(),
            "copy-source" => self.writes_object() || self.is(&Method::PUT, &["partNumber", "uploadId"]),
            "copy-source-if-match"
            | "copy-source-if-none-match"
            | "copy-source-if-modified-since"
            | "copy-source-if-unmodified-since" => self.is_copy,
            "copy-source-range" => self.is_copy && !self.writes_object(),
            "metadata-directive" | "tagging-directive" => {
                require_directive(short, value)?;
                self.is_copy && self.writes_object()
            }
            "expected-bucket-owner" | "source-expected-bucket-owner" => {
                require_owner(value)?;
                true
            }
            // The only values that are so here.
            "storage-class" => value == "STANDARD",
            "acl" => value == if self.form.kind == Kind::Bucket { "private" } else { "bucket-owner-full-control" },
            "object-ownership" => value == "BucketOwnerEnforced",
            "bucket-namespace" => value == "global",
            "bucket-object-lock-enabled"
            | "bypass-governance-retention"
            | "server-side-encryption-bucket-key-enabled" => value.eq_ignore_ascii_case("false"),
            _ if short.starts_with("meta-") => self.writes_object() || self.begins_upload(),
            _ if Algorithm::of_header(&format!("x-amz-{short}")).is_some() => true,
            // A read changes nothing, and clients say things there that are for their own kind.
            _ => !self.writes() && !short.starts_with("server-side-encryption"),
        })
    }
}

/// s3s takes every POST of this type for a form, whatever its address says.
fn is_page_form(content_type: &[u8]) -> bool {
    content_type.to_ascii_lowercase().trim_ascii_start().starts_with(b"multipart/form-data")
}

/// A second checksum would not be looked at.
fn require_one_checksum(headers: &HeaderMap) -> S3Result<()> {
    let trailers = headers.get_all("x-amz-trailer").iter().filter_map(|names| names.to_str().ok());
    let trailers = trailers.flat_map(|names| names.split(','));
    let names = headers.keys().map(HeaderName::as_str).chain(trailers);
    if names.filter(|name| Algorithm::of_header(name).is_some()).count() > 1 {
        return Err(s3_error!(InvalidRequest, "Expecting a single x-amz-checksum- header"));
    }
    Ok(())
}

fn require_directive(name: &str, value: &str) -> S3Result<()> {
    if matches!(value, "COPY" | "REPLACE") {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "x-amz-{name} is COPY or REPLACE, and not {value:?}"))
}

fn require_owner(account: &str) -> S3Result<()> {
    if account == ACCOUNT {
        return Ok(());
    }
    Err(s3_error!(AccessDenied, "the bucket is of the account {ACCOUNT}, and not of {account:?}"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(request: &str, headers: &[(&str, &str)]) -> Result<Accepted, String> {
        let (method, uri) = request.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let head = request.body(()).unwrap().into_parts().0;
        check(&head).map_err(|error| error.code().as_str().to_owned())
    }

    fn refused(code: &str) -> Result<Accepted, String> {
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
            assert_eq!(asked(request, &[]), Ok(Accepted::Bytes), "{request}");
        }
        for request in ["POST /b?delete", "PUT /b/k?tagging", "PUT /b/", "POST /b/k?uploadId=u&x-id=Complete"] {
            assert_eq!(asked(request, &[]), Ok(Accepted::Document), "{request}");
        }
    }

    #[test]
    fn what_is_not_known_is_never_taken_for_something_else() {
        for request in [
            // Of these, a plain PUT would replace the object by nothing.
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
            assert_eq!(asked(request, &[]), refused("NotImplemented"), "{request}");
        }
    }

    #[test]
    fn headers_are_kept_or_refused() {
        for (request, header, value) in [
            ("PUT /b/k", "x-amz-storage-class", "STANDARD"),
            ("PUT /b/k", "x-amz-acl", "bucket-owner-full-control"),
            ("PUT /b/k", "x-amz-acl", ""),
            ("PUT /b/k", "x-amz-meta-any", "thing"),
            ("PUT /b/k", "x-amz-checksum-crc64nvme", "x"),
            ("PUT /b/k", "x-amz-trailer", "x-amz-checksum-crc32"),
            ("PUT /b/k", "x-amz-expected-bucket-owner", ACCOUNT),
            ("PUT /b/k", "x-amzn-trace-id", "x"),
            ("PUT /b/k", "if-none-match", "*"),
            ("DELETE /b/k", "if-match", "\"e\""),
            ("GET /b/k", "if-modified-since", "x"),
            ("GET /b/k", "x-amz-of-a-client", "x"),
            ("PUT /b/k", "x-amz-api-version", "2006-03-01"),
        ] {
            asked(request, &[(header, value)]).unwrap_or_else(|code| panic!("{request} {header}: {value}: {code}"));
        }
        for (request, header, value) in [
            ("PUT /b/k", "x-amz-storage-class", "GLACIER"),
            ("PUT /b/k", "x-amz-acl", "public-read"),
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
            assert_eq!(asked(request, &[(header, value)]), refused("NotImplemented"), "{request} {header}: {value}");
        }
        let copy = ("x-amz-copy-source", "b/k");
        assert_eq!(asked("PUT /b/k", &[copy, ("x-amz-copy-source-range", "bytes=0-1")]), refused("NotImplemented"));
        assert_eq!(asked("PUT /b/k", &[copy, ("x-amz-metadata-directive", "MOVE")]), refused("InvalidArgument"));
        assert_eq!(asked("GET /b/k", &[copy]), refused("NotImplemented"));
        assert_eq!(asked("GET /b/k", &[("x-amz-expected-bucket-owner", "111122223333")]), refused("AccessDenied"));
    }
}
