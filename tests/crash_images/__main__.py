"""States of the disk after a power failure: `python3 tests/crash_images --images 300 --seed 1`.

Records with `strace` what an upload and a run write, sync and rename, and opens homes as a power failure could leave them at any
step. Each table and day must be as before or as after, and the next run must complete. Apart from `tests/run.py`,
which takes a sample (`tests/test_crash_images.py`). Creates the virtual environment of the tests and builds the binary;
PREGAO names one that is built already. The exit code is 1 when any image was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 tests/crash_images", description="Lose the power at any step.")
    parser.add_argument("--images", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="which of them (default: 1)")
    # This command runs itself with this option in the virtual environment.
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.images < 1:
        parser.error("--images has to be at least 1")
    if not arguments.prepared:
        run.search(HERE, run.prepare_tracer)

    from crash_images.search import search

    with tempfile.TemporaryDirectory(prefix="pregao-crash-") as folder:
        summary = search(Path(folder).resolve(), arguments.images, arguments.seed, say)
    for line in summary.lines():
        say(line)
    return 1 if summary.violations else 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
