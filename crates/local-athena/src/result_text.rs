//! Formats values as the text in Athena's results.

use std::fmt::{self, Write};

use chrono::{DateTime, NaiveDateTime, Utc};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time64NanosecondType, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::record_batch::RecordBatch;

use crate::error::{ErrorKind, QueryError};
use crate::java_double;
use crate::result_set::Row;

/// Returns the rows of a batch as text.
pub(crate) fn rows(batch: &RecordBatch) -> Result<Vec<Row>, QueryError> {
    let mut rows: Vec<Row> = (0..batch.num_rows()).map(|_| Vec::with_capacity(batch.num_columns())).collect();
    for column in batch.columns() {
        let column = writable(column)?;
        for (index, row) in rows.iter_mut().enumerate() {
            row.push(value(&column, index)?);
        }
    }
    Ok(rows)
}

/// Returns one value as text, `None` for NULL.
pub(crate) fn value(array: &ArrayRef, index: usize) -> Result<Option<String>, QueryError> {
    if is_null(array, index) {
        return Ok(None);
    }
    let mut text = String::new();
    write_value(array, index, &mut text).map_err(|_| {
        QueryError::new(ErrorKind::NotSupported, format_args!("a value of type {} cannot be shown", array.data_type()))
    })?;
    Ok(Some(text))
}

/// Returns whether a value is NULL. An array of Arrow's type `Null` has no validity bitmap, and `is_null` is false for
/// it.
fn is_null(array: &dyn Array, i: usize) -> bool {
    array.is_null(i) || array.data_type() == &DataType::Null
}

/// Casts times, durations and dictionaries to the one unit that [`write_value`] formats.
fn writable(array: &ArrayRef) -> Result<ArrayRef, QueryError> {
    let target = match array.data_type() {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Millisecond),
        _ => return Ok(array.clone()),
    };
    cast(array, &target).map_err(|error| QueryError::new(ErrorKind::Internal, error))
}

fn write_value(array: &dyn Array, i: usize, out: &mut String) -> fmt::Result {
    match array.data_type() {
        DataType::Boolean => write!(out, "{}", array.as_boolean().value(i)),
        DataType::Int8 => write!(out, "{}", array.as_primitive::<Int8Type>().value(i)),
        DataType::Int16 => write!(out, "{}", array.as_primitive::<Int16Type>().value(i)),
        DataType::Int32 => write!(out, "{}", array.as_primitive::<Int32Type>().value(i)),
        DataType::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(i)),
        DataType::UInt8 => write!(out, "{}", array.as_primitive::<UInt8Type>().value(i)),
        DataType::UInt16 => write!(out, "{}", array.as_primitive::<UInt16Type>().value(i)),
        DataType::UInt32 => write!(out, "{}", array.as_primitive::<UInt32Type>().value(i)),
        DataType::UInt64 => write!(out, "{}", array.as_primitive::<UInt64Type>().value(i)),
        DataType::Float32 => out.write_str(&java_double::format_f32(array.as_primitive::<Float32Type>().value(i))),
        DataType::Float64 => out.write_str(&java_double::format_f64(array.as_primitive::<Float64Type>().value(i))),
        DataType::Decimal128(precision, scale) => out.write_str(&Decimal128Type::format_decimal(
            array.as_primitive::<Decimal128Type>().value(i),
            *precision,
            *scale,
        )),
        DataType::Decimal256(precision, scale) => out.write_str(&Decimal256Type::format_decimal(
            array.as_primitive::<Decimal256Type>().value(i),
            *precision,
            *scale,
        )),
        DataType::Utf8 => out.write_str(array.as_string::<i32>().value(i)),
        DataType::LargeUtf8 => out.write_str(array.as_string::<i64>().value(i)),
        DataType::Utf8View => out.write_str(array.as_string_view().value(i)),
        DataType::Binary => write_bytes(array.as_binary::<i32>().value(i), out),
        DataType::LargeBinary => write_bytes(array.as_binary::<i64>().value(i), out),
        DataType::BinaryView => write_bytes(array.as_binary_view().value(i), out),
        DataType::List(_) => write_items(&array.as_list::<i32>().value(i), out),
        DataType::LargeList(_) => write_items(&array.as_list::<i64>().value(i), out),
        DataType::FixedSizeList(_, _) => write_items(&array.as_fixed_size_list().value(i), out),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let named = fields.iter().zip(columns);
            write_pairs(named.map(|(field, column)| (field.name().clone(), column.clone(), i)), out)
        }
        DataType::Map(_, _) => write_map(array, i, out),
        _ => write_time(array, i, out),
    }
}

fn write_time(array: &dyn Array, i: usize, out: &mut String) -> fmt::Result {
    match array.data_type() {
        DataType::Date32 => {
            let day = array.as_primitive::<Date32Type>().value_as_date(i);
            write!(out, "{}", day.ok_or(fmt::Error)?)
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            use datafusion::arrow::datatypes::TimestampMillisecondType as Millis;
            let moment = array.as_primitive::<Millis>().value(i);
            let moment = DateTime::from_timestamp_millis(moment).ok_or(fmt::Error)?;
            match zone {
                None => write_moment(moment.naive_utc(), out),
                Some(zone) => write_zoned(moment, zone, out),
            }
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            let nanos = array.as_primitive::<Time64NanosecondType>().value(i);
            write_clock(nanos / 1_000_000, out)
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let months = array.as_primitive::<IntervalYearMonthType>().value(i);
            write_months(months, out)
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let span = array.as_primitive::<IntervalDayTimeType>().value(i);
            let day = i64::from(span.days) * DAY;
            write_span(day + i64::from(span.milliseconds), out)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let span = array.as_primitive::<IntervalMonthDayNanoType>().value(i);
            if span.months != 0 {
                return write_months(span.months, out);
            }
            write_span(i64::from(span.days) * DAY + span.nanoseconds / 1_000_000, out)
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            use datafusion::arrow::datatypes::DurationMillisecondType as Millis;
            write_span(array.as_primitive::<Millis>().value(i), out)
        }
        _ => {
            let array = array.slice(i, 1);
            let simple = writable(&array).map_err(|_| fmt::Error)?;
            if simple.data_type() == array.data_type() {
                return Err(fmt::Error);
            }
            write_value(&simple, 0, out)
        }
    }
}

const DAY: i64 = 86_400_000;

fn write_moment(moment: NaiveDateTime, out: &mut String) -> fmt::Result {
    write!(out, "{}", moment.format("%Y-%m-%d %H:%M:%S%.3f"))
}

fn write_zoned(moment: DateTime<Utc>, zone: &str, out: &mut String) -> fmt::Result {
    let known: Tz = zone.parse().map_err(|_| fmt::Error)?;
    write_moment(moment.with_timezone(&known).naive_local(), out)?;
    let name = if zone == "+00:00" { "UTC" } else { zone };
    write!(out, " {name}")
}

fn write_clock(millis: i64, out: &mut String) -> fmt::Result {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
}

fn write_span(millis: i64, out: &mut String) -> fmt::Result {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.checked_abs().ok_or(fmt::Error)?;
    write!(out, "{sign}{} ", millis / DAY)?;
    write_clock(millis % DAY, out)
}

fn write_months(months: i32, out: &mut String) -> fmt::Result {
    let sign = if months < 0 { "-" } else { "" };
    let months = months.unsigned_abs();
    write!(out, "{sign}{}-{}", months / 12, months % 12)
}

fn write_bytes(bytes: &[u8], out: &mut String) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        let space = if at == 0 { "" } else { " " };
        write!(out, "{space}{byte:02x}")?;
    }
    Ok(())
}

fn write_or_null(array: &dyn Array, i: usize, out: &mut String) -> fmt::Result {
    if is_null(array, i) { out.write_str("null") } else { write_value(array, i, out) }
}

fn write_items(items: &ArrayRef, out: &mut String) -> fmt::Result {
    out.push('[');
    for i in 0..items.len() {
        if i > 0 {
            out.push_str(", ");
        }
        write_or_null(items, i, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_map(array: &dyn Array, i: usize, out: &mut String) -> fmt::Result {
    let entries = array.as_map().value(i);
    let (keys, values) = (entries.column(0), entries.column(1));
    let mut pairs = Vec::with_capacity(keys.len());
    for at in 0..keys.len() {
        let mut key = String::new();
        write_or_null(keys, at, &mut key)?;
        pairs.push((key, values.clone(), at));
    }
    write_pairs(pairs, out)
}

fn write_pairs(pairs: impl IntoIterator<Item = (String, ArrayRef, usize)>, out: &mut String) -> fmt::Result {
    out.push('{');
    for (at, (key, values, index)) in pairs.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(out, "{comma}{key}=")?;
        write_or_null(&values, index, out)?;
    }
    out.push('}');
    Ok(())
}
