//! Of an instrument or an underlying that is not on the days asked for: on which days it is, and what is called like it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use lake::athena::QueryResult;
use market::partition::Partition;
use serde::Serialize;

use crate::app::App;
use crate::error::Failure;
use crate::listing::Subject;
use crate::statement::{Statement, literals};

/// How many of the latest days are looked through: a year.
const DAYS_SEARCHED: usize = 250;
/// How many similar names are told.
const NEAREST: usize = 5;

/// One that is not there.
#[derive(Debug, Serialize)]
pub struct Absent {
    pub name: String,
    /// The days on which it is, among the latest `searched` published ones.
    pub days: BTreeSet<NaiveDate>,
    pub searched: usize,
    /// Those of the latest day with a name like it.
    pub nearest: Vec<String>,
}

/// Looks for `names`; with the statement that was asked for it, and its answer.
pub async fn search(
    app: &App,
    subject: Subject,
    published: &BTreeSet<NaiveDate>,
    names: &[&str],
) -> Result<(Statement, QueryResult, Vec<Absent>), Failure> {
    let days: Vec<NaiveDate> = published.iter().rev().take(DAYS_SEARCHED).copied().collect();
    let column = subject.column();
    let statement = Statement::of(&format!("DISTINCT {column}, year, month, day"), subject.table(), &days)
        .and(&format!("{column} IN {}", literals(names.iter().copied())));
    let asked = async { app.ask(&statement).await.map_err(Failure::from) };
    let (answer, listing) = futures::try_join!(asked, app.listings.latest(app, subject))?;
    let on = |name: &str| {
        let rows = answer.rows.iter().filter(|row| row[0].as_deref() == Some(name));
        rows.filter_map(|row| day(&row[1..])).collect()
    };
    let absent = names
        .iter()
        .map(|name| Absent {
            name: (*name).to_owned(),
            days: on(name),
            searched: days.len(),
            nearest: listing.nearest(name, NEAREST).into_iter().map(str::to_owned).collect(),
        })
        .collect();
    Ok((statement, answer, absent))
}

/// A row's cells of `year`, `month` and `day` as a date.
fn day(cells: &[Option<String>]) -> Option<NaiveDate> {
    let [year, month, day] = cells else { return None };
    let text = format!("year={}/month={}/day={}", year.as_ref()?, month.as_ref()?, day.as_ref()?);
    text.parse().ok().map(|partition: Partition| partition.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_day() {
        let cells = ["2020", "4", "1"].map(|text| Some(text.to_owned()));
        assert_eq!(day(&cells).map(|day| day.to_string()).as_deref(), Some("2020-04-01"));
        assert_eq!(day(&cells[1..]), None);
    }
}
