//! Column builders that parse JSON values exactly.
//!
//! Athena's SerDe is lenient: it accepts a quoted number as a number, `1.0` or hexadecimal digits as an integer, days since
//! 1970 as a date, and any value other than `true` as false
//! (<https://github.com/trinodb/trino/blob/master/lib/trino-hive-formats/src/main/java/io/trino/hive/formats/line/openxjson/README.md>).
//! The builders accept a subset: each accepted value has the same result on Athena. Any other value is an error, never NULL
//! or a changed number.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringViewArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Date32Type};

use crate::error::{ErrorKind, QueryError};
use crate::types::HiveType;

/// A builder of one column.
pub(super) trait JsonColumn: Send {
    /// Returns the number of values.
    fn len(&self) -> usize;

    /// Parses and appends a JSON value; `None` appends NULL.
    ///
    /// # Errors
    /// A message when the text is no value of the column's type.
    fn push(&mut self, written: Option<&str>) -> Result<(), String>;

    /// Returns the values as an array, and empties the builder.
    fn finish(&mut self) -> ArrayRef;
}

/// Returns an empty builder for a type.
///
/// # Errors
/// [`ErrorKind::NotSupported`] for a type that tables of JSON files cannot have.
pub(super) fn json_column(ty: &HiveType) -> Result<Box<dyn JsonColumn>, QueryError> {
    Ok(match ty {
        HiveType::Boolean => column(ty, boolean, |values| Arc::new(BooleanArray::from(values))),
        HiveType::TinyInt => column(ty, |n| n.parse().ok(), |values| Arc::new(Int8Array::from(values))),
        HiveType::SmallInt => column(ty, |n| n.parse().ok(), |values| Arc::new(Int16Array::from(values))),
        HiveType::Int => column(ty, |n| n.parse().ok(), |values| Arc::new(Int32Array::from(values))),
        HiveType::BigInt => column(ty, |n| n.parse().ok(), |values| Arc::new(Int64Array::from(values))),
        HiveType::Float => column(
            ty,
            |n| n.parse().ok().filter(|n: &f32| n.is_finite()),
            |values| Arc::new(Float32Array::from(values)),
        ),
        HiveType::Double => column(
            ty,
            |n| n.parse().ok().filter(|n: &f64| n.is_finite()),
            |values| Arc::new(Float64Array::from(values)),
        ),
        HiveType::Decimal(precision, scale) => {
            let (precision, scale, of) = (*precision, scale.unsigned_abs(), ty.arrow());
            let array = move |values| -> ArrayRef { Arc::new(decimals(values, of.clone())) };
            column(ty, move |n| decimal(n, precision, scale), array)
        }
        HiveType::String => column(ty, text, |values| Arc::new(StringViewArray::from_iter(values))),
        HiveType::Date => column(ty, date, |values| Arc::new(Date32Array::from(values))),
        HiveType::Timestamp => column(ty, timestamp, |values| Arc::new(TimestampMillisecondArray::from(values))),
        other => {
            let message = format!("a column of type {other} in a table of JSON files");
            return Err(QueryError::new(ErrorKind::NotSupported, message));
        }
    })
}

fn column<T: Send + 'static>(
    ty: &HiveType,
    read: impl Fn(&str) -> Option<T> + Send + 'static,
    array: impl Fn(Vec<Option<T>>) -> ArrayRef + Send + 'static,
) -> Box<dyn JsonColumn> {
    Box::new(Typed { ty: ty.clone(), read, array, values: Vec::new() })
}

struct Typed<T, R, A> {
    ty: HiveType,
    read: R,
    array: A,
    values: Vec<Option<T>>,
}

impl<T, R, A> JsonColumn for Typed<T, R, A>
where
    T: Send,
    R: Fn(&str) -> Option<T> + Send,
    A: Fn(Vec<Option<T>>) -> ArrayRef + Send,
{
    fn len(&self) -> usize {
        self.values.len()
    }

    fn push(&mut self, written: Option<&str>) -> Result<(), String> {
        let value = match written {
            None | Some("null") => None,
            Some(written) => Some((self.read)(written).ok_or_else(|| none_of(written, &self.ty))?),
        };
        self.values.push(value);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        (self.array)(std::mem::take(&mut self.values))
    }
}

/// Maximum length of a value in an error message, in characters.
const MAX_SHOWN_CHARS: usize = 60;

fn none_of(written: &str, ty: &HiveType) -> String {
    let shown: String = written.chars().take(MAX_SHOWN_CHARS).collect();
    let cut = if shown.len() < written.len() { "..." } else { "" };
    format!("{shown}{cut} is no {ty} that can be read without changing it")
}

fn boolean(written: &str) -> Option<bool> {
    written.parse().ok()
}

fn text(written: &str) -> Option<String> {
    serde_json::from_str(written).ok()
}

/// Parses a decimal. Digits beyond the scale must be zeros, because Athena would round them.
fn decimal(written: &str, precision: u8, scale: u8) -> Option<i128> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let scale = usize::from(scale);
    let kept = fraction.get(..scale.min(fraction.len()))?;
    let lost = fraction.get(kept.len()..)?;
    if !lost.bytes().all(|digit| digit == b'0') {
        return None;
    }
    // This also refuses numbers with an exponent or in quotes.
    let unscaled: i128 = format!("{whole}{kept}{}", "0".repeat(scale - kept.len())).parse().ok()?;
    (unscaled.unsigned_abs() < 10_u128.checked_pow(u32::from(precision))?).then_some(unscaled)
}

fn decimals(values: Vec<Option<i128>>, ty: DataType) -> Decimal128Array {
    Decimal128Array::from(values).with_data_type(ty)
}

/// Parses `2020-04-01`. Returns days since 1970.
fn date(written: &str) -> Option<i32> {
    let text = text(written)?;
    day(&text).map(Date32Type::from_naive_date)
}

fn day(text: &str) -> Option<NaiveDate> {
    is_like(text, "dddd-dd-dd").then(|| text.parse().ok()).flatten()
}

/// Parses `2020-04-01 13:20:00.123`, or ISO 8601 with a zone: `2020-04-01T13:20:00.123Z` or `...+0300`. Returns
/// milliseconds since 1970 in UTC. Digits after the milliseconds must be zeros.
fn timestamp(written: &str) -> Option<i64> {
    let text = text(written)?;
    let (moment, rest) = text.split_at_checked(SECONDS.len())?;
    if !is_like(moment, SECONDS) && !is_like(moment, SECONDS_WITH_T) {
        return None;
    }
    let zone_at = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(zone_at);
    let is_iso = moment.contains('T');
    let offset = match zone {
        "" if !is_iso => 0,
        "Z" if is_iso => 0,
        zone if is_iso && (is_like(zone, "+dddd") || is_like(zone, "-dddd")) => {
            let of_zone = format!("1970-01-01T00:00:00{zone}");
            DateTime::parse_from_str(&of_zone, "%Y-%m-%dT%H:%M:%S%z").ok()?.timestamp()
        }
        _ => return None,
    };
    let seconds = NaiveDateTime::parse_from_str(&moment.replace('T', " "), "%Y-%m-%d %H:%M:%S").ok()?;
    // chrono represents a leap second as second 59 with 10^9 nanoseconds. Athena has none.
    if seconds.nanosecond() > 0 {
        return None;
    }
    let millis = match fraction {
        "" => 0,
        fraction => {
            let digits = fraction.strip_prefix('.').filter(|digits| !digits.is_empty() && !digits.contains('.'))?;
            i64::try_from(decimal(&format!("0.{digits}"), 4, 3)?).ok()?
        }
    };
    seconds.and_utc().timestamp().checked_add(offset)?.checked_mul(1000)?.checked_add(millis)
}

const SECONDS: &str = "dddd-dd-dd dd:dd:dd";
const SECONDS_WITH_T: &str = "dddd-dd-ddTdd:dd:dd";

/// Returns whether the text has a form, in which `d` stands for a digit.
fn is_like(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(byte, form)| if form == b'd' { byte.is_ascii_digit() } else { byte == form })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    /// Returns the value as the result of a query shows it.
    fn shown(ty: &str, written: &str) -> Result<Option<String>, String> {
        let mut column = json_column(&ty.parse().expect("a type")).expect("a column");
        column.push(Some(written))?;
        let values = column.finish();
        assert_eq!((values.len(), column.len()), (1, 0));
        Ok(crate::result_text::value(&values, 0).expect("it can be shown"))
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for (ty, written, expected) in [
            ("boolean", "true", "true"),
            ("boolean", "false", "false"),
            ("tinyint", "-128", "-128"),
            ("smallint", "32767", "32767"),
            ("int", "-2147483648", "-2147483648"),
            ("bigint", "9223372036854775807", "9223372036854775807"),
            ("bigint", "9007199254740993", "9007199254740993"),
            ("bigint", "-0", "0"),
            ("float", "0.1", "0.1"),
            ("double", "0.1", "0.1"),
            ("double", "8.41", "8.41"),
            ("double", "123456789012345680000", "1.2345678901234568E20"),
            ("double", "1e-5", "1.0E-5"),
            ("double", "1E3", "1000.0"),
            ("decimal(10,2)", "10.5", "10.50"),
            ("decimal(10,2)", "-0.0500", "-0.05"),
            ("decimal(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("string", "\"a\\u00e7\\u00e3o \\ud83d\\ude00\"", "ação 😀"),
            ("string", "\"\"", ""),
            ("date", "\"2020-02-29\"", "2020-02-29"),
            ("timestamp", "\"2020-04-01 13:20:00.123\"", "2020-04-01 13:20:00.123"),
            ("timestamp", "\"2020-04-01 13:20:00\"", "2020-04-01 13:20:00.000"),
            ("timestamp", "\"1969-12-31 23:59:59.5\"", "1969-12-31 23:59:59.500"),
            ("timestamp", "\"2020-04-01 13:20:00.120000000\"", "2020-04-01 13:20:00.120"),
            ("timestamp", "\"2020-04-01T13:20:00.5Z\"", "2020-04-01 13:20:00.500"),
            ("timestamp", "\"2020-04-01T10:20:00-0300\"", "2020-04-01 13:20:00.000"),
        ] {
            assert_eq!(shown(ty, written), Ok(Some(expected.to_owned())), "{ty} {written}");
            assert_eq!(shown(ty, "null"), Ok(None), "{ty}");
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused() {
        for (ty, written) in [
            ("boolean", "\"true\""),
            ("boolean", "1"),
            ("tinyint", "128"),
            ("int", "2147483648"),
            ("bigint", "9223372036854775808"),
            ("bigint", "\"7\""),
            ("bigint", "\"seven\""),
            ("bigint", "1.0"),
            ("bigint", "1e3"),
            ("bigint", "true"),
            ("bigint", "{}"),
            ("double", "\"0.5\""),
            ("double", "1e999"),
            ("float", "1e39"),
            ("double", "[1]"),
            ("decimal(4,2)", "100"),
            ("decimal(4,2)", "0.005"),
            ("decimal(4,2)", "1e1"),
            ("decimal(4,2)", "\"1\""),
            ("string", "7"),
            ("string", "{\"a\":1}"),
            ("string", "\"\\ud800\""),
            ("date", "\"2019-02-29\""),
            ("date", "\"2020-4-1\""),
            ("date", "\"2020-04-01 \""),
            ("date", "18353"),
            ("timestamp", "\"2020-04-01\""),
            ("timestamp", "\"2020-04-01 13:20:00.1234\""),
            ("timestamp", "\"2020-04-01 24:00:00\""),
            ("timestamp", "\"2020-12-31 23:59:60\""),
            ("timestamp", "\"2020-04-01 13:20:00Z\""),
            ("timestamp", "\"2020-04-01T13:20:00\""),
            ("timestamp", "\"2020-04-01 13:20:00.\""),
            ("timestamp", "\"2020-04-01 13:20:00.1.2\""),
            ("timestamp", "\"2020-04-01T13:20:00+03\""),
            ("timestamp", "1585747200"),
        ] {
            let error = shown(ty, written).expect_err(written);
            assert!(error.starts_with(&format!("{written} is no ")), "{ty} {written}: {error}");
        }
        let long = format!("\"{}\"", "9".repeat(1000));
        assert!(shown("bigint", &long).expect_err("no number").len() < 200);
    }

    #[test]
    fn nested_types_have_no_column() {
        for ty in ["array<int>", "map<string,int>", "struct<a:int>", "binary", "varchar(3)", "char(3)"] {
            let error = json_column(&ty.parse().expect("a type")).err().expect(ty);
            assert_eq!(error.kind, ErrorKind::NotSupported, "{ty}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_exact(whole in any::<i64>(), number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let mut column = json_column(&HiveType::BigInt).unwrap();
            column.push(Some(&whole.to_string())).unwrap();
            prop_assert_eq!(column.finish().as_primitive::<datafusion::arrow::datatypes::Int64Type>().value(0), whole);
            let mut column = json_column(&HiveType::Double).unwrap();
            column.push(Some(&format!("{number:?}"))).unwrap();
            let read = column.finish().as_primitive::<datafusion::arrow::datatypes::Float64Type>().value(0);
            prop_assert_eq!(read.to_bits(), number.to_bits());
        }

        #[test]
        fn no_text_panics(written in "\"[0-9a-zA-Z:. +éT-]{0,32}\"|[0-9.eE+-]{0,40}") {
            for ty in ["date", "timestamp", "decimal(38,38)", "decimal(1,0)", "bigint", "float", "string", "boolean"] {
                let _ = shown(ty, &written);
            }
        }
    }
}
