"""Objects that clients put under `landing/` of `pregao local`, which ingests them as an account does.

`--landed N` is the number of objects of the burst: 300, or 10000 for the figure of docs/scale.md.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import rawfiles
from lake import ACCOUNT, RAW, REGION, Endpoint, Lake, assert_published, client, eventually

FIRST = datetime(2020, 4, 1)
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:upload_raw_data"


def burst(count: int) -> dict[str, bytes]:
    """Returns raw files by name: a snapshot of each minute, of as many days as it takes."""
    times = [(FIRST + timedelta(minutes=number)).strftime("%Y%m%d%H%M") for number in range(count)]
    record = [rawfiles.quote("PETR4")]
    return {rawfiles.file_name("quotes", time): rawfiles.encode("quotes", time, record) for time in times}


def batches(endpoint: Endpoint) -> list[tuple[list[str], dict]]:
    """Returns the keys and the output of each execution of upload_raw_data that has a batch of objects as input."""
    stepfunctions = endpoint.client("stepfunctions")
    pages = stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=MACHINE)
    found = []
    for execution in (execution for page in pages for execution in page["executions"]):
        described = stepfunctions.describe_execution(executionArn=execution["executionArn"])
        assert described["status"] == "SUCCEEDED", described
        found.append(([item["key"] for item in json.loads(described["input"])], json.loads(described["output"])))
    return found


def test_a_burst_of_objects_is_ingested_once_each(lake: Lake, request: pytest.FixtureRequest):
    files = burst(request.config.getoption("--landed"))
    with lake.endpoint() as endpoint:
        started = time.monotonic()
        s3 = endpoint.client("s3")
        with ThreadPoolExecutor(16) as pool:
            put = lambda item: s3.put_object(Bucket=RAW, Key=f"landing/{item[0]}", Body=item[1])  # noqa: E731
            list(pool.map(put, files.items()))
        uploaded = time.monotonic()
        wait_until_empty(lake.files / "s3" / RAW / "landing")
        ingested = time.monotonic()
        # The last execution still counts the raw files when landing/ is empty.
        eventually("the end of the last execution", lambda: running(endpoint) == 0 or None)
        done = batches(endpoint)
    raw = {key.rsplit("/", 1)[1]: body for key, body in lake.objects(RAW, "quotes/").items()}
    assert raw == files, "nothing is lost"
    keys = Counter(key for batch, _ in done for key in batch)
    assert keys == {f"landing/{name}": 1 for name in files}, "nothing is in two batches"
    assert sum(output["accepted"] for _, output in done) == len(files), "nothing is moved twice"
    assert len(done) <= max(4, len(files) / 10)
    print(
        f"{len(files)} objects: put in {uploaded - started:.1f} s, ingested {ingested - uploaded:.1f} s later, "
        f"by {len(done)} executions"
    )


def running(endpoint: Endpoint) -> int:
    stepfunctions = endpoint.client("stepfunctions")
    return len(stepfunctions.list_executions(stateMachineArn=MACHINE, statusFilter="RUNNING")["executions"])


def wait_until_empty(landing: Path) -> None:
    """Waits until a folder has no files. It has to have fewer of them all the time."""
    while before := count(landing):
        eventually(
            f"{before} objects in landing/ to become fewer", lambda before=before: count(landing) < before or None
        )


def count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_an_upload_finds_its_files_ingested_by_whichever_execution(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=20200401)
    with lake.endpoint() as endpoint:
        outcome = json.loads(lake.run("upload", tmp_path / "raw", "--format", "json").out)
        assert outcome["accepted"] + outcome["already_there"] == outcome["files"] > 0, outcome
        assert not endpoint.client("s3").list_objects_v2(Bucket=RAW, Prefix="landing/").get("Contents")


def test_objects_stay_in_landing_on_request(lake: Lake):
    with lake.started("local", "--keep-landed") as process:
        process.wait_for_line(lambda line: "http://" in line)
        s3 = client(lake.url(), "s3")
        s3.put_object(Bucket=RAW, Key="landing/readme.md", Body=b"# hello")
        # Ingested at once if it were, as the file of the test above.
        time.sleep(1.5)
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=RAW)["Contents"]] == ["landing/readme.md"]


def test_snapshots_are_published_as_they_arrive(lake: Lake, tmp_path: Path):
    """As a recorder saves them: each is in the tables soon after its arrival, and an upload of the folder finds it there."""
    rawfiles.write_market(tmp_path / "raw", seed=7, days=["20200401"], snapshots=4)
    files = sorted((tmp_path / "raw").rglob("*.csv*"), key=lambda path: path.name)
    with lake.started("--set", "schedule.on_upload=auto", "local") as process:
        process.wait_for_line(lambda line: "http://" in line)
        s3 = client(lake.url(), "s3")
        for number, path in enumerate(files, start=1):
            s3.put_object(Bucket=RAW, Key=f"landing/{path.name}", Body=path.read_bytes())
            eventually(
                f"{path.name} to be published", lambda number=number: lake.published_raw_files() == number or None
            )
        again = json.loads(lake.run("upload", tmp_path / "raw", "--format", "json").out)
        assert (again["already_there"], again["stale_days"]["count"], len(again["runs"])) == (len(files), 0, 1), again
        ended = eventually("the end of the run", lambda: ended_run(again["runs"][0], lake))
        assert (ended["status"], json.loads(ended["output"])["to_publish"]) == ("SUCCEEDED", 0), ended
        assert_published(lake, tmp_path / "raw")


def ended_run(execution: str, lake: Lake) -> dict | None:
    described = client(lake.url(), "stepfunctions").describe_execution(executionArn=execution)
    return described if described["status"] != "RUNNING" else None
