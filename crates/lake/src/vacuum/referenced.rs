//! Lists the folders that the catalog references, from all tables of all databases.

use std::collections::BTreeSet;

use aws_sdk_glue::types::{StorageDescriptor, Table};

use crate::error::Error;
use crate::{Lake, catalog};

/// Referenced folders, as URIs without the last slash.
#[derive(Debug, Default)]
pub(super) struct Referenced {
    /// Locations of partitions, each of which is one folder.
    partitions: BTreeSet<String>,
    /// Locations of tables without partitions, which include all folders below.
    tables: BTreeSet<String>,
}

impl Referenced {
    /// Lists all locations in the catalog, of all databases.
    ///
    /// # Errors
    /// Whatever Glue refuses.
    pub(super) async fn list(lake: &Lake) -> Result<Self, Error> {
        let mut found = Self::default();
        for database in catalog::databases(lake).await? {
            for table in catalog::tables(lake, &database.name).await? {
                found.add(lake, &database.name, table).await?;
            }
        }
        Ok(found)
    }

    async fn add(&mut self, lake: &Lake, database: &str, table: Table) -> Result<(), Error> {
        if table.partition_keys().is_empty() {
            self.tables.extend(location(table.storage_descriptor));
            return Ok(());
        }
        let name = table.name;
        let request = lake.glue.get_partitions().database_name(database).table_name(&name).exclude_column_schema(true);
        let mut pages = request.max_results(PAGE).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = match page.map_err(Error::aws(format!("listing the partitions of {database}.{name}"))) {
                Ok(page) => page,
                // Dropped meanwhile: audits drop their temporary tables.
                Err(error) if error.is_missing_table() => break,
                Err(error) => return Err(error),
            };
            let listed = page.partitions.unwrap_or_default().into_iter();
            self.partitions.extend(listed.filter_map(|partition| location(partition.storage_descriptor)));
        }
        Ok(())
    }

    /// Whether the catalog references `folder`, a URI with its last slash.
    pub(super) fn reads(&self, folder: &str) -> bool {
        let bare = folder.trim_end_matches('/');
        let within = |set: &BTreeSet<String>| {
            set.contains(bare)
                || set.range(folder.to_owned()..).next().is_some_and(|location| location.starts_with(folder))
        };
        let mut above = folder.match_indices('/').map(|(at, _)| &folder[..at]);
        within(&self.partitions) || within(&self.tables) || above.any(|above| self.tables.contains(above))
    }
}

/// Number of partitions per request, the maximum of Glue.
const PAGE: i32 = 1_000;

fn location(descriptor: Option<StorageDescriptor>) -> Option<String> {
    let location = descriptor?.location?;
    let bare = location.trim_end_matches('/');
    (!bare.is_empty()).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_partition_reads_its_folder_and_a_table_all_below_it() {
        let folder = "s3://lake/runs/run=r/quotes/year=2020/month=4/day=1/";
        let partition =
            |location| Referenced { partitions: set(&[location, "s3://a", "s3://z"]), ..Default::default() };
        let table = |location| Referenced { tables: set(&[location, "s3://a", "s3://z"]), ..Default::default() };
        for location in [&folder[..folder.len() - 1], "s3://lake/runs/run=r/quotes/year=2020/month=4/day=1/part"] {
            assert!(partition(location).reads(folder) && table(location).reads(folder), "{location}");
        }
        for location in ["s3://lake/runs/run=r/quotes", "s3://lake/runs", "s3://lake"] {
            assert!(!partition(location).reads(folder), "a partition reads its own folder: {location}");
            assert!(table(location).reads(folder), "{location}");
        }
        for location in [
            "s3://lake/runs/run=r/quotes/year=2020/month=4/day=10",
            "s3://lake/runs/run=r.2/quotes/year=2020/month=4/day=1",
            "s3://lake/runs/run=r/quotes/year=2020/month=4/day=1-old",
        ] {
            assert!(!partition(location).reads(folder) && !table(location).reads(folder), "{location}");
        }
    }
}
