//! The documents of the commands that show and change publication records.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

use lake::record::{Decision, Publication, Record};
use market::run::RunId;
use market::table::TableName;

use super::Timestamp;

documents! {
    /// The publication records of a day, the oldest first. The last one is the current one.
    pub struct History {
        /// The day.
        pub day: String,
        /// The records.
        pub records: Vec<HistoryRecord>,
    }

    /// A publication record.
    pub struct HistoryRecord {
        /// Its position in the chain: 1 is the first.
        pub number: u64,
        /// Why it was written: `published`, `migrated`, `rolled_back`, `released`, `missing_accepted` or `vacuumed`.
        pub cause: String,
        /// When it was written. It was current from then until the next one was written.
        pub written_at: Timestamp,
        /// Who wrote it: the run, or the command and its user.
        pub actor: String,
        /// The published run; null where nothing is published.
        pub run: Option<String>,
        /// When that run was published first; null where nothing is published.
        pub published_at: Option<Timestamp>,
        /// The rows of each table.
        pub rows: TableRows,
        /// How many raw files the run read.
        pub raw_files: usize,
        /// Their bytes.
        pub raw_bytes: u64,
        /// Set by a rollback: no run replaces the day until it is released.
        pub held: Option<DecisionOf>,
        /// Set where an operator has accepted that raw files are missing.
        pub missing_accepted: Option<DecisionOf>,
        /// Whether the files of the run are removed by now, or about to be.
        pub removed: bool,
    }

    /// Rows of each table that has a partition for the day.
    pub struct TableRows {
        /// Of `quotes`; null where it has no partition.
        pub quotes: Option<u64>,
        /// Of `options`; null where it has no partition.
        pub options: Option<u64>,
        /// Of `rejects`; null where it has no partition.
        pub rejects: Option<u64>,
    }

    /// What an operator decided.
    pub struct DecisionOf {
        /// When.
        pub at: Timestamp,
        /// Who.
        pub by: String,
    }

    /// What a rollback or a release changed.
    pub struct Rollback {
        /// The current record of the day.
        pub record: HistoryRecord,
        /// The run that was published before; null where nothing was.
        pub before: Option<String>,
    }
}

impl HistoryRecord {
    /// Creates the document of a record. `removed` returns whether the files of a run are removed.
    pub(crate) fn new(record: &Record, removed: impl Fn(&RunId) -> bool) -> HistoryRecord {
        let published = record.published.as_ref();
        let raw_files = published.map(|published| published.raw_files.as_slice()).unwrap_or_default();
        HistoryRecord {
            number: record.number,
            cause: record.cause.to_string(),
            written_at: record.written_at.into(),
            actor: record.actor.clone(),
            run: record.run().map(RunId::to_string),
            published_at: published.map(|published| published.published_at.into()),
            rows: TableRows::new(published),
            raw_files: raw_files.len(),
            raw_bytes: raw_files.iter().map(|file| file.bytes).sum(),
            held: record.held.as_ref().map(Into::into),
            missing_accepted: record.missing_accepted.as_ref().map(Into::into),
            removed: record.run().is_some_and(removed),
        }
    }
}

impl TableRows {
    fn new(published: Option<&Publication>) -> TableRows {
        let rows = |table| published.and_then(|published| Some(published.tables.get(&table)?.rows));
        TableRows {
            quotes: rows(TableName::Quotes),
            options: rows(TableName::Options),
            rejects: rows(TableName::Rejects),
        }
    }
}

impl From<&Decision> for DecisionOf {
    fn from(decision: &Decision) -> DecisionOf {
        DecisionOf { at: decision.at.into(), by: decision.by.clone() }
    }
}
