//! Stage `published`: Athena answers with exactly the rows that the audit has seen.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use lake::quality::{Figures, Report};
use lake::{Error, Lake, partitions};
use market::partition::{DateRange, Partition};
use market::run::RunId;
use market::table::TableName;
use serde::Serialize;

use crate::figures;

/// A published table that is as it was audited.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confirmed {
    /// The table; none for all of them.
    pub table: Option<TableName>,
    /// The run whose rows it answers with.
    pub run: RunId,
    /// The first day of the range.
    pub from: NaiveDate,
    /// The last day of the range.
    pub to: NaiveDate,
    /// The partitions in the range that hold the run's rows.
    pub partitions: u64,
    /// These rows.
    pub rows: u64,
}

/// Holds the published table, or all of them, against the reports of the audit.
pub async fn confirm(lake: &Lake, table: Option<TableName>, run: RunId, range: DateRange) -> Result<Confirmed, Error> {
    let (mut partitions, mut rows) = (0, 0);
    for table in table.map_or(TableName::ALL.to_vec(), |table| vec![table]) {
        let audited = confirm_table(lake, table, &run, range).await?;
        partitions += audited.len() as u64;
        rows += audited.values().map(|figures| figures.rows).sum::<u64>();
    }
    Ok(Confirmed { table, run, from: range.from(), to: range.to(), partitions, rows })
}

/// Gives the figures of each day that the run published.
async fn confirm_table(
    lake: &Lake,
    table: TableName,
    run: &RunId,
    range: DateRange,
) -> Result<BTreeMap<NaiveDate, Figures>, Error> {
    let report = Report::passed(lake, run, table).await?;
    let audited: BTreeMap<NaiveDate, Figures> = report.days_in(range).map(|day| (day.date, day.figures)).collect();
    let database = lake.config.athena.database.as_str();
    let existing = partitions::list(lake, database, table.as_str()).await?;
    let mut wrong: Vec<String> = audited
        .keys()
        .filter(|date| !existing.contains(&Partition::from(**date)))
        .map(|date| format!("{date} has no partition"))
        .collect();
    if !audited.is_empty() {
        let found = figures::of_days(lake, database, table.as_str(), audited.keys().copied()).await?;
        wrong.extend(differences(&audited, &found));
    }
    if wrong.is_empty() {
        Ok(audited)
    } else {
        let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
        Err(Error::Quality(format!(
            "{database}.{table} does not answer with what run {run} wrote, on {} days: {shown}. \
             Another run may have published these days meanwhile",
            wrong.len()
        )))
    }
}

/// The days whose figures are others than were audited. A day without rows has none.
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
    fn any_figure_that_differs_is_told() {
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
