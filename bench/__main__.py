"""Runs the benchmark: `python3 bench` runs all sections, `python3 bench engines` one of them. It is not part of the tests.

Creates its own virtual environment in cargo's target directory, with the packages of bench/requirements.txt, builds the
product, generates the raw files, measures, and writes bench/results/: one JSON file per section, and from these the
tables (README.md) and the chart (engines.svg).

It needs an idle machine, and warns if the machine is busy. All sections take about 30 minutes
once everything is built, and 15 GB of disk. `--quick` takes a few minutes, and only checks that the benchmark
works.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import run  # noqa: E402

IN_ENVIRONMENT = "PREGAO_BENCH_TARGET"


def main() -> int:
    if IN_ENVIRONMENT in os.environ:
        import bench

        return bench.main(Path(os.environ[IN_ENVIRONMENT]))
    if {"-h", "--help"} & set(sys.argv[1:]):
        import arguments

        arguments.parse()
    try:
        target = run.target_directory()
        python = run.prepare_environment(target / "bench-venv", [HERE / "requirements.txt"])
    except run.Failure as failure:
        run.say(f"FAILED: {failure}")
        return 1
    environment = {**os.environ, IN_ENVIRONMENT: str(target)}
    os.execve(python, [str(python), str(HERE), *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
