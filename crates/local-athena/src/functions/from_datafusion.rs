//! The functions that DataFusion computes as Athena does. Only these are registered, so that only these are in the program.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::functions::{core, datetime, math, string, unicode};
use datafusion::functions_aggregate::{
    any_value, approx_distinct, array_agg, average, bool_and_or, correlation, count, covariance, first_last, grouping,
    min_max, nth_value as nth_aggregate, regr, stddev, string_agg, sum, variance,
};
use datafusion::functions_nested::{
    array_any_match, array_filter, array_transform, except, flatten, length, make_array, set_ops, sort,
};
use datafusion::functions_window::{cume_dist, lead_lag, nth_value, ntile, rank, row_number};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

pub(super) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        // Numbers.
        math::acos(),
        math::asin(),
        math::atan(),
        math::atan2(),
        math::cbrt(),
        math::cos(),
        math::cosh(),
        math::degrees(),
        math::exp(),
        math::isnan(),
        math::ln(),
        math::log(),
        math::log10(),
        math::log2(),
        math::pi(),
        math::radians(),
        math::random(),
        math::sin(),
        math::sinh(),
        math::tan(),
        math::tanh(),
        // Text.
        string::btrim(),
        string::concat_ws(),
        string::lower(),
        string::ltrim(),
        string::rtrim(),
        string::starts_with(),
        string::upper(),
        unicode::reverse(),
        unicode::translate(),
        // Dates.
        datetime::current_date(),
        datetime::now(&ConfigOptions::default()),
        // Anything.
        core::coalesce(),
        core::nullif(),
        // Arrays.
        except::array_except_udf(),
        flatten::flatten_udf(),
        length::array_length_udf(),
        make_array::make_array_udf(),
        set_ops::array_distinct_udf(),
        set_ops::array_intersect_udf(),
        set_ops::array_union_udf(),
        sort::array_sort_udf(),
    ]
}

pub(super) fn functions_with_lambdas() -> Vec<Arc<HigherOrderUDF>> {
    vec![
        array_any_match::array_any_match_higher_order_function(),
        array_filter::array_filter_higher_order_function(),
        array_transform::array_transform_higher_order_function(),
    ]
}

/// Returns the aggregates that are used as they are.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        count::count_udaf(),
        first_last::first_value_udaf(),
        first_last::last_value_udaf(),
        grouping::grouping_udaf(),
        nth_aggregate::nth_value_udaf(),
    ]
}

/// Returns the aggregates to which this crate gives other accumulators, at least for frames that move.
pub(super) fn changed_aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        any_value::any_value_udaf(),
        approx_distinct::approx_distinct_udaf(),
        array_agg::array_agg_udaf(),
        average::avg_udaf(),
        bool_and_or::bool_and_udaf(),
        bool_and_or::bool_or_udaf(),
        correlation::corr_udaf(),
        covariance::covar_pop_udaf(),
        covariance::covar_samp_udaf(),
        min_max::max_udaf(),
        min_max::min_udaf(),
        regr::regr_intercept_udaf(),
        regr::regr_slope_udaf(),
        stddev::stddev_pop_udaf(),
        stddev::stddev_udaf(),
        string_agg::string_agg_udaf(),
        sum::sum_udaf(),
        variance::var_pop_udaf(),
        variance::var_samp_udaf(),
    ]
}

/// Returns the functions of windows.
pub(crate) fn windows() -> Vec<Arc<WindowUDF>> {
    vec![
        cume_dist::cume_dist_udwf(),
        lead_lag::lag_udwf(),
        lead_lag::lead_udwf(),
        nth_value::first_value_udwf(),
        nth_value::last_value_udwf(),
        nth_value::nth_value_udwf(),
        ntile::ntile_udwf(),
        rank::dense_rank_udwf(),
        rank::percent_rank_udwf(),
        rank::rank_udwf(),
        row_number::row_number_udwf(),
    ]
}
