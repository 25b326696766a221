"""Kills a vacuum at random moments: `python3 tests/vacuum --kills 100`.

`tests/run.py` runs a sample (`tests/test_vacuum.py`). Creates the virtual environment of the tests and builds the binary;
PREGAO names an existing one. The exit code is 1 when a case violated an invariant.
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
    parser = argparse.ArgumentParser(prog="python3 tests/vacuum", description="Kill a vacuum at random moments.")
    parser.add_argument("--kills", type=int, default=100, help="the number of kills (default: 100)")
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the first case; each further case has the next seed (default: 1)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="concurrent cases (default: one per core)"
    )
    # This command runs itself with this option in the virtual environment.
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kills < 1 or arguments.jobs < 1:
        parser.error("--kills and --jobs have to be at least 1")
    if not arguments.prepared:
        run.search(HERE)

    from vacuum.kills import Search

    # Each case is a lake of its own.
    with run.search_folder("vacuum") as folder:
        search = Search(Path(folder), arguments.jobs, say)
        search.run(range(arguments.seed, arguments.seed + arguments.kills))
        for line in search.summary():
            say(line)
    return 1 if search.violations else 0


def say(line: str) -> None:
    print(f"tests/vacuum: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
