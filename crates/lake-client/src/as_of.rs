//! The tables as they were published at a time in the past, as a database of their own: its partitions are at the locations
//! in the records of that time.
//!
//! What was published at a past time never changes, so its database is created once and reused. A time that has only just
//! passed is different: a record gets its time before it is written, so that a record with an earlier time may still
//! appear. Its database is used once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use lake::record::{self, Cause, Record, Stored};
use lake::scratch::{self, Purpose};
use lake::{Error, Lake, athena, concurrency, partitions};
use market::partition::Partition;
use market::run::RunId;
use market::table::TableName;

/// A database of the tables as they were published at a time.
#[derive(Debug)]
pub struct AsOf {
    /// The name of the database.
    pub database: String,
    /// The time.
    pub moment: DateTime<Utc>,
    /// Whether the database is used only once, by its creator.
    is_temporary: bool,
    /// The days whose published run is a different one now.
    replaced: BTreeMap<NaiveDate, RunId>,
}

/// How long after a time a record with an earlier time may still appear: the maximum duration of an invocation that writes it.
const SETTLED: TimeDelta = TimeDelta::minutes(15);

/// The table property with the number of partitions of the whole database. It is set when all of them exist.
const COMPLETE: &str = "pregao.partitions";

/// Number of records that are read concurrently.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

/// Whether all records with a time up to `moment` have been written.
pub fn is_settled(moment: DateTime<Utc>) -> bool {
    Utc::now() - moment > SETTLED
}

impl AsOf {
    /// Creates the database, or finds the existing one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a time in the future; [`Error::Record`] if the files of a run that was published then are
    /// removed; [`Error::Athena`] if a statement fails.
    pub async fn prepare(lake: &Lake, moment: DateTime<Utc>) -> Result<Self, Error> {
        if moment > Utc::now() {
            return Err(Error::invalid_input(format!(
                "{moment} has not come yet: what will be published is not known"
            )));
        }
        let seen = published(lake, moment).await?;
        let mut replaced = BTreeMap::new();
        for (day, seen) in &seen {
            check(*day, moment, &seen.run, &seen.now)?;
            if seen.now.run() != Some(&seen.run) {
                replaced.insert(*day, seen.run.clone());
            }
        }
        let is_temporary = !is_settled(moment);
        let database = if is_temporary {
            Purpose::AsOf.unique(lake)
        } else {
            Purpose::AsOf.database(lake, &moment.format("%Y%m%dt%H%M%S%3fz").to_string())
        };
        let as_of = Self { database, moment, is_temporary, replaced };
        let tables: BTreeMap<TableName, Vec<(Partition, String)>> =
            TableName::ALL.into_iter().map(|table| (table, folders(&seen, table))).collect();
        as_of.make(lake, &tables).await?;
        Ok(as_of)
    }

    async fn make(&self, lake: &Lake, tables: &BTreeMap<TableName, Vec<(Partition, String)>>) -> Result<(), Error> {
        let partitions = tables.values().map(Vec::len).sum::<usize>().to_string();
        let last = TableName::Rejects.as_str();
        if !self.is_temporary {
            let found = scratch::property(lake, &self.database, last, COMPLETE).await?;
            match found {
                Some(found) if found == partitions => return Ok(()),
                // It was made from other records: the lake was migrated since.
                Some(_) => scratch::drop(lake, &self.database).await?,
                None => {}
            }
        }
        partitions::create_database(lake, &self.database).await?;
        for (table, folders) in tables {
            let has_manifests = scratch::has_manifests(lake, *table).await?;
            scratch::table(lake, &self.database, table.as_str(), *table, folders, has_manifests).await?;
        }
        let statement = format!("ALTER TABLE `{last}` SET TBLPROPERTIES ('{COMPLETE}'='{partitions}')");
        athena::run_in(lake, self.database.as_str(), &statement).await?;
        Ok(())
    }

    /// Checks, after a query, that the files of the tables still existed while it read them.
    ///
    /// # Errors
    /// [`Error::Record`] if those of a run are removed or marked as removed: the result of the query may be incomplete.
    pub async fn confirm(&self, lake: &Lake) -> Result<(), Error> {
        let now = record::read_days(lake, self.replaced.keys().copied().collect()).await?;
        for (day, run) in &self.replaced {
            if let Some(now) = now.get(day) {
                check(*day, self.moment, run, &now.record)?;
            }
        }
        Ok(())
    }

    /// Drops the database if it is used only once.
    ///
    /// # Errors
    /// As [`athena::run`].
    pub async fn end(self, lake: &Lake) -> Result<(), Error> {
        if self.is_temporary { scratch::drop(lake, &self.database).await } else { Ok(()) }
    }
}

/// The publication of a day at a time, and its current record.
struct PublishedThen {
    run: RunId,
    then: Record,
    now: Record,
}

/// Returns what was published of each day at a time.
async fn published(lake: &Lake, moment: DateTime<Utc>) -> Result<BTreeMap<NaiveDate, PublishedThen>, Error> {
    let current = record::read_all(lake, None).await?;
    let shared = Arc::new(lake.clone());
    let days = concurrency::map(current, AT_ONCE, |(day, Stored { record: now, .. })| {
        let lake = shared.clone();
        async move {
            let Some(then) = current_at(&lake, &now, moment).await? else { return Ok(None) };
            Ok(then.run().cloned().map(|run| (day, PublishedThen { run, then, now })))
        }
    });
    Ok(days.await?.into_iter().flatten().collect())
}

/// Returns the record of a day that was current at a time; `now` is the current record.
async fn current_at(lake: &Lake, now: &Record, moment: DateTime<Utc>) -> Result<Option<Record>, Error> {
    let mut record = now.clone();
    while since(&record) > moment {
        if record.number <= 1 {
            return Ok(None);
        }
        record = record::store::read_number(lake, record.day, record.number - 1).await?;
    }
    Ok(Some(record))
}

/// Returns the time since which a record's data was published. Data that a migration found was published before its record
/// was written.
fn since(record: &Record) -> DateTime<Utc> {
    match (record.cause, &record.published) {
        (Cause::Migrated, Some(published)) => published.published_at.min(record.written_at),
        _ => record.written_at,
    }
}

fn check(day: NaiveDate, moment: DateTime<Utc>, run: &RunId, now: &Record) -> Result<(), Error> {
    if !now.removed_runs.contains(run) {
        return Ok(());
    }
    Err(Error::record(format!(
        "at {moment} run {run} was published of {day}, and its files are removed: an answer without the day would \
         be a wrong one. Ask for another moment, or for days that still are there"
    )))
}

fn folders(days: &BTreeMap<NaiveDate, PublishedThen>, table: TableName) -> Vec<(Partition, String)> {
    let folder = |(day, published): (&NaiveDate, &PublishedThen)| {
        Some((Partition::from(*day), published.then.table(table)?.location.clone()))
    };
    days.iter().filter_map(folder).collect()
}

/// Returns the first qualified table name in a statement that refers to the current database: with `--as-of`, it would read
/// the tables of now.
pub fn names_published_tables(lake: &Lake, statement: &str) -> bool {
    let database = lake.config.athena.database.as_str();
    let lower = statement.to_ascii_lowercase();
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    lower.match_indices(&database.to_ascii_lowercase()).any(|(at, found)| {
        let (before, behind) = (&lower[..at], &lower[at + found.len()..]);
        let behind = behind.trim_start_matches(['"', '`']).trim_start();
        !before.ends_with(is_part) && behind.starts_with('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_migration_found_was_published_before() {
        let day = "2020-04-01".parse().expect("a day");
        let mut record = Record::following(None, day, Cause::Migrated, "migration");
        let published_at: DateTime<Utc> = "2020-04-02T10:00:00Z".parse().expect("a time");
        record.published = Some(record::Publication {
            run: "r".parse().expect("a run"),
            published_at,
            tables: BTreeMap::new(),
            raw_files: Vec::new(),
        });
        assert_eq!(since(&record), published_at);
        record.cause = Cause::RolledBack;
        assert_eq!(since(&record), record.written_at);
    }

    #[test]
    fn a_run_whose_files_are_removed_is_an_error_that_names_it() {
        let day = "2020-04-01".parse().expect("a day");
        let run: RunId = "r".parse().expect("a run");
        let mut record = Record::following(None, day, Cause::Published, "run r");
        check(day, Utc::now(), &run, &record).expect("it is there");
        record.removed_runs.insert(run.clone());
        let error = check(day, Utc::now(), &run, &record).expect_err("removed").to_string();
        assert!(error.contains("run r was published of 2020-04-01"), "{error}");
    }

    #[tokio::test]
    async fn tables_of_now_are_found_in_a_statement() {
        let lake = Lake::at_endpoint(lake::Config::default(), "http://127.0.0.1:1");
        for statement in
            ["SELECT * FROM pregao.quotes", "select * from \"PREGAO\" . quotes", "FROM x, `pregao`.`quotes`"]
        {
            assert!(names_published_tables(&lake, statement), "{statement}");
        }
        for statement in ["SELECT * FROM quotes", "SELECT 'pregao'", "SELECT a_pregao.b FROM a_pregao", "pregaox.y"] {
            assert!(!names_published_tables(&lake, statement), "{statement}");
        }
    }
}
