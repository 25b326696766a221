//! `sequence`: numbers, dates or timestamps from one to another, both ends in it.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, ListArray, TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimestampMillisecondType,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::row_function::invalid;
use crate::types::TIMESTAMP;

/// The most items that a sequence may have, as on Athena.
const MOST: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sequence {
    signature: Signature,
}

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Sequence { signature: Signature::user_defined(Volatility::Immutable) })
}

const STEP: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

impl ScalarUDFImpl for Sequence {
    fn name(&self) -> &str {
        "sequence"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let (item, step) = match given.first() {
            Some(ty) if ty.is_integer() => (DataType::Int64, DataType::Int64),
            Some(DataType::Date32) => (DataType::Date32, STEP),
            Some(DataType::Timestamp(_, None)) => (TIMESTAMP, STEP),
            _ => return Err(unfit()),
        };
        match given.len() {
            2 => Ok(vec![item.clone(), item]),
            3 => Ok(vec![item.clone(), item, step]),
            _ => Err(unfit()),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = arguments.first().ok_or_else(unfit)?;
        Ok(DataType::new_list(item.clone(), true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let arrays: Vec<ArrayRef> = match arrays.first() {
            Some(array) if array.len() == rows => arrays,
            _ => {
                let arrays = args.args.into_iter().map(|a| a.into_array(rows));
                arrays.collect::<Result<_>>()?
            }
        };
        let mut items: Vec<i64> = Vec::new();
        let mut lengths = Vec::with_capacity(rows);
        let mut valid = Vec::with_capacity(rows);
        for row in 0..rows {
            let before = items.len();
            let all_there = arrays.iter().all(|array| array.is_valid(row));
            if all_there {
                one(&arrays, row, &mut items)?;
            }
            valid.push(all_there);
            lengths.push(items.len() - before);
        }
        let item = arrays[0].data_type().clone();
        let values: ArrayRef = match item {
            DataType::Date32 => {
                let days = items.into_iter().map(|day| day as i32);
                Arc::new(Date32Array::from_iter_values(days))
            }
            DataType::Timestamp(..) => Arc::new(TimestampMillisecondArray::from(items)),
            _ => Arc::new(Int64Array::from(items)),
        };
        let list = ListArray::try_new(
            Arc::new(Field::new_list_field(item, true)),
            OffsetBuffer::from_lengths(lengths),
            values,
            Some(NullBuffer::from(valid)),
        )?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

fn unfit() -> DataFusionError {
    let message = invalid("sequence takes two whole numbers, dates or timestamps, and a step");
    DataFusionError::External(Box::new(message))
}

/// Appends the items of one row: whole numbers as they are, days of dates, milliseconds of timestamps.
fn one(arrays: &[ArrayRef], row: usize, items: &mut Vec<i64>) -> Result<()> {
    let (start, stop) = (number(&arrays[0], row)?, number(&arrays[1], row)?);
    let down = stop < start;
    let default = if down { Step::Numbers(-1) } else { Step::Numbers(1) };
    let step = match (arrays.get(2), arrays[0].data_type()) {
        (None, DataType::Timestamp(..)) => Step::Numbers(if down { -DAY } else { DAY }),
        (None, _) => default,
        (Some(steps), DataType::Int64) => Step::Numbers(number(steps, row)?),
        (Some(steps), ty) => {
            let span = steps.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let millis = i64::from(span.days) * DAY + span.nanoseconds / 1_000_000;
            match (span.months, ty) {
                (0, DataType::Date32) => Step::Numbers(millis / DAY),
                (0, _) => Step::Numbers(millis),
                (months, _) => Step::Months(months),
            }
        }
    };
    let per_day = if arrays[0].data_type() == &DataType::Date32 { 1 } else { DAY };
    let from = items.len();
    for index in 0.. {
        let item = step.item(start, index, per_day).ok_or_else(bad_step)?;
        let beyond = if down { item < stop } else { item > stop };
        if beyond {
            return Ok(());
        }
        let back = index > 0 && if down { item >= start } else { item <= start };
        if back && start != stop {
            return Err(bad_step());
        }
        if items.len() - from == MOST {
            let message = format!("result of sequence function must not have more than {MOST} entries");
            return Err(DataFusionError::External(Box::new(invalid(message))));
        }
        items.push(item);
        if start == stop {
            return Ok(());
        }
    }
    Ok(())
}

const DAY: i64 = 86_400_000;

enum Step {
    Numbers(i64),
    Months(i32),
}

impl Step {
    /// The item at an index; `per_day` is what a day is in the numbers of the sequence.
    fn item(&self, start: i64, index: i64, per_day: i64) -> Option<i64> {
        match self {
            Self::Numbers(step) => start.checked_add(step.checked_mul(index)?),
            Self::Months(step) => {
                let millis = start.checked_mul(DAY / per_day)?;
                let moment = chrono::DateTime::from_timestamp_millis(millis)?.naive_utc();
                let months = i64::from(*step).checked_mul(index)?;
                let count = chrono::Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let moved =
                    if months < 0 { moment.checked_sub_months(count) } else { moment.checked_add_months(count) };
                Some(moved?.and_utc().timestamp_millis() / (DAY / per_day))
            }
        }
    }
}

fn bad_step() -> DataFusionError {
    let message = "sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop should be less than or equal to start";
    DataFusionError::External(Box::new(invalid(message)))
}

fn number(array: &ArrayRef, row: usize) -> Result<i64> {
    Ok(match array.data_type() {
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMillisecondType>().value(row),
        _ => cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().value(row),
    })
}
