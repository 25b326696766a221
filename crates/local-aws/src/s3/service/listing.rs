//! `ListObjects` and `ListObjectsV2`, and the parts of a listing that other operations share.

use std::sync::Arc;

use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::{blocking, checksums, etag, timestamp};
use crate::identity::ACCOUNT;
use crate::s3::digest::StoredChecksum;
use crate::s3::errors::with_elements;
use crate::s3::listing::{Entry, ListPage, ListRequest};
use crate::s3::store::ObjectStore;
use crate::url_encoding;

/// S3's limit for the entries of one page, of any listing.
const MAX_PAGE: i32 = 1000;

pub(super) async fn list_objects_v2(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::ListObjectsV2Input>,
) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
    let input = request.input;
    let names = NameEncoding::new(input.encoding_type.as_ref());
    let (max_keys, limit) = page_limit(input.max_keys);
    let after = match &input.continuation_token {
        Some(token) => Some(parse_page_token(token)?),
        None => input.start_after.clone(),
    };
    let page =
        list(store, &input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), (after, false), limit).await?;
    let last = page.entries.last().filter(|_| page.is_truncated).map(Entry::name);
    Ok(S3Response::new(dto::ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(names.encode(input.prefix.as_deref().unwrap_or_default())),
        delimiter: names.delimiter(input.delimiter.as_deref()),
        start_after: input.start_after.filter(|text| !text.is_empty()).map(|text| names.encode(&text)),
        encoding_type: input.encoding_type,
        max_keys: Some(max_keys),
        key_count: i32::try_from(page.entries.len()).ok(),
        is_truncated: Some(page.is_truncated),
        continuation_token: input.continuation_token,
        next_continuation_token: last.map(page_token),
        contents: Some(names.objects(&page.entries, input.fetch_owner == Some(true))),
        common_prefixes: Some(names.prefixes(&page.entries)),
        ..Default::default()
    }))
}

pub(super) async fn list_objects(
    store: &Arc<ObjectStore>,
    request: S3Request<dto::ListObjectsInput>,
) -> S3Result<S3Response<dto::ListObjectsOutput>> {
    let input = request.input;
    let names = NameEncoding::new(input.encoding_type.as_ref());
    let (max_keys, limit) = page_limit(input.max_keys);
    let after = (input.marker.clone(), true);
    let page = list(store, &input.bucket, input.prefix.as_ref(), input.delimiter.as_ref(), after, limit).await?;
    let last = page.entries.last().filter(|_| page.is_truncated).map(Entry::name);
    Ok(S3Response::new(dto::ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(names.encode(input.prefix.as_deref().unwrap_or_default())),
        marker: Some(names.encode(input.marker.as_deref().unwrap_or_default())),
        // S3 returns it only with a delimiter. Without one, clients continue after the last key.
        next_marker: last
            .filter(|_| input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()))
            .map(|name| names.encode(name)),
        delimiter: names.delimiter(input.delimiter.as_deref()),
        encoding_type: input.encoding_type,
        max_keys: Some(max_keys),
        is_truncated: Some(page.is_truncated),
        contents: Some(names.objects(&page.entries, true)),
        common_prefixes: Some(names.prefixes(&page.entries)),
        ..Default::default()
    }))
}

async fn list(
    store: &Arc<ObjectStore>,
    bucket: &str,
    prefix: Option<&String>,
    delimiter: Option<&String>,
    (after, skips_prefix): (Option<String>, bool),
    limit: usize,
) -> S3Result<ListPage> {
    let (bucket, prefix, delimiter) = (bucket.to_owned(), prefix.cloned(), delimiter.cloned());
    let work = move |store: &ObjectStore| {
        let request = ListRequest {
            prefix: prefix.as_deref().unwrap_or_default(),
            delimiter: delimiter.as_deref().unwrap_or_default(),
            after: after.as_deref(),
            skips_prefix,
            limit,
        };
        store.list(&bucket, &request)
    };
    blocking(store, work).await
}

/// The encoding of names in a listing: none, or percent-encoding if the client requested it, since XML cannot hold every
/// character that a key can.
#[derive(Clone, Copy)]
pub(super) struct NameEncoding {
    is_url: bool,
}

impl NameEncoding {
    pub(super) fn new(encoding: Option<&dto::EncodingType>) -> NameEncoding {
        NameEncoding { is_url: encoding.is_some_and(|encoding| encoding.as_str() == dto::EncodingType::URL) }
    }

    pub(super) fn encode(self, name: &str) -> String {
        if self.is_url { url_encoding::encode_key(name) } else { name.to_owned() }
    }

    /// Returns the delimiter of a response: none if it is empty.
    pub(super) fn delimiter(self, delimiter: Option<&str>) -> Option<String> {
        delimiter.filter(|delimiter| !delimiter.is_empty()).map(|delimiter| self.encode(delimiter))
    }

    fn objects(self, entries: &[Entry], with_owner: bool) -> dto::ObjectList {
        let object = |entry: &Entry| match entry {
            Entry::Object(object) => Some(dto::Object {
                key: Some(self.encode(&object.key)),
                size: Some(object.size.cast_signed()),
                e_tag: etag(&object.etag),
                last_modified: timestamp(object.modified),
                storage_class: Some(object.attributes.storage_class().to_owned().into()),
                checksum_algorithm: checksums::algorithms(object.attributes.checksum.as_ref()),
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
            Entry::Prefix(prefix) => Some(dto::CommonPrefix { prefix: Some(self.encode(prefix)) }),
            Entry::Object(_) => None,
        };
        entries.iter().filter_map(prefix).collect()
    }
}

/// Returns the owner of every bucket and object: the endpoint's account.
pub(super) fn owner() -> dto::Owner {
    dto::Owner { id: Some(ACCOUNT.to_owned()), display_name: None }
}

/// Returns the limit that the response repeats, and the number of entries on the page.
pub(super) fn page_limit(requested: Option<i32>) -> (i32, usize) {
    let limit = requested.unwrap_or(MAX_PAGE).clamp(0, MAX_PAGE);
    (limit, usize::try_from(limit).unwrap_or_default())
}

/// Returns the continuation token after a page: its last name in base64 (keyset pagination), so that the server keeps no state.
pub(super) fn page_token(name: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(name)
}

pub(super) fn parse_page_token(token: &str) -> S3Result<String> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(
        || {
            let message = "The continuation token provided is incorrect";
            let refused = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
            with_elements(refused, &[("ArgumentName", "continuation-token")])
        },
    )
}
