//! Listings of a bucket in byte order, by page. Keys that share a prefix up to a delimiter are grouped as one entry (S3's
//! common prefixes).
//!
//! A common prefix costs one query, whatever the number of its keys: the scan continues after the prefix (skip scan).

use rusqlite::Connection;

use super::index::{self, Object, ScanStart, prefix_successor};
use super::store::{ObjectStore, StoreError};

/// A request for a page of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct ListRequest<'a> {
    pub(super) prefix: &'a str,
    /// Empty: no grouping.
    pub(super) delimiter: &'a str,
    /// The last entry of the page before: a key or a common prefix.
    pub(super) after: Option<&'a str>,
    /// Whether a common prefix that contains `after` is skipped too.
    pub(super) skips_prefix: bool,
    pub(super) limit: usize,
}

/// One entry of a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Object(Box<Object>),
    /// A common prefix, with its delimiter.
    Prefix(String),
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        match self {
            Entry::Object(object) => &object.key,
            Entry::Prefix(prefix) => prefix,
        }
    }
}

/// One page. `is_truncated`: more entries follow the last one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ListPage {
    pub(super) entries: Vec<Entry>,
    pub(super) is_truncated: bool,
}

impl ObjectStore {
    pub(super) fn list(&self, bucket: &str, request: &ListRequest<'_>) -> Result<ListPage, StoreError> {
        self.require_bucket(bucket)?;
        Ok(list(&self.state.lock(), bucket, request)?)
    }
}

fn list(rows: &Connection, bucket: &str, request: &ListRequest<'_>) -> rusqlite::Result<ListPage> {
    let mut page = ListPage::default();
    if request.limit == 0 {
        return Ok(page);
    }
    let Some(mut start) = request.start() else { return Ok(page) };
    // With a delimiter, the first row after a prefix tells the next prefix, and the rows below that prefix are skipped. Where
    // rows belong to no prefix, each scan reads twice as many as the one before.
    let first = if request.delimiter.is_empty() { usize::MAX } else { 1 };
    let mut batch = first;
    loop {
        // One row more than fits tells whether the page is the last.
        let wanted = batch.min(request.limit + 1 - page.entries.len());
        let objects = index::scan(rows, bucket, request.prefix, &start, wanted)?;
        let is_last = objects.len() < wanted;
        let mut jump = None;
        for object in objects {
            if page.entries.len() == request.limit {
                page.is_truncated = true;
                return Ok(page);
            }
            match request.common_prefix(&object.key) {
                None => {
                    start = ScanStart::After(object.key.clone());
                    page.entries.push(Entry::Object(Box::new(object)));
                }
                Some(prefix) => {
                    jump = Some(prefix_successor(prefix));
                    page.entries.push(Entry::Prefix(prefix.to_owned()));
                    break;
                }
            }
        }
        match jump {
            Some(Some(next)) => (start, batch) = (ScanStart::At(next), first),
            Some(None) => return Ok(page),
            None if is_last => return Ok(page),
            None => batch = batch.saturating_mul(2),
        }
    }
}

impl ListRequest<'_> {
    /// Where the scan starts. `None` if no key can follow.
    fn start(&self) -> Option<ScanStart> {
        match self.after {
            Some(after) if after >= self.prefix => match self.common_prefix(after) {
                Some(prefix) if self.skips_prefix || prefix == after => prefix_successor(prefix).map(ScanStart::At),
                _ => Some(ScanStart::After(after.to_owned())),
            },
            _ => Some(ScanStart::At(self.prefix.to_owned())),
        }
    }

    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        common_prefix(key, self.prefix, self.delimiter)
    }
}

/// Returns the prefix of a key up to the first delimiter after the prefix of a listing. `None` without a delimiter.
pub(super) fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: &str) -> Option<&'k str> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(prefix)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(&key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::index::Attributes;
    use crate::s3::object_path::ObjectPath;

    fn bucket_of(keys: &[&str]) -> Connection {
        let rows = Connection::open_in_memory().unwrap();
        rows.execute_batch(index::SCHEMA).unwrap();
        rows.execute("INSERT INTO buckets VALUES ('b', 0)", []).unwrap();
        for key in keys {
            let object = Object {
                key: (*key).to_owned(),
                path: ObjectPath::hashed("b", key),
                size: 0,
                etag: String::new(),
                modified: 0,
                attributes: Attributes::default(),
            };
            index::upsert(&rows, "b", &object).unwrap();
        }
        rows
    }

    /// Returns all pages of `limit` entries, each as the names of its entries.
    fn pages(rows: &Connection, prefix: &str, delimiter: &str, after: Option<&str>, limit: usize) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut after = after.map(str::to_owned);
        loop {
            let request = ListRequest { prefix, delimiter, after: after.as_deref(), limit, ..ListRequest::default() };
            let page = list(rows, "b", &request).unwrap();
            let names: Vec<String> = page.entries.iter().map(|entry| entry.name().to_owned()).collect();
            after = names.last().cloned();
            pages.push(names);
            if !page.is_truncated {
                return pages;
            }
        }
    }

    #[test]
    fn prefixes_delimiters_and_pages() {
        // In byte order: `ç` is after `zz`.
        let keys = ["a", "a/1", "a/2", "a/b/3", "a0", "b/", "b//x", "b/c/d", "zz", "ç/1"];
        let rows = bucket_of(&keys);
        type Case<'a> = (&'a str, &'a str, Option<&'a str>, usize, &'a [&'a [&'a str]]);
        let cases: &[Case<'_>] = &[
            ("", "", None, 1000, &[&keys]),
            ("", "", None, 4, &[&keys[..4], &keys[4..8], &keys[8..]]),
            ("", "", None, 5, &[&keys[..5], &keys[5..]]),
            ("", "/", None, 1000, &[&["a", "a/", "a0", "b/", "zz", "ç/"]]),
            ("", "/", None, 2, &[&["a", "a/"], &["a0", "b/"], &["zz", "ç/"]]),
            ("", "/", None, 1, &[&["a"], &["a/"], &["a0"], &["b/"], &["zz"], &["ç/"]]),
            ("a/", "/", None, 2, &[&["a/1", "a/2"], &["a/b/"]]),
            ("b/", "/", None, 9, &[&["b/", "b//", "b/c/"]]),
            ("b/", "/", Some("b/"), 9, &[&["b//", "b/c/"]]),
            ("a", "", Some("a/2"), 9, &[&["a/b/3", "a0"]]),
            ("a", "0", None, 9, &[&["a", "a/1", "a/2", "a/b/3", "a0"]]),
            ("b", "", Some("a"), 9, &[&["b/", "b//x", "b/c/d"]]),
            ("", "", Some("zzz"), 9, &[&["ç/1"]]),
            ("q", "/", None, 9, &[&[]]),
        ];
        for (prefix, delimiter, after, limit, expected) in cases {
            let expected: Vec<Vec<&str>> = expected.iter().map(|page| page.to_vec()).collect();
            let found = pages(&rows, prefix, delimiter, *after, *limit);
            assert_eq!(found, expected, "prefix {prefix:?} delimiter {delimiter:?} after {after:?} limit {limit}");
        }
    }

    #[test]
    fn the_text_after_a_prefix() {
        for (prefix, after) in [
            ("a/", Some("a0")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{D7FF}", Some("\u{E000}")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(prefix_successor(prefix).as_deref(), after, "{prefix:?}");
        }
    }

    #[test]
    fn what_lies_behind_a_prefix_is_not_read() {
        let rows = bucket_of(&["a/1", "a/2", "a0"]);
        rows.execute("UPDATE objects SET attributes = 'unreadable' WHERE key = 'a0'", []).unwrap();
        for limit in [1, 2, 1000] {
            assert_eq!(pages(&rows, "a/", "", None, limit).concat(), ["a/1", "a/2"]);
        }
        list(&rows, "b", &ListRequest { prefix: "a", limit: 1000, ..ListRequest::default() }).unwrap_err();
    }

    #[test]
    fn one_row_of_a_common_prefix_is_read() {
        let rows = bucket_of(&["a/1", "a/2", "b/1", "b/2", "c"]);
        rows.execute("UPDATE objects SET attributes = 'unreadable' WHERE key LIKE '%/2'", []).unwrap();
        for limit in [1, 2, 3, 1000] {
            assert_eq!(pages(&rows, "", "/", None, limit).concat(), ["a/", "b/", "c"], "{limit}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_an_empty_page() {
        let rows = bucket_of(&["a"]);
        let page = list(&rows, "b", &ListRequest::default()).unwrap();
        assert_eq!(page, ListPage::default());
    }
}
