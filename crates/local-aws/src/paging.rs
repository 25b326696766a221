//! Pages of the JSON services' listings (keyset pagination). A token is the key of the last row of a page (an event's id, a
//! table's name), and the next page begins after it: inserting or deleting a row between two pages neither repeats nor
//! skips another row.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

/// Which page a caller wants, of rows in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<K> {
    limit: u32,
    after: Option<K>,
}

impl<K: FromStr + Display> Page<K> {
    /// A page of `wanted` rows, or `default` ones, after the key in `token`. The error says which argument is wrong.
    pub(crate) fn new(wanted: Option<u32>, default: u32, most: u32, token: Option<&str>) -> Result<Page<K>, String> {
        let limit = wanted.filter(|wanted| *wanted > 0).unwrap_or(default);
        if limit > most {
            return Err(format!("a page has at most {most} rows, not {limit}"));
        }
        let key = |token: &str| token.strip_prefix("after-").and_then(|key| key.parse().ok());
        let after = token.map(|token| key(token).ok_or_else(|| format!("Invalid Token: '{token}'"))).transpose()?;
        Ok(Page { limit, after })
    }

    /// How many rows to look up: one more than the page holds, to know whether there are more.
    pub(crate) fn wanted(&self) -> u32 {
        self.limit + 1
    }

    /// The key of the last row of the page before; `None` for the first page.
    pub(crate) fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// The answer of an operation that lists `rows`, each with its key: those that were found, at most [`Page::wanted`].
    pub(crate) fn answer(self, list: &str, token: &str, mut rows: Vec<(K, Value)>) -> Value {
        let size = self.limit as usize;
        let has_more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| has_more).map(|(key, _)| format!("after-{key}"));
        let mut answer = Map::new();
        answer.insert(list.to_owned(), rows.into_iter().map(|(_, row)| row).collect());
        if let Some(next) = next {
            answer.insert(token.to_owned(), next.into());
        }
        Value::Object(answer)
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
        let page = Page::new(Some(2), 100, 1000, None).unwrap();
        assert_eq!((page.wanted(), page.after()), (3, None));
        let first = page.answer("rows", "nextToken", rows(7..=9));
        assert_eq!(first, json!({"rows": [70, 80], "nextToken": "after-8"}));
        let next = Page::new(Some(2), 100, 1000, first["nextToken"].as_str()).unwrap();
        assert_eq!((next.wanted(), next.after()), (3, Some(&8)));
        assert_eq!(next.answer("rows", "nextToken", rows(9..=9)), json!({"rows": [90]}));
    }

    #[test]
    fn a_name_is_a_key_whatever_is_in_it() {
        let page = Page::<String>::new(Some(1), 50, 50, None).unwrap();
        let rows = ["a-after-b", "c"].map(|name| (name.to_owned(), json!(name)));
        let token = page.answer("rows", "NextToken", rows.to_vec())["NextToken"].clone();
        assert_eq!(Page::new(None, 50, 50, token.as_str()).unwrap().after(), Some(&"a-after-b".to_owned()));
    }

    #[test]
    fn wrong_pages_are_refused() {
        assert!(Page::<i64>::new(Some(1001), 100, 1000, None).is_err());
        for token in ["3", "after-", "after-x", "row-3", ""] {
            assert!(Page::<i64>::new(None, 100, 1000, Some(token)).is_err(), "{token}");
        }
        assert_eq!(Page::<i64>::new(Some(0), 100, 1000, None).unwrap().wanted(), 101);
    }
}
