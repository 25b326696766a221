//! `format(pattern, values...)`, by the conversions of Java's `Formatter` that values of SQL have: `%s %d %x %f %e %b %c %%`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::Result as DataFusionResult;

use super::column_function::{ColumnFunction, Types};
use super::row_function::invalid;
use crate::error::QueryError;
use crate::result_text;

pub(super) fn function() -> ColumnFunction {
    ColumnFunction {
        name: "format",
        types: |given| match given {
            [DataType::Utf8 | DataType::Utf8View | DataType::Null, _, ..] => {
                let arguments = std::iter::once(DataType::Utf8).chain(given[1..].iter().cloned());
                Some(Types { arguments: arguments.collect(), result: DataType::Utf8 })
            }
            _ => None,
        },
        body: |columns| {
            let patterns = columns.columns[0].as_string::<i32>();
            let row = |row: usize| {
                if patterns.is_null(row) {
                    return Ok(None);
                }
                columns.outcome(formatted(patterns.value(row), &columns.columns[1..], row).map(Some))
            };
            Ok(Arc::new((0..columns.rows()).map(row).collect::<DataFusionResult<StringArray>>()?))
        },
    }
}

/// A conversion such as `%-08,.2f`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Conversion {
    /// The position of the value from 0 on; `None` for the next one.
    position: Option<usize>,
    flags: String,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

/// The largest width and precision.
const MAX_WIDTH: usize = 10_000;

impl Conversion {
    /// Parses the text after a percent sign. Returns the rest too.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let mut conversion = Self::default();
        let mut rest = text;
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let end = digits(rest);
        if end > 0 && rest[end..].starts_with('$') {
            conversion.position = Some(rest[..end].parse::<usize>().ok()?.checked_sub(1)?);
            rest = &rest[end + 1..];
        }
        let end = rest.find(|c| !"-+ 0,(#".contains(c))?;
        rest[..end].clone_into(&mut conversion.flags);
        rest = &rest[end..];
        let end = digits(rest);
        if end > 0 {
            conversion.width = rest[..end].parse().ok().filter(|width| *width <= MAX_WIDTH)?;
        }
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('.') {
            let end = digits(after);
            conversion.precision = Some(after[..end].parse().ok().filter(|precision| *precision <= MAX_WIDTH)?);
            rest = &after[end..];
        }
        let mut characters = rest.chars();
        conversion.letter = characters.next()?;
        Some((conversion, characters.as_str()))
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// Writes a number with its sign, the separators of thousands and the zeros of the width.
    fn number(&self, digits: &str, is_negative: bool) -> String {
        let (whole, fraction) =
            digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
        let mut whole = whole.to_owned();
        if self.has(',') {
            let mut at = whole.len();
            while at > 3 {
                at -= 3;
                whole.insert(at, ',');
            }
        }
        let number = fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}.{fraction}"));
        let (before, after) = match (is_negative, self.has('(')) {
            (true, true) => ("(", ")"),
            (true, false) => ("-", ""),
            (false, _) if self.has('+') => ("+", ""),
            (false, _) if self.has(' ') => (" ", ""),
            _ => ("", ""),
        };
        let missing = self.width.saturating_sub(before.len() + number.len() + after.len());
        let zeros = if self.has('0') { "0".repeat(missing) } else { String::new() };
        self.padded(&format!("{before}{zeros}{number}{after}"))
    }

    fn padded(&self, text: &str) -> String {
        let missing = " ".repeat(self.width.saturating_sub(text.chars().count()));
        if self.has('-') { format!("{text}{missing}") } else { format!("{missing}{text}") }
    }
}

fn formatted(pattern: &str, values: &[ArrayRef], row: usize) -> Result<String, QueryError> {
    let wrong = |what: &str| invalid(format_args!("Invalid format string: {pattern} ({what})"));
    let (mut out, mut next, mut rest) = (String::new(), 0, pattern);
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (conversion, after) = Conversion::parse(after).ok_or_else(|| wrong("a conversion that cannot be read"))?;
        rest = after;
        match conversion.letter {
            '%' => out.push_str(&conversion.padded("%")),
            'n' => out.push('\n'),
            _ => {
                let at = conversion.position.unwrap_or(next);
                next += usize::from(conversion.position.is_none());
                let value = values.get(at).ok_or_else(|| wrong("a value is missing"))?;
                out.push_str(&converted(&conversion, value, row)?);
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn converted(conversion: &Conversion, value: &ArrayRef, row: usize) -> Result<String, QueryError> {
    let ty = value.data_type();
    let upper = conversion.letter.is_uppercase();
    let is_null = value.is_null(row) || ty.is_null();
    let internal =
        |error| crate::select::errors::from_execution_error(&datafusion::common::DataFusionError::from(error));
    let mismatch =
        || invalid(format_args!("format conversion %{} does not take a value of this type", conversion.letter));
    let text = match conversion.letter.to_ascii_lowercase() {
        'b' if is_null => conversion.padded("false"),
        's' | 'd' | 'x' | 'o' | 'f' | 'e' | 'c' if is_null => conversion.padded("null"),
        's' => {
            let text = result_text::value(value, row)?.unwrap_or_default();
            let text: String = text.chars().take(conversion.precision.unwrap_or(usize::MAX)).collect();
            conversion.padded(&text)
        }
        'b' => {
            conversion.padded(if *ty == DataType::Boolean && !value.as_boolean().value(row) { "false" } else { "true" })
        }
        'd' | 'x' | 'o' if ty.is_integer() => {
            let number = cast(&value.slice(row, 1), &DataType::Int64).map_err(internal)?;
            let number = number.as_primitive::<Int64Type>().value(0);
            match conversion.letter {
                'd' => conversion.number(&number.unsigned_abs().to_string(), number < 0),
                'o' => conversion.number(&format!("{number:o}"), false),
                _ => conversion.number(&format!("{number:x}"), false),
            }
        }
        'f' if matches!(ty, DataType::Decimal128(..)) => {
            let digits = conversion.precision.unwrap_or(6).min(38) as i8;
            let rounded = cast(&value.slice(row, 1), &DataType::Decimal128(38, digits)).map_err(internal)?;
            let text = result_text::value(&rounded, 0)?.unwrap_or_default();
            conversion.number(text.trim_start_matches('-'), text.starts_with('-'))
        }
        'f' | 'e' if ty.is_floating() => {
            let number = cast(&value.slice(row, 1), &DataType::Float64).map_err(internal)?;
            let number = number.as_primitive::<Float64Type>().value(0);
            if !number.is_finite() {
                return Ok(conversion.padded(&crate::java_double::format_f64(number)));
            }
            let precision = conversion.precision.unwrap_or(6);
            let digits = if conversion.letter.eq_ignore_ascii_case(&'f') {
                half_up(number.abs(), precision)
            } else {
                let text = format!("{:.precision$e}", number.abs());
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or_default();
                format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
            };
            conversion.number(&digits, number.is_sign_negative())
        }
        'c' if ty.is_integer() => {
            let text = result_text::value(value, row)?.unwrap_or_default();
            let character = text.parse().ok().and_then(char::from_u32).ok_or_else(mismatch)?;
            conversion.padded(&character.to_string())
        }
        _ => return Err(mismatch()),
    };
    Ok(if upper { text.to_uppercase() } else { text })
}

/// Rounds the shortest digits of a number half up, as Java does: 0.125 to two digits is 0.13, where binary rounding gives 0.12.
fn half_up(number: f64, precision: usize) -> String {
    let text = format!("{number}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut digits: Vec<u8> =
        whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', precision)).collect();
    let kept = whole.len() + precision;
    let rounds_up = fraction.len() > precision && digits.get(kept).is_some_and(|digit| *digit >= b'5');
    digits.truncate(kept);
    if rounds_up {
        let mut at = kept;
        loop {
            match at.checked_sub(1) {
                None => {
                    digits.insert(0, b'1');
                    break;
                }
                Some(before) if digits[before] == b'9' => digits[before] = b'0',
                Some(before) => {
                    digits[before] += 1;
                    break;
                }
            }
            at -= 1;
        }
    }
    let point = digits.len() - precision;
    let text: String = digits.into_iter().map(char::from).collect();
    if precision == 0 { text } else { format!("{}.{}", &text[..point], &text[point..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_up_in_the_digits_that_are_written() {
        for (number, precision, text) in [
            (0.125, 2, "0.13"),
            (1.239, 2, "1.24"),
            (9.995, 2, "10.00"),
            (2.0, 0, "2"),
            (0.5, 0, "1"),
            (1e21, 1, "1000000000000000000000.0"),
        ] {
            assert_eq!(half_up(number, precision), text, "{number}");
        }
    }

    #[test]
    fn conversions_have_flags_a_width_and_a_precision() {
        let (conversion, rest) = Conversion::parse("2$-,08.2f more").unwrap();
        assert_eq!((conversion.position, conversion.flags.as_str(), conversion.width), (Some(1), "-,0", 8));
        assert_eq!((conversion.precision, conversion.letter, rest), (Some(2), 'f', " more"));
        assert_eq!(Conversion::parse("99999d"), None);
        assert_eq!(Conversion::parse(""), None);
    }
}
