"""Six days of the real size, 1.5 million rows, are processed end to end in half a gigabyte of memory."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import oracle
from lake import Lake

MEMORY_LIMIT = 512 * 1024  # kB
# A small process starts the command, because the kernel adds the memory of the parent process
# to the peak of a new process.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def count_records(path: Path) -> int:
    """Returns the number of records of a raw file: its lines that are not empty, minus the header."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return sum(1 for line in data.split(b"\n") if line.rstrip(b"\r")) - 1


def test_six_days_of_the_real_size(tmp_path: Path):
    lake = Lake(tmp_path / "home")
    lake.run("sample", "--out", tmp_path / "raw", "--from", "2020-04-01", "--days", "6")
    records = {feed.name: 0 for feed in oracle.FEEDS.values()}
    for feed in oracle.FEEDS.values():
        records[feed.name] = sum(count_records(path) for path in (tmp_path / "raw").rglob(f"*_{feed.suffix}.csv*"))
    assert sum(records.values()) > 1_400_000, records

    for command in (["upload", tmp_path / "raw"], ["run", "--from", "2020-04-01", "--to", "2020-04-09"]):
        peak = tmp_path / "peak"
        Lake(lake.home, prefix=[sys.executable, "-c", MEASURE, str(peak)]).run(*command)
        kilobytes = int(peak.read_text())
        assert kilobytes < MEMORY_LIMIT, f"pregao {command[0]} took {kilobytes // 1024} MB"

    for feed, count in records.items():
        report = lake.quality_report(feed)["records"]
        assert report["records"] == count
        dropped = report["blank_ticker"] + report["header_repeat"] + report["ragged"]
        assert lake.query(f"SELECT count(*) AS n FROM {feed}") == [{"n": count - dropped}]
        ragged = f"SELECT count(*) AS n FROM rejects WHERE table_name = '{feed}' AND column_name = ''"
        assert lake.query(ragged) == [{"n": report["ragged"]}]
