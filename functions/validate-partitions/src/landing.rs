//! Stage `landing`: finds landed files that wait to be ingested.
//!
//! An upload moves each file out of `landing/` within seconds. A file that is there for an hour was not ingested: its event was
//! lost, or the workflow that it started failed. No other check finds this, because a run considers only its own days.

use chrono::{DateTime, Duration, Utc};
use lake::metrics::Metric;
use lake::objects::{self, Object};
use lake::truncated_list::TruncatedList;
use lake::{Error, Lake, keys};
use serde::Serialize;

/// The age from which on an object is late.
const LATE_AFTER: Duration = Duration::hours(1);

/// The objects in `landing/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Landing {
    /// The number of objects.
    pub objects: u64,
    /// The keys of the objects that are older than an hour.
    pub late: TruncatedList<String>,
    /// The age of the oldest object in seconds; 0 if there are none.
    pub oldest_seconds: u64,
}

/// Lists the objects in `landing/`, and reports their number and age as metrics.
///
/// # Errors
/// The errors of S3.
pub(crate) async fn inspect(lake: &Lake) -> Result<Landing, Error> {
    let bucket = &lake.config.buckets.raw;
    let landing = Landing::new(objects::list(lake, bucket, keys::LANDING).await?, Utc::now());
    lake.measure(&[
        (Metric::LandingObjects, landing.late.count as f64),
        (Metric::LandingOldestSeconds, landing.oldest_seconds as f64),
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
    fn new(objects: Vec<Object>, now: DateTime<Utc>) -> Self {
        let mut landing = Self::default();
        for object in objects.into_iter().filter(|object| !object.is_folder_marker()) {
            landing.objects += 1;
            // The clock of S3 may be ahead of that of this function: the age of a new object would be negative.
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
        assert_eq!(serde_json::to_value(Landing::new(objects, now)).expect("JSON"), expected);
        assert_eq!(Landing::new(Vec::new(), now), Landing::default());
    }
}
