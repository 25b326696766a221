//! Athena's functions: the list of their [`names`], and implementations of those that DataFusion lacks or computes
//! differently.

mod aggregates;
mod arithmetic;
mod casts;
mod checked_sum;
mod date_formats;
mod dates;
mod greatest_least;
mod json;
mod moving_frames;
pub(crate) mod names;
mod numbers;
mod operator_chain;
mod percentile;
mod regular_expressions;
mod row_function;
mod sequences;
mod special_forms;
mod strings;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) use casts::cast_function;
pub(crate) use operator_chain::{is_operation, operation, type_of};
pub(crate) use row_function::check_arguments;
pub(crate) use special_forms::{TRY, TYPEOF};

/// Returns the functions to register in addition to DataFusion's. They override those of the same name.
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
        .chain(greatest_least::functions())
        .chain([sequences::function()])
        .chain(special_forms::functions())
        .map(Arc::new)
        .collect()
}

/// Returns the aggregates to register in addition to DataFusion's.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut all = aggregates::functions();
    all.push(Arc::new(percentile::function()));
    all
}

/// Returns a variant of a function that returns NULL instead of failing, for use inside `try(...)`; `None` for a
/// function of DataFusion's, which has no such variant.
pub(crate) fn null_on_error(function: &ScalarUDF) -> Option<ScalarUDF> {
    row_function::null_on_error(function).or_else(|| operator_chain::null_on_error(function))
}
