"""The columns of the tables, as docs/tables.md has them, and the SQL that reads them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

_DOUBLE, _LONG, _INT, _TEXT = "DOUBLE", "BIGINT", "INTEGER", "VARCHAR"

COLUMNS: dict[str, dict[str, str]] = {
    "quotes": {
        "intdate": _LONG,
        "ticker": _TEXT,
        **dict.fromkeys(("last_close", "open", "max", "min", "last"), _DOUBLE),
        "qty_bid": _LONG,
        "bid": _DOUBLE,
        "ask": _DOUBLE,
        "qty_ask": _LONG,
        **dict.fromkeys(("num_trades", "qty_total", "total_volume"), _DOUBLE),
    },
    "options": {
        "intdate": _LONG,
        **dict.fromkeys(("ticker", "optn_ua", "optn_style", "optn_tp"), _TEXT),
        "optn_expn_days": _INT,
        "optn_expn_date": _TEXT,
        **dict.fromkeys(("optn_strike", "optn_bs_delta"), _DOUBLE),
        **dict.fromkeys(("optn_mkt_bid", "optn_bs_bid", "optn_mktbs_bid", "ua_mkt_bid"), _DOUBLE),
        **dict.fromkeys(("optn_mkt_ask", "optn_bs_ask", "optn_mktbs_ask", "ua_mkt_ask"), _DOUBLE),
        **dict.fromkeys(("bid_volimp", "bid_volcone", "ask_volimp", "ask_volcone"), _DOUBLE),
    },
    "rejects": {
        "intdate": _LONG,
        **dict.fromkeys(("source_file", "table_name", "ticker", "column_name", "text", "reason"), _TEXT),
    },
}
PARTITION = {"year": _INT, "month": _INT, "day": _INT}
# The table of what is published, one row for each day.
PUBLISHED = {
    "day": "DATE",
    "run": _TEXT,
    "number": _LONG,
    "published_at": "TIMESTAMP",
    **dict.fromkeys(("quotes_rows", "options_rows", "rejects_rows", "raw_files", "raw_bytes"), _LONG),
    "held": "BOOLEAN",
}
# The time of the snapshot in Sao Paulo, without a zone. `intdate` is YYYYMMDDHHmm.
TIME = (
    "make_timestamp(intdate // 100000000, intdate // 1000000 % 100, intdate // 10000 % 100, "
    "intdate // 100 % 100, intdate % 100, 0)"
)
# Of two rows of one instrument and time, the later one comes first: the one with more trades. The order is total.
LATEST = (
    "num_trades DESC NULLS LAST, qty_total DESC NULLS LAST, total_volume DESC NULLS LAST, last DESC NULLS LAST, "
    "bid DESC NULLS LAST, ask DESC NULLS LAST, qty_bid DESC NULLS LAST, qty_ask DESC NULLS LAST, "
    "max DESC NULLS LAST, min DESC NULLS LAST, open DESC NULLS LAST, last_close DESC NULLS LAST"
)


def empty(table: str, *, time: bool = False) -> str:
    """Returns SQL of a table without rows."""
    columns = PUBLISHED if table == "published" else COLUMNS[table] | PARTITION
    columns = ({"time": "TIMESTAMP"} if time else {}) | columns
    return "SELECT " + ", ".join(f"NULL::{type_} AS {name}" for name, type_ in columns.items()) + " WHERE false"


def with_all_columns(table: str, source: str) -> str:
    """Returns SQL of a source with all columns: days that were published before one was added have NULL there."""
    return f"(SELECT * FROM ({empty(table)}) UNION ALL BY NAME SELECT * FROM {source})"


def one_of(column: str, values: Iterable[str], parameters: dict[str, object]) -> str:
    """Returns a condition, and adds its values to the parameters of the statement."""
    names = []
    for value in values:
        names.append(f"p{len(parameters)}")
        parameters[names[-1]] = value
    return f"{column} IN ({', '.join('$' + name for name in names)})" if names else "false"


def date_literal(day: datetime.date) -> str:
    """Returns a date as a literal of SQL."""
    return f"DATE '{day.isoformat()}'"


def text_literal(text: str) -> str:
    """Returns a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
