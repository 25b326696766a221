//! Conditional requests (RFC 9110, section 13): `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since` and
//! `If-Range`, of reads, of the source of a copy, and of writes (compare-and-swap by ETag).

use http::HeaderMap;
use s3s::dto::{ETag, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::clock;
use crate::s3::errors::header_not_implemented;
use crate::s3::index::Object;
use crate::s3::store::{StoreError, WriteCondition};

/// The conditions of a read, or of reading the source of a copy.
pub(super) struct ReadCondition<'a> {
    pub(super) matches: Option<&'a ETagCondition>,
    pub(super) none_match: Option<&'a ETagCondition>,
    pub(super) modified_since: Option<&'a Timestamp>,
    pub(super) unmodified_since: Option<&'a Timestamp>,
    pub(super) names: &'static ConditionNames,
}

/// The names of the conditions in errors.
pub(super) struct ConditionNames {
    matches: &'static str,
    none_match: &'static str,
    modified_since: &'static str,
    unmodified_since: &'static str,
    /// Whether a condition that fails is answered by 304 (Not Modified), as for reads, instead of 412.
    is_read: bool,
}

pub(super) const OF_READ: &ConditionNames = &ConditionNames {
    matches: WriteCondition::IF_MATCH,
    none_match: WriteCondition::IF_NONE_MATCH,
    modified_since: "If-Modified-Since",
    unmodified_since: "If-Unmodified-Since",
    is_read: true,
};

pub(super) const OF_COPY_SOURCE: &ConditionNames = &ConditionNames {
    matches: "x-amz-copy-source-If-Match",
    none_match: "x-amz-copy-source-If-None-Match",
    modified_since: "x-amz-copy-source-If-Modified-Since",
    unmodified_since: "x-amz-copy-source-If-Unmodified-Since",
    is_read: false,
};

/// The [`ReadCondition`] in an input of `GetObject` or `HeadObject`.
macro_rules! read_condition {
    ($input:expr) => {
        $crate::s3::service::conditions::ReadCondition {
            matches: $input.if_match.as_ref(),
            none_match: $input.if_none_match.as_ref(),
            modified_since: $input.if_modified_since.as_ref(),
            unmodified_since: $input.if_unmodified_since.as_ref(),
            names: $crate::s3::service::conditions::OF_READ,
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
            names: $crate::s3::service::conditions::OF_COPY_SOURCE,
        }
    };
}

pub(super) use {copy_source_condition, read_condition};

impl ReadCondition<'_> {
    /// Checks the conditions in HTTP's order of precedence: an ETag condition makes the date condition of its kind void.
    ///
    /// # Errors
    /// `PreconditionFailed`, or `NotModified` when the client of a read already has this version.
    pub(super) fn check(&self, object: &Object) -> S3Result<()> {
        let is_same = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == object.etag);
        let modified = whole_seconds(object.modified);
        let failed = match (self.matches, self.unmodified_since) {
            (Some(condition), _) => (!is_same(condition)).then_some(self.names.matches),
            (None, Some(instant)) => (modified > *instant).then_some(self.names.unmodified_since),
            (None, None) => None,
        };
        if let Some(condition) = failed {
            return Err(StoreError::PreconditionFailed(condition).into());
        }
        // An instant that is still to come is ignored.
        let is_past = |instant: &Timestamp| *instant <= clock::system_time(clock::now_millis()).into();
        let unchanged = match (self.none_match, self.modified_since) {
            (Some(condition), _) => is_same(condition).then_some(self.names.none_match),
            (None, Some(instant)) => (modified <= *instant && is_past(instant)).then_some(self.names.modified_since),
            (None, None) => None,
        };
        let Some(condition) = unchanged else { return Ok(()) };
        if !self.names.is_read {
            return Err(StoreError::PreconditionFailed(condition).into());
        }
        let mut error = S3Error::with_message(S3ErrorCode::NotModified, "Not Modified");
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

/// Returns the condition of a write. S3 allows one, an ETag in `If-Match` or `*` in `If-None-Match`.
pub(super) fn write_condition(
    matches: Option<ETagCondition>,
    none_match: Option<&ETagCondition>,
) -> S3Result<WriteCondition> {
    let (if_match, if_none_match) = (WriteCondition::IF_MATCH, WriteCondition::IF_NONE_MATCH);
    let value_of = |name: &str| format!("We don't accept the provided value of {name} header for this API");
    match (&matches, none_match) {
        (Some(_), Some(_)) => Err(header_not_implemented(
            &format!("{if_match},{if_none_match}"),
            Some("Multiple conditional request headers present in the request"),
        )),
        (Some(condition), None) if condition.is_any() => {
            Err(header_not_implemented(if_match, Some(&value_of(if_match))))
        }
        (None, Some(condition)) if !condition.is_any() => {
            Err(header_not_implemented(if_none_match, Some(&value_of(if_none_match))))
        }
        _ => Ok(WriteCondition { matches, absent: none_match.is_some(), upload: None }),
    }
}

/// Removes the conditions on dates that are none, as HTTP says.
pub(in crate::s3) fn remove_invalid_dates(headers: &mut HeaderMap) {
    for name in [http::header::IF_MODIFIED_SINCE, http::header::IF_UNMODIFIED_SINCE] {
        let is_date = |value: &http::HeaderValue| {
            value.to_str().is_ok_and(|text| Timestamp::parse(TimestampFormat::HttpDate, text).is_ok())
        };
        if headers.get(&name).is_some_and(|value| !is_date(value)) {
            headers.remove(&name);
        }
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
