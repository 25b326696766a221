"""Many short runs against one endpoint: `python3 tests/soak --runs 2000`.

It finds failures that occur once in a hundred runs. `tests/run.py` makes 40 runs (`tests/test_soak.py`). Creates the
virtual environment of the tests and builds the binary; PREGAO names an existing one. The exit code is 1 when any run failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 tests/soak", description="Run a small day many times over.")
    parser.add_argument("--runs", type=int, default=500, help="the number of runs (default: 500)")
    parser.add_argument(
        "--home", type=Path, help="an empty folder for the lake, which is kept (default: a temporary one)"
    )
    # This command runs itself with this option in the virtual environment.
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs has to be at least 1")
    if arguments.home and arguments.home.exists() and any(arguments.home.iterdir()):
        parser.error(f"{arguments.home} is not empty")
    if not arguments.prepared:
        run.search(HERE)

    from short_runs import soak

    with tempfile.TemporaryDirectory(prefix="pregao-soak-") as temporary:
        folder = arguments.home.resolve() if arguments.home else Path(temporary)
        summary = soak(folder, arguments.runs, say)
    for line in summary.lines():
        say(line)
    return 1 if summary.failures else 0


def say(line: str) -> None:
    print(f"tests/soak: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
