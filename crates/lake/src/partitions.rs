//! The partitions of tables in the catalog: lists and changes them, and builds conditions for partition pruning.
//!
//! Partitions are read and changed through Glue, many in one call. The change of each partition is atomic: a reader sees a
//! day as it was or as it is. Databases and tables are created by statements on Athena.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, ErrorDetail, PartitionInput, PartitionValueList, StorageDescriptor,
};
use chrono::{Datelike, NaiveDate};
use market::partition::{DateRange, KEYS, Partition};

use crate::error::{self, Error, NO_SUCH_ENTITY};
use crate::{Lake, athena, catalog, concurrency};

/// Creates a database unless it exists.
///
/// # Errors
/// As [`athena::run`].
pub async fn create_database(lake: &Lake, database: &str) -> Result<(), Error> {
    athena::run_in(lake, None, &format!("CREATE DATABASE IF NOT EXISTS `{database}`")).await.map(drop)
}

/// Lists the partitions of a table, each with the URI of its folder.
///
/// # Errors
/// Whatever Glue refuses, such as a table that does not exist ([`Error::is_missing_table`]); [`Error::Quality`] for a
/// partition that is not a day or has no location.
pub async fn list(lake: &Lake, database: &str, table: &str) -> Result<BTreeMap<Partition, String>, Error> {
    selected(lake, database, table, None).await
}

/// [`list`] of the days of a range. Its cost depends on the years or months of the range, and not on the days of the table.
///
/// # Errors
/// As [`list`].
pub async fn list_range(
    lake: &Lake,
    database: &str,
    table: &str,
    range: DateRange,
) -> Result<BTreeMap<Partition, String>, Error> {
    let mut found = selected(lake, database, table, Some(expression(range))).await?;
    found.retain(|partition, _| range.contains(partition.date()));
    Ok(found)
}

/// Returns the condition, in Glue's syntax, for the years of a range; within one year, for its months.
fn expression(range: DateRange) -> String {
    let ([first_year, first_month, _], [last_year, last_month, _]) =
        (Partition::from(range.from()).values(), Partition::from(range.to()).values());
    if first_year == last_year {
        format!("year = {first_year} AND month >= {first_month} AND month <= {last_month}")
    } else {
        format!("year >= {first_year} AND year <= {last_year}")
    }
}

async fn selected(
    lake: &Lake,
    database: &str,
    table: &str,
    expression: Option<String>,
) -> Result<BTreeMap<Partition, String>, Error> {
    let wrong = |what: &str| Error::Quality(format!("of the table {database}.{table}: {what}"));
    let request = lake.glue.get_partitions().database_name(database).table_name(table).exclude_column_schema(true);
    let request = request.set_expression(expression);
    let mut pages = request.max_results(LISTED_AT_ONCE).into_paginator().send();
    let mut found = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(Error::aws(format!("listing the partitions of {database}.{table}")))?;
        for listed in page.partitions.unwrap_or_default() {
            let partition = parse(listed.values()).map_err(|error| wrong(&error))?;
            let location = listed.storage_descriptor.and_then(|descriptor| descriptor.location);
            found.insert(partition, location.ok_or_else(|| wrong(&format!("{partition} has no location")))?);
        }
    }
    Ok(found)
}

/// Parses a partition from the values of [`KEYS`].
fn parse(values: &[String]) -> Result<Partition, String> {
    if values.len() != KEYS.len() {
        return Err(format!("{values:?} are no values of {}", KEYS.join(", ")));
    }
    let path: Vec<String> = KEYS.iter().zip(values).map(|(key, value)| format!("{key}={value}")).collect();
    path.join("/").parse().map_err(|error: market::partition::InvalidPartition| error.to_string())
}

/// What [`publish`] did with the requested partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Partitions that did not exist.
    pub created: BTreeSet<Partition>,
    /// Partitions that had another location.
    pub changed: BTreeSet<Partition>,
    /// Partitions that had the requested location already.
    pub left: BTreeSet<Partition>,
}

// Maximum numbers of partitions per call of Glue: to list, to create or update, and to delete.
const LISTED_AT_ONCE: i32 = 1_000;
const AT_ONCE: usize = 100;
const REMOVED_AT_ONCE: usize = 25;

/// Number of concurrent calls.
const CALLS: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");

/// Number of partitions that [`update`] changes with one round of concurrent calls, which takes a second or two.
pub const PER_ROUND: usize = AT_ONCE * CALLS.get();

/// Points partitions of a table at locations: URIs of folders with the last slash. Other partitions are not changed.
/// Idempotent: after a failure, a second call completes the work.
///
/// # Errors
/// As [`list`] and [`update`].
pub async fn publish(
    lake: &Lake,
    database: &str,
    table: &str,
    wanted: &BTreeMap<Partition, String>,
) -> Result<Outcome, Error> {
    update(lake, database, table, &list(lake, database, table).await?, wanted).await
}

/// [`publish`] for callers that have listed the partitions, at least the `wanted` ones.
///
/// # Errors
/// [`Error::Refused`] or [`Error::Unavailable`] if Glue rejects a partition, with the partition and Glue's reason. Others may
/// have been changed.
pub async fn update(
    lake: &Lake,
    database: &str,
    table: &str,
    there: &BTreeMap<Partition, String>,
    wanted: &BTreeMap<Partition, String>,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let (mut missing, mut misplaced) = (Vec::new(), Vec::new());
    for (partition, location) in wanted {
        match there.get(partition) {
            Some(found) if found == location => _ = outcome.left.insert(*partition),
            Some(_) => misplaced.push((*partition, location.clone())),
            None => missing.push((*partition, location.clone())),
        }
    }
    if missing.is_empty() && misplaced.is_empty() {
        return Ok(outcome);
    }
    let target = Target::find(lake, database, table).await?;
    let creations = batches(&missing).map(|batch| (Change::Create, batch));
    let changes = creations.chain(batches(&misplaced).map(|batch| (Change::Update, batch)));
    let done = concurrency::map(changes, CALLS, |(change, batch)| {
        let target = target.clone();
        async move {
            match change {
                Change::Create => target.create(batch).await,
                Change::Update => target.update(batch).await,
            }
        }
    });
    for batch in done.await? {
        outcome.created.extend(batch.created);
        outcome.changed.extend(batch.changed);
    }
    Ok(outcome)
}

/// Removes partitions from a table. Files are not removed. Partitions that do not exist are ignored.
///
/// # Errors
/// As [`update`].
pub async fn remove(lake: &Lake, database: &str, table: &str, partitions: &[Partition]) -> Result<(), Error> {
    for some in partitions.chunks(REMOVED_AT_ONCE) {
        let named = some.iter().map(|partition| {
            let list = PartitionValueList::builder().set_values(Some(values(*partition)));
            list.build().expect("the values are set")
        });
        let request = lake.glue.batch_delete_partition().database_name(database).table_name(table);
        let request = request.set_partitions_to_delete(Some(named.collect()));
        let doing = format!("removing partitions of {database}.{table}");
        let answer = request.send().await.map_err(Error::aws(doing))?;
        let errors = answer.errors.unwrap_or_default();
        if let Some(error) = errors.iter().find(|error| code(error.error_detail()) != NO_SUCH_ENTITY) {
            let name = format!("{database}.{table}");
            return Err(refused("removing", error.partition_values(), &name, error.error_detail()));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Create,
    Update,
}

/// Partitions with their locations, for one call.
type Batch = Vec<(Partition, String)>;

fn batches(all: &[(Partition, String)]) -> impl Iterator<Item = Batch> {
    all.chunks(AT_ONCE).map(<[_]>::to_vec)
}

/// The table whose partitions are changed.
#[derive(Debug, Clone)]
struct Target {
    glue: aws_sdk_glue::Client,
    database: String,
    table: String,
    /// The storage descriptor of its partitions, without location.
    descriptor: StorageDescriptor,
}

impl Target {
    async fn find(lake: &Lake, database: &str, table: &str) -> Result<Self, Error> {
        let found = catalog::table(lake, database, table).await?;
        let refused = |code: &str, message: &str| {
            Error::refused(format!("looking at the table {database}.{table}"), code, message)
        };
        let found = found.ok_or_else(|| refused(NO_SUCH_ENTITY, "there is no such table"))?;
        let descriptor = found.storage_descriptor;
        let descriptor = descriptor.ok_or_else(|| refused("NoStorageDescriptor", "it is no table of files"))?;
        Ok(Self { glue: lake.glue.clone(), database: database.to_owned(), table: table.to_owned(), descriptor })
    }

    /// Creates partitions. Updates those that exist meanwhile, because of a lost response or another writer.
    async fn create(&self, batch: Batch) -> Result<Outcome, Error> {
        let inputs = batch.iter().map(|(partition, location)| self.input(*partition, location)).collect();
        let request = self.glue.batch_create_partition().database_name(&self.database).table_name(&self.table);
        let request = request.set_partition_input_list(Some(inputs));
        let answer = request.send().await.map_err(Error::aws(format!("adding partitions to {self}")))?;
        let mut there = BTreeSet::new();
        for error in answer.errors.unwrap_or_default() {
            let partition = parse(error.partition_values()).ok();
            match partition {
                Some(partition) if code(error.error_detail()) == ALREADY_EXISTS => _ = there.insert(partition),
                _ => return Err(refused("adding", error.partition_values(), &self.to_string(), error.error_detail())),
            }
        }
        let (again, created): (Batch, Batch) = batch.into_iter().partition(|(partition, _)| there.contains(partition));
        let mut outcome = if again.is_empty() { Outcome::default() } else { self.update(again).await? };
        outcome.created.extend(created.into_iter().map(|(partition, _)| partition));
        Ok(outcome)
    }

    /// Updates the locations of existing partitions.
    async fn update(&self, batch: Batch) -> Result<Outcome, Error> {
        let entries = batch.iter().map(|(partition, location)| {
            let entry = BatchUpdatePartitionRequestEntry::builder()
                .set_partition_value_list(Some(values(*partition)))
                .partition_input(self.input(*partition, location));
            entry.build().expect("both members are set")
        });
        let request = self.glue.batch_update_partition().database_name(&self.database).table_name(&self.table);
        let request = request.set_entries(Some(entries.collect()));
        let answer = request.send().await.map_err(Error::aws(format!("moving partitions of {self}")))?;
        if let Some(error) = answer.errors.unwrap_or_default().first() {
            return Err(refused("moving", error.partition_value_list(), &self.to_string(), error.error_detail()));
        }
        Ok(Outcome { changed: batch.into_iter().map(|(partition, _)| partition).collect(), ..Outcome::default() })
    }

    fn input(&self, partition: Partition, location: &str) -> PartitionInput {
        let mut descriptor = self.descriptor.clone();
        descriptor.location = Some(location.to_owned());
        PartitionInput::builder().set_values(Some(values(partition))).storage_descriptor(descriptor).build()
    }
}

/// Creates the error of one partition of a batch request.
fn refused(doing: &str, values: &[String], table: &str, detail: Option<&ErrorDetail>) -> Error {
    let pairs: Vec<String> = KEYS.iter().zip(values).map(|(key, value)| format!("{key}={value}")).collect();
    let doing = format!("{doing} the partition {} of {table}", pairs.join("/"));
    let message = detail.and_then(ErrorDetail::error_message).unwrap_or("no reason was returned").to_owned();
    error::for_batch_item(doing, code(detail), message)
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

const ALREADY_EXISTS: &str = "AlreadyExistsException";

fn code(detail: Option<&ErrorDetail>) -> &str {
    detail.and_then(ErrorDetail::error_code).unwrap_or("UnknownError")
}

fn values(partition: Partition) -> Vec<String> {
    partition.values().map(|value| value.to_string()).to_vec()
}

/// Maximum number of months that [`condition`] lists one by one. Each needs several operators, whose number Athena limits.
const MAX_MONTHS: usize = 12;

/// Returns the SQL condition that a row is of one of `days`, in a form that allows partition pruning; `false` without days.
/// The number of its operators is bounded, whatever the number of days and their range.
pub fn condition(days: impl IntoIterator<Item = NaiveDate>) -> String {
    let days: BTreeSet<NaiveDate> = days.into_iter().collect();
    let (Some(&first), Some(&last)) = (days.first(), days.last()) else {
        return "false".to_owned();
    };
    let mut months: BTreeMap<[i32; 2], Vec<String>> = BTreeMap::new();
    for &date in &days {
        let [year, month, day] = Partition::from(date).values();
        months.entry([year, month]).or_default().push(day.to_string());
    }
    if months.len() <= MAX_MONTHS {
        let months = months.iter().map(|([year, month], days)| {
            format!("(year = {year} AND month = {month} AND day IN ({}))", days.join(", "))
        });
        return months.collect::<Vec<_>>().join(" OR ");
    }
    // More than twelve months span at least two years.
    if (last - first).num_days() + 1 == days.len() as i64 { between(first, last) } else { among(&days, first, last) }
}

/// Returns the condition for all days of a range that spans years: the rest of the first year, the years between, the start
/// of the last.
fn between(first: NaiveDate, last: NaiveDate) -> String {
    let [first_year, first_month, first_day] = Partition::from(first).values();
    let [last_year, last_month, last_day] = Partition::from(last).values();
    format!(
        "(year = {first_year} AND (month > {first_month} OR (month = {first_month} AND day >= {first_day}))) \
         OR (year > {first_year} AND year < {last_year}) \
         OR (year = {last_year} AND (month < {last_month} OR (month = {last_month} AND day <= {last_day})))"
    )
}

/// Some of the days of several years. The years come first and by themselves: they alone are what Athena can ask the
/// Glue catalog for, and it looks at the rest partition by partition.
fn among(days: &BTreeSet<NaiveDate>, first: NaiveDate, last: NaiveDate) -> String {
    let numbers = days.iter().map(|date| {
        let [year, month, day] = Partition::from(*date).values();
        (year * 10_000 + month * 100 + day).to_string()
    });
    let numbers = numbers.collect::<Vec<_>>().join(", ");
    let (first, last) = (first.year(), last.year());
    format!("(year BETWEEN {first} AND {last} AND year * 10000 + month * 100 + day IN ({numbers}))")
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn days_are_named_as_partitions() {
        let values = ["2020", "4", "1"].map(str::to_owned);
        assert_eq!(parse(&values), Ok(day("2020-04-01").into()));
        for wrong in
            [&["2020", "04", "1"][..], &["2020", "4"], &["2020", "4", "1", "1"], &["2020", "4", "31"], &["", "", ""]]
        {
            let wrong: Vec<String> = wrong.iter().map(|value| (*value).to_owned()).collect();
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_condition_names_few_days_one_by_one() {
        assert_eq!(
            condition(["2020-04-30", "2020-05-01", "2020-05-02"].map(day)),
            "(year = 2020 AND month = 4 AND day IN (30)) OR (year = 2020 AND month = 5 AND day IN (1, 2))"
        );
        assert_eq!(condition([]), "false");
    }

    #[test]
    fn a_range_of_years_has_three_parts() {
        let all = |first, last| {
            let last = day(last);
            condition(day(first).iter_days().take_while(move |date| *date <= last))
        };
        assert_eq!(
            all("2000-01-03", "2039-12-30"),
            "(year = 2000 AND (month > 1 OR (month = 1 AND day >= 3))) OR (year > 2000 AND year < 2039) \
             OR (year = 2039 AND (month < 12 OR (month = 12 AND day <= 30)))"
        );
        let weekly = (0..60).map(|week| day("2019-06-03") + Days::new(7 * week));
        let some = condition(weekly);
        assert!(
            some.starts_with(
                "(year BETWEEN 2019 AND 2020 AND year * 10000 + month * 100 + day IN (20190603, 20190610, "
            )
        );
        assert!(some.ends_with(", 20200713, 20200720))"), "{some}");
    }

    /// Every day of 1999 to 2041 as a partition of a table. SQLite decides on it.
    fn partitions() -> Connection {
        let catalog = Connection::open_in_memory().expect("a database");
        catalog
            .execute_batch("CREATE TABLE days (date TEXT, year INTEGER, month INTEGER, day INTEGER); BEGIN")
            .unwrap();
        let mut insert = catalog.prepare("INSERT INTO days VALUES (?1, ?2, ?3, ?4)").expect("a table");
        for date in day("1999-01-01").iter_days().take_while(|date| date.year() < 2042) {
            insert.execute((date.to_string(), date.year(), date.month(), date.day())).expect("a row");
        }
        drop(insert);
        catalog.execute_batch("COMMIT").expect("rows");
        catalog
    }

    fn chosen(catalog: &Connection, condition: &str) -> Vec<NaiveDate> {
        let sql = format!("SELECT date FROM days WHERE {condition} ORDER BY date");
        let mut statement = catalog.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let dates = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        dates.map(|date| day(&date.expect("a date"))).collect()
    }

    /// The words and marks of which Athena takes a limited number.
    fn operators(condition: &str) -> usize {
        let words = ["AND", "OR", "IN", "BETWEEN", "=", "<", ">", "<=", ">=", "+", "*"];
        condition.split([' ', '(', ')', ',']).filter(|word| words.contains(word)).count()
    }

    #[test]
    fn the_condition_holds_for_its_days_and_no_others() {
        let catalog = partitions();
        let start = 0..40 * 366_u64;
        // Of a day to 40 years; of these all days, or most, or a few.
        let length = prop_oneof![1..40_u64, 300..500_u64, 1..14_600_u64];
        let keep = prop_oneof![Just(1.0), Just(0.999), Just(0.7), Just(0.01)];
        let seeds = any::<u64>();
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
        let strategy = (start, length, keep, seeds);
        let outcome = runner.run(&strategy, |(start, length, keep, seed)| {
            let first = day("2000-01-01") + Days::new(start);
            let range = first.iter_days().take(length as usize).take_while(|date| date.year() < 2041);
            // A fixed mixture of the seed and the day decides which days stay.
            let stays = |date: &NaiveDate| {
                let mixed =
                    (seed ^ u64::from(date.ordinal()) << 32 ^ date.year() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (mixed >> 11) as f64 / ((1_u64 << 53) as f64) < keep
            };
            let days: Vec<NaiveDate> = range.filter(stays).collect();
            let condition = condition(days.iter().copied());
            prop_assert_eq!(chosen(&catalog, &condition), days);
            prop_assert!(operators(&condition) <= 72, "{}", condition);
            prop_assert!(condition.len() < 200_000);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
