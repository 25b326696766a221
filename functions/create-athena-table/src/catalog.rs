//! Updates the catalog from the records: each partition points at the location in the record of its day.
//!
//! Updates of a table run under a lease, in the order in which they read the records. So a slow invocation cannot move a
//! partition back to an older record after a later invocation, and no reader sees a day revert. If an invocation dies, the
//! next one completes its work.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveDate;
use lake::lease::{self, Lease};
use lake::metrics::Metric;
use lake::record::{self, Record};
use lake::{Error, Lake, athena, invocation, keys, migration, partitions};
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::table::{TableName, add_columns_ddl, missing_columns};
use serde::Serialize;

use crate::derived;

/// The state of the catalog after an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// The table; `None` for all tables.
    pub table: Option<TableName>,
    /// The first day of the range.
    pub from: NaiveDate,
    /// The last day of the range.
    pub to: NaiveDate,
    /// The run whose workflow updates the catalog. `None` for an update by hand.
    pub run: Option<RunId>,
    /// Number of published partitions in the range.
    pub partitions: u64,
    /// Number of rows in these partitions.
    pub rows: u64,
    /// Sum of the record numbers over all days and tables. Numbers only grow, so the sum changes when any record is written.
    pub records: u64,
}

/// The result of the update of one table.
#[derive(Default)]
struct UpdatedTable {
    rows: BTreeMap<NaiveDate, u64>,
    records: u64,
}

/// How long to wait for other updates of the same table. An invocation may take 15 minutes.
const PATIENCE: Duration = Duration::from_mins(10);

/// Updates a table, or all tables, from the records of `range`. Idempotent.
///
/// # Errors
/// [`Error::Unavailable`] if others update the table for too long; [`Error::Athena`] if a statement fails; the errors of
/// Glue, and those of [`record::read`].
pub async fn update(lake: &Lake, table: Option<TableName>, range: DateRange) -> Result<Updated, Error> {
    invocation::record_days(range);
    // Otherwise the lists would lack days that older versions published without a record.
    migration::ensure(lake).await?;
    let mut updated = Updated {
        table,
        from: range.from(),
        to: range.to(),
        run: lake.run.clone(),
        partitions: 0,
        rows: 0,
        records: 0,
    };
    for table in table.map_or(TableName::ALL.to_vec(), |table| vec![table]) {
        let published = update_table(lake, table, range).await?;
        updated.partitions += published.rows.len() as u64;
        updated.rows += published.rows.values().sum::<u64>();
        updated.records += published.records;
    }
    Ok(updated)
}

async fn update_table(lake: &Lake, table: TableName, range: DateRange) -> Result<UpdatedTable, Error> {
    let database = lake.config.athena.database.as_str();
    partitions::create_database(lake, database).await?;
    let location = keys::uri(&lake.config.buckets.lake, &keys::table(table));
    athena::run(lake, &table.create_table_ddl(database, &location)).await?;
    if table == derived::PUBLISHED_LEASE {
        athena::run(lake, &derived::create_published_ddl(lake)).await?;
    }

    let holder = format!("{} of {table} for {range}", lease::CREATE_ATHENA_TABLE);
    let mut lease = Lease::take(lake, keys::catalog_lease(table), &holder, PATIENCE).await?;
    let done = under_lease(lake, &mut lease, table, range).await;
    // Also after an error, so that others need not wait for the lease to expire.
    lease.release().await?;
    done
}

async fn under_lease(
    lake: &Lake,
    lease: &mut Lease<'_>,
    table: TableName,
    range: DateRange,
) -> Result<UpdatedTable, Error> {
    add_columns(lake, lease, table).await?;
    let records = record::records(lease.reading(record::read_range(lake, range)).await?);
    let mut wanted = BTreeMap::new();
    let mut obsolete = Vec::new();
    let mut done = UpdatedTable::default();
    for (date, record) in &records {
        done.records += record.number;
        match (record.table(table), &record.published) {
            (Some(published), _) => {
                wanted.insert(Partition::from(*date), published.location.clone());
                done.rows.insert(*date, published.rows);
            }
            (None, Some(_)) => obsolete.push(Partition::from(*date)),
            (None, None) => {}
        }
    }
    let pointed = point(lake, lease, table, range, wanted, obsolete).await?;
    measure(lake, table, &records, &pointed);
    derived::update(lake, lease, table, range, &records).await?;
    Ok(done)
}

/// Appends the columns that were added to the definition of `table` since it was created. Its partitions keep theirs until they
/// are pointed at another run, which replaces their description by that of the table.
async fn add_columns(lake: &Lake, lease: &mut Lease<'_>, table: TableName) -> Result<(), Error> {
    let database = lake.config.athena.database.as_str();
    let found = lease.reading(lake::catalog::table(lake, database, table.as_str())).await?;
    let gone =
        || Error::refused(format!("updating the table {database}.{table}"), "TableGone", "somebody has dropped it");
    let columns = found.ok_or_else(gone)?.storage_descriptor.and_then(|files| files.columns).unwrap_or_default();
    let columns: Vec<(String, String)> =
        columns.into_iter().map(|column| (column.name, column.r#type.unwrap_or_default())).collect();
    let missing = missing_columns(table.columns(), &columns).map_err(|differing| {
        Error::refused(
            format!("updating the table {database}.{table}"),
            "TableColumnsDiffer",
            format!(
                "{differing}. If a newer version of pregao has changed the table, deploy that version. Otherwise create the \
                 table again, which removes no file: pregao query 'DROP TABLE {database}.{table}', then pregao recatalog"
            ),
        )
    })?;
    if missing.is_empty() {
        return Ok(());
    }
    let statement = add_columns_ddl(database, table.as_str(), missing);
    tracing::info!(statement, "the table gets the columns that were added to its definition");
    lease.within(athena::run(lake, &statement)).await.map(drop)
}

/// Reports what readers see newly: the rows and files of the partitions that were pointed at another run.
fn measure(lake: &Lake, table: TableName, records: &BTreeMap<NaiveDate, Record>, pointed: &[Partition]) {
    let published = pointed.iter().filter_map(|partition| records.get(&partition.date())?.table(table));
    let (rows, bytes) = published.fold((0, 0), |(rows, bytes), table| (rows + table.rows, bytes + table.bytes));
    let of_rows = match table {
        TableName::Quotes | TableName::Options => Metric::PublishedRows,
        TableName::Rejects => Metric::PublishedRejects,
    };
    if !pointed.is_empty() {
        lake.measure(&[(of_rows, rows as f64), (Metric::PublishedBytes, bytes as f64)]);
    }
}

/// Points partitions of `range` at the `wanted` folders, and removes the `obsolete` ones. Returns those that were pointed at another
/// folder.
async fn point(
    lake: &Lake,
    lease: &mut Lease<'_>,
    table: TableName,
    range: DateRange,
    wanted: BTreeMap<Partition, String>,
    obsolete: Vec<Partition>,
) -> Result<Vec<Partition>, Error> {
    let database = lake.config.athena.database.as_str();
    let existing = lease.reading(partitions::list_range(lake, database, table.as_str(), range)).await?;
    let differing: Vec<(Partition, String)> =
        wanted.into_iter().filter(|(partition, location)| existing.get(partition) != Some(location)).collect();
    for chunk in differing.chunks(partitions::PER_ROUND) {
        let chunk = chunk.iter().cloned().collect();
        lease.within(partitions::update(lake, database, table.as_str(), &existing, &chunk)).await?;
    }
    let obsolete: Vec<Partition> = obsolete.into_iter().filter(|partition| existing.contains_key(partition)).collect();
    for chunk in obsolete.chunks(partitions::PER_ROUND) {
        lease.within(partitions::remove(lake, database, table.as_str(), chunk)).await?;
    }
    Ok(differing.into_iter().map(|(partition, _)| partition).collect())
}
