"""Bars of quotes, as SQL."""

from __future__ import annotations

import re

from ._days import ash_wednesday
from ._tables import TIME, date_literal

_DAY = 24 * 60
_UNITS = {"m": 1, "min": 1, "h": 60, "d": _DAY}
# Ash Wednesday opens then.
_LATE_OPENING = 13 * 60


def minutes(text: str) -> int:
    """Returns the minutes of a duration such as `30m`, `1h` or `1d`."""
    match = re.fullmatch(r"([0-9]+)(m|min|h|d)", text)
    if not match or not int(match[1]):
        raise ValueError(f"{text!r} is no duration such as 30m, 1h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def sql(source: str, every: str, gaps: str, opening: str, years: list[int]) -> str:
    """Returns the SQL of bars from quotes that have one row for each time and ticker."""
    width = minutes(every)
    if _DAY % width:
        raise ValueError(f"bars of {every} do not divide a day")
    if gaps not in ("span", "null"):
        raise ValueError(f"gaps={gaps!r}: span or null")
    if not re.fullmatch(r"[0-2][0-9]:[0-5][0-9]", opening):
        raise ValueError(f"opening={opening!r} is no time such as 10:00")
    opens = int(opening[:2]) * 60 + int(opening[3:])
    late = ", ".join(date_literal(ash_wednesday(year)) for year in years)
    # Totals count only where a snapshot has all three, so that the three of a bar are of the same times.
    traded = ", ".join(
        f"CASE WHEN {'NOT gap' if gaps == 'null' else 'true'} THEN {total} - coalesce({total}_before, 0) END AS {name}"
        for total, name in (("total_volume", "volume"), ("qty_total", "quantity"), ("num_trades", "trades"))
    )
    slot = f"INTERVAL {width} MINUTE"
    return f"""
WITH snapshots AS (
    SELECT *, {TIME} AS seen_at, time_bucket({slot}, {TIME}, TIMESTAMP '2000-01-01') AS slot,
        total_volume IS NOT NULL AND qty_total IS NOT NULL AND num_trades IS NOT NULL AS has_totals
    FROM {source}
), slots AS (
    SELECT ticker, slot, count(*) AS snapshots,
        arg_min(last, seen_at) AS open, max(last) AS high, min(last) AS low, arg_max(last, seen_at) AS close,
        max(seen_at) FILTER (has_totals) AS counted_at,
        arg_max(total_volume, seen_at) FILTER (has_totals) AS total_volume,
        arg_max(qty_total, seen_at) FILTER (has_totals) AS qty_total,
        arg_max(num_trades, seen_at) FILTER (has_totals) AS num_trades
    FROM snapshots GROUP BY ticker, slot
), before AS (
    SELECT *,
        lag(counted_at IGNORE NULLS) OVER day AS since,
        lag(total_volume IGNORE NULLS) OVER day AS total_volume_before,
        lag(qty_total IGNORE NULLS) OVER day AS qty_total_before,
        lag(num_trades IGNORE NULLS) OVER day AS num_trades_before
    FROM slots WINDOW day AS (PARTITION BY ticker, slot::DATE ORDER BY slot)
), marked AS (
    SELECT *, CASE
        WHEN counted_at IS NULL THEN false
        WHEN since IS NULL THEN slot >= time_bucket({slot}, slot::DATE::TIMESTAMP + to_minutes(
            CASE WHEN slot::DATE IN ({late or "NULL"}) THEN {max(opens, _LATE_OPENING)} ELSE {opens} END
        ), TIMESTAMP '2000-01-01') + {slot}
        ELSE since < slot - {slot} END AS gap
    FROM before
)
SELECT slot AS time, ticker, open, high, low, close, {traded}, snapshots, since, gap
FROM marked ORDER BY time, ticker"""
