//! Columns in memory, row by row in the order of the files, until they are put into the order of a row group.
//!
//! Arrow's own builders give their memory away with each array. These keep it for the next row group, and their values
//! are copied once only, each to the place that it has in the file.

use std::mem::take;
use std::sync::Arc;

use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// A column of numbers.
pub struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: Valid,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self { values: Vec::new(), valid: Valid::default() }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    /// Adds a row.
    #[inline]
    pub fn push(&mut self, value: Option<T::Native>) {
        self.valid.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }

    /// The rows in this order. The column starts anew.
    pub fn finish(&mut self, order: &[u32]) -> ArrayRef {
        let values: Vec<T::Native> = order.iter().map(|row| self.values[*row as usize]).collect();
        self.values.clear();
        Arc::new(PrimitiveArray::<T>::new(values.into(), self.valid.finish(order)))
    }
}

/// A column of texts.
#[derive(Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each row's text ends.
    ends: Vec<usize>,
    valid: Valid,
}

impl Texts {
    /// Adds a row. `text` is UTF-8.
    #[inline]
    pub fn push(&mut self, text: Option<&[u8]>) {
        self.valid.push(text.is_some());
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push(self.bytes.len());
    }

    /// The rows in this order. The column starts anew.
    pub fn finish(&mut self, order: &[u32]) -> ArrayRef {
        let text = |row: usize| &self.bytes[row.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[row]];
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut offsets = Vec::with_capacity(order.len() + 1);
        offsets.push(0);
        for row in order {
            bytes.extend_from_slice(text(*row as usize));
            offsets.push(i32::try_from(bytes.len()).expect("the text of a row group is far below two gigabytes"));
        }
        self.bytes.clear();
        self.ends.clear();
        Arc::new(strings(offsets, bytes, self.valid.finish(order)))
    }
}

/// An array of the texts between these offsets.
pub fn strings(offsets: Vec<i32>, bytes: Vec<u8>, nulls: Option<NullBuffer>) -> StringArray {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, bytes.into(), nulls)
        .expect("a line is decoded before it is split, and split only at ASCII characters")
}

/// Which rows have a value, a bit for each, the first one in the lowest bit of the first word.
#[derive(Default)]
struct Valid {
    /// Whole words.
    words: Vec<u64>,
    /// The word that is not whole yet.
    last: u64,
    rows: usize,
    nulls: usize,
}

impl Valid {
    #[inline]
    fn push(&mut self, valid: bool) {
        self.last |= u64::from(valid) << (self.rows % 64);
        self.nulls += usize::from(!valid);
        self.rows += 1;
        if self.rows.is_multiple_of(64) {
            self.words.push(take(&mut self.last));
        }
    }

    fn finish(&mut self, order: &[u32]) -> Option<NullBuffer> {
        self.words.push(take(&mut self.last));
        let words = take(&mut self.words);
        let nulls = take(&mut self.nulls);
        self.rows = 0;
        if nulls == 0 {
            return None;
        }
        let bit = |row: u32| words[row as usize / 64] >> (row % 64) & 1;
        let word = |rows: &[u32]| rows.iter().rev().fold(0, |word, row| word << 1 | bit(*row)).to_le();
        let sorted: Vec<u64> = order.chunks(64).map(word).collect();
        Some(NullBuffer::new(BooleanBuffer::new(sorted.into(), 0, order.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, Int64Array};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_are_what_was_pushed_in_their_order(
            rows in proptest::collection::vec((proptest::option::of("[a-cé]{0,3}"), 0u32..1000), 0..300),
        ) {
            let mut order: Vec<u32> = (0..rows.len() as u32).collect();
            order.sort_by_key(|row| rows[*row as usize].1);
            let (mut texts, mut numbers) = (Texts::default(), Numbers::<Int64Type>::default());
            for _ in 0..2 {
                for (text, _) in &rows {
                    texts.push(text.as_deref().map(str::as_bytes));
                    numbers.push(text.as_ref().map(|text| text.len() as i64));
                }
                let expected: Vec<Option<&str>> = order.iter().map(|row| rows[*row as usize].0.as_deref()).collect();
                let lengths: Int64Array = expected.iter().map(|text| text.map(|text| text.len() as i64)).collect();
                let (texts, numbers) = (texts.finish(&order), numbers.finish(&order));
                prop_assert_eq!(texts.to_data(), StringArray::from(expected).to_data());
                prop_assert_eq!(numbers.to_data(), lengths.to_data());
            }
        }
    }
}
