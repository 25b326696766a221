"""The tables of the fuzzer: the same rows as Parquet objects below `s3://`, and in DuckDB.

They are small, and each column has what goes wrong: NULL, ties, negative zero, NaN, empty texts, letters of two bytes, the ends of
months. Doubles are multiples of a quarter, so that their sums do not depend on the order of the rows.
"""

from __future__ import annotations

import io
import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pyarrow
import pyarrow.parquet

NAN = float("nan")


class Column(NamedTuple):
    name: str
    # The name of the type in Athena's DDL, which is also the type of the grammar.
    type: str


ARROW = {
    "bigint": pyarrow.int64(),
    "int": pyarrow.int32(),
    "double": pyarrow.float64(),
    "decimal(10,2)": pyarrow.decimal128(10, 2),
    "string": pyarrow.string(),
    "date": pyarrow.date32(),
    "timestamp": pyarrow.timestamp("us"),
    "boolean": pyarrow.bool_(),
}

COLUMNS = [
    # Unique, never NULL.
    Column("id", "bigint"),
    Column("n", "bigint"),
    Column("i", "int"),
    # With NaN and -0.0.
    Column("x", "double"),
    # Finite.
    Column("y", "double"),
    Column("p", "decimal(10,2)"),
    Column("s", "string"),
    Column("d", "date"),
    Column("ts", "timestamp"),
    Column("f", "boolean"),
]
# The number of rows of each table. `u` has ids of `t` and others; `e` is empty.
ROWS = {"t": 29, "u": 17, "v": 5, "e": 0}


def rows(table: str) -> list[dict]:
    """Returns the rows of a table, which are always the same."""
    draws = random.Random(f"rows of {table}")
    first = {"t": 0, "u": 20, "v": 3, "e": 0}[table]
    return [_row(draws, first + place) for place in range(ROWS[table])]


def _row(draws: random.Random, id: int) -> dict:
    def some(values: list) -> object:
        """Chooses a value, and NULL once in six times."""
        return None if draws.random() < 1 / 6 else draws.choice(values)

    day = date(2020, 2, 28) + timedelta(days=draws.randrange(0, 36))
    return {
        "id": id,
        "n": some([-3, -1, 0, 0, 1, 1, 2, 5, 100]),
        "i": some([-2, 0, 1, 1, 2, 3, 7, 30]),
        "x": some([-2.5, -0.0, 0.0, 0.25, 1.0, 1.5, 1.5, 4.0, NAN, NAN]),
        "y": some([-3.75, -1.5, 0.0, 0.25, 0.5, 0.5, 2.25, 10.0]),
        "p": some([Decimal("-1.50"), Decimal("0.00"), Decimal("0.05"), Decimal("1.00"), Decimal("12.10")]),
        "s": some(["", "a", "a", "ab", "b-c", "B", "maçã", "%_", " x "]),
        "d": some([day, date(2020, 2, 29), date(2019, 12, 31), date(2020, 3, 31)]),
        "ts": some(
            [
                datetime(2020, 2, 29, 23, 59, 59, 999000),
                datetime(day.year, day.month, day.day),
                datetime(day.year, day.month, day.day, draws.randrange(24), draws.randrange(60), draws.randrange(60)),
            ]
        ),
        "f": some([True, False]),
    }


def arrow(table: str) -> pyarrow.Table:
    schema = pyarrow.schema([(column.name, ARROW[column.type]) for column in COLUMNS])
    return pyarrow.Table.from_pylist(rows(table), schema)


def parquet(table: str) -> bytes:
    """Returns a table as a Parquet file of several row groups."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(arrow(table), out, row_group_size=8)
    return out.getvalue()


def ddl(table: str, location: str) -> str:
    columns = ", ".join(f"`{column.name}` {column.type}" for column in COLUMNS)
    return f"CREATE EXTERNAL TABLE {table} ({columns}) STORED AS PARQUET LOCATION '{location}'"
