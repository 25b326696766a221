"""The comparison of an answer of Athena with one of DuckDB."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from query_fuzz.grammar import Query

# How far apart two doubles may be whose additions were carried out in another order, relatively, or absolutely about zero.
RELATIVE, ABSOLUTE = 1e-9, 1e-10


def parsed(type: str) -> Callable[[str], object]:
    """Returns what reads the text of a cell of a type."""
    return {
        "integer": int,
        "bigint": int,
        "double": float,
        "decimal": Decimal,
        "boolean": lambda text: {"true": True, "false": False}[text],
        "date": date.fromisoformat,
        "timestamp": lambda text: datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f"),
    }.get(type, str)


def order(row: tuple) -> tuple:
    """Returns a key that sorts rows of one query. Doubles that are nearly equal have one key, mostly."""

    def key(value: object) -> tuple:
        if value is None:
            return (2, "")
        if isinstance(value, float):
            return (1, "") if math.isnan(value) else (0, round(value, 6) + 0.0)
        return (0, value)

    return tuple(key(value) for value in row)


def equal(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, (float, int)):
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    # An integer is no boolean.
    return a == b and (isinstance(a, bool) == isinstance(b, bool))


def difference(query: Query, athena: list[tuple], duckdb: list[tuple]) -> str | None:
    """Returns how two answers differ; None if they do not."""
    if len(athena) != len(duckdb):
        return f"{len(athena)} rows, and {len(duckdb)} by DuckDB"
    if not query.ordered:
        athena, duckdb = sorted(athena, key=order), sorted(duckdb, key=order)
    for place, (ours, theirs) in enumerate(zip(athena, duckdb, strict=True)):
        if len(ours) != len(theirs) or not all(map(equal, ours, theirs)):
            return f"row {place}: {ours}, and {theirs} by DuckDB"
    return None
