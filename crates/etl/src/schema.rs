//! The Arrow schemas of the tables, made from the one list of columns in `market`.

use arrow_schema::{DataType, Field, Schema};
use market::table::{ColumnType, TableName};

/// The columns of `table` in order, all of them nullable, as Spark writes them. The partition keys are folders and no
/// columns.
pub fn schema(table: TableName) -> Schema {
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
