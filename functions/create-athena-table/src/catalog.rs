//! The catalog, derived from the records: each partition points at what the record of its day says.
//!
//! Updates of a table happen under a lease, in the order in which they read the records. So a slow invocation never moves a
//! partition back to what it read before a later one wrote, and no reader sees a day revert. The next invocation repairs
//! what one that died left undone.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveDate;
use lake::lease::Lease;
use lake::record;
use lake::{Error, Lake, athena, keys, migration, partitions};
use market::partition::{DateRange, Partition};
use market::table::TableName;
use serde::Serialize;

use crate::derived;

/// What the catalog says now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// The table; none for all of them.
    pub table: Option<TableName>,
    /// The first day of the range.
    pub from: NaiveDate,
    /// The last day of the range.
    pub to: NaiveDate,
    /// The partitions in the range that are published.
    pub partitions: u64,
    /// The rows in them.
    pub rows: u64,
    /// The sum of the numbers of the records, of all tables, that it was brought to. Numbers only grow: the sum is another
    /// one when any record was written since.
    pub records: u64,
}

/// What one table was brought to.
#[derive(Default)]
struct Table {
    rows: BTreeMap<NaiveDate, u64>,
    records: u64,
}

/// How long to wait for other updates of the same table. A function has 15 minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Brings a table, or all of them, to what the records of the days of `range` say. Idempotent.
///
/// # Errors
/// [`Error::Unavailable`] when others update the table for too long; [`Error::Athena`] when a statement fails; what Glue
/// refuses; as [`record::read`].
pub async fn update(lake: &Lake, table: Option<TableName>, range: DateRange) -> Result<Updated, Error> {
    // Else lists of what is published would be made without what older versions have published.
    migration::ensure(lake).await?;
    let mut updated = Updated { table, from: range.from(), to: range.to(), partitions: 0, rows: 0, records: 0 };
    for table in table.map_or(TableName::ALL.to_vec(), |table| vec![table]) {
        let published = update_table(lake, table, range).await?;
        updated.partitions += published.rows.len() as u64;
        updated.rows += published.rows.values().sum::<u64>();
        updated.records += published.records;
    }
    Ok(updated)
}

async fn update_table(lake: &Lake, table: TableName, range: DateRange) -> Result<Table, Error> {
    let database = lake.config.athena.database.as_str();
    partitions::create_database(lake, database).await?;
    let location = keys::uri(&lake.config.buckets.lake, &keys::table(table));
    athena::run(lake, &table.create_table_ddl(database, &location)).await?;
    if table == derived::KEEPER {
        athena::run(lake, &derived::create_published_ddl(lake)).await?;
    }

    let holder = format!("athena_update of {table} for {range}");
    let mut lease = Lease::take(lake, keys::catalog_lease(table), &holder, PATIENCE).await?;
    let done = under_lease(lake, &mut lease, table, range).await;
    // Whatever became of the work, when it has an answer: others need not wait for the lease to expire.
    lease.release().await?;
    done
}

async fn under_lease(lake: &Lake, lease: &mut Lease<'_>, table: TableName, range: DateRange) -> Result<Table, Error> {
    let records = record::records(lease.reading(record::read_range(lake, range)).await?);
    let mut wanted = BTreeMap::new();
    let mut gone = Vec::new();
    let mut done = Table::default();
    for (date, record) in &records {
        done.records += record.number;
        match (record.table(table), &record.published) {
            (Some(published), _) => {
                wanted.insert(Partition::from(*date), published.location.clone());
                done.rows.insert(*date, published.rows);
            }
            (None, Some(_)) => gone.push(Partition::from(*date)),
            (None, None) => {}
        }
    }
    point(lake, lease, table, wanted, gone).await?;
    derived::update(lake, lease, table, range, &records).await?;
    Ok(done)
}

/// Points partitions at these folders, and drops those that are gone.
async fn point(
    lake: &Lake,
    lease: &mut Lease<'_>,
    table: TableName,
    wanted: BTreeMap<Partition, String>,
    gone: Vec<Partition>,
) -> Result<(), Error> {
    let database = lake.config.athena.database.as_str();
    let there = lease.reading(partitions::list(lake, database, table.as_str())).await?;
    let differing: Vec<(Partition, String)> =
        wanted.into_iter().filter(|(partition, location)| there.get(partition) != Some(location)).collect();
    for some in differing.chunks(partitions::IN_A_TURN) {
        let some = some.iter().cloned().collect();
        lease.within(partitions::update(lake, database, table.as_str(), &there, &some)).await?;
    }
    let gone: Vec<Partition> = gone.into_iter().filter(|partition| there.contains_key(partition)).collect();
    for some in gone.chunks(partitions::IN_A_TURN) {
        lease.within(partitions::remove(lake, database, table.as_str(), some)).await?;
    }
    Ok(())
}
