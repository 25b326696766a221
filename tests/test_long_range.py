"""A range of many years is one run: no statement of audit, publication or `status` exceeds Athena's limits."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import rawfiles
from lake import Lake
from rawfiles import option, quote

FIRST, LAST = 2009, 2020


def wednesdays() -> list[datetime.date]:
    """Returns the second Wednesday of each month."""
    days = []
    for month in range(FIRST * 12, (LAST + 1) * 12):
        first = datetime.date(month // 12, month % 12 + 1, 1)
        days.append(first + datetime.timedelta(days=(2 - first.weekday()) % 7 + 7))
    return days


def test_twelve_years_are_one_run(lake: Lake, tmp_path: Path):
    days = wednesdays()
    for day in days:
        time = f"{day:%Y%m%d}1320"
        rawfiles.write(tmp_path / "raw", "quotes", time, [quote("PETR4"), quote("VALE3")])
        rawfiles.write(tmp_path / "raw", "options", time, [option()])
    lake.upload(tmp_path / "raw")
    span = ("--from", f"{FIRST}-01-01", "--to", f"{LAST}-12-31")
    lake.run("run", *span)
    for table, rows in {"quotes": 2, "options": 1}.items():
        counted = lake.query(f"SELECT year, month, day, count(*) AS n FROM {table} GROUP BY 1, 2, 3")
        assert sorted(tuple(map(int, row.values())) for row in counted) == [
            (day.year, day.month, day.day, rows) for day in days
        ]
    status = json.loads(lake.run("status", *span, "--format", "json").out)
    published = [day["day"] for day in status if day["run"]]
    assert sorted(published) == [day.isoformat() for day in days]
