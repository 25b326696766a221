//! The casts for which Arrow and Athena differ: floating point to integer (Athena rounds, Arrow truncates) and to
//! decimal (Athena takes the shortest digits), values to text, text to numbers and times, and times between zones.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Float32Type, Float64Type, Int64Type, TimeUnit,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::column_function::{ColumnFunction, Columns, Types};
use super::json::{json_cast, scalar_text as json_text};
use super::zones::{self, Moment};
use crate::error::{ErrorKind, QueryError};
use crate::types::{JSON, type_name};
use crate::{java_double, result_text};

/// Returns the call for a cast between two types; `None` if Arrow's cast has the same result as Athena's.
pub(crate) fn cast_call(from: &DataType, target: &DataType, null_on_error: bool, argument: &Expr) -> Option<Expr> {
    let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::Utf8View);
    if from == &JSON || target == &JSON {
        return json_cast(from, target, null_on_error, argument);
    }
    let is_special = match (from, target) {
        (from, target) if from.is_floating() => {
            target.is_integer() || is_text(target) || matches!(target, DataType::Decimal128(..))
        }
        (from, target) if is_text(from) => matches!(
            target,
            DataType::Boolean | DataType::Float32 | DataType::Float64 | DataType::Date32 | DataType::Timestamp(..)
        ),
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None) | DataType::Date32) => true,
        (DataType::Timestamp(..) | DataType::Time64(_) | DataType::Interval(_) | DataType::Duration(_), target) => {
            is_text(target)
        }
        _ => false,
    };
    is_special.then(|| CAST.call_to(target.clone(), null_on_error, vec![argument.clone()]))
}

const CAST: ColumnFunction = ColumnFunction {
    name: "cast",
    types: |given| match given {
        // The function that `call_to` makes has its own type of result.
        [from] => Some(Types { arguments: vec![in_milliseconds(from)], result: DataType::Null }),
        _ => None,
    },
    body: |columns| {
        let array = &columns.columns[0];
        match (array.data_type(), columns.result) {
            (from, target) if from.is_string() => from_texts(columns, array, target),
            (_, target) if target.is_integer() => rounded(columns),
            (_, DataType::Decimal128(..)) => decimals(columns),
            (_, DataType::Timestamp(..)) => Ok(Arc::new(zones::local_times(array)?)),
            (_, DataType::Date32) => Ok(Arc::new(zones::dates(&zones::local_times(array)?))),
            _ => texts(array, columns.result),
        }
    },
};

fn invalid_cast(message: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::InvalidCastArgument, message)
}

fn rounded(columns: &Columns<'_>) -> Result<ArrayRef> {
    let doubles = cast(&columns.columns[0], &DataType::Float64)?;
    let whole = doubles.as_primitive::<Float64Type>().iter().map(|value| {
        let Some(value) = value else { return Ok(None) };
        columns.outcome(fit(value.round(), columns.result).map(Some).ok_or_else(|| {
            let (value, target) = (java_double::format_f64(value), type_name(columns.result));
            invalid_cast(format_args!("Cannot cast {value} to {target}"))
        }))
    });
    let whole: ArrayRef = Arc::new(whole.collect::<Result<Int64Array>>()?);
    Ok(cast(&whole, columns.result)?)
}

fn fit(rounded: f64, target: &DataType) -> Option<i64> {
    let (least, most) = match target {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        // The largest double below 2^63, which itself does not fit.
        _ => (i64::MIN as f64, 9_223_372_036_854_774_784.0),
    };
    (least..=most).contains(&rounded).then_some(rounded as i64)
}

/// Rounds the shortest digits that stand for a number, and not its binary value: 1234567890.0 has no other digits.
fn decimals(columns: &Columns<'_>) -> Result<ArrayRef> {
    let &DataType::Decimal128(precision, scale) = columns.result else {
        return Err(DataFusionError::Internal(format!("{} is no decimal", columns.result)));
    };
    let array = &columns.columns[0];
    let row = |row: usize| {
        if array.is_null(row) {
            return Ok(None);
        }
        let digits = match array.data_type() {
            DataType::Float32 => format!("{:e}", array.as_primitive::<Float32Type>().value(row)),
            _ => format!("{:e}", array.as_primitive::<Float64Type>().value(row)),
        };
        let value =
            unscaled(&digits, scale).filter(|value| Decimal128Type::is_valid_decimal_precision(*value, precision));
        columns.outcome(value.map(Some).ok_or_else(|| {
            let from = type_name(array.data_type()).to_uppercase();
            invalid_cast(format_args!("Cannot cast {from} '{digits}' to DECIMAL({precision}, {scale})"))
        }))
    };
    let values = (0..array.len()).map(row).collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
}

/// Returns the unscaled value of a number such as `-1.5e-3`, rounded half away from zero; `None` if it has no digits, or too
/// many.
fn unscaled(text: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    let digits: i128 = mantissa.replace('.', "").parse().ok()?;
    let shift = exponent - fraction + i32::from(scale);
    let power = |digits: i32| 10_i128.checked_pow(digits.unsigned_abs());
    if shift >= 0 {
        return digits.checked_mul(power(shift)?);
    }
    let Some(factor) = power(shift) else { return Some(0) };
    let (quotient, rest) = (digits / factor, digits % factor);
    Some(quotient + if rest.abs() >= factor - rest.abs() { digits.signum() } else { 0 })
}

/// Casts texts to another type. What fails is an error, or NULL inside `try(...)`.
pub(super) fn from_texts(columns: &Columns<'_>, array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    macro_rules! each {
        ($array:ty, $parse:expr) => {
            texts
                .iter()
                .map(|text| {
                    let Some(text) = text else { return Ok(None) };
                    columns.outcome($parse(text).map(Some))
                })
                .collect::<Result<$array>>()?
        };
    }
    let cannot = |text: &str, target: &str| invalid_cast(format_args!("Cannot cast '{text}' to {target}"));
    let none = |text: &str, target: &str| invalid_cast(format_args!("Value cannot be cast to {target}: {text}"));
    Ok(match target {
        DataType::Boolean => {
            Arc::new(each!(BooleanArray, |text: &str| boolean(text).ok_or_else(|| cannot(text, "BOOLEAN"))))
        }
        DataType::Float32 => Arc::new(each!(Float32Array, |text: &str| {
            java_double::parse(text).map(|value| value as f32).ok_or_else(|| cannot(text, "REAL"))
        })),
        DataType::Float64 => {
            Arc::new(each!(Float64Array, |text: &str| java_double::parse(text).ok_or_else(|| cannot(text, "DOUBLE"))))
        }
        DataType::Date32 => Arc::new(each!(Date32Array, |text: &str| {
            let date = text.trim().parse::<NaiveDate>().ok().filter(|_| text.contains('-'));
            date.map(Date32Type::from_naive_date).ok_or_else(|| none(text, "date"))
        })),
        DataType::Timestamp(_, zone) => {
            let millis = each!(TimestampMillisecondArray, |text: &str| {
                let moment = Moment::parse(text);
                let moment = moment
                    .ok_or_else(|| none(text, if zone.is_some() { "timestamp with time zone" } else { "timestamp" }))?;
                match zone {
                    Some(_) => zones::instant_of(text, &moment),
                    // A zone is dropped, as a cast from a timestamp with a zone drops it.
                    None => Ok(moment.local.and_utc().timestamp_millis()),
                }
            });
            Arc::new(millis.with_timezone_opt(zone.clone()))
        }
        other if columns.is_tried() => cast(&texts, other)?,
        other => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(&texts, other, &options)?
        }
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// Returns the texts of the elements of an array, as `array_join` joins them. A string of JSON has no quotes.
pub(super) fn element_texts(array: &ArrayRef) -> Result<Vec<Option<String>>> {
    let texts = match array.data_type() {
        &JSON => {
            let texts = array.as_string::<i64>().iter();
            return Ok(texts.map(|text| text.and_then(json_text)).collect());
        }
        DataType::Utf8 => Arc::clone(array),
        _ => texts(array, &DataType::Utf8)?,
    };
    Ok(texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
}

fn texts(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let texts: ArrayRef = match array.data_type() {
        DataType::Float64 => {
            let doubles = array.as_primitive::<Float64Type>().iter();
            Arc::new(doubles.map(|value| value.map(java_double::format_varchar)).collect::<StringArray>())
        }
        DataType::Float32 => {
            let reals = array.as_primitive::<Float32Type>().iter();
            Arc::new(reals.map(|value| value.map(java_double::format_real_varchar)).collect::<StringArray>())
        }
        _ => {
            let texts = (0..array.len()).map(|row| result_text::value(array, row));
            let texts = texts.collect::<std::result::Result<StringArray, _>>();
            Arc::new(texts.map_err(|error| DataFusionError::External(Box::new(error)))?)
        }
    };
    Ok(cast(&texts, target)?)
}

/// Returns the functions of casts to `varchar(n)`.
pub(super) fn functions() -> Vec<ColumnFunction> {
    vec![CUT_VARCHAR, FIT_VARCHAR]
}

/// Returns the cast of a text to `varchar(length)`: a varchar is cut, and the text of another value has to fit.
pub(crate) fn varchar_call(is_varchar: bool, null_on_error: bool, arguments: Vec<Expr>) -> Expr {
    let function = if is_varchar { CUT_VARCHAR } else { FIT_VARCHAR };
    function.call_to(DataType::Utf8, null_on_error, arguments)
}

const CUT_VARCHAR: ColumnFunction = ColumnFunction {
    name: "cut_varchar",
    types: varchar_types,
    body: |columns| {
        varchars(columns, |text, length| Ok(text.char_indices().nth(length).map_or(text, |(end, _)| &text[..end])))
    },
};

const FIT_VARCHAR: ColumnFunction = ColumnFunction {
    name: "fit_varchar",
    types: varchar_types,
    body: |columns| {
        varchars(columns, |text, length| match text.chars().nth(length) {
            None => Ok(text),
            Some(_) => Err(invalid_cast(format_args!("Value {text} cannot be represented as varchar({length})"))),
        })
    },
};

fn varchar_types(given: &[DataType]) -> Option<Types> {
    match given {
        [text, length] if text.is_string() && length.is_integer() => {
            Some(Types { arguments: vec![DataType::Utf8, DataType::Int64], result: DataType::Utf8 })
        }
        _ => None,
    }
}

fn varchars(
    columns: &Columns<'_>,
    fit: for<'a> fn(&'a str, usize) -> std::result::Result<&'a str, QueryError>,
) -> Result<ArrayRef> {
    let texts = columns.columns[0].as_string::<i32>();
    let lengths = columns.columns[1].as_primitive::<Int64Type>();
    let fitted = texts.iter().zip(lengths).map(|pair| {
        let (Some(text), Some(length)) = pair else { return Ok(None) };
        columns.outcome(fit(text, length as usize).map(Some))
    });
    Ok(Arc::new(fitted.collect::<Result<StringArray>>()?))
}

/// Returns the unit of all timestamps.
pub(crate) fn in_milliseconds(ty: &DataType) -> DataType {
    match ty {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_the_shortest_digits() {
        for (value, scale, expected) in [
            (1_234_567_890.0_f64, 20, Some(123_456_789_000_000_000_000_000_000_000)),
            (0.123_456_789_012_345_67, 2, Some(12)),
            (-2.5, 0, Some(-3)),
            (1e-40, 38, Some(0)),
            (1e40, 0, None),
            (f64::NAN, 0, None),
        ] {
            assert_eq!(unscaled(&format!("{value:e}"), scale), expected, "{value}");
        }
    }
}
