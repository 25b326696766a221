//! What there is to choose from: the instruments, and the underlyings of options, of the latest published day.
//!
//! Suggestions are asked for at every key that is pressed, and a query takes a second on AWS: so the list is kept a while.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use market::table::TableName;
use serde::Serialize;
use serde_json::Value;
use strsim::damerau_levenshtein;

use crate::app::App;
use crate::error::Failure;
use crate::remembered::Remembered;
use crate::statement::Statement;

/// For how long a list is good.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// What there is a list of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Instruments of `quotes`, by the volume that was traded in them.
    Instruments,
    /// Underlyings of `options`, by the number of their options.
    Underlyings,
}

impl Subject {
    /// The table that they are in.
    pub fn table(self) -> TableName {
        match self {
            Subject::Instruments => TableName::Quotes,
            Subject::Underlyings => TableName::Options,
        }
    }

    /// The column of their names.
    pub fn column(self) -> &'static str {
        match self {
            Subject::Instruments => "ticker",
            Subject::Underlyings => "optn_ua",
        }
    }

    /// What puts the ones that are asked for most in front.
    pub fn weight(self) -> &'static str {
        match self {
            Subject::Instruments => "max(total_volume)",
            Subject::Underlyings => "count(DISTINCT ticker)",
        }
    }

    /// `columns` of each of them on `day`, those with the most weight in front.
    fn ranked(self, columns: &str, day: NaiveDate) -> Statement {
        let (column, weight) = (self.column(), self.weight());
        Statement::of(columns, self.table(), &[day])
            .and(&format!("{column} IS NOT NULL"))
            .then(&format!("GROUP BY {column}\nORDER BY {weight} DESC NULLS LAST, {column}"))
    }

    /// All of them, with their weights.
    fn statement(self, day: NaiveDate) -> Statement {
        self.ranked(&format!("{}, {} AS weight", self.column(), self.weight()), day)
    }

    /// Those with the most weight on `day`, as the right side of an `IN`.
    pub fn first(self, day: NaiveDate, count: usize) -> String {
        format!("({})", self.ranked(self.column(), day).then(&format!("LIMIT {count}")).sql())
    }
}

/// One of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    pub name: String,
    /// What [`Subject::weight`] says.
    pub weight: Value,
}

/// What there was on a day, in the order of its weight.
#[derive(Debug, Default)]
pub struct Listing {
    pub day: Option<NaiveDate>,
    listed: Vec<Listed>,
}

impl Listing {
    /// Those that begin with what is typed, then those that have it in them.
    pub fn suggest(&self, typed: &str, most: usize) -> Vec<&Listed> {
        let typed = typed.to_uppercase();
        let mut fit: Vec<&Listed> = self.listed.iter().filter(|listed| listed.name.contains(&typed)).collect();
        // A stable sort: within the two kinds the weight decides.
        fit.sort_by_key(|listed| Reverse(listed.name.starts_with(&typed)));
        fit.truncate(most);
        fit
    }

    /// Those whose names differ least from `name`: by few letters that are wrong, missing, or exchanged.
    pub fn nearest(&self, name: &str, most: usize) -> Vec<&str> {
        let name = name.to_uppercase();
        let distance = |listed: &Listed| damerau_levenshtein(&name, &listed.name);
        let near = name.chars().count().div_ceil(3);
        let mut close: Vec<(usize, &str)> = self
            .listed
            .iter()
            .map(|listed| (distance(listed), listed.name.as_str()))
            .filter(|(distance, _)| *distance <= near)
            .collect();
        close.sort_by_key(|(distance, _)| *distance);
        close.into_iter().take(most).map(|(_, name)| name).collect()
    }
}

/// The lists of days, as they were a while ago.
#[derive(Debug)]
pub struct Listings(Remembered<(Subject, NaiveDate), Listing>);

impl Default for Listings {
    fn default() -> Self {
        Self(Remembered::new(GOOD_FOR))
    }
}

impl Listings {
    /// The list of the latest published day; an empty one where nothing is published.
    pub async fn latest(&self, app: &App, subject: Subject) -> Result<Arc<Listing>, Failure> {
        let Some(day) = app.days.of(&app.lake, subject.table()).await?.last().copied() else {
            return Ok(Arc::default());
        };
        if let Some(listing) = self.0.get(&(subject, day)) {
            return Ok(listing);
        }
        let answer = app.ask(&subject.statement(day)).await?;
        let weight = |cell: Option<&str>| answer.columns[1].json(cell);
        let listed = answer.rows.iter().filter_map(|row| match row.as_slice() {
            [Some(name), cell] => Some(Listed { name: name.clone(), weight: weight(cell.as_deref()) }),
            _ => None,
        });
        Ok(self.0.put((subject, day), Listing { day: Some(day), listed: listed.collect() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let names = ["ITUB4", "PETR4", "VALE3", "PETR3", "PETRD14", "SPET11", "PERT9"];
        let listed = names.map(|name| Listed { name: name.to_owned(), weight: Value::Null }).to_vec();
        Listing { day: None, listed }
    }

    #[test]
    fn those_that_begin_so_come_first_by_weight() {
        let listing = listing();
        let names = |typed, most| listing.suggest(typed, most).iter().map(|l| l.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names("pet", 9), ["PETR4", "PETR3", "PETRD14", "SPET11"]);
        assert_eq!(names("", 2), ["ITUB4", "PETR4"]);
        assert!(names("XYZ", 9).is_empty());
    }

    #[test]
    fn exchanged_letters_are_near() {
        assert_eq!(listing().nearest("pter4", 2), ["PETR4", "PETR3"]);
        assert_eq!(listing().nearest("VALE5", 1), ["VALE3"]);
        assert!(listing().nearest("1234567890", 3).is_empty());
    }
}
