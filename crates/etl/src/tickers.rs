//! The order of the rows in a row group: by ticker and time.
//!
//! A row group holds a few thousand tickers over and over again, in files that come in time order. So there is no
//! need to compare rows: each ticker gets a number when it is first seen, only the distinct ones are sorted, and the
//! rows are dealt out to them in the order they came in. That keeps the times of a ticker ascending, and duplicates in
//! file order.

use std::collections::HashMap;

use arrow_array::builder::StringBuilder;
use arrow_array::{StringArray, UInt32Array};

/// The ticker of every row so far.
#[derive(Default)]
pub struct Tickers {
    /// In the order they were first seen.
    ids: HashMap<Box<str>, u32>,
    /// The ticker of each row.
    rows: Vec<u32>,
    /// The bytes of all tickers, row by row.
    bytes: usize,
}

/// Rows in the order of their tickers.
pub struct Sorted {
    /// The tickers, ascending by their bytes.
    pub tickers: StringArray,
    /// For each row of the result the row that it was: what `take` wants.
    pub order: UInt32Array,
}

impl Tickers {
    /// Adds a row. Rows have to come in time order.
    pub fn push(&mut self, ticker: &str) {
        let id = match self.ids.get(ticker) {
            Some(id) => *id,
            None => {
                let id = self.ids.len() as u32;
                self.ids.insert(ticker.into(), id);
                id
            }
        };
        self.rows.push(id);
        self.bytes += ticker.len();
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Sorts the rows and starts anew.
    pub fn sort(&mut self) -> Sorted {
        let mut distinct: Vec<(&str, usize)> = self.ids.iter().map(|(ticker, id)| (&**ticker, *id as usize)).collect();
        distinct.sort_unstable();

        let mut counts = vec![0u32; distinct.len()];
        self.rows.iter().for_each(|id| counts[*id as usize] += 1);

        let mut tickers = StringBuilder::with_capacity(self.rows.len(), self.bytes);
        let mut next = vec![0u32; distinct.len()];
        let mut dealt = 0;
        for (ticker, id) in distinct {
            next[id] = dealt;
            dealt += counts[id];
            (0..counts[id]).for_each(|_| tickers.append_value(ticker));
        }

        let mut order = vec![0u32; self.rows.len()];
        for (row, id) in (0u32..).zip(&self.rows) {
            let place = &mut next[*id as usize];
            order[*place as usize] = row;
            *place += 1;
        }

        self.ids.clear();
        self.rows.clear();
        self.bytes = 0;
        Sorted { tickers: tickers.finish(), order: order.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_a_stable_sort(rows in proptest::collection::vec("[A-Cé]{1,2}", 0..60)) {
            let mut tickers = Tickers::default();
            for _ in 0..2 {
                rows.iter().for_each(|row| tickers.push(row));
                prop_assert_eq!(tickers.len(), rows.len());
                let mut expected: Vec<u32> = (0..rows.len() as u32).collect();
                expected.sort_by_key(|row| &rows[*row as usize]);
                let sorted = tickers.sort();
                prop_assert_eq!(sorted.order.values(), &expected[..]);
                let names: Vec<_> = expected.iter().map(|row| Some(&*rows[*row as usize])).collect();
                prop_assert_eq!(sorted.tickers.iter().collect::<Vec<_>>(), names);
            }
        }
    }
}
