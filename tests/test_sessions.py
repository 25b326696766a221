"""The hours of the session depend on the date: a complete day has no gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rawfiles
from lake import Lake
from rawfiles import option, quote

STRICT = ("--set", "quality.fail_on_missing_snapshots=true")


def write_day(folder: Path, day: str, first: str, last: str) -> None:
    """Writes snapshots of both feeds, every ten minutes from the first time to the last."""
    minute = lambda time: int(time[:2]) * 60 + int(time[3:])  # noqa: E731
    for at in range(minute(first), minute(last) + 1, 10):
        time = f"{day.replace('-', '')}{at // 60:02}{at % 60:02}"
        rawfiles.write(folder, "quotes", time, [quote("PETR4")])
        rawfiles.write(folder, "options", time, [option("PETRD15")])


# Ash Wednesday, then days before and after the changes that B3 announced.
@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        ("2020-02-26", "13:00", "17:50"),
        ("2025-03-05", "13:00", "17:50"),
        ("2020-03-06", "10:00", "17:50"),
        ("2020-03-09", "10:00", "16:50"),
        ("2020-10-30", "10:00", "16:50"),
        ("2020-11-03", "10:00", "17:50"),
    ],
)
def test_a_complete_day_has_no_gap(lake: Lake, tmp_path: Path, day: str, first: str, last: str):
    write_day(tmp_path / "raw", day, first, last)
    lake.upload(tmp_path / "raw")
    lake.publish(day, None, *STRICT)
    status = json.loads(lake.run("status", "--from", day, "--to", day, "--format", "json").out)
    (entry,) = status
    for feed in ("quotes", "options"):
        counts = entry["raw_files"][feed]
        assert counts["present"] == counts["expected"] == counts["files"], entry


def test_a_missing_snapshot_after_a_late_opening_is_reported(lake: Lake, tmp_path: Path):
    write_day(tmp_path / "raw", "2020-02-26", "13:10", "17:50")
    lake.upload(tmp_path / "raw")
    failed = lake.fails("run", "--from", "2020-02-26", *STRICT)
    assert "missing_snapshots: 1 of 30 snapshots" in failed.output, failed


def test_hours_of_certain_days_are_configured(lake: Lake, tmp_path: Path):
    write_day(tmp_path / "raw", "2020-04-01", "11:00", "12:50")
    write_day(tmp_path / "raw", "2020-04-02", "10:00", "16:50")
    config = tmp_path / "pregao.toml"
    config.write_text(
        '[session]\nclose = "17:00"\n'
        '[[session.hours]]\nfrom = 2020-04-01\nto = 2020-04-01\nopen = "11:00"\nclose = "13:00"\n'
    )
    lake.run("--config", config, "upload", tmp_path / "raw")
    lake.run("--config", config, *STRICT, "run", "--from", "2020-04-01", "--to", "2020-04-02")
    config.write_text('[[session.hours]]\nfrom = 2020-04-01\nopen = "18:00"\nclose = "13:00"\n')
    failed = lake.fails("--config", config, "status")
    assert "open 18:00 is not before close 13:00" in failed.output, failed
