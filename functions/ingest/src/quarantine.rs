//! Copies files to quarantine: unchanged, each with its reason in a second object. No file overwrites another.

use chrono::{SecondsFormat, Utc};
use lake::objects::{self, Copied, Object, Target};
use lake::quarantine::{Naming, Reason, names};
use lake::{Error, Lake, keys};

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
    for name in names(&object.key, &object.etag, naming) {
        let place = keys::quarantine(&name);
        match objects::copy(lake, bucket, object, &place, Target::Free).await? {
            Copied::SourceGone => return Ok(false),
            Copied::TargetTaken if !holds(lake, &place, object).await? => continue,
            Copied::Done | Copied::TargetTaken => {}
        }
        let reason = Reason {
            source: keys::uri(bucket, &object.key),
            reason: reason.to_owned(),
            message: message.to_owned(),
            bytes: object.bytes,
            etag: object.etag.clone(),
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
