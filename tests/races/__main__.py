"""Concurrent runs of one day while its raw files change: `python3 tests/races --rounds 200`.

`tests/run.py` runs a sample (`tests/test_races.py`). Creates the virtual environment of the tests and builds the binary;
PREGAO names an existing one. The exit code is 1 when a round violated an invariant.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 tests/races", description="Run a day several times at once while its raw files change."
    )
    parser.add_argument("--rounds", type=int, default=200, help="the number of rounds (default: 200)")
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the first round; each further round has the next seed (default: 1)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="concurrent rounds (default: one per core)"
    )
    parser.add_argument("--stop", action="store_true", help="end with the first round that violates an invariant")
    # This command runs itself with this option in the virtual environment.
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.jobs < 1:
        parser.error("--rounds and --jobs have to be at least 1")
    if not arguments.prepared:
        run.search(HERE)

    from races.search import Search

    # Each round is a lake of its own.
    with run.search_folder("races") as folder:
        search = Search(Path(folder), arguments.jobs, say)
        search.run(range(arguments.seed, arguments.seed + arguments.rounds), stop=arguments.stop)
        for line in search.summary():
            say(line)
    return 1 if search.violations else 0


def say(line: str) -> None:
    print(f"tests/races: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
