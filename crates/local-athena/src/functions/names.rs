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
    /// Whether an element of an array matches a lambda expression: `any_match`. `inner` negates the expression, and `negated` the
    /// result.
    Match { negated: bool, inner: bool },
    /// `approx_distinct(x [, error])`
    Distinct,
    /// `approx_percentile`
    Percentile,
    /// `listagg(x [, separator]) WITHIN GROUP (ORDER BY y)`
    Listagg,
}

use FunctionMapping::{Bigint, Distinct, FirstBy, Function, Listagg, Macro, Match, Over, Percentile};

/// What is known of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Mapped(FunctionMapping),
    /// Athena has the function, with another number of arguments.
    Arguments,
    /// Athena has the function, and this engine has not.
    Absent,
    /// Nobody has it.
    Unknown,
}

/// Returns what is known of a call, by its name in lower case and its number of arguments.
pub(crate) fn mapping(name: &str, arguments: usize) -> Call {
    if let Some(same) = unchanged().find(|same| **same == name) {
        return Call::Mapped(Function(same));
    }
    let mut forms = MAPPED.iter().filter(|(other, ..)| *other == name).peekable();
    let is_known = forms.peek().is_some();
    match forms.find(|(_, takes, _)| takes.is_none_or(|takes| takes == arguments)) {
        Some((_, _, mapping)) => Call::Mapped(*mapping),
        None if is_known => Call::Arguments,
        None if ABSENT.contains(&name) => Call::Absent,
        None => Call::Unknown,
    }
}

/// Returns Athena's name for a function of DataFusion.
pub(crate) fn athena_name(name: &str) -> &str {
    let renamed = MAPPED.iter().find(|(_, _, mapping)| matches!(mapping, Function(new) | Bigint(new) if *new == name));
    match renamed {
        Some((known, ..)) if !unchanged().any(|same| *same == name) => known,
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
    "is_json_scalar",
    "json_array_get",
    "json_array_length",
    "json_extract",
    "json_extract_scalar",
    "json_format",
    "json_parse",
    "json_size",
    // Bytes, bits, URLs.
    "bit_count",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_right_shift_arithmetic",
    "bitwise_xor",
    "crc32",
    "format",
    "from_base",
    "from_base64",
    "from_base64url",
    "from_big_endian_64",
    "from_hex",
    "from_utf8",
    "hamming_distance",
    "md5",
    "normal_cdf",
    "sha1",
    "sha256",
    "sha512",
    "soundex",
    "to_base",
    "to_base64",
    "to_base64url",
    "to_big_endian_64",
    "to_hex",
    "to_utf8",
    "url_decode",
    "url_encode",
    "url_extract_fragment",
    "url_extract_host",
    "url_extract_parameter",
    "url_extract_path",
    "url_extract_port",
    "url_extract_protocol",
    "url_extract_query",
    "width_bucket",
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
    "array_join",
    "array_max",
    "array_min",
    "array_position",
    "array_remove",
    "array_union",
    "arrays_overlap",
    "contains",
    "element_at",
    "flatten",
    "repeat",
    "sequence",
    "slice",
    // Windows.
    "cume_dist",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "percent_rank",
];

/// The aggregates that have the same name on Athena and here.
const UNCHANGED_AGGREGATES: &[&str] = &[
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
];

/// The aggregates among the functions that are translated.
const MAPPED_AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_percentile",
    "arbitrary",
    "count_if",
    "every",
    "geometric_mean",
    "listagg",
    "max_by",
    "min_by",
    "variance",
];

/// Returns the names of all functions that are not translated.
fn unchanged() -> impl Iterator<Item = &'static &'static str> {
    UNCHANGED.iter().chain(UNCHANGED_AGGREGATES)
}

/// Returns whether a function is an aggregate, by its name in lower case.
pub(crate) fn is_aggregate(name: &str) -> bool {
    UNCHANGED_AGGREGATES.contains(&name) || MAPPED_AGGREGATES.contains(&name)
}

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
    ("log", Some(2), Function("log")),
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
    ("from_unixtime", Some(1), Function("from_unixtime")),
    ("from_unixtime", Some(2), Macro("at_timezone(from_unixtime($1), $2)")),
    ("current_timezone", Some(0), Macro("'UTC'")),
    ("at_timezone", Some(2), Function("at_timezone")),
    ("with_timezone", Some(2), Function("with_timezone")),
    ("now", Some(0), Macro("CAST(now() AS timestamp with time zone)")),
    ("current_timestamp", Some(0), Macro("CAST(now() AS timestamp with time zone)")),
    ("localtimestamp", Some(0), Macro("CAST(CAST(now() AS timestamp with time zone) AS timestamp)")),
    // Anything.
    ("if", Some(3), Macro("CASE WHEN $1 THEN $2 ELSE $3 END")),
    ("if", Some(2), Macro("CASE WHEN $1 THEN $2 END")),
    // Arrays.
    ("cardinality", Some(1), Macro("CAST(array_length($1) AS bigint)")),
    ("array_sort", Some(1), Macro("array_sort($1, 'ASC', 'NULLS LAST')")),
    ("array_sort", Some(2), Function("array_sort_by")),
    ("all_match", Some(2), Match { negated: true, inner: true }),
    ("any_match", Some(2), Match { negated: false, inner: false }),
    ("none_match", Some(2), Match { negated: true, inner: false }),
    ("reduce", Some(4), Function("reduce")),
    ("zip_with", Some(3), Function("zip_with")),
    ("transform", Some(2), Function("array_transform")),
    ("filter", Some(2), Function("array_filter")),
    // Aggregates.
    ("any_value", Some(1), Function("any_value")),
    ("arbitrary", Some(1), Function("any_value")),
    ("every", Some(1), Function("bool_and")),
    ("variance", Some(1), Function("var_samp")),
    ("listagg", Some(1), Listagg),
    ("listagg", Some(2), Listagg),
    ("approx_distinct", Some(1), Distinct),
    ("approx_distinct", Some(2), Distinct),
    ("count_if", Some(1), Over("count", "CASE WHEN $1 THEN 1 END")),
    ("grouping", Some(1), Bigint("grouping")),
    ("grouping", Some(2), Bigint("grouping")),
    ("grouping", Some(3), Bigint("grouping")),
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

/// The functions that Athena has and this engine has not. Those of geometry, of machine learning and of other types than this
/// engine has are left out.
const ABSENT: &[&str] = &[
    "approx_most_frequent",
    "beta_cdf",
    "bitwise_and_agg",
    "bitwise_or_agg",
    "checksum",
    "combinations",
    "cosine_similarity",
    "entropy",
    "format_number",
    "from_base32",
    "from_big_endian_32",
    "from_ieee754_32",
    "from_ieee754_64",
    "from_iso8601_timestamp_nanos",
    "from_unixtime_nanos",
    "histogram",
    "hmac_md5",
    "hmac_sha1",
    "hmac_sha256",
    "hmac_sha512",
    "inverse_beta_cdf",
    "inverse_normal_cdf",
    "json_array",
    "json_array_contains",
    "json_exists",
    "json_object",
    "json_query",
    "json_value",
    "kurtosis",
    "luhn_check",
    "map",
    "map_agg",
    "map_concat",
    "map_entries",
    "map_filter",
    "map_from_entries",
    "map_keys",
    "map_union",
    "map_values",
    "map_zip_with",
    "multimap_agg",
    "multimap_from_entries",
    "murmur3",
    "ngrams",
    "normalize",
    "numeric_histogram",
    "parse_data_size",
    "parse_duration",
    "reduce_agg",
    "regexp_position",
    "render",
    "rgb",
    "shuffle",
    "skewness",
    "spooky_hash_v2_32",
    "spooky_hash_v2_64",
    "split_to_map",
    "split_to_multimap",
    "timezone_hour",
    "timezone_minute",
    "to_base32",
    "to_big_endian_32",
    "to_ieee754_32",
    "to_ieee754_64",
    "to_milliseconds",
    "transform_keys",
    "transform_values",
    "trim_array",
    "uuid",
    "wilson_interval_lower",
    "wilson_interval_upper",
    "word_stem",
    "xxhash64",
    "zip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overloads_go_by_the_number_of_arguments() {
        assert_eq!(mapping("if", 2), Call::Mapped(Macro("CASE WHEN $1 THEN $2 END")));
        assert_eq!(mapping("year", 1), Call::Mapped(Function("year")));
        assert_eq!(mapping("row_number", 0), Call::Mapped(Bigint("row_number")));
        assert_eq!(mapping("now", 1), Call::Arguments);
        assert_eq!(mapping("array_to_string", 2), Call::Unknown);
        assert_eq!(mapping("map_agg", 2), Call::Absent);
    }

    #[test]
    fn errors_use_the_names_that_users_wrote() {
        assert_eq!(athena_name("trunc"), "truncate");
        assert_eq!(athena_name("signum"), "sign");
        assert_eq!(athena_name("power"), "power");
        assert_eq!(athena_name("sum"), "sum");
    }

    /// Returns the page of the functions.
    fn page() -> String {
        let mut there: Vec<&str> = unchanged().copied().chain(MAPPED.iter().map(|(name, ..)| *name)).collect();
        let mut absent = ABSENT.to_vec();
        let list = |names: &mut Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            let names: Vec<_> = names.iter().map(|name| format!("- `{name}`\n")).collect();
            names.concat()
        };
        format!(
            "# Functions of the embedded Athena\n\nFrom the lists by which statements are translated: see [the embedded endpoint](emulator.md).\n\n\
             ## There\n\n{}\n## Not there\n\nAthena has these. A call is refused, and says so.\n\n{}",
            list(&mut there),
            list(&mut absent)
        )
    }

    /// With `PREGAO_WRITE_DOCS=1`, writes the page instead.
    #[test]
    fn the_page_of_functions_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/athena-functions.md");
        if std::env::var_os("PREGAO_WRITE_DOCS").is_some_and(|value| value == "1") {
            std::fs::write(path, page()).expect("docs/ can be written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let command = "PREGAO_WRITE_DOCS=1 cargo test --release --workspace -p local-athena --lib";
        assert!(written == page(), "docs/athena-functions.md is not current. This writes it: {command}");
    }

    #[test]
    fn every_name_is_registered() {
        let mut registered: Vec<String> = Vec::new();
        registered.extend(crate::functions::all().iter().map(|function| function.name().to_owned()));
        registered.extend(crate::functions::with_lambdas().iter().map(|function| function.name().to_owned()));
        registered.extend(crate::functions::aggregates().iter().map(|function| function.name().to_owned()));
        registered.extend(crate::functions::windows().iter().map(|function| function.name().to_owned()));
        let mapped = MAPPED.iter().filter_map(|(_, _, mapping)| match mapping {
            Function(name) | Bigint(name) | Over(name, _) => Some(*name),
            _ => None,
        });
        for name in unchanged().copied().chain(mapped) {
            // DataFusion's names of these are aliases, or the rewriter gives them others.
            let name = match name {
                "stddev_samp" => "stddev",
                "var_samp" | "var_pop" | "trim" => continue,
                name => name,
            };
            assert!(registered.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        for name in MAPPED_AGGREGATES {
            assert!(MAPPED.iter().any(|(mapped, ..)| mapped == name), "{name}");
        }
        for (name, ..) in MAPPED {
            assert!(!unchanged().any(|same| same == name), "{name}");
            assert!(!ABSENT.contains(name), "{name}");
        }
        for name in unchanged() {
            assert!(!ABSENT.contains(name), "{name}");
        }
    }
}
