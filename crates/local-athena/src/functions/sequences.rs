//! `sequence`: an array of numbers, dates or timestamps from a start to a stop, both inclusive.
//!
//! All are computed as integers: dates as days since 1970, timestamps as milliseconds.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, ListArray, TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimestampMillisecondType,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::row_function::invalid;
use crate::error::QueryError;
use crate::types::TIMESTAMP;

/// Maximum number of items of a sequence, as on Athena.
const MAX_ITEMS: usize = 10_000;

/// A day in milliseconds.
const DAY: i64 = 86_400_000;

const STEP: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sequence {
    signature: Signature,
}

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::from(Sequence { signature: Signature::user_defined(Volatility::Immutable) })
}

impl ScalarUDFImpl for Sequence {
    fn name(&self) -> &'static str {
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
            _ => return Err(external(unfit())),
        };
        match given.len() {
            2 => Ok(vec![item.clone(), item]),
            3 => Ok(vec![item.clone(), item, step]),
            _ => Err(external(unfit())),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = arguments.first().ok_or_else(|| external(unfit()))?;
        Ok(DataType::new_list(item.clone(), true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.into_iter().map(|argument| argument.into_array(args.number_rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let mut items = Vec::new();
        let (mut lengths, mut valid) = (Vec::new(), Vec::new());
        for row in 0..args.number_rows {
            let before = items.len();
            let is_valid = arrays.iter().all(|array| array.is_valid(row));
            if is_valid {
                Range::from_arguments(&arrays, row)?.fill(&mut items).map_err(external)?;
            }
            valid.push(is_valid);
            lengths.push(items.len() - before);
        }
        let ty = arrays.first().map_or(DataType::Int64, |array| array.data_type().clone());
        let list = ListArray::try_new(
            Arc::new(Field::new_list_field(ty.clone(), true)),
            OffsetBuffer::from_lengths(lengths),
            typed(items, &ty),
            Some(NullBuffer::from(valid)),
        )?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

fn external(error: QueryError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn unfit() -> QueryError {
    invalid("sequence takes two whole numbers, dates or timestamps, and a step")
}

fn wrong_way() -> QueryError {
    invalid(
        "sequence stop value should be greater than or equal to start value if step is greater than zero \
         otherwise stop should be less than or equal to start",
    )
}

fn typed(items: Vec<i64>, ty: &DataType) -> ArrayRef {
    match ty {
        DataType::Date32 => Arc::new(Date32Array::from_iter_values(items.into_iter().map(|day| day as i32))),
        DataType::Timestamp(..) => Arc::new(TimestampMillisecondArray::from(items)),
        _ => Arc::new(Int64Array::from(items)),
    }
}

fn number(array: &ArrayRef, row: usize) -> i64 {
    match array.data_type() {
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMillisecondType>().value(row),
        _ => array.as_primitive::<Int64Type>().value(row),
    }
}

enum Step {
    Number(i64),
    Months(i32),
}

/// The sequence of one row.
struct Range {
    start: i64,
    stop: i64,
    step: Step,
    /// Milliseconds per unit of `start` and `stop`, to convert them to timestamps when the step is in months.
    unit: i64,
}

impl Range {
    fn from_arguments(arrays: &[ArrayRef], row: usize) -> Result<Self> {
        let (Some(starts), Some(stops)) = (arrays.first(), arrays.get(1)) else {
            return Err(external(unfit()));
        };
        let (start, stop) = (number(starts, row), number(stops, row));
        let (unit, one) = match starts.data_type() {
            DataType::Date32 => (DAY, 1),
            DataType::Timestamp(..) => (1, DAY),
            _ => (1, 1),
        };
        let step = match arrays.get(2) {
            None => Step::Number(if stop < start { -one } else { one }),
            Some(steps) if steps.data_type() == &STEP => {
                let span = steps.as_primitive::<IntervalMonthDayNanoType>().value(row);
                let millis = i64::from(span.days) * DAY + span.nanoseconds / 1_000_000;
                if span.months == 0 { Step::Number(millis / unit) } else { Step::Months(span.months) }
            }
            Some(steps) => Step::Number(number(steps, row)),
        };
        Ok(Self { start, stop, step, unit })
    }

    fn fill(&self, items: &mut Vec<i64>) -> std::result::Result<(), QueryError> {
        let down = self.stop < self.start;
        let leads_there = match self.step {
            Step::Number(step) => step != 0 && (step < 0) == down,
            Step::Months(step) => (step < 0) == down,
        };
        if !leads_there && self.start != self.stop {
            return Err(wrong_way());
        }
        let is_beyond = |item: i64| if down { item < self.stop } else { item > self.stop };
        let until = if self.start == self.stop { 1 } else { MAX_ITEMS as i64 + 1 };
        for index in 0..until {
            let Some(item) = self.item(index).filter(|item| !is_beyond(*item)) else {
                return Ok(());
            };
            if index == MAX_ITEMS as i64 {
                let message = format!("result of sequence function must not have more than {MAX_ITEMS} entries");
                return Err(invalid(message));
            }
            items.push(item);
        }
        Ok(())
    }

    /// Returns an item by its index; `None` if it overflows.
    fn item(&self, index: i64) -> Option<i64> {
        match self.step {
            Step::Number(step) => i64::try_from(i128::from(self.start) + i128::from(step) * i128::from(index)).ok(),
            Step::Months(step) => {
                let start = chrono::DateTime::from_timestamp_millis(self.start.checked_mul(self.unit)?)?;
                let months = i64::from(step).checked_mul(index)?;
                let count = chrono::Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let moved = if months < 0 { start.checked_sub_months(count) } else { start.checked_add_months(count) };
                Some(moved?.timestamp_millis() / self.unit)
            }
        }
    }
}
