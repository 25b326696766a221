//! Athena's functions: which there are ([`names`]), and those that DataFusion has not or does otherwise.

mod arithmetic;
mod casts;
mod date_formats;
mod dates;
mod extremes;
mod json;
mod markers;
pub(crate) mod names;
mod numbers;
mod percentile;
mod regular_expressions;
mod row_function;
mod sequences;
mod strings;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) use arithmetic::arithmetic;
pub(crate) use casts::cast_function;
pub(crate) use markers::{TRY, TYPEOF};
pub(crate) use row_function::check_arguments;

/// The functions to register beside DataFusion's own; they take precedence over those of the same name.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    let by_row = [
        dates::functions(),
        date_formats::functions(),
        strings::functions(),
        regular_expressions::functions(),
        json::functions(),
        numbers::functions(),
    ];
    let by_row = by_row.into_iter().flatten().map(|f| f.into_udf());
    by_row
        .chain(extremes::functions())
        .chain([sequences::function()])
        .chain(markers::functions())
        .map(Arc::new)
        .collect()
}

/// The aggregates to register beside DataFusion's own.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(percentile::function())]
}

/// The same function, giving NULL where it would fail: what `try(...)` makes of the functions in it.
/// `None` for a function that has no such form.
pub(crate) fn null_on_error(function: &ScalarUDF) -> Option<ScalarUDF> {
    row_function::null_on_error(function).or_else(|| arithmetic::arithmetic_or_null(function))
}
