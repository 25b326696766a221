//! The Arrow schemas of the tables, derived from the column definitions in `market`.

use arrow_schema::{DataType, Field, Schema};
use market::table::{ColumnType, TableName};

/// Returns the schema of the Parquet files of `table`. All columns are nullable, as in the files that Spark writes. The
/// partition keys are in the folder names and not in the files.
pub(crate) fn schema(table: TableName) -> Schema {
    let fields: Vec<Field> =
        table.columns().iter().map(|column| Field::new(column.name, data_type(column.ty), true)).collect();
    Schema::new(fields)
}

fn data_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Int => DataType::Int32,
        ColumnType::Double => DataType::Float64,
        ColumnType::String => DataType::Utf8,
    }
}
