//! Copies files to quarantine: unchanged, each with its reason in a second object. No file overwrites another.

use chrono::{SecondsFormat, Utc};
use lake::objects::{self, Copied, Object, Target};
use lake::{Error, Lake, keys};
use serde::Serialize;

/// The content of the second object.
#[derive(Debug, Serialize)]
struct Reason<'a> {
    /// The URI of the file before.
    source: String,
    /// The code of a [`crate::check::Refusal`], or `superseded`.
    reason: &'a str,
    /// The reason in a sentence.
    message: &'a str,
    bytes: u64,
    etag: &'a str,
    time: String,
}

/// The name of a file in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The name of the file. If another file has that name, the name with its ETag.
    AsItWas,
    /// The name of the file with its ETag: there will be more files of that name.
    ByVersion,
}

/// Copies an object of the raw bucket to quarantine, and writes its reason. The caller deletes the original. Returns `false`
/// if that version of the object does not exist any more.
pub(crate) async fn set_aside(
    lake: &Lake,
    object: &Object,
    naming: Naming,
    reason: &str,
    message: &str,
) -> Result<bool, Error> {
    let bucket = &lake.config.buckets.raw;
    for name in names(object, naming) {
        let place = keys::quarantine(&name);
        match objects::copy(lake, bucket, object, &place, Target::Free).await? {
            Copied::SourceGone => return Ok(false),
            Copied::TargetTaken if !holds(lake, &place, object).await? => continue,
            Copied::Done | Copied::TargetTaken => {}
        }
        let reason = Reason {
            source: keys::uri(bucket, &object.key),
            reason,
            message,
            bytes: object.bytes,
            etag: &object.etag,
            time: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        };
        let text = serde_json::to_vec_pretty(&reason).expect("a reason is JSON");
        // A reason that exists already belongs to the same bytes.
        objects::put_new(lake, bucket, &keys::quarantine_reason(&place), "application/json", text).await?;
        return Ok(true);
    }
    Err(Error::unavailable(
        format!("putting {} into quarantine", keys::uri(bucket, &object.key)),
        "each possible name is taken by another file",
    ))
}

/// Returns whether `place` has the bytes of `object`: an earlier attempt may have ended after its copy.
async fn holds(lake: &Lake, place: &str, object: &Object) -> Result<bool, Error> {
    let bucket = &lake.config.buckets.raw;
    match objects::head(lake, bucket, place).await? {
        Some(there) => objects::same_bytes(lake, bucket, &there, object).await,
        None => Ok(false),
    }
}

/// The longest name that is kept, in bytes. With an ETag and the suffix of the reason it stays below the 255 bytes that file
/// systems allow.
const MAX_NAME: usize = 160;

/// Returns the names to try, in order.
fn names(object: &Object, naming: Naming) -> Vec<String> {
    let name = match keys::file_name(object.key.trim_end_matches('/')) {
        "" => "unnamed",
        name => name,
    };
    let kept = &name[..name.floor_char_boundary(MAX_NAME)];
    let by_version = format!("{kept}.{}", object.etag);
    // A file with the name of a reason could occupy the key of another file's reason.
    let plain = naming == Naming::AsItWas && kept == name && !name.ends_with(keys::REASON_SUFFIX);
    if plain { vec![name.to_owned(), by_version] } else { vec![by_version] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(key: &str, naming: Naming) -> Vec<String> {
        names(&Object { key: key.to_owned(), bytes: 1, etag: "9e10".to_owned(), last_modified: None }, naming)
    }

    #[test]
    fn no_file_takes_the_name_of_another_or_of_a_reason() {
        assert_eq!(names_of("landing/april/foo.csv", Naming::AsItWas), ["foo.csv", "foo.csv.9e10"]);
        assert_eq!(names_of("quotes/date=2020-04-01/x.csv", Naming::ByVersion), ["x.csv.9e10"]);
        assert_eq!(names_of("landing/foo.csv.reason.json", Naming::AsItWas), ["foo.csv.reason.json.9e10"]);
        assert_eq!(names_of("landing/april/", Naming::AsItWas), ["april", "april.9e10"]);
        assert_eq!(names_of("landing//", Naming::AsItWas)[0], "landing");
        assert_eq!(names_of("//", Naming::AsItWas)[0], "unnamed");
        let long = names_of(&format!("landing/{}", "é".repeat(400)), Naming::AsItWas);
        assert_eq!(long, [format!("{}.9e10", "é".repeat(80))]);
    }
}
