//! Sorts the rows of a row group by ticker and time.
//!
//! A row group repeats a few thousand tickers, in files that arrive in time order. So the column is dictionary-encoded, only
//! the distinct tickers are compared, and the rows are placed by a counting sort over their codes, in linear time. The
//! counting sort is stable, which keeps the times of a ticker ascending, and duplicates in the order of the files.

use std::collections::HashMap;

use arrow_array::StringArray;

use crate::columns::strings;

/// The column of tickers, dictionary-encoded.
#[derive(Default)]
pub(crate) struct Tickers {
    /// The code of each ticker: codes are given in the order of first occurrence.
    ids: HashMap<Box<[u8]>, u32>,
    /// The code of each row's ticker.
    rows: Vec<u32>,
    /// The total length of the tickers of all rows.
    bytes: usize,
    /// The dictionary: an entry for each code.
    seen: Vec<Entry>,
    /// The text of all entries.
    text: Vec<u8>,
}

/// A ticker in the dictionary.
#[derive(Clone, Copy)]
struct Entry {
    /// The end of its text in [`Tickers::text`]. It starts at the end of the entry before.
    end: usize,
    /// The code of the ticker that followed this one last time: a prediction of the next row. Snapshots list their tickers
    /// in nearly the same order, so that it nearly always holds, and comparing two texts replaces hashing one.
    next: u32,
}

/// Rows sorted by ticker.
pub(crate) struct Sorted {
    /// The tickers, in ascending order of their bytes.
    pub tickers: StringArray,
    /// The permutation: for each row of the result, the index of the row before sorting.
    pub order: Vec<u32>,
}

impl Tickers {
    /// Appends a row. Rows have to arrive in time order. `ticker` is UTF-8.
    #[inline]
    pub(crate) fn push(&mut self, ticker: &[u8]) {
        self.bytes += ticker.len();
        let last = self.rows.last().map(|last| *last as usize);
        // The first row has no predecessor to predict it. Any code will do.
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

    /// Returns the code of a ticker, and adds it to the dictionary if it is new.
    #[inline(never)]
    fn id_of(&mut self, ticker: &[u8]) -> u32 {
        if let Some(id) = self.ids.get(ticker) {
            return *id;
        }
        let id = self.ids.len() as u32;
        self.ids.insert(ticker.into(), id);
        self.text.extend_from_slice(ticker);
        self.seen.push(Entry { end: self.text.len(), next: 0 });
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
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the rows sorted, and leaves the column empty.
    pub(crate) fn sort(&mut self) -> Sorted {
        let mut distinct: Vec<(&[u8], usize)> = self.ids.iter().map(|(ticker, id)| (&**ticker, *id as usize)).collect();
        distinct.sort_unstable();

        let mut counts = vec![0u32; distinct.len()];
        self.rows.iter().for_each(|id| counts[*id as usize] += 1);

        let mut text = Vec::with_capacity(self.bytes);
        let mut offsets = Vec::with_capacity(self.rows.len() + 1);
        offsets.push(0);
        // The next free place of each ticker in the result.
        let mut next = vec![0u32; distinct.len()];
        let mut placed = 0;
        for (ticker, id) in distinct {
            next[id] = placed;
            placed += counts[id];
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
                for row in &rows { tickers.push(row.as_bytes()); }
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
