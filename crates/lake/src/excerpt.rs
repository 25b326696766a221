//! Long lists in small answers.
//!
//! What a state hands to the next is at most 256 KiB, and a bad week can have thousands of things to tell. An answer
//! therefore holds the count of everything and the first few of it.

use serde::{Deserialize, Serialize};

/// The first items of a list and how many there are in all. In JSON: `{"count": 250, "first": [..]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt<T> {
    /// All items.
    pub count: usize,
    /// At most [`SHOWN`] of them, in order.
    pub first: Vec<T>,
}

/// The items that an [`Excerpt`] shows.
pub const SHOWN: usize = 20;

impl<T> Default for Excerpt<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Extend<T> for Excerpt<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.count += 1;
            if self.first.len() < SHOWN {
                self.first.push(item);
            }
        }
    }
}

impl<T> FromIterator<T> for Excerpt<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut excerpt = Self::default();
        excerpt.extend(items);
        excerpt
    }
}

impl<T> Excerpt<T> {
    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many are not shown.
    pub fn more(&self) -> usize {
        self.count - self.first.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_the_first_are_shown() {
        let long: Excerpt<usize> = (0..SHOWN + 5).collect();
        assert_eq!((long.count, long.first.len(), long.more()), (SHOWN + 5, SHOWN, 5));
        assert_eq!(long.first[..3], [0, 1, 2]);

        let none: Excerpt<usize> = [].into_iter().collect();
        assert!(none.is_empty());
        assert_eq!(serde_json::to_string(&none).expect("JSON"), r#"{"count":0,"first":[]}"#);
    }
}
