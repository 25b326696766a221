//! Databases beside the published one, over folders that the records name: what was published at a moment, or what two
//! runs wrote. They hold tables and no data; to drop one removes no file.
//!
//! Each says when it was made. One that a process left behind which was killed is dropped by the next one that makes
//! another, a day later.

use chrono::{TimeDelta, Utc};
use market::partition::Partition;
use market::table::TableName;
use uuid::Uuid;

use crate::error::Error;
use crate::{Lake, athena, keys, manifest, partitions};

/// What such a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The tables as they were published at a moment.
    AsOf,
    /// Two runs of a day.
    Diff,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::AsOf, Purpose::Diff];

    /// What the names of its databases start with.
    fn prefix(self, lake: &Lake) -> String {
        let purpose = match self {
            Purpose::AsOf => "asof",
            Purpose::Diff => "diff",
        };
        format!("{}_{purpose}_", lake.config.athena.database)
    }

    /// The name of its database for something.
    pub fn database(self, lake: &Lake, of: &str) -> String {
        format!("{}{of}", self.prefix(lake))
    }

    /// The name of a database that nobody else has.
    pub fn unique(self, lake: &Lake) -> String {
        self.database(lake, &Uuid::new_v4().simple().to_string())
    }
}

/// The property of a table that says when it was made, in milliseconds.
const MADE: &str = "pregao.made";

/// How old such a database gets.
const AGE: TimeDelta = TimeDelta::days(1);

/// Makes a table of the columns of `table` in `database`, over these folders. A table that is there already stays.
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
    let mut properties = vec![format!("'{MADE}'='{}'", Utc::now().timestamp_millis())];
    if has_manifests {
        properties.push(format!("'{}'='{}'", manifest::PROPERTY, manifest::NAME));
    }
    let ddl = table.create_table_ddl_as(database, name, &location);
    athena::run_in(lake, database, &format!("{ddl}\nTBLPROPERTIES ({})", properties.join(", "))).await?;
    partitions::publish(lake, database, name, &folders.iter().cloned().collect()).await.map(|_| ())
}

/// Whether the published table promises that each of its partitions has a manifest.
///
/// # Errors
/// As [`athena::run`].
pub async fn has_manifests(lake: &Lake, table: TableName) -> Result<bool, Error> {
    let database = lake.config.athena.database.as_str();
    Ok(property(lake, database, table.as_str(), manifest::PROPERTY).await?.is_some())
}

/// A property of a table; none where there is no such table.
///
/// # Errors
/// As [`athena::run`].
pub async fn property(lake: &Lake, database: &str, table: &str, name: &str) -> Result<Option<String>, Error> {
    let answer = match athena::run_in(lake, database, &format!("SHOW TBLPROPERTIES `{table}`")).await {
        Ok(answer) => answer,
        Err(error) if error.is_missing_table() => return Ok(None),
        Err(error) => return Err(error),
    };
    // A line is one cell with a tab, or a cell for each of its columns.
    let lines = answer.rows.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join("\t"));
    let mut values = lines.filter_map(|line| {
        let (key, value) = line.split_once('\t')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    Ok(values.next())
}

/// Drops a database with its tables. The files stay.
///
/// # Errors
/// As [`athena::run`].
pub async fn drop(lake: &Lake, database: &str) -> Result<(), Error> {
    athena::run_in(lake, None, &format!("DROP DATABASE IF EXISTS `{database}` CASCADE")).await.map(|_| ())
}

/// The databases of a purpose.
///
/// # Errors
/// As [`athena::run`].
pub async fn databases(lake: &Lake, purpose: Purpose) -> Result<Vec<String>, Error> {
    let answer = athena::run_in(lake, None, "SHOW DATABASES").await?;
    let prefix = purpose.prefix(lake);
    Ok(answer.rows.into_iter().flatten().flatten().filter(|name| name.starts_with(&prefix)).collect())
}

/// Drops those that are older than a day.
///
/// # Errors
/// As [`athena::run`].
pub async fn drop_old(lake: &Lake) -> Result<(), Error> {
    for purpose in Purpose::ALL {
        for database in databases(lake, purpose).await? {
            let tables = athena::run_in(lake, database.as_str(), "SHOW TABLES").await?;
            let Some(table) = tables.rows.into_iter().flatten().flatten().next() else { continue };
            let made = property(lake, &database, &table, MADE).await?.and_then(|made| made.parse::<i64>().ok());
            if made.is_some_and(|made| Utc::now().timestamp_millis() - made > AGE.num_milliseconds()) {
                tracing::debug!(database, "dropping an old database");
                drop(lake, &database).await?;
            }
        }
    }
    Ok(())
}
