"""Concurrent clients on an endpoint with random faults: an upload, two runs and a reader.

A run that begins during the upload reads some of the files, so a day may temporarily have rows that are neither
those before nor those after. At all times, no day has fewer rows than before, and no raw byte is lost.
After the endpoint has ended, an upload and a run complete, and the tables have the final rows.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path

from faults import small_lake
from faults.small_lake import SmallLake, Unreadable
from lake import Lake, environment

# About five of a hundred calls fail.
PLAN = (
    "speed=100,*:throttle@0.01,*:error@0.005,*:reset@0.01,*:lost@0.01,*:truncate@0.005,*:reorder@0.005,*:late=3@0.01,"
    "service=s3:deny@0.002"
)


def one_round(truth: SmallLake, home: Path, seed: int) -> list[str]:
    """Runs one round. Returns its violations."""
    lake = small_lake.copy(truth.published, home)
    violations: list[str] = []
    with subprocess.Popen(
        lake.command("local", "--faults", PLAN, "--seed", seed),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home.parent),
        cwd=home.parent,
    ) as owner:
        assert b"http://" in owner.stdout.readline(), "the endpoint did not start"
        done = threading.Event()
        reader = threading.Thread(target=read, args=(truth, lake, done, violations))
        clients = [
            threading.Thread(target=client, args=(lake, arguments, pause, violations))
            for arguments, pause in [(("upload", truth.newer), 0.0), (small_lake.RUN, 0.0), (small_lake.RUN, 0.2)]
        ]
        for thread in [reader, *clients]:
            thread.start()
        for thread in clients:
            thread.join()
        done.set()
        reader.join()
        owner.send_signal(signal.SIGTERM)
        try:
            if (code := owner.wait(small_lake.PATIENCE)) != 0:
                violations.append(f"the endpoint ended with {code}")
        except subprocess.TimeoutExpired:
            owner.kill()
            violations.append("the endpoint did not end")
    if not truth.uploaded_before <= small_lake.kept(lake):
        violations.append("raw bytes were lost")
    for arguments in [("upload", truth.newer), small_lake.RUN]:
        result = small_lake.command(lake, "", *arguments)
        if result.code != 0:
            violations.append(f"the recovery failed: {result}")
    if small_lake.content(lake) != truth.after:
        violations.append("after the recovery the tables are not as expected")
    if not small_lake.kept(lake) >= truth.uploaded_files or small_lake.landed(lake):
        violations.append("raw bytes are missing, or left in landing, after the recovery")
    return violations


def client(lake: Lake, arguments: tuple[object, ...], pause: float, violations: list[str]) -> None:
    time.sleep(pause)
    result = subprocess.run(
        lake.command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=small_lake.PATIENCE,
        env=environment(lake.home.parent),
        cwd=lake.home.parent,
    )
    if result.returncode < 0 or b"panicked" in result.stderr:
        violations.append(f"{arguments[0]} ended with {result.returncode}: {result.stderr.decode(errors='replace')}")


def read(truth: SmallLake, lake: Lake, done: threading.Event, violations: list[str]) -> None:
    while not done.is_set():
        try:
            content = small_lake.content(lake, at_owner=True)
        except Unreadable:
            continue
        for key, (_, rows) in content.items():
            if rows < truth.before[key][1]:
                violations.append(f"{key} has {rows} rows and had {truth.before[key][1]}")
