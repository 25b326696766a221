//! Copies of all current records of a year in one object, by which thousands of days are read in a few requests.
//!
//! A copy names the ETag of the record that it was taken from, and is valid while a listing shows the record with this ETag.
//! A copy that is out of date costs a request and is never returned. So copies are written without a lease, after the records,
//! and may be deleted at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::store::{self, Stored};
use super::{Record, VERSION};
use crate::error::Error;
use crate::objects::{self, Object};
use crate::{Lake, concurrency, keys};

/// The object of a year.
#[derive(Debug, Serialize, Deserialize)]
struct Year {
    version: u32,
    records: Vec<Copy>,
}

/// A record, and the ETag of its object, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Copy {
    etag: String,
    record: Record,
}

/// The objects of years are read this many at once.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// Returns the current records of the days in a listing of records; other objects in it are passed over. Reads copies where
/// they are valid, and the records themselves where not.
///
/// # Errors
/// As [`store::read`].
pub async fn read(lake: &Lake, listed: &[Object]) -> Result<BTreeMap<NaiveDate, Record>, Error> {
    let listed = by_day(listed);
    if listed.len() <= store::FEW {
        return Ok(store::records(store::read_days(lake, listed.into_keys().collect()).await?));
    }
    Ok(current(lake, &listed).await?.into_iter().map(|(day, copy)| (day, copy.record)).collect())
}

/// Brings the copies of a year to the records that are there. Writes nothing when they are valid.
///
/// # Errors
/// As [`store::read`]; whatever S3 refuses.
pub async fn refresh(lake: &Lake, year: i32) -> Result<(), Error> {
    let bucket = &lake.config.buckets.lake;
    let listed = objects::list(lake, bucket, &keys::records_of_year(year)).await?;
    let known = copies(lake, year).await?;
    let current = current(lake, &by_day(&listed)).await?;
    if known != current {
        let year_of = Year { version: VERSION, records: current.into_values().collect() };
        let text = serde_json::to_vec(&year_of).expect("records are JSON");
        objects::put(lake, bucket, &keys::record_copies(year), "application/json", text).await?;
    }
    Ok(())
}

/// The `ETags` of the records in a listing.
fn by_day(listed: &[Object]) -> BTreeMap<NaiveDate, String> {
    listed.iter().filter_map(|object| Some((keys::recorded_day(&object.key)?, object.etag.clone()))).collect()
}

/// The records of these days, as they are now.
async fn current(lake: &Lake, listed: &BTreeMap<NaiveDate, String>) -> Result<BTreeMap<NaiveDate, Copy>, Error> {
    let years: BTreeSet<i32> = listed.keys().map(NaiveDate::year).collect();
    let shared = Arc::new(lake.clone());
    let found = concurrency::map(years, AT_ONCE, |year| {
        let lake = shared.clone();
        async move { copies(&lake, year).await }
    });
    let mut current: BTreeMap<NaiveDate, Copy> = found.await?.into_iter().flatten().collect();
    current.retain(|day, copy| listed.get(day) == Some(&copy.etag));
    let others = listed.keys().filter(|day| !current.contains_key(day)).copied().collect();
    let others = store::read_days(lake, others).await?;
    current.extend(others.into_iter().map(|(day, Stored { record, etag, .. })| (day, Copy { etag, record })));
    Ok(current)
}

/// The copies of a year, valid or not; none when there are none, or when another version wrote them.
async fn copies(lake: &Lake, year: i32) -> Result<BTreeMap<NaiveDate, Copy>, Error> {
    let Some(bytes) = objects::get(lake, &lake.config.buckets.lake, &keys::record_copies(year)).await? else {
        return Ok(BTreeMap::new());
    };
    let read: Option<Year> = serde_json::from_slice(&bytes).ok();
    let records = read.filter(|read| read.version == VERSION).map(|read| read.records).unwrap_or_default();
    Ok(records.into_iter().map(|copy| (copy.record.day, copy)).collect())
}
