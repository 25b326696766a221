//! `abs`, `ceil`, `floor`, `round`, `sign` and `truncate`, with the types and the rounding of Trino's `MathFunctions`.
//!
//! The result has the type of the number, except that a decimal that is rounded to a whole number loses its digits
//! behind the point: `ceil(1.25)` is 2, of the type `decimal(2,0)`. Halves are rounded away from zero.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, Decimal128Array, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, DecimalType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type,
};
use datafusion::common::{DataFusionError, Result};

use super::column_function::{ColumnFunction, Columns, Types};
use crate::error::{ErrorKind, QueryError};
use crate::types::type_name;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Abs,
    Ceil,
    Floor,
    Round,
    Sign,
    Truncate,
}

pub(super) fn functions() -> Vec<ColumnFunction> {
    macro_rules! function {
        ($operation:ident, $name:literal) => {
            ColumnFunction {
                name: $name,
                types: |given| Operation::$operation.types(given),
                body: |columns| Operation::$operation.compute(columns),
            }
        };
    }
    vec![
        function!(Abs, "abs"),
        function!(Ceil, "ceil"),
        function!(Floor, "floor"),
        function!(Round, "round"),
        function!(Sign, "signum"),
        function!(Truncate, "trunc"),
    ]
}

/// The digits of a number that an operation keeps behind the point; negative before the point. `None` is the form of the
/// function without them, which gives a whole number.
type Digits = Option<i64>;

fn out_of_range(message: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::NumericValueOutOfRange, message)
}

impl Operation {
    fn types(self, given: &[DataType]) -> Option<Types> {
        let result = self.result(given)?;
        let number = match &given[0] {
            DataType::Null => DataType::Float64,
            // Counts of DataFusion's.
            unsigned if unsigned.is_unsigned_integer() => DataType::Int64,
            number => number.clone(),
        };
        let arguments = std::iter::once(number).chain(given.iter().skip(1).map(|_| DataType::Int64)).collect();
        Some(Types { arguments, result })
    }

    /// Returns the type of the result; `None` if the function does not take arguments of these types.
    fn result(self, given: &[DataType]) -> Option<DataType> {
        let takes_digits = matches!(self, Operation::Round | Operation::Truncate);
        let (number, has_digits) = match given {
            [number] => (number, false),
            [number, digits] if takes_digits && (digits.is_integer() || digits.is_null()) => (number, true),
            _ => return None,
        };
        Some(match number {
            DataType::Null => DataType::Float64,
            DataType::Decimal128(precision, scale) => {
                let (precision, scale) = self.decimal(*precision, *scale, has_digits);
                DataType::Decimal128(precision, scale)
            }
            // Trino truncates to a number of digits only decimals, and integers as such.
            number if number.is_floating() && has_digits && self == Operation::Truncate => return None,
            unsigned if unsigned.is_unsigned_integer() => DataType::Int64,
            number if number.is_floating() || number.is_integer() => number.clone(),
            _ => return None,
        })
    }

    fn decimal(self, precision: u8, scale: i8, has_digits: bool) -> (u8, i8) {
        let whole = precision.saturating_sub(scale as u8);
        match self {
            Operation::Abs => (precision, scale),
            Operation::Sign => (1, 0),
            Operation::Round if has_digits => ((precision + 1).min(38), scale),
            Operation::Truncate if has_digits => (precision, scale),
            Operation::Truncate => (whole.max(1), 0),
            // A carry: 9.9 gives 10.
            Operation::Ceil | Operation::Floor | Operation::Round => ((whole + scale.min(1) as u8).min(38), 0),
        }
    }

    fn decimal_value(self, value: i128, scale: i8, digits: Digits) -> i128 {
        let dropped = match (self, digits) {
            (Operation::Abs, _) => return value.abs(),
            (Operation::Sign, _) => return value.signum(),
            (_, None) => i64::from(scale),
            (_, Some(digits)) => i64::from(scale).saturating_sub(digits).max(0),
        };
        // No decimal has so many digits, and a half of the factor is more than any of them.
        let Some(factor) = u32::try_from(dropped).ok().filter(|d| *d <= 38).map(|d| 10_i128.pow(d)) else { return 0 };
        let (quotient, rest) = (value / factor, value % factor);
        let away = match self {
            Operation::Ceil => rest > 0,
            Operation::Floor => rest < 0,
            Operation::Round => rest.abs() >= factor - rest.abs(),
            _ => false,
        };
        let rounded = quotient + if away && rest != 0 { value.signum() } else { 0 };
        if digits.is_some() { rounded * factor } else { rounded }
    }

    fn decimals(self, columns: &Columns<'_>) -> Result<ArrayRef> {
        let (&DataType::Decimal128(_, scale), &DataType::Decimal128(to_precision, to_scale)) =
            (columns.columns[0].data_type(), columns.result)
        else {
            return Err(DataFusionError::Internal(format!("{self:?} gives no decimal")));
        };
        let rounded = each::<Decimal128Type>(columns, |value, digits| {
            let rounded = self.decimal_value(value, scale, digits);
            let fits = Decimal128Type::is_valid_decimal_precision(rounded, to_precision);
            if fits { Ok(rounded) } else { Err(out_of_range("Decimal overflow")) }
        })?;
        Ok(Arc::new(Decimal128Array::with_precision_and_scale(rounded, to_precision, to_scale)?))
    }

    fn integer_value(self, value: i64, digits: Digits) -> std::result::Result<i64, QueryError> {
        match (self, digits) {
            (Operation::Abs, _) => {
                value.checked_abs().ok_or_else(|| out_of_range(format_args!("Value {value} is out of range for abs")))
            }
            (Operation::Sign, _) => Ok(value.signum()),
            (Operation::Round | Operation::Truncate, Some(digits)) if digits < 0 => {
                // From 19 digits on, Java's `BigDecimal` has no `long`, not even for 0.
                let overflow = || out_of_range(format_args!("numerical overflow: {value}"));
                let digits =
                    u32::try_from(-i128::from(digits)).ok().filter(|digits| *digits < 19).ok_or_else(overflow)?;
                let rounded = self.decimal_value(i128::from(value), 0, Some(-i64::from(digits)));
                i64::try_from(rounded).map_err(|_| overflow())
            }
            _ => Ok(value),
        }
    }

    fn integers<T>(self, columns: &Columns<'_>) -> Result<ArrayRef>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i64> + TryFrom<i64>,
    {
        let rounded = each::<T>(columns, |value, digits| {
            let value: i64 = value.into();
            let rounded = self.integer_value(value, digits)?;
            let ty = type_name(&T::DATA_TYPE);
            T::Native::try_from(rounded).map_err(|_| out_of_range(format_args!("Out of range for {ty}: {value}")))
        })?;
        Ok(Arc::new(rounded))
    }

    fn floating_value(self, value: f64, digits: Digits) -> f64 {
        match self {
            Operation::Abs => value.abs(),
            Operation::Ceil => value.ceil(),
            Operation::Floor => value.floor(),
            Operation::Sign if value == 0.0 || value.is_nan() => value,
            Operation::Sign => value.signum(),
            Operation::Truncate => value.trunc(),
            Operation::Round => round(value, digits.unwrap_or(0)),
        }
    }

    fn compute(self, columns: &Columns<'_>) -> Result<ArrayRef> {
        Ok(match columns.columns[0].data_type() {
            DataType::Int8 => self.integers::<Int8Type>(columns)?,
            DataType::Int16 => self.integers::<Int16Type>(columns)?,
            DataType::Int32 => self.integers::<Int32Type>(columns)?,
            DataType::Int64 => self.integers::<Int64Type>(columns)?,
            DataType::Float32 => Arc::new(each::<Float32Type>(columns, |value, digits| {
                Ok(self.floating_value(f64::from(value), digits) as f32)
            })?),
            DataType::Float64 => {
                Arc::new(each::<Float64Type>(columns, |value, digits| Ok(self.floating_value(value, digits)))?)
            }
            _ => self.decimals(columns)?,
        })
    }
}

/// Computes each row. NULL where the number or the digits are NULL.
fn each<T: ArrowPrimitiveType>(
    columns: &Columns<'_>,
    compute: impl Fn(T::Native, Digits) -> std::result::Result<T::Native, QueryError>,
) -> Result<PrimitiveArray<T>> {
    let digits = columns.columns.get(1).map(|digits| digits.as_primitive::<Int64Type>());
    let row = |(row, value): (usize, Option<T::Native>)| {
        let Some(value) = value else { return Ok(None) };
        let digits = match digits {
            Some(digits) if digits.is_null(row) => return Ok(None),
            digits => digits.map(|digits| digits.value(row)),
        };
        columns.outcome(compute(value, digits).map(Some))
    };
    columns.columns[0].as_primitive::<T>().iter().enumerate().map(row).collect()
}

/// Rounds to a number of digits behind the point. A number that has no more of them is returned as it is.
fn round(value: f64, digits: i64) -> f64 {
    /// From here on, a double is a whole number.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    if !value.is_finite() {
        return value;
    }
    let factor = 10_f64.powf(digits as f64);
    if factor.is_zero() {
        return 0_f64.copysign(value);
    }
    let scaled = value * factor;
    if scaled.abs() < WHOLE { scaled.round() / factor } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_away_from_zero() {
        use Operation as O;
        let value = |operation: O, value, scale, digits| operation.decimal_value(value, scale, digits);
        assert_eq!(
            [value(O::Round, 150, 2, None), value(O::Round, -150, 2, None), value(O::Round, 149, 2, None)],
            [2, -2, 1]
        );
        assert_eq!([value(O::Ceil, 101, 2, None), value(O::Ceil, -199, 2, None)], [2, -1]);
        assert_eq!([value(O::Floor, 199, 2, None), value(O::Floor, -101, 2, None)], [1, -2]);
        assert_eq!([value(O::Round, 1255, 3, Some(2)), value(O::Truncate, 1259, 3, Some(2))], [1260, 1250]);
        let most = 10_i128.pow(38) - 1;
        assert_eq!([value(O::Round, most, 0, Some(-38)), value(O::Round, most, 0, Some(-39))], [10_i128.pow(38), 0]);
    }

    #[test]
    fn types_follow_trino() {
        use Operation as O;
        let decimal = DataType::Decimal128;
        let result = |operation: O, given: &[DataType]| operation.result(given).unwrap();
        assert_eq!(result(O::Round, &[decimal(4, 2)]), decimal(3, 0));
        assert_eq!(result(O::Round, &[decimal(4, 2), DataType::Int32]), decimal(5, 2));
        assert_eq!(result(O::Round, &[decimal(4, 0)]), decimal(4, 0));
        assert_eq!(result(O::Truncate, &[decimal(2, 2)]), decimal(1, 0));
        assert_eq!(result(O::Sign, &[decimal(20, 2)]), decimal(1, 0));
        assert_eq!(O::Truncate.result(&[DataType::Float64, DataType::Int32]), None);
    }

    #[test]
    fn doubles_without_such_digits_stay() {
        for (value, digits, rounded) in
            [(1.8e292, 16, 1.8e292), (2.5, 0, 3.0), (-2.5, 0, -3.0), (15.735, 2, 15.74), (1e15 + 0.5, 0, 1e15 + 1.0)]
        {
            assert_eq!(round(value, digits), rounded, "{value}");
        }
        assert!(round(-123.456, -1000).is_sign_negative());
    }
}
