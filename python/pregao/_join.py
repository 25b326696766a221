"""The as-of join of options and quotes, as SQL."""

from __future__ import annotations

from collections.abc import Sequence

from ._bars import minutes
from ._tables import COLUMNS, TIME


def sql(options: Sequence[str], quotes: Sequence[str], tolerance: str, direction: str, how: str) -> str:
    """Returns the SQL of the join of the registered frames `options_given` and `quotes_given`."""
    if direction not in ("backward", "nearest"):
        raise ValueError(f"direction={direction!r}: backward or nearest")
    if how not in ("left", "inner"):
        raise ValueError(f"how={how!r}: left or inner")
    for name, columns, wanted in (("options", options, "optn_ua"), ("quotes", quotes, "ticker")):
        if lacking := [column for column in ("intdate", wanted) if column not in columns]:
            raise ValueError(f"the frame of {name} has no column {' and '.join(lacking)}")
    # The later one of two rows of the same time comes last, whichever columns the frame has.
    order = ", ".join(f"{_quoted(name)} DESC NULLS LAST" for name in _by_importance(quotes))
    taken = ", ".join(f"q.{_quoted(name)} AS {_quoted('quote_' + name)}" for name in quotes if name != "ticker")
    matches = [_match(">=")] + ([_match("<=")] if direction == "nearest" else [])
    return f"""
WITH o AS (SELECT *, {TIME} AS at__, row_number() OVER () AS row__ FROM options_given),
q AS (
    SELECT *, {TIME} AS at__, row_number() OVER () AS row__ FROM quotes_given
    QUALIFY row_number() OVER (PARTITION BY intdate, ticker ORDER BY {order}) = 1
),
found AS ({" UNION ALL ".join(matches)}),
nearest AS (
    SELECT * FROM found WHERE abs(age) <= {minutes(tolerance)}
    QUALIFY row_number() OVER (PARTITION BY option_row ORDER BY abs(age), age DESC) = 1
)
SELECT o.* EXCLUDE (at__, row__), {taken}, nearest.age AS quote_age
FROM o {how.upper()} JOIN nearest ON nearest.option_row = o.row__ LEFT JOIN q ON q.row__ = nearest.quote_row
ORDER BY o.row__"""


def _match(compared: str) -> str:
    return (
        "SELECT o.row__ AS option_row, q.row__ AS quote_row, date_diff('minute', q.at__, o.at__) AS age "
        f"FROM o ASOF JOIN q ON o.optn_ua = q.ticker AND o.at__ {compared} q.at__"
    )


def _by_importance(columns: Sequence[str]) -> list[str]:
    first = [name for name in ("num_trades", "qty_total", "total_volume", "last") if name in columns]
    known = [name for name in columns if name in COLUMNS["quotes"] and name not in first]
    return first + known


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
