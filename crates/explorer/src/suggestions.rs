//! Suggestions for an instrument or underlying that was not found in the requested days: days on which it exists, and
//! similar names.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use lake::athena::QueryResult;
use market::partition::Partition;
use serde::Serialize;

use crate::app::App;
use crate::error::ApiError;
use crate::name_lists::NameKind;
use crate::statement::{Statement, literals};

/// The number of latest published days that are searched: about a year.
const DAYS_SEARCHED: usize = 250;
/// The most similar names that are suggested.
const MAX_SIMILAR: usize = 5;

/// Suggestions for one name.
#[derive(Debug, Serialize)]
pub(crate) struct Suggestions {
    /// The name that was not found.
    pub name: String,
    /// The days on which it exists, among the latest `searched` published days.
    pub days: BTreeSet<NaiveDate>,
    pub searched: usize,
    /// Similar names of the latest published day, the most similar first.
    pub nearest: Vec<String>,
}

/// Searches the latest published days for `names`. Returns the statement, its result, and the suggestions for each name.
pub(crate) async fn search(
    app: &App,
    kind: NameKind,
    published: &BTreeSet<NaiveDate>,
    names: &[&str],
) -> Result<(Statement, QueryResult, Vec<Suggestions>), ApiError> {
    let days: Vec<NaiveDate> = published.iter().rev().take(DAYS_SEARCHED).copied().collect();
    let column = kind.column();
    let statement = Statement::select(&format!("DISTINCT {column}, year, month, day"), kind.table(), &days)
        .and(&format!("{column} IN {}", literals(names.iter().copied())));
    let (answer, latest) = futures::try_join!(statement.run(&app.lake), app.latest_names(kind))?;
    let days_of = |name: &str| {
        let rows = answer.rows.iter().filter(|row| row[0].as_deref() == Some(name));
        rows.filter_map(|row| date(&row[1..])).collect()
    };
    let suggestions = names
        .iter()
        .map(|name| Suggestions {
            name: (*name).to_owned(),
            days: days_of(name),
            searched: days.len(),
            nearest: latest.nearest(name, MAX_SIMILAR).into_iter().map(str::to_owned).collect(),
        })
        .collect();
    Ok((statement, answer, suggestions))
}

/// Parses the cells of `year`, `month` and `day` as a date.
fn date(cells: &[Option<String>]) -> Option<NaiveDate> {
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
        assert_eq!(date(&cells).map(|date| date.to_string()).as_deref(), Some("2020-04-01"));
        assert_eq!(date(&cells[1..]), None);
    }
}
