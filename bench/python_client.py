"""Times the Python package against DuckDB by hand, and with a running endpoint against PyAthena.

    pregao sample --out raw --days 60 && pregao upload raw && pregao run --from 2020-04-01 --to 2020-06-29
    target/test-venv/bin/python bench/python_client.py --home .pregao

Both read the same files into Polars, in turn, so that a busy machine slows both. `pregao local` and AWS_ENDPOINT_URL add PyAthena.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
import duckdb
import polars

import pregao
from pregao._tables import COLUMNS, TIME

FOUR = ["intdate", "ticker", "optn_mkt_bid", "optn_mkt_ask"]
# The job, the call of the package, and the SQL by hand, in which FILES stands for the files.
JOBS: dict[str, tuple[Callable[[pregao.Lake], polars.DataFrame], str, str]] = {
    "quotes of PETR4": (
        lambda lake: lake.quotes("PETR4"),
        "quotes",
        f"SELECT {TIME} AS time, * FROM FILES WHERE ticker = 'PETR4' ORDER BY intdate",
    ),
    "options of PETR4": (
        lambda lake: lake.options("PETR4"),
        "options",
        f"SELECT {TIME} AS time, * FROM FILES WHERE optn_ua = 'PETR4'",
    ),
    "options of PETR4, the columns of the files": (
        lambda lake: lake.options("PETR4", columns=[*COLUMNS["options"]]),
        "options",
        "SELECT * FROM FILES WHERE optn_ua = 'PETR4'",
    ),
    "four columns of all options": (
        lambda lake: lake.options(columns=FOUR),
        "options",
        f"SELECT {', '.join(FOUR)} FROM FILES",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the Python package.")
    parser.add_argument("--home", default=".pregao")
    parser.add_argument("--repeat", type=int, default=15)
    arguments = parser.parse_args()
    lake = pregao.connect(arguments.home, missing="ignore")
    connection = duckdb.connect()
    for name, (call, table, sql) in JOBS.items():
        files = [f"{lake.where}/s3/{file.bucket}/{file.key}" for file in lake.files(table=table)]
        by_hand = sql.replace("FILES", f"read_parquet({files})")
        ways = {
            "package": lambda call=call: call(lake),
            "by hand": lambda by_hand=by_hand: polars.from_arrow(connection.sql(by_hand).to_arrow_table()),
        }
        seconds, rows = in_turn(ways, arguments.repeat)
        assert rows["package"] == rows["by hand"], f"{name}: {rows}"
        ours, theirs = seconds["package"], seconds["by hand"]
        print(f"{name}: {rows['package']:,} rows in {ours:.3f} s, by hand {theirs:.3f} s: {ours / theirs:.2f} times")
        if "AWS_ENDPOINT_URL" in os.environ:
            print(f"  PyAthena: {athena(by_hand, table):.2f} s")


def in_turn(ways: dict[str, Callable[[], polars.DataFrame]], repeat: int) -> tuple[dict[str, float], dict[str, int]]:
    """Returns the median seconds and the rows of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rows = {}
    for _ in range(repeat):
        for name, way in ways.items():
            begun = time.perf_counter()
            rows[name] = way().height
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in seconds.items()}, rows


def athena(by_hand: str, table: str) -> float:
    from pyathena import connect
    from pyathena.pandas.cursor import PandasCursor

    sql = by_hand.replace(f"{TIME} AS time, ", "")
    sql = f"{sql[: sql.index('read_parquet(')]}{table}{sql[sql.rindex(')') + 1 :]}"
    connection = connect(work_group="primary", schema_name="pregao", poll_interval=0.05)
    begun = time.perf_counter()
    connection.cursor(PandasCursor).execute(sql, float_precision="round_trip").as_pandas()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
