//! Stage `published`: verifies that Athena returns the rows that were audited.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use lake::quality::{Figures, Report};
use lake::record::{self, Stored};
use lake::{Error, Lake, invocation, partitions};
use market::partition::{DateRange, Partition};
use market::table::TableName;
use serde::Serialize;

use crate::day_stats;

/// Published days that are as they were audited.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confirmed {
    /// The table; `None` for all of them.
    pub table: Option<TableName>,
    /// The first day of the range.
    pub from: NaiveDate,
    /// The last day of the range.
    pub to: NaiveDate,
    /// The number of published partitions in the range.
    pub partitions: u64,
    /// The number of their rows.
    pub rows: u64,
}

/// Compares the published table, or all tables, with the reports of the runs that the records name.
///
/// `applied` identifies the records that the catalog was updated to: the sum of their numbers, added up over the tables.
///
/// # Errors
/// [`Error::RecordChanged`] if a table differs, and records were written since the catalog was updated: update it again.
/// [`Error::Quality`] if a table differs from its records.
pub(crate) async fn confirm(
    lake: &Lake,
    table: Option<TableName>,
    range: DateRange,
    applied: Option<u64>,
) -> Result<Confirmed, Error> {
    invocation::record_days(range);
    let (mut partitions, mut rows) = (0, 0);
    let tables = table.map_or(TableName::ALL.to_vec(), |table| vec![table]);
    let applied = applied.map(|sum| sum / tables.len() as u64);
    for table in tables {
        let audited = confirm_table(lake, table, range, applied).await?;
        partitions += audited.len() as u64;
        rows += audited.values().map(|figures| figures.rows).sum::<u64>();
    }
    Ok(Confirmed { table, from: range.from(), to: range.to(), partitions, rows })
}

/// Compares one table, and returns the audited figures of each published day.
async fn confirm_table(
    lake: &Lake,
    table: TableName,
    range: DateRange,
    applied: Option<u64>,
) -> Result<BTreeMap<NaiveDate, Figures>, Error> {
    let records = record::read_range(lake, range).await?;
    let audited = audited(lake, table, &records).await?;
    let database = lake.config.athena.database.as_str();
    let existing = partitions::list_range(lake, database, table.as_str(), range).await?;
    let mut wrong: Vec<String> = audited
        .keys()
        .filter(|date| !existing.contains_key(&Partition::from(**date)))
        .map(|date| format!("{date} has no partition"))
        .collect();
    if !audited.is_empty() {
        let found = day_stats::query(lake, database, table.as_str(), audited.keys().copied()).await?;
        wrong.extend(differences(&audited, &found));
    }
    if wrong.is_empty() {
        return Ok(audited);
    }
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
    let message = format!(
        "{database}.{table} differs from what the records of {range} say is published, on {} days: {shown}",
        wrong.len()
    );
    // The catalog follows the records. A run that wrote a record may not have updated the catalog yet, and may never do so.
    let now = record::read_range(lake, range).await?;
    let sum: u64 = now.values().map(|stored| stored.record.number).sum();
    if applied.is_some_and(|applied| applied != sum) {
        return Err(Error::RecordChanged(message));
    }
    // Also without `applied`: a record that was written meanwhile explains the difference, so the caller retries.
    if now != records {
        return Err(Error::unavailable("comparing Athena with the records", message));
    }
    Err(Error::Quality(format!(
        "{message}. Start athena_update for these days; then pregao verify says what is damaged"
    )))
}

/// Returns the figures of each published day, from the reports that the records name.
async fn audited(
    lake: &Lake,
    table: TableName,
    records: &BTreeMap<NaiveDate, Stored>,
) -> Result<BTreeMap<NaiveDate, Figures>, Error> {
    let mut reports: BTreeMap<&str, BTreeSet<NaiveDate>> = BTreeMap::new();
    for (date, stored) in records {
        let published = stored.record.published.as_ref();
        if let Some(published) = published.and_then(|published| published.tables.get(&table)) {
            reports.entry(&published.report).or_default().insert(*date);
        }
    }
    let mut audited = BTreeMap::new();
    for (uri, days) in reports {
        let report = Report::passed(lake, uri, days.iter().copied()).await?;
        audited
            .extend(report.days.into_iter().filter(|day| days.contains(&day.date)).map(|day| (day.date, day.figures)));
    }
    Ok(audited)
}

/// Describes the days whose figures differ from the audited ones. A query returns nothing for a day without rows.
fn differences(audited: &BTreeMap<NaiveDate, Figures>, found: &BTreeMap<NaiveDate, Figures>) -> Vec<String> {
    let differs = audited.iter().filter_map(|(date, audited)| {
        let found = found.get(date).copied().unwrap_or_default();
        (found != *audited).then(|| {
            format!(
                "{date} has {} rows and {} tickers where {} and {} were audited",
                found.rows, found.tickers, audited.rows, audited.tickers
            )
        })
    });
    differs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_figure_that_differs_is_reported() {
        let date = NaiveDate::from_ymd_opt(2020, 4, 1).expect("a day");
        let figures = Figures { rows: 7, tickers: 2, first: Some(202004011000), last: Some(202004011650) };
        let of = |figures: Figures| BTreeMap::from([(date, figures)]);
        assert!(differences(&of(figures), &of(figures)).is_empty());
        assert!(differences(&of(Figures::default()), &BTreeMap::new()).is_empty(), "no rows and no answer");
        for other in [
            Figures { rows: 8, ..figures },
            Figures { tickers: 1, ..figures },
            Figures { first: Some(202004011010), ..figures },
            Figures { last: None, ..figures },
        ] {
            assert_eq!(differences(&of(figures), &of(other)).len(), 1, "{other:?}");
        }
        assert_eq!(
            differences(&of(figures), &BTreeMap::new()),
            ["2020-04-01 has 0 rows and 0 tickers where 7 and 2 were audited"]
        );
    }
}
