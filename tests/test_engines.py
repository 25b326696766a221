"""The engines of a run: the function transform writes the bytes that a step of EMR writes, and replaces it on request."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import (
    LAKE,
    LENIENT,
    RESULTS,
    Lake,
    Result,
    assert_published,
    assert_same_rows,
    client,
    environment,
    eventually,
)
from test_cli import document, failure

DAYS = ("2020-04-01", "2020-04-09")
SERVERLESS = "emr.kind=serverless"


@pytest.fixture
def uploaded(lake: Lake, tmp_path: Path) -> Lake:
    rawfiles.write_adversarial(tmp_path / "raw", seed=71)
    lake.upload(tmp_path / "raw")
    return lake


def parquet(lake: Lake, run: str) -> dict[str, bytes]:
    """The Parquet files of a run, by name below its folder."""
    prefix = f"runs/run={run}/"
    objects = lake.objects(LAKE, prefix).items()
    return {key.removeprefix(prefix): body for key, body in objects if key.endswith(".parquet")}


def states(result: Result) -> str:
    """The lines that show the states of the execution."""
    return "\n".join(line for line in result.err.splitlines() if "✓" in line or "✗" in line)


def run(lake: Lake, *options: object, config: Iterable[str] = ()) -> tuple[str, Result]:
    settings = [word for setting in config for word in ("--set", setting)]
    done = lake.run(*LENIENT, *settings, "run", "--from", DAYS[0], "--to", DAYS[1], "--format", "json", *options)
    return document(done, "run")["run"], done


def test_the_engines_write_the_same_bytes(uploaded: Lake, tmp_path: Path):
    by_emr, emr = run(uploaded, "--engine", "emr")
    by_serverless, serverless = run(uploaded, "--engine", "emr", config=[SERVERLESS])
    by_lambda, transform = run(uploaded, "--engine", "lambda")
    for done in (emr, serverless):
        assert "LaunchEmrStep" in states(done) and "Transform" not in states(done), done
    assert "TransformDays" in states(transform) and "LaunchEmrStep" not in states(transform), transform
    assert parquet(uploaded, by_emr) == parquet(uploaded, by_serverless) == parquet(uploaded, by_lambda)
    logs = uploaded.objects(RESULTS, "logs/")
    of_jobs = [key for key in logs if key.startswith("logs/applications/") and key.endswith("/SPARK_DRIVER/stderr.gz")]
    assert len(of_jobs) == 1 and by_serverless in gzip.decompress(logs[of_jobs[0]]).decode()
    assert len(logs) == 2, "one of the step, one of the job run"
    expected = oracle.read_folder(tmp_path / "raw")
    for table in oracle.TABLES:
        assert expected.rows[table], "the test has to have something to compare"
        assert_same_rows(table, uploaded.query(f"SELECT * FROM {table}"), expected.rows[table])


def test_a_job_run_that_fails_says_why(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=3, days=["20200401"], snapshots=2)
    lake.upload(tmp_path / "raw")
    line = lake.command("--set", SERVERLESS, "run", "--from", "2020-04-01", "--engine", "emr")
    # The driver of the job is lost before its first statement.
    env = environment(tmp_path) | {"PREGAO_FAULTS": "speed=100,service=spark&n=1:deny"}
    failed = subprocess.run(line, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert failed.returncode == 1 and "the Spark job is FAILED: " in failed.stderr, failed.stderr
    # Another run is not in its way.
    lake.run("--set", SERVERLESS, "run", "--from", "2020-04-01", "--engine", "emr")
    assert_published(lake, tmp_path / "raw")


def test_auto_takes_the_function_when_each_day_fits(uploaded: Lake):
    sizes = [len(body) for body in uploaded.objects("pregao-raw").values()]
    for limit, name in [(sum(sizes), "TransformDays"), (min(sizes), "LaunchEmrStep")]:
        _, done = run(uploaded, "--engine", "auto", config=[f"transform.max_day_bytes={limit}"])
        assert name in states(done), done
    _, done = run(uploaded, config=["transform.engine=lambda"])
    assert "TransformDays" in states(done), done


def test_a_day_that_does_not_fit_is_refused_before_anything_runs(uploaded: Lake):
    arguments = [
        "--set",
        "transform.max_day_bytes=100",
        "run",
        "--from",
        DAYS[0],
        "--engine",
        "lambda",
        "--format",
        "json",
    ]
    message = failure(uploaded.fails(*arguments), "run")["error"]["message"]
    assert "the raw files of 2020-04-01 have" in message and "transform.max_day_bytes is 100" in message, message
    planned = uploaded.fails(*arguments, "--plan")
    assert "transform.max_day_bytes is 100" in planned.err, planned
    assert uploaded.stored_runs() == set()


def test_a_run_that_has_nothing_to_do_is_not_refused_for_its_size(uploaded: Lake):
    run(uploaded)
    with uploaded.started("--set", "transform.max_day_bytes=1", "local") as process:
        process.wait_for_line(lambda line: "http://" in line)
        input = {"from": DAYS[0], "to": DAYS[1], "stale": True, "engine": "lambda"}
        found = executed(client(uploaded.url(), "stepfunctions"), "stale", input)
    assert found["status"] == "SUCCEEDED" and json.loads(found["output"])["to_publish"] == 0, found


def executed(machines, name: str, input: dict) -> dict:
    """Runs an execution of create_datalake to its end."""
    found = machines.list_state_machines()["stateMachines"]
    (arn,) = [machine["stateMachineArn"] for machine in found if machine["name"].endswith("create_datalake")]
    started = machines.start_execution(stateMachineArn=arn, name=name, input=json.dumps(input))["executionArn"]

    def ended():
        described = machines.describe_execution(executionArn=started)
        return described if described["status"] != "RUNNING" else None

    return eventually(f"the end of {name}", ended)


def test_a_plan_names_its_engine(uploaded: Lake):
    for options, engine in [
        ([], "embedded"),
        (["--engine", "emr"], "embedded"),
        (["--engine", "embedded"], "embedded"),
        (["--engine", "spark"], "spark"),
        (["--engine", "lambda"], "lambda"),
        (["--engine", "auto"], "lambda"),
        (["--engine", "auto", "--set", "transform.max_day_bytes=1"], "embedded"),
    ]:
        plan = document(uploaded.run("run", "--from", DAYS[0], "--plan", "--format", "json", *options), "run")
        assert plan["engine"] == engine, options


def test_stale_days_run_by_the_requested_engine(uploaded: Lake):
    done = uploaded.run(*LENIENT, "run", "--stale", "--engine", "lambda")
    assert "TransformDays" in states(done) and "LaunchEmrStep" not in states(done), done
    assert "nothing to do" in uploaded.run("run", "--stale").out


def test_an_execution_requests_its_engine(uploaded: Lake):
    with uploaded.endpoint() as endpoint:
        machines = endpoint.client("stepfunctions")
        refused = executed(machines, "steam", {"date": DAYS[0], "engine": "steam"})
        assert refused["error"] == "InvalidInput", refused
        # The adversarial files do not pass the audit.
        audited = executed(machines, "lambda", {"date": DAYS[0], "engine": "lambda"})
        assert audited["error"] == "QualityError", audited
        history = machines.get_execution_history(executionArn=audited["executionArn"], maxResults=1000)["events"]
    details = (event.get("stateEnteredEventDetails") for event in history)
    entered = {state["name"] for state in details if state}
    assert {"TransformDays", "Transform", "ValidateStaged"} <= entered and "LaunchEmrStep" not in entered, entered
