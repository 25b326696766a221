//! Objects that a person reads, as text: the log of a step, a quality report, the reason of a quarantined file.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use lake::config::BucketName;
use lake::{Lake, keys, objects};
use serde::Serialize;

use crate::error::Failure;

/// The most bytes of an object that are fetched: of a longer one, the end, where logs tell what went wrong.
const FETCHED: u64 = 4_000_000;

/// The most bytes of text that are shown.
const SHOWN: usize = 200_000;

/// The most objects below a prefix that are listed.
const LISTED: usize = 100;

/// What is at a URI.
#[derive(Debug, Serialize)]
pub struct Document {
    uri: String,
    /// The text of the object that is there.
    text: Option<String>,
    /// Whether the beginning of the text was left out.
    cut: bool,
    /// The objects below it, where it is no object.
    below: Vec<Below>,
}

#[derive(Debug, Serialize)]
struct Below {
    uri: String,
    bytes: u64,
}

/// The URIs of objects that a text names.
pub fn uris(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices("s3://") {
        let rest = &text[at..];
        let end = rest.find(|letter: char| letter.is_whitespace() || "\"'<>|\\".contains(letter)).unwrap_or(rest.len());
        let uri = rest[..end].trim_end_matches(['.', ',', ';', ':', ')', ']', '}']).to_owned();
        if !found.contains(&uri) {
            found.push(uri);
        }
    }
    found
}

/// Reads what is at `uri`, if it is in a bucket of the lake.
pub async fn read(lake: &Lake, uri: &str) -> Result<Document, Failure> {
    let (bucket, key) = place(lake, uri).ok_or_else(|| {
        Failure::invalid(format!("{uri} is in no bucket of this lake"))
            .hint(format!("Read it yourself: aws s3 cp --recursive {uri} ."))
    })?;
    let object = if key.ends_with('/') { None } else { objects::head(lake, bucket, key).await? };
    let Some(object) = object else {
        let mut below = objects::list(lake, bucket, key).await?;
        below.truncate(LISTED);
        let below: Vec<Below> =
            below.into_iter().map(|found| Below { uri: keys::uri(bucket, &found.key), bytes: found.bytes }).collect();
        if below.is_empty() {
            return Err(Failure::not_found(format!("there is nothing at {uri}"))
                .hint("A cluster brings its logs some minutes after the step: try again then."));
        }
        return Ok(Document { uri: uri.to_owned(), text: None, cut: false, below });
    };
    let gzip = key.ends_with(".gz");
    // The end of a compressed object is of no use alone.
    let from = if gzip { 0 } else { object.bytes.saturating_sub(FETCHED) };
    let to = object.bytes.min(from + FETCHED);
    let bytes = if from == to { Default::default() } else { objects::read_range(lake, bucket, key, from, to).await? };
    let (text, cut) = tail(if gzip { unpacked(&bytes) } else { bytes.to_vec() });
    Ok(Document { uri: uri.to_owned(), text: Some(text), cut: cut || from > 0 || to < object.bytes, below: Vec::new() })
}

fn place<'a>(lake: &'a Lake, uri: &'a str) -> Option<(&'a BucketName, &'a str)> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    let buckets = &lake.config.buckets;
    let known = [&buckets.raw, &buckets.lake, &buckets.results].into_iter().find(|known| known.as_str() == bucket)?;
    (!key.is_empty()).then_some((known, key))
}

/// As much as can be unpacked: a log may be cut off.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    // What came before an error is in `text` then, and is what there is to show.
    let _ = MultiGzDecoder::new(bytes).take(8 * FETCHED).read_to_end(&mut text);
    text
}

/// The end of a text, and whether it has more.
fn tail(bytes: Vec<u8>) -> (String, bool) {
    let text = String::from_utf8_lossy(&bytes);
    if text.len() <= SHOWN {
        return (text.into_owned(), false);
    }
    let from = text.ceil_char_boundary(text.len() - SHOWN);
    // From a whole line on.
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
            uris(text),
            ["s3://pregao-results/logs/j-1/steps/s-1/", "s3://pregao-lake/quality/run=a_1/quotes.json", "s3://b/c"]
        );
        assert!(uris("no object").is_empty());
    }

    #[test]
    fn only_buckets_of_the_lake_are_read() {
        let lake = Lake::at_endpoint(lake::Config::default(), "http://127.0.0.1:1");
        assert!(place(&lake, "s3://pregao-results/logs/x").is_some());
        for other in ["s3://other/logs/x", "s3://pregao-results", "s3://pregao-results/", "/etc/passwd", ""] {
            assert!(place(&lake, other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_end_of_a_long_text_is_shown_from_a_whole_line_on() {
        let line = "é".repeat(40) + "\n";
        let (text, cut) = tail(line.repeat(5_000).into_bytes());
        assert!(cut && text.len() <= SHOWN && text.len() > SHOWN - line.len() && text.starts_with(&line));
        assert_eq!(tail(b"short\n".to_vec()), ("short\n".to_owned(), false));
    }

    #[test]
    fn a_log_that_is_cut_off_is_shown_as_far_as_it_goes() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all("a line\n".repeat(1_000).as_bytes()).expect("memory takes all bytes");
        let packed = encoder.finish().expect("memory takes all bytes");
        assert_eq!(unpacked(&packed).len(), 7_000);
        assert!(unpacked(&packed[..packed.len() - 4]).starts_with(b"a line\n"));
    }
}
