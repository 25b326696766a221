//! The state that all request handlers share: the lake, and caches of what was read from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use lake::Lake;
use market::table::TableName;

use crate::error::ApiError;
use crate::execution_cache::ExecutionCache;
use crate::freshness::{Freshness, FreshnessCache};
use crate::name_lists::{NameKind, NameList, NameLists};
use crate::published_days::PublishedDays;

/// The state of the server.
#[derive(Debug)]
pub(crate) struct App {
    pub lake: Lake,
    /// The beginning of a command on the same lake: `pregao`, with the options that select the lake.
    pub program: String,
    pub executions: ExecutionCache,
    published_days: PublishedDays,
    name_lists: NameLists,
    freshness: FreshnessCache,
}

impl App {
    pub(crate) fn new(lake: Lake, program: String) -> Self {
        Self {
            lake,
            program,
            executions: ExecutionCache::default(),
            published_days: PublishedDays::default(),
            name_lists: NameLists::default(),
            freshness: FreshnessCache::default(),
        }
    }

    /// Returns the state of what is published. If it has changed, empties the caches of what was published before.
    pub(crate) async fn freshness(&self) -> Result<Freshness, ApiError> {
        let (freshness, changed) = self.freshness.get(&self.lake).await?;
        if changed {
            self.published_days.clear();
            self.name_lists.clear();
        }
        Ok(freshness)
    }

    /// Returns the published days of a table. The set is empty when the table does not exist.
    pub(crate) async fn published_days(&self, table: TableName) -> Result<Arc<BTreeSet<NaiveDate>>, ApiError> {
        self.published_days.get(&self.lake, table).await
    }

    /// Returns the names on the latest published day. The list is empty when no day is published.
    pub(crate) async fn latest_names(&self, kind: NameKind) -> Result<Arc<NameList>, ApiError> {
        match self.published_days(kind.table()).await?.last() {
            Some(day) => self.name_lists.get(&self.lake, kind, *day).await,
            None => Ok(Arc::default()),
        }
    }
}
