//! `sum` of bigints and of decimals, which fails on overflow as Athena's does. DataFusion's wraps around to a wrong number.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, AsArray, BooleanArray, PrimitiveArray, PrimitiveBuilder,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, DecimalType, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use crate::error::{ErrorKind, QueryError};

/// A type of sums that can overflow.
pub(super) trait Summed: ArrowPrimitiveType<Native: ArrowNativeTypeOp> + std::fmt::Debug {
    /// Returns a sum; `None` if the type has no such number.
    fn add(left: Self::Native, right: Self::Native) -> Option<Self::Native>;

    /// Returns a difference; `None` if the type has no such number.
    fn subtract(left: Self::Native, right: Self::Native) -> Option<Self::Native>;

    /// Returns Athena's error.
    fn overflow(left: Self::Native, sign: char, right: Self::Native) -> QueryError;
}

impl Summed for Int64Type {
    fn add(left: i64, right: i64) -> Option<i64> {
        left.checked_add(right)
    }

    fn subtract(left: i64, right: i64) -> Option<i64> {
        left.checked_sub(right)
    }

    fn overflow(left: i64, sign: char, right: i64) -> QueryError {
        let name = if sign == '+' { "addition" } else { "subtraction" };
        let message = format_args!("bigint {name} overflow: {left} {sign} {right}");
        QueryError::new(ErrorKind::NumericValueOutOfRange, message)
    }
}

impl Summed for Decimal128Type {
    fn add(left: i128, right: i128) -> Option<i128> {
        left.checked_add(right).filter(|sum| is_decimal(*sum))
    }

    fn subtract(left: i128, right: i128) -> Option<i128> {
        left.checked_sub(right).filter(|difference| is_decimal(*difference))
    }

    fn overflow(_: i128, _: char, _: i128) -> QueryError {
        QueryError::new(ErrorKind::NumericValueOutOfRange, "Decimal overflow")
    }
}

/// Whether a decimal of the highest precision has this unscaled value.
fn is_decimal(value: i128) -> bool {
    Decimal128Type::is_valid_decimal_precision(value, Decimal128Type::MAX_PRECISION)
}

fn overflow<T: Summed>(left: T::Native, sign: char, right: T::Native) -> DataFusionError {
    DataFusionError::External(Box::new(T::overflow(left, sign, right)))
}

fn added<T: Summed>(left: T::Native, right: T::Native) -> Result<T::Native> {
    T::add(left, right).ok_or_else(|| overflow::<T>(left, '+', right))
}

/// Returns an accumulator for sums of this type; `None` for a type whose sums do not overflow.
pub(super) fn accumulator(ty: &DataType) -> Option<Box<dyn Accumulator>> {
    match ty {
        DataType::Int64 => Some(Box::new(Sum::<Int64Type>::new(ty))),
        DataType::Decimal128(..) => Some(Box::new(Sum::<Decimal128Type>::new(ty))),
        _ => None,
    }
}

/// [`accumulator`] for all groups of a query.
pub(super) fn groups_accumulator(ty: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    match ty {
        DataType::Int64 => Some(Box::new(GroupSums::<Int64Type>::new(ty))),
        DataType::Decimal128(..) => Some(Box::new(GroupSums::<Decimal128Type>::new(ty))),
        _ => None,
    }
}

/// One sum.
#[derive(Debug)]
struct Sum<T: Summed> {
    ty: DataType,
    sum: T::Native,
    /// Number of values that are not NULL.
    count: usize,
}

impl<T: Summed> Sum<T> {
    fn new(ty: &DataType) -> Sum<T> {
        Sum { ty: ty.clone(), sum: T::Native::ZERO, count: 0 }
    }
}

impl<T: Summed> Accumulator for Sum<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        for value in values.iter().flatten() {
            self.sum = added::<T>(self.sum, value)?;
        }
        self.count += values.len() - values.null_count();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        for value in values.iter().flatten() {
            self.sum = T::subtract(self.sum, value).ok_or_else(|| overflow::<T>(self.sum, '-', value))?;
        }
        self.count -= values.len() - values.null_count();
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = PrimitiveArray::<T>::from_iter([(self.count > 0).then_some(self.sum)]);
        ScalarValue::try_from_array(&sum.with_data_type(self.ty.clone()), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// A sum for each group.
struct GroupSums<T: Summed> {
    ty: DataType,
    sums: Vec<T::Native>,
    /// Whether a group has a value that is not NULL.
    has_value: Vec<bool>,
}

impl<T: Summed> GroupSums<T> {
    fn new(ty: &DataType) -> GroupSums<T> {
        GroupSums { ty: ty.clone(), sums: Vec::new(), has_value: Vec::new() }
    }
}

impl<T: Summed> GroupsAccumulator for GroupSums<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        number_of_groups: usize,
    ) -> Result<()> {
        self.sums.resize(number_of_groups, T::Native::ZERO);
        self.has_value.resize(number_of_groups, false);
        let values = values[0].as_primitive::<T>();
        for (row, group) in groups.iter().enumerate() {
            let is_counted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if is_counted && values.is_valid(row) {
                self.sums[*group] = added::<T>(self.sums[*group], values.value(row))?;
                self.has_value[*group] = true;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let sums = emit.take_needed(&mut self.sums);
        let nulls = NullBuffer::from(emit.take_needed(&mut self.has_value));
        Ok(Arc::new(PrimitiveArray::<T>::new(sums.into(), Some(nulls)).with_data_type(self.ty.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], number_of_groups: usize) -> Result<()> {
        self.update_batch(states, groups, None, number_of_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let mut state = PrimitiveBuilder::<T>::with_capacity(values.len()).with_data_type(self.ty.clone());
        for (row, value) in values.iter().enumerate() {
            let is_counted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            state.append_option(value.filter(|_| is_counted));
        }
        Ok(vec![Arc::new(state.finish())])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<T::Native>() + self.has_value.capacity()
    }
}
