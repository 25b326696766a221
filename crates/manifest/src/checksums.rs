//! Checksums of a file, block by block, so that a reader of a part of the file can verify that part.

use std::num::NonZeroU32;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The size of a block in bytes: about the size of a page, so that a reader of one page reads little more than it needs.
const BLOCK: NonZeroU32 = NonZeroU32::new(16 << 10).expect("not zero");

/// The CRC-32 of each block of a file, as in gzip and Parquet.
///
/// It detects every single flipped bit, and other accidental changes with a probability of 1 - 2^-32. It does not protect
/// against forgery: anyone who can write to the bucket can write the manifest too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksums {
    block_bytes: NonZeroU32,
    /// One for each block; the last block may be shorter.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    crc32: Vec<u32>,
}

/// The error for bytes that differ from the audited ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bytes {} to {} are not those that were audited", .range.start, .range.end)]
pub struct Damage {
    /// The range of the bytes in the file.
    pub range: Range<u64>,
}

impl Checksums {
    /// Computes the checksums of a file with these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut builder = ChecksumBuilder::default();
        builder.update(bytes);
        builder.finish()
    }

    /// Returns whether a file of `bytes` bytes has as many blocks as there are checksums.
    pub fn fit(&self, bytes: u64) -> bool {
        bytes.div_ceil(u64::from(self.block_bytes.get())) == self.crc32.len() as u64
    }

    /// Extends `range` to whole blocks, in a file of `bytes` bytes.
    pub fn around(&self, range: &Range<u64>, bytes: u64) -> Range<u64> {
        let block = u64::from(self.block_bytes.get());
        let start = range.start / block * block;
        let end = range.end.div_ceil(block).saturating_mul(block).min(bytes);
        start.min(end)..end
    }

    /// Verifies the bytes of whole blocks from offset `start`. [`Checksums::around`] returns such a range.
    ///
    /// # Errors
    /// [`Damage`] for the first block that differs, and for bytes that are not whole blocks of the file.
    pub fn verify(&self, start: u64, bytes: &[u8]) -> Result<(), Damage> {
        let block = u64::from(self.block_bytes.get());
        let damage = |at: u64, length: usize| Damage { range: at..at.saturating_add(length as u64) };
        if !start.is_multiple_of(block) {
            return Err(damage(start, bytes.len()));
        }
        let first = usize::try_from(start / block).unwrap_or(usize::MAX);
        for (number, bytes) in bytes.chunks(self.block_bytes.get() as usize).enumerate() {
            let expected = first.checked_add(number).and_then(|at| self.crc32.get(at));
            if expected != Some(&crc32fast::hash(bytes)) {
                return Err(damage(start + number as u64 * block, bytes.len()));
            }
        }
        Ok(())
    }
}

/// Computes the checksums of a file whose bytes arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct ChecksumBuilder {
    /// The checksums of complete blocks.
    done: Vec<u32>,
    /// The checksum of the current block so far.
    block: crc32fast::Hasher,
    /// The bytes in the current block so far.
    in_block: usize,
}

impl ChecksumBuilder {
    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (some, rest) = bytes.split_at(bytes.len().min(BLOCK.get() as usize - self.in_block));
            self.block.update(some);
            self.in_block += some.len();
            bytes = rest;
            if self.in_block == BLOCK.get() as usize {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        self.done.push(std::mem::take(&mut self.block).finalize());
        self.in_block = 0;
    }

    /// Returns the checksums of all bytes.
    pub fn finish(mut self) -> Checksums {
        if self.in_block > 0 {
            self.end_block();
        }
        Checksums { block_bytes: BLOCK, crc32: self.done }
    }
}

/// Serializes the checksums as one text, eight hexadecimal digits each.
fn to_hex<S: Serializer>(sums: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let text: String = sums.iter().map(|sum| format!("{sum:08x}")).collect();
    serializer.serialize_str(&text)
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom("checksums have eight hexadecimal digits each");
    if !text.len().is_multiple_of(8) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let sums = (0..text.len()).step_by(8).map(|at| text.get(at..at + 8));
    sums.map(|digits| digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes in which no two blocks are equal.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8 ^ (at >> 14) as u8).collect()
    }

    #[test]
    fn the_sums_are_those_of_gzip() {
        let text = serde_json::to_string(&Checksums::new(b"123456789")).expect("JSON");
        assert_eq!(text, r#"{"block_bytes":16384,"crc32":"cbf43926"}"#);
        assert_eq!(serde_json::to_string(&Checksums::new(b"")).expect("JSON"), r#"{"block_bytes":16384,"crc32":""}"#);
        for wrong in [r#"{"block_bytes":16384,"crc32":"cbf4392"}"#, r#"{"block_bytes":0,"crc32":""}"#] {
            serde_json::from_str::<Checksums>(wrong).expect_err(wrong);
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_have_the_same_sums(length in 0..70_000_usize, piece in 1..40_000_usize) {
            let bytes = bytes(length);
            let mut builder = ChecksumBuilder::default();
            bytes.chunks(piece).for_each(|piece| builder.update(piece));
            let sums = builder.finish();
            prop_assert!(sums.fit(length as u64));
            prop_assert_eq!(sums, Checksums::new(&bytes));
        }

        #[test]
        fn a_part_is_verified_by_itself(from in 0..70_000_u64, length in 1..40_000_u64) {
            let bytes = bytes(70_000);
            let sums = Checksums::new(&bytes);
            let part = from..(from + length).min(70_000);
            let around = sums.around(&part, 70_000);
            prop_assert!(around.start <= part.start && around.end >= part.end && around.end <= 70_000);
            let read = &bytes[around.start as usize..around.end as usize];
            prop_assert_eq!(sums.verify(around.start, read), Ok(()));
        }

        #[test]
        fn every_flipped_bit_is_found(at in 0..70_000_usize, bit in 0..8_u8) {
            let mut bytes = bytes(70_000);
            let sums = Checksums::new(&bytes);
            bytes[at] ^= 1 << bit;
            let damage = sums.verify(0, &bytes).expect_err("damage");
            prop_assert!(damage.range.contains(&(at as u64)));
        }
    }

    #[test]
    fn what_are_no_whole_blocks_of_the_file_is_damage() {
        let bytes = bytes(40_000);
        let sums = Checksums::new(&bytes);
        for (start, bytes) in [(1, &bytes[1..16_384]), (0, &bytes[..16_383]), (16_384, &bytes[..16_384])] {
            sums.verify(start, bytes).expect_err("damage");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(
            sums.verify(0, &longer).expect_err("damage").to_string(),
            "bytes 32768 to 40001 are not those that were audited"
        );
        longer.resize(50_000, 0);
        assert_eq!(sums.verify(49_152, &longer[49_152..]).expect_err("damage").range, 49_152..50_000);
    }
}
