//! Comparisons of floating-point numbers and of arrays, as SQL has them: NaN equals nothing, not even itself, and -0.0 equals
//! 0.0; an array with a NULL equals another one only if that is known without the NULL.
//!
//! Arrow compares floating-point numbers by a total order, in which NaN equals itself and is above all numbers, and takes
//! NULL elements of arrays for values.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

use super::column_function::{ColumnFunction, Columns, Types};
use crate::types::common_type;

/// Returns the functions.
pub(super) fn functions() -> Vec<ColumnFunction> {
    [Operator::Eq, Operator::NotEq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq]
        .into_iter()
        .filter_map(function)
        .collect()
}

fn function(operator: Operator) -> Option<ColumnFunction> {
    macro_rules! comparison {
        ($name:literal, $holds:expr) => {
            Some(ColumnFunction {
                name: $name,
                types,
                body: |columns| {
                    let holds: fn(Option<Ordering>) -> bool = $holds;
                    compare(columns, holds, matches!($name, "equal" | "not_equal"))
                },
            })
        };
    }
    match operator {
        Operator::Eq => comparison!("equal", |order| order == Some(Ordering::Equal)),
        Operator::NotEq => comparison!("not_equal", |order| order != Some(Ordering::Equal)),
        Operator::Lt => comparison!("less", |order| order == Some(Ordering::Less)),
        Operator::LtEq => comparison!("less_or_equal", |order| order.is_some_and(Ordering::is_le)),
        Operator::Gt => comparison!("greater", |order| order == Some(Ordering::Greater)),
        Operator::GtEq => comparison!("greater_or_equal", |order| order.is_some_and(Ordering::is_ge)),
        _ => None,
    }
}

fn types(given: &[DataType]) -> Option<Types> {
    let [left, right] = given else { return None };
    let common = common_type(left, right)?;
    Some(Types { arguments: vec![common.clone(), common], result: DataType::Boolean })
}

/// Returns whether Arrow's comparison of values of this type differs from Athena's.
pub(crate) fn is_special(ty: &DataType) -> bool {
    ty.is_floating() || matches!(ty, DataType::List(_))
}

/// Returns the comparison of two values of which one is a floating-point number or an array. A number and a constant are
/// compared by DataFusion's operators, because these select row groups of Parquet files.
pub(crate) fn comparison(left: Expr, operator: Operator, right: Expr, is_float: bool) -> Expr {
    if is_float
        && let Some(constant) = constant(&right)
        && matches!(left, Expr::Column(_))
    {
        return with_constant(left, operator, constant);
    }
    if is_float
        && let Some(constant) = constant(&left)
        && matches!(right, Expr::Column(_))
        && let Some(swapped) = operator.swap()
    {
        return with_constant(right, swapped, constant);
    }
    call(operator, left, right)
}

fn call(operator: Operator, left: Expr, right: Expr) -> Expr {
    match function(operator) {
        Some(function) => {
            let udf = Arc::new(function.into_udf());
            Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![left, right]))
        }
        None => binary(left, operator, right),
    }
}

/// Returns a number that is written out, other than NaN.
pub(crate) fn constant(expr: &Expr) -> Option<f64> {
    let value = match expr {
        Expr::Literal(ScalarValue::Float64(value), _) => (*value)?,
        Expr::Literal(ScalarValue::Float32(value), _) => f64::from((*value)?),
        Expr::Literal(value, _) if value.data_type().is_integer() => value.to_string().parse().ok()?,
        Expr::Negative(inner) => -constant(inner)?,
        Expr::Cast(cast) => constant(&cast.expr)?,
        _ => return None,
    };
    (!value.is_nan()).then_some(value)
}

fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

fn literal(value: f64) -> Expr {
    Expr::Literal(ScalarValue::from(value), None)
}

/// A comparison of a column by operators of the total order, in which -NaN < -Infinity, -0.0 < 0.0 and Infinity < NaN.
fn with_constant(column: Expr, operator: Operator, constant: f64) -> Expr {
    let (least, most) = if constant == 0.0 { (-0.0, 0.0) } else { (constant, constant) };
    let between = |negated| {
        Expr::Between(Between::new(
            Box::new(column.clone()),
            negated,
            Box::new(literal(least)),
            Box::new(literal(most)),
        ))
    };
    let within = |low: f64, low_operator, high: f64, high_operator| {
        let above = binary(column.clone(), low_operator, literal(low));
        let below = binary(column.clone(), high_operator, literal(high));
        binary(above, Operator::And, below)
    };
    match operator {
        Operator::Eq if constant == 0.0 => between(false),
        Operator::NotEq if constant == 0.0 => between(true),
        Operator::Lt => within(f64::NEG_INFINITY, Operator::GtEq, least, Operator::Lt),
        Operator::LtEq => within(f64::NEG_INFINITY, Operator::GtEq, most, Operator::LtEq),
        Operator::Gt => within(most, Operator::Gt, f64::INFINITY, Operator::LtEq),
        Operator::GtEq => within(least, Operator::GtEq, f64::INFINITY, Operator::LtEq),
        operator => binary(column.clone(), operator, literal(constant)),
    }
}

/// Returns a condition that selects the same rows as `equal(a, b)`, and is an equality by which rows can be joined; `None` for
/// another expression. The condition is false where `equal` is NULL or false.
pub(crate) fn as_join_condition(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [left @ Expr::Column(_), right @ Expr::Column(_)] = call.args.as_slice() else { return None };
    if call.name() != "equal" {
        return None;
    }
    let is_number = Expr::Between(Between::new(
        Box::new(left.clone()),
        false,
        Box::new(literal(f64::NEG_INFINITY)),
        Box::new(literal(f64::INFINITY)),
    ));
    Some(binary(binary(left.clone(), Operator::Eq, right.clone()), Operator::And, is_number))
}

fn compare(columns: &Columns<'_>, holds: fn(Option<Ordering>) -> bool, is_equality: bool) -> Result<ArrayRef> {
    let [left, right] = columns.columns else {
        return Err(DataFusionError::Internal("a comparison has two sides".to_owned()));
    };
    macro_rules! floats {
        ($ty:ty) => {{
            let pairs = left.as_primitive::<$ty>().iter().zip(right.as_primitive::<$ty>());
            pairs.map(|(left, right)| Some(holds(left?.partial_cmp(&right?)))).collect::<BooleanArray>()
        }};
    }
    let compared = match left.data_type() {
        DataType::Float64 => floats!(Float64Type),
        DataType::Float32 => floats!(Float32Type),
        _ if is_equality => {
            let equality = Equality::new(left, right)?;
            let row = |row| {
                equality.test(row, row).map(|equal| holds(Some(if equal { Ordering::Equal } else { Ordering::Less })))
            };
            (0..left.len()).map(row).collect()
        }
        _ => {
            let order = partial_order(left, right)?;
            (0..left.len()).map(|row| order(row, row).map(holds)).collect()
        }
    };
    Ok(Arc::new(compared))
}

type PartialOrder = Box<dyn Fn(usize, usize) -> Option<Option<Ordering>> + Send + Sync>;

/// Returns the order of two values, which NaN has with none; `None` if a NULL decides it.
fn partial_order(left: &ArrayRef, right: &ArrayRef) -> Result<PartialOrder> {
    let (left, right) = (Arc::clone(left), Arc::clone(right));
    macro_rules! floats {
        ($ty:ty) => {{
            let (left, right) = (left.as_primitive::<$ty>().clone(), right.as_primitive::<$ty>().clone());
            Box::new(move |i, j| {
                (left.is_valid(i) && right.is_valid(j)).then(|| left.value(i).partial_cmp(&right.value(j)))
            })
        }};
    }
    Ok(match left.data_type() {
        DataType::Float64 => floats!(Float64Type),
        DataType::Float32 => floats!(Float32Type),
        DataType::List(_) => {
            let (left, right) = (left.as_list::<i32>().clone(), right.as_list::<i32>().clone());
            let items = partial_order(left.values(), right.values())?;
            Box::new(move |i, j| {
                if left.is_null(i) || right.is_null(j) {
                    return None;
                }
                let (first, other) = (left.value_offsets()[i] as usize, right.value_offsets()[j] as usize);
                let lengths = (left.value_length(i), right.value_length(j));
                let common = lengths.0.min(lengths.1) as usize;
                let orders = (0..common).map(|item| items(first + item, other + item));
                let decisive = orders.into_iter().find(|order| *order != Some(Some(Ordering::Equal)));
                decisive.unwrap_or_else(|| Some(Some(lengths.0.cmp(&lengths.1))))
            })
        }
        DataType::Null => Box::new(|_, _| None),
        _ => {
            let order = make_comparator(&left, &right, SortOptions::default())?;
            Box::new(move |i, j| (left.is_valid(i) && right.is_valid(j)).then(|| Some(order(i, j))))
        }
    })
}

/// Returns whether an array has a NULL in a row, at any depth.
pub(super) fn has_null(array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        _ if array.is_null(row) => true,
        DataType::Null => true,
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).any(|item| has_null(&items, item))
        }
        _ => false,
    }
}

type IsEqual = Box<dyn Fn(usize, usize) -> Option<bool> + Send + Sync>;

/// Equality of the values of two arrays of one type, in three values: `None` is unknown.
pub(super) struct Equality {
    test: IsEqual,
}

impl Equality {
    pub(super) fn new(left: &ArrayRef, right: &ArrayRef) -> Result<Self> {
        Ok(Self { test: equality(left, right)? })
    }

    pub(super) fn test(&self, left: usize, right: usize) -> Option<bool> {
        (self.test)(left, right)
    }
}

fn equality(left: &ArrayRef, right: &ArrayRef) -> Result<IsEqual> {
    let (left, right) = (Arc::clone(left), Arc::clone(right));
    macro_rules! floats {
        ($ty:ty) => {{
            let (left, right) = (left.as_primitive::<$ty>().clone(), right.as_primitive::<$ty>().clone());
            Box::new(move |i, j| (left.is_valid(i) && right.is_valid(j)).then(|| left.value(i) == right.value(j)))
        }};
    }
    Ok(match left.data_type() {
        DataType::Float64 => floats!(Float64Type),
        DataType::Float32 => floats!(Float32Type),
        DataType::Null => Box::new(|_, _| None),
        DataType::List(_) => {
            let (left, right) = (left.as_list::<i32>().clone(), right.as_list::<i32>().clone());
            let items = equality(left.values(), right.values())?;
            Box::new(move |i, j| {
                if left.is_null(i) || right.is_null(j) {
                    return None;
                }
                if left.value_length(i) != right.value_length(j) {
                    return Some(false);
                }
                let (first, other) = (left.value_offsets()[i] as usize, right.value_offsets()[j] as usize);
                all((0..left.value_length(i) as usize).map(|item| items(first + item, other + item)))
            })
        }
        DataType::Struct(_) => {
            let (left, right) = (left.as_struct().clone(), right.as_struct().clone());
            let fields = left.columns().iter().zip(right.columns());
            let fields = fields.map(|(left, right)| equality(left, right)).collect::<Result<Vec<_>>>()?;
            Box::new(move |i, j| {
                if left.is_null(i) || right.is_null(j) {
                    return None;
                }
                all(fields.iter().map(|field| field(i, j)))
            })
        }
        _ => {
            let order = make_comparator(&left, &right, SortOptions::default())?;
            Box::new(move |i, j| (left.is_valid(i) && right.is_valid(j)).then(|| order(i, j) == Ordering::Equal))
        }
    })
}

/// AND of three values.
fn all(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut is_known = true;
    for value in values {
        match value {
            Some(false) => return Some(false),
            Some(true) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(true)
}

type Order = Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>;

/// Returns the order of values that are not NULL. NaN is `nan` than any number: less for a maximum and greater for a
/// minimum, which ignore it.
pub(super) fn order(left: &ArrayRef, right: &ArrayRef, nan: Ordering) -> Result<Order> {
    macro_rules! floats {
        ($ty:ty) => {{
            let (left, right) = (left.as_primitive::<$ty>().clone(), right.as_primitive::<$ty>().clone());
            Box::new(move |i, j| {
                let (left, right) = (left.value(i), right.value(j));
                left.partial_cmp(&right).unwrap_or_else(|| match (left.is_nan(), right.is_nan()) {
                    (true, false) => nan,
                    (false, true) => nan.reverse(),
                    _ => Ordering::Equal,
                })
            })
        }};
    }
    Ok(match left.data_type() {
        DataType::Float64 => floats!(Float64Type),
        DataType::Float32 => floats!(Float32Type),
        DataType::List(_) => {
            let (left, right) = (left.as_list::<i32>().clone(), right.as_list::<i32>().clone());
            let items = order(left.values(), right.values(), nan)?;
            Box::new(move |i, j| {
                let (first, other) = (left.value_offsets()[i] as usize, right.value_offsets()[j] as usize);
                let lengths = (left.value_length(i), right.value_length(j));
                let common = lengths.0.min(lengths.1) as usize;
                let different = (0..common).map(|item| items(first + item, other + item)).find(|order| order.is_ne());
                different.unwrap_or_else(|| lengths.0.cmp(&lengths.1))
            })
        }
        _ => make_comparator(left, right, SortOptions::default())?,
    })
}
