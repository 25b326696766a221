//! Aggregates that fold values of one type into one: `sum` of bigints and of decimals, which fails on overflow as Athena's does
//! (DataFusion's wraps around to a wrong number), and `max` and `min` of floating-point numbers, which ignore NaN unless there
//! is nothing else.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, PrimitiveBuilder};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, DecimalType, Float32Type, Float64Type, Int64Type,
};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use crate::error::{ErrorKind, QueryError};

/// How two values become one.
trait Fold: Debug + Send + Sync + 'static {
    type Values: ArrowPrimitiveType + Debug;

    fn fold(left: Native<Self>, right: Native<Self>) -> Result<Native<Self>, QueryError>;

    /// Takes a value out again; `None` if the fold has no inverse.
    fn retract(_folded: Native<Self>, _value: Native<Self>) -> Option<Result<Native<Self>, QueryError>> {
        None
    }
}

type Native<F> = <<F as Fold>::Values as ArrowPrimitiveType>::Native;

#[derive(Debug)]
struct BigintSum;

impl Fold for BigintSum {
    type Values = Int64Type;

    fn fold(left: i64, right: i64) -> Result<i64, QueryError> {
        left.checked_add(right).ok_or_else(|| overflow(format_args!("bigint addition overflow: {left} + {right}")))
    }

    fn retract(folded: i64, value: i64) -> Option<Result<i64, QueryError>> {
        let overflow = || overflow(format_args!("bigint subtraction overflow: {folded} - {value}"));
        Some(folded.checked_sub(value).ok_or_else(overflow))
    }
}

#[derive(Debug)]
struct DecimalSum;

impl Fold for DecimalSum {
    type Values = Decimal128Type;

    fn fold(left: i128, right: i128) -> Result<i128, QueryError> {
        decimal(left.checked_add(right))
    }

    fn retract(folded: i128, value: i128) -> Option<Result<i128, QueryError>> {
        Some(decimal(folded.checked_sub(value)))
    }
}

/// Returns an unscaled value, unless no decimal has it.
fn decimal(value: Option<i128>) -> Result<i128, QueryError> {
    let fits = |value: &i128| Decimal128Type::is_valid_decimal_precision(*value, Decimal128Type::MAX_PRECISION);
    value.filter(fits).ok_or_else(|| overflow("Decimal overflow"))
}

fn overflow(message: impl std::fmt::Display) -> QueryError {
    QueryError::new(ErrorKind::NumericValueOutOfRange, message)
}

#[derive(Debug)]
struct Max<T>(PhantomData<T>);

#[derive(Debug)]
struct Min<T>(PhantomData<T>);

macro_rules! extreme {
    ($fold:ident, $ty:ty, $operator:tt) => {
        impl Fold for $fold<$ty> {
            type Values = $ty;

            fn fold(left: Native<Self>, right: Native<Self>) -> Result<Native<Self>, QueryError> {
                Ok(if right $operator left || left.is_nan() { right } else { left })
            }
        }
    };
}

extreme!(Max, Float32Type, >);
extreme!(Max, Float64Type, >);
extreme!(Min, Float32Type, <);
extreme!(Min, Float64Type, <);

/// Calls a generic function with the fold of an aggregate of this name and type of result; `None` if DataFusion computes it.
macro_rules! with_fold {
    ($name:expr, $ty:expr, $function:ident) => {
        match ($name, $ty) {
            ("sum", DataType::Int64) => Some($function::<BigintSum>($ty)),
            ("sum", DataType::Decimal128(..)) => Some($function::<DecimalSum>($ty)),
            ("max", DataType::Float32) => Some($function::<Max<Float32Type>>($ty)),
            ("max", DataType::Float64) => Some($function::<Max<Float64Type>>($ty)),
            ("min", DataType::Float32) => Some($function::<Min<Float32Type>>($ty)),
            ("min", DataType::Float64) => Some($function::<Min<Float64Type>>($ty)),
            _ => None,
        }
    };
}

/// Returns the accumulator of an aggregate; `None` if DataFusion computes it.
pub(super) fn accumulator(name: &str, ty: &DataType) -> Option<Box<dyn Accumulator>> {
    fn new<F: Fold>(ty: &DataType) -> Box<dyn Accumulator> {
        Box::new(Folded::<F> { ty: ty.clone(), folded: None, count: 0 })
    }
    with_fold!(name, ty, new)
}

/// [`accumulator`] for all groups of a query.
pub(super) fn groups_accumulator(name: &str, ty: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    fn new<F: Fold>(ty: &DataType) -> Box<dyn GroupsAccumulator> {
        Box::new(FoldedGroups::<F> { ty: ty.clone(), folded: Vec::new(), has_value: Vec::new() })
    }
    with_fold!(name, ty, new)
}

fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// One folded value.
#[derive(Debug)]
struct Folded<F: Fold> {
    ty: DataType,
    folded: Option<Native<F>>,
    /// Number of values that are not NULL.
    count: usize,
}

impl<F: Fold> Accumulator for Folded<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<F::Values>();
        for value in values.iter().flatten() {
            self.folded = Some(match self.folded {
                Some(folded) => F::fold(folded, value).map_err(external)?,
                None => value,
            });
        }
        self.count += values.len() - values.null_count();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<F::Values>();
        for value in values.iter().flatten() {
            if let Some(retracted) = self.folded.and_then(|folded| F::retract(folded, value)) {
                self.folded = Some(retracted.map_err(external)?);
            }
        }
        self.count -= values.len() - values.null_count();
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        F::retract(Native::<F>::default(), Native::<F>::default()).is_some()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = PrimitiveArray::<F::Values>::from_iter([self.folded.filter(|_| self.count > 0)]);
        ScalarValue::try_from_array(&value.with_data_type(self.ty.clone()), 0)
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

/// A folded value for each group.
struct FoldedGroups<F: Fold> {
    ty: DataType,
    folded: Vec<Native<F>>,
    /// Whether a group has a value that is not NULL.
    has_value: Vec<bool>,
}

impl<F: Fold> GroupsAccumulator for FoldedGroups<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        number_of_groups: usize,
    ) -> Result<()> {
        self.folded.resize(number_of_groups, Native::<F>::default());
        self.has_value.resize(number_of_groups, false);
        let values = values[0].as_primitive::<F::Values>();
        for (row, group) in groups.iter().enumerate() {
            let is_counted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if is_counted && values.is_valid(row) {
                let (folded, value) = (&mut self.folded[*group], values.value(row));
                *folded = if self.has_value[*group] { F::fold(*folded, value).map_err(external)? } else { value };
                self.has_value[*group] = true;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let folded = emit.take_needed(&mut self.folded);
        let nulls = NullBuffer::from(emit.take_needed(&mut self.has_value));
        Ok(Arc::new(PrimitiveArray::<F::Values>::new(folded.into(), Some(nulls)).with_data_type(self.ty.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], number_of_groups: usize) -> Result<()> {
        self.update_batch(states, groups, None, number_of_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<F::Values>();
        let mut state = PrimitiveBuilder::<F::Values>::with_capacity(values.len()).with_data_type(self.ty.clone());
        for (row, value) in values.iter().enumerate() {
            let is_counted = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            state.append_option(value.filter(|_| is_counted));
        }
        Ok(vec![Arc::new(state.finish())])
    }

    fn size(&self) -> usize {
        self.folded.capacity() * size_of::<Native<F>>() + self.has_value.capacity()
    }
}

/// The average of decimals: it has their type, and is rounded half away from zero.
#[derive(Debug)]
pub(super) struct DecimalAverage {
    sum: Folded<DecimalSum>,
}

impl DecimalAverage {
    /// Creates the accumulator for an average of this type.
    pub(super) fn new(ty: &DataType) -> Self {
        Self { sum: Folded { ty: ty.clone(), folded: None, count: 0 } }
    }

    fn wide(&self) -> DataType {
        decimal_sum(&self.sum.ty)
    }
}

/// Returns the type of a sum of decimals.
pub(super) fn decimal_sum(ty: &DataType) -> DataType {
    match ty {
        DataType::Decimal128(_, scale) => DataType::Decimal128(Decimal128Type::MAX_PRECISION, *scale),
        other => other.clone(),
    }
}

impl Accumulator for DecimalAverage {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let count = self.sum.count as i128;
        let average = self.sum.folded.filter(|_| count > 0).map(|sum| {
            let (quotient, rest) = (sum / count, sum % count);
            quotient + if rest.abs() >= count - rest.abs() { sum.signum() } else { 0 }
        });
        let average = PrimitiveArray::<Decimal128Type>::from_iter([average]).with_data_type(self.sum.ty.clone());
        ScalarValue::try_from_array(&average, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = PrimitiveArray::<Decimal128Type>::from_iter([self.sum.folded]).with_data_type(self.wide());
        Ok(vec![ScalarValue::try_from_array(&sum, 0)?, ScalarValue::from(self.sum.count as i64)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[1].as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        let before = self.sum.count;
        self.sum.update_batch(&states[..1])?;
        self.sum.count = before + counts as usize;
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
