//! The instruments, and the underlyings of options, of a published day: for autocompletion and for similar names.
//!
//! The page completes names at every key that is pressed, and a query takes a second on AWS: so lists are cached.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use lake::Lake;
use market::table::TableName;
use moka::future::Cache;
use serde::Serialize;
use serde_json::Value;
use strsim::damerau_levenshtein;

use crate::error::ApiError;
use crate::statement::Statement;

/// A list changes only when its day is published again.
const TIME_TO_LIVE: Duration = Duration::from_mins(5);

/// The kind of names in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NameKind {
    /// Instruments of `quotes`, weighted by traded volume.
    Instruments,
    /// Underlyings of `options`, weighted by the number of their options.
    Underlyings,
}

impl NameKind {
    /// The table that contains the names.
    pub(crate) fn table(self) -> TableName {
        match self {
            NameKind::Instruments => TableName::Quotes,
            NameKind::Underlyings => TableName::Options,
        }
    }

    /// The column that contains the names.
    pub(crate) fn column(self) -> &'static str {
        match self {
            NameKind::Instruments => "ticker",
            NameKind::Underlyings => "optn_ua",
        }
    }

    /// The SQL expression by which names are ranked.
    fn weight(self) -> &'static str {
        match self {
            NameKind::Instruments => "max(total_volume)",
            NameKind::Underlyings => "count(DISTINCT ticker)",
        }
    }

    /// A SELECT of `columns` for each name of `day`, in descending order of weight.
    fn select_ranked(self, columns: &str, day: NaiveDate) -> Statement {
        let (column, weight) = (self.column(), self.weight());
        Statement::select(columns, self.table(), &[day])
            .and(&format!("{column} IS NOT NULL"))
            .then(&format!("GROUP BY {column}\nORDER BY {weight} DESC NULLS LAST, {column}"))
    }

    /// A subquery of the `count` names of `day` with the greatest weights, for the right side of an `IN`.
    pub(crate) fn top(self, day: NaiveDate, count: usize) -> String {
        format!("({})", self.select_ranked(self.column(), day).then(&format!("LIMIT {count}")).sql())
    }
}

/// A name with its weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RankedName {
    pub name: String,
    /// The traded volume of an instrument; the number of options of an underlying.
    pub weight: Value,
}

/// The names of a day, in descending order of weight.
#[derive(Debug, Default)]
pub(crate) struct NameList {
    /// `None` when no day is published.
    pub day: Option<NaiveDate>,
    names: Vec<RankedName>,
}

impl NameList {
    /// Returns up to `limit` names that contain `typed`, ignoring case: first those that begin with it.
    pub(crate) fn complete(&self, typed: &str, limit: usize) -> Vec<&RankedName> {
        let typed = typed.to_uppercase();
        let mut matches: Vec<&RankedName> = self.names.iter().filter(|ranked| ranked.name.contains(&typed)).collect();
        // The sort is stable: names of the same kind stay in the order of their weights.
        matches.sort_by_key(|ranked| Reverse(ranked.name.starts_with(&typed)));
        matches.truncate(limit);
        matches
    }

    /// Returns up to `limit` names that are similar to `name`, in ascending order of their Damerau-Levenshtein distance.
    pub(crate) fn nearest(&self, name: &str, limit: usize) -> Vec<&str> {
        let name = name.to_uppercase();
        let distance = |ranked: &RankedName| damerau_levenshtein(&name, &ranked.name);
        let max_distance = name.chars().count().div_ceil(3);
        let mut similar: Vec<(usize, &str)> = self
            .names
            .iter()
            .map(|ranked| (distance(ranked), ranked.name.as_str()))
            .filter(|(distance, _)| *distance <= max_distance)
            .collect();
        similar.sort_by_key(|(distance, _)| *distance);
        similar.into_iter().take(limit).map(|(_, name)| name).collect()
    }
}

/// A TTL cache of the lists. Concurrent requests for a list share one query (single flight).
#[derive(Debug)]
pub(crate) struct NameLists(Cache<(NameKind, NaiveDate), Arc<NameList>>);

impl Default for NameLists {
    fn default() -> Self {
        Self(Cache::builder().time_to_live(TIME_TO_LIVE).build())
    }
}

impl NameLists {
    /// Removes all lists.
    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Returns the list of a published day.
    pub(crate) async fn get(&self, lake: &Lake, kind: NameKind, day: NaiveDate) -> Result<Arc<NameList>, ApiError> {
        Ok(self.0.try_get_with((kind, day), async { query(lake, kind, day).await.map(Arc::new) }).await?)
    }
}

async fn query(lake: &Lake, kind: NameKind, day: NaiveDate) -> Result<NameList, ApiError> {
    let columns = format!("{}, {} AS weight", kind.column(), kind.weight());
    let answer = kind.select_ranked(&columns, day).run(lake).await?;
    let weight = |cell: Option<&str>| answer.columns[1].json(cell);
    let names = answer.rows.iter().filter_map(|row| match row.as_slice() {
        [Some(name), cell] => Some(RankedName { name: name.clone(), weight: weight(cell.as_deref()) }),
        _ => None,
    });
    Ok(NameList { day: Some(day), names: names.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> NameList {
        let names = ["ITUB4", "PETR4", "VALE3", "PETR3", "PETRD14", "SPET11", "PERT9"];
        let names = names.map(|name| RankedName { name: name.to_owned(), weight: Value::Null }).to_vec();
        NameList { day: None, names }
    }

    #[test]
    fn those_that_begin_so_come_first_by_weight() {
        let list = list();
        let names =
            |typed, most| list.complete(typed, most).iter().map(|ranked| ranked.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names("pet", 9), ["PETR4", "PETR3", "PETRD14", "SPET11"]);
        assert_eq!(names("", 2), ["ITUB4", "PETR4"]);
        assert!(names("XYZ", 9).is_empty());
    }

    #[test]
    fn exchanged_letters_are_near() {
        assert_eq!(list().nearest("pter4", 2), ["PETR4", "PETR3"]);
        assert_eq!(list().nearest("VALE5", 1), ["VALE3"]);
        assert!(list().nearest("1234567890", 3).is_empty());
    }
}
