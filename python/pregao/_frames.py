"""The forms of an answer: Polars, pandas or Arrow. Values keep their types in each.

Decimals stay decimals (`decimal.Decimal` in pandas) and integers integers: in pandas those of the types `Int32` and
`Int64`, which have a missing value. A missing double is null in Polars and Arrow, and NaN in pandas, whose usual form it is;
the tables have no other NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._optional import require

if TYPE_CHECKING:
    import pyarrow

FRAMES = ("polars", "pandas", "arrow")


def checked(frame: str) -> str:
    """Returns the name of a form, if there is such a one and its package is installed."""
    if frame not in FRAMES:
        raise ValueError(f"{frame!r} is no form of an answer: {', '.join(FRAMES)}")
    require("duckdb", frame)
    require("pyarrow", frame)
    if frame != "arrow":
        require(frame, frame)
    return frame


def convert(table: pyarrow.Table, frame: str) -> Any:
    """Returns an answer in a form."""
    if frame == "arrow":
        return table
    if frame == "polars":
        return require("polars", "polars").from_arrow(table)
    pandas, arrow = require("pandas", "pandas"), require("pyarrow", "arrow")
    types = {
        **{getattr(arrow, f"int{bits}")(): getattr(pandas, f"Int{bits}Dtype")() for bits in (8, 16, 32, 64)},
        **{getattr(arrow, f"uint{bits}")(): getattr(pandas, f"UInt{bits}Dtype")() for bits in (8, 16, 32, 64)},
        arrow.bool_(): pandas.BooleanDtype(),
    }
    return table.to_pandas(types_mapper=types.get)


def to_arrow(frame: Any) -> pyarrow.Table:
    """Returns a frame of any of the forms as Arrow."""
    arrow = require("pyarrow", "arrow")
    if isinstance(frame, arrow.Table):
        return frame
    kind = type(frame).__module__.partition(".")[0]
    if kind == "polars":
        return (frame.collect() if hasattr(frame, "collect") else frame).to_arrow()
    if kind == "pandas":
        return arrow.Table.from_pandas(frame, preserve_index=False)
    raise TypeError(f"a {type(frame).__name__} is no frame of Polars, pandas or Arrow")
