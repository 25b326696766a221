//! SQL constructs that can be nested in themselves to any depth.

/// A construct: the text before the inner construct, the innermost text, and the text after.
pub(crate) struct Construct {
    pub name: &'static str,
    before: &'static str,
    inner: &'static str,
    behind: &'static str,
    /// The rest of the statement.
    from: &'static str,
}

impl Construct {
    /// Returns a statement in which the construct is nested so many times.
    pub(crate) fn statement(&self, depth: usize) -> String {
        let Construct { before, inner, behind, from, .. } = self;
        format!("SELECT {}{inner}{} {from}", before.repeat(depth), behind.repeat(depth))
    }
}

const fn plain(name: &'static str, before: &'static str, inner: &'static str, behind: &'static str) -> Construct {
    Construct { name, before, inner, behind, from: "" }
}

/// Expressions over columns, so that the optimizer cannot evaluate them while it plans.
const fn rows(name: &'static str, before: &'static str, inner: &'static str, behind: &'static str) -> Construct {
    const FROM: &str = "FROM (VALUES (1, true, 'a', ARRAY[1], 1.5e0, DATE '2020-04-01'), (2, false, 'b', ARRAY[2], 2.5e0, \
                        DATE '2020-04-02')) AS t(n, b, s, a, d, day)";
    Construct { name, before, inner, behind, from: FROM }
}

pub(crate) const CONSTRUCTS: &[Construct] = &[
    plain("parentheses", "(", "1", ")"),
    plain("open parentheses", "(", "1", ""),
    plain("tuples", "(1, ", "1", ")"),
    plain("arrays", "ARRAY[", "1", "]"),
    plain("open arrays", "ARRAY[", "1", ""),
    plain("brackets", "[", "1", "]"),
    plain("subscripts", "ARRAY[1][", "1", "]"),
    plain("braces", "{fn abs(", "1", ")}"),
    plain("maps", "{a: ", "1", "}"),
    plain("rows", "ROW(", "1", ")"),
    plain("abs", "abs(", "1", ")"),
    plain("not", "NOT ", "true", ""),
    plain("compared not", "1 = NOT ", "true", ""),
    plain("minus", "- ", "1", ""),
    plain("plus", "+ ", "1", ""),
    plain("not minus", "NOT - ", "1", ""),
    plain("tilde", "~ ", "1", ""),
    plain("case", "CASE WHEN true THEN ", "1", " END"),
    plain("case when", "CASE WHEN ", "true", " THEN true END"),
    plain("case else", "CASE WHEN true THEN 1 ELSE ", "1", " END"),
    plain("case of", "CASE ", "1", " WHEN 1 THEN 1 END"),
    plain("open case", "CASE WHEN ", "1", ""),
    plain("cast", "CAST(", "1", " AS bigint)"),
    plain("cast without end", "CAST(", "1", ""),
    plain("cast to nothing", "CAST(", "1", " AS )"),
    plain("try_cast", "TRY_CAST(", "1", " AS bigint)"),
    plain("types", "CAST(NULL AS ", "1", ")"),
    plain("array types", "CAST(NULL AS ARRAY<", "int", ">)"),
    plain("array types in parentheses", "ARRAY(", "int", ")"),
    plain("struct types", "CAST(NULL AS STRUCT<a ", "int", ">)"),
    plain("interval", "INTERVAL ", "1", ""),
    plain("interval of", "INTERVAL (", "1", ") day"),
    plain("interval with unit", "INTERVAL ", "'1'", " day"),
    plain("extract", "EXTRACT(year FROM ", "1", ")"),
    plain("substring", "SUBSTRING('a' FROM ", "1", ")"),
    plain("position", "POSITION('a' IN ", "'a'", ")"),
    plain("trim", "TRIM('a' FROM ", "'a'", ")"),
    plain("overlay", "OVERLAY('a' PLACING 'b' FROM ", "1", ")"),
    plain("convert", "CONVERT(", "1", ", int)"),
    plain("ceil", "CEIL(", "1", ")"),
    plain("lambda", "transform(ARRAY[1], x -> ", "1", ")"),
    plain("lambda of two", "transform(ARRAY[1], (x, y) -> ", "1", ")"),
    plain("filter", "filter(ARRAY[1], x -> cardinality(", "ARRAY[1]", ") > 0)"),
    plain("any_match", "any_match(ARRAY[1], x -> ", "true", ")"),
    plain("arrows", "x -> ", "1", ""),
    plain("in list", "1 IN (", "1", ")"),
    plain("in arrays", "ARRAY[1] IN (ARRAY[", "1", "])"),
    plain("subquery", "(SELECT ", "1", ")"),
    plain("subquery twice", "(SELECT 1 + ", "1", ")"),
    plain("correlated", "(SELECT x + ", "1", " FROM (VALUES 1) AS t(x))"),
    plain("exists", "EXISTS (SELECT 1 WHERE ", "true", ")"),
    plain("in subquery", "1 IN (SELECT 1 WHERE ", "true", ")"),
    plain("in subquery of relations", "1 IN (SELECT x FROM (VALUES 1) AS t(x) WHERE ", "true", ")"),
    plain("with", "(WITH a AS (SELECT 1 AS x) SELECT ", "1", " FROM a)"),
    plain("unions", "(SELECT 1 UNION SELECT ", "1", ")"),
    plain("dots", "a.(", "1", ")"),
    plain("date", "DATE ", "'2020-04-01'", ""),
    plain("distinct", "count(DISTINCT ", "1", ")"),
    plain("aggregate filter", "count(*) FILTER (WHERE ", "true", ")"),
    plain("over", "sum(", "1", ") OVER ()"),
    plain("over order", "sum(1) OVER (ORDER BY ", "1", ")"),
    plain("exclude", "EXCLUDE(", "1", ")"),
    plain("json", "json_extract('{}', ", "'$'", ")"),
    plain("named arguments", "f(a => ", "1", ")"),
    rows("coalesce first", "coalesce(", "n", ", n)"),
    rows("coalesce last", "coalesce(n, ", "n", ")"),
    rows("coalesce middle", "coalesce(n + 1, ", "n", ", n)"),
    rows("nullif", "nullif(", "n", ", 3)"),
    rows("if", "if(b, ", "n", ", 2)"),
    rows("if condition", "if(", "b", ", b, false)"),
    rows("if three", "if(", "b", ", b)"),
    rows("between", "(", "b", " BETWEEN false AND b)"),
    rows("between upper", "(b BETWEEN false AND ", "b", ")"),
    rows("distinct from", "(", "b", " IS DISTINCT FROM b)"),
    rows("is null", "(", "n", " IS NULL)"),
    rows("equal", "(", "b", " = b)"),
    rows("and or", "(b OR b AND ", "b", ")"),
    rows("like", "CAST(", "s", " LIKE 'a%' AS varchar)"),
    rows("like and cast", "CAST((", "s", " LIKE s) AS varchar)"),
    rows("equal and cast", "CAST((", "s", " = 'a') AS varchar)"),
    rows("casts", "CAST(CAST(", "n", " AS varchar) AS bigint)"),
    rows("true", "(", "b", " IS TRUE)"),
    rows("or and", "((", "b", " OR n = 1) AND b)"),
    rows("not and", "NOT (", "b", " AND n = 1)"),
    rows("case of truth values", "CASE WHEN n = 1 THEN b ELSE ", "b", " END"),
    rows("case of values", "CASE ", "n", " WHEN 1 THEN 2 ELSE 3 END"),
    rows("try of a division", "try(1 / ", "n", ")"),
    rows("in columns", "(", "b", " IN (b, true))"),
    rows("slice", "slice(", "a", ", 1, 1)"),
    rows("slice start", "cardinality(slice(a, ", "1", ", 1))"),
    rows("array_position", "array_position(a, ", "n", ")"),
    rows("is_finite", "if(is_finite(", "d", "), 1e0)"),
    rows("greatest", "greatest(n, ", "n", ")"),
    rows("mod", "mod(", "n", ", 2)"),
    rows("arithmetic", "(n + ", "n", " * n)"),
    rows("concat", "concat(s, ", "s", ")"),
    rows("concatenation", "(s || ", "s", ")"),
    rows("replace", "replace(", "s", ", 'a', 'b')"),
    rows("round", "round(", "d", ", 1)"),
    rows("try", "try(", "n", ")"),
    rows("date_add", "date_add('day', 1, ", "day", ")"),
    rows("date_trunc", "date_trunc('day', ", "day", ")"),
    rows("at time zone", "(", "now()", " AT TIME ZONE 'UTC')"),
    rows("element_at", "element_at(a, ", "n", ")"),
    rows("array_union", "array_union(", "a", ", a)"),
    rows("flatten", "flatten(ARRAY[", "a", "])"),
    rows("max", "max(", "n", ")"),
    rows("max_by", "max_by(n, ", "n", ")"),
    rows("percentiles", "approx_percentile(n, ARRAY[", "0.5", "])"),
    rows("over partitions", "sum(n) OVER (PARTITION BY ", "n", ")"),
];

/// Relations that nest in FROM; the first `{}` of a level is the level within it.
pub(crate) const RELATIONS: &[(&str, &str)] = &[
    ("derived", "(SELECT * FROM {})"),
    ("named", "(SELECT x FROM {} AS a)"),
    ("parentheses", "({})"),
    ("joins in parentheses", "({} CROSS JOIN (VALUES 1) AS b(y))"),
    ("derived in joins", "((SELECT * FROM {}) AS a CROSS JOIN (VALUES 1) AS b(y))"),
    ("derived without names", "((SELECT * FROM {}) CROSS JOIN t)"),
    ("open", "((SELECT * FROM {}"),
    ("open joins", "((SELECT * FROM {} JOIN"),
    ("unions", "(SELECT x FROM {} UNION ALL SELECT 1)"),
    ("with", "(WITH a AS (SELECT x FROM {}) SELECT x FROM a)"),
    ("with twice", "(WITH a AS (SELECT x FROM {}) SELECT a.x FROM a CROSS JOIN a AS b)"),
    ("conditions", "(SELECT x FROM {} WHERE x = 1)"),
    ("groups", "(SELECT x, count(*) AS n FROM {} GROUP BY x)"),
    ("distinct", "(SELECT DISTINCT x FROM {})"),
    ("ordered", "(SELECT x FROM {} ORDER BY x LIMIT 1)"),
    ("windows", "(SELECT x, row_number() OVER (ORDER BY x) AS r FROM {})"),
    ("lateral", "LATERAL (SELECT x FROM {})"),
    ("unnest", "UNNEST(ARRAY(SELECT x FROM {}))"),
];

/// Returns a SELECT from a relation that is nested so many times.
pub(crate) fn select_from(relation: &str, depth: usize) -> String {
    let inner = (0..depth).fold("(VALUES 1) AS t(x)".to_owned(), |inner, _| relation.replacen("{}", &inner, 1));
    format!("SELECT * FROM {inner}")
}

/// Returns WITH queries, each of which names the previous one twice.
pub(crate) fn doubling(levels: usize) -> String {
    let query = |level: usize| format!(", a{level} AS (SELECT a.x FROM a{0} a CROSS JOIN a{0} b)", level - 1);
    let queries: String = (1..=levels).map(query).collect();
    format!("WITH a0 AS (SELECT 1 x){queries} SELECT count(*) AS x FROM a{levels}")
}
