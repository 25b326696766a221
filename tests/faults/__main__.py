"""Makes every call of an upload, a run by each engine, and `watch` fail once, in every way: `python3 tests/faults --all`.

`tests/run.py` runs a sample (`tests/test_faults.py`). Creates the virtual environment of the tests and builds the binary;
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
from faults.cases import RUN, RUN_LAMBDA, UPLOAD, WATCH  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 tests/faults",
        description="Make each call of an upload, a run by each engine, and `watch` fail once.",
    )
    parser.add_argument("--all", action="store_true", help="all cases of one fault")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="N of these cases, selected by the seed")
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="N cases of two faults, selected by the seed")
    parser.add_argument(
        "--clients", type=int, default=0, metavar="N", help="rounds of concurrent clients on a faulty endpoint"
    )
    parser.add_argument(
        "--case", action="append", default=[], metavar="CASE", help="a case, in the form in which a violation names it"
    )
    parser.add_argument(
        "--command",
        choices=[UPLOAD, RUN, RUN_LAMBDA, WATCH],
        help="with --all or --sample: only faults of this command",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample, the pairs and the rounds (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=2 * (os.cpu_count() or 1), help="concurrent cases (default: two per core)"
    )
    # This command runs itself with this option in the virtual environment.
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.all or arguments.sample or arguments.pairs or arguments.clients or arguments.case):
        parser.error("choose what to run: --all, --sample N, --pairs N, --clients N or --case CASE")
    if not arguments.prepared:
        run.search(HERE)

    from faults.search import Search

    # Each case is a lake of its own.
    with run.search_folder("faults") as folder:
        search = Search(Path(folder), arguments.seed, arguments.jobs, say)
        if arguments.case:
            search.run(search.parse(arguments.case))
        if arguments.all:
            search.run(search.singles(arguments.command))
        elif arguments.sample:
            search.run(search.sample(arguments.sample, arguments.command))
        if arguments.pairs:
            search.run(search.pairs(arguments.pairs))
        if arguments.clients:
            search.rounds(arguments.clients)
    for line in search.summary():
        say(line)
    return 1 if search.violations else 0


def say(line: str) -> None:
    print(f"tests/faults: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
