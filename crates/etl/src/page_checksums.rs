//! Adds a CRC-32 to the header of each page, by which readers detect bits that flipped on a disk.
//!
//! The `parquet` crate verifies page checksums and does not write them. It lets a program store the encoded pages of a column
//! ([`PageStore`]): each arrives as its header, in Thrift's compact protocol, and then its bytes as stored in the file. This
//! module inserts the checksum into the header, and corrects the sizes and offsets in the column's metadata before the
//! column becomes part of the file. The checksum covers the bytes after the header, for all types of pages:
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift> (`PageHeader.crc`).
//!
//! pyarrow verifies it with `page_checksum_verification=True`; Spark and Trino verify it if configured to.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter};
use parquet::column::page_store::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::writer::SerializedRowGroupWriter;

/// Creates the page stores of column encoders, and hands each to the writer of its column.
#[derive(Debug, Default)]
pub(crate) struct ChecksummedPages {
    /// The stores that were created and not yet taken, in the order of the columns.
    created: Mutex<Vec<ColumnPages>>,
}

impl PageStoreFactory for ChecksummedPages {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        let pages = ColumnPages::default();
        lock(&self.created).push(pages.clone());
        Ok(Box::new(pages))
    }
}

impl ChecksummedPages {
    /// Pairs the encoders of a row group with the page stores that were created for them.
    pub(crate) fn take_columns(
        &self,
        encoders: Vec<ArrowColumnWriter>,
    ) -> Result<Vec<(ArrowColumnWriter, ColumnPages)>> {
        let pages = std::mem::take(&mut *lock(&self.created));
        if pages.len() != encoders.len() {
            return Err(unexpected("the encoders do not keep one list of pages each"));
        }
        Ok(encoders.into_iter().zip(pages).collect())
    }
}

/// The pages of one column of one row group. A handle: the encoder of the column holds a clone.
#[derive(Debug, Default, Clone)]
pub(crate) struct ColumnPages(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    /// A header whose page has not arrived yet.
    header: Option<Bytes>,
    /// The dictionary page. The file has it before the data, although the encoder writes it last.
    dictionary: Option<Page>,
    data: Vec<Page>,
    /// The number of headers and bodies so far; the key of the next.
    pieces: u64,
}

#[derive(Debug)]
struct Page {
    /// The header, with the checksum.
    header: Vec<u8>,
    body: Bytes,
    /// The bytes that the checksum added to the header.
    grown: usize,
}

impl Page {
    fn bytes(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

impl PageStore for ColumnPages {
    fn put(&mut self, value: Bytes) -> Result<PageKey> {
        let mut pages = lock(&self.0);
        pages.pieces += 1;
        match pages.header.take() {
            None => pages.header = Some(value),
            Some(header) => {
                let (is_dictionary, page) = checksummed(&header, value)?;
                match is_dictionary {
                    false => pages.data.push(page),
                    true if pages.dictionary.is_none() => pages.dictionary = Some(page),
                    true => return Err(unexpected("a column has two dictionaries")),
                }
            }
        }
        Ok(PageKey::new(pages.pieces))
    }

    fn take(&mut self, _: PageKey) -> Result<Bytes> {
        Err(unexpected("pages are appended without their checksums"))
    }

    fn memory_size(&self) -> usize {
        let pages = lock(&self.0);
        pages.dictionary.iter().chain(&pages.data).map(Page::bytes).sum()
    }
}

impl ColumnPages {
    /// Appends the column to its row group. `chunk` is the result of its encoder.
    pub(crate) fn append_to_row_group<W: Write + Send>(
        self,
        mut chunk: ArrowColumnChunk,
        row_group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        let pages = std::mem::take(&mut *lock(&self.0));
        let close = pages.close(chunk.close_mut())?;
        // Frees the encoder's copy before the pages are joined, so that the column is in memory twice and not three times.
        drop(chunk);
        row_group.append_column(&pages.into_bytes(), close)
    }
}

impl Pages {
    fn in_order(&self) -> impl Iterator<Item = &Page> {
        self.dictionary.iter().chain(&self.data)
    }

    /// Corrects the sizes and offsets in the column's metadata: the dictionary at offset 0, and then the data pages.
    fn close(&self, encoded: &mut ColumnCloseResult) -> Result<ColumnCloseResult> {
        let bytes: usize = self.in_order().map(Page::bytes).sum();
        let grown: usize = self.in_order().map(|page| page.grown).sum();
        let metadata = encoded.metadata.clone();
        if self.header.is_some() || metadata.compressed_size() != (bytes - grown) as i64 {
            return Err(unexpected("the pages of a column are not as large as their encoder says"));
        }
        let dictionary = self.dictionary.as_ref().map(Page::bytes);
        let mut offset_index = encoded.offset_index.take();
        if let Some(index) = &mut offset_index {
            if index.page_locations.len() != self.data.len() {
                return Err(unexpected("the index of a column has another number of pages"));
            }
            let mut offset = dictionary.unwrap_or_default();
            for (location, page) in index.page_locations.iter_mut().zip(&self.data) {
                location.offset = offset as i64;
                location.compressed_page_size = i32::try_from(page.bytes())?;
                offset += page.bytes();
            }
        }
        let uncompressed = metadata.uncompressed_size() + grown as i64;
        let metadata = metadata
            .into_builder()
            .set_dictionary_page_offset(dictionary.map(|_| 0))
            .set_data_page_offset(dictionary.unwrap_or_default() as i64)
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(uncompressed)
            .build()?;
        Ok(ColumnCloseResult {
            bytes_written: encoded.bytes_written + grown as u64,
            rows_written: encoded.rows_written,
            metadata,
            bloom_filter: encoded.bloom_filter.take(),
            column_index: encoded.column_index.take(),
            offset_index,
        })
    }

    fn into_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.in_order().map(Page::bytes).sum());
        for page in self.dictionary.into_iter().chain(self.data) {
            bytes.extend_from_slice(&page.header);
            bytes.extend_from_slice(&page.body);
        }
        bytes.freeze()
    }
}

/// `PageType.DICTIONARY_PAGE`.
const DICTIONARY: u32 = 2;

/// Field types of Thrift's compact protocol.
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Returns the page with the checksum in its header, and whether it is a dictionary.
///
/// A header has the fields 1 (type), 2 and 3 (sizes) as 32-bit integers, and then the struct of its page type as field 5 to
/// 8. A field begins with a byte: the difference to the number of the field before in the upper half, its type in the lower.
/// The checksum is field 4.
fn checksummed(header: &[u8], body: Bytes) -> Result<(bool, Page)> {
    let mut rest = header;
    let page_type = next_i32(&mut rest)?;
    let _uncompressed = next_i32(&mut rest)?;
    let compressed = next_i32(&mut rest)?;
    let (of_type, tail) = rest.split_first().ok_or_else(|| unexpected("a page header ends early"))?;
    let step = of_type >> 4;
    if of_type & 0xf != STRUCT || step < 2 || usize::try_from(compressed) != Ok(body.len()) {
        return Err(unexpected("a page header is of another form"));
    }
    let mut longer = Vec::with_capacity(header.len() + 6);
    longer.extend_from_slice(&header[..header.len() - rest.len()]);
    longer.push(1 << 4 | I32);
    // Thrift has signed integers only.
    push_i32(&mut longer, crc32fast::hash(&body) as i32);
    longer.push((step - 1) << 4 | STRUCT);
    longer.extend_from_slice(tail);
    let grown = longer.len() - header.len();
    Ok((page_type as u32 == DICTIONARY, Page { header: longer, body, grown }))
}

/// Reads the next field, which has to be a 32-bit integer whose number is one more than that of the field before.
fn next_i32(bytes: &mut &[u8]) -> Result<i32> {
    let wrong = || unexpected("a page header is of another form");
    let mut next = || -> Result<u8> {
        let (first, rest) = bytes.split_first().ok_or_else(wrong)?;
        *bytes = rest;
        Ok(*first)
    };
    if next()? != (1 << 4 | I32) {
        return Err(wrong());
    }
    let mut value: u32 = 0;
    for shift in (0..35).step_by(7) {
        let byte = next()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            // Zigzag encoding: 0, -1, 1, -2, ...
            return Ok((value >> 1) as i32 ^ -((value & 1) as i32));
        }
    }
    Err(wrong())
}

fn push_i32(bytes: &mut Vec<u8>, value: i32) {
    let mut value = (value << 1 ^ value >> 31) as u32;
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn unexpected(what: &str) -> ParquetError {
    ParquetError::General(format!("the Parquet library encodes pages in another way than this program knows: {what}"))
}

/// Locks a mutex, poisoned or not: no code panics halfway through a change of these values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_read_back(value in any::<i32>()) {
            let mut bytes = vec![1 << 4 | I32];
            push_i32(&mut bytes, value);
            bytes.push(7);
            let mut rest = &bytes[..];
            prop_assert_eq!(next_i32(&mut rest).expect("an integer"), value);
            prop_assert_eq!(rest, [7]);
        }
    }

    /// A data page of 3 bytes; then the struct of field 5.
    const HEADER: [u8; 8] = [0x15, 0x00, 0x15, 0x06, 0x15, 0x06, 0x2c, 0x00];

    #[test]
    fn a_checksum_is_field_four() {
        let (is_dictionary, page) = checksummed(&HEADER, Bytes::from_static(b"abc")).expect("a page");
        assert!(!is_dictionary);
        // CRC-32 of "abc" is 0x352441c2, in zigzag 0x6a488384.
        let expected = [0x15, 0x00, 0x15, 0x06, 0x15, 0x06, 0x15, 0x84, 0x87, 0xa2, 0xd2, 0x06, 0x1c, 0x00];
        assert_eq!(page.header, expected);
        assert_eq!(page.grown, 6);
    }

    #[test]
    fn a_header_of_another_form_is_refused() {
        let refused = |change: fn(&mut Vec<u8>)| {
            let mut header = HEADER.to_vec();
            change(&mut header);
            checksummed(&header, Bytes::from_static(b"abc")).expect_err("refused").to_string()
        };
        for message in [
            refused(|header| header[5] = 0x08), // of 4 bytes
            refused(|header| header[6] = 0x15), // with a checksum
            refused(|header| header[6] = 0x1c), // a struct in its place
            refused(|header| header[0] = 0x25), // without a type
            refused(|header| header.truncate(6)),
            refused(|header| header.truncate(3)),
            refused(|header| header.splice(1..2, [0x80; 6]).for_each(drop)),
        ] {
            assert!(message.contains("in another way than this program knows"), "{message}");
        }
    }
}
