"""Queries as Hypothesis strategies: each in Athena's SQL and in DuckDB's.

Only what both define alike is generated. Where they spell or define something differently, DuckDB's text says what Trino's
documentation says (`MACROS`): the comparison of NaN, integer division, functions that return NULL for a NULL. The first of
several choices is the simplest one, to which Hypothesis shrinks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, NamedTuple, TypeVar

from hypothesis import strategies

from query_fuzz.tables import COLUMNS

T = TypeVar("T")

# Trino's semantics in DuckDB. NaN equals nothing and is neither less nor greater, where DuckDB has it equal to itself and
# above all numbers. `greatest` and `least` return NULL for a NULL, where DuckDB ignores it.
MACROS = [
    "CREATE MACRO eq(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN isnan(a) OR isnan(b) THEN false ELSE a = b END",
    "CREATE MACRO lt(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN isnan(a) OR isnan(b) THEN false ELSE a < b END",
    "CREATE MACRO le(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN isnan(a) OR isnan(b) THEN false ELSE a <= b END",
    "CREATE MACRO finite(a) AS CASE WHEN isfinite(a) THEN a END",
    "CREATE MACRO greatest_or_null(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE greatest(a, b) END",
    "CREATE MACRO least_or_null(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE least(a, b) END",
]

NUMBERS = ("bigint", "int", "decimal", "double")
TYPES = ("bigint", "double", "string", "boolean", "int", "date", "decimal", "timestamp")
# The names of the types in both dialects.
ATHENA_TYPES = {"int": "integer", "string": "varchar", "decimal": "decimal(10,2)"}
DUCKDB_TYPES = {"int": "INTEGER", "string": "VARCHAR", "decimal": "DECIMAL(10,2)"}
LITERALS = {
    "bigint": ["BIGINT '1'", "BIGINT '0'", "BIGINT '-2'", "BIGINT '5'"],
    "int": ["1", "0", "-2", "7"],
    "double": ["1e0", "0e0", "-2.5e0", "0.25e0"],
    "decimal": ["DECIMAL '1.00'", "DECIMAL '0.05'", "DECIMAL '-1.50'"],
    "string": ["'a'", "''", "'b-c'", "'maçã'"],
    "date": ["DATE '2020-02-29'", "DATE '2020-03-31'"],
    "timestamp": ["TIMESTAMP '2020-02-29 23:59:59.999'", "TIMESTAMP '2020-03-10 00:00:00.000'"],
    "boolean": ["true", "false"],
}


class Expression(NamedTuple):
    athena: str
    duckdb: str
    type: str
    # False if the last digits depend on the order of the additions.
    exact: bool = True


class Query(NamedTuple):
    """A statement in both dialects."""

    athena: str
    duckdb: str
    # True if the order of its rows is given, but for equal ones.
    ordered: bool = False


class Relation(NamedTuple):
    """What FROM holds: its text in both dialects, its columns, and those that tell its rows apart."""

    athena: str
    duckdb: str
    columns: list[Expression]
    # None if rows may be equal.
    unique: list[Expression] | None


class Aggregate(NamedTuple):
    """An aggregate function with the type of its argument and of its value. `{}` is the argument, `{over}` what follows it."""

    athena: str
    duckdb: str
    argument: str
    type: str
    exact: bool = True
    # Whether it can be computed over a window.
    window: bool = True


def _same(text: str, argument: str, type: str, **options: bool) -> Aggregate:
    return Aggregate(text, text, argument, type, **options)


AGGREGATES = [
    _same("count(*){over}", "bigint", "bigint"),
    *(_same("count({}){over}", argument, "bigint") for argument in TYPES),
    *(_same("sum({}){over}", argument, "bigint") for argument in ("bigint", "int")),
    _same("sum({}){over}", "double", "double"),
    Aggregate("avg({}){over}", "avg({}){over}", "double", "double"),
    Aggregate("avg({}){over}", "avg({}){over}", "bigint", "double", exact=False),
    *(
        _same(f"{name}({{}}){{over}}", argument, argument)
        for name in ("max", "min")
        for argument in TYPES
        if argument not in ("double", "boolean")
    ),
    # Trino ignores NaN unless there is nothing else.
    *(
        Aggregate(
            f"{name}({{}}){{over}}",
            f"coalesce({name}({{}}) FILTER (NOT isnan({{}})){{over}}, {name}({{}}){{over}})",
            "double",
            "double",
        )
        for name in ("max", "min")
    ),
    Aggregate("count_if({}){over}", "count(*) FILTER ({}){over}", "boolean", "bigint"),
    *(_same(f"{name}({{}}){{over}}", "boolean", "boolean") for name in ("bool_and", "bool_or")),
    *(_same("count(DISTINCT {}){over}", argument, "bigint", window=False) for argument in TYPES),
    _same("sum(DISTINCT {}){over}", "bigint", "bigint", window=False),
    *(
        _same(f"{name}({{}}){{over}}", "y", "double", exact=False)
        for name in ("stddev_samp", "stddev_pop", "var_samp", "var_pop", "stddev", "variance")
    ),
    *(_same(f"{name}({{}}, {{y}}){{over}}", "y", "double", exact=False) for name in ("covar_samp", "covar_pop")),
    # Trino returns NULL where there is no line.
    *(
        Aggregate(f"{name}({{}}, {{y}}){{over}}", f"finite({name}({{}}, {{y}}){{over}})", "y", "double", exact=False)
        for name in ("regr_slope", "regr_intercept", "corr")
    ),
]


@lru_cache
def _below(count: int) -> strategies.SearchStrategy[int]:
    return strategies.integers(0, count - 1)


class Grammar:
    """Generates one query by the choices of Hypothesis."""

    def __init__(self, draw: Callable):
        self._draw = draw
        self._names = 0

    # --- choices ---

    def choose(self, values: list[T] | tuple[T, ...]) -> T:
        return values[self._draw(_below(len(values)))]

    def maybe(self, times: int = 2) -> bool:
        """Returns true once in `times`."""
        return self._draw(_below(times)) == times - 1

    def count(self, least: int, most: int) -> int:
        return least + self._draw(_below(most - least + 1))

    def name(self) -> str:
        self._names += 1
        return f"r{self._names}"

    # --- expressions ---

    def expression(self, scope: list[Expression], type: str, depth: int = 2) -> Expression:
        """An expression over the columns of a scope."""
        columns = [column for column in scope if column.type == type]
        if columns and (depth == 0 or self.choose((True, False))):
            return self.choose(columns)
        if depth == 0 or self.maybe(6):
            return self.literal(type)
        return self.choose(self._FORMS[type])(self, scope, depth - 1)

    def literal(self, type: str) -> Expression:
        text = self.choose(LITERALS[type])
        return Expression(text, text, type)

    def null(self, type: str) -> Expression:
        return _cast(Expression("NULL", "NULL", type), type)

    def _call(self, type: str, text: str, duckdb: str | None = None, *arguments: Expression) -> Expression:
        return Expression(
            text.format(*(argument.athena for argument in arguments)),
            (duckdb or text).format(*(argument.duckdb for argument in arguments)),
            type,
            all(argument.exact for argument in arguments),
        )

    def _of(self, type: str, scope: list[Expression], depth: int, forms: list[tuple]) -> Expression:
        """A form: its text, DuckDB's text or None, and the types of its arguments."""
        text, duckdb, *types = self.choose(forms)
        return self._call(type, text, duckdb, *(self.expression(scope, one, depth) for one in types))

    @staticmethod
    def _conditional(type: str) -> Callable:
        def form(self: Grammar, scope: list[Expression], depth: int) -> Expression:
            forms = [
                ("coalesce({0}, {1})", None, type, type),
                ("CASE WHEN {0} THEN {1} ELSE {2} END", None, "boolean", type, type),
                ("CASE WHEN {0} THEN {1} END", None, "boolean", type),
                ("if({0}, {1}, {2})", "CASE WHEN {0} THEN {1} ELSE {2} END", "boolean", type, type),
            ]
            if type == "double":
                forms.append(("nullif({0}, {1})", "CASE WHEN eq({0}, {1}) THEN NULL ELSE {0} END", type, type))
            else:
                forms += [
                    ("nullif({0}, {1})", None, type, type),
                    ("greatest({0}, {1})", "greatest_or_null({0}, {1})", type, type),
                    ("least({0}, {1})", "least_or_null({0}, {1})", type, type),
                    ("CASE {0} WHEN {1} THEN {2} ELSE {3} END", None, "bigint", "bigint", type, type),
                ]
            return self._of(type, scope, depth, forms)

        return form

    def _bigint(self, scope: list[Expression], depth: int) -> Expression:
        return self._of(
            "bigint",
            scope,
            depth,
            [
                ("({0} + {1})", None, "bigint", "bigint"),
                ("({0} - {1})", None, "bigint", "int"),
                ("({0} * {1})", None, "int", "bigint"),
                ("({0} / nullif({1}, 0))", "({0} // nullif({1}, 0))", "bigint", "bigint"),
                ("({0} % nullif({1}, 0))", None, "bigint", "bigint"),
                ("(- {0})", None, "bigint"),
                ("abs({0})", None, "bigint"),
                ("sign({0})", None, "bigint"),
                ("length({0})", None, "string"),
                ("strpos({0}, {1})", None, "string", "string"),
                ("year({0})", None, "date"),
                ("month({0})", None, "date"),
                ("day({0})", None, "timestamp"),
                ("hour({0})", None, "timestamp"),
                ("minute({0})", None, "timestamp"),
                ("second({0})", None, "timestamp"),
                ("quarter({0})", None, "date"),
                ("week({0})", None, "date"),
                ("day_of_week({0})", "isodow({0})", "date"),
                ("day_of_year({0})", "dayofyear({0})", "date"),
                ("extract(year FROM {0})", None, "timestamp"),
                ("date_diff('day', {0}, {1})", "date_sub('day', {0}, {1})", "date", "date"),
                ("date_diff('hour', {0}, {1})", "date_sub('hour', {0}, {1})", "timestamp", "timestamp"),
                ("CAST({0} AS bigint)", None, "int"),
                ("TRY_CAST({0} AS bigint)", None, "string"),
                ("codepoint(CAST('x' AS varchar(1)))", "unicode('x')"),
            ],
        )

    def _int(self, scope: list[Expression], depth: int) -> Expression:
        return self._of(
            "int",
            scope,
            depth,
            [
                ("({0} + {1})", None, "int", "int"),
                ("({0} - {1})", None, "int", "int"),
                ("({0} / nullif({1}, 0))", "({0} // nullif({1}, 0))", "int", "int"),
                ("({0} % nullif({1}, 0))", None, "int", "int"),
                ("abs({0})", None, "int"),
            ],
        )

    def _double(self, scope: list[Expression], depth: int) -> Expression:
        return self._of(
            "double",
            scope,
            depth,
            [
                ("({0} + {1})", None, "double", "double"),
                ("({0} - {1})", None, "double", "bigint"),
                ("({0} * {1})", None, "double", "double"),
                ("({0} / {1})", None, "double", "double"),
                ("({0} + {1})", None, "decimal", "double"),
                ("(- {0})", None, "double"),
                ("abs({0})", None, "double"),
                ("floor({0})", None, "double"),
                ("ceil({0})", None, "double"),
                ("round({0})", None, "double"),
                ("truncate({0})", "trunc({0})", "double"),
                ("sqrt(abs({0}))", None, "double"),
                ("CAST({0} AS double)", None, "bigint"),
                ("CAST({0} AS double)", None, "decimal"),
            ],
        )

    def _decimal(self, scope: list[Expression], depth: int) -> Expression:
        return _cast(
            self._of(
                "decimal",
                scope,
                depth,
                [
                    ("({0} + {1})", None, "decimal", "decimal"),
                    ("({0} - {1})", None, "decimal", "decimal"),
                    ("(- {0})", None, "decimal"),
                    ("abs({0})", None, "decimal"),
                    ("CAST({0} AS decimal(18,2))", None, "bigint"),
                ],
            ),
            "decimal",
        )

    def _string(self, scope: list[Expression], depth: int) -> Expression:
        return self._of(
            "string",
            scope,
            depth,
            [
                ("({0} || {1})", None, "string", "string"),
                ("upper({0})", None, "string"),
                ("lower({0})", None, "string"),
                ("substr({0}, 2)", None, "string"),
                ("substr({0}, 1, 2)", None, "string"),
                ("replace({0}, 'a', 'xy')", None, "string"),
                ("reverse({0})", None, "string"),
                ("trim({0})", None, "string"),
                ("lpad({0}, 3, '*')", None, "string"),
                ("rpad({0}, 3, '*')", None, "string"),
                ("translate({0}, 'ab', 'x')", None, "string"),
                ("concat({0}, {1})", "({0} || {1})", "string", "string"),
                ("CAST({0} AS varchar)", None, "bigint"),
                ("CAST({0} AS varchar)", None, "date"),
                ("date_format({0}, '%Y-%m-%d %H:%i:%s')", "strftime({0}, '%Y-%m-%d %H:%M:%S')", "timestamp"),
            ],
        )

    def _date(self, scope: list[Expression], depth: int) -> Expression:
        return self._of(
            "date",
            scope,
            depth,
            [
                ("date_add('day', 3, {0})", "CAST({0} + INTERVAL 3 DAY AS DATE)", "date"),
                ("date_add('month', -1, {0})", "CAST({0} - INTERVAL 1 MONTH AS DATE)", "date"),
                ("({0} + INTERVAL '1' MONTH)", "CAST({0} + INTERVAL 1 MONTH AS DATE)", "date"),
                ("date_trunc('month', {0})", "CAST(date_trunc('month', {0}) AS DATE)", "date"),
                ("date_trunc('week', {0})", "CAST(date_trunc('week', {0}) AS DATE)", "date"),
                ("date_trunc('quarter', {0})", "CAST(date_trunc('quarter', {0}) AS DATE)", "date"),
                ("last_day_of_month({0})", "last_day({0})", "date"),
                ("CAST({0} AS date)", None, "timestamp"),
                ("date({0})", "CAST({0} AS DATE)", "timestamp"),
            ],
        )

    def _timestamp(self, scope: list[Expression], depth: int) -> Expression:
        return self._of(
            "timestamp",
            scope,
            depth,
            [
                ("({0} + INTERVAL '90' MINUTE)", "({0} + INTERVAL 90 MINUTE)", "timestamp"),
                ("date_add('hour', -5, {0})", "({0} - INTERVAL 5 HOUR)", "timestamp"),
                ("date_trunc('hour', {0})", None, "timestamp"),
                ("date_trunc('day', {0})", "CAST(date_trunc('day', {0}) AS TIMESTAMP)", "timestamp"),
                ("CAST({0} AS timestamp)", None, "date"),
            ],
        )

    def boolean(self, scope: list[Expression], depth: int) -> Expression:
        kind = self.count(0, 7)
        if kind <= 2:
            return self.comparison(scope, depth)
        if kind == 3:
            return self._of(
                "boolean",
                scope,
                depth,
                [
                    ("({0} AND {1})", None, "boolean", "boolean"),
                    ("({0} OR {1})", None, "boolean", "boolean"),
                    ("(NOT {0})", None, "boolean"),
                ],
            )
        if kind == 4:
            type = self.choose(TYPES)
            return self._of(
                "boolean",
                scope,
                depth,
                [
                    ("({0} IS NULL)", None, type),
                    ("({0} IS NOT NULL)", None, type),
                    ("({0} IS DISTINCT FROM {1})", None, type, type),
                    ("({0} IS NOT DISTINCT FROM {1})", None, type, type),
                ],
            )
        if kind == 5:
            return self._of(
                "boolean",
                scope,
                depth,
                [
                    ("({0} LIKE 'a%')", None, "string"),
                    ("({0} LIKE '_')", None, "string"),
                    ("({0} NOT LIKE '%-%')", None, "string"),
                    ("({0} LIKE '%#_' ESCAPE '#')", None, "string"),
                    ("starts_with({0}, {1})", None, "string", "string"),
                    ("regexp_like({0}, '[ab]')", "regexp_matches({0}, '[ab]')", "string"),
                    ("is_nan({0})", "isnan({0})", "double"),
                ],
            )
        if kind == 6:
            return self.membership(scope, depth)
        type = self.choose(("bigint", "string", "date", "decimal", "timestamp", "int", "double"))
        return self._of(
            "boolean",
            scope,
            depth,
            [
                (
                    "({0} BETWEEN {1} AND {2})",
                    "(le({1}, {0}) AND le({0}, {2}))" if type == "double" else None,
                    *[type] * 3,
                ),
                (
                    "({0} NOT BETWEEN {1} AND {2})",
                    "(NOT (le({1}, {0}) AND le({0}, {2})))" if type == "double" else None,
                    *[type] * 3,
                ),
            ],
        )

    def comparison(self, scope: list[Expression], depth: int) -> Expression:
        left, right = self.choose(
            [(type, type) for type in TYPES]
            + [
                ("bigint", "double"),
                ("double", "bigint"),
                ("decimal", "bigint"),
                ("int", "bigint"),
                ("date", "timestamp"),
            ]
        )
        operator = self.choose(("=", "<>", "<", "<=", ">", ">="))
        a, b = self.expression(scope, left, depth), self.expression(scope, right, depth)
        return compared(operator, a, b)

    def membership(self, scope: list[Expression], depth: int) -> Expression:
        type = self.choose(TYPES)
        value = self.expression(scope, type, depth)
        members = [self.literal(type) for _ in range(self.count(1, 3))]
        if self.maybe():
            members.append(self.null(type) if self.maybe() else self.expression(scope, type, 0))
        negated = self.choose(("", "NOT "))
        athena = f"({value.athena} {negated}IN ({', '.join(one.athena for one in members)}))"
        equal = " OR ".join(compared("=", value, one).duckdb for one in members)
        return Expression(athena, f"({negated}({equal}))", "boolean")

    _FORMS: ClassVar[dict[str, list[Callable]]] = {
        "bigint": [_bigint],
        "int": [_int],
        "double": [_double],
        "decimal": [_decimal],
        "string": [_string],
        "date": [_date],
        "timestamp": [_timestamp],
        "boolean": [boolean],
    }

    # --- relations ---

    def table(self) -> Relation:
        # Tables that have rows are chosen more often.
        table, name = self.choose(["t", "u", "v", "t", "u", "t", "u", "e"]), self.name()
        columns = [
            Expression(f"{name}.{column.name}", f"{name}.{column.name}", _type(column.type)) for column in COLUMNS
        ]
        return Relation(f"{table} AS {name}", f"{table} AS {name}", columns, [columns[0]])

    def derived(self, depth: int) -> Relation:
        types = [self.choose(TYPES) for _ in range(self.count(1, 3))]
        query, name = self.query(types, depth, exact=True), self.name()
        columns = [Expression(f"{name}.c{place}", f"{name}.c{place}", type) for place, type in enumerate(types)]
        return Relation(f"({query.athena}) AS {name}", f"({query.duckdb}) AS {name}", columns, None)

    def source(self, depth: int) -> Relation:
        if depth > 0 and self.maybe(4):
            return self.derived(depth - 1)
        return self.table()

    def relation(self, depth: int) -> Relation:
        """One source, or several that are joined."""
        relation = self.source(depth)
        for _ in range(self.choose((0, 0, 1, 1, 2))):
            relation = self.joined(relation, self.source(depth))
        return relation

    def joined(self, left: Relation, right: Relation) -> Relation:
        kind = self.choose(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"))
        unique = left.unique + right.unique if left.unique is not None and right.unique is not None else None
        scope = left.columns + right.columns
        if kind == "CROSS JOIN":
            return Relation(
                f"{left.athena} {kind} {right.athena}", f"{left.duckdb} {kind} {right.duckdb}", scope, unique
            )
        condition = self.key(left, right, kind)
        # Trino refuses FULL JOIN on anything but equalities.
        if kind != "FULL JOIN" and self.maybe(3):
            condition = _and(condition, self.boolean(scope, 1))
        if kind != "FULL JOIN" and self.maybe(6):
            condition = self.boolean(scope, 1)
        return Relation(
            f"{left.athena} {kind} {right.athena} ON {condition.athena}",
            f"{left.duckdb} {kind} {right.duckdb} ON {condition.duckdb}",
            scope,
            unique,
        )

    def key(self, left: Relation, right: Relation, kind: str) -> Expression:
        """Equalities of values of both sides."""
        shared = [
            type
            for type in TYPES
            if any(c.type == type for c in left.columns) and any(c.type == type for c in right.columns)
        ]
        if not shared:
            a, b = self.choose(left.columns), self.choose(right.columns)
            return compared("=", _is_null(a), _is_null(b))
        key = None
        for _ in range(self.count(1, 2)):
            type = self.choose(shared)
            a = self.choose([c for c in left.columns if c.type == type])
            if self.maybe(5):
                a = self.expression(left.columns, type, 1)
            b = self.choose([c for c in right.columns if c.type == type])
            equal = compared("=", a, b)
            if kind != "FULL JOIN" and self.maybe(5):
                equal = self._call("boolean", "({0} IS NOT DISTINCT FROM {1})", None, a, b)
            key = equal if key is None else _and(key, equal)
        return key

    # --- conditions with subqueries ---

    def condition(self, scope: list[Expression], depth: int) -> Expression:
        """A condition of WHERE."""
        if depth == 0 or not self.maybe(4):
            return self.boolean(scope, 2)
        kind = self.count(0, 3)
        if kind == 0:
            inner = self.table()
            where = self.correlation(scope, inner)
            negated = self.choose(("", "NOT "))
            return Expression(
                f"{negated}EXISTS (SELECT 1 FROM {inner.athena} WHERE {where.athena})",
                f"{negated}EXISTS (SELECT 1 FROM {inner.duckdb} WHERE {where.duckdb})",
                "boolean",
            )
        # A double is not compared by IN here: DuckDB's takes NaN for equal to itself.
        type = self.choose([one for one in TYPES if one != "double"])
        value = self.expression(scope, type, 1)
        if kind == 1:
            query = self.query([type], depth - 1, exact=True)
            negated = self.choose(("", "NOT "))
            return Expression(
                f"{value.athena} {negated}IN ({query.athena})",
                f"{value.duckdb} {negated}IN ({query.duckdb})",
                "boolean",
            )
        operator = self.choose(("=", "<>", "<", "<=", ">", ">="))
        if kind == 2:
            query = self.query([type], 0, exact=True)
            quantifier = self.choose(("ALL", "ANY"))
            return Expression(
                f"{value.athena} {operator} {quantifier} ({query.athena})",
                f"{value.duckdb} {operator} {quantifier} ({query.duckdb})",
                "boolean",
            )
        query = self.scalar(scope, type)
        return Expression(
            f"{value.athena} {operator} {query.athena}", f"{value.duckdb} {operator} {query.duckdb}", "boolean"
        )

    def correlation(self, scope: list[Expression], inner: Relation) -> Expression:
        """A condition on an inner and an outer column."""
        outer = [column for column in scope if column.type != "double"] or [_is_null(scope[0])]
        a = self.choose(outer)
        b = self.choose([column for column in inner.columns if column.type == a.type] or [inner.columns[0]])
        equal = compared("=", a, b) if a.type == b.type else compared("=", _is_null(a), _is_null(b))
        return _and(equal, self.boolean(inner.columns, 1)) if self.maybe(3) else equal

    def scalar(self, scope: list[Expression], type: str) -> Expression:
        """A subquery with one row: an aggregate, correlated or not."""
        inner = self.table()
        name = self.choose(("max", "min")) if type != "boolean" else self.choose(("bool_and", "bool_or"))
        column = self.choose([column for column in inner.columns if column.type == type])
        where = self.correlation(scope, inner) if self.maybe() else self.boolean(inner.columns, 1)
        return Expression(
            f"(SELECT {name}({column.athena}) FROM {inner.athena} WHERE {where.athena})",
            f"(SELECT {name}({column.duckdb}) FROM {inner.duckdb} WHERE {where.duckdb})",
            type,
        )

    # --- aggregates and windows ---

    def aggregate(self, scope: list[Expression], type: str, exact: bool) -> Expression | None:
        """An aggregate with a value of a type, if there is one."""
        found = [one for one in AGGREGATES if one.type == type and (one.exact or not exact)]
        if not found:
            return None
        function = self.choose(found)
        filter = ("", "")
        if self.maybe(5):
            condition = self.boolean(scope, 1)
            filter = (f" FILTER (WHERE {condition.athena})", condition.duckdb)
        return self._aggregated(scope, function, filter, ("", ""), exact)

    def _aggregated(
        self, scope: list[Expression], function: Aggregate, filter: tuple, over: tuple, exact: bool
    ) -> Expression:
        finite = [column for column in scope if column.type == "double" and column.athena.endswith(".y")]
        if function.argument == "y":
            # Only of finite numbers: for others, the order of additions decides.
            argument = self.choose(finite or [Expression("1e0", "1e0", "double")])
        else:
            argument = self.expression(scope, function.argument, 1)
        # Only the doubles of the tables are multiples of a quarter, whose sums do not depend on the order.
        adds = function.argument == "double" and function.athena.startswith(("sum", "avg"))
        rounds = adds and not argument.athena.endswith((".x", ".y"))
        if rounds and exact:
            argument, rounds = Expression("0.5e0", "0.5e0", "double"), False
        second = self.choose(finite) if finite else Expression("2e0", "2e0", "double")
        athena = function.athena.replace("{over}", filter[0] + over[0]).replace("{y}", second.athena)
        text = function.duckdb.replace("{y}", second.duckdb)
        if filter[1]:
            if " FILTER (" in text:
                text = text.replace(" FILTER (", f" FILTER (({filter[1]}) AND ")
                text = text.replace("({}){over})", f"({{}}) FILTER ({filter[1]}){{over}})")
            else:
                text = text.replace("{over}", f" FILTER ({filter[1]}){{over}}")
        duckdb = text.replace("{over}", over[1])
        return Expression(
            athena.replace("{}", argument.athena),
            duckdb.replace("{}", argument.duckdb),
            function.type,
            function.exact and argument.exact and not rounds,
        )

    def window(self, relation: Relation, type: str, exact: bool) -> Expression | None:
        """A function over a window with a value of a type, if there is one."""
        scope = relation.columns
        partition = [self.choose(scope) for _ in range(self.choose((0, 1, 1, 2)))]
        order = [self.choose(scope) for _ in range(self.count(0, 2))]
        total = relation.unique is not None and self.maybe()
        if total:
            order += relation.unique
        orders = [
            self.choose((" ASC NULLS FIRST", " DESC NULLS LAST", " ASC NULLS LAST", " DESC NULLS FIRST")) for _ in order
        ]

        def over(frame: str) -> tuple[str, str]:
            def text(dialect: str) -> str:
                parts = []
                if partition:
                    parts.append("PARTITION BY " + ", ".join(getattr(key, dialect) for key in partition))
                if order:
                    keys = (getattr(key, dialect) + way for key, way in zip(order, orders, strict=True))
                    parts.append("ORDER BY " + ", ".join(keys))
                if frame:
                    parts.append(frame)
                return f" OVER ({' '.join(parts)})"

            return text("athena"), text("duckdb")

        ranks = []
        if type == "bigint" and order:
            ranks = ["rank()", "dense_rank()", *(["row_number()", "ntile(3)"] if total else [])]
        if type == "double" and order:
            ranks = ["percent_rank()", "cume_dist()"]
        if ranks and self.maybe():
            athena, duckdb = over("")
            name = self.choose(ranks)
            return Expression(name + athena, name + duckdb, type, type == "bigint")
        if total and self.maybe():
            value = self.expression(scope, type, 1)
            nulls = self.choose(("", "IGNORE NULLS"))
            name, frame = self.choose(
                (
                    ("lag", ""),
                    ("lead", ""),
                    ("lag2", ""),
                    ("first_value", "frame"),
                    ("last_value", "frame"),
                    ("nth", "frame"),
                )
            )
            text, frame = {
                "lag2": ("lag({0}, 2, {1}{n})", ""),
                "nth": ("nth_value({0}, 2{n})", self.frame(order, total)),
            }.get(name, (f"{name}({{0}}{{n}})", self.frame(order, total) if frame else ""))
            other = self.literal(type)
            athena, duckdb = over(frame)
            return Expression(
                text.replace("{n}", "").format(value.athena, other.athena) + (f" {nulls}" if nulls else "") + athena,
                text.replace("{n}", f" {nulls}" if nulls else "").format(value.duckdb, other.duckdb) + duckdb,
                type,
                value.exact,
            )
        found = [one for one in AGGREGATES if one.type == type and one.window and (one.exact or not exact)]
        if not found:
            return None
        filter = ("", "")
        if self.maybe(6):
            condition = self.boolean(scope, 1)
            filter = (f" FILTER (WHERE {condition.athena})", condition.duckdb)
        return self._aggregated(scope, self.choose(found), filter, over(self.frame(order, total)), exact)

    def frame(self, order: list[Expression], total: bool) -> str:
        """A frame whose rows do not depend on the order of equal rows."""
        starts, ends = ["UNBOUNDED PRECEDING", "CURRENT ROW"], ["CURRENT ROW", "UNBOUNDED FOLLOWING"]
        if not order:
            return ""
        units = ["RANGE", *(["ROWS"] if total else []), "GROUPS"]
        unit = self.choose(units)
        offsets = unit != "RANGE" or (len(order) == 1 and order[0].type in ("bigint", "int"))
        if offsets and self.maybe():
            bounds = ["2 PRECEDING", "1 PRECEDING", "CURRENT ROW", "1 FOLLOWING", "3 FOLLOWING"]
            first = self.count(0, len(bounds) - 1)
            return f"{unit} BETWEEN {bounds[first]} AND {bounds[self.count(first, len(bounds) - 1)]}"
        if self.maybe():
            return ""
        return f"{unit} BETWEEN {self.choose(starts)} AND {self.choose(ends)}"

    # --- queries ---

    def query(self, types: list[str], depth: int, exact: bool) -> Query:
        """A query with columns `c0`, `c1`, ... of the types."""
        if depth > 0 and self.maybe(6):
            operation = self.choose(("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"))
            left, right = self.select(types, depth - 1, True), self.select(types, depth - 1, True)
            query = Query(
                f"({left.athena}) {operation} ({right.athena})", f"({left.duckdb}) {operation} ({right.duckdb})"
            )
            exact = True
        else:
            exact = exact or self.maybe(3)
            query = self.select(types, depth, exact)
        if not exact or not self.maybe(3):
            return query
        if "double" in types:
            # Trino sorts -0.0 before 0.0, and for DuckDB the two are equal.
            query = self.without_negative_zero(query, types)
        keys = [
            f"{place + 1} {self.choose(('ASC', 'DESC'))} NULLS {self.choose(('LAST', 'FIRST'))}"
            for place in range(len(types))
        ]
        tail = " ORDER BY " + ", ".join(keys)
        offset, limit = ("", "")
        if self.maybe():
            limit = f" LIMIT {self.count(0, 9)}"
            offset = f" OFFSET {self.count(1, 5)}" if self.maybe(3) else ""
        return Query(f"{query.athena}{tail}{offset}{limit}", f"{query.duckdb}{tail}{limit}{offset}", ordered=True)

    def without_negative_zero(self, query: Query, types: list[str]) -> Query:
        name = self.name()
        columns = ", ".join(
            f"{name}.c{place} + 0e0 AS c{place}" if type == "double" else f"{name}.c{place}"
            for place, type in enumerate(types)
        )
        return Query(
            f"SELECT {columns} FROM ({query.athena}) AS {name}", f"SELECT {columns} FROM ({query.duckdb}) AS {name}"
        )

    def select(self, types: list[str], depth: int, exact: bool) -> Query:
        relation = self.relation(depth)
        where = self.condition(relation.columns, depth) if self.maybe() else None
        kind = self.choose(("plain", "grouped", "window", "distinct", "whole"))
        groups = having = None
        if kind == "grouped":
            items, groups, having = self.grouped(relation, types, exact)
        elif kind == "whole":
            items = [self.aggregate(relation.columns, type, exact) or self.null(type) for type in types]
        elif kind == "window":
            items = [self.window(relation, type, exact) or self.expression(relation.columns, type) for type in types]
        else:
            items = [
                self.scalar(relation.columns, type)
                if type != "double" and depth > 0 and self.maybe(8)
                else self.expression(relation.columns, type)
                for type in types
            ]
        distinct = "DISTINCT " if kind == "distinct" else ""

        def text(dialect: str) -> str:
            columns = ", ".join(f"{getattr(item, dialect)} AS c{place}" for place, item in enumerate(items))
            parts = [f"SELECT {distinct}{columns} FROM {getattr(relation, dialect)}"]
            if where is not None:
                parts.append(f"WHERE {getattr(where, dialect)}")
            if groups is not None:
                parts.append(f"GROUP BY {groups[0 if dialect == 'athena' else 1]}")
            if having is not None:
                parts.append(f"HAVING {getattr(having, dialect)}")
            return " ".join(parts)

        return Query(text("athena"), text("duckdb"))

    def grouped(self, relation: Relation, types: list[str], exact: bool) -> tuple:
        """The columns of a grouped query, its keys in both dialects, and the condition of HAVING."""
        keys = [self.choose(relation.columns) for _ in range(self.count(1, 2))]
        keys = list(dict.fromkeys(keys))
        sets = self.choose(("{}", "{}", "ROLLUP ({})", "CUBE ({})", "GROUPING SETS (({}), ())"))
        items = []
        for type in types:
            fitting = [key for key in keys if key.type == type]
            if fitting and self.maybe():
                items.append(self.choose(fitting))
            elif type == "bigint" and sets != "{}" and self.maybe(3):
                names = [", ".join(getattr(key, dialect) for key in keys) for dialect in ("athena", "duckdb")]
                items.append(
                    Expression(f"CAST(grouping({names[0]}) AS bigint)", f"CAST(grouping({names[1]}) AS bigint)", type)
                )
            else:
                items.append(self.aggregate(relation.columns, type, exact) or self.null(type))
        groups = [sets.format(", ".join(getattr(key, dialect) for key in keys)) for dialect in ("athena", "duckdb")]
        having = None
        if self.maybe(4):
            having = compared(
                self.choose((">", "=", "<=")), self.aggregate(relation.columns, "bigint", True), self.literal("bigint")
            )
        return items, groups, having


def compared(operator: str, a: Expression, b: Expression) -> Expression:
    athena = f"({a.athena} {operator} {b.athena})"
    if "double" not in (a.type, b.type):
        return Expression(athena, f"({a.duckdb} {operator} {b.duckdb})", "boolean")
    # The macros take doubles.
    left, right = (one.duckdb if one.type == "double" else f"CAST({one.duckdb} AS DOUBLE)" for one in (a, b))
    duckdb = {
        "=": f"eq({left}, {right})",
        "<>": f"(NOT eq({left}, {right}))",
        "<": f"lt({left}, {right})",
        "<=": f"le({left}, {right})",
        ">": f"lt({right}, {left})",
        ">=": f"le({right}, {left})",
    }[operator]
    return Expression(athena, duckdb, "boolean")


def _and(a: Expression, b: Expression) -> Expression:
    return Expression(f"({a.athena} AND {b.athena})", f"({a.duckdb} AND {b.duckdb})", "boolean")


def _cast(value: Expression, type: str) -> Expression:
    athena, duckdb = ATHENA_TYPES.get(type, type), DUCKDB_TYPES.get(type, type.upper())
    return Expression(f"CAST({value.athena} AS {athena})", f"CAST({value.duckdb} AS {duckdb})", type, value.exact)


def _is_null(value: Expression) -> Expression:
    """Whether a value of any type is NULL: what values of all types have alike."""
    return Expression(f"({value.athena} IS NULL)", f"({value.duckdb} IS NULL)", "boolean")


def _type(declared: str) -> str:
    return "decimal" if declared.startswith("decimal") else declared


for _one in TYPES:
    Grammar._FORMS[_one].append(Grammar._conditional(_one))


@strategies.composite
def queries(draw: Callable) -> Query:
    grammar = Grammar(draw)
    types = [grammar.choose(TYPES) for _ in range(grammar.count(1, 4))]
    return grammar.query(types, grammar.count(0, 2), exact=False)
