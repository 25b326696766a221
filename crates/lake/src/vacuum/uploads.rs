//! Aborts stale multipart uploads.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::BucketName;
use crate::error::Error;
use crate::{Lake, keys};

/// Minimum age: younger uploads may still be in progress.
const AGE: TimeDelta = TimeDelta::days(1);

/// Aborts the multipart uploads of all three buckets that began more than a day ago. Returns their number.
pub(super) async fn abort(lake: &Lake, now: DateTime<Utc>, dry_run: bool) -> Result<u64, Error> {
    let buckets = &lake.config.buckets;
    let mut ended = 0;
    for bucket in [&buckets.raw, &buckets.lake, &buckets.results] {
        for (key, id) in orphans(lake, bucket, now - AGE).await? {
            ended += 1;
            if dry_run {
                continue;
            }
            let request = lake.s3.abort_multipart_upload().bucket(bucket.as_str()).key(&key).upload_id(&id);
            match request.send().await {
                Ok(_) => {}
                // Completed or aborted meanwhile.
                Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_upload()) => ended -= 1,
                Err(error) => {
                    return Err(Error::aws(format!("ending an upload to {}", keys::uri(bucket, &key)))(error));
                }
            }
        }
    }
    Ok(ended)
}

/// Lists keys and ids of the uploads that began before `before`.
async fn orphans(lake: &Lake, bucket: &BucketName, before: DateTime<Utc>) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    let (mut key_marker, mut id_marker) = (None, None);
    loop {
        let request = lake.s3.list_multipart_uploads().bucket(bucket.as_str());
        let request = request.set_key_marker(key_marker).set_upload_id_marker(id_marker);
        let page = request.send().await.map_err(Error::aws(format!("listing the uploads to {bucket}")))?;
        for upload in page.uploads() {
            let begun = upload.initiated().and_then(|at| DateTime::from_timestamp(at.secs(), at.subsec_nanos()));
            if let (Some(key), Some(id), true) = (upload.key(), upload.upload_id(), begun.is_some_and(|at| at < before))
            {
                found.push((key.to_owned(), id.to_owned()));
            }
        }
        if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
            return Ok(found);
        }
        (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
    }
}
