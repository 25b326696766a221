"""Measures `pregao status` in a lake of ten years, and `aws s3 ls` of the same raw files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import lake_home
import machine
import many_days

DAYS = 2_500
# Snapshots of each feed and day: one, and those of a day with gaps.
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
    """Returns a home with these days, made once: 135,000 objects take some minutes."""
    done = bench.scratch / f"status-{days}-{snapshots}"
    if not done.exists():
        bench.say(f"status: making {days} days of {2 * snapshots} raw files")
        making = bench.scratch / "status-making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        with lake_home.endpoint(bench.pregao, making / "home") as url:
            many_days.derive(url, many_days.publish(url, days, snapshots))
        making.rename(done)
    return done / "home"
