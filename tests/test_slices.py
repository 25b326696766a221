"""A run with more raw files than one audit takes is audited and published in slices."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import LAKE, Lake, assert_published
from test_cli import document
from test_engines import states

DAYS = ["20200401", "20200402", "20200403", "20200406"]
RUN = ["run", "--from", "2020-04-01", "--to", "2020-04-06", "--format", "json"]
RAW = "pregao-raw"


@pytest.fixture
def uploaded(lake: Lake, tmp_path: Path) -> Lake:
    rawfiles.write_market(tmp_path / "raw", seed=15, days=DAYS, snapshots=4)
    lake.upload(tmp_path / "raw")
    return lake


def sizes(lake: Lake) -> Counter[str]:
    """Returns the size of the raw files of each day."""
    by_day: Counter[str] = Counter()
    for key, body in lake.objects(RAW).items():
        by_day[key.split("date=")[1][:10]] += len(body)
    return by_day


def limit(size: int) -> list[str]:
    return ["--set", f"quality.max_audit_bytes={size}"]


@pytest.mark.parametrize("engine", ["emr", "lambda"])
def test_a_range_is_published_in_slices(uploaded: Lake, tmp_path: Path, engine: str):
    largest = max(sizes(uploaded).values())
    done = uploaded.run(*limit(largest), *RUN, "--engine", engine)
    assert "ValidateStaged" in states(done) and "4 slices" in states(done), done
    assert_published(uploaded, tmp_path / "raw")
    published = document(done, "run")
    expected = oracle.read_folder(tmp_path / "raw")
    for table in published["published"]:
        assert (table["partitions"], table["rows"]) == (4, len(expected.rows[table["table"]])), table
        if table["table"] != "rejects":
            counted = table["records"]
            assert counted == {name: expected.total(table["table"], name) for name in counted}
    keys = set(uploaded.objects(LAKE, "quality/"))
    folders = ["", "slice=1/", "slice=2/", "slice=3/"]
    assert keys == {
        f"quality/run={published['run']}/{folder}{table}.json" for folder in folders for table in oracle.TABLES
    }
    assert "nothing" in uploaded.run("verify", "--deep").out + uploaded.run("run", "--stale").out
    # A second run compares with the report of the slice that each record names.
    uploaded.run(*RUN, "--engine", engine)
    assert_published(uploaded, tmp_path / "raw")


def test_a_failed_day_does_not_keep_other_slices_from_being_published(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    for day in DAYS:
        cells = {"Ult": "1k2k"} if day == DAYS[2] else {}
        rawfiles.write(raw, "quotes", f"{day}1000", [rawfiles.quote("PETR4", **cells)])
    lake.upload(raw)
    failed = lake.fails(*limit(max(sizes(lake).values())), *RUN)
    error = json.loads(failed.out)["error"]
    assert "the audit of 2020-04-03 failed, which is not published; the other 3 days passed" in error["message"], error
    assert "slice=2/quotes.json" in error["message"], error
    days = lake.query("SELECT DISTINCT day FROM quotes")
    assert sorted(row["day"] for row in days) == [1, 2, 6]


def test_a_day_that_no_audit_takes_is_refused_before_anything_runs(uploaded: Lake):
    day, largest = sizes(uploaded).most_common(1)[0]
    for plan in ([], ["--plan"]):
        refused = uploaded.fails(*limit(largest - 1), *RUN, *plan)
        message = f"the raw files of {day} have {largest} bytes, and one audit takes {largest - 1}"
        assert message in refused.output, refused
    assert uploaded.stored_runs() == set()


def test_killed_between_slices_the_next_run_completes(uploaded: Lake, tmp_path: Path):
    """A slice that is published stays published, and the next run publishes the others."""
    largest = max(sizes(uploaded).values())
    fault = f"service=s3&op=PutObject&key={LAKE}/runs/*/slice=1/audit.json:abort"
    with uploaded.started(*limit(largest), "local", "--faults", fault) as process:
        process.wait_for_line(lambda line: "http://" in line)
        assert uploaded.run(*RUN, check=False).code != 0
        process.wait()
    assert not [key for key in uploaded.objects(LAKE) if key.endswith("slice=1/audit.json")], "it was killed before"
    uploaded.run(*limit(largest), *RUN)
    assert_published(uploaded, tmp_path / "raw")
