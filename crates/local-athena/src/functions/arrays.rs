//! Functions of arrays with Athena's NULL, bounds and texts. An element that is compared with NULL is unknown, not different.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray, UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{DataFusionError, Result as DataFusionResult};

use super::casts::element_texts;
use super::column_function::{ColumnFunction, Columns, Types};
use super::comparison::{Equality, has_null, order};
use super::row_function::invalid;
use crate::error::{ErrorKind, QueryError};
use crate::types::common_type;

pub(super) fn functions() -> Vec<ColumnFunction> {
    vec![
        ColumnFunction {
            name: "contains",
            types: |given| with_element(given, Some(DataType::Boolean)),
            body: contains,
        },
        ColumnFunction {
            name: "array_position",
            types: |given| with_element(given, Some(DataType::Int64)),
            body: array_position,
        },
        ColumnFunction { name: "array_remove", types: |given| with_element(given, None), body: array_remove },
        ColumnFunction { name: "array_max", types: of_elements, body: |columns| extreme(columns, Ordering::Less) },
        ColumnFunction { name: "array_min", types: of_elements, body: |columns| extreme(columns, Ordering::Greater) },
        ColumnFunction { name: "greatest", types: of_values, body: |columns| extreme_value(columns, Ordering::Less) },
        ColumnFunction { name: "least", types: of_values, body: |columns| extreme_value(columns, Ordering::Greater) },
        ColumnFunction { name: "element_at", types: by_index, body: |columns| element(columns, element_at) },
        ColumnFunction { name: "slice", types: slice_types, body: slice },
        ColumnFunction { name: "array_join", types: join_types, body: array_join },
        ColumnFunction { name: "repeat", types: repeat_types, body: repeat },
        ColumnFunction { name: "arrays_overlap", types: overlap_types, body: arrays_overlap },
    ]
}

/// Returns the function of `array[index]`.
pub(super) fn subscript_function() -> ColumnFunction {
    ColumnFunction { name: "subscript", types: by_index, body: |columns| element(columns, subscript) }
}

/// The name under which DataFusion's planner calls `array[index]`.
pub(crate) const SUBSCRIPT: &str = "array_element";

/// Returns the function of the positions of the elements of some arrays.
pub(super) fn ordinals_function() -> ColumnFunction {
    ColumnFunction {
        name: "ordinals",
        types: |given| {
            let are_arrays = given.iter().all(|ty| element_type(ty).is_some());
            let result = DataType::new_list(DataType::Int64, true);
            are_arrays.then(|| Types { arguments: given.to_vec(), result })
        },
        body: |columns| {
            let length = |row: usize| {
                let lengths = columns.columns.iter().filter_map(|column| {
                    let array = column.as_list_opt::<i32>()?;
                    array.is_valid(row).then(|| array.value_length(row))
                });
                i64::from(lengths.max().unwrap_or(0))
            };
            let lengths: Vec<i64> = (0..columns.rows()).map(length).collect();
            let most = lengths.iter().copied().max().unwrap_or(0);
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=most));
            lists(columns, &numbers, |row| Ok(Some((0..lengths[row] as usize).collect())))
        },
    }
}

/// Returns the function that gives an array without elements a NULL.
pub(super) fn padded_function() -> ColumnFunction {
    ColumnFunction {
        name: "padded",
        types: |given| {
            let [array] = given else { return None };
            let array = DataType::new_list(element_type(array)?.clone(), true);
            Some(Types { arguments: vec![array.clone()], result: array })
        },
        body: |columns| {
            let array = columns.columns[0].as_list::<i32>();
            let nothing = new_null_array(array.values().data_type(), 1);
            let values = concat(&[array.values().as_ref(), nothing.as_ref()])?;
            lists(columns, &values, |row| {
                let elements = if array.is_valid(row) { items(array, row).collect() } else { Vec::new() };
                Ok(Some(if elements.is_empty() { vec![values.len() - 1] } else { elements }))
            })
        },
    }
}

fn element_type(ty: &DataType) -> Option<&DataType> {
    match ty {
        DataType::List(item) => Some(item.data_type()),
        DataType::Null => Some(&DataType::Null),
        _ => None,
    }
}

/// The types of a function of an array and an element. `None` as the result is the array's type.
fn with_element(given: &[DataType], result: Option<DataType>) -> Option<Types> {
    let [array, element] = given else { return None };
    let element = common_type(element_type(array)?, element)?;
    let array = DataType::new_list(element.clone(), true);
    Some(Types { result: result.unwrap_or_else(|| array.clone()), arguments: vec![array, element] })
}

fn of_elements(given: &[DataType]) -> Option<Types> {
    let [array] = given else { return None };
    let element = element_type(array)?.clone();
    Some(Types { arguments: vec![DataType::new_list(element.clone(), true)], result: element })
}

fn of_values(given: &[DataType]) -> Option<Types> {
    let (first, others) = given.split_first()?;
    let common = others.iter().try_fold(first.clone(), |common, ty| common_type(&common, ty))?;
    Some(Types { arguments: vec![common.clone(); given.len()], result: common })
}

fn by_index(given: &[DataType]) -> Option<Types> {
    let [array, index] = given else { return None };
    let element = element_type(array)?.clone();
    let is_index = index.is_integer() || index.is_null();
    is_index
        .then(|| Types { arguments: vec![DataType::new_list(element.clone(), true), DataType::Int64], result: element })
}

fn slice_types(given: &[DataType]) -> Option<Types> {
    let [array, start, length] = given else { return None };
    let array = DataType::new_list(element_type(array)?.clone(), true);
    let are_integers = [start, length].iter().all(|ty| ty.is_integer() || ty.is_null());
    are_integers.then(|| Types { arguments: vec![array.clone(), DataType::Int64, DataType::Int64], result: array })
}

fn join_types(given: &[DataType]) -> Option<Types> {
    let (array, texts) = given.split_first()?;
    let element = element_type(array)?.clone();
    let is_text = |ty: &DataType| ty.is_null() || matches!(ty, DataType::Utf8 | DataType::Utf8View);
    let has_text = !matches!(
        element,
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) | DataType::Binary | DataType::BinaryView
    );
    let fits = has_text && matches!(texts.len(), 1 | 2) && texts.iter().all(is_text);
    let arguments = std::iter::once(DataType::new_list(element, true)).chain(texts.iter().map(|_| DataType::Utf8));
    fits.then(|| Types { arguments: arguments.collect(), result: DataType::Utf8 })
}

fn repeat_types(given: &[DataType]) -> Option<Types> {
    let [element, count] = given else { return None };
    let is_count = count.is_integer() || count.is_null();
    let result = DataType::new_list(element.clone(), true);
    is_count.then(|| Types { arguments: vec![element.clone(), DataType::Int64], result })
}

fn overlap_types(given: &[DataType]) -> Option<Types> {
    let [left, right] = given else { return None };
    let array = DataType::new_list(common_type(element_type(left)?, element_type(right)?)?, true);
    Some(Types { arguments: vec![array.clone(), array], result: DataType::Boolean })
}

/// The positions of a row's elements among all values of an array.
fn items(array: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = array.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Compares an element with another value.
///
/// # Errors
/// The values are not NULL, and a NULL within them decides.
fn compared(
    equality: &Equality,
    (items, item): (&ArrayRef, usize),
    (values, value): (&ArrayRef, usize),
) -> Result<Option<bool>, QueryError> {
    let equal = equality.test(item, value);
    if equal.is_none() && !is_null(items, item) && !is_null(values, value) {
        let message = "elements that contain NULL cannot be compared";
        return Err(QueryError::new(ErrorKind::NotSupported, message));
    }
    Ok(equal)
}

/// Returns whether a value is NULL. Arrow's type `Null` has no bitmap.
fn is_null(array: &ArrayRef, row: usize) -> bool {
    array.is_null(row) || array.data_type().is_null()
}

/// Whether one of some comparisons is true; unknown if none is and one is unknown.
fn any(mut tests: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut is_known = true;
    let found = tests.any(|test| {
        is_known &= test.is_some();
        test == Some(true)
    });
    if found || is_known { Some(found) } else { None }
}

fn contains(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let (array, element) = (columns.columns[0].as_list::<i32>(), &columns.columns[1]);
    let equality = Equality::new(array.values(), element)?;
    let row = |row: usize| {
        if array.is_null(row) || is_null(element, row) {
            return Ok(None);
        }
        let tests = items(array, row).map(|item| compared(&equality, (array.values(), item), (element, row)));
        columns.outcome(tests.collect::<Result<Vec<_>, _>>().map(|tests| any(tests.into_iter())))
    };
    Ok(Arc::new((0..array.len()).map(row).collect::<DataFusionResult<BooleanArray>>()?))
}

fn array_position(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let (array, element) = (columns.columns[0].as_list::<i32>(), &columns.columns[1]);
    let equality = Equality::new(array.values(), element)?;
    let row = |row: usize| {
        if array.is_null(row) || is_null(element, row) {
            return Ok(None);
        }
        for (position, item) in items(array, row).enumerate() {
            if columns.outcome(compared(&equality, (array.values(), item), (element, row)))? == Some(true) {
                return Ok(Some(position as i64 + 1));
            }
        }
        Ok(Some(0))
    };
    Ok(Arc::new((0..array.len()).map(row).collect::<DataFusionResult<Int64Array>>()?))
}

fn array_remove(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let (array, element) = (columns.columns[0].as_list::<i32>(), &columns.columns[1]);
    let equality = Equality::new(array.values(), element)?;
    lists(columns, array.values(), |row| {
        if array.is_null(row) || is_null(element, row) {
            return Ok(None);
        }
        let mut kept = Vec::new();
        for item in items(array, row) {
            if compared(&equality, (array.values(), item), (element, row))? != Some(true) {
                kept.push(item);
            }
        }
        Ok(Some(kept))
    })
}

/// Builds arrays of the elements at some positions of `values`; `None` is NULL.
fn lists(
    columns: &Columns<'_>,
    values: &ArrayRef,
    mut elements: impl FnMut(usize) -> Result<Option<Vec<usize>>, QueryError>,
) -> DataFusionResult<ArrayRef> {
    let DataType::List(field) = columns.result else {
        return Err(DataFusionError::Internal(format!("{} is no array", columns.result)));
    };
    let mut positions: Vec<u32> = Vec::new();
    let mut lengths = Vec::with_capacity(columns.rows());
    let mut valid = Vec::with_capacity(columns.rows());
    for row in 0..columns.rows() {
        let found = columns.outcome(elements(row))?;
        valid.push(found.is_some());
        let found = found.unwrap_or_default();
        lengths.push(found.len());
        positions.extend(found.into_iter().map(|position| position as u32));
    }
    let values = take(values, &UInt32Array::from(positions), None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let field = Arc::new(Field::clone(field).with_nullable(true));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, Some(NullBuffer::from(valid)))?))
}

/// Takes one value per row from `values`; `None` is NULL.
fn one_each(
    values: &ArrayRef,
    positions: impl Iterator<Item = DataFusionResult<Option<usize>>>,
) -> DataFusionResult<ArrayRef> {
    let positions = positions.map(|position| position.map(|position| position.map(|position| position as u32)));
    Ok(take(values, &positions.collect::<DataFusionResult<UInt32Array>>()?, None)?)
}

/// The largest elements (`worse` is `Less`) or the smallest. NULL if an element is NULL, or there is none. NaN only if all are.
fn extreme(columns: &Columns<'_>, worse: Ordering) -> DataFusionResult<ArrayRef> {
    let array = columns.columns[0].as_list::<i32>();
    let order = order(array.values(), array.values(), worse)?;
    one_each(
        array.values(),
        (0..array.len()).map(|row| {
            let elements = items(array, row);
            if array.is_null(row) || elements.clone().any(|item| has_null(array.values(), item)) {
                return Ok(None);
            }
            Ok(elements.reduce(|best, item| if order(best, item) == worse { item } else { best }))
        }),
    )
}

fn extreme_value(columns: &Columns<'_>, worse: Ordering) -> DataFusionResult<ArrayRef> {
    let rows = columns.rows();
    let arrays: Vec<&dyn Array> = columns.columns.iter().map(|column| column.as_ref()).collect();
    let all = concat(&arrays)?;
    let order = order(&all, &all, worse)?;
    one_each(
        &all,
        (0..rows).map(|row| {
            let mut values = (0..arrays.len()).map(|column| column * rows + row);
            if values.clone().any(|value| has_null(&all, value)) {
                return Ok(None);
            }
            let first = values.next();
            Ok(first
                .map(|first| values.fold(first, |best, value| if order(best, value) == worse { value } else { best })))
        }),
    )
}

/// Returns the position of an element from 0 on; `None` if the array has none.
type Locate = fn(i64, usize) -> Result<Option<usize>, QueryError>;

fn element(columns: &Columns<'_>, locate: Locate) -> DataFusionResult<ArrayRef> {
    let array = columns.columns[0].as_list::<i32>();
    let indexes = columns.columns[1].as_primitive::<Int64Type>();
    if array.values().is_empty() && array.null_count() == array.len() {
        return Ok(new_null_array(columns.result, array.len()));
    }
    one_each(
        array.values(),
        (0..array.len()).map(|row| {
            if array.is_null(row) || indexes.is_null(row) {
                return Ok(None);
            }
            let elements = items(array, row);
            let position = columns.outcome(locate(indexes.value(row), elements.len()))?;
            Ok(position.map(|position| elements.start + position))
        }),
    )
}

fn from_one() -> QueryError {
    invalid("SQL array indices start at 1")
}

fn element_at(index: i64, length: usize) -> Result<Option<usize>, QueryError> {
    let distance = index.unsigned_abs() as usize;
    match index {
        0 => Err(from_one()),
        1.. => Ok((distance <= length).then(|| distance - 1)),
        _ => Ok(length.checked_sub(distance)),
    }
}

fn subscript(index: i64, length: usize) -> Result<Option<usize>, QueryError> {
    match index {
        0 => Err(from_one()),
        ..0 => Err(invalid(format_args!("Array subscript is negative: {index}"))),
        _ if index as usize > length => {
            Err(invalid(format_args!("Array subscript must be less than or equal to array length: {index} > {length}")))
        }
        _ => Ok(Some(index as usize - 1)),
    }
}

fn slice(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let array = columns.columns[0].as_list::<i32>();
    let [starts, lengths] = [1, 2].map(|at| columns.columns[at].as_primitive::<Int64Type>());
    lists(columns, array.values(), |row| {
        if array.is_null(row) || starts.is_null(row) || lengths.is_null(row) {
            return Ok(None);
        }
        let (start, length) = (starts.value(row), lengths.value(row));
        if length < 0 {
            return Err(invalid("length must be greater than or equal to 0"));
        }
        let elements = items(array, row);
        let count = elements.len() as i64;
        let first = match start {
            0 => return Err(from_one()),
            1.. => start - 1,
            _ => count.saturating_add(start),
        };
        if !(0..count).contains(&first) {
            return Ok(Some(Vec::new()));
        }
        Ok(Some(elements.skip(first as usize).take(length as usize).collect()))
    })
}

fn array_join(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let array = columns.columns[0].as_list::<i32>();
    let texts = element_texts(array.values())?;
    let separators = columns.columns[1].as_string::<i32>();
    let for_null = columns.columns.get(2).map(|texts| texts.as_string::<i32>());
    let row = |row: usize| {
        let is_null = array.is_null(row) || separators.is_null(row) || for_null.is_some_and(|texts| texts.is_null(row));
        let text = |item: usize| texts[item].as_deref().or_else(|| for_null.map(|texts| texts.value(row)));
        (!is_null).then(|| items(array, row).filter_map(text).collect::<Vec<_>>().join(separators.value(row)))
    };
    Ok(Arc::new((0..array.len()).map(row).collect::<StringArray>()))
}

/// Maximum number of elements that `repeat` returns, as on Athena.
const MAX_REPEATED: i64 = 10_000;

fn repeat(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let counts = columns.columns[1].as_primitive::<Int64Type>();
    lists(columns, &columns.columns[0], |row| {
        if counts.is_null(row) {
            return Ok(None);
        }
        match counts.value(row) {
            ..0 => Err(invalid("count argument of repeat function must be greater than or equal to 0")),
            count if count > MAX_REPEATED => {
                Err(invalid("count argument of repeat function must be less than or equal to 10000"))
            }
            count => Ok(Some(vec![row; count as usize])),
        }
    })
}

fn arrays_overlap(columns: &Columns<'_>) -> DataFusionResult<ArrayRef> {
    let [left, right] = [0, 1].map(|at| columns.columns[at].as_list::<i32>());
    let equality = Equality::new(left.values(), right.values())?;
    let row = |row: usize| {
        if left.is_null(row) || right.is_null(row) {
            return None;
        }
        any(items(left, row)
            .flat_map(|item| items(right, row).map(move |other| (item, other)))
            .map(|(item, other)| equality.test(item, other)))
    };
    Ok(Arc::new((0..left.len()).map(row).collect::<BooleanArray>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_begin_at_one_and_end_at_the_length() {
        assert_eq!(element_at(2, 2), Ok(Some(1)));
        assert_eq!(element_at(-2, 2), Ok(Some(0)));
        assert_eq!((element_at(3, 2), element_at(-3, 2)), (Ok(None), Ok(None)));
        assert_eq!(subscript(2, 2), Ok(Some(1)));
        assert!(
            element_at(0, 2).is_err()
                && subscript(0, 2).is_err()
                && subscript(3, 2).is_err()
                && subscript(-1, 2).is_err()
        );
        assert_eq!(element_at(i64::MIN, 2), Ok(None));
    }

    #[test]
    fn one_true_comparison_is_enough() {
        assert_eq!(any([None, Some(true)].into_iter()), Some(true));
        assert_eq!(any([None, Some(false)].into_iter()), None);
        assert_eq!(any([Some(false)].into_iter()), Some(false));
    }
}
