//! Queries statistics of each day of a table, by which the staged and the published table are compared.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use lake::athena::{self, QueryResult};
use lake::quality::Figures;
use lake::{Error, Lake, partitions};

/// Queries the figures of `days` of a table. The result has no entry for days without rows.
pub(crate) async fn query(
    lake: &Lake,
    database: &str,
    table: &str,
    days: impl IntoIterator<Item = NaiveDate>,
) -> Result<BTreeMap<NaiveDate, Figures>, Error> {
    let statement = format!(
        "SELECT year, month, day, count(*) AS row_count, count(DISTINCT ticker) AS tickers, \
         min(intdate) AS first_intdate, max(intdate) AS last_intdate\n\
         FROM \"{table}\"\n\
         WHERE {}\n\
         GROUP BY year, month, day",
        partitions::condition(days)
    );
    let result = athena::run_in(lake, database, &statement).await?;
    let figures = rows_by_day(&result, |row| {
        Ok(Figures {
            rows: row.number(3)?.unwrap_or_default(),
            tickers: row.number(4)?.unwrap_or_default(),
            first: row.number(5)?,
            last: row.number(6)?,
        })
    });
    Ok(figures?.into_iter().collect())
}

/// Converts the rows of a result whose first three columns are year, month and day.
pub(crate) fn rows_by_day<T>(
    result: &QueryResult,
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<(NaiveDate, T)>, Error> {
    let rows = result.rows.iter().map(|cells| Row { result, cells });
    rows.map(|row| Ok((row.date()?, read(&row)?))).collect()
}

/// One row of a result.
pub(crate) struct Row<'a> {
    result: &'a QueryResult,
    cells: &'a [Option<String>],
}

impl Row<'_> {
    /// Returns the number in column `at`, or `None` for NULL.
    pub(crate) fn number<N: std::str::FromStr>(&self, at: usize) -> Result<Option<N>, Error> {
        let text = self.cells.get(at).and_then(Option::as_deref);
        text.map(|text| text.parse().map_err(|_| self.unexpected())).transpose()
    }

    /// Returns the count in column `at`, which is never NULL.
    pub(crate) fn count(&self, at: usize) -> Result<u64, Error> {
        self.number(at)?.ok_or_else(|| self.unexpected())
    }

    /// Returns the text in column `at`, or an empty text for NULL.
    pub(crate) fn text(&self, at: usize) -> String {
        self.cells.get(at).cloned().flatten().unwrap_or_default()
    }

    fn date(&self) -> Result<NaiveDate, Error> {
        let (year, month, day) = (self.number(0)?, self.number(1)?, self.number(2)?);
        let date = year.zip(month).zip(day).and_then(|((y, m), d)| NaiveDate::from_ymd_opt(y, m, d));
        date.ok_or_else(|| self.unexpected())
    }

    fn unexpected(&self) -> Error {
        Error::Athena {
            query: self.result.query.clone(),
            state: "SUCCEEDED".to_owned(),
            reason: format!("with an unexpected row: {:?}", self.cells),
            statement: "statistics of the days of a table".to_owned(),
            retryable: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(cells: &[Option<&str>]) -> QueryResult {
        let rows = vec![cells.iter().map(|cell| cell.map(str::to_owned)).collect()];
        QueryResult { query: "q".to_owned(), columns: Vec::new(), rows, scanned_bytes: 0 }
    }

    #[test]
    fn rows_are_read_by_their_day() {
        let result = result(&[Some("2020"), Some("4"), Some("1"), Some("7"), None]);
        let read = rows_by_day(&result, |row| Ok((row.number::<u64>(3)?, row.number::<u64>(4)?)));
        let day = NaiveDate::from_ymd_opt(2020, 4, 1).expect("a day");
        assert_eq!(read.expect("a row"), [(day, (Some(7), None))]);
        assert_eq!(rows_by_day(&result, |row| row.count(3)).expect("a row"), [(day, 7)]);
        for at in [4, 5] {
            assert!(rows_by_day(&result, |row| row.count(at)).is_err(), "a count that is not there is not zero");
        }
    }

    #[test]
    fn what_is_no_day_or_number_is_an_error() {
        for cells in [
            [Some("2020"), Some("4"), Some("31"), Some("7")],
            [Some("2020"), None, Some("1"), Some("7")],
            [Some("2020"), Some("4"), Some("1"), Some("7.5")],
        ] {
            let result = result(&cells);
            assert!(rows_by_day(&result, |row| row.number::<u64>(3)).is_err(), "{cells:?}");
            assert!(rows_by_day(&result, |row| row.count(3)).is_err(), "{cells:?}");
        }
    }
}
