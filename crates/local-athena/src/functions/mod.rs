//! Athena's functions: the list of their [`names`], and implementations of those that DataFusion lacks or computes
//! differently.

mod adapters;
mod aggregates;
mod arithmetic;
mod arrays;
mod bytes;
mod casts;
mod column_function;
pub(crate) mod comparison;
mod date_formats;
mod dates;
mod folds;
mod format;
mod from_datafusion;
mod json;
mod lambdas;
mod moving_frames;
pub(crate) mod names;
mod numbers;
mod operator_chain;
mod percentile;
mod regular_expressions;
mod rounding;
mod row_function;
mod sequences;
mod special_forms;
mod strings;
mod urls;
pub(crate) mod zones;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF};

use crate::error::QueryError;

pub(crate) use adapters::{DISTINCT_KEY, FROM_LARGE_TEXT, NAMED, ORDER_KEY, with_normalized_floats, with_one_nan};
pub(crate) use arrays::SUBSCRIPT;
pub(crate) use casts::{cast_call, in_milliseconds, varchar_call};
pub(crate) use from_datafusion::windows;
pub(crate) use json::{literal as json_literal, write_value as write_json};
pub(crate) use operator_chain::{is_operation, operation, type_of};
pub(crate) use special_forms::{AT_TIMEZONE, CAST_VARCHAR, TRY, TRY_CAST_VARCHAR, TYPEOF, WITH_TIMEZONE};

/// Returns the scalar functions: DataFusion's and those of this crate.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    let by_row = [
        dates::functions(),
        date_formats::functions(),
        strings::functions(),
        regular_expressions::functions(),
        json::functions(),
        numbers::functions(),
        bytes::functions(),
        urls::functions(),
    ];
    let by_column = [
        adapters::functions(),
        rounding::functions(),
        arrays::functions(),
        comparison::functions(),
        casts::functions(),
        vec![format::function()],
    ];
    let by_row = by_row.into_iter().flatten().map(|f| f.into_udf());
    let ours = by_row
        .chain([sequences::function()])
        .chain(by_column.into_iter().flatten().map(|f| f.into_udf()))
        .chain(special_forms::functions());
    from_datafusion::scalar_functions().into_iter().chain(ours.map(Arc::new)).collect()
}

/// Returns the functions with lambda expressions.
pub(crate) fn with_lambdas() -> Vec<Arc<HigherOrderUDF>> {
    let mut all = from_datafusion::functions_with_lambdas();
    all.extend(lambdas::functions());
    all
}

/// Returns the aggregates.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    aggregates::functions()
}

/// Returns a variant of a function that returns NULL instead of failing, for use inside `try(...)`; `None` for a
/// function of DataFusion's, which has no such variant.
pub(crate) fn null_on_error(function: &ScalarUDF) -> Option<ScalarUDF> {
    let ours = [row_function::null_on_error, operator_chain::null_on_error, column_function::null_on_error];
    ours.iter().find_map(|null_on_error| null_on_error(function))
}

/// Refuses arguments of types that a function of this crate does not take. Accepts everything for a function of DataFusion's.
pub(crate) fn check_arguments(udf: &ScalarUDF, given: &[DataType]) -> Result<(), QueryError> {
    row_function::check_arguments(udf, given)?;
    column_function::check_arguments(udf, given)
}

/// Returns whether a function is one of this crate, which casts its arguments itself.
pub(crate) fn is_ours(udf: &ScalarUDF) -> bool {
    column_function::is_ours(udf)
}

/// Returns the function of the positions of the elements of some arrays, from 1 to the largest length.
pub(crate) fn ordinals() -> ScalarUDF {
    arrays::ordinals_function().into_udf()
}

/// Returns the function that gives an array without elements a NULL.
pub(crate) fn padded() -> ScalarUDF {
    arrays::padded_function().into_udf()
}

/// Returns the function of `array[index]`.
pub(crate) fn subscript() -> ScalarUDF {
    arrays::subscript_function().into_udf()
}
