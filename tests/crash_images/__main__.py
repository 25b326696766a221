"""States of the disk after a power failure: `python3 tests/crash_images --images 300 --seed 1`.

Records the writes, syncs and renames of an upload and a run with `strace`, and opens homes as a power failure at any step
could leave them. Each table and day must have the rows from before or those from after, and the next run must complete.
`tests/run.py` runs a sample (`tests/test_crash_images.py`). Creates the virtual environment of the tests and builds the
binary; PREGAO names an existing one. The exit code is 1 when an image violated an invariant.
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
    parser = argparse.ArgumentParser(
        prog="python3 tests/crash_images", description="Test homes as a power failure could leave them."
    )
    parser.add_argument("--images", type=int, default=300, help="the number of images (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the images (default: 1)")
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
