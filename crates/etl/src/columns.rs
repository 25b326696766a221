//! Buffered columns: values in the order of the raw files, until they are copied into the order of a row group.
//!
//! Arrow's own builders hand their memory over to each array. These keep it for the next row group, and copy each value
//! only once, to its place in the sorted array.

use std::mem::take;
use std::sync::Arc;

use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// A column of numbers.
pub(crate) struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: Validity,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self { values: Vec::new(), valid: Validity::default() }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    /// Appends `value`, or NULL if it is not `valid`.
    #[inline]
    pub(crate) fn push(&mut self, value: T::Native, valid: bool) {
        self.valid.push(valid, self.values.len());
        self.values.push(value);
    }

    /// Returns the rows in `order` as an array, and leaves the column empty.
    pub(crate) fn finish(&mut self, order: &[u32]) -> ArrayRef {
        let values: Vec<T::Native> = order.iter().map(|row| self.values[*row as usize]).collect();
        self.values.clear();
        Arc::new(PrimitiveArray::<T>::new(values.into(), self.valid.finish(order)))
    }
}

/// A column of texts.
#[derive(Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// The end of each row's text in `bytes`.
    ends: Vec<usize>,
    valid: Validity,
}

impl Texts {
    /// Appends `text`, or NULL if it is not `valid`. `text` is UTF-8.
    #[inline]
    pub(crate) fn push(&mut self, text: &[u8], valid: bool) {
        self.valid.push(valid, self.ends.len());
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// Returns the rows in `order` as an array, and leaves the column empty.
    pub(crate) fn finish(&mut self, order: &[u32]) -> ArrayRef {
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

/// Builds an array of the texts between consecutive `offsets` in `bytes`.
pub(crate) fn strings(offsets: Vec<i32>, bytes: Vec<u8>, nulls: Option<NullBuffer>) -> StringArray {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, bytes.into(), nulls)
        .expect("a line is decoded before it is split, and split only at ASCII characters")
}

/// A validity bitmap: one bit per row, set if the row has a value. Row 0 is the lowest bit of the first word.
#[derive(Default)]
struct Validity {
    /// Complete words.
    words: Vec<u64>,
    /// The word that is being filled.
    last: u64,
}

impl Validity {
    /// Appends the bit of row number `row`.
    #[inline]
    fn push(&mut self, valid: bool, row: usize) {
        self.last |= u64::from(valid) << (row % 64);
        if row % 64 == 63 {
            self.words.push(take(&mut self.last));
        }
    }

    fn finish(&mut self, order: &[u32]) -> Option<NullBuffer> {
        self.words.push(take(&mut self.last));
        let sorted = self.sorted(order);
        self.words.clear();
        sorted.map(|sorted| NullBuffer::new(BooleanBuffer::new(sorted.into(), 0, order.len())))
    }

    /// Returns the words with the rows in `order`, or `None` if all rows have a value.
    fn sorted(&self, order: &[u32]) -> Option<Vec<u64>> {
        let valid: usize = self.words.iter().map(|word| word.count_ones() as usize).sum();
        let bit = |row: u32| self.words[row as usize / 64] >> (row % 64) & 1;
        let word = |rows: &[u32]| rows.iter().rev().fold(0, |word, row| word << 1 | bit(*row)).to_le();
        (valid < order.len()).then(|| order.chunks(64).map(word).collect())
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
                    texts.push(text.as_deref().unwrap_or_default().as_bytes(), text.is_some());
                    numbers.push(text.as_ref().map_or(7, |text| text.len() as i64), text.is_some());
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
