"""The benchmark: `python3 bench` measures all of it, `python3 bench engines` one section. It is no part of the tests.

Makes a virtual environment of its own under cargo's target directory, with what bench/requirements.txt pins, builds the
product, makes the raw files, measures, and writes bench/results/: one JSON a section, and from all that are there the
table (README.md) and the picture (engines.svg).

It wants a machine that does nothing else, and says so if it has none. All of it takes about a quarter of an hour there,
once everything is built, and 5 GB of disk; `--quick` takes a few minutes, and its figures are only good to see that it
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
