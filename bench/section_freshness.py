"""Measures the time from the PUT of a snapshot under `landing/` to a SQL answer that has its rows, on a laptop.

A day of the real size grows through the day: its files, each a snapshot of quotes or of options, are put in the order of their times,
and Athena is asked until it has the rows of the file. The next file is put after that.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time

import boto3

import lake_home
import machine

# In seconds.
PATIENCE = 60
# A bound of the poll, well below what is measured.
PAUSE = 0.01


def measure(bench) -> dict:
    folder = bench.scratch / "freshness"
    shutil.rmtree(folder, ignore_errors=True)
    command = [bench.pregao, "sample", "--out", folder / "raw", "--days", "1", "--from", "2020-04-01"]
    machine.measure(command, environment=lake_home.environment(folder / "home"))
    files = sorted((path for path in (folder / "raw").rglob("*.csv*")), key=lambda path: path.name)
    files = files[:4] if bench.quick else files
    home = folder / "home"
    with lake_home.endpoint(bench.pregao, home, lake_home.LENIENT, on_upload="auto") as url:
        clients = Clients(url)
        seconds = []
        for path in files:
            started = time.perf_counter()
            clients.s3.put_object(Bucket=lake_home.RAW, Key=f"landing/{path.name}", Body=path.read_bytes())
            clients.wait_for("options" if "_options" in path.name else "quotes", path.name[:12])
            seconds.append(time.perf_counter() - started)
        rows = clients.count("SELECT (SELECT count(*) FROM quotes) + (SELECT count(*) FROM options)")
        runs = clients.runs()
    bench.say(f"{len(seconds)} snapshots: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    return {
        "seconds": seconds,
        "rows": rows,
        "runs": runs,
        "bytes": sum(path.stat().st_size for path in files),
    }


class Clients:
    """Clients of an endpoint."""

    def __init__(self, url: str):
        names = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "b",
            "aws_secret_access_key": "b",
        }
        self.s3, self.athena, self.sfn = (boto3.client(name, **names) for name in ("s3", "athena", "stepfunctions"))

    def wait_for(self, table: str, time_: str) -> None:
        """Asks until a table has rows of a snapshot, whose time is `YYYYMMDDHHmm`."""
        day = f"year = {time_[:4]} AND month = {int(time_[4:6])} AND day = {int(time_[6:8])}"
        deadline = time.monotonic() + PATIENCE
        while self.count(f"SELECT count(*) FROM {table} WHERE {day} AND intdate = {time_}") == 0:
            if time.monotonic() > deadline:
                raise machine.Failed(f"the rows of {time_} are not in {table} after {PATIENCE} s")
            time.sleep(PAUSE)

    def count(self, sql: str) -> int:
        """Returns the number that a statement selects; 0 while it fails, as before there are tables."""
        started = self.athena.start_query_execution(QueryString=sql, QueryExecutionContext={"Database": "pregao"})
        id = {"QueryExecutionId": started["QueryExecutionId"]}
        while (state := self.athena.get_query_execution(**id)["QueryExecution"]["Status"]["State"]) in (
            "QUEUED",
            "RUNNING",
        ):
            time.sleep(PAUSE)
        if state != "SUCCEEDED":
            return 0
        rows = self.athena.get_query_results(**id)["ResultSet"]["Rows"]
        return int(rows[1]["Data"][0]["VarCharValue"])

    def runs(self) -> int:
        """Returns the number of runs, all of which have to succeed."""
        machines = self.sfn.list_state_machines()["stateMachines"]
        arn = next(found["stateMachineArn"] for found in machines if found["name"] == "create_datalake")
        pages = self.sfn.get_paginator("list_executions").paginate(stateMachineArn=arn)
        statuses = [execution["status"] for page in pages for execution in page["executions"]]
        if unwanted := set(statuses) - {"SUCCEEDED", "RUNNING"}:
            raise machine.Failed(f"runs are {unwanted}: {json.dumps(statuses)}")
        return len(statuses)
