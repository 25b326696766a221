//! Conditional requests (RFC 9110, section 13): `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since` and
//! `If-Range`, of reads, of the source of a copy, and of writes (compare-and-swap by ETag).

use http::HeaderMap;
use s3s::dto::{ETag, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::clock;
use crate::s3::index::Object;
use crate::s3::store::{StoreError, WriteCondition};

/// The conditions of a read, or of reading the source of a copy.
pub(super) struct ReadCondition<'a> {
    pub(super) matches: Option<&'a ETagCondition>,
    pub(super) none_match: Option<&'a ETagCondition>,
    pub(super) modified_since: Option<&'a Timestamp>,
    pub(super) unmodified_since: Option<&'a Timestamp>,
}

/// The [`ReadCondition`] in an input of `GetObject` or `HeadObject`.
macro_rules! read_condition {
    ($input:expr) => {
        $crate::s3::service::conditions::ReadCondition {
            matches: $input.if_match.as_ref(),
            none_match: $input.if_none_match.as_ref(),
            modified_since: $input.if_modified_since.as_ref(),
            unmodified_since: $input.if_unmodified_since.as_ref(),
        }
    };
}

/// The [`ReadCondition`] on the source, in an input of `CopyObject` or `UploadPartCopy`.
macro_rules! copy_source_condition {
    ($input:expr) => {
        $crate::s3::service::conditions::ReadCondition {
            matches: $input.copy_source_if_match.as_ref(),
            none_match: $input.copy_source_if_none_match.as_ref(),
            modified_since: $input.copy_source_if_modified_since.as_ref(),
            unmodified_since: $input.copy_source_if_unmodified_since.as_ref(),
        }
    };
}

pub(super) use {copy_source_condition, read_condition};

impl ReadCondition<'_> {
    /// Checks the conditions in HTTP's order of precedence: an ETag condition makes the date condition of its kind void.
    ///
    /// # Errors
    /// `PreconditionFailed`, or `unchanged` when the client already has this version.
    pub(super) fn check(&self, object: &Object, unchanged: S3ErrorCode) -> S3Result<()> {
        let is_same = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == object.etag);
        let modified = whole_seconds(object.modified);
        let fails = match (self.matches, self.unmodified_since) {
            (Some(condition), _) => !is_same(condition),
            (None, Some(instant)) => modified > *instant,
            (None, None) => false,
        };
        if fails {
            return Err(StoreError::PreconditionFailed.into());
        }
        let is_unchanged = match (self.none_match, self.modified_since) {
            (Some(condition), _) => is_same(condition),
            (None, Some(instant)) => modified <= *instant,
            (None, None) => false,
        };
        if !is_unchanged {
            return Ok(());
        }
        let mut error = S3Error::with_message(unchanged, "the object has not changed");
        if let Ok(value) = ETag::Strong(object.etag.clone()).to_http_header() {
            error.set_headers(HeaderMap::from_iter([(http::header::ETAG, value)]));
        }
        Err(error)
    }
}

/// Returns the condition on the target of a copy. s3s does not parse it, and without it a copy would replace an object that its
/// caller asked to keep.
pub(super) fn copy_target_condition(headers: &HeaderMap) -> S3Result<WriteCondition> {
    let condition = |name| {
        let header = headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        header.transpose().map_err(|_| s3_error!(InvalidArgument, "a condition of the copy is not an ETag"))
    };
    write_condition(condition(http::header::IF_MATCH)?, condition(http::header::IF_NONE_MATCH)?.as_ref())
}

/// Returns the condition of a write. S3 allows only `*` in its `If-None-Match`.
pub(super) fn write_condition(
    matches: Option<ETagCondition>,
    none_match: Option<&ETagCondition>,
) -> S3Result<WriteCondition> {
    match none_match {
        Some(condition) if !condition.is_any() => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented: If-None-Match other than *"
        )),
        _ => Ok(WriteCondition { matches, absent: none_match.is_some() }),
    }
}

/// Whether a range applies, by `If-Range`: the client has the rest of this version. A client that has another version gets
/// the whole object.
pub(super) fn range_applies(headers: &HeaderMap, object: &Object) -> bool {
    let Some(version) = headers.get(http::header::IF_RANGE).and_then(|version| version.to_str().ok()) else {
        return true;
    };
    if version.starts_with('"') {
        return version.trim_matches('"') == object.etag;
    }
    Timestamp::parse(TimestampFormat::HttpDate, version).is_ok_and(|instant| instant == whole_seconds(object.modified))
}

/// Returns the instant in whole seconds, the resolution of HTTP's date headers.
fn whole_seconds(millis: i64) -> Timestamp {
    clock::system_time(millis - millis.rem_euclid(1000)).into()
}
