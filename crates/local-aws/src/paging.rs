//! Pages of the JSON services' listings. A token is the place of the next row: these listings are small, and a row
//! that comes or goes between two pages shifts them, which the services allow.

use serde_json::{Map, Value};

/// Which page a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    limit: u32,
    offset: u32,
}

impl Page {
    /// A page of `wanted` rows, or `default` ones, at the place of `token`. An error is what is wrong with them.
    pub(crate) fn new(wanted: Option<u32>, default: u32, most: u32, token: Option<&str>) -> Result<Page, String> {
        let limit = wanted.filter(|wanted| *wanted > 0).unwrap_or(default);
        if limit > most {
            return Err(format!("a page has at most {most} rows, not {limit}"));
        }
        let offset = match token {
            None => 0,
            Some(token) => token
                .strip_prefix("row-")
                .and_then(|row| row.parse().ok())
                .ok_or_else(|| format!("Invalid Token: '{token}'"))?,
        };
        Ok(Page { limit, offset })
    }

    pub(crate) fn limit(self) -> u32 {
        self.limit
    }

    pub(crate) fn offset(self) -> u32 {
        self.offset
    }

    /// The token of the next page, if there are more rows than the page holds.
    pub(crate) fn next_token(self, has_more: bool) -> Option<String> {
        has_more.then(|| format!("row-{}", self.offset + self.limit))
    }

    /// The answer of an operation that lists `rows`: those that were found, one more than the page holds if there are more.
    pub(crate) fn answer(self, list: &str, token: &str, mut rows: Vec<Value>) -> Value {
        let size = self.limit as usize;
        let next = self.next_token(rows.len() > size);
        rows.truncate(size);
        let mut answer = Map::new();
        answer.insert(list.to_owned(), rows.into());
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

    #[test]
    fn pages_follow_one_another() {
        let page = Page::new(Some(2), 100, 1000, None).unwrap();
        let first = page.answer("rows", "nextToken", vec![json!(1), json!(2), json!(3)]);
        assert_eq!(first, json!({"rows": [1, 2], "nextToken": "row-2"}));
        let next = Page::new(Some(2), 100, 1000, first["nextToken"].as_str()).unwrap();
        assert_eq!((next.limit(), next.offset()), (2, 2));
        assert_eq!(next.answer("rows", "nextToken", vec![json!(3)]), json!({"rows": [3]}));
    }

    #[test]
    fn wrong_pages_are_refused() {
        assert!(Page::new(Some(1001), 100, 1000, None).is_err());
        assert!(Page::new(None, 100, 1000, Some("3")).is_err());
        assert_eq!(Page::new(Some(0), 100, 1000, None).unwrap().limit(), 100);
    }
}
