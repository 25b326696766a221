//! Decodes a whole Parquet file.

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Reads every page of a file, and checks the pages' checksums, if any. Returns the number of rows.
///
/// # Errors
/// The reason why it cannot be read, which may be a panic of the library because of damaged bytes.
pub(crate) async fn rows(bytes: Bytes) -> Result<u64, String> {
    let decoded = tokio::task::spawn_blocking(move || decode(bytes)).await;
    decoded.unwrap_or_else(|error| Err(format!("it cannot be decoded: {error}")))
}

fn decode(bytes: Bytes) -> Result<u64, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let said = reader.metadata().file_metadata().num_rows();
    let mut rows = 0;
    for batch in reader.build().map_err(|error| error.to_string())? {
        rows += batch.map_err(|error| error.to_string())?.num_rows() as u64;
    }
    if u64::try_from(said) != Ok(rows) {
        return Err(format!("its footer says {said} rows, and its pages have {rows}"));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_that_are_no_parquet_are_an_error() {
        for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", &[0; 1000]] {
            rows(Bytes::from_static(b"").slice(..0)).await.expect_err("an empty file");
            rows(Bytes::copy_from_slice(bytes)).await.expect_err("no Parquet");
        }
    }
}
