//! Objects that users read as text: the log of a step, a quality report, the reason of a quarantined file.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use lake::config::BucketName;
use lake::{Lake, keys, objects};
use serde::Serialize;

use crate::error::ApiError;

/// The most bytes that are read of an object. Of a larger object the end is read, because the end of a log has the error.
const MAX_BYTES_READ: u64 = 4_000_000;

/// The most bytes of text in a response.
const MAX_BYTES_SHOWN: usize = 200_000;

/// The most objects below a prefix that are listed.
const MAX_LISTED: usize = 100;

/// The object at a URI, or a list of the objects below it.
#[derive(Debug, Serialize)]
pub(crate) struct ObjectResponse {
    uri: String,
    /// The text of the object; `None` when the URI is a prefix.
    text: Option<String>,
    /// Whether `text` lacks the beginning of the object, or the end of a gzip file.
    cut: bool,
    /// The objects below the URI when it is a prefix.
    below: Vec<ListedObject>,
}

#[derive(Debug, Serialize)]
struct ListedObject {
    uri: String,
    bytes: u64,
}

/// Returns the distinct `s3://` URIs that a text contains.
pub(crate) fn uris_in(text: &str) -> Vec<String> {
    let mut uris: Vec<String> = Vec::new();
    for (at, _) in text.match_indices("s3://") {
        let rest = &text[at..];
        let end = rest.find(|letter: char| letter.is_whitespace() || "\"'<>|\\".contains(letter)).unwrap_or(rest.len());
        // Punctuation of the sentence is not part of the URI.
        let uri = rest[..end].trim_end_matches(['.', ',', ';', ':', ')', ']', '}']).to_owned();
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    uris
}

/// Reads the object at `uri`, or lists the objects below it.
///
/// # Errors
/// 400 when `uri` is not in a bucket of the lake, 404 when there is no object, 502 when S3 fails.
pub(crate) async fn read(lake: &Lake, uri: &str) -> Result<ObjectResponse, ApiError> {
    let (bucket, key) = parse_uri(lake, uri).ok_or_else(|| {
        ApiError::invalid(format!("{uri} is in no bucket of this lake"))
            .hint(format!("Read it yourself: aws s3 cp --recursive {uri} ."))
    })?;
    let object = if key.ends_with('/') { None } else { objects::head(lake, bucket, key).await? };
    let Some(object) = object else {
        let mut below = objects::list(lake, bucket, key).await?;
        below.truncate(MAX_LISTED);
        let below: Vec<ListedObject> = below
            .into_iter()
            .map(|object| ListedObject { uri: keys::uri(bucket, &object.key), bytes: object.bytes })
            .collect();
        if below.is_empty() {
            return Err(ApiError::not_found(format!("there is nothing at {uri}"))
                .hint("A cluster brings its logs some minutes after the step: try again then."));
        }
        return Ok(ObjectResponse { uri: uri.to_owned(), text: None, cut: false, below });
    };
    let gzip = key.ends_with(".gz");
    // A gzip file can only be decompressed from its beginning.
    let from = if gzip { 0 } else { object.bytes.saturating_sub(MAX_BYTES_READ) };
    let to = object.bytes.min(from + MAX_BYTES_READ);
    let bytes =
        if from == to { bytes::Bytes::default() } else { objects::read_range(lake, bucket, key, from, to).await? };
    let (text, cut) = tail(if gzip { decompress(&bytes) } else { bytes.to_vec() });
    let cut = cut || from > 0 || to < object.bytes;
    Ok(ObjectResponse { uri: uri.to_owned(), text: Some(text), cut, below: Vec::new() })
}

/// Splits a URI into a bucket of the lake and a key.
fn parse_uri<'a>(lake: &'a Lake, uri: &'a str) -> Option<(&'a BucketName, &'a str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    let buckets = &lake.config.buckets;
    let bucket = [&buckets.raw, &buckets.lake, &buckets.results].into_iter().find(|own| own.as_str() == bucket)?;
    (!key.is_empty()).then_some((bucket, key))
}

/// Decompresses as much of a gzip file as possible: a log may be incomplete.
fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    // On an error `text` has everything before it, which is all that can be shown.
    let _ = MultiGzDecoder::new(bytes).take(8 * MAX_BYTES_READ).read_to_end(&mut text);
    text
}

/// Returns the last whole lines of a text, and whether lines before them were cut off.
fn tail(bytes: Vec<u8>) -> (String, bool) {
    let text = String::from_utf8_lossy(&bytes);
    if text.len() <= MAX_BYTES_SHOWN {
        return (text.into_owned(), false);
    }
    let from = text.ceil_char_boundary(text.len() - MAX_BYTES_SHOWN);
    let from = text[from..].find('\n').map_or(from, |line| from + line + 1);
    (text[from..].to_owned(), true)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_cause_names_its_objects() {
        let text = "the Spark step is FAILED: x.. Its log: s3://pregao-results/logs/j-1/steps/s-1/\n\
                    the report on quotes: s3://pregao-lake/quality/run=a_1/quotes.json. (s3://b/c) s3://b/c";
        assert_eq!(
            uris_in(text),
            ["s3://pregao-results/logs/j-1/steps/s-1/", "s3://pregao-lake/quality/run=a_1/quotes.json", "s3://b/c"]
        );
        assert!(uris_in("no object").is_empty());
    }

    #[test]
    fn only_buckets_of_the_lake_are_read() {
        let lake = Lake::at_endpoint(lake::Config::default(), "http://127.0.0.1:1");
        assert!(parse_uri(&lake, "s3://pregao-results/logs/x").is_some());
        for other in ["s3://other/logs/x", "s3://pregao-results", "s3://pregao-results/", "/etc/passwd", ""] {
            assert!(parse_uri(&lake, other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_end_of_a_long_text_is_shown_from_a_whole_line_on() {
        let line = "é".repeat(40) + "\n";
        let (text, cut) = tail(line.repeat(5_000).into_bytes());
        assert!(
            cut && text.len() <= MAX_BYTES_SHOWN
                && text.len() > MAX_BYTES_SHOWN - line.len()
                && text.starts_with(&line)
        );
        assert_eq!(tail(b"short\n".to_vec()), ("short\n".to_owned(), false));
    }

    #[test]
    fn a_log_that_is_cut_off_is_shown_as_far_as_it_goes() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all("a line\n".repeat(1_000).as_bytes()).expect("memory takes all bytes");
        let packed = encoder.finish().expect("memory takes all bytes");
        assert_eq!(decompress(&packed).len(), 7_000);
        assert!(decompress(&packed[..packed.len() - 4]).starts_with(b"a line\n"));
    }
}
