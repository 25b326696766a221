//! Keyset pagination of the JSON services' listings. A token is the key of the last row of a page (an event's id, a table's
//! name), and the next page begins after it: a row that is inserted or deleted between two pages neither repeats nor skips
//! another one.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

/// A requested page of rows that are ordered by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest<K> {
    limit: u32,
    after: Option<K>,
}

impl<K: FromStr + Display> PageRequest<K> {
    /// Requests a page of `limit` rows, or `default` ones, after the key in `token`.
    ///
    /// # Errors
    /// A message with the invalid argument.
    pub(crate) fn new(
        limit: Option<u32>,
        default: u32,
        max: u32,
        token: Option<&str>,
    ) -> Result<PageRequest<K>, String> {
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(default);
        if limit > max {
            return Err(format!("a page has at most {max} rows, not {limit}"));
        }
        let key = |token: &str| token.strip_prefix("after-").and_then(|key| key.parse().ok());
        let after = token.map(|token| key(token).ok_or_else(|| format!("Invalid Token: '{token}'"))).transpose()?;
        Ok(PageRequest { limit, after })
    }

    /// The number of rows to query: one more than the page has, to know whether others follow.
    pub(crate) fn query_limit(&self) -> u32 {
        self.limit + 1
    }

    /// The key of the last row of the page before. `None` for the first page.
    pub(crate) fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// Returns the output of the operation: the rows under the member `list`, and a token under `token` if others follow. `rows`
    /// are the queried ones, at most [`PageRequest::query_limit`], each with its key.
    pub(crate) fn into_output(self, list: &str, token: &str, mut rows: Vec<(K, Value)>) -> Value {
        let size = self.limit as usize;
        let has_more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| has_more).map(|(key, _)| format!("after-{key}"));
        let mut output = Map::new();
        output.insert(list.to_owned(), rows.into_iter().map(|(_, row)| row).collect());
        if let Some(next) = next {
            output.insert(token.to_owned(), next.into());
        }
        Value::Object(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(keys: std::ops::RangeInclusive<i64>) -> Vec<(i64, Value)> {
        keys.map(|key| (key, json!(key * 10))).collect()
    }

    #[test]
    fn pages_follow_one_another() {
        let page = PageRequest::new(Some(2), 100, 1000, None).unwrap();
        assert_eq!((page.query_limit(), page.after()), (3, None));
        let first = page.into_output("rows", "nextToken", rows(7..=9));
        assert_eq!(first, json!({"rows": [70, 80], "nextToken": "after-8"}));
        let next = PageRequest::new(Some(2), 100, 1000, first["nextToken"].as_str()).unwrap();
        assert_eq!((next.query_limit(), next.after()), (3, Some(&8)));
        assert_eq!(next.into_output("rows", "nextToken", rows(9..=9)), json!({"rows": [90]}));
    }

    #[test]
    fn a_name_is_a_key_whatever_is_in_it() {
        let page = PageRequest::<String>::new(Some(1), 50, 50, None).unwrap();
        let rows = ["a-after-b", "c"].map(|name| (name.to_owned(), json!(name)));
        let token = page.into_output("rows", "NextToken", rows.to_vec())["NextToken"].clone();
        assert_eq!(PageRequest::new(None, 50, 50, token.as_str()).unwrap().after(), Some(&"a-after-b".to_owned()));
    }

    #[test]
    fn wrong_pages_are_refused() {
        assert!(PageRequest::<i64>::new(Some(1001), 100, 1000, None).is_err());
        for token in ["3", "after-", "after-x", "row-3", ""] {
            assert!(PageRequest::<i64>::new(None, 100, 1000, Some(token)).is_err(), "{token}");
        }
        assert_eq!(PageRequest::<i64>::new(Some(0), 100, 1000, None).unwrap().query_limit(), 101);
    }
}
