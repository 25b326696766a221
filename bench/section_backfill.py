"""Measures `pregao backfill` of ten years of small files: undisturbed for three lengths, and killed three times and continued.

A backfill by the engine lambda, in the process of the command. The number of transitions and of calls of functions per day must
not grow with the range.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import boto3

import lake_home
import machine
import many_days
import rawfiles

LENGTHS = [250, 1_250, 2_500]
QUICK_LENGTHS = [20, 40]
KILLS = 3
MACHINES = ["backfill", "create_datalake", "athena_update"]


def measure(bench) -> dict:
    folder = bench.scratch / "backfill"
    lengths = QUICK_LENGTHS if bench.quick else LENGTHS
    points = []
    for days in lengths:
        home, dates = lake(bench, folder, days)
        ran = backfill(bench, home, dates)
        if ran["code"] != 0:
            raise machine.Failed(f"the backfill failed:\n{ran['output']}")
        point = {"days": days, "wall": ran["wall"], "peak": ran["peak"], **counted(bench, home)}
        points.append(point)
        bench.say(f"{days} days: {ran['wall']:.0f} s, {ran['peak'] / 1e6:.0f} MB, {point['transitions']} transitions")
    return {"points": points, "killed": killed(bench, folder, lengths[-1])}


def killed(bench, folder: Path, days: int) -> dict:
    """Kills a backfill after its first chunk, three times, and then lets the same command end."""
    home, dates = lake(bench, folder, days)
    runs = [backfill(bench, home, dates, kill=True) for _ in range(KILLS)]
    last = backfill(bench, home, dates)
    if last["code"] != 0 or any(run["code"] != -signal.SIGKILL for run in runs):
        raise machine.Failed(f"a backfill ended otherwise than expected:\n{[*runs, last]}")
    command = [bench.pregao, "--home", home, "--set", "quality.min_snapshots=0", "status", "--format", "json"]
    done = subprocess.run(command, env=lake_home.environment(home), cwd=home.parent, stdout=subprocess.PIPE, check=True)
    states = Counter(day["state"] for day in json.loads(done.stdout) if day["raw_files"]["quotes"]["files"])
    if states != {"published": days}:
        raise machine.Failed(f"after the kills, status has {dict(states)}")
    runs.append(last)
    bench.say(f"killed {KILLS} times: {sum(run['wall'] for run in runs):.0f} s")
    return {
        "walls": [run["wall"] for run in runs],
        "peak": max(run["peak"] for run in runs),
        "to_do": [int(re.search(r"([\d,]+) days? to make", run["output"])[1].replace(",", "")) for run in runs],
        "states": dict(states),
    }


def lake(bench, folder: Path, days: int) -> tuple[Path, list[str]]:
    """Returns a new home with the raw files of some weekdays, each with one snapshot of each feed, and its first and last day."""
    shutil.rmtree(folder, ignore_errors=True)
    dates = list(islice(many_days.weekdays(many_days.datetime.date(2010, 1, 4)), days))
    for date in dates:
        moment = f"{date:%Y%m%d}1320"
        rawfiles.write(folder / "raw", "quotes", moment, [rawfiles.quote("PETR4"), rawfiles.quote("VALE3")])
        rawfiles.write(folder / "raw", "options", moment, [rawfiles.option()])
    home = folder / "home"
    command = [bench.pregao, "--quiet", "--home", home, "upload", folder / "raw"]
    machine.measure(command, environment=lake_home.environment(home))
    return home, [dates[0].isoformat(), dates[-1].isoformat()]


def backfill(bench, home: Path, dates: list[str], kill: bool = False) -> dict:
    """Runs a backfill, or kills it after its first chunk. Returns seconds, the peak of its resident memory, and its output."""
    chunk_days = ["--set", f"backfill.chunk_days={QUICK_LENGTHS[0] // 5}"] if bench.quick else []
    command = [bench.pregao, "--home", home, *chunk_days, "backfill", "--engine", "lambda"]
    command += ["--from", dates[0], "--to", dates[1]]
    started = time.perf_counter()
    process = subprocess.Popen(
        machine.pinned(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=lake_home.environment(home), cwd=home.parent,
    )  # fmt: skip
    peak = Peak(process.pid)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if kill and re.search(r"✓ chunk \d+ of ", line):
            peak.read()
            process.kill()
    code = process.wait()
    return {"code": code, "wall": time.perf_counter() - started, "peak": peak.stop(), "output": "".join(lines)}


class Peak:
    """Reads the peak of the resident memory of a process while it runs."""

    def __init__(self, pid: int):
        self.pid, self.bytes, self.ended = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def read(self) -> None:
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            self.bytes = max(self.bytes, int(found[1]) * 1024)

    def _watch(self) -> None:
        while not self.ended.wait(0.05):
            self.read()

    def stop(self) -> int:
        self.ended.set()
        self.thread.join()
        return self.bytes


def counted(bench, home: Path) -> dict:
    """Counts the transitions and the calls of functions of all executions but the upload."""
    counts: Counter[str] = Counter()
    with lake_home.endpoint(bench.pregao, home) as url:
        settings = lake_home.client(url)
        client = boto3.client(
            "stepfunctions", endpoint_url=url, region_name=settings["AWS_DEFAULT_REGION"],
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"], aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        machines = client.list_state_machines()["stateMachines"]
        for arn in (one["stateMachineArn"] for one in machines if one["name"] in MACHINES):
            for page in client.get_paginator("list_executions").paginate(stateMachineArn=arn):
                for execution in page["executions"]:
                    counts["executions"] += 1
                    count_events(client, execution["executionArn"], counts)
    return {name: counts[name] for name in ("executions", "transitions", "calls", "events")}


def count_events(client, execution: str, counts: Counter[str]) -> None:
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution, includeExecutionData=False, PaginationConfig={"PageSize": 1000}
    )
    events = [event for page in pages for event in page["events"]]
    counts["transitions"] += sum(event["type"].endswith("StateEntered") for event in events)
    calls = [event for event in events if event["type"] == "TaskScheduled"]
    counts["calls"] += sum(event["taskScheduledEventDetails"]["resourceType"] == "lambda" for event in calls)
    counts["events"] = max(counts["events"], len(events))
