//! The published days of each table, read from the catalog, and the selection of some of them by a request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use lake::{Lake, partitions};
use market::partition::Partition;
use market::table::TableName;
use moka::future::Cache;
use serde::Deserialize;

use crate::error::ApiError;

/// Long enough that the requests of one view share one catalog call, and short enough that a newly published day appears
/// when the page is reloaded.
const TIME_TO_LIVE: Duration = Duration::from_secs(5);

/// A TTL cache of the published days of each table. Concurrent requests share one catalog call (single flight).
#[derive(Debug)]
pub(crate) struct PublishedDays(Cache<TableName, Arc<BTreeSet<NaiveDate>>>);

impl Default for PublishedDays {
    fn default() -> Self {
        Self(Cache::builder().time_to_live(TIME_TO_LIVE).build())
    }
}

impl PublishedDays {
    /// Removes all entries.
    pub(crate) fn clear(&self) {
        self.0.invalidate_all();
    }

    /// Returns the published days of a table. The set is empty when the table does not exist.
    pub(crate) async fn get(&self, lake: &Lake, table: TableName) -> Result<Arc<BTreeSet<NaiveDate>>, ApiError> {
        Ok(self.0.try_get_with(table, async { read(lake, table).await.map(Arc::new) }).await?)
    }
}

async fn read(lake: &Lake, table: TableName) -> Result<BTreeSet<NaiveDate>, ApiError> {
    match partitions::list(lake, lake.config.athena.database.as_str(), table.as_str()).await {
        Ok(partitions) => Ok(partitions.into_keys().map(Partition::date).collect()),
        Err(error) if error.is_missing_table() => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

/// A requested date range, inclusive at both ends.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct DateRangeParams {
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

/// The most days that one request may select: about five years.
const MAX_DAYS: usize = 1_300;

impl DateRangeParams {
    /// Returns the published days in the range. Without `from` and `to`, these are the last `default_count` published
    /// days; with only `from`, it is that day; with only `to`, the last `default_count` published days up to it.
    pub(crate) fn select(
        self,
        published: &BTreeSet<NaiveDate>,
        default_count: usize,
    ) -> Result<Vec<NaiveDate>, ApiError> {
        let default_from = |to: NaiveDate| published.range(..=to).rev().take(default_count.max(1)).last().copied();
        let to = self.to.or(self.from).or_else(|| published.last().copied());
        let Some(to) = to else { return Ok(Vec::new()) };
        let from = self.from.or_else(|| default_from(to)).unwrap_or(to);
        if to < from {
            return Err(ApiError::invalid(format!("{to}, the last day, is before {from}, the first"))
                .hint("Exchange the two dates."));
        }
        let days: Vec<NaiveDate> = published.range(from..=to).copied().collect();
        if days.len() > MAX_DAYS {
            return Err(ApiError::invalid(format!("{} days at once are too many", days.len()))
                .hint(format!("Ask for at most {MAX_DAYS}.")));
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
        let select = |from: Option<&str>, to: Option<&str>, latest| {
            let params = DateRangeParams { from: from.map(day), to: to.map(day) };
            params.select(&published, latest).map(|days| days.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(select(None, None, 2).ok(), Some(vec!["2020-04-03".into(), "2020-04-06".into()]));
        assert_eq!(select(None, Some("2020-04-05"), 1).ok(), Some(vec!["2020-04-03".into()]));
        assert_eq!(select(Some("2020-04-02"), None, 9).ok(), Some(vec!["2020-04-02".into()]));
        let three = vec!["2020-04-02".into(), "2020-04-03".into(), "2020-04-06".into()];
        assert_eq!(select(Some("2020-04-02"), Some("2020-12-31"), 1).ok(), Some(three));
        assert_eq!(select(Some("2021-01-01"), Some("2021-01-31"), 1).ok(), Some(vec![]));
        assert!(select(Some("2020-04-02"), Some("2020-04-01"), 1).is_err());
        assert_eq!(DateRangeParams::default().select(&BTreeSet::new(), 3).ok(), Some(vec![]));
    }
}
