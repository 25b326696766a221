//! What S3 refuses by its headers alone, in buckets such as those here: without ACLs, without Object Lock, and of one account.

use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::allowlist::HeaderRules;
use super::digest::Algorithm;
use super::errors::{error, invalid_argument, invalid_request, with_elements};
use crate::identity::ACCOUNT;
use crate::url_encoding::decode_query;

/// The ACL of every object here.
pub(super) const FULL_CONTROL: &str = "bucket-owner-full-control";
/// The ACL of every bucket here.
pub(super) const PRIVATE: &str = "private";
const OBJECT_ACLS: &[&str] = &[
    PRIVATE,
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    FULL_CONTROL,
];
const BUCKET_ACLS: &[&str] = &[PRIVATE, "public-read", "public-read-write", "authenticated-read", "log-delivery-write"];
/// The ownership of objects in every bucket here.
pub(super) const OWNERSHIP: &str = "BucketOwnerEnforced";
const OWNERSHIPS: &[&str] = &[OWNERSHIP, "BucketOwnerPreferred", "ObjectWriter"];
/// The storage classes whose objects are read at once: they differ in price only.
pub(super) const STORAGE_CLASSES: &[&str] =
    &["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"];
/// The storage classes whose objects have to be restored before they are read. They are not implemented.
const ARCHIVE_CLASSES: &[&str] = &["GLACIER", "DEEP_ARCHIVE"];
/// The algorithms of S3 for checksums that are not implemented.
const OTHER_ALGORITHMS: &[&str] = &["SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"];
pub(super) const MAX_METADATA_BYTES: usize = 2048;

/// Checks all headers of a request.
///
/// # Errors
/// S3's own error.
pub(super) fn check(headers: &HeaderMap, rules: &HeaderRules) -> S3Result<()> {
    check_copy_source(headers, rules)?;
    check_digests(headers, rules)?;
    check_metadata_size(headers)?;
    check_lock(headers)?;
    for (name, value) in headers {
        let value = value.to_str().unwrap_or_default().trim();
        if let Some(short) = name.as_str().strip_prefix("x-amz-").filter(|_| !value.is_empty()) {
            check_value(short, value)?;
            if rules.writes() {
                check_write(short, value, rules)?;
            }
        }
    }
    Ok(())
}

/// Checks a header that means the same in all operations.
fn check_value(short: &str, value: &str) -> S3Result<()> {
    match short {
        "metadata-directive" | "tagging-directive" => require_directive(short, value),
        "expected-bucket-owner" | "source-expected-bucket-owner" => require_owner(value),
        "checksum-algorithm" | "sdk-checksum-algorithm" => require_algorithm(short, value),
        "object-ownership" if !OWNERSHIPS.contains(&value) => {
            let message = format!("Invalid x-amz-object-ownership header: {value}");
            let refused = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
            Err(with_elements(refused, &[("ArgumentName", "x-amz-object-ownership")]))
        }
        "storage-class" if !STORAGE_CLASSES.contains(&value) && !ARCHIVE_CLASSES.contains(&value) => {
            let message = "The storage class you specified is not valid";
            let refused = S3Error::with_message(S3ErrorCode::InvalidStorageClass, message);
            Err(with_elements(refused, &[("StorageClassRequested", value)]))
        }
        _ => Ok(()),
    }
}

/// Checks a header of a write.
fn check_write(short: &str, value: &str, rules: &HeaderRules) -> S3Result<()> {
    match short {
        "acl" if rules.describes_object() => require_acl(value, OBJECT_ACLS, FULL_CONTROL, &no_object_acls),
        "acl" if rules.creates_bucket() => require_acl(value, BUCKET_ACLS, PRIVATE, &no_bucket_acls),
        _ if short.starts_with("grant-") && rules.describes_object() => Err(no_object_acls()),
        _ if short.starts_with("grant-") && rules.creates_bucket() => Err(no_bucket_acls()),
        "object-lock-mode" | "object-lock-retain-until-date" | "object-lock-legal-hold" if rules.describes_object() => {
            Err(invalid_request("Bucket is missing Object Lock Configuration"))
        }
        "bypass-governance-retention" if rules.deletes() && !value.eq_ignore_ascii_case("false") => {
            let message = "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.";
            let refused = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
            Err(with_elements(refused, &[("ArgumentName", "x-amz-bypass-governance-retention")]))
        }
        _ => Ok(()),
    }
}

/// Refuses each ACL but the one that all objects or buckets have here.
fn require_acl(value: &str, known: &[&str], own: &str, refused: &dyn Fn() -> S3Error) -> S3Result<()> {
    match value {
        value if value == own => Ok(()),
        value if known.contains(&value) => Err(refused()),
        value => Err(with_elements(
            S3Error::new(S3ErrorCode::InvalidArgument),
            &[("ArgumentName", "x-amz-acl"), ("ArgumentValue", value)],
        )),
    }
}

fn no_object_acls() -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs")
}

fn no_bucket_acls() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidBucketAclWithObjectOwnership,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
}

/// Checks the form of the source of a copy, `bucket/key`. An empty one would be no copy.
fn check_copy_source(headers: &HeaderMap, rules: &HeaderRules) -> S3Result<()> {
    const NAME: &str = "x-amz-copy-source";
    let Some(value) = headers.get(NAME) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    if !rules.may_copy() {
        return Err(invalid_argument("You can only specify a copy source header for copy requests.", NAME, text));
    }
    let path = text.strip_prefix('/').unwrap_or(text);
    let path = path.split_once("?versionId=").map_or(path, |(path, _)| path);
    let Some(path) = decode_query(path) else {
        return Err(invalid_argument("Invalid copy source encoding.", NAME, text));
    };
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    match (bucket, key) {
        ("", _) => Err(invalid_argument("Invalid copy source bucket name", NAME, text)),
        (bucket, "") if !bucket.starts_with("arn:") => {
            Err(invalid_argument("Invalid copy source object key", NAME, text))
        }
        _ => Ok(()),
    }
}

/// Checks the form of the digests that the headers declare. Their values are compared with the bytes later.
fn check_digests(headers: &HeaderMap, rules: &HeaderRules) -> S3Result<()> {
    if !rules.writes() {
        return Ok(());
    }
    if headers.get("content-md5").is_some_and(HeaderValue::is_empty) {
        return Err(error(S3ErrorCode::InvalidDigest, &[("Content-MD5", "")]));
    }
    let trailers = headers.get_all("x-amz-trailer").iter().filter_map(|names| names.to_str().ok());
    let trailers = trailers.flat_map(|names| names.split(','));
    let names = headers.keys().map(HeaderName::as_str).chain(trailers);
    let sent: Vec<Algorithm> = names.filter_map(Algorithm::from_header).collect();
    if sent.len() > 1 {
        // A second one would not be verified.
        return Err(invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    if let Some(algorithm) = sent.first()
        && let Some(value) = headers.get(algorithm.header())
    {
        let value = value.to_str().unwrap_or_default();
        // The checksum of an object in parts may end with their number.
        let value = value.split_once('-').filter(|_| rules.completes_upload()).map_or(value, |(value, _)| value);
        if !algorithm.is_value(value) {
            return Err(invalid_request(format!("Value for {} header is invalid.", algorithm.header())));
        }
    }
    let named = headers.get("x-amz-sdk-checksum-algorithm").filter(|_| rules.has_body());
    match (named.and_then(|named| named.to_str().ok()?.parse::<Algorithm>().ok()), sent.first()) {
        (Some(named), Some(sent)) if named != *sent => {
            Err(invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."))
        }
        (Some(_), None) => Err(invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers \
             were found.",
        )),
        _ => Ok(()),
    }
}

/// Checks the size of the user's metadata: that of all names and values.
fn check_metadata_size(headers: &HeaderMap) -> S3Result<()> {
    let size: usize = headers
        .iter()
        .filter_map(|(name, value)| Some(name.as_str().strip_prefix("x-amz-meta-")?.len() + value.len()))
        .sum();
    if size <= MAX_METADATA_BYTES {
        return Ok(());
    }
    let (size, limit) = (size.to_string(), MAX_METADATA_BYTES.to_string());
    Err(error(S3ErrorCode::MetadataTooLarge, &[("Size", &size), ("MaxSizeAllowed", &limit)]))
}

fn check_lock(headers: &HeaderMap) -> S3Result<()> {
    let (mode, until) = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date");
    let has = |name| headers.get(name).is_some_and(|value: &HeaderValue| !value.is_empty());
    if has(mode) == has(until) {
        return Ok(());
    }
    let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
    let name = if has(mode) { until } else { mode };
    Err(with_elements(S3Error::with_message(S3ErrorCode::InvalidArgument, message), &[("ArgumentName", name)]))
}

/// Refuses a name that S3 does not know. Those of [`OTHER_ALGORITHMS`] are not implemented.
fn require_algorithm(short: &str, value: &str) -> S3Result<()> {
    let is_known = value.parse::<Algorithm>().is_ok() || OTHER_ALGORITHMS.contains(&value);
    match short {
        _ if is_known => Ok(()),
        "checksum-algorithm" => Err(invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, \
             CRC64NVME, SHA1, SHA256]",
        )),
        _ => Err(invalid_request(format!("Value for x-amz-{short} header is invalid."))),
    }
}

fn require_directive(name: &str, value: &str) -> S3Result<()> {
    if matches!(value, "COPY" | "REPLACE") {
        return Ok(());
    }
    let message =
        if name == "metadata-directive" { "Unknown metadata directive." } else { "Unknown tagging directive." };
    Err(invalid_argument(message, &format!("x-amz-{name}"), value))
}

fn require_owner(account: &str) -> S3Result<()> {
    if account == ACCOUNT {
        return Ok(());
    }
    if account.len() != ACCOUNT.len() || !account.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        let message =
            format!("The value of the expected bucket owner parameter must be an AWS Account ID... [{account}]");
        return Err(S3Error::with_message(S3ErrorCode::InvalidBucketOwnerAWSAccountID, message));
    }
    Err(error(S3ErrorCode::AccessDenied, &[]))
}
