"""Measures `pregao status` in a lake of ten years, and `aws s3 ls` of the same raw files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import lake_home
import machine
import many_days

DAYS = 2_500
# Snapshots per feed and day in the two measurements: one, and the number of a day with gaps.
SNAPSHOTS = (1, 27)
QUICK_DAYS = 50


def measure(bench) -> dict:
    days = QUICK_DAYS if bench.quick else DAYS
    return {"days": days, "points": [_measure(bench, days, snapshots) for snapshots in SNAPSHOTS]}


def _measure(bench, days: int, snapshots: int) -> dict:
    home = _lake(bench, days, snapshots)
    aws = Path(sys.executable).parent / "aws"

    def status():
        command = [bench.pregao, "--home", home, "--set", f"quality.min_snapshots={snapshots}", "status"]
        return machine.measure(command, environment=lake_home.environment(home))

    def listing():
        with lake_home.endpoint(bench.pregao, home) as url:
            environment = lake_home.environment(home, **lake_home.client(url))
            command = [sys.executable, aws, "s3", "ls", "--recursive", f"s3://{lake_home.RAW}/"]
            return machine.measure(command, environment=environment)

    samples = machine.in_turn({"pregao status": status, "aws s3 ls": listing}, bench.rounds, bench.say)
    return {"files": 2 * days * snapshots, "samples": samples}


def _lake(bench, days: int, snapshots: int) -> Path:
    """Returns a home with these days. It is created once, because 135,000 objects take minutes."""
    done = bench.scratch / f"status-{days}-{snapshots}"
    if not done.exists():
        bench.say(f"status: creating {days} days of {2 * snapshots} raw files")
        partial = bench.scratch / "status-partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with lake_home.endpoint(bench.pregao, partial / "home") as url:
            many_days.derive(url, many_days.publish(url, days, snapshots))
        partial.rename(done)
    return done / "home"
