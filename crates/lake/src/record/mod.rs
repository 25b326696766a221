//! The publication record: what is published of a day, by which run, and from which raw files.
//!
//! One small object per day in the lake bucket is the source of truth. The catalog, the manifest of all files and the table
//! `published` are derived from it. It is written by compare-and-swap ([`store`]), so that all tables of a day change in one
//! step, and two runs of a day cannot both win. Each record names its predecessor, which is kept.
//!
//! | module | content |
//! |---|---|
//! | [`store`] | reads and replaces records |
//! | [`view`] | compares lists of raw files: which is newer |
//! | [`yearly`] | copies of the records of a year, for readers of thousands |

pub mod store;
pub mod view;
pub mod yearly;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use market::run::RunId;
use market::table::TableName;
use serde::{Deserialize, Serialize};

pub use store::{Stored, Swap, compare_and_swap, history, read, read_all, read_days, read_range, records};
pub use view::{RawFileVersion, View};

/// The version of the schema that this program writes and reads.
pub const VERSION: u32 = 1;

/// What is published of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the schema, [`VERSION`].
    pub version: u32,
    /// The day.
    pub day: NaiveDate,
    /// Its number in the chain of the day's records, starting with 1.
    pub number: u64,
    /// Why this record was written.
    pub cause: Cause,
    /// When it was written, in milliseconds. Strictly increasing along the chain.
    pub written_at: DateTime<Utc>,
    /// The writer: the run, or the command and its user.
    pub actor: String,
    /// Key of the previous record; `None` for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The published data; `None` if nothing is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Publication>,
    /// Set after a rollback: no run replaces the day until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Decision>,
    /// Set when an operator has accepted that the day has no or too few raw files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_accepted: Option<Decision>,
    /// The runs whose files of this day are removed, or are being removed. They can no longer be published.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed_runs: BTreeSet<RunId>,
}

/// Why a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// A run published the day.
    Published,
    /// The day was published by a version without records.
    Migrated,
    /// An operator published an earlier run again.
    RolledBack,
    /// An operator ended the hold of a rollback.
    Released,
    /// An operator accepted that raw files are missing.
    MissingAccepted,
    /// Files of runs of this day, of which nothing is published, were removed.
    Vacuumed,
}

/// The published run of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The run.
    pub run: RunId,
    /// When it was published first. A rollback keeps it.
    pub published_at: DateTime<Utc>,
    /// The tables that have a partition for the day.
    pub tables: BTreeMap<TableName, PublishedTable>,
    /// The raw files that the run read.
    pub raw_files: Vec<RawFileVersion>,
}

/// A published partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// The URI of the folder, with `/` at its end.
    pub location: String,
    /// The URI of the report of its audit.
    pub report: String,
    /// Number of rows.
    pub rows: u64,
    /// Total size of its files in bytes.
    pub bytes: u64,
    /// The Parquet files, by name.
    pub files: Vec<PublishedFile>,
}

/// A published Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedFile {
    /// Its name in the folder.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The ETag of its version, without quotes.
    pub etag: String,
    /// Number of its rows.
    pub rows: u64,
}

/// A decision of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The time.
    pub at: DateTime<Utc>,
    /// The operator.
    pub by: String,
}

impl Decision {
    /// Creates a decision of `by` with the current time.
    pub fn now(by: &str) -> Self {
        Self { at: now(), by: by.to_owned() }
    }
}

/// Returns the current time, truncated to milliseconds.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

impl Record {
    /// Creates the record that follows `before`, or the first of a day. It inherits the publication, the hold, the acceptance
    /// and the removed runs; callers change what is new.
    pub fn following(before: Option<&Record>, day: NaiveDate, cause: Cause, actor: &str) -> Self {
        let written_at = match before {
            // Strictly increasing, even if the clock of another machine is ahead.
            Some(before) => now().max(before.written_at + TimeDelta::milliseconds(1)),
            None => now(),
        };
        Self {
            version: VERSION,
            day,
            number: before.map_or(0, |before| before.number) + 1,
            cause,
            written_at,
            actor: actor.to_owned(),
            previous: before.map(|before| crate::keys::record_history(day, before.number)),
            published: before.and_then(|before| before.published.clone()),
            held: before.and_then(|before| before.held.clone()),
            missing_accepted: before.and_then(|before| before.missing_accepted.clone()),
            removed_runs: before.map(|before| before.removed_runs.clone()).unwrap_or_default(),
        }
    }

    /// Returns the published run.
    pub fn run(&self) -> Option<&RunId> {
        self.published.as_ref().map(|published| &published.run)
    }

    /// Returns the published partition of `table`.
    pub fn table(&self, table: TableName) -> Option<&PublishedTable> {
        self.published.as_ref()?.tables.get(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, 4, 1).expect("a day")
    }

    #[test]
    fn a_record_follows_another() {
        let first = Record::following(None, day(), Cause::Published, "run a");
        assert_eq!((first.number, &first.previous), (1, &None));
        let mut ahead = first.clone();
        ahead.written_at += TimeDelta::days(1);
        ahead.held = Some(Decision::now("ana"));
        ahead.removed_runs.insert("x".parse().expect("a run"));
        let second = Record::following(Some(&ahead), day(), Cause::Published, "run b");
        assert_eq!(second.number, 2);
        assert_eq!(second.previous.as_deref(), Some("published/year=2020/month=4/day=1/history/1.json"));
        assert!(second.written_at > ahead.written_at, "although the clock is behind");
        assert_eq!((second.held, second.removed_runs), (ahead.held, ahead.removed_runs));
    }

    #[test]
    fn a_cause_is_shown_as_the_record_has_it() {
        let (published, missing_accepted) = (Cause::Published, Cause::MissingAccepted);
        for cause in [published, Cause::Migrated, Cause::RolledBack, Cause::Released, missing_accepted, Cause::Vacuumed]
        {
            assert_eq!(serde_json::to_value(cause).expect("JSON"), cause.to_string());
        }
    }

    /// The schema is a promise to readers of other languages.
    #[test]
    fn the_schema_is_as_documented() {
        let mut record = Record::following(None, day(), Cause::RolledBack, "rollback by ana");
        record.written_at = "2020-04-02T10:00:00.5Z".parse().expect("a time");
        record.published = Some(Publication {
            run: "r1".parse().expect("a run"),
            published_at: "2020-04-02T10:00:00Z".parse().expect("a time"),
            tables: BTreeMap::from([(
                TableName::Quotes,
                PublishedTable {
                    location: "s3://lake/runs/run=r1/quotes/year=2020/month=4/day=1/".to_owned(),
                    report: "s3://lake/quality/run=r1/quotes.json".to_owned(),
                    rows: 7,
                    bytes: 900,
                    files: vec![PublishedFile {
                        name: "p.parquet".to_owned(),
                        bytes: 900,
                        etag: "e".to_owned(),
                        rows: 7,
                    }],
                },
            )]),
            raw_files: vec![RawFileVersion {
                name: "202004011000_flashpanel.csv".parse().expect("a name"),
                bytes: 100,
                etag: Some("f".to_owned()),
                last_modified: Some("2020-04-01T20:00:00Z".parse().expect("a time")),
            }],
        });
        let json = serde_json::json!({
            "version": 1, "day": "2020-04-01", "number": 1, "cause": "rolled_back",
            "written_at": "2020-04-02T10:00:00.500Z", "actor": "rollback by ana",
            "published": {
                "run": "r1", "published_at": "2020-04-02T10:00:00Z",
                "tables": {"quotes": {
                    "location": "s3://lake/runs/run=r1/quotes/year=2020/month=4/day=1/",
                    "report": "s3://lake/quality/run=r1/quotes.json", "rows": 7, "bytes": 900,
                    "files": [{"name": "p.parquet", "bytes": 900, "etag": "e", "rows": 7}],
                }},
                "raw_files": [{"name": "202004011000_flashpanel.csv", "bytes": 100, "etag": "f",
                    "last_modified": "2020-04-01T20:00:00Z"}],
            },
        });
        assert_eq!(serde_json::to_value(&record).expect("JSON"), json);
        assert_eq!(serde_json::from_value::<Record>(json).expect("a record"), record);
    }
}
