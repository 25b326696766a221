//! A streaming writer of query results as Parquet.
//!
//! Columns have the types that Athena reports. Types without a portable equivalent in Parquet (lists, maps, rows,
//! intervals, times with zones) are written as text, as Athena returns them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::vec;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use lake::athena::Column;
use lake::result_csv::Row;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// The size at which a row group is written. Its rows are buffered in memory until then.
const ROW_GROUP_ROWS: usize = 1 << 16;
const ROW_GROUP_BYTES: usize = 16 << 20;

/// A writer of one Parquet file.
pub(crate) struct ParquetFile {
    columns: Vec<Column>,
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
}

/// An error while rows are written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParquetFileError {
    /// A value that its column's Parquet type cannot hold exactly.
    #[error("the column {column} of type {ty} has the value {value:?}, which a Parquet file cannot hold exactly")]
    Value { column: String, ty: String, value: String },
    /// An error of the Parquet library.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

impl ParquetFile {
    /// Creates a writer of a file with these columns.
    pub(crate) fn new(columns: Vec<Column>) -> Result<Self, ParquetFileError> {
        let names = unique_names(&columns);
        let fields = columns.iter().zip(names).map(|(column, name)| Field::new(name, data_type(&column.ty), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
        Ok(Self { columns, schema, writer })
    }

    /// Appends rows. Returns the bytes of the file that are complete.
    pub(crate) fn write(&mut self, rows: &[Row]) -> Result<Vec<u8>, ParquetFileError> {
        let arrays = self.schema.fields().iter().zip(&self.columns).enumerate();
        let arrays: Result<Vec<ArrayRef>, _> =
            arrays.map(|(at, (field, column))| array(field.data_type(), column, rows, at)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays?).map_err(ParquetError::from)?;
        self.writer.write(&batch)?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// Ends the file. Returns the remaining bytes.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, ParquetFileError> {
        self.writer.finish()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}

/// Makes column names unique, because readers of Parquet expect it: the second `a` becomes `a_1`.
fn unique_names(columns: &[Column]) -> Vec<String> {
    let mut given: BTreeSet<String> = BTreeSet::new();
    let others: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    columns
        .iter()
        .map(|column| {
            let numbered = (1..).map(|number| format!("{}_{number}", column.name));
            let mut free = std::iter::once(column.name.clone())
                .chain(numbered.filter(|name| !others.contains(name.as_str())))
                .filter(|name| !given.contains(name));
            let name = free.next().expect("the sequence of numbers is infinite");
            given.insert(name.clone());
            name
        })
        .collect()
}

/// Maps a type of Athena to an Arrow type.
fn data_type(ty: &str) -> DataType {
    match ty {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => decimal_type(ty).unwrap_or(DataType::Utf8),
    }
}

/// Parses `decimal(18,2)`.
fn decimal_type(ty: &str) -> Option<DataType> {
    let (precision, scale) = ty.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(DataType::Decimal128(precision, scale))
}

/// Converts column `at` of the rows to an Arrow array.
fn array(ty: &DataType, column: &Column, rows: &[Row], at: usize) -> Result<ArrayRef, ParquetFileError> {
    let cells = Cells { column, rows, at };
    Ok(match ty {
        DataType::Boolean => Arc::new(cells.parsed(|text| text.parse().ok())?.collect::<BooleanArray>()),
        DataType::Int8 => cells.primitive::<Int8Type>(|text| text.parse().ok())?,
        DataType::Int16 => cells.primitive::<Int16Type>(|text| text.parse().ok())?,
        DataType::Int32 => cells.primitive::<Int32Type>(|text| text.parse().ok())?,
        DataType::Int64 => cells.primitive::<Int64Type>(|text| text.parse().ok())?,
        DataType::Float32 => cells.primitive::<Float32Type>(|text| text.parse().ok())?,
        DataType::Float64 => cells.primitive::<Float64Type>(|text| text.parse().ok())?,
        DataType::Date32 => cells.primitive::<Date32Type>(days)?,
        DataType::Time64(_) => cells.primitive::<Time64MicrosecondType>(time)?,
        DataType::Timestamp(_, _) => cells.primitive::<TimestampMicrosecondType>(timestamp)?,
        DataType::Decimal128(precision, scale) => {
            let values = cells.parsed(|text| decimal(text, *scale))?.collect::<PrimitiveArray<Decimal128Type>>();
            Arc::new(values.with_precision_and_scale(*precision, *scale).map_err(ParquetError::from)?)
        }
        _ => Arc::new(cells.texts().collect::<StringArray>()),
    })
}

/// The cells of one column.
struct Cells<'r> {
    column: &'r Column,
    rows: &'r [Row],
    at: usize,
}

impl<'r> Cells<'r> {
    /// The texts of the cells; `None` is NULL.
    fn texts(&self) -> impl Iterator<Item = Option<&'r str>> + use<'r> {
        let at = self.at;
        self.rows.iter().map(move |row| row.get(at).and_then(Option::as_deref))
    }

    /// Parses all cells.
    fn parsed<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<vec::IntoIter<Option<T>>, ParquetFileError> {
        let value = |text: Option<&str>| text.map(|text| parse(text).ok_or_else(|| self.refused(text))).transpose();
        let values: Result<Vec<Option<T>>, ParquetFileError> = self.texts().map(value).collect();
        values.map(Vec::into_iter)
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<ArrayRef, ParquetFileError> {
        Ok(Arc::new(self.parsed(parse)?.collect::<PrimitiveArray<T>>()))
    }

    fn refused(&self, value: &str) -> ParquetFileError {
        let Column { name, ty } = self.column.clone();
        ParquetFileError::Value { column: name, ty, value: value.to_owned() }
    }
}

/// Parses a date as days since 1970.
fn days(text: &str) -> Option<i32> {
    let date: NaiveDate = text.parse().ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Parses a time as microseconds since midnight.
fn time(text: &str) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
    let nanos = time.nanosecond();
    let whole = nanos < 1_000_000_000 && nanos.is_multiple_of(1_000);
    whole.then(|| i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(nanos / 1_000))
}

/// Parses a timestamp without time zone as microseconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(' ')?;
    let date: NaiveDate = date.parse().ok()?;
    let midnight: NaiveDateTime = date.into();
    Some(midnight.and_utc().timestamp_micros() + time(clock)?)
}

/// Parses a decimal as an unscaled integer with `scale` digits after the decimal point.
fn decimal(text: &str, scale: i8) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let missing = usize::try_from(scale).ok()?.checked_sub(fraction.len())?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole.trim_start_matches(['-', '+'])) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction}{}", "0".repeat(missing)).parse().ok()
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, RecordBatchReader};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn column(name: &str, ty: &str) -> Column {
        Column { name: name.to_owned(), ty: ty.to_owned() }
    }

    fn cells(cells: &[Option<&str>]) -> Row {
        cells.iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    fn written(columns: Vec<Column>, pages: &[Vec<Row>]) -> Vec<u8> {
        let mut file = ParquetFile::new(columns).expect("columns");
        let mut bytes = Vec::new();
        for page in pages {
            bytes.extend(file.write(page).expect("rows"));
        }
        bytes.extend(file.finish().expect("an end"));
        bytes
    }

    fn read(bytes: Vec<u8>) -> (Vec<RecordBatch>, usize) {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("a Parquet file");
        let groups = builder.metadata().num_row_groups();
        (builder.build().expect("rows").map(|batch| batch.expect("rows")).collect(), groups)
    }

    #[test]
    fn every_type_is_read_back_exactly() {
        let types = [
            ("bigint", "9007199254740993"),
            ("integer", "-5"),
            ("double", "0.1"),
            ("double", "-Infinity"),
            ("float", "1.5E-7"),
            ("boolean", "true"),
            ("date", "1969-12-31"),
            ("timestamp", "2020-04-01 13:20:00.001"),
            ("time", "13:20:00.000001"),
            ("decimal(20,2)", "-123456789012345678.5"),
            ("varchar", ""),
            ("array", "[1, 2]"),
            ("timestamp with time zone", "2020-04-01 13:20:00.000 UTC"),
        ];
        let columns = types.iter().enumerate().map(|(at, (ty, _))| column(&format!("c{at}"), ty)).collect();
        let texts: Vec<Option<&str>> = types.iter().map(|(_, text)| Some(*text)).collect();
        let bytes = written(columns, &[vec![cells(&texts), vec![None; types.len()]]]);
        let (batches, _) = read(bytes);
        let batch = &batches[0];
        assert_eq!(batch.num_rows(), 2);
        assert!(batch.columns().iter().all(|column| column.is_valid(0) && column.is_null(1)));
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
        assert_eq!(batch.column(1).as_primitive::<Int32Type>().value(0), -5);
        assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(0), 0.1);
        assert_eq!(batch.column(3).as_primitive::<Float64Type>().value(0), f64::NEG_INFINITY);
        assert_eq!(batch.column(4).as_primitive::<Float32Type>().value(0), 1.5e-7);
        assert!(batch.column(5).as_boolean().value(0));
        assert_eq!(batch.column(6).as_primitive::<Date32Type>().value(0), -1);
        let timestamps = batch.column(7).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(timestamps.value(0), 1_585_747_200_001_000);
        assert_eq!(batch.column(8).as_primitive::<Time64MicrosecondType>().value(0), 48_000_000_001);
        let decimals = batch.column(9).as_primitive::<Decimal128Type>();
        assert_eq!((decimals.value(0), decimals.scale()), (-12_345_678_901_234_567_850, 2));
        for (at, text) in [(10, ""), (11, "[1, 2]"), (12, "2020-04-01 13:20:00.000 UTC")] {
            assert_eq!(batch.column(at).as_string::<i32>().value(0), text);
        }
    }

    #[test]
    fn what_cannot_be_held_is_refused_by_name() {
        for (ty, text) in [
            ("timestamp", "2020-04-01 13:20:00.0000001"),
            ("timestamp", "2020-04-01"),
            ("bigint", "9223372036854775808"),
            ("decimal(5,1)", "1.25"),
            ("decimal(5,1)", "x"),
            ("boolean", ""),
            ("date", "2020-02-30"),
        ] {
            let mut file = ParquetFile::new(vec![column("when", ty)]).expect("columns");
            let error = file.write(&[cells(&[Some(text)])]).expect_err(text).to_string();
            assert!(error.contains("when") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn row_groups_are_written_when_they_are_full() {
        let page: Vec<Row> = (0..8_192).map(|row| cells(&[Some(&row.to_string())])).collect();
        let mut file = ParquetFile::new(vec![column("n", "bigint")]).expect("columns");
        let mut sizes = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..20 {
            let ready = file.write(&page).expect("rows");
            sizes.push(ready.len());
            bytes.extend(ready);
        }
        bytes.extend(file.finish().expect("an end"));
        // Eight pages make a row group. The first 4 bytes are the magic number.
        assert!(sizes[7] > 1_000 && sizes[15] > 1_000, "{sizes:?}");
        assert_eq!(sizes.iter().filter(|size| **size > 4).count(), 2, "{sizes:?}");
        let (batches, groups) = read(bytes);
        assert_eq!((batches.iter().map(RecordBatch::num_rows).sum::<usize>(), groups), (20 * 8_192, 3));
    }

    #[test]
    fn no_two_columns_have_one_name() {
        let columns = ["a", "b", "a", "a_1", "a"].map(|name| column(name, "varchar"));
        assert_eq!(unique_names(&columns), ["a", "b", "a_2", "a_1", "a_3"]);
        let bytes = written(columns.to_vec(), &[]);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("a file without rows");
        assert_eq!(builder.build().expect("a reader").schema().fields().len(), 5);
    }
}
