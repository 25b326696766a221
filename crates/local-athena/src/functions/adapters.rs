//! Functions that statements do not call: the rewriter puts them around the arguments and results of others, where DataFusion
//! needs a value in another form.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::Expr;

use super::column_function::{ColumnFunction, Columns, Types};

/// Returns its argument, and NULL for NaN: by it `max_by` and `min_by` take NaN last.
pub(crate) const ORDER_KEY: &str = "order_key";

/// Returns a value that is distinct where the argument is, of a type that `approx_distinct` takes.
pub(crate) const DISTINCT_KEY: &str = "distinct_key";

/// Returns a text of DataFusion's type of large texts, which is JSON's here, as varchar.
pub(crate) const FROM_LARGE_TEXT: &str = "from_large_text";

/// Returns its argument. A cast in it gives the name of the column, which DataFusion would leave out: without it, `sum(x)` and
/// `sum(CAST(x AS bigint))` were one column.
pub(crate) const NAMED: &str = "named";

pub(super) fn functions() -> Vec<ColumnFunction> {
    vec![
        ColumnFunction { name: ORDER_KEY, types: same, body: order_key },
        ColumnFunction { name: DISTINCT_KEY, types: distinct_types, body: distinct_key },
        ColumnFunction {
            name: FROM_LARGE_TEXT,
            types: |given| Some(Types { arguments: given.to_vec(), result: DataType::Utf8 }),
            body: |columns| Ok(cast(&columns.columns[0], &DataType::Utf8)?),
        },
        CANONICAL,
    ]
}

fn same(given: &[DataType]) -> Option<Types> {
    let [ty] = given else { return None };
    Some(Types { arguments: vec![ty.clone()], result: ty.clone() })
}

/// Maps the floating-point numbers of an array of either type, with the NaN that has no sign at hand. Returns arrays of other types
/// as they are.
macro_rules! map_floats {
    ($columns:expr, |$value:ident, $nan:ident| $body:expr) => {{
        let array = &$columns.columns[0];
        match array.data_type() {
            DataType::Float64 => {
                let $nan = f64::NAN;
                let values = array.as_primitive::<Float64Type>();
                Ok(Arc::new(values.unary::<_, Float64Type>(|$value| $body)) as ArrayRef)
            }
            DataType::Float32 => {
                let $nan = f32::NAN;
                let values = array.as_primitive::<Float32Type>();
                Ok(Arc::new(values.unary::<_, Float32Type>(|$value| $body)) as ArrayRef)
            }
            _ => Ok(Arc::clone(array)),
        }
    }};
}

fn order_key(columns: &Columns<'_>) -> Result<ArrayRef> {
    let array = &columns.columns[0];
    Ok(match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(values.unary_opt::<_, Float64Type>(|value| (!value.is_nan()).then_some(value)))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(values.unary_opt::<_, Float32Type>(|value| (!value.is_nan()).then_some(value)))
        }
        _ => Arc::clone(array),
    })
}

/// Returns its argument, with one NaN. Processors make others, which have a sign, and Arrow would sort them before all numbers
/// and take them for other values.
const CANONICAL: ColumnFunction = ColumnFunction { name: "canonical", types: same, body: canonical };

fn canonical(columns: &Columns<'_>) -> Result<ArrayRef> {
    map_floats!(columns, |value, nan| if value.is_nan() { nan } else { value })
}

/// Returns its argument normalized: NaN has one bit pattern, and zero no sign.
const NORMALIZED: ColumnFunction = ColumnFunction { name: "normalized", types: same, body: normalized };

fn normalized(columns: &Columns<'_>) -> Result<ArrayRef> {
    // The sum of zeros of both signs is the positive one.
    map_floats!(columns, |value, nan| if value.is_nan() { nan } else { value + 0.0 })
}

/// Returns an expression whose result has no NaN with a sign.
pub(crate) fn with_one_nan(expr: Expr, ty: DataType) -> Expr {
    CANONICAL.call_to(ty, false, vec![expr])
}

/// Returns an expression normalized, so that its results are equal for Arrow where they are not distinct in SQL.
pub(crate) fn with_normalized_floats(expr: Expr, ty: DataType) -> Expr {
    NORMALIZED.call_to(ty, false, vec![expr])
}

fn distinct_types(given: &[DataType]) -> Option<Types> {
    let [ty] = given else { return None };
    let result = match ty {
        DataType::Float32 | DataType::Float64 => DataType::Int64,
        DataType::Decimal128(..) | DataType::Boolean => DataType::Utf8,
        ty => ty.clone(),
    };
    Some(Types { arguments: vec![ty.clone()], result })
}

fn distinct_key(columns: &Columns<'_>) -> Result<ArrayRef> {
    // One NaN, and one zero.
    let bits = |value: f64| (if value.is_nan() { f64::NAN } else { value + 0.0 }).to_bits() as i64;
    let array = &columns.columns[0];
    Ok(match array.data_type() {
        DataType::Float32 | DataType::Float64 => {
            let doubles = cast(array, &DataType::Float64)?;
            Arc::new(doubles.as_primitive::<Float64Type>().unary::<_, Int64Type>(bits))
        }
        _ if array.data_type() != columns.result => cast(array, columns.result)?,
        _ => Arc::clone(array),
    })
}
