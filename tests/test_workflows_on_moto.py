"""The workflows from end to end, with only definitions and functions of this project.

moto's Step Functions interprets the definitions and invokes the function binaries, which use moto's S3, EMR and
Athena. The tests replace the Spark cluster: they write the files, and set the state of the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import oracle
import rawfiles
from cloud import TABLES, Cloud, Written, status_change
from interpreters import RUN, MotoExecutions, Outcome, definition
from lake import eventually
from lambda_runtime import FunctionError
from moto_server import Invoked, Moto

MACHINES = ["upload_raw_data", "create_datalake", "backfill", "athena_update"]
LABEL = "acme"
DAY = "20200401"
PUBLISH = ["Publish options", "Publish quotes", "Publish rejects"]


class Account:
    """Functions and state machines, deployed to moto."""

    def __init__(self, moto: Moto, patch: pytest.MonkeyPatch):
        self.cloud = Cloud(moto)
        self.workflows = MotoExecutions(moto, patch)
        moto.invoke = self._invoke
        self.workflows.create(LABEL, {machine: definition(machine, LABEL) for machine in MACHINES})

    def _invoke(self, function: str, payload: dict) -> Invoked:
        try:
            return Invoked(self.cloud.invoke(function.split("--")[-1], payload))
        except FunctionError as error:
            return Invoked(error.payload, is_error=True)

    def start(self, machine: str, input: dict) -> str:
        return self.workflows.start(LABEL, machine, input)

    def upload(self, folder: Path) -> Written:
        """Uploads a day of raw files, which the workflow ingests."""
        rawfiles.write_market(folder, seed=11, days=[DAY], snapshots=2)
        places = self.cloud.land_folder(folder)
        outcome = self.workflows.wait(self.start("upload_raw_data", {"date": "2020-04-01"}))
        assert (outcome.status, outcome.states) == (
            "SUCCEEDED",
            ["Ingest", "AnySnapshot?", "ValidateRaw", "StartRuns"],
        ), outcome
        assert outcome.output["raw"]["files"] == len(places) and self.cloud.objects() == places
        return Written(self.cloud, oracle.read_folder(folder), RUN)

    def wait_for_cluster(self):
        return eventually("a cluster", lambda: next(iter(self.cloud.clusters()), None))


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with Moto.interpreting(monkeypatch) as moto:
        moto.reset()
        account = Account(moto, monkeypatch)
        yield account
        account.cloud.close()


def test_raw_files_become_published_partitions(account: Account, tmp_path: Path):
    run = account.upload(tmp_path)
    run.answer()
    for table in TABLES:
        # An earlier run has published the day.
        account.cloud.put_partitions(table, {(2020, 4, 1): "s3://earlier/"})
    execution = account.start("create_datalake", {"date": "2020-04-01"})
    step = account.wait_for_cluster().steps[0]
    run.put_all()
    step.state = "COMPLETED"

    outcome: Outcome = account.workflows.wait(execution)
    assert outcome.status == "SUCCEEDED", outcome
    polls = outcome.states.count("PollStep")
    assert [state for state in outcome.states if state not in ("WaitForStep", "PollStep", "StepFinished?", *PUBLISH)] == [
        "PlanRun", "CatalogBehind?", "NothingToDo?", "LaunchEmrStep", "AuditSlices", "ValidateStaged", "PublishRecords",
        "Outcome", "Publish", "SomeDaysFailed?", "Missing?", "Superseded?", "Done",
    ]  # fmt: skip
    assert polls and outcome.states.count("StepFinished?") == polls and set(PUBLISH) <= set(outcome.states)
    rows = {table: len(run.expected.rows[table]) for table in TABLES}
    assert outcome.output["published"] == [{"table": table, "partitions": 1, "rows": rows[table]} for table in TABLES]
    for table in TABLES:
        location = f"s3://{account.cloud.lake}/{run.folder(table, run.days[0])}"
        assert account.cloud.partitions(table) == {(2020, 4, 1): location}
    for table, child in account.workflows.nested(LABEL).items():
        assert (child.status, child.states) == ("SUCCEEDED", ["CreateAthenaTable", "ValidatePublished"]), table


def test_a_day_is_published_without_a_cluster(account: Account, tmp_path: Path):
    run = account.upload(tmp_path)
    run.answer()
    outcome = account.workflows.wait(account.start("create_datalake", {"date": "2020-04-01", "engine": "lambda"}))
    assert outcome.status == "SUCCEEDED", outcome
    assert [state for state in outcome.states if state not in PUBLISH] == [
        "PlanRun", "CatalogBehind?", "NothingToDo?", "TransformDays", "Transform", "AuditSlices", "ValidateStaged", "PublishRecords",
        "Outcome", "Publish", "SomeDaysFailed?", "Missing?", "Superseded?", "Done",
    ]  # fmt: skip
    rows = {table: len(run.expected.rows[table]) for table in TABLES}
    assert outcome.output["published"] == [{"table": table, "partitions": 1, "rows": rows[table]} for table in TABLES]
    assert account.cloud.clusters() == []


def test_a_job_that_lost_rows_is_not_published(account: Account, tmp_path: Path):
    run = account.upload(tmp_path)
    run.answer()
    execution = account.start("create_datalake", {"date": "2020-04-01"})
    step = account.wait_for_cluster().steps[0]
    run.put_all()
    run.put("quotes", run.days[0], run.expected.rows["quotes"][1:])
    step.state = "COMPLETED"
    outcome = account.workflows.wait(execution)
    assert (outcome.status, outcome.error, outcome.states[-1]) == ("FAILED", "QualityError", "Outcome")
    assert "quotes: row_counts" in outcome.words
    assert not [statement for statement in account.cloud.moto.statements if "`pregao`" in statement]


def test_a_step_that_failed_fails_the_execution_and_leaves_no_cluster(account: Account, tmp_path: Path):
    account.upload(tmp_path)
    execution = account.start("create_datalake", {"date": "2020-04-01"})
    cluster = account.wait_for_cluster()
    cluster.steps[0].last_state_change_reason = "Path does not exist: s3://raw"
    cluster.steps[0].state = "FAILED"
    outcome = account.workflows.wait(execution)
    assert (outcome.status, outcome.error, outcome.states[-1]) == ("FAILED", "EmrError", "StepFailed")
    assert "Path does not exist: s3://raw" in outcome.words and f"/logs/{cluster.id}/steps/" in outcome.words
    assert len(account.cloud.clusters()) == 1, "the failure starts nothing"
    account.cloud.invoke("stop-emr-step", status_change(RUN, "FAILED"))
    assert cluster.state == "TERMINATED"


def test_days_without_files_cost_nothing(account: Account):
    outcome = account.workflows.wait(account.start("create_datalake", {"date": "2020-04-04"}))
    assert (outcome.status, outcome.states) == (
        "SUCCEEDED",
        ["PlanRun", "CatalogBehind?", "NothingToDo?", "MissingBeforehand?", "NothingToDo"],
    )
    assert account.cloud.clusters() == [] and account.cloud.moto.statements == []


def test_a_range_is_published_in_chunks(account: Account, tmp_path: Path):
    """A chunk is a run of its own. A second backfill finds nothing to do."""
    run = account.upload(tmp_path)._replace(run=f"{RUN}_001")
    run.answer()
    days = {"from": "2020-03-30", "to": "2020-04-03", "engine": "lambda"}
    outcome = account.workflows.wait(account.start("backfill", days))
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.states == [
        "PlanBackfill", "CatalogBehind?", "AnyDay?", "RunChunks", "RunChunk", "ChunkOutcome", "Outcome", "AnyChunkFailed?", "Done",
    ]  # fmt: skip
    assert (outcome.output["chunks"], outcome.output["published"], outcome.output["verdict"]) == (1, 1, None)
    (chunk,) = account.workflows.chunks(LABEL).values()
    assert chunk.status == "SUCCEEDED" and chunk.output["run"] == run.run, chunk
    for table in TABLES:
        location = f"s3://{account.cloud.lake}/{run.folder(table, run.days[0])}"
        assert account.cloud.partitions(table) == {(2020, 4, 1): location}
    again = account.workflows.wait(account.workflows.start(LABEL, "backfill", days, name="again"))
    assert (again.status, again.states) == ("SUCCEEDED", ["PlanBackfill", "CatalogBehind?", "AnyDay?", "NothingToDo"])
    assert (again.output["current"], again.output["gaps"]["count"]) == (1, 4)


def test_a_chunk_that_fails_is_named_with_the_command_that_retries_it(account: Account, tmp_path: Path):
    account.upload(tmp_path)
    account.cloud.land("202004011500_flashpanel.csv", b"x")
    days = {"from": "2020-04-01", "to": "2020-04-01", "engine": "lambda"}
    outcome = account.workflows.wait(account.start("backfill", days))
    assert (outcome.status, outcome.error, outcome.states[-1]) == ("FAILED", "ChunksFailed", "ChunksFailed")
    assert "pregao backfill --from 2020-04-01 --to 2020-04-01 --engine lambda\n  UploadPending: " in outcome.cause
