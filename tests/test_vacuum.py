"""`pregao vacuum` removes the right files; a sample of `python3 tests/vacuum` kills it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from faults import small_lake
from lake import ACCOUNT, LAKE, REGION
from vacuum.kills import VACUUM, Search, vacuum

KILLS, SEED = 12, 20200401


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return Search(tmp_path_factory.mktemp("vacuum"), jobs=os.cpu_count() or 1)


def test_a_vacuum_that_is_killed_loses_nothing_that_is_published(search: Search):
    search.run(range(SEED, SEED + KILLS))
    assert not search.violations, "\n".join(f"{case.seed} {case.how}: {case.violations}" for case in search.violations)
    assert len(search.cases) == KILLS
    assert any(case.killed for case in search.cases), "no vacuum was killed"


def test_runs_that_were_superseded_or_failed_are_removed_and_published_ones_are_kept(search: Search, tmp_path: Path):
    template = search.template
    lake = small_lake.copy(template.home, tmp_path / "home")
    shown = json.loads(lake.run(*VACUUM, "--dry-run").out)
    assert shown["dry_run"] and shown["runs"] == [], "all files are younger than an hour"
    done = vacuum(lake)
    assert done.returncode == 0, done.stderr
    freed = json.loads(done.stdout)
    assert {run["run"] for run in freed["runs"]} == template.all - template.published
    assert freed["objects"] == sum(run["objects"] for run in freed["runs"]) > 0
    assert freed["bytes"] == sum(run["bytes"] for run in freed["runs"]) > 0
    assert freed["days"] == sum(len(run["days"]) for run in freed["runs"])
    assert lake.stored_runs() == template.published
    # Nothing of a removed run is left, not even its plan.
    runs = {key.split("/")[1] for key in lake.objects(LAKE, "runs/")}
    assert runs == {f"run={run}" for run in template.published}
    # The removed runs are in the record, also for the day that was never published.
    removed = {
        run
        for key, data in lake.objects(LAKE, "published/").items()
        if key.endswith(".json") and "/history/" not in key and "/failed" not in key
        for run in json.loads(data).get("removed_runs", [])
    }
    assert removed == template.all - template.published
    assert small_lake.content(lake) == template.content


def test_runs_within_the_retention_of_time_travel_are_kept(search: Search, tmp_path: Path):
    lake = small_lake.copy(search.template.home, tmp_path / "home")
    kept = lake.run("vacuum", "--keep-days", "1", "--format", "json")
    assert json.loads(kept.out)["objects"] == 0
    assert lake.stored_runs() == search.template.all


def test_the_files_of_a_run_in_progress_are_kept(search: Search, tmp_path: Path):
    lake = small_lake.copy(search.template.home, tmp_path / "home")
    keys = ["runs/run=going/plan.json", "runs/run=going.2/quotes/year=2020/month=4/day=1/part-0.parquet"]
    with lake.endpoint() as endpoint:
        states, s3 = endpoint.client("stepfunctions"), endpoint.client("s3")
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:create_datalake"
        waits = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 86_400, "End": True}}}
        states.update_state_machine(stateMachineArn=machine, definition=json.dumps(waits))
        execution = states.start_execution(stateMachineArn=machine, name="going")["executionArn"]
        for key in keys:
            s3.put_object(Bucket=LAKE, Key=key, Body=b"x")
        assert vacuum(lake, faults="").returncode == 0
        assert set(keys) <= set(lake.objects(LAKE, "runs/"))
        states.stop_execution(executionArn=execution)
        assert vacuum(lake, faults="").returncode == 0
        assert not set(keys) & set(lake.objects(LAKE, "runs/"))


def test_files_that_a_catalog_references_are_kept(search: Search, tmp_path: Path):
    """A table of another database references files of a superseded run, which no record references."""
    lake = small_lake.copy(search.template.home, tmp_path / "home")
    replaced = sorted(search.template.all - search.template.published)
    folder = next(path.parent for path in lake.parquet_files("quotes") if f"run={replaced[0]}/" in str(path))
    at = folder.relative_to(lake.files / "s3" / LAKE).as_posix()
    lake.run("query", "CREATE DATABASE mine")
    lake.run("query", f"CREATE EXTERNAL TABLE mine.q (ticker string) STORED AS PARQUET LOCATION 's3://{LAKE}/{at}/'")
    assert vacuum(lake).returncode == 0
    assert lake.stored_runs() == search.template.published | {replaced[0]}
    lake.run("query", "DROP TABLE mine.q")
    assert vacuum(lake).returncode == 0
    assert lake.stored_runs() == search.template.published


def test_recent_multipart_uploads_are_kept(search: Search, tmp_path: Path):
    lake = small_lake.copy(search.template.home, tmp_path / "home")
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        s3.create_multipart_upload(Bucket=LAKE, Key="big")
        done = vacuum(lake, faults="")
        assert json.loads(done.stdout)["uploads"] == 0
        assert [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=LAKE)["Uploads"]] == ["big"]
