//! What is published newest, and the version of what is published, by which a page notices that there is something new.

use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::America::Sao_Paulo;
use lake::record::{self, Record};
use lake::{Error, Lake, keys, objects};
use market::snapshot::SnapshotTime;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// The state of what is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Freshness {
    /// Changes with each publication; `None` before the first one. It is the ETag of the list of published days.
    pub version: Option<String>,
    /// The newest published snapshot.
    pub newest: Option<Newest>,
}

/// The newest published snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Newest {
    /// `YYYYMMDDHHmm`, in Sao Paulo.
    pub intdate: i64,
    /// The same time, in milliseconds since 1970.
    pub at: i64,
    /// When its day was published.
    pub published_at: DateTime<Utc>,
}

/// A line of the list of published days.
#[derive(Deserialize)]
struct PublishedDay {
    day: NaiveDate,
}

/// The state at the last request. A request reads more than the ETag only if the ETag has changed.
#[derive(Debug, Default)]
pub(crate) struct FreshnessCache(Mutex<Freshness>);

impl FreshnessCache {
    /// Returns the state, and whether it differs from the one at the request before.
    pub(crate) async fn get(&self, lake: &Lake) -> Result<(Freshness, bool), Error> {
        let mut known = self.0.lock().await;
        let list = objects::head(lake, &lake.config.buckets.lake, keys::PUBLISHED_DAYS).await?;
        let version = list.map(|list| list.etag);
        if known.version == version {
            return Ok((known.clone(), false));
        }
        *known = Freshness { newest: newest(lake).await?, version };
        Ok((known.clone(), true))
    }
}

async fn newest(lake: &Lake) -> Result<Option<Newest>, Error> {
    let Some(list) = objects::get(lake, &lake.config.buckets.lake, keys::PUBLISHED_DAYS).await? else {
        return Ok(None);
    };
    let days = serde_json::Deserializer::from_slice(&list).into_iter::<PublishedDay>();
    // A list that cannot be read is rebuilt by the next publication.
    let Some(day) = days.filter_map(Result::ok).map(|row| row.day).max() else { return Ok(None) };
    Ok(record::read(lake, day).await?.and_then(|stored| newest_of(&stored.record)))
}

fn newest_of(record: &Record) -> Option<Newest> {
    let published = record.published.as_ref()?;
    let time = published.raw_files.iter().map(|file| file.name.time).max()?;
    Some(Newest { intdate: time.intdate(), at: instant(time)?, published_at: published.published_at })
}

/// Returns the milliseconds since 1970 of a time in Sao Paulo; of the two when a clock was put back, the first one. `None` for a
/// time that a clock skipped.
fn instant(time: SnapshotTime) -> Option<i64> {
    Sao_Paulo.from_local_datetime(&time.date().and_time(time.time())).earliest().map(|time| time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_an_instant_in_sao_paulo() {
        let at = |text: &str| instant(text.parse().expect("a time"));
        let utc = |text: &str| Some(text.parse::<DateTime<Utc>>().expect("a time").timestamp_millis());
        assert_eq!(at("202004011320"), utc("2020-04-01T16:20:00Z"));
        // Daylight saving time, until 2019.
        assert_eq!(at("201801021000"), utc("2018-01-02T12:00:00Z"));
        assert_eq!(at("201802172330"), utc("2018-02-18T01:30:00Z"), "the first of two");
        assert_eq!(at("201811040030"), None, "skipped");
    }
}
