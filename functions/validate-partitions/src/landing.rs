//! Stage `landing`: how long landed files have waited to be taken in.
//!
//! An upload moves each file out of `landing/` within seconds. One that lies there for an hour has not been looked at: its
//! event was lost, or the workflow that it started failed. Nothing else would say so, because a run knows only of the days
//! that it is asked for.

use chrono::{DateTime, Duration, Utc};
use lake::metrics::Metric;
use lake::objects::{self, Object};
use lake::truncated_list::TruncatedList;
use lake::{Error, Lake, keys};
use serde::Serialize;

/// What waits longer than this is late.
const LATE_AFTER: Duration = Duration::hours(1);

/// What waits in `landing/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Landing {
    /// All objects there.
    pub objects: u64,
    /// The keys of those that have been there for more than an hour.
    pub late: TruncatedList<String>,
    /// How long the oldest has been there; 0 where there is none.
    pub oldest_seconds: u64,
}

/// Looks at all that waits in `landing/`, and reports it as metrics.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn look(lake: &Lake) -> Result<Landing, Error> {
    let bucket = &lake.config.buckets.raw;
    let landing = Landing::of(objects::list(lake, bucket, keys::LANDING).await?, Utc::now());
    lake.measure(&[
        (Metric::LandingObjects, landing.late.count as u64),
        (Metric::LandingOldestSeconds, landing.oldest_seconds),
    ]);
    if !landing.late.is_empty() {
        tracing::warn!(
            late = landing.late.count,
            oldest_seconds = landing.oldest_seconds,
            first = ?landing.late.first,
            "objects have waited in {} for more than an hour: start upload_raw_data for their days",
            keys::uri(bucket, keys::LANDING),
        );
    }
    Ok(landing)
}

impl Landing {
    fn of(objects: Vec<Object>, now: DateTime<Utc>) -> Self {
        let mut landing = Self::default();
        for object in objects.into_iter().filter(|object| !object.is_folder_marker()) {
            landing.objects += 1;
            // The clocks of S3 and of this function may differ by more than a new object is old.
            let age = object.last_modified.map_or(Duration::zero(), |stored| (now - stored).max(Duration::zero()));
            landing.oldest_seconds = landing.oldest_seconds.max(age.num_seconds().unsigned_abs());
            landing.late.extend((age > LATE_AFTER).then_some(object.key));
        }
        landing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_late_after_an_hour() {
        let now: DateTime<Utc> = "2020-04-01T13:00:00Z".parse().expect("a time");
        let object = |key: &str, bytes, stored: &str| Object {
            key: key.to_owned(),
            bytes,
            etag: "x".to_owned(),
            last_modified: Some(stored.parse().expect("a time")),
        };
        let objects = vec![
            object("landing/", 0, "2020-01-01T00:00:00Z"),
            object("landing/a.csv", 1, "2020-04-01T12:00:00Z"),
            object("landing/b.csv", 1, "2020-04-01T11:59:59Z"),
            object("landing/april/c.csv", 0, "2020-04-01T11:00:00Z"),
            object("landing/d.csv", 1, "2020-04-01T13:00:02Z"),
        ];
        let expected = serde_json::json!({
            "objects": 4,
            "late": {"count": 2, "first": ["landing/b.csv", "landing/april/c.csv"]},
            "oldest_seconds": 7200,
        });
        assert_eq!(serde_json::to_value(Landing::of(objects, now)).expect("JSON"), expected);
        assert_eq!(Landing::of(Vec::new(), now), Landing::default());
    }
}
