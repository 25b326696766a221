//! Athena's functions by name, and what DataFusion calls them. A function that is not in these lists does not exist,
//! even if DataFusion has one of that name.

/// The translation of a call to DataFusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FunctionMapping {
    /// A function of DataFusion or of this crate.
    Function(&'static str),
    /// The same, with its result cast to bigint: DataFusion counts in unsigned integers, Athena in bigint.
    Bigint(&'static str),
    /// A template: an expression with the placeholders `$1`, `$2`, ... for the arguments.
    Macro(&'static str),
    /// An aggregate (first text) over a template (second text).
    Over(&'static str, &'static str),
    /// `max_by`, `min_by`: the first value ordered by another.
    FirstBy { descending: bool },
    /// `approx_percentile`
    Percentile,
}

use FunctionMapping::{Bigint, FirstBy, Function, Macro, Over, Percentile};

/// Returns the translation of a call by its name in lower case and its number of arguments; `None` for an unknown
/// function.
pub(crate) fn mapping(name: &str, arguments: usize) -> Option<FunctionMapping> {
    UNCHANGED.iter().find(|same| **same == name).map(|same| Function(same)).or_else(|| other(name, arguments))
}

fn other(name: &str, arguments: usize) -> Option<FunctionMapping> {
    let rows = MAPPED.iter().filter(|(other, ..)| *other == name);
    let fits = |takes: &Option<usize>| takes.is_none_or(|takes| takes == arguments);
    rows.clone().find(|(_, takes, _)| fits(takes)).or_else(|| rows.clone().next()).map(|(_, _, mapping)| *mapping)
}

/// Returns Athena's name for a function of DataFusion.
pub(crate) fn athena_name(name: &str) -> &str {
    let renamed = MAPPED.iter().find(|(_, _, mapping)| matches!(mapping, Function(new) | Bigint(new) if *new == name));
    match renamed {
        Some((known, ..)) if !UNCHANGED.contains(&name) => known,
        _ => name,
    }
}

/// The functions that have the same name on Athena and here.
const UNCHANGED: &[&str] = &[
    // Numbers.
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "degrees",
    "exp",
    "floor",
    "ln",
    "log",
    "log10",
    "log2",
    "pi",
    "power",
    "radians",
    "round",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    // Text.
    "chr",
    "codepoint",
    "concat",
    "concat_ws",
    "length",
    "levenshtein_distance",
    "lower",
    "lpad",
    "ltrim",
    "replace",
    "reverse",
    "rpad",
    "rtrim",
    "split",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "translate",
    "trim",
    "upper",
    "regexp_count",
    "regexp_extract",
    "regexp_extract_all",
    "regexp_like",
    "regexp_replace",
    "regexp_split",
    "json_array_length",
    "json_extract",
    "json_extract_scalar",
    "json_format",
    "json_parse",
    // Dates.
    "current_date",
    "date_add",
    "date_diff",
    "date_format",
    "date_parse",
    "date_trunc",
    "day",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "dow",
    "doy",
    "format_datetime",
    "from_iso8601_date",
    "from_iso8601_timestamp",
    "from_unixtime",
    "hour",
    "last_day_of_month",
    "millisecond",
    "minute",
    "month",
    "parse_datetime",
    "quarter",
    "second",
    "to_iso8601",
    "to_unixtime",
    "week",
    "week_of_year",
    "year",
    "year_of_week",
    "yow",
    // Anything.
    "coalesce",
    "greatest",
    "least",
    "nullif",
    "try",
    "typeof",
    // Arrays.
    "array_distinct",
    "array_except",
    "array_intersect",
    "array_max",
    "array_min",
    "array_union",
    "flatten",
    "sequence",
    // Aggregates.
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "max",
    "min",
    "regr_intercept",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "var_pop",
    "var_samp",
    // Windows.
    "cume_dist",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "percent_rank",
];

/// The functions that are translated, with their number of arguments if that selects the overload.
const MAPPED: &[(&str, Option<usize>, FunctionMapping)] = &[
    // Numbers.
    ("ceiling", None, Function("ceil")),
    ("pow", None, Function("power")),
    ("rand", None, Function("random")),
    ("random", None, Function("random")),
    ("sign", None, Function("signum")),
    ("truncate", None, Function("trunc")),
    ("is_nan", None, Function("isnan")),
    ("mod", Some(2), Macro("($1) % ($2)")),
    ("e", Some(0), Macro("CAST('2.718281828459045' AS double)")),
    ("infinity", Some(0), Macro("CAST('Infinity' AS double)")),
    ("nan", Some(0), Macro("CAST('NaN' AS double)")),
    ("is_infinite", Some(1), Macro("abs($1) = CAST('Infinity' AS double)")),
    ("is_finite", Some(1), Macro("NOT isnan($1) AND abs($1) <> CAST('Infinity' AS double)")),
    // Text.
    ("substring", None, Function("substr")),
    // Dates.
    ("date", Some(1), Macro("CAST($1 AS date)")),
    ("now", Some(0), Macro("CAST(now() AS timestamp with time zone)")),
    ("current_timestamp", Some(0), Macro("CAST(now() AS timestamp with time zone)")),
    ("localtimestamp", Some(0), Macro("CAST(CAST(now() AS timestamp with time zone) AS timestamp)")),
    // Anything.
    ("if", Some(3), Macro("CASE WHEN $1 THEN $2 ELSE $3 END")),
    ("if", Some(2), Macro("CASE WHEN $1 THEN $2 END")),
    // Arrays.
    ("cardinality", Some(1), Macro("CAST(array_length($1) AS bigint)")),
    ("contains", Some(2), Function("array_has")),
    ("element_at", Some(2), Function("array_element")),
    ("array_join", None, Function("array_to_string")),
    ("array_position", Some(2), Macro("CAST(coalesce(array_position($1, $2), 0) AS bigint)")),
    ("array_remove", Some(2), Function("array_remove_all")),
    ("array_sort", Some(1), Macro("array_sort($1, 'ASC', 'NULLS LAST')")),
    ("slice", Some(3), Macro("array_slice($1, $2, $2 + $3 - 1)")),
    ("transform", Some(2), Function("array_transform")),
    ("filter", Some(2), Function("array_filter")),
    ("any_match", Some(2), Function("array_any_match")),
    // Aggregates.
    ("any_value", Some(1), Function("any_value")),
    ("arbitrary", Some(1), Function("any_value")),
    ("every", Some(1), Function("bool_and")),
    ("variance", Some(1), Function("var_samp")),
    ("listagg", None, Function("string_agg")),
    ("approx_distinct", Some(1), Bigint("approx_distinct")),
    ("count_if", Some(1), Over("count", "CASE WHEN $1 THEN 1 END")),
    ("geometric_mean", Some(1), Macro("exp(avg(ln($1)))")),
    ("max_by", Some(2), FirstBy { descending: true }),
    ("min_by", Some(2), FirstBy { descending: false }),
    ("approx_percentile", None, Percentile),
    // Windows.
    ("dense_rank", Some(0), Bigint("dense_rank")),
    ("ntile", Some(1), Bigint("ntile")),
    ("rank", Some(0), Bigint("rank")),
    ("row_number", Some(0), Bigint("row_number")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overloads_go_by_the_number_of_arguments() {
        assert_eq!(mapping("if", 2), Some(Macro("CASE WHEN $1 THEN $2 END")));
        assert_eq!(mapping("year", 1), Some(Function("year")));
        assert_eq!(mapping("row_number", 0), Some(Bigint("row_number")));
        assert_eq!(mapping("array_to_string", 2), None);
        assert_eq!(mapping("to_char", 2), None);
    }

    #[test]
    fn errors_use_the_names_that_users_wrote() {
        assert_eq!(athena_name("trunc"), "truncate");
        assert_eq!(athena_name("array_has"), "contains");
        assert_eq!(athena_name("power"), "power");
        assert_eq!(athena_name("sum"), "sum");
    }

    #[test]
    fn no_name_stands_twice() {
        for (name, ..) in MAPPED {
            assert!(!UNCHANGED.contains(name), "{name}");
        }
    }
}
