//! The metadata table `"quotes$partitions"`, which lists the partitions of `quotes`.

use datafusion::arrow::array::{ArrayRef, new_empty_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;

use crate::catalog::{Partition, Table};
use crate::error::{ErrorKind, QueryError};

/// The suffix of such a table's name.
pub(super) const SUFFIX: &str = "$partitions";

/// Returns one row per partition, with one column per key.
pub(super) fn rows(table: &Table, partitions: &[Partition]) -> Result<RecordBatch, QueryError> {
    if table.partition_keys.is_empty() {
        let message = format!("the table {} has no partitions", table.name);
        return Err(QueryError::new(ErrorKind::TableNotFound, message));
    }
    let columns = table.partition_keys.iter().enumerate().map(|(at, key)| {
        let array = key_values(partitions, at, &key.ty.arrow());
        let array = array.map_err(|error| QueryError::new(ErrorKind::Internal, error))?;
        Ok((key.name.clone(), array, true))
    });
    let columns = columns.collect::<Result<Vec<_>, QueryError>>()?;
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| QueryError::new(ErrorKind::Internal, error))
}

/// Returns the values of one key as an array of the key's type.
pub(super) fn key_values(partitions: &[Partition], at: usize, ty: &DataType) -> datafusion::common::Result<ArrayRef> {
    if partitions.is_empty() {
        return Ok(new_empty_array(ty));
    }
    let texts = partitions.iter().map(|p| p.values.get(at).cloned());
    let texts = ScalarValue::iter_to_array(texts.map(ScalarValue::Utf8))?;
    Ok(cast(&texts, ty)?)
}
