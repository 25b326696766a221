//! Lists that are derived from the records: the published files of a table, for readers that only use S3, and the published
//! days, which are the rows of the table `published`.
//!
//! Each list is one object. It is updated under the lease of a table, and rebuilt from all records if it is missing or
//! unreadable.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use lake::lease::Lease;
use lake::record::{self, Record};
use lake::{Error, Lake, keys, objects};
use market::partition::DateRange;
use market::table::TableName;
use serde::{Deserialize, Serialize};

/// All published files of a table.
#[derive(Debug, Serialize, Deserialize)]
struct PublishedFiles {
    version: u32,
    table: TableName,
    files: Vec<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    day: NaiveDate,
    uri: String,
    rows: u64,
    bytes: u64,
    etag: String,
}

/// A row of the table `published`.
#[derive(Debug, Serialize, Deserialize)]
struct PublishedDay {
    day: NaiveDate,
    run: String,
    number: u64,
    #[serde(with = "athena_time")]
    published_at: DateTime<Utc>,
    quotes_rows: u64,
    options_rows: u64,
    rejects_rows: u64,
    raw_files: u64,
    raw_bytes: u64,
    held: bool,
}

/// Columns and DDL types of the table `published`: the fields of [`PublishedDay`].
const COLUMNS: [(&str, &str); 10] = [
    ("day", "date"),
    ("run", "string"),
    ("number", "bigint"),
    ("published_at", "timestamp"),
    ("quotes_rows", "bigint"),
    ("options_rows", "bigint"),
    ("rejects_rows", "bigint"),
    ("raw_files", "bigint"),
    ("raw_bytes", "bigint"),
    ("held", "boolean"),
];

/// Returns the statement that creates the table `published` unless it exists.
pub(crate) fn create_published_ddl(lake: &Lake) -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind)| format!("  `{name}` {kind}")).collect();
    format!(
        "CREATE EXTERNAL TABLE IF NOT EXISTS `{}`.`published` (\n{}\n)\n\
         ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\n\
         LOCATION '{}'",
        lake.config.athena.database,
        columns.join(",\n"),
        keys::uri(&lake.config.buckets.lake, keys::PUBLISHED_TABLE)
    )
}

/// The table whose lease protects the table `published`, which has data of all tables.
pub(crate) const PUBLISHED_LEASE: TableName = TableName::Quotes;

/// Updates the lists with the records of `range`.
pub(crate) async fn update(
    lake: &Lake,
    lease: &mut Lease<'_>,
    table: TableName,
    range: DateRange,
    records: &BTreeMap<NaiveDate, Record>,
) -> Result<(), Error> {
    lease.within(update_files(lake, table, range, records)).await?;
    if table == PUBLISHED_LEASE {
        lease.within(update_days(lake, range, records)).await?;
        let years: BTreeSet<i32> = records.keys().map(NaiveDate::year).collect();
        for year in years {
            lease.within(record::yearly::refresh(lake, year)).await?;
        }
    }
    Ok(())
}

async fn update_files(
    lake: &Lake,
    table: TableName,
    range: DateRange,
    records: &BTreeMap<NaiveDate, Record>,
) -> Result<(), Error> {
    let bucket = &lake.config.buckets.lake;
    let key = keys::published_files(table);
    let found = objects::get(lake, bucket, &key).await?;
    let known: Option<PublishedFiles> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut files = match known.filter(|known| known.version == record::VERSION) {
        Some(known) => {
            let mut files: Vec<File> = known.files.into_iter().filter(|file| !range.contains(file.day)).collect();
            files.extend(records.values().flat_map(|record| files_of(record, table)));
            files
        }
        None => {
            let all = record::read_all(lake, None).await?;
            all.values().flat_map(|stored| files_of(&stored.record, table)).collect()
        }
    };
    files.sort_by(|one, other| (one.day, &one.uri).cmp(&(other.day, &other.uri)));
    objects::put_json(lake, bucket, &key, &PublishedFiles { version: record::VERSION, table, files }).await
}

fn files_of(record: &Record, table: TableName) -> impl Iterator<Item = File> {
    record.table(table).into_iter().flat_map(|published| {
        published.files.iter().map(|file| File {
            day: record.day,
            uri: format!("{}{}", published.location, file.name),
            rows: file.rows,
            bytes: file.bytes,
            etag: file.etag.clone(),
        })
    })
}

async fn update_days(lake: &Lake, range: DateRange, records: &BTreeMap<NaiveDate, Record>) -> Result<(), Error> {
    let bucket = &lake.config.buckets.lake;
    let key = keys::PUBLISHED_DAYS;
    let found = objects::get(lake, bucket, key).await?;
    let mut days = match found.and_then(|bytes| days_in(&bytes)) {
        Some(known) => {
            let mut days: Vec<PublishedDay> = known.into_iter().filter(|row| !range.contains(row.day)).collect();
            days.extend(records.values().filter_map(day_of));
            days
        }
        None => {
            let all = record::read_all(lake, None).await?;
            all.values().filter_map(|stored| day_of(&stored.record)).collect()
        }
    };
    days.sort_by_key(|row| row.day);
    let mut text = Vec::new();
    for row in &days {
        serde_json::to_writer(&mut text, row).expect("a row is JSON");
        text.push(b'\n');
    }
    objects::put(lake, bucket, key, "application/x-ndjson", text).await
}

fn days_in(bytes: &[u8]) -> Option<Vec<PublishedDay>> {
    serde_json::Deserializer::from_slice(bytes).into_iter().collect::<Result<_, _>>().ok()
}

fn day_of(record: &Record) -> Option<PublishedDay> {
    let published = record.published.as_ref()?;
    let rows = |table| published.tables.get(&table).map_or(0, |table| table.rows);
    Some(PublishedDay {
        day: record.day,
        run: published.run.to_string(),
        number: record.number,
        published_at: published.published_at,
        quotes_rows: rows(TableName::Quotes),
        options_rows: rows(TableName::Options),
        rejects_rows: rows(TableName::Rejects),
        raw_files: published.raw_files.len() as u64,
        raw_bytes: published.raw_files.iter().map(|file| file.bytes).sum(),
        held: record.held.is_some(),
    })
}

/// Serializes a time in the format of Athena's JSON tables: `2020-04-02 10:00:00.500`, in UTC.
mod athena_time {
    use chrono::{DateTime, NaiveDateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const FORM: &str = "%Y-%m-%d %H:%M:%S%.3f";

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.format(FORM))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        NaiveDateTime::parse_from_str(&text, FORM).map(|time| time.and_utc()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use lake::record::{Cause, Publication, PublishedFile, PublishedTable, RawFileVersion};

    use super::*;

    fn record() -> Record {
        let day = "2020-04-01".parse().expect("a day");
        let mut record = Record::following(None, day, Cause::Published, "run r");
        let table = PublishedTable {
            location: "s3://lake/runs/run=r/quotes/year=2020/month=4/day=1/".to_owned(),
            report: "s3://lake/quality/run=r/quotes.json".to_owned(),
            rows: 7,
            bytes: 9,
            files: vec![PublishedFile { name: "p.parquet".to_owned(), bytes: 9, etag: "e".to_owned(), rows: 7 }],
        };
        let raw = RawFileVersion {
            name: "202004011000_flashpanel.csv".parse().expect("a name"),
            bytes: 100,
            etag: Some("f".to_owned()),
            last_modified: None,
        };
        record.published = Some(Publication {
            run: "r".parse().expect("a run"),
            published_at: "2020-04-02T10:00:00.5Z".parse().expect("a time"),
            tables: BTreeMap::from([(TableName::Quotes, table)]),
            raw_files: vec![raw],
        });
        record
    }

    #[test]
    fn a_record_is_files_and_a_row() {
        let record = record();
        let files: Vec<_> = files_of(&record, TableName::Quotes).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].uri, "s3://lake/runs/run=r/quotes/year=2020/month=4/day=1/p.parquet");
        assert_eq!(files_of(&record, TableName::Options).count(), 0);
        let row = day_of(&record).expect("a row");
        let text = serde_json::to_string(&row).expect("JSON");
        assert_eq!(
            text,
            r#"{"day":"2020-04-01","run":"r","number":1,"published_at":"2020-04-02 10:00:00.500","quotes_rows":7,"options_rows":0,"rejects_rows":0,"raw_files":1,"raw_bytes":100,"held":false}"#
        );
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("an object");
        assert!(fields.keys().eq(COLUMNS.iter().map(|(name, _)| *name)), "the columns are the fields");
        let read = days_in(format!("{text}\n{text}\n").as_bytes()).expect("two rows");
        assert_eq!(
            read.iter().map(|row| (row.day, row.published_at)).collect::<Vec<_>>(),
            [(row.day, row.published_at); 2]
        );
        assert!(days_in(b"{\"day\": 1}").is_none(), "a list that cannot be read is built again");
    }
}
