//! The partitions of tables in Athena: what a table has, how more are added, and how a query keeps to some.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};
use market::partition::{KEYS, Partition};

use crate::error::Error;
use crate::{Lake, athena};

/// Creates a database unless it is there.
///
/// # Errors
/// As [`athena::run`].
pub async fn create_database(lake: &Lake, database: &str) -> Result<(), Error> {
    athena::run_in(lake, None, &format!("CREATE DATABASE IF NOT EXISTS `{database}`")).await.map(drop)
}

/// The partitions that a table has.
///
/// # Errors
/// As [`athena::run`].
pub async fn list(lake: &Lake, database: &str, table: &str) -> Result<BTreeSet<Partition>, Error> {
    let answer = athena::run_in(lake, database, &format!("SHOW PARTITIONS `{table}`")).await?;
    let named = answer.rows.into_iter().flatten().flatten().map(|text| text.parse());
    named.collect::<Result<_, _>>().map_err(|error| Error::Quality(format!("of the table {database}.{table}: {error}")))
}

/// The most partitions that Athena takes in one statement.
const AT_ONCE: usize = 100;

/// Adds to a table those partitions that it does not have, each with the URI of its folder.
///
/// # Errors
/// As [`athena::run`].
pub async fn add(lake: &Lake, database: &str, table: &str, folders: &[(Partition, String)]) -> Result<(), Error> {
    for some in folders.chunks(AT_ONCE) {
        let clauses: Vec<String> =
            some.iter().map(|(partition, uri)| format!("{} LOCATION '{uri}'", clause(*partition))).collect();
        let statement = format!("ALTER TABLE `{table}` ADD IF NOT EXISTS\n{}", clauses.join("\n"));
        athena::run_in(lake, database, &statement).await?;
    }
    Ok(())
}

/// The URI of the folder of a partition.
///
/// # Errors
/// As [`athena::run`]; [`Error::Quality`] when Athena says none.
pub async fn location(lake: &Lake, database: &str, table: &str, partition: Partition) -> Result<String, Error> {
    let statement = format!("DESCRIBE FORMATTED `{table}` {}", clause(partition));
    let answer = athena::run_in(lake, database, &statement).await?;
    // A line is one cell with tabs, or a cell for each of its columns.
    let lines = answer.rows.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join("\t"));
    let location = lines.filter_map(|line| Some(line.trim().strip_prefix("Location:")?.trim().to_owned())).next();
    location.ok_or_else(|| Error::Quality(format!("{statement} says no location")))
}

/// A partition as DDL names it: `PARTITION (year = 2020, month = 4, day = 1)`.
pub fn clause(partition: Partition) -> String {
    let values = KEYS.iter().zip(partition.values()).map(|(key, value)| format!("{key} = {value}"));
    format!("PARTITION ({})", values.collect::<Vec<_>>().join(", "))
}

/// The most months that [`condition`] names one by one. Each takes some operators, of which a statement may have only
/// so many.
const MOST_MONTHS: usize = 12;

/// The condition that a row lies in one of `days`, in the form by which Athena skips all other partitions; `false`
/// where there are no days. The number of its operators does not grow with the number of days, nor with their range.
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
    if months.len() <= MOST_MONTHS {
        let months = months.iter().map(|([year, month], days)| {
            format!("(year = {year} AND month = {month} AND day IN ({}))", days.join(", "))
        });
        return months.collect::<Vec<_>>().join(" OR ");
    }
    // More than twelve months are of two years at least.
    if (last - first).num_days() + 1 == days.len() as i64 { between(first, last) } else { among(&days, first, last) }
}

/// All days from one to another of a later year: the rest of the first year, the years between, the begin of the last.
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
        assert_eq!(clause(day("2020-04-01").into()), "PARTITION (year = 2020, month = 4, day = 1)");
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
