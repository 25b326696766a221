"""A wrong day is not published: the run names the failed check with examples, and the previous data stays published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

import oracle
import rawfiles
from lake import Lake, assert_same_rows
from rawfiles import option, quote

TICKERS = [f"TST{letter}3" for letter in "ABCDEFGHIJKLMNOPQRST"]
SNAPSHOTS = ["202004021000", "202004021010"]


class Wrong(NamedTuple):
    """Quotes that are wrong in one way, from the second snapshot of the day on."""

    cells: dict  # the cells that differ from a plausible record
    check: str  # the check that must fail
    setting: str  # the setting with which the check accepts them


WRONG = {
    "a volume ten times too high": Wrong(dict(VolTot="57m62"), "average_price", "quality.max_domain_share=1"),
    "a quantity read as the old system did": Wrong(dict(QTot="37m91"), "average_price", "quality.max_domain_share=1"),
    "bids above asks": Wrong(dict(Ofc="15,40", Ofv="15,30"), "bid_ask", "quality.max_domain_share=1"),
    "a last price above the highest": Wrong(dict(Ult="16,01"), "last_in_range", "quality.max_domain_share=1"),
    "totals that fall": Wrong(dict(QTot="100k", VolTot="1m52"), "totals_fall", "quality.max_domain_share=1"),
    "cells that are not numbers": Wrong(dict(Ult="12a", Fec="R$ 5"), "rejected_cells", "quality.max_reject_share=1"),
}


def write_day(folder: Path, wrong: dict) -> None:
    """Writes a small day of quotes and options; `wrong` replaces cells of the quotes in its second snapshot."""
    for time, cells in zip(SNAPSHOTS, [{}, wrong], strict=True):
        rawfiles.write(folder, "quotes", time, [quote(ticker, **cells) for ticker in TICKERS])
        rawfiles.write(folder, "options", time, [option(f"{ticker[:4]}D15") for ticker in TICKERS])


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_day_is_not_published(lake: Lake, tmp_path: Path, what: str):
    wrong = WRONG[what]
    write_day(tmp_path / "good", {})
    write_day(tmp_path / "bad", wrong.cells)
    good, bad = oracle.read_folder(tmp_path / "good"), oracle.read_folder(tmp_path / "bad")
    lake.upload(tmp_path / "good")
    lake.publish("2020-04-02")
    lake.upload(tmp_path / "bad")

    failed = lake.fails("run", "--from", "2020-04-02")
    for word in ("QualityError", wrong.check, "quotes", "2020-04-02"):
        assert word in failed.output, f"{word!r} is not in the output of the run:\n{failed}"
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), good.rows[table])

    lake.publish("2020-04-02", None, "--set", wrong.setting)
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), bad.rows[table])


def test_a_wrong_day_does_not_keep_the_others_from_being_published(lake: Lake, tmp_path: Path):
    days = ["20200401", "20200402", "20200403", "20200406"]
    wrong = [days[1], days[3]]
    for day in days:
        cells = dict(Ofc="15,40", Ofv="15,30") if day in wrong else {}
        folder = tmp_path / ("wrong" if day in wrong else "right")
        for time, replaced in zip([f"{day}1000", f"{day}1010"], [{}, cells], strict=True):
            rawfiles.write(folder, "quotes", time, [quote(ticker, **replaced) for ticker in TICKERS])
            rawfiles.write(folder, "options", time, [option(f"{ticker[:4]}D15") for ticker in TICKERS])
    lake.upload(tmp_path / "wrong")
    lake.upload(tmp_path / "right")
    expected = oracle.read_folder(tmp_path / "right")

    failed = lake.fails("run", "--from", "2020-04-01", "--to", "2020-04-06")
    for words in ("QualityError", "the audit of 2020-04-02, 2020-04-06 failed", "the other 2 days passed", "bid_ask"):
        assert words in failed.output, f"{words!r} is not in the output of the run:\n{failed}"
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    report = lake.quality_report("quotes")
    assert not report["passed"] and report["failed_days"] == ["2020-04-02", "2020-04-06"]
    states = {day["day"]: day["state"] for day in json.loads(lake.run("status", "--format", "json").out)}
    # The published days have fewer snapshots than a session.
    assert list(states.values()) == ["incomplete", "failed", "incomplete", "failed"], states
    # Files, manifests, reports and the catalog agree on the days that passed.
    assert lake.run("verify", "--deep").code == 0

    # A repaired day is published by the next run of stale days, and nothing else is.
    rawfiles.write(tmp_path / "mended", "quotes", f"{wrong[0]}1010", [quote(ticker) for ticker in TICKERS])
    lake.upload(tmp_path / "mended")
    ran = json.loads(lake.run("run", "--stale", "--format", "json").out)
    assert ran["ranges"] == [{"from": "2020-04-02", "to": "2020-04-02"}]


def test_a_few_wrong_rows_are_reported_and_pass(lake: Lake, tmp_path: Path):
    """The limits are shares: one deviating row in a hundred is normal in a market, not a misread day."""
    tickers = [f"T{number:03}3" for number in range(200)]
    rows = [quote(tickers[0], Ofc="15,40"), *map(quote, tickers[1:])]
    rawfiles.write(tmp_path / "raw", "quotes", SNAPSHOTS[0], rows)
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-02")
    check = next(check for check in lake.quality_report("quotes")["checks"] if check["name"] == "bid_ask")
    assert (check["checked"], check["failing"], check["passed"]) == (200, 1, True)


def test_missing_snapshots_are_reported_and_fail_only_if_configured(lake: Lake, tmp_path: Path):
    write_day(tmp_path / "raw", {})
    lake.upload(tmp_path / "raw")
    failed = lake.fails("--set", "quality.fail_on_missing_snapshots=true", "run", "--from", "2020-04-02")
    assert "missing" in failed.output, failed
    done = lake.publish("2020-04-02")
    assert "missing" in done.output, done
