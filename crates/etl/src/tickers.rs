//! The order of the rows in a row group: by ticker and time.
//!
//! A row group holds a few thousand tickers over and over again, in files that come in time order. So there is no
//! need to compare rows: each ticker gets a number when it is first seen, only the distinct ones are sorted, and the
//! rows are dealt out to them in the order they came in. That keeps the times of a ticker ascending, and duplicates in
//! file order.

use std::collections::HashMap;

use arrow_array::StringArray;

use crate::columns::strings;

/// The ticker of every row so far.
#[derive(Default)]
pub struct Tickers {
    /// In the order they were first seen.
    ids: HashMap<Box<[u8]>, u32>,
    /// The ticker of each row.
    rows: Vec<u32>,
    /// The bytes of all tickers, row by row.
    bytes: usize,
    /// What is known of each ticker, by its number.
    seen: Vec<Seen>,
    /// The text of all tickers in `seen`.
    text: Vec<u8>,
}

/// A ticker.
#[derive(Clone, Copy)]
struct Seen {
    /// Where its text ends; it begins where that of the one before it ends.
    end: usize,
    /// The number of the ticker that stood in the next row when this one was seen last. Snapshots list their tickers in
    /// nearly the same order, so it probably will again.
    next: u32,
}

/// Rows in the order of their tickers.
pub struct Sorted {
    /// The tickers, ascending by their bytes.
    pub tickers: StringArray,
    /// For each row of the result the row that it was.
    pub order: Vec<u32>,
}

impl Tickers {
    /// Adds a row. Rows have to come in time order. `ticker` is UTF-8.
    #[inline]
    pub fn push(&mut self, ticker: &[u8]) {
        self.bytes += ticker.len();
        let last = self.rows.last().map(|last| *last as usize);
        // Before the first row, the first ticker is as good a guess as any.
        let guess = last.map_or(0, |last| self.seen[last].next);
        if self.text_of(guess) == Some(ticker) {
            self.rows.push(guess);
            return;
        }
        let id = self.id_of(ticker);
        if let Some(last) = last {
            self.seen[last].next = id;
        }
        self.rows.push(id);
    }

    /// The number of a ticker, which is a new one if it was not seen yet.
    #[inline(never)]
    fn id_of(&mut self, ticker: &[u8]) -> u32 {
        if let Some(id) = self.ids.get(ticker) {
            return *id;
        }
        let id = self.ids.len() as u32;
        self.ids.insert(ticker.into(), id);
        self.text.extend_from_slice(ticker);
        self.seen.push(Seen { end: self.text.len(), next: 0 });
        id
    }

    #[inline]
    fn text_of(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = self.seen.get(id)?.end;
        let start = if id == 0 { 0 } else { self.seen[id - 1].end };
        Some(&self.text[start..end])
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Sorts the rows and starts anew.
    pub fn sort(&mut self) -> Sorted {
        let mut distinct: Vec<(&[u8], usize)> = self.ids.iter().map(|(ticker, id)| (&**ticker, *id as usize)).collect();
        distinct.sort_unstable();

        let mut counts = vec![0u32; distinct.len()];
        self.rows.iter().for_each(|id| counts[*id as usize] += 1);

        let mut text = Vec::with_capacity(self.bytes);
        let mut offsets = Vec::with_capacity(self.rows.len() + 1);
        offsets.push(0);
        let mut next = vec![0u32; distinct.len()];
        let mut dealt = 0;
        for (ticker, id) in distinct {
            next[id] = dealt;
            dealt += counts[id];
            for _ in 0..counts[id] {
                text.extend_from_slice(ticker);
                offsets.push(i32::try_from(text.len()).expect("the text of a row group is far below two gigabytes"));
            }
        }

        let mut order = vec![0u32; self.rows.len()];
        for (row, id) in (0u32..).zip(&self.rows) {
            let place = &mut next[*id as usize];
            order[*place as usize] = row;
            *place += 1;
        }

        self.ids.clear();
        self.seen.clear();
        self.text.clear();
        self.rows.clear();
        self.bytes = 0;
        Sorted { tickers: strings(offsets, text, None), order }
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
                rows.iter().for_each(|row| tickers.push(row.as_bytes()));
                prop_assert_eq!(tickers.len(), rows.len());
                let mut expected: Vec<u32> = (0..rows.len() as u32).collect();
                expected.sort_by_key(|row| &rows[*row as usize]);
                let sorted = tickers.sort();
                prop_assert_eq!(&sorted.order, &expected);
                let names: Vec<_> = expected.iter().map(|row| Some(&*rows[*row as usize])).collect();
                prop_assert_eq!(sorted.tickers.iter().collect::<Vec<_>>(), names);
            }
        }
    }
}
