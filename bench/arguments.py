"""The command line of `python3 bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

# In the order in which they are measured and written.
SECTIONS = [
    "engines", "stages", "scaling", "threads", "pipeline", "upload", "query", "status", "backfill", "freshness", "large_day",
    "functions", "transform",
]  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 bench",
        description="Compare the engine and the product with the alternatives. Sections: all, or some of "
        + ", ".join(SECTIONS),
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="a section to measure")
    parser.add_argument("--rounds", type=int, help="how often each contestant runs (default: 5; --quick: 1)")
    parser.add_argument(
        "--days", type=int, help="days of raw files, of 250,000 rows (default: 6, the real size; --quick: 1)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="little data, one round, scaling up to 10x: only to check that it works"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="ENGINE", help="leave out an engine: polars, duckdb or spark"
    )
    parser.add_argument("--pregao", type=Path, help="an existing binary")
    parser.add_argument("--stages", type=Path, help="an existing binary of the example `stages`")
    parser.add_argument("--functions", type=Path, help="a folder of NAME/bootstrap, as `cargo lambda build` writes it")
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).resolve().parent / "results", help="the folder for the results"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"there is no section {min(unknown)}: choose from {', '.join(SECTIONS)}")
    arguments.sections = [name for name in SECTIONS if name in (arguments.sections or SECTIONS)]
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    arguments.days = arguments.days or (1 if arguments.quick else 6)
    return arguments
