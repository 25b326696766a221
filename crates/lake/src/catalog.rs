//! The data catalog (Glue): its databases and tables, also those of others. [`partitions`](crate::partitions) has the
//! partitions of a table.

use aws_sdk_glue::types::{Database, Table};

use crate::Lake;
use crate::error::Error;

/// Lists all databases of the account and region.
///
/// # Errors
/// Whatever Glue refuses.
pub async fn databases(lake: &Lake) -> Result<Vec<Database>, Error> {
    let mut pages = lake.glue.get_databases().into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.map_err(Error::aws("listing the databases of the catalog"))?.database_list);
    }
    Ok(found)
}

/// Lists the tables of a database; empty if it does not exist.
///
/// # Errors
/// Whatever Glue refuses.
pub async fn tables(lake: &Lake, database: &str) -> Result<Vec<Table>, Error> {
    let doing = || format!("listing the tables of {database}");
    let mut pages = lake.glue.get_tables().database_name(database).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        match page.map_err(Error::aws(doing())) {
            Ok(page) => found.extend(page.table_list.unwrap_or_default()),
            Err(error) if error.is_missing_table() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Returns a table; `None` if it or its database does not exist.
///
/// # Errors
/// Whatever Glue refuses.
pub async fn table(lake: &Lake, database: &str, name: &str) -> Result<Option<Table>, Error> {
    let answer = lake.glue.get_table().database_name(database).name(name).send().await;
    let answer = answer.map_err(Error::aws(format!("looking at the table {database}.{name}")));
    Ok(unless_missing(answer)?.and_then(|answer| answer.table))
}

/// Drops a database with its tables. Files are not removed. One that does not exist is not an error.
///
/// # Errors
/// Whatever Glue refuses.
pub async fn drop_database(lake: &Lake, database: &str) -> Result<(), Error> {
    // Tables first: Glue drops the tables of a dropped database asynchronously, which could hit a new database of this name.
    for table in tables(lake, database).await? {
        let answer = lake.glue.delete_table().database_name(database).name(&table.name).send().await;
        unless_missing(answer.map_err(Error::aws(format!("dropping the table {database}.{}", table.name))))?;
    }
    let answer = lake.glue.delete_database().name(database).send().await;
    unless_missing(answer.map_err(Error::aws(format!("dropping the database {database}")))).map(drop)
}

fn unless_missing<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing_table() => Ok(None),
        Err(error) => Err(error),
    }
}
