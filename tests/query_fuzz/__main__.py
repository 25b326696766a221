"""Generated queries, answered by the embedded Athena and by DuckDB: `python3 tests/query_fuzz --queries 100000`.

`tests/run.py` runs a sample (`tests/test_query_fuzz.py`). Creates the virtual environment of the tests and builds the binary;
PREGAO names an existing one. Prints the smallest query found of each round that is answered differently, in both dialects. The exit
code is 1 when there is one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import run  # noqa: E402

# Queries of a round. Hypothesis remembers what it has generated in a round, and becomes slow with more.
ROUND = 500


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 tests/query_fuzz", description="Compare answers to generated queries with DuckDB's."
    )
    parser.add_argument("--queries", type=int, default=100_000, help="the number of queries (default: 100000)")
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the first round; each further round has the next seed (default: 1)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="concurrent rounds (default: one per core)"
    )
    # This command runs itself with this option in the virtual environment.
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.queries < 1 or arguments.jobs < 1:
        parser.error("--queries and --jobs have to be at least 1")
    if not arguments.prepared:
        run.search(HERE)

    from query_fuzz.rounds import search

    rounds = -(-arguments.queries // ROUND)
    with run.search_folder("query-fuzz") as folder:
        seeds = range(arguments.seed, arguments.seed + rounds)
        found = search(Path(folder), seeds, ROUND, arguments.jobs, say)
    return 1 if found else 0


def say(line: str) -> None:
    print(f"tests/query_fuzz: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
