//! Reads, lists and replaces records, which are objects, by compare-and-swap.
//!
//! A record is replaced by a conditional PUT against the version that was read. Its predecessor is copied to the history
//! first, so that a crash in between leaves the current record in the history too, and never a gap.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use chrono::NaiveDate;
use market::partition::DateRange;

use super::{Record, VERSION};
use crate::error::Error;
use crate::objects::{self, Conditional, PutIf};
use crate::{Lake, concurrency, keys};

/// A record with the version of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// The ETag of its object, without quotes.
    pub etag: String,
    /// The bytes of its object, which are copied to the history.
    bytes: Bytes,
}

/// Outcome of a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The record was written.
    Written(Box<Stored>),
    /// Another record was written meanwhile. Nothing was changed.
    Lost,
}

/// Number of records that are read concurrently.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

/// Reads the current record of a day, if there is one.
///
/// # Errors
/// [`Error::Record`] if it is damaged or has another version; whatever S3 refuses.
pub async fn read(lake: &Lake, day: NaiveDate) -> Result<Option<Stored>, Error> {
    read_at(lake, &keys::record(day), day).await
}

async fn read_at(lake: &Lake, key: &str, day: NaiveDate) -> Result<Option<Stored>, Error> {
    let bucket = &lake.config.buckets.lake;
    let Some((bytes, etag)) = objects::get_version(lake, bucket, key).await? else { return Ok(None) };
    let record = parse(&keys::uri(bucket, key), &bytes, day)?;
    Ok(Some(Stored { record, etag, bytes }))
}

fn parse(uri: &str, bytes: &[u8], day: NaiveDate) -> Result<Record, Error> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let wrong = |why: &dyn std::fmt::Display| {
        format!(
            "{uri} is not a publication record that this version reads: {why}. Restore it from {} of the day, or write the day again \
             after moving it away",
            keys::HISTORY
        )
    };
    let malformed = |error: serde_json::Error| Error::Record { message: wrong(&error), source: Some(Box::new(error)) };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version != VERSION {
        return Err(Error::record(wrong(&format_args!(
            "it has version {version}, and this program knows version {VERSION}"
        ))));
    }
    let record: Record = serde_json::from_slice(bytes).map_err(malformed)?;
    if record.day != day {
        return Err(Error::record(wrong(&format_args!("it is that of {}", record.day))));
    }
    Ok(record)
}

/// Reads the current records of all days, or of a range.
///
/// # Errors
/// As [`read`].
pub async fn read_all(lake: &Lake, range: Option<DateRange>) -> Result<BTreeMap<NaiveDate, Stored>, Error> {
    let listed = objects::list(lake, &lake.config.buckets.lake, keys::PUBLISHED).await?;
    let days = listed.iter().filter_map(|object| keys::recorded_day(&object.key));
    let days: Vec<NaiveDate> = days.filter(|day| range.is_none_or(|range| range.contains(*day))).collect();
    read_days(lake, days).await
}

/// Ranges of up to this many days are read by the records' keys, without a listing.
pub(crate) const FEW: usize = 40;

/// Reads the current records of a range.
///
/// # Errors
/// As [`read`].
pub async fn read_range(lake: &Lake, range: DateRange) -> Result<BTreeMap<NaiveDate, Stored>, Error> {
    if range.days().count() <= FEW {
        read_days(lake, range.days().collect()).await
    } else {
        read_all(lake, Some(range)).await
    }
}

/// Drops the versions of stored records.
pub fn records(stored: BTreeMap<NaiveDate, Stored>) -> BTreeMap<NaiveDate, Record> {
    stored.into_iter().map(|(date, stored)| (date, stored.record)).collect()
}

/// Reads the current records of these days. Days without a record are not in the result.
///
/// # Errors
/// As [`read`].
pub async fn read_days(lake: &Lake, days: Vec<NaiveDate>) -> Result<BTreeMap<NaiveDate, Stored>, Error> {
    let shared = Arc::new(lake.clone());
    let records = concurrency::map(days, AT_ONCE, |day| {
        let lake = shared.clone();
        async move { Ok(read(&lake, day).await?.map(|stored| (day, stored))) }
    });
    Ok(records.await?.into_iter().flatten().collect())
}

/// Reads all records of a day, the oldest first. The last one is the current one.
///
/// # Errors
/// As [`read`]; [`Error::Record`] if one of the chain is missing.
pub async fn history(lake: &Lake, day: NaiveDate) -> Result<Vec<Record>, Error> {
    let Some(current) = read(lake, day).await? else { return Ok(Vec::new()) };
    let mut records = Vec::new();
    for number in 1..current.record.number {
        records.push(read_number(lake, day, number).await?);
    }
    records.push(current.record);
    Ok(records)
}

/// Reads an earlier record of a day.
///
/// # Errors
/// [`Error::Record`] if it is missing or cannot be read; whatever S3 refuses.
pub async fn read_number(lake: &Lake, day: NaiveDate, number: u64) -> Result<Record, Error> {
    let key = keys::record_history(day, number);
    let found = read_at(lake, &key, day).await?;
    found.map(|stored| stored.record).ok_or_else(|| {
        let uri = keys::uri(&lake.config.buckets.lake, &key);
        Error::record(format!(
            "{uri} is missing: the history of {day} has a gap, and earlier records cannot be relied on"
        ))
    })
}

/// Replaces the record `before`, or writes the first one of its day. Returns [`Swap::Lost`] if the current record is no
/// longer `before`.
///
/// If a response is lost, the SDK retries the request, which then fails because of its own effect: the object has exactly the
/// bytes that were to be written. That counts as written.
///
/// # Errors
/// Whatever S3 refuses.
pub async fn compare_and_swap(lake: &Lake, before: Option<&Stored>, record: &Record) -> Result<Swap, Error> {
    let bucket = &lake.config.buckets.lake;
    if let Some(before) = before.filter(|before| before.record.number < record.number) {
        let key = keys::record_history(before.record.day, before.record.number);
        objects::put(lake, bucket, &key, JSON, before.bytes.to_vec()).await?;
    }
    let key = keys::record(record.day);
    let mut text = serde_json::to_vec_pretty(record).expect("a record is JSON");
    text.push(b'\n');
    let bytes = Bytes::from(text);
    let condition = before.map_or(PutIf::Absent, |before| PutIf::Is(&before.etag));
    let written = |etag| Swap::Written(Box::new(Stored { record: record.clone(), etag, bytes: bytes.clone() }));
    match objects::put_if(lake, bucket, &key, JSON, bytes.to_vec(), condition).await? {
        Conditional::Written { etag } => Ok(written(etag)),
        Conditional::Unmet => match objects::get_version(lake, bucket, &key).await? {
            Some((found, etag)) if found == bytes => Ok(written(etag)),
            _ => Ok(Swap::Lost),
        },
    }
}

const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_version_or_day_is_refused_by_its_place() {
        let day: NaiveDate = "2020-04-01".parse().expect("a day");
        for (text, expected) in [
            (&b"{"[..], "EOF"),
            (b"{\"version\": 2}", "it has version 2, and this program knows version 1"),
            (b"{\"version\": 1}", "missing field"),
            (
                br#"{"version":1,"day":"2020-04-02","number":1,"cause":"published","written_at":"2020-04-02T10:00:00Z","actor":"x"}"#,
                "it is that of 2020-04-02",
            ),
        ] {
            let error = parse("s3://lake/published/x.json", text, day).expect_err("refused");
            assert_eq!(error.name(), "RecordError");
            assert!(error.to_string().starts_with("s3://lake/published/x.json"), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
