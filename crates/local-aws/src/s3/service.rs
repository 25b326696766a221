//! S3's operations on the [`ObjectStore`]. What is not here answers `NotImplemented`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use http::HeaderMap;
use s3s::dto::{self, ETag, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::task::spawn_blocking;

use super::bytes::{FileRange, receive};
use super::claims::Claims;
use super::digest::{Algorithm, StoredChecksum};
use super::index::{Attributes, Object};
use super::listing::{Entry, ListRequest};
use super::multipart::{ClaimedPart, Expected, UploadChecksum};
use super::ranges;
use super::store::{ObjectStore, Staged, StoreError, WriteCondition};
use super::unsigned::unescape;
use crate::clock;
use crate::identity::{ACCOUNT, REGION};

/// The most that one page of any listing holds.
const PAGE: i32 = 1000;

/// S3 for s3s.
#[derive(Debug)]
pub(super) struct S3Operations {
    pub(super) store: Arc<ObjectStore>,
}

impl S3Operations {
    /// Runs work of the store where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ObjectStore) -> Result<T, StoreError> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        Ok(spawn_blocking(move || work(&store)).await.map_err(S3Error::internal_error)??)
    }
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> S3Error {
        let error = error.itself();
        let code = match error {
            StoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            StoreError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
            StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            StoreError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            StoreError::BucketAlreadyOwnedByYou(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
            StoreError::InvalidPart(_) => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            StoreError::EntityTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::BadDigest { .. } => S3ErrorCode::BadDigest,
            StoreError::NotAsExpected(_) => S3ErrorCode::InvalidRequest,
            StoreError::DiskFull { .. }
            | StoreError::Io { .. }
            | StoreError::ChangedOutside { .. }
            | StoreError::Missing { .. }
            | StoreError::DamagedPart { .. }
            | StoreError::Index(_)
            | StoreError::Sync(_)
            | StoreError::Shared(_) => S3ErrorCode::InternalError,
        };
        let mut answer = S3Error::with_message(code, error.to_string());
        if matches!(error, StoreError::DiskFull { .. }) {
            answer.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
        }
        answer
    }
}

/// An error of S3 that s3s has no code for.
pub(super) fn other_error(code: &'static str, status: http::StatusCode, text: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), text);
    error.set_status_code(status);
    error
}

fn etag(text: &str) -> Option<ETag> {
    Some(ETag::Strong(text.to_owned()))
}

fn timestamp(millis: i64) -> Option<Timestamp> {
    Some(clock::system_time(millis).into())
}

/// The instant as headers have it, in whole seconds.
fn whole_seconds(millis: i64) -> Timestamp {
    clock::system_time(millis - millis.rem_euclid(1000)).into()
}

/// The five checksum fields that many of S3's shapes have.
macro_rules! sent_checksum {
    ($input:expr) => {
        sent(&dto::Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            checksum_type: None,
        })
    };
}

/// Fills those fields of an output.
macro_rules! with_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = &$checksum {
            let checksum = checksum.to_dto();
            $output.checksum_crc32 = checksum.checksum_crc32;
            $output.checksum_crc32c = checksum.checksum_crc32c;
            $output.checksum_crc64nvme = checksum.checksum_crc64nvme;
            $output.checksum_sha1 = checksum.checksum_sha1;
            $output.checksum_sha256 = checksum.checksum_sha256;
        }
    };
}

fn sent(checksum: &dto::Checksum) -> Option<(Algorithm, String)> {
    Algorithm::ALL.into_iter().find_map(|algorithm| Some((algorithm, algorithm.value(checksum)?.clone())))
}

/// What the conditional headers of a read say, in the order of precedence of HTTP.
struct ReadCondition<'a> {
    matches: Option<&'a ETagCondition>,
    none_match: Option<&'a ETagCondition>,
    modified_since: Option<&'a Timestamp>,
    unmodified_since: Option<&'a Timestamp>,
}

impl ReadCondition<'_> {
    /// `unchanged` is the answer where the client already has this version.
    fn check(&self, object: &Object, unchanged: S3ErrorCode) -> S3Result<()> {
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
        let mut error = S3Error::with_message(unchanged, "the object is the one that you have");
        if let Ok(value) = ETag::Strong(object.etag.clone()).to_http_header() {
            error.set_headers(HeaderMap::from_iter([(http::header::ETAG, value)]));
        }
        Err(error)
    }
}

/// The condition that GetObject and HeadObject are asked with.
macro_rules! read_condition {
    ($input:expr) => {
        ReadCondition {
            matches: $input.if_match.as_ref(),
            none_match: $input.if_none_match.as_ref(),
            modified_since: $input.if_modified_since.as_ref(),
            unmodified_since: $input.if_unmodified_since.as_ref(),
        }
    };
}

/// The bytes of the object that a request wants, and which of how many parts they are.
fn wanted_bytes(object: &Object, range: Option<&dto::Range>, part: Option<i32>) -> S3Result<Range<u64>> {
    if let Some(range) = range {
        if part.is_some() {
            return Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"));
        }
        let bytes = range.check(object.size)?;
        // Of no bytes there are no last ones.
        return if bytes.is_empty() { Err(s3_error!(InvalidRange)) } else { Ok(bytes) };
    }
    match part {
        None => Ok(0..object.size),
        Some(1) if object.attributes.parts.is_empty() => Ok(0..object.size),
        Some(number) => {
            let place = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let size = object.attributes.parts.get(place).ok_or_else(|| {
                other_error(
                    "InvalidPartNumber",
                    http::StatusCode::RANGE_NOT_SATISFIABLE,
                    "The requested partnumber is not satisfiable",
                )
            })?;
            let start: u64 = object.attributes.parts[..place].iter().sum();
            Ok(start..start + size)
        }
    }
}

/// Whether a range is of the version that the client has the rest of (`If-Range`): of another one it gets the whole.
fn is_of_version(headers: &HeaderMap, object: &Object) -> bool {
    let Some(version) = headers.get(http::header::IF_RANGE).and_then(|version| version.to_str().ok()) else {
        return true;
    };
    if version.starts_with('"') {
        return version.trim_matches('"') == object.etag;
    }
    Timestamp::parse(TimestampFormat::HttpDate, version).is_ok_and(|instant| instant == whole_seconds(object.modified))
}

/// What the answer's headers are to say in place of what is known of the object (`response-content-type`).
macro_rules! overrides {
    ($input:expr) => {
        Attributes {
            cache_control: $input.response_cache_control.clone(),
            content_disposition: $input.response_content_disposition.clone(),
            content_encoding: $input.response_content_encoding.clone(),
            content_language: $input.response_content_language.clone(),
            content_type: $input.response_content_type.clone(),
            expires: $input.response_expires.clone(),
            ..Attributes::default()
        }
    };
}

/// What GetObject and HeadObject both say of an object, of which these bytes are read: the one answer has all fields of
/// the other, but s3s has a type for each.
macro_rules! head {
    ($output:ident, $object:expr, $range:expr, $part:expr, $is_partial:expr, $with_checksum:expr, $overrides:expr) => {{
        let (object, range, is_partial): (&Object, &Range<u64>, bool) = ($object, $range, $is_partial);
        let overrides: Attributes = $overrides;
        let attributes = object.attributes.clone();
        let mut output = dto::$output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: overrides.cache_control.or(attributes.cache_control),
            content_disposition: overrides.content_disposition.or(attributes.content_disposition),
            content_encoding: overrides.content_encoding.or(attributes.content_encoding),
            content_language: overrides.content_language.or(attributes.content_language),
            content_length: Some((range.end - range.start).cast_signed()),
            content_range: is_partial
                .then(|| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), object.size)),
            content_type: overrides
                .content_type
                .or(attributes.content_type)
                .or_else(|| Some("binary/octet-stream".to_owned())),
            e_tag: etag(&object.etag),
            expires: overrides.expires.or(attributes.expires),
            last_modified: timestamp(object.modified),
            metadata: (!attributes.metadata.is_empty()).then(|| attributes.metadata.into_iter().collect()),
            parts_count: parts_count(object, $part),
            ..Default::default()
        };
        if $with_checksum && !is_partial {
            with_checksum!(output, attributes.checksum);
            output.checksum_type = attributes.checksum.as_ref().map(StoredChecksum::kind);
        }
        output
    }};
}

fn is_enabled(mode: Option<&dto::ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED)
}

fn parts_count(object: &Object, part: Option<i32>) -> Option<i32> {
    part.filter(|_| !object.attributes.parts.is_empty()).and_then(|_| i32::try_from(object.attributes.parts.len()).ok())
}

/// `x-amz-tagging`: pairs as in a query.
fn tags_of_header(header: Option<&String>) -> S3Result<BTreeMap<String, String>> {
    let Some(header) = header else { return Ok(BTreeMap::new()) };
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
        )
    };
    header
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((unescape(name).ok_or_else(invalid)?, unescape(value).ok_or_else(invalid)?))
        })
        .collect()
}

/// How names of a listing are written: as they are, or percent-encoded where the client asked for it, because XML
/// cannot hold every character that a key can.
#[derive(Clone, Copy)]
struct Spelling {
    encoded: bool,
}

impl Spelling {
    fn of(encoding: Option<&dto::EncodingType>) -> Spelling {
        Spelling { encoded: encoding.is_some_and(|encoding| encoding.as_str() == dto::EncodingType::URL) }
    }

    fn write(self, name: &str) -> String {
        use std::fmt::Write as _;
        if !self.encoded {
            return name.to_owned();
        }
        name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                    text.push(char::from(byte))
                }
                // Writing to a String cannot fail.
                byte => drop(write!(text, "%{byte:02X}")),
            }
            text
        })
    }

    fn objects(self, entries: &[Entry], with_owner: bool) -> dto::ObjectList {
        let object = |entry: &Entry| match entry {
            Entry::Object(object) => Some(dto::Object {
                key: Some(self.write(&object.key)),
                size: Some(object.size.cast_signed()),
                e_tag: etag(&object.etag),
                last_modified: timestamp(object.modified),
                storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
                checksum_algorithm: object
                    .attributes
                    .checksum
                    .as_ref()
                    .map(|checksum| vec![dto::ChecksumAlgorithm::from_static(checksum.algorithm.name())]),
                checksum_type: object.attributes.checksum.as_ref().map(StoredChecksum::kind),
                owner: with_owner.then(owner),
                ..Default::default()
            }),
            Entry::Prefix(_) => None,
        };
        entries.iter().filter_map(object).collect()
    }

    fn prefixes(self, entries: &[Entry]) -> dto::CommonPrefixList {
        let prefix = |entry: &Entry| match entry {
            Entry::Prefix(prefix) => Some(dto::CommonPrefix { prefix: Some(self.write(prefix)) }),
            Entry::Object(_) => None,
        };
        entries.iter().filter_map(prefix).collect()
    }
}

/// Everything is of the one account.
fn owner() -> dto::Owner {
    dto::Owner { id: Some(ACCOUNT.to_owned()), display_name: None }
}

fn limit_of(wanted: Option<i32>) -> S3Result<(i32, usize)> {
    let limit = wanted.unwrap_or(PAGE);
    let size = usize::try_from(limit)
        .map_err(|_| s3_error!(InvalidArgument, "Argument maxKeys must be an integer between 0 and 2147483647"))?;
    Ok((limit, size.min(1000)))
}

/// Continuation tokens are opaque to clients: the last name of the page, so that it needs no state.
fn token_of(name: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(name)
}

fn name_of(token: &str) -> S3Result<String> {
    base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

fn source_of(source: &dto::CopySource) -> S3Result<(String, String)> {
    match source {
        dto::CopySource::Bucket { bucket, key, version_id: None } => Ok((bucket.to_string(), key.to_string())),
        dto::CopySource::Bucket { .. } => {
            Err(s3_error!(NotImplemented, "buckets have no versions here: leave out the versionId"))
        }
        _ => Err(s3_error!(NotImplemented, "access points and outposts cannot be a copy's source here")),
    }
}

/// The key of an object of a batch. A condition on this object alone would not be looked at. All fields are named, so
/// that one more is an error of the compiler.
fn key_of(object: dto::ObjectIdentifier) -> S3Result<String> {
    let dto::ObjectIdentifier { key, version_id, e_tag, last_modified_time, size } = object;
    for (is_there, field) in [
        (version_id.is_some_and(|version| version != "null"), "VersionId"),
        (e_tag.is_some(), "ETag"),
        (last_modified_time.is_some(), "LastModifiedTime"),
        (size.is_some(), "Size"),
    ] {
        if is_there {
            return Err(s3_error!(NotImplemented, "{field} of an object in a batch is not implemented"));
        }
    }
    Ok(key)
}

fn claimed_parts(upload: Option<dto::CompletedMultipartUpload>) -> S3Result<Vec<ClaimedPart>> {
    let parts = upload.and_then(|upload| upload.parts).unwrap_or_default();
    if parts.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    let claimed = |part: &dto::CompletedPart| ClaimedPart {
        number: part.part_number.unwrap_or(0),
        etag: part.e_tag.as_ref().map(|etag| etag.value().to_owned()),
        checksum: sent_checksum!(part),
    };
    Ok(parts.iter().map(claimed).collect())
}

fn no_versions(version: Option<&String>) -> S3Result<()> {
    match version {
        Some(version) if version != "null" => Err(s3_error!(NoSuchVersion, "buckets have no versions here")),
        _ => Ok(()),
    }
}

/// The condition on the target of a copy, which `s3s` does not know: without it a copy would replace what
/// its caller asked to keep.
fn copy_condition(headers: &http::HeaderMap) -> S3Result<WriteCondition> {
    let condition = |name| {
        let header = headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        header.transpose().map_err(|_| s3_error!(InvalidArgument, "a condition of the copy is not an ETag"))
    };
    write_condition(condition(http::header::IF_MATCH)?, condition(http::header::IF_NONE_MATCH)?.as_ref())
}

/// A writer's `If-None-Match`: S3 knows only `*` there.
fn write_condition(matches: Option<ETagCondition>, none_match: Option<&ETagCondition>) -> S3Result<WriteCondition> {
    match none_match {
        Some(condition) if !condition.is_any() => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented: If-None-Match other than *"
        )),
        _ => Ok(WriteCondition { matches, absent: none_match.is_some() }),
    }
}

fn algorithm_of(named: Option<&dto::ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    let known = |named: &dto::ChecksumAlgorithm| {
        let unknown = || s3_error!(NotImplemented, "the checksum algorithm {:?} is not implemented", named.as_str());
        Algorithm::named(named.as_str()).ok_or_else(unknown)
    };
    named.map(known).transpose()
}

/// The checksum that an upload's object will have: each algorithm has a kind of its own, and some a second one.
fn upload_checksum(algorithm: Option<Algorithm>, kind: Option<&dto::ChecksumType>) -> S3Result<Option<UploadChecksum>> {
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let composite = match kind.map(dto::ChecksumType::as_str) {
        None => algorithm != Algorithm::Crc64Nvme,
        Some(dto::ChecksumType::COMPOSITE) if algorithm != Algorithm::Crc64Nvme => true,
        Some(dto::ChecksumType::FULL_OBJECT) if algorithm.is_crc() => false,
        Some(kind) => {
            let name = algorithm.name();
            return Err(s3_error!(
                InvalidRequest,
                "The {kind} checksum type cannot be used with the {name} checksum algorithm."
            ));
        }
    };
    Ok(Some(UploadChecksum { algorithm, composite }))
}

/// Buckets have no region, no directory and no zone here.
fn require_plain_bucket(configuration: &dto::CreateBucketConfiguration) -> S3Result<()> {
    let dto::CreateBucketConfiguration { bucket, location, location_constraint } = configuration;
    if bucket.is_some() || location.is_some() {
        return Err(s3_error!(NotImplemented, "directory buckets are not implemented"));
    }
    match location_constraint.as_ref().map(dto::BucketLocationConstraint::as_str) {
        None | Some("" | REGION) => Ok(()),
        Some(region) => Err(s3_error!(
            IllegalLocationConstraintException,
            "The {region} location constraint is incompatible for the region specific endpoint this request was sent to."
        )),
    }
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

#[async_trait::async_trait]
impl S3 for S3Operations {
    async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        if let Some(configuration) = request.input.create_bucket_configuration {
            require_plain_bucket(&configuration)?;
        }
        let bucket = request.input.bucket;
        let location = format!("/{bucket}");
        self.blocking(move |store| store.create_bucket(&bucket)).await?;
        Ok(S3Response::new(dto::CreateBucketOutput { location: Some(location) }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        let bucket = request.input.bucket;
        self.blocking(move |store| store.require_bucket(&bucket)).await?;
        Ok(S3Response::new(dto::HeadBucketOutput { bucket_region: Some(REGION.to_owned()), ..Default::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        let bucket = request.input.bucket;
        self.blocking(move |store| store.require_bucket(&bucket)).await?;
        // us-east-1 is the region that S3 has no constraint for.
        Ok(S3Response::new(dto::GetBucketLocationOutput::default()))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        let bucket = request.input.bucket;
        self.blocking(move |store| store.delete_bucket(&bucket)).await?;
        Ok(S3Response::new(dto::DeleteBucketOutput {}))
    }

    async fn list_buckets(
        &self,
        request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let input = request.input;
        let limit = match input.max_buckets {
            None => usize::MAX,
            Some(limit) => {
                usize::try_from(limit).ok().filter(|limit| (1..=10_000).contains(limit)).ok_or_else(|| {
                    s3_error!(InvalidArgument, "Argument max-buckets must be an integer between 1 and 10000")
                })?
            }
        };
        let after = input.continuation_token.as_deref().map(name_of).transpose()?.unwrap_or_default();
        let is_elsewhere = input.bucket_region.as_ref().is_some_and(|region| region.as_str() != REGION);
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut buckets = self.blocking(|store| store.buckets()).await?;
        buckets.retain(|(name, _)| !is_elsewhere && name.starts_with(&prefix) && *name > after);
        let is_truncated = buckets.len() > limit;
        buckets.truncate(limit);
        let continuation_token = buckets.last().filter(|_| is_truncated).map(|(name, _)| token_of(name));
        let bucket = |(name, created): (String, i64)| dto::Bucket {
            name: Some(name),
            creation_date: timestamp(created),
            bucket_region: Some(REGION.to_owned()),
        };
        Ok(S3Response::new(dto::ListBucketsOutput {
            buckets: Some(buckets.into_iter().map(bucket).collect()),
            owner: Some(owner()),
            prefix: input.prefix,
            continuation_token,
        }))
    }

    async fn put_object(
        &self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let body = request.input.body.take();
        let claims = Claims::new(
            &request,
            sent_checksum!(request.input),
            request.input.content_md5.as_ref(),
            request.input.checksum_algorithm.as_ref(),
            request.input.content_length,
        );
        let input = request.input;
        let condition = write_condition(input.if_match, input.if_none_match.as_ref())?;
        let attributes = Attributes {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            metadata: input.metadata.into_iter().flatten().collect(),
            tags: tags_of_header(input.tagging.as_ref())?,
            ..Attributes::default()
        };
        let (bucket, key) = (input.bucket, input.key);
        let object = receive(&self.store, body, claims.digester(), move |store, file, digest| {
            claims.check(digest)?;
            Ok(store.put(&bucket, Staged::new(&key, file, digest, attributes), &condition)?)
        })
        .await?;
        let mut output = dto::PutObjectOutput { e_tag: etag(&object.etag), ..Default::default() };
        with_checksum!(output, object.attributes.checksum);
        output.checksum_type = object.attributes.checksum.as_ref().map(StoredChecksum::kind);
        Ok(S3Response::new(output))
    }

    async fn get_object(&self, request: S3Request<dto::GetObjectInput>) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_ref())?;
        let (part_number, with_checksum) = (input.part_number, is_enabled(input.checksum_mode.as_ref()));
        let (headers, overrides) = (request.headers, overrides!(input));
        let store = Arc::clone(&self.store);
        let (object, range, is_range, body) = spawn_blocking(move || -> S3Result<_> {
            let (object, file) = store.open_object(&input.bucket, &input.key)?;
            read_condition!(input).check(&object, S3ErrorCode::NotModified)?;
            let wanted = input.range.filter(|_| is_of_version(&headers, &object));
            let range = wanted_bytes(&object, wanted.as_ref(), input.part_number)?;
            let body = FileRange::open(file, range.clone()).map_err(StoreError::io(&store.path(&object)))?;
            Ok((object, range, wanted.is_some(), body))
        })
        .await
        .map_err(S3Error::internal_error)??;
        let is_partial = is_range || parts_count(&object, part_number).is_some();
        let mut output = head!(GetObjectOutput, &object, &range, part_number, is_partial, with_checksum, overrides);
        output.body = Some(body.stream());
        output.tag_count = i32::try_from(object.attributes.tags.len()).ok().filter(|count| *count > 0);
        Ok(S3Response::new(output))
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_ref())?;
        let overrides = overrides!(input);
        let (bucket, key) = (input.bucket, input.key);
        let object = self.blocking(move |store| store.find(&bucket, &key)).await?;
        read_condition!(input).check(&object, S3ErrorCode::NotModified)?;
        let wanted = input.range.filter(|_| is_of_version(&request.headers, &object));
        let range = wanted_bytes(&object, wanted.as_ref(), input.part_number)?;
        let is_partial = wanted.is_some() || parts_count(&object, input.part_number).is_some();
        let with_checksum = is_enabled(input.checksum_mode.as_ref());
        let output = head!(HeadObjectOutput, &object, &range, input.part_number, is_partial, with_checksum, overrides);
        let status = if is_partial { http::StatusCode::PARTIAL_CONTENT } else { http::StatusCode::OK };
        Ok(S3Response::with_status(output, status))
    }

    async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        let condition = copy_condition(&request.headers)?;
        let input = request.input;
        let (from_bucket, from_key) = source_of(&input.copy_source)?;
        let replaces = input
            .metadata_directive
            .as_ref()
            .is_some_and(|directive| directive.as_str() == dto::MetadataDirective::REPLACE);
        if (&from_bucket, &from_key) == (&input.bucket, &input.key) && !replaces {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
            ));
        }
        let new_attributes = replaces.then(|| Attributes {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            metadata: input.metadata.into_iter().flatten().collect(),
            ..Attributes::default()
        });
        let new_tags = match input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str) {
            Some(dto::TaggingDirective::REPLACE) => Some(tags_of_header(input.tagging.as_ref())?),
            _ => None,
        };
        let algorithm = algorithm_of(input.checksum_algorithm.as_ref())?;
        let (matches, none_match) = (input.copy_source_if_match, input.copy_source_if_none_match);
        let (modified, unmodified) = (input.copy_source_if_modified_since, input.copy_source_if_unmodified_since);
        let (bucket, key) = (input.bucket, input.key);
        let store = Arc::clone(&self.store);
        let object = spawn_blocking(move || -> S3Result<Object> {
            let (source, bytes) = store.open_object(&from_bucket, &from_key)?;
            ReadCondition {
                matches: matches.as_ref(),
                none_match: none_match.as_ref(),
                modified_since: modified.as_ref(),
                unmodified_since: unmodified.as_ref(),
            }
            .check(&source, S3ErrorCode::PreconditionFailed)?;
            let mut staged = store.stage_copy(&key, &source, bytes, algorithm)?;
            if let Some(attributes) = new_attributes {
                let tags = std::mem::take(&mut staged.attributes.tags);
                let checksum = staged.attributes.checksum.take();
                staged.attributes = Attributes { tags, checksum, ..attributes };
            }
            if let Some(tags) = new_tags {
                staged.attributes.tags = tags;
            }
            Ok(store.put(&bucket, staged, &condition)?)
        })
        .await
        .map_err(S3Error::internal_error)??;
        let mut result = dto::CopyObjectResult {
            e_tag: etag(&object.etag),
            last_modified: timestamp(object.modified),
            ..Default::default()
        };
        with_checksum!(result, object.attributes.checksum);
        result.checksum_type = object.attributes.checksum.as_ref().map(StoredChecksum::kind);
        Ok(S3Response::new(dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_ref())?;
        let condition = WriteCondition { matches: input.if_match, absent: false };
        self.blocking(move |store| store.delete(&input.bucket, &input.key, &condition)).await?;
        Ok(S3Response::with_status(dto::DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.is_empty() || delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "a batch has between 1 and 1000 keys"));
        }
        let keys: Vec<String> = delete.objects.into_iter().map(key_of).collect::<S3Result<_>>()?;
        let deleted = delete.quiet != Some(true);
        let deleted = deleted.then(|| {
            keys.iter().map(|key| dto::DeletedObject { key: Some(key.clone()), ..Default::default() }).collect()
        });
        self.blocking(move |store| store.delete_all(&bucket, &keys)).await?;
        Ok(S3Response::new(dto::DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let input = request.input;
        let spelling = Spelling::of(input.encoding_type.as_ref());
        let (max_keys, limit) = limit_of(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(name_of(token)?),
            None => input.start_after.clone(),
        };
        let (bucket, prefix, delimiter) = (input.bucket.clone(), input.prefix.clone(), input.delimiter.clone());
        let page = self
            .blocking(move |store| {
                let request = ListRequest {
                    prefix: prefix.as_deref().unwrap_or_default(),
                    delimiter: delimiter.as_deref().unwrap_or_default(),
                    after: after.as_deref(),
                    limit,
                };
                store.list(&bucket, &request)
            })
            .await?;
        let last = page.entries.last().filter(|_| page.is_truncated).map(Entry::name);
        Ok(S3Response::new(dto::ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
            delimiter: input.delimiter.as_deref().map(|text| spelling.write(text)),
            start_after: input.start_after.as_deref().map(|text| spelling.write(text)),
            encoding_type: input.encoding_type,
            max_keys: Some(max_keys),
            key_count: i32::try_from(page.entries.len()).ok(),
            is_truncated: Some(page.is_truncated),
            continuation_token: input.continuation_token,
            next_continuation_token: last.map(token_of),
            contents: Some(spelling.objects(&page.entries, input.fetch_owner == Some(true))),
            common_prefixes: Some(spelling.prefixes(&page.entries)),
            ..Default::default()
        }))
    }

    async fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        let input = request.input;
        let spelling = Spelling::of(input.encoding_type.as_ref());
        let (max_keys, limit) = limit_of(input.max_keys)?;
        let (bucket, prefix, delimiter) = (input.bucket.clone(), input.prefix.clone(), input.delimiter.clone());
        let after = input.marker.clone();
        let page = self
            .blocking(move |store| {
                let request = ListRequest {
                    prefix: prefix.as_deref().unwrap_or_default(),
                    delimiter: delimiter.as_deref().unwrap_or_default(),
                    after: after.as_deref(),
                    limit,
                };
                store.list(&bucket, &request)
            })
            .await?;
        let last = page.entries.last().filter(|_| page.is_truncated).map(Entry::name);
        Ok(S3Response::new(dto::ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
            marker: Some(spelling.write(input.marker.as_deref().unwrap_or_default())),
            // Without a delimiter clients go on from the last key, as S3 tells them to.
            next_marker: last.filter(|_| input.delimiter.is_some()).map(|name| spelling.write(name)),
            delimiter: input.delimiter.as_deref().map(|text| spelling.write(text)),
            encoding_type: input.encoding_type,
            max_keys: Some(max_keys),
            is_truncated: Some(page.is_truncated),
            contents: Some(spelling.objects(&page.entries, true)),
            common_prefixes: Some(spelling.prefixes(&page.entries)),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let input = request.input;
        let attributes = Attributes {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            metadata: input.metadata.into_iter().flatten().collect(),
            tags: tags_of_header(input.tagging.as_ref())?,
            ..Attributes::default()
        };
        let algorithm = algorithm_of(input.checksum_algorithm.as_ref())?;
        let checksum = upload_checksum(algorithm, input.checksum_type.as_ref())?;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let id = self.blocking(move |store| store.create_upload(&bucket, &key, &attributes, checksum)).await?;
        Ok(S3Response::new(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: checksum.map(|checksum| {
                dto::ChecksumType::from_static(if checksum.composite {
                    dto::ChecksumType::COMPOSITE
                } else {
                    dto::ChecksumType::FULL_OBJECT
                })
            }),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        mut request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        check_part_number(request.input.part_number)?;
        let body = request.input.body.take();
        let mut claims = Claims::new(
            &request,
            sent_checksum!(request.input),
            request.input.content_md5.as_ref(),
            request.input.checksum_algorithm.as_ref(),
            request.input.content_length,
        );
        let input = request.input;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let upload = self.blocking(move |store| store.upload(&bucket, &key, &id)).await?;
        claims.announced = claims.announced.or(upload.checksum.map(|checksum| checksum.algorithm));
        let part = receive(&self.store, body, claims.digester(), move |store, file, digest| {
            claims.check(digest)?;
            Ok(store.put_part(&input.bucket, &input.key, &input.upload_id, input.part_number, &file, digest)?)
        })
        .await?;
        let mut output = dto::UploadPartOutput { e_tag: etag(&part.etag), ..Default::default() };
        with_checksum!(output, part.checksum);
        Ok(S3Response::new(output))
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        let input = request.input;
        check_part_number(input.part_number)?;
        let (from_bucket, from_key) = source_of(&input.copy_source)?;
        let range = input.copy_source_range.as_deref().map(|range| {
            ranges::copied(range).ok_or_else(|| {
                s3_error!(
                    InvalidArgument,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
                     the zero-based offsets of the first and last bytes to copy"
                )
            })
        });
        let range = range.transpose()?;
        let store = Arc::clone(&self.store);
        let part = spawn_blocking(move || -> S3Result<_> {
            let (source, bytes) = store.open_object(&from_bucket, &from_key)?;
            ReadCondition {
                matches: input.copy_source_if_match.as_ref(),
                none_match: input.copy_source_if_none_match.as_ref(),
                modified_since: input.copy_source_if_modified_since.as_ref(),
                unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
            }
            .check(&source, S3ErrorCode::PreconditionFailed)?;
            let range = match range {
                None => 0..source.size,
                Some((first, last)) if last < source.size => first..last + 1,
                Some(_) => {
                    let size = source.size;
                    return Err(s3_error!(
                        InvalidRange,
                        "Range specified is not valid for source object of size: {size}"
                    ));
                }
            };
            let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
            let (file, digest) = store.stage_range(bytes, range, upload.checksum.map(|checksum| checksum.algorithm))?;
            Ok(store.put_part(&input.bucket, &input.key, &input.upload_id, input.part_number, &file, &digest)?)
        })
        .await
        .map_err(S3Error::internal_error)??;
        let mut result = dto::CopyPartResult {
            e_tag: etag(&part.etag),
            last_modified: timestamp(part.modified),
            ..Default::default()
        };
        with_checksum!(result, part.checksum);
        Ok(S3Response::new(dto::UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
    }

    async fn list_parts(&self, request: S3Request<dto::ListPartsInput>) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let input = request.input;
        let (max_parts, limit) = limit_of(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or(0);
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let (upload, mut parts) = self
            .blocking(move |store| Ok((store.upload(&bucket, &key, &id)?, store.parts(&id, after, limit + 1)?)))
            .await?;
        let is_truncated = parts.len() > limit;
        parts.truncate(limit);
        let last = parts.last().map(|part| part.number);
        let part = |part: super::multipart::Part| {
            let mut said = dto::Part {
                part_number: Some(part.number),
                size: Some(part.size.cast_signed()),
                e_tag: etag(&part.etag),
                last_modified: timestamp(part.modified),
                ..Default::default()
            };
            with_checksum!(said, part.checksum);
            said
        };
        Ok(S3Response::new(dto::ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max_parts),
            part_number_marker: Some(after),
            next_part_number_marker: last.filter(|_| is_truncated),
            is_truncated: Some(is_truncated),
            parts: Some(parts.into_iter().map(part).collect()),
            checksum_algorithm: upload
                .checksum
                .map(|checksum| dto::ChecksumAlgorithm::from_static(checksum.algorithm.name())),
            storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            ..Default::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let input = request.input;
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "uploads are listed without a delimiter here"));
        }
        let spelling = Spelling::of(input.encoding_type.as_ref());
        let (max_uploads, limit) = limit_of(input.max_uploads)?;
        let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
        let after = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
        let mut uploads = self
            .blocking(move |store| {
                // Without an id the marker stands behind all uploads of its key.
                let id = after.1.as_deref().unwrap_or(if after.0.is_empty() { "" } else { "~" });
                store.uploads(&bucket, &prefix, (&after.0, id), limit + 1)
            })
            .await?;
        let is_truncated = uploads.len() > limit;
        uploads.truncate(limit);
        let last = uploads.last().filter(|_| is_truncated);
        let upload = |upload: &super::multipart::Upload| dto::MultipartUpload {
            key: Some(spelling.write(&upload.key)),
            upload_id: Some(upload.id.clone()),
            initiated: timestamp(upload.initiated),
            storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            ..Default::default()
        };
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix.as_deref().map(|text| spelling.write(text)),
            key_marker: input.key_marker.as_deref().map(|text| spelling.write(text)),
            upload_id_marker: input.upload_id_marker,
            encoding_type: input.encoding_type,
            max_uploads: Some(max_uploads),
            is_truncated: Some(is_truncated),
            next_key_marker: last.map(|upload| spelling.write(&upload.key)),
            next_upload_id_marker: last.map(|upload| upload.id.clone()),
            uploads: Some(uploads.iter().map(upload).collect()),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let input = request.input;
        let expected = sent_checksum!(input);
        let condition = write_condition(input.if_match, input.if_none_match.as_ref())?;
        let expected = Expected {
            checksum: expected,
            composite: input.checksum_type.map(|kind| kind.as_str() == dto::ChecksumType::COMPOSITE),
            size: input.mpu_object_size.map(i64::cast_unsigned),
        };
        let parts = claimed_parts(input.multipart_upload)?;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
        let object = self
            .blocking(move |store| store.complete_upload(&bucket, &key, &id, &parts, &expected, &condition))
            .await?;
        let mut output = dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&object.etag),
            ..Default::default()
        };
        with_checksum!(output, object.attributes.checksum);
        output.checksum_type = object.attributes.checksum.as_ref().map(StoredChecksum::kind);
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = request.input;
        self.blocking(move |store| store.abort_upload(&input.bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::with_status(dto::AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<dto::PutObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_ref())?;
        let pair = |tag: dto::Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let tags: BTreeMap<String, String> = input.tagging.tag_set.into_iter().map(pair).collect();
        self.blocking(move |store| store.describe(&input.bucket, &input.key, |attributes| attributes.tags = tags))
            .await?;
        Ok(S3Response::new(dto::PutObjectTaggingOutput::default()))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<dto::GetObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_ref())?;
        let object = self.blocking(move |store| store.find(&input.bucket, &input.key)).await?;
        let tag = |(key, value)| dto::Tag { key: Some(key), value: Some(value) };
        let tag_set = object.attributes.tags.into_iter().map(tag).collect();
        Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set, version_id: None }))
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<dto::DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
        let input = request.input;
        no_versions(input.version_id.as_ref())?;
        self.blocking(move |store| store.describe(&input.bucket, &input.key, |attributes| attributes.tags.clear()))
            .await?;
        Ok(S3Response::with_status(dto::DeleteObjectTaggingOutput::default(), http::StatusCode::NO_CONTENT))
    }
}
