//! The tables as Athena returns them: digests of the rows of a day, their paths, and the rows whose numbers are known.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use lake::athena::{self, Page, Query};
use lake::{Error, Lake, partitions};
use market::snapshot::SnapshotTime;
use market::table::TableName;
use sha2::{Digest as _, Sha256};

use super::files::{Numbers, PUBLISHED};

/// The rows of a table on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableDigest {
    pub rows: usize,
    /// SHA-256 of the sorted rows in hexadecimal. It depends on their cells, and not on their order.
    pub digest: String,
}

/// The rows of all tables on some days.
#[derive(Debug, Clone, Default)]
pub(super) struct Digests {
    pub tables: BTreeMap<(NaiveDate, TableName), TableDigest>,
    /// The ids of the queries.
    pub queries: Vec<String>,
    /// Bytes that Athena scanned.
    pub scanned: u64,
}

/// Queries all rows of these days, and returns their digests.
///
/// # Errors
/// Whatever Athena refuses.
pub(super) async fn digests(lake: &Lake, days: &[NaiveDate]) -> Result<Digests, Error> {
    let mut digests = Digests::default();
    for day in days {
        for table in TableName::ALL {
            let condition = partitions::condition([*day]);
            let statement = format!("SELECT * FROM {table} WHERE {condition}");
            let query = Query::start(lake, &statement, lake.config.athena.database.as_str()).await?;
            let finished = query.finished().await?;
            let (mut pages, mut digest) = (query.pages(&finished), RowsDigest::default());
            while let Some(page) = pages.next().await? {
                digest.push(&page);
            }
            digests.tables.insert((*day, table), digest.finish());
            digests.queries.push(query.id().to_owned());
            digests.scanned += finished.scanned_bytes;
        }
    }
    Ok(digests)
}

/// The digests of rows, page by page.
#[derive(Default)]
struct RowsDigest {
    names: Vec<Option<String>>,
    rows: Vec<[u8; 32]>,
}

impl RowsDigest {
    fn push(&mut self, page: &Page) {
        self.names = page.columns.iter().map(|column| Some(column.name.clone())).collect();
        self.rows.extend(page.rows.iter().map(|row| row_digest(row)));
    }

    fn finish(mut self) -> TableDigest {
        self.rows.sort_unstable();
        let mut all = Sha256::new_with_prefix(row_digest(&self.names));
        self.rows.iter().for_each(|row| all.update(row));
        TableDigest { rows: self.rows.len(), digest: hex::encode(all.finalize()) }
    }
}

/// The digest of a row. A NULL differs from an empty text, and cells do not run into each other.
fn row_digest(cells: &[Option<String>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for cell in cells {
        match cell {
            None => digest.update([0]),
            Some(text) => {
                digest.update([1]);
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text.as_bytes());
            }
        }
    }
    digest.finalize().into()
}

/// The runs whose files the rows of each table come from, by the paths of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    pub runs: BTreeMap<TableName, BTreeSet<String>>,
    pub queries: Vec<String>,
}

/// Queries the paths of the rows of a day.
///
/// # Errors
/// Whatever Athena refuses.
pub(super) async fn origins(lake: &Lake, day: NaiveDate) -> Result<Origins, Error> {
    let mut origins = Origins::default();
    for table in TableName::ALL {
        let condition = partitions::condition([day]);
        let statement = format!("SELECT DISTINCT \"$path\" AS path FROM {table} WHERE {condition}");
        let found = athena::run(lake, &statement).await?;
        let paths = found.rows.iter().filter_map(|row| row.first()?.as_deref());
        origins.runs.insert(table, paths.map(run_of).collect());
        origins.queries.push(found.query);
    }
    Ok(origins)
}

/// Returns the run in the path of a file; the whole path if it names none.
fn run_of(path: &str) -> String {
    path.split('/').find_map(|part| part.strip_prefix("run=")).unwrap_or(path).to_owned()
}

/// The rows of a snapshot of `quotes`, by ticker.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Each ticker with its numbers. A cell that is not a number is an error.
    pub rows: Vec<(String, Result<Numbers, String>)>,
    pub query: String,
}

/// Queries the rows of a snapshot.
///
/// # Errors
/// Whatever Athena refuses.
pub(super) async fn rows(lake: &Lake, snapshot: SnapshotTime) -> Result<Rows, Error> {
    let columns: Vec<String> = PUBLISHED.iter().map(|column| format!("\"{column}\"")).collect();
    let condition = partitions::condition([snapshot.date()]);
    let statement = format!(
        "SELECT ticker, {} FROM quotes WHERE {condition} AND intdate = {snapshot} ORDER BY ticker",
        columns.join(", ")
    );
    let found = athena::run(lake, &statement).await?;
    let rows = found.rows.into_iter().map(|row| {
        let (ticker, cells) = row.split_first().map(|(first, rest)| (first.clone(), rest)).unwrap_or_default();
        (ticker.unwrap_or_default(), numbers(cells))
    });
    Ok(Rows { rows: rows.collect(), query: found.query })
}

fn numbers(cells: &[Option<String>]) -> Result<Numbers, String> {
    let mut numbers = [None; PUBLISHED.len()];
    if cells.len() != numbers.len() {
        return Err(format!("{} cells instead of {}", cells.len(), numbers.len()));
    }
    for (number, (cell, column)) in numbers.iter_mut().zip(cells.iter().zip(PUBLISHED)) {
        if let Some(text) = cell {
            *number = Some(text.parse().map_err(|_| format!("{column} is {text:?}, which is no number"))?);
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use lake::athena::Column;

    use super::*;

    /// The digest of rows that come in pages of one row.
    fn digest(rows: &[&[Option<&str>]]) -> TableDigest {
        let mut digest = RowsDigest::default();
        for row in rows {
            let columns = vec![Column { name: "a".to_owned(), ty: "varchar".to_owned() }; 2];
            let cells = row.iter().map(|cell| cell.map(str::to_owned)).collect();
            digest.push(&Page { columns, rows: vec![cells] });
        }
        digest.finish()
    }

    #[test]
    fn a_digest_depends_on_every_cell_and_not_on_the_order() {
        let (one, other): (&[_], &[_]) = (&[Some("a"), Some("b")], &[Some("c"), None]);
        let both = digest(&[one, other]);
        assert_eq!(both.rows, 2);
        assert_eq!(both, digest(&[other, one]));
        let differing: [&[&[Option<&str>]]; 6] = [
            &[one],
            &[one, other, other],
            &[one, &[Some("c"), Some("")]],
            &[&[Some("ab"), Some("")], other],
            &[&[Some("a"), Some("B")], other],
            &[&[Some("b"), Some("a")], other],
        ];
        for rows in differing {
            assert_ne!(digest(rows).digest, both.digest, "{rows:?}");
        }
    }

    #[test]
    fn the_run_is_in_the_path() {
        assert_eq!(run_of("s3://lake/runs/run=smoke-a_1/quotes/year=1990/month=7/day=2/part-0.parquet"), "smoke-a_1");
        assert_eq!(run_of("s3://lake/quotes/x.parquet"), "s3://lake/quotes/x.parquet");
    }

    #[test]
    fn cells_are_numbers_or_null() {
        let mut cells = vec![Some("12.1".to_owned()); PUBLISHED.len()];
        cells[1] = None;
        let found = numbers(&cells).expect("numbers");
        assert_eq!((found[0], found[1]), (Some(12.1), None));
        assert!(numbers(&cells[1..]).is_err());
        cells[2] = Some("12,1".to_owned());
        assert_eq!(numbers(&cells), Err("max is \"12,1\", which is no number".to_owned()));
    }
}
