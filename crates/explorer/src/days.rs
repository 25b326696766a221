//! Which days are published. The catalog tells it, without reading any data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use lake::{Error, Lake, partitions};
use market::partition::Partition;
use market::table::TableName;

use crate::error::Failure;
use crate::remembered::Remembered;

/// For how long an answer is good: a view that asks ten questions at once has it asked once.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// The published days of each table, as they were a moment ago.
#[derive(Debug)]
pub struct Days(Remembered<TableName, BTreeSet<NaiveDate>>);

impl Default for Days {
    fn default() -> Self {
        Self(Remembered::new(GOOD_FOR))
    }
}

impl Days {
    /// The published days of a table; none where there is no table yet.
    pub async fn of(&self, lake: &Lake, table: TableName) -> Result<Arc<BTreeSet<NaiveDate>>, Error> {
        if let Some(days) = self.0.get(&table) {
            return Ok(days);
        }
        let days = match partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await {
            Ok(partitions) => partitions.into_keys().map(Partition::date).collect(),
            Err(error) if error.is_missing_table() => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        Ok(self.0.put(table, days))
    }
}

/// The days that a view asks for: `from` and `to`, both of them in it.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
pub struct Asked {
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

/// The most days that one question may cover: five years of them.
const MOST: usize = 1_300;

impl Asked {
    /// The published days among those asked for; where none are named, the latest `latest` of them.
    pub fn among(self, published: &BTreeSet<NaiveDate>, latest: usize) -> Result<Vec<NaiveDate>, Failure> {
        let first = |last: NaiveDate| published.range(..=last).rev().take(latest.max(1)).last().copied();
        let to = self.to.or(self.from).or_else(|| published.last().copied());
        let Some(to) = to else { return Ok(Vec::new()) };
        let from = self.from.or_else(|| first(to)).unwrap_or(to);
        if to < from {
            return Err(Failure::invalid(format!("{to}, the last day, is before {from}, the first"))
                .hint("Exchange the two dates."));
        }
        let days: Vec<NaiveDate> = published.range(from..=to).copied().collect();
        if days.len() > MOST {
            return Err(Failure::invalid(format!("{} days at once are too many", days.len()))
                .hint(format!("Ask for at most {MOST}.")));
        }
        Ok(days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn the_latest_days_are_shown_unless_others_are_named() {
        let published = ["2020-04-01", "2020-04-02", "2020-04-03", "2020-04-06"].map(day).into();
        let among = |from: Option<&str>, to: Option<&str>, latest| {
            let asked = Asked { from: from.map(day), to: to.map(day) };
            asked.among(&published, latest).map(|days| days.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(among(None, None, 2).ok(), Some(vec!["2020-04-03".into(), "2020-04-06".into()]));
        assert_eq!(among(None, Some("2020-04-05"), 1).ok(), Some(vec!["2020-04-03".into()]));
        assert_eq!(among(Some("2020-04-02"), None, 9).ok(), Some(vec!["2020-04-02".into()]));
        let three = vec!["2020-04-02".into(), "2020-04-03".into(), "2020-04-06".into()];
        assert_eq!(among(Some("2020-04-02"), Some("2020-12-31"), 1).ok(), Some(three));
        assert_eq!(among(Some("2021-01-01"), Some("2021-01-31"), 1).ok(), Some(vec![]));
        assert!(among(Some("2020-04-02"), Some("2020-04-01"), 1).is_err());
        assert_eq!(Asked::default().among(&BTreeSet::new(), 3).ok(), Some(vec![]));
    }
}
