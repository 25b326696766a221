//! The partitions of tables in Athena: what a table has, how more are added, and how a query keeps to some.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
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

/// A partition as DDL names it: `PARTITION (year = 2020, month = 4, day = 1)`.
pub fn clause(partition: Partition) -> String {
    let values = KEYS.iter().zip(partition.values()).map(|(key, value)| format!("{key} = {value}"));
    format!("PARTITION ({})", values.collect::<Vec<_>>().join(", "))
}

/// The condition that a row lies in one of `days`, in the form by which Athena skips all other partitions; `false`
/// where there are no days.
pub fn condition(days: impl IntoIterator<Item = NaiveDate>) -> String {
    let mut months: BTreeMap<[i32; 2], Vec<String>> = BTreeMap::new();
    for date in days {
        let [year, month, day] = Partition::from(date).values();
        months.entry([year, month]).or_default().push(day.to_string());
    }
    if months.is_empty() {
        return "false".to_owned();
    }
    let months = months
        .iter()
        .map(|([year, month], days)| format!("(year = {year} AND month = {month} AND day IN ({}))", days.join(", ")));
    months.collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_as_partitions() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        assert_eq!(clause(day("2020-04-01").into()), "PARTITION (year = 2020, month = 4, day = 1)");
        assert_eq!(
            condition(["2020-04-30", "2020-05-01", "2020-05-02"].map(day)),
            "(year = 2020 AND month = 4 AND day IN (30)) OR (year = 2020 AND month = 5 AND day IN (1, 2))"
        );
        assert_eq!(condition([]), "false");
    }
}
