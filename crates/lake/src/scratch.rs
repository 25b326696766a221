//! Temporary databases over folders of runs: what was published at a time in the past, or what two runs wrote. They have
//! tables and no data: dropping one removes no file.
//!
//! A database that a killed process left behind is dropped when it is a day old, by the next process that creates one or by
//! [`vacuum`](crate::vacuum).

use chrono::{DateTime, TimeDelta, Utc};
use market::partition::Partition;
use market::table::TableName;
use uuid::Uuid;

use crate::error::Error;
use crate::{Lake, athena, catalog, keys, manifest, partitions};

/// The purpose of a temporary database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The tables as they were published at a time (`lake_client::as_of`).
    AsOf,
    /// Comparing two runs of a day.
    Diff,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::AsOf, Purpose::Diff];

    /// Returns the prefix of its databases' names.
    fn prefix(self, lake: &Lake) -> String {
        let purpose = match self {
            Purpose::AsOf => "asof",
            Purpose::Diff => "diff",
        };
        format!("{}_{purpose}_", lake.config.athena.database)
    }

    /// Returns the name of the database with this suffix.
    pub fn database(self, lake: &Lake, of: &str) -> String {
        format!("{}{of}", self.prefix(lake))
    }

    /// Returns a unique name.
    pub fn unique(self, lake: &Lake) -> String {
        self.database(lake, &Uuid::new_v4().simple().to_string())
    }
}

/// Age after which a database is dropped.
const AGE: TimeDelta = TimeDelta::days(1);

/// Creates a table with the columns of `table` in `database`, over these folders. Does nothing if the table exists.
///
/// # Errors
/// As [`athena::run`].
pub async fn table(
    lake: &Lake,
    database: &str,
    name: &str,
    table: TableName,
    folders: &[(Partition, String)],
    has_manifests: bool,
) -> Result<(), Error> {
    let location = keys::uri(&lake.config.buckets.lake, &keys::table(table));
    let mut ddl = table.create_table_ddl_as(database, name, &location);
    if has_manifests {
        ddl += &format!("\nTBLPROPERTIES ('{}'='{}')", manifest::PROPERTY, manifest::NAME);
    }
    athena::run_in(lake, database, &ddl).await?;
    partitions::publish(lake, database, name, &folders.iter().cloned().collect()).await.map(|_| ())
}

/// Whether the published table has the property that each of its partitions has a manifest.
///
/// # Errors
/// As [`catalog::table`].
pub async fn has_manifests(lake: &Lake, table: TableName) -> Result<bool, Error> {
    let database = lake.config.athena.database.as_str();
    Ok(property(lake, database, table.as_str(), manifest::PROPERTY).await?.is_some())
}

/// Returns a property of a table; `None` if the table does not exist.
///
/// # Errors
/// As [`catalog::table`].
pub async fn property(lake: &Lake, database: &str, table: &str, name: &str) -> Result<Option<String>, Error> {
    let parameters = catalog::table(lake, database, table).await?.and_then(|table| table.parameters);
    Ok(parameters.and_then(|mut parameters| parameters.remove(name)))
}

/// Drops a database with its tables. Files are not removed.
///
/// # Errors
/// As [`catalog::drop_database`].
pub async fn drop(lake: &Lake, database: &str) -> Result<(), Error> {
    catalog::drop_database(lake, database).await
}

/// Drops the temporary databases that are more than a day old at `now`; a dry run only finds them. Returns their names.
///
/// # Errors
/// Whatever Glue refuses.
pub async fn drop_old(lake: &Lake, now: DateTime<Utc>, is_dry_run: bool) -> Result<Vec<String>, Error> {
    let prefixes = Purpose::ALL.map(|purpose| purpose.prefix(lake));
    let mut dropped = Vec::new();
    for database in catalog::databases(lake).await? {
        if !prefixes.iter().any(|prefix| database.name.starts_with(prefix)) {
            continue;
        }
        let tables = catalog::tables(lake, &database.name).await?;
        let made = tables.iter().map(|table| table.create_time).chain([database.create_time]).flatten();
        let made = made.filter_map(|at| DateTime::from_timestamp(at.secs(), at.subsec_nanos())).max();
        // One of unknown age may have been created just now.
        if made.is_some_and(|made| now - made > AGE) {
            tracing::debug!(database.name, "an old database for queries about the past");
            if !is_dry_run {
                drop(lake, &database.name).await?;
            }
            dropped.push(database.name);
        }
    }
    Ok(dropped)
}
