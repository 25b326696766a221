"""Compares `pregao query` with DuckDB on the same published files: from process start to the printed result."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys

import compare
import data
import lake_home
import machine

# Typical queries: few rows of one ticker, a count, a group over everything, one day, a join.
QUERIES = {
    "one ticker": """
        SELECT intdate, last, qty_total FROM quotes
        WHERE ticker = 'PETR4' AND year = {year} AND month = {month} AND day = {day} ORDER BY intdate""",
    "count of all rows": "SELECT count(*) AS n FROM quotes",
    "top of all days": """
        SELECT ticker, max(total_volume) AS volume FROM quotes
        WHERE total_volume IS NOT NULL GROUP BY ticker ORDER BY volume DESC, ticker LIMIT 10""",
    "by day and type": """
        SELECT day, optn_tp, count(*) AS n, max(optn_strike) AS strike FROM options
        GROUP BY day, optn_tp ORDER BY day, optn_tp""",
    "join": """
        SELECT o.optn_ua AS ua, count(*) AS n FROM options o JOIN quotes q ON q.ticker = o.optn_ua AND q.intdate = o.intdate
        GROUP BY o.optn_ua ORDER BY n DESC, ua LIMIT 10""",
}

DUCKDB = """
import sys, duckdb
lake, sql = sys.argv[1:]
database = duckdb.connect()
database.execute("SET threads = 2")
for table in ("quotes", "options"):
    database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{lake}/runs/*/{table}/**/*.parquet', hive_partitioning = true)")
database.sql(sql).write_csv("/dev/stdout")
"""


def measure(bench) -> dict:
    folder = bench.scratch / "query"
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / "home"
    folder.mkdir(parents=True)
    first, last = data.day_range(bench.raw)
    environment = lake_home.environment(home)
    machine.measure([bench.pregao, "--home", home, "upload", bench.raw], environment=environment)
    machine.measure(
        [bench.pregao, "--home", home, *lake_home.LENIENT, "run", "--from", first, "--to", last],
        environment=environment,
    )
    lake = home / "s3" / "pregao-lake"
    year, month, day = map(int, first.split("-"))
    queries = []
    for name, template in QUERIES.items():
        sql = " ".join(template.format(year=year, month=month, day=day).split())
        commands = {
            "pregao query": [bench.pregao, "--home", home, "query", sql, "--format", "csv"],
            "duckdb": [sys.executable, "-c", DUCKDB, lake, sql],
        }
        results = {key: result_rows(command, environment) for key, command in commands.items()}
        if results["pregao query"] != results["duckdb"] or not results["duckdb"]:
            raise machine.Failed(f"{name}: the results differ:\n{results['pregao query'][:3]}\n{results['duckdb'][:3]}")
        contestants = {
            key: lambda command=command: machine.measure(command, environment=environment)
            for key, command in commands.items()
        }
        samples = machine.in_turn(contestants, bench.rounds, lambda line, name=name: bench.say(f"{name}: {line}"))
        queries.append({"name": name, "sql": sql, "rows": len(results["duckdb"]), "samples": samples})
    (published,) = (lake / "runs").iterdir()
    rows = sum(compare.rows(published, table) for table in ("quotes", "options"))
    if not rows:
        raise machine.Failed(f"{published} has no rows")
    shutil.rmtree(folder)
    return {"rows": rows, "queries": queries}


def result_rows(command: list, environment: dict) -> list[list[object]]:
    """Returns the result rows with parsed numbers, because the programs print doubles differently."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise machine.Failed(f"{command}\n{done.stderr}")
    return [[_value(cell) for cell in row] for row in list(csv.reader(io.StringIO(done.stdout)))[1:]]


def _value(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell
