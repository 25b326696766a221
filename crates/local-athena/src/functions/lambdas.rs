//! Functions with lambda expressions that DataFusion lacks: `reduce`, `zip_with`, and `array_sort` with a comparison.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array, new_null_array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, concat, interleave, take, take_arrays};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use super::row_function::{invalid, refused_arguments};
use crate::types::common_type;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// `reduce(array, initial, (state, element) -> state, state -> result)`
    Reduce,
    /// `array_sort(array, (left, right) -> order)`
    Sort,
    /// `zip_with(left, right, (left, right) -> element)`
    Zip,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LambdaFunction {
    kind: Kind,
    name: &'static str,
    signature: HigherOrderSignature,
}

pub(super) fn functions() -> Vec<Arc<HigherOrderUDF>> {
    let (value, lambda) = (|| ValueOrLambda::Value(()), || ValueOrLambda::Lambda(()));
    [
        (Kind::Reduce, "reduce", vec![value(), value(), lambda(), lambda()]),
        (Kind::Sort, "array_sort_by", vec![value(), lambda()]),
        (Kind::Zip, "zip_with", vec![value(), value(), lambda()]),
    ]
    .map(|(kind, name, arguments)| {
        let signature = HigherOrderSignature::exact(arguments, Volatility::Immutable);
        Arc::new(HigherOrderUDF::from(LambdaFunction { kind, name, signature }))
    })
    .into()
}

fn field(ty: &DataType) -> FieldRef {
    Arc::new(Field::new("item", ty.clone(), true))
}

fn element(ty: &DataType) -> Option<&DataType> {
    match ty {
        DataType::List(item) => Some(item.data_type()),
        _ => None,
    }
}

impl LambdaFunction {
    fn refused(&self, given: &[DataType]) -> DataFusionError {
        DataFusionError::External(Box::new(refused_arguments(self.name, given)))
    }
}

impl HigherOrderUDFImpl for LambdaFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let arrays = if self.kind == Kind::Zip { given.len() } else { 1 };
        let are_arrays = given.iter().take(arrays).all(|ty| element(ty).is_some());
        if are_arrays { Ok(given.to_vec()) } else { Err(self.refused(given)) }
    }

    /// The state of `reduce` has the type that the initial value and the lambda's result have in common.
    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let values: Vec<&DataType> = fields
            .iter()
            .filter_map(|field| match field {
                ValueOrLambda::Value(field) => Some(field.data_type()),
                ValueOrLambda::Lambda(_) => None,
            })
            .collect();
        let elements = |at: usize| values.get(at).and_then(|ty| element(ty)).map(field);
        let none = || self.refused(&values.iter().map(|ty| (*ty).clone()).collect::<Vec<_>>());
        Ok(match self.kind {
            Kind::Sort => {
                let item = elements(0).ok_or_else(none)?;
                LambdaParametersProgress::Complete(vec![vec![Arc::clone(&item), item]])
            }
            Kind::Zip => {
                let (left, right) = (elements(0).ok_or_else(none)?, elements(1).ok_or_else(none)?);
                LambdaParametersProgress::Complete(vec![vec![left, right]])
            }
            Kind::Reduce => {
                let item = elements(0).ok_or_else(none)?;
                let initial = values.get(1).ok_or_else(none)?;
                let result = match fields.get(2) {
                    Some(ValueOrLambda::Lambda(Some(result))) => {
                        common_type(initial, result.data_type()).ok_or_else(none)?
                    }
                    _ => (*initial).clone(),
                };
                let state = field(&result);
                let merge = vec![Arc::clone(&state), item];
                if matches!(fields.get(2), Some(ValueOrLambda::Lambda(None))) {
                    return Ok(LambdaParametersProgress::Partial(vec![Some(merge), None]));
                }
                LambdaParametersProgress::Complete(vec![merge, vec![state]])
            }
        })
    }

    fn coerce_values_for_lambdas(&self, fields: &[ValueOrLambda<DataType, DataType>]) -> Result<Option<Vec<DataType>>> {
        match (self.kind, fields) {
            (
                Kind::Reduce,
                [ValueOrLambda::Value(array), ValueOrLambda::Value(initial), ValueOrLambda::Lambda(state), _],
            ) => {
                let state =
                    common_type(initial, state).ok_or_else(|| self.refused(&[array.clone(), initial.clone()]))?;
                Ok(Some(vec![array.clone(), state]))
            }
            _ => Ok(None),
        }
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let ty = match (self.kind, args.arg_fields) {
            (Kind::Reduce, [_, _, _, ValueOrLambda::Lambda(result)]) => result.data_type().clone(),
            (Kind::Sort, [ValueOrLambda::Value(array), _]) => array.data_type().clone(),
            (Kind::Zip, [_, _, ValueOrLambda::Lambda(result)]) => DataType::new_list(result.data_type().clone(), true),
            _ => return Err(self.refused(&[])),
        };
        Ok(Arc::new(Field::new("", ty, true)))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let (mut values, mut lambdas) = (Vec::new(), Vec::new());
        for argument in args.args {
            match argument {
                ValueOrLambda::Value(value) => values.push(value.into_array(rows)?),
                ValueOrLambda::Lambda(lambda) => lambdas.push(lambda),
            }
        }
        let result = match (self.kind, values.as_slice(), lambdas.as_slice()) {
            (Kind::Reduce, [array, initial], [merge, finish]) => reduce(array.as_list(), initial, merge, finish)?,
            (Kind::Sort, [array], [compare]) => sorted(array.as_list(), compare)?,
            (Kind::Zip, [left, right], [merge]) => {
                zipped(left.as_list(), right.as_list(), merge, args.return_field.data_type())?
            }
            _ => return Err(DataFusionError::Internal(format!("{} has other arguments", self.name))),
        };
        Ok(ColumnarValue::Array(result))
    }
}

/// Evaluates a lambda for some rows. `rows` are the rows of the statement's batch that the parameters belong to.
fn evaluate(lambda: &LambdaArgument, parameters: &[ArrayRef], rows: &UInt32Array) -> Result<ArrayRef> {
    let values: Vec<_> = parameters.iter().map(|array| move || Ok(Arc::clone(array))).collect();
    let values: Vec<&dyn Fn() -> Result<ArrayRef>> = values.iter().map(|value| value as _).collect();
    let result = lambda.evaluate(&values, |captured| Ok(take_arrays(captured, rows, None)?))?;
    result.into_array(rows.len())
}

fn offsets(array: &ListArray, row: usize) -> std::ops::Range<usize> {
    array.value_offsets()[row] as usize..array.value_offsets()[row + 1] as usize
}

/// Merges the first elements of all rows, then the second ones, and so on.
fn reduce(array: &ListArray, initial: &ArrayRef, merge: &LambdaArgument, finish: &LambdaArgument) -> Result<ArrayRef> {
    let mut states = Arc::clone(initial);
    let longest = (0..array.len()).filter(|row| array.is_valid(*row)).map(|row| offsets(array, row).len()).max();
    for at in 0..longest.unwrap_or(0) {
        let rows: Vec<u32> = (0..array.len())
            .filter(|row| array.is_valid(*row) && offsets(array, *row).len() > at)
            .map(|row| row as u32)
            .collect();
        let elements =
            rows.iter().map(|row| (offsets(array, *row as usize).start + at) as u32).collect::<UInt32Array>();
        let rows = UInt32Array::from(rows);
        let parameters = [take(&states, &rows, None)?, take(array.values(), &elements, None)?];
        let merged = cast(&evaluate(merge, &parameters, &rows)?, states.data_type())?;
        let mut places: Vec<(usize, usize)> = (0..states.len()).map(|row| (0, row)).collect();
        for (index, row) in rows.values().iter().enumerate() {
            places[*row as usize] = (1, index);
        }
        states = interleave(&[states.as_ref(), merged.as_ref()], &places)?;
    }
    let all = (0..array.len() as u32).collect::<UInt32Array>();
    let finished = evaluate(finish, &[states], &all)?;
    // A NULL array has a NULL result.
    let positions = (0..array.len()).map(|row| array.is_valid(row).then_some(row as u32));
    Ok(take(&finished, &positions.collect::<UInt32Array>(), None)?)
}

/// Joins elements of the same position. The shorter array is filled with NULL.
fn zipped(left: &ListArray, right: &ListArray, merge: &LambdaArgument, ty: &DataType) -> Result<ArrayRef> {
    let mut rows: Vec<u32> = Vec::new();
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for row in 0..left.len() {
        let is_valid = left.is_valid(row) && right.is_valid(row);
        let (ours, others) = (offsets(left, row), offsets(right, row));
        let length = if is_valid { ours.len().max(others.len()) } else { 0 };
        for at in 0..length {
            rows.push(row as u32);
            lefts.push((at < ours.len()).then(|| (ours.start + at) as u32));
            rights.push((at < others.len()).then(|| (others.start + at) as u32));
        }
        lengths.push(length);
        valid.push(is_valid);
    }
    let side = |array: &ListArray, positions: Vec<Option<u32>>| -> Result<ArrayRef> {
        if array.values().is_empty() {
            return Ok(new_null_array(array.values().data_type(), positions.len()));
        }
        Ok(take(array.values(), &UInt32Array::from(positions), None)?)
    };
    let parameters = [side(left, lefts)?, side(right, rights)?];
    let merged = evaluate(merge, &parameters, &UInt32Array::from(rows))?;
    let DataType::List(item) = ty else {
        return Err(DataFusionError::Internal(format!("{ty} is no array")));
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, merged, Some(NullBuffer::from(valid)))?))
}

/// The largest array that is sorted by a comparison: all its pairs are compared at once.
const MAX_SORTED: usize = 2_000;

fn sorted(array: &ListArray, compare: &LambdaArgument) -> Result<ArrayRef> {
    let external = |message: String| DataFusionError::External(Box::new(invalid(message)));
    let mut parts: Vec<ArrayRef> = Vec::new();
    for row in 0..array.len() {
        let elements = if array.is_valid(row) { array.value(row) } else { array.value(row).slice(0, 0) };
        let count = elements.len();
        if count > MAX_SORTED {
            return Err(external(format!(
                "array_sort by a comparison takes {MAX_SORTED} elements, and the array has {count}"
            )));
        }
        let pairs = || (0..count as u32).flat_map(|left| (0..count as u32).map(move |right| (left, right)));
        let lefts = pairs().map(|(left, _)| left).collect::<UInt32Array>();
        let rights = pairs().map(|(_, right)| right).collect::<UInt32Array>();
        let parameters = [take(&elements, &lefts, None)?, take(&elements, &rights, None)?];
        let orders = evaluate(compare, &parameters, &UInt32Array::from(vec![row as u32; lefts.len()]))?;
        let orders = cast(&orders, &DataType::Int64)?;
        let orders = orders.as_primitive::<Int64Type>();
        let mut order: Vec<usize> = (0..count).collect();
        if (0..orders.len()).any(|pair| orders.is_null(pair) || !(-1..=1).contains(&orders.value(pair))) {
            return Err(external("Lambda comparator must return either -1, 0, or 1".to_owned()));
        }
        // A comparison that contradicts itself is no order, and the library's sort may panic on one.
        let of = |left: usize, right: usize| orders.value(left * count + right).cmp(&0);
        let contradicts = (0..count).any(|left| (0..left).any(|right| of(left, right) != of(right, left).reverse()));
        if contradicts {
            insertion_sort(&mut order, of);
        } else {
            order.sort_by(|left, right| of(*left, *right));
        }
        let order = order.into_iter().map(|at| at as u32).collect::<UInt32Array>();
        parts.push(take(&elements, &order, None)?);
    }
    let lengths = parts.iter().map(|part| part.len());
    let offsets = OffsetBuffer::from_lengths(lengths);
    let arrays: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
    let values = if arrays.is_empty() { array.values().slice(0, 0) } else { concat(&arrays)? };
    let DataType::List(item) = array.data_type() else {
        return Err(DataFusionError::Internal("array_sort takes an array".to_owned()));
    };
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, array.nulls().cloned())?))
}

/// A stable sort that ends for any comparison.
fn insertion_sort(order: &mut [usize], compare: impl Fn(usize, usize) -> Ordering) {
    for end in 1..order.len() {
        let mut at = end;
        while at > 0 && compare(order[at - 1], order[at]) == Ordering::Greater {
            order.swap(at - 1, at);
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_comparison_comes_to_an_end() {
        let mut order = vec![2, 0, 1];
        insertion_sort(&mut order, |left, right| left.cmp(&right));
        assert_eq!(order, [0, 1, 2]);
        insertion_sort(&mut order, |_, _| Ordering::Greater);
        assert_eq!(order.len(), 3);
    }
}
