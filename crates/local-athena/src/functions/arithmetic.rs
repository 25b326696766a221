//! Athena's arithmetic on integers and decimals, `+ - * / %`.
//!
//! Arrow's operators do not fit: they wrap integers on overflow, where Athena fails, and derive other scales for
//! decimals. On Athena a sum of decimals has one more digit than its wider operand, and a quotient the larger scale of
//! the two (`1 / 3.0` is 0.3), rounded half up. Decimals are computed in 256 bits, so that an intermediate result does
//! not overflow when the final one fits.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, Decimal128Array, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, DecimalType, Int8Type, Int16Type, Int32Type, Int64Type, i256,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Operator;

use crate::error::{ErrorKind, QueryError};
use crate::types::{as_decimal, type_name};

/// An operator on two integers, two decimals, or one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ArithmeticOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl ArithmeticOperator {
    /// Returns the operator; `None` if it is not one of `+ - * / %`.
    pub(super) fn new(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Plus => Self::Add,
            Operator::Minus => Self::Subtract,
            Operator::Multiply => Self::Multiply,
            Operator::Divide => Self::Divide,
            Operator::Modulo => Self::Modulo,
            _ => return None,
        })
    }

    /// Returns the name in Athena's error messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "addition",
            Self::Subtract => "subtraction",
            Self::Multiply => "multiplication",
            Self::Divide => "division",
            Self::Modulo => "modulus",
        }
    }

    fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Modulo => '%',
        }
    }
}

impl ArithmeticOperator {
    /// Returns the types that two operands are cast to. Two integers are cast to the wider type; if one is a decimal,
    /// both are cast to decimals. `None` if one is neither.
    pub(super) fn operand_types(left: &DataType, right: &DataType) -> Option<[DataType; 2]> {
        if left.is_integer() && right.is_integer() {
            let width = |ty: &DataType| ty.primitive_width().unwrap_or(8);
            let unsigned = left.is_unsigned_integer() || right.is_unsigned_integer();
            let wider = if width(left) >= width(right) { left } else { right };
            let ty = if unsigned { DataType::Int64 } else { wider.clone() };
            return Some([ty.clone(), ty]);
        }
        let decimal = |ty: &DataType| {
            let (precision, scale) = as_decimal(ty)?;
            Some(DataType::Decimal128(precision.min(38), scale))
        };
        Some([decimal(left)?, decimal(right)?])
    }

    /// Returns the type of the result for operands of the types from [`Self::operand_types`].
    pub(super) fn result_type(self, [left, right]: &[DataType; 2]) -> DataType {
        match (left, right) {
            (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) => self.decimal_type((*p1, *s1), (*p2, *s2)),
            _ => left.clone(),
        }
    }

    /// Returns the result type for decimals, each as precision and scale, by Trino's rules
    /// (<https://trino.io/docs/current/functions/decimal.html>).
    fn decimal_type(self, (p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> DataType {
        let (p1, p2) = (i32::from(p1), i32::from(p2));
        let (w1, w2) = (i32::from(s1), i32::from(s2));
        let scale = w1.max(w2);
        let (precision, scale) = match self {
            Self::Multiply => (p1 + p2, w1 + w2),
            Self::Divide => (p1 + w2 + (w2 - w1).max(0), scale),
            Self::Modulo => ((p1 - w1).min(p2 - w2) + scale, scale),
            Self::Add | Self::Subtract => ((p1 - w1).max(p2 - w2) + scale + 1, scale),
        };
        let scale = scale.min(38) as i8;
        DataType::Decimal128(precision.clamp(1, 38) as u8, scale)
    }
}

/// An operator, and what it returns for a row where it fails.
#[derive(Clone, Copy)]
pub(super) struct Arithmetic {
    pub(super) operator: ArithmeticOperator,
    /// Inside `try(...)`: return NULL instead of failing.
    pub(super) null_on_error: bool,
}

impl Arithmetic {
    /// Returns `left operator right` for each row. The operands have the types from
    /// [`ArithmeticOperator::operand_types`], and the result the one from [`ArithmeticOperator::result_type`].
    pub(super) fn compute(self, left: &ArrayRef, right: &ArrayRef, ty: &DataType) -> Result<ArrayRef> {
        match left.data_type() {
            DataType::Int8 => self.integers::<Int8Type>(left, right),
            DataType::Int16 => self.integers::<Int16Type>(left, right),
            DataType::Int32 => self.integers::<Int32Type>(left, right),
            DataType::Int64 => self.integers::<Int64Type>(left, right),
            _ => self.decimals(left, right, ty),
        }
    }

    fn failed(self, ty: &DataType, left: &str, right: &str) -> QueryError {
        let (ty, name, sign) = (type_name(ty), self.operator.name(), self.operator.symbol());
        QueryError::new(ErrorKind::NumericValueOutOfRange, format_args!("{ty} {name} overflow: {left} {sign} {right}"))
    }

    fn by_zero() -> QueryError {
        QueryError::new(ErrorKind::DivisionByZero, "Division by zero")
    }

    fn integers<T>(self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef>
    where
        T: ArrowPrimitiveType,
        T::Native: ArrowNativeTypeOp + std::fmt::Display,
    {
        let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let compute = |a: T::Native, b: T::Native| {
            let result = match self.operator {
                ArithmeticOperator::Add => a.add_checked(b),
                ArithmeticOperator::Subtract => a.sub_checked(b),
                ArithmeticOperator::Multiply => a.mul_checked(b),
                _ if b.is_zero() => return Err(Self::by_zero()),
                ArithmeticOperator::Divide => a.div_checked(b),
                ArithmeticOperator::Modulo => {
                    return Ok(if b == T::Native::ONE.neg_wrapping() { T::Native::ZERO } else { a.mod_wrapping(b) });
                }
            };
            result.map_err(|_| self.failed(&T::DATA_TYPE, &a.to_string(), &b.to_string()))
        };
        let pairs = left.iter().zip(right.iter());
        let computed = pairs.map(|pair| match pair {
            (Some(a), Some(b)) => self.outcome(compute(a, b)),
            _ => Ok(None),
        });
        Ok(Arc::new(computed.collect::<Result<PrimitiveArray<T>>>()?))
    }

    fn decimals(self, left: &ArrayRef, right: &ArrayRef, ty: &DataType) -> Result<ArrayRef> {
        let &DataType::Decimal128(precision, scale) = ty else {
            return Err(DataFusionError::Internal(format!("{ty} is no decimal")));
        };
        let scales = (scale_of(left), scale_of(right));
        let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
        let compute = |a: i128, b: i128| {
            let result = self.decimal_value((a, scales.0), (b, scales.1), scale)?;
            let fits = result
                .and_then(i256::to_i128)
                .filter(|value| Decimal128Type::validate_decimal_precision(*value, precision, scale).is_ok());
            fits.ok_or_else(|| self.failed(ty, &a.to_string(), &b.to_string()))
        };
        let pairs = left.iter().zip(right.iter());
        let computed = pairs.map(|pair| match pair {
            (Some(a), Some(b)) => self.outcome(compute(a, b)),
            _ => Ok(None),
        });
        let array = computed.collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(array.with_precision_and_scale(precision, scale)?))
    }

    /// Returns the unscaled result at `scale`; `None` if it does not fit in 256 bits.
    fn decimal_value(
        self,
        (a, scale_a): (i128, i8),
        (b, scale_b): (i128, i8),
        scale: i8,
    ) -> std::result::Result<Option<i256>, QueryError> {
        let (a, b) = (i256::from_i128(a), i256::from_i128(b));
        // Athena's operands have 128 bits once they are at one scale.
        let at_scale = |value: i256, from: i8| shifted(value, scale - from).filter(|value| value.to_i128().is_some());
        Ok(match self.operator {
            ArithmeticOperator::Add => both(at_scale(a, scale_a), at_scale(b, scale_b), i256::checked_add),
            ArithmeticOperator::Subtract => both(at_scale(a, scale_a), at_scale(b, scale_b), i256::checked_sub),
            ArithmeticOperator::Multiply => a.checked_mul(b),
            _ if b == i256::ZERO => return Err(Self::by_zero()),
            ArithmeticOperator::Divide => shifted(a, scale - scale_a + scale_b).and_then(|a| half_up(a, b)),
            ArithmeticOperator::Modulo => both(at_scale(a, scale_a), at_scale(b, scale_b), i256::checked_rem),
        })
    }

    fn outcome<T>(self, result: std::result::Result<T, QueryError>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.null_on_error => Ok(None),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }
}

fn scale_of(array: &ArrayRef) -> i8 {
    match array.data_type() {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

fn both(a: Option<i256>, b: Option<i256>, f: fn(i256, i256) -> Option<i256>) -> Option<i256> {
    f(a?, b?)
}

/// Multiplies a value by 10^`digits`.
fn shifted(value: i256, digits: i8) -> Option<i256> {
    let factor = i256::from_i128(10).checked_pow(u32::try_from(digits).ok()?)?;
    value.checked_mul(factor)
}

/// Divides and rounds half away from zero.
fn half_up(a: i256, b: i256) -> Option<i256> {
    let quotient = a.checked_div(b)?;
    let rest = a.checked_rem(b)?;
    let twice = rest.checked_mul(i256::from_i128(2))?.checked_abs()?;
    if twice < b.checked_abs()? {
        return Some(quotient);
    }
    let one = i256::from_i128(if a.is_negative() == b.is_negative() { 1 } else { -1 });
    quotient.checked_add(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_of_decimals_round_half_up() {
        let value = |a: i128, b: i128| half_up(i256::from_i128(a), i256::from_i128(b)).unwrap();
        for (a, b, quotient) in [(10, 4, 3), (-10, 4, -3), (10, -4, -3), (9, 4, 2), (7, 2, 4)] {
            assert_eq!(value(a, b), i256::from_i128(quotient), "{a} / {b}");
        }
    }

    #[test]
    fn scales_follow_the_rules() {
        use ArithmeticOperator::{Add, Divide, Multiply};
        let result = |operator: ArithmeticOperator, left, right| {
            operator.result_type(&ArithmeticOperator::operand_types(&left, &right).unwrap())
        };
        let decimal = DataType::Decimal128;
        assert_eq!(result(Divide, DataType::Int32, decimal(2, 1)), decimal(12, 1));
        assert_eq!(result(Multiply, decimal(4, 2), decimal(3, 1)), decimal(7, 3));
        assert_eq!(result(Add, decimal(4, 2), DataType::Int32), decimal(13, 2));
        assert_eq!(result(Add, DataType::Int32, DataType::Int64), DataType::Int64);
    }
}
