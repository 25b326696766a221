//! Lists that are cut to their first items.
//!
//! Step Functions passes at most 256 KiB from one state to the next, and a bad week can have thousands of findings. The
//! output of a function therefore has the number of all items and the first few of them.

use serde::{Deserialize, Serialize};

/// The first items of a list, and the number of all items. In JSON: `{"count": 250, "first": [..]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncatedList<T> {
    /// Number of all items.
    pub count: usize,
    /// At most [`MAX_ITEMS`] items, in order.
    pub first: Vec<T>,
}

/// Maximum number of items that a [`TruncatedList`] keeps.
pub const MAX_ITEMS: usize = 20;

impl<T> Default for TruncatedList<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Extend<T> for TruncatedList<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.count += 1;
            if self.first.len() < MAX_ITEMS {
                self.first.push(item);
            }
        }
    }
}

impl<T> FromIterator<T> for TruncatedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = Self::default();
        list.extend(items);
        list
    }
}

impl<T> TruncatedList<T> {
    /// Returns `true` if the whole list is empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends another list.
    pub fn append(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(MAX_ITEMS);
    }

    /// Returns the number of items that were cut off.
    pub fn omitted(&self) -> usize {
        self.count - self.first.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_the_first_are_shown() {
        let long: TruncatedList<usize> = (0..MAX_ITEMS + 5).collect();
        assert_eq!((long.count, long.first.len(), long.omitted()), (MAX_ITEMS + 5, MAX_ITEMS, 5));
        assert_eq!(long.first[..3], [0, 1, 2]);

        let mut two: TruncatedList<usize> = (0..3).collect();
        two.append(long);
        assert_eq!((two.count, two.first.len()), (MAX_ITEMS + 8, MAX_ITEMS));
        assert_eq!(two.first[..5], [0, 1, 2, 0, 1]);

        let none: TruncatedList<usize> = [].into_iter().collect();
        assert!(none.is_empty());
        assert_eq!(serde_json::to_string(&none).expect("JSON"), r#"{"count":0,"first":[]}"#);
    }
}
