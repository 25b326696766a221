"""Measures a day at 100 times the real size (25 million rows): time and memory of each stage, by the engine `auto`.

The raw files have 100 times their records. The stages are those of the user (upload, run, query), and within the run its states, by
the history of the execution.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import boto3

import data
import lake_home
import machine

TIMES = 100
DAY = str(data.FIRST)
# Reads three columns of all rows.
QUERY = "SELECT ticker, count(*), avg(last), max(total_volume) FROM quotes GROUP BY ticker ORDER BY 4 DESC LIMIT 10"
COUNTS = "SELECT (SELECT count(*) FROM quotes) AS quotes, (SELECT count(*) FROM options) AS options, (SELECT count(*) FROM rejects) AS rejects"


def measure(bench) -> dict:
    folder = bench.scratch / "large-day"
    shutil.rmtree(folder, ignore_errors=True)
    raw = data.enlarged(data.sample(bench.pregao, bench.scratch, 1), folder / "raw", 2 if bench.quick else TIMES)
    home = folder / "home"
    stages = {}
    for stage, words in [
        ("upload", ["upload", raw]),
        ("run", ["run", "--engine", "auto", "--from", DAY]),
        ("status", ["status"]),
        ("query", ["query", QUERY]),
        ("verify", ["verify", "--deep"]),
    ]:
        command = [bench.pregao, "--home", home, *lake_home.LENIENT, *words]
        stages[stage] = machine.measure(command, environment=lake_home.environment(home))
        bench.say(f"{stage}: {stages[stage].wall:.1f} s, {stages[stage].peak / 1e6:.0f} MB")
    states = states_of_the_run(bench, home)
    rows = subprocess.run(
        [bench.pregao, "--home", home, "query", "--format", "json", COUNTS],
        env=lake_home.environment(home), cwd=folder, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    [counts] = json.loads(rows.stdout)
    written = sum(path.stat().st_size for path in (home / "s3").rglob("*.parquet"))
    result = {
        "times": TIMES,
        "bytes": data.size(raw),
        "written": written,
        "rows": counts,
        "stages": stages,
        "states": states,
    }
    shutil.rmtree(folder)
    return result


def states_of_the_run(bench, home: Path) -> list[list]:
    """Returns the states of the run that took time, each with its seconds, and the engine as the first."""
    with lake_home.endpoint(bench.pregao, home) as url:
        names = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "b",
            "aws_secret_access_key": "b",
        }
        sfn = boto3.client("stepfunctions", **names)
        machines = {found["name"]: found["stateMachineArn"] for found in sfn.list_state_machines()["stateMachines"]}
        [execution] = sfn.list_executions(stateMachineArn=machines["create_datalake"])["executions"]
        pages = sfn.get_paginator("get_execution_history").paginate(executionArn=execution["executionArn"])
        events = [event for page in pages for event in page["events"]]
    entered: dict[str, datetime] = {}
    seconds: dict[str, float] = {}
    for event in events:
        if event["type"].endswith("StateEntered"):
            entered[event["stateEnteredEventDetails"]["name"]] = event["timestamp"]
        elif event["type"].endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            seconds[name] = seconds.get(name, 0) + (event["timestamp"] - entered[name]).total_seconds()
    if "Transform" not in seconds:
        raise machine.Failed(f"auto has not chosen lambda: {seconds}")
    return [[name, spent] for name, spent in seconds.items() if spent >= 0.1]
