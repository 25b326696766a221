//! Tables over the files of one run, for the audit. They are in a database of their own, so that a reader of the published
//! database never sees them, not even after a run that was killed.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::NaiveDate;
use lake::athena::{self, QueryResult};
use lake::{Error, Lake, keys, partitions};
use market::partition::Partition;
use market::run::RunId;
use market::table::TableName;

use crate::files::DayFiles;

/// The staged tables of one slice of a run.
pub(crate) struct Staging<'a> {
    /// The lake that has them.
    pub lake: &'a Lake,
    run: &'a RunId,
    slice: u32,
    /// The database of the staged tables.
    pub database: String,
}

impl<'a> Staging<'a> {
    /// Returns a handle to the staged tables of a slice of `run`. Creates nothing.
    pub(crate) fn new(lake: &'a Lake, run: &'a RunId, slice: u32) -> Self {
        Self { lake, run, slice, database: format!("{}_staged", lake.config.athena.database) }
    }

    /// Returns the name of a staged table.
    pub(crate) fn name(&self, table: TableName) -> String {
        staged_name(table, self.run, self.slice)
    }

    /// Creates a staged table over the folders of these days. Replaces a table that an earlier attempt left.
    pub(crate) async fn create(&self, table: TableName, days: &BTreeMap<NaiveDate, DayFiles>) -> Result<(), Error> {
        let name = self.name(table);
        let bucket = &self.lake.config.buckets.lake;
        partitions::create_database(self.lake, &self.database).await?;
        self.drop(table).await?;
        let location = keys::uri(bucket, &keys::run_table(table, self.run));
        self.query(&table.create_table_ddl_as(&self.database, &name, &location)).await?;
        let folders = days.keys().map(|date| {
            let partition = Partition::from(*date);
            (partition, keys::uri(bucket, &keys::run_folder(table, partition, self.run)))
        });
        partitions::publish(self.lake, &self.database, &name, &folders.collect()).await.map(drop)
    }

    /// Drops a staged table. Its files stay.
    pub(crate) async fn drop(&self, table: TableName) -> Result<(), Error> {
        self.query(&format!("DROP TABLE IF EXISTS `{}`", self.name(table))).await.map(drop)
    }

    /// Runs a statement in the database of the staged tables.
    pub(crate) async fn query(&self, statement: &str) -> Result<QueryResult, Error> {
        athena::run_in(self.lake, self.database.as_str(), statement).await
    }
}

/// Returns a table name that is unique to the slice and the run. Table names have neither capitals nor hyphens; these are escaped
/// by an underscore and a letter. The slice follows another letter; the first slice, which is the only one of most runs, none.
fn staged_name(table: TableName, run: &RunId, slice: u32) -> String {
    let mut name = format!("{table}_");
    for character in run.as_str().chars() {
        let written = match character {
            '_' => name.write_str("__"),
            '-' => name.write_str("_m"),
            'A'..='Z' => write!(name, "_u{}", character.to_ascii_lowercase()),
            _ => name.write_char(character),
        };
        written.expect("a string takes everything");
    }
    if slice > 0 {
        write!(name, "_s{slice}").expect("a string takes everything");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slice_has_a_name_of_its_own() {
        let runs = ["a-b", "a_b", "A-b", "ab", "a__b", "_mb", "a_-b", "a-b_s1", "a-bs1"];
        let named = |run: &&str, slice| staged_name(TableName::Quotes, &run.parse().expect("a run"), slice);
        let names: Vec<String> = (0..3).flat_map(|slice| runs.iter().map(move |run| named(run, slice))).collect();
        assert_eq!(names[..3], ["quotes_a_mb", "quotes_a__b", "quotes__ua_mb"]);
        assert_eq!(names[runs.len()], "quotes_a_mb_s1");
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }
}
