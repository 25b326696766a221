"""Two interpreters of the state machines enter the same states and end in the same way, given the same results of functions.

The other interpreter is moto's. It calls functions over HTTP and waits in real time, so all cases run there
concurrently; in ours waits take no time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from interpreters import RUN, MotoExecutions, Reply, Script, compact, definition, gives, raises, refuses, run_ours
from moto_server import Moto

DAY = "2020-04-01"
DAYS = {"from": DAY, "to": "2020-04-03"}
OF_RUN = {"run": RUN, **DAYS}
TABLES = ["quotes", "options", "rejects"]

NONE = {"count": 0, "first": []}


def planned(
    run: str = RUN,
    to_publish: int = 3,
    missing: dict | None = None,
    transform: Iterable[str] = (),
    slices: Iterable[dict] = (DAYS,),
    catalog: Iterable[dict] = (),
) -> Reply:
    """Returns a result of PlanRun. `transform` has the days that the engine lambda converts."""
    return gives(
        run=run, **DAYS, files=36, bytes=7_000_000, days={"count": 3, "first": []}, gaps=NONE, to_publish=to_publish,
        missing=missing or NONE, behind=len(list(catalog)), catalog=list(catalog), **({"engine": "lambda", "transform": transform} if transform else {"engine": "emr"}),
        **({"slices": [{"number": number, **days} for number, days in enumerate(slices)]} if to_publish else {}),
    )  # fmt: skip


PLANNED = planned()
# A time in the past, so that no Wait state delays the test.
STEP = {"cluster_id": "j-1", "step_id": "s-1", "look_at": "2020-04-01T03:00:00.100Z"}
LAUNCHED = gives(**STEP)
TABLES_OF_RUN = [{"table": table, "partitions": 3, "rows": 7, "report": "s3://"} for table in TABLES]
AUDITED = gives(**OF_RUN, slice=0, tables=TABLES_OF_RUN, failed=NONE)
LOG = "s3://results/logs/j-1/steps/s-1/"
LOST_SPOT = (
    f"the Spark step is FAILED; its cluster is TERMINATED_WITH_ERRORS: all Spot instances were lost. Its log: {LOG}"
)
BIDS = raises("QualityError", "quotes: bid_ask failed on 12% of 100 rows")


def polled(state: str, reason: str = "") -> Reply:
    """Returns a result of `poll-step`."""
    return gives(**STEP, state=state, reason=reason, log=LOG)


def created(table: str | None) -> Reply:
    return gives(table=table, **DAYS, run=None, partitions=3, rows=7, records=3)


DATES = {"count": 3, "first": ["2020-04-01", "2020-04-02", "2020-04-03"]}


def recorded(published: int = 3, slice: int = 0) -> Reply:
    superseded = NONE if published else DATES
    return gives(**OF_RUN, slice=slice, published=published, superseded=superseded, held=NONE, missing=NONE)


def outcome(published: int = 3, failed: dict = NONE, verdict: str | None = None) -> Reply:
    superseded = NONE if published else DATES
    return gives(published=published, superseded=superseded, held=NONE, failed=failed, verdict=verdict)


def published(days: int = 3) -> dict[str, list[Reply]]:
    """Returns the results of a successful publication: of the records, of their sum, and of both functions of `athena_update`."""
    functions = ["create-athena-table", "validate-partitions published"]
    updated = {f"{function} {table}": [created(table)] for function in functions for table in TABLES}
    return {"create-athena-table": [recorded(days)], "validate-partitions outcome": [outcome(days)], **updated}


THREE_SLICES = [{"from": day, "to": day} for day in DATES["first"]]
MISSING = {"count": 1, "first": ["2020-04-03"]}
NO_FILES = (
    "no or too few raw files of the business day 2020-04-03: upload them and start create_datalake, or accept it "
    "(pregao run --accept-missing 2020-04-03)"
)
CHANGED = raises("RawFilesChanged", "raw files changed while run r read them")
TRANSFORMED = gives(rows={"quotes": 7, "options": 0, "rejects": 0})
UNREADABLE = raises("QualityError", "quotes/date=2020-04-01/x.csv: no header")


BACKFILL = {"from": "2020-04-01", "to": "2020-04-09"}


def backfilled(chunks: int, parallel: int = 2, catalog: Iterable[dict] = ()) -> Reply:
    """Returns a result of PlanBackfill: chunks of one day."""
    return gives(
        **BACKFILL, which="not_current", engine="emr", parallel=parallel, days=chunks, bytes=7, current=0, held=0, gaps=NONE,
        behind=len(list(catalog)), catalog=list(catalog), chunks=[
            {"number": number, "run": f"{RUN}_{number:03}", "from": f"2020-04-0{number}", "to": f"2020-04-0{number}",
             "days": 1, "bytes": 7}
            for number in range(1, chunks + 1)
        ],
    )  # fmt: skip


def chunk_outcome(number: int, **failure: str) -> Reply:
    days = {"from": f"2020-04-0{number}", "to": f"2020-04-0{number}", "days": 1}
    counts = {"published": 0 if failure else 1, "superseded": 0, "held": 0, "failed_days": 0}
    return gives(number=number, **days, **counts, **({"failure": failure} if failure else {}))


def summed(chunks: int, failed: int = 0) -> Reply:
    verdict = (
        f"{failed} of {chunks} chunks failed. pregao backfill --from 2020-04-02 --to 2020-04-02" if failed else None
    )
    return gives(
        chunks=chunks, published=chunks - failed, superseded=0, held=0, failed={"count": failed, "first": []},
        verdict=verdict,
    )  # fmt: skip


class Case(NamedTuple):
    machine: str
    input: dict
    answers: dict[str, list[Reply]]
    # The entered states, those of a Parallel state in order of their names.
    states: list[str]
    status: str = "SUCCEEDED"
    error: str | None = None
    words: object = None
    # Changes the definition, in both interpreters.
    with_: Callable[[dict], None] | None = None
    # The states that concurrent iterations enter in any order. `states` has them sorted.
    sorted_: frozenset[str] = frozenset()


def task_timeout(machine: dict) -> None:
    machine["States"]["LaunchEmrStep"]["TimeoutSeconds"] = 1


def execution_timeout(machine: dict) -> None:
    machine["TimeoutSeconds"] = 6


def short_retries(machine: dict) -> None:
    """Shortens the waits between attempts to a few seconds in total; their number does not change."""
    for state in machine["States"].values():
        for retrier in state.get("Retry", []):
            retrier.update(IntervalSeconds=1, BackoffRate=1.0)
        short_retries(state.get("ItemProcessor", {"States": {}}))


THROTTLED = refuses("TooManyRequestsException")
AUDIT = ["AuditSlices", "ValidateStaged"]
PUBLISH = ["PublishRecords", "Outcome", "Publish", "Publish options", "Publish quotes", "Publish rejects"]
TO_THE_END = ["SomeDaysFailed?", "Missing?", "Superseded?", "Done"]
TO_THE_STEP = ["PlanRun", "CatalogBehind?", "NothingToDo?", "LaunchEmrStep"]
TO_TRANSFORM = ["PlanRun", "CatalogBehind?", "NothingToDo?", "TransformDays"]
TO_CHUNKS = ["PlanBackfill", "CatalogBehind?", "AnyDay?", "RunChunks"]
CHUNK_STATES = frozenset({"RunChunk", "ChunkOutcome"})
A_POLL = ["WaitForStep", "PollStep", "StepFinished?"]

CASES = {
    "upload: success": Case(
        "upload_raw_data",
        {"date": "2020-04-01"},
        {
            "ingest": [gives(**DAYS, files=36, process=[])],
            "validate-partitions raw": [gives(**DAYS, files=36, bytes=7, days=[], gaps=[], missing_snapshots=[])],
        },
        ["Ingest", "AnySnapshot?", "ValidateRaw", "StartRuns"],
    ),
    "upload: the days are processed": Case(
        "upload_raw_data",
        {"date": "2020-04-01"},
        {
            "ingest": [gives(**DAYS, files=36, process=["2020-04-01", "2020-04-03"])],
            "validate-partitions raw": [gives(**DAYS, files=36, bytes=7, days=[], gaps=[], missing_snapshots=[])],
        },
        ["Ingest", "AnySnapshot?", "ValidateRaw", "StartRuns", "StartRun", "StartRun"],
    ),
    "upload: an object that is not a snapshot": Case(
        "upload_raw_data",
        [{"bucket": "pregao-raw", "key": "landing/x.txt"}],
        {"ingest": [gives(files=1, quarantined={"count": 1})]},
        ["Ingest", "AnySnapshot?", "NothingToValidate"],
    ),
    "upload: an input that says nothing": Case(
        "upload_raw_data",
        {"day": 1},
        {"ingest": [raises("InvalidInput", "the input says nothing that can be done")]},
        ["Ingest", "InputRefused"],
        "FAILED",
        "InvalidInput",
        "the input says nothing that can be done",
    ),
    "upload: throttled, then success": Case(
        "upload_raw_data",
        {},
        {
            "ingest": [THROTTLED, gives(**DAYS, process=[])],
            "validate-partitions raw": [gives(**DAYS, files=0, bytes=0, days=[], gaps=[], missing_snapshots=[])],
        },
        ["Ingest", "AnySnapshot?", "ValidateRaw", "StartRuns"],
    ),
    "upload: a service that stays unavailable": Case(
        "upload_raw_data",
        {},
        {"ingest": [raises("ServiceUnavailable", "listing s3://raw/landing/: SlowDown")] * 9},
        ["Ingest"],
        "FAILED",
        "ServiceUnavailable",
        "listing s3://raw/landing/: SlowDown",
        short_retries,
    ),
    "lake: success": Case(
        "create_datalake",
        {},
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("PENDING"), polled("RUNNING"), polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            **published(),
        },
        [*TO_THE_STEP, *A_POLL * 3, *AUDIT, *PUBLISH, *TO_THE_END],
    ),
    "lake: success by lambda": Case(
        "create_datalake",
        {**DAYS, "engine": "lambda"},
        {
            "validate-partitions raw": [planned(transform=["2020-04-01", "2020-04-02", "2020-04-03"])],
            f"transform {DAY}": [TRANSFORMED],
            "transform 2020-04-02": [THROTTLED, TRANSFORMED],
            "transform 2020-04-03": [TRANSFORMED],
            "validate-partitions staged": [AUDITED],
            **published(),
        },
        [*TO_TRANSFORM, "Transform", "Transform", "Transform", *AUDIT, *PUBLISH, *TO_THE_END],
        with_=short_retries,
    ),
    "lake: raw files change under transform": Case(
        "create_datalake",
        {**DAYS, "engine": "lambda"},
        {
            "validate-partitions raw": [planned(transform=[DAY]), planned(f"{RUN}.2", transform=[DAY])],
            f"transform {DAY}": [CHANGED, TRANSFORMED],
            "validate-partitions staged": [AUDITED],
            **published(),
        },
        [
            *TO_TRANSFORM,
            "Transform",
            "PlanAgain",
            *TO_TRANSFORM[2:],
            "Transform",
            *AUDIT,
            *PUBLISH,
            *TO_THE_END,
        ],
    ),
    "lake: a day that transform cannot convert": Case(
        "create_datalake",
        {**DAYS, "engine": "lambda"},
        {"validate-partitions raw": [planned(transform=[DAY])], f"transform {DAY}": [UNREADABLE]},
        [*TO_TRANSFORM, "Transform"],
        "FAILED",
        "QualityError",
        "quotes/date=2020-04-01/x.csv: no header",
    ),
    "lake: nothing to do": Case(
        "create_datalake",
        {"date": "2020-04-04"},
        {"validate-partitions raw": [planned(to_publish=0)]},
        ["PlanRun", "CatalogBehind?", "NothingToDo?", "MissingBeforehand?", "NothingToDo"],
    ),
    "lake: the catalog is behind, and there is nothing to publish": Case(
        "create_datalake",
        {**DAYS, "stale": True},
        {
            "validate-partitions raw": [planned(to_publish=0, catalog=[DAYS])],
            "create-athena-table": [THROTTLED, created(None)],
            "validate-partitions published": [created(None)],
        },
        [
            "PlanRun",
            "CatalogBehind?",
            "UpdateCatalog",
            "UpdateYear",
            "NothingToDo?",
            "MissingBeforehand?",
            "NothingToDo",
        ],
    ),
    "lake: a business day without files": Case(
        "create_datalake",
        {},
        {"validate-partitions raw": [planned(to_publish=0, missing=MISSING)]},
        ["PlanRun", "CatalogBehind?", "NothingToDo?", "MissingBeforehand?", "DataMissing"],
        "FAILED",
        "DataMissing",
        NO_FILES,
    ),
    "lake: a business day without files, and days to publish": Case(
        "create_datalake",
        {},
        {
            "validate-partitions raw": [planned(missing=MISSING)],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            **published(),
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, *PUBLISH, "SomeDaysFailed?", "Missing?", "DataMissing"],
        "FAILED",
        "DataMissing",
        NO_FILES,
    ),
    "lake: raw files change under the job": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED, planned(f"{RUN}.2")],
            "launch-emr-step": [LAUNCHED, gives(**{**STEP, "cluster_id": "j-2", "step_id": "s-2"})],
            "poll-step": [polled("COMPLETED"), polled("COMPLETED")],
            "validate-partitions staged": [CHANGED, AUDITED],
            **published(),
        },
        [
            *TO_THE_STEP,
            *A_POLL,
            *AUDIT,
            "PlanAgain",
            *TO_THE_STEP[2:],
            *A_POLL,
            *AUDIT,
            *PUBLISH,
            *TO_THE_END,
        ],
    ),
    "lake: raw files do not stop changing": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED, raises("RawFilesChanged", "in each of 3 attempts")],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [CHANGED],
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, "PlanAgain"],
        "FAILED",
        "RawFilesChanged",
        "in each of 3 attempts",
    ),
    "lake: another run publishes meanwhile": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED, AUDITED],
            **published(),
            "create-athena-table": [raises("RecordChanged", "audit again"), recorded()],
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, "PublishRecords", "ValidateStaged", *PUBLISH, *TO_THE_END],
    ),
    "lake: superseded": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            **published(days=0),
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, *PUBLISH, "SomeDaysFailed?", "Missing?", "Superseded?", "Superseded"],
    ),
    "lake: throttled everywhere, then success": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [THROTTLED, PLANNED],
            "launch-emr-step": [raises("ServiceUnavailable", "starting the cluster: ThrottlingException"), LAUNCHED],
            "poll-step": [THROTTLED, polled("COMPLETED")],
            "validate-partitions staged": [refuses("ServiceException"), AUDITED],
            **published(),
            "create-athena-table options": [THROTTLED, created("options")],
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, *PUBLISH, *TO_THE_END],
        with_=short_retries,
    ),
    "lake: the cluster cannot be started": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [raises("ValidationException", "starting the cluster: InstanceProfile is required")],
        },
        TO_THE_STEP,
        "FAILED",
        "ValidationException",
        "starting the cluster: InstanceProfile is required",
    ),
    "lake: the start takes too long": Case(
        "create_datalake",
        DAYS,
        {"validate-partitions raw": [PLANNED], "launch-emr-step": [gives(after=3, **STEP)]},
        TO_THE_STEP,
        "FAILED",
        "States.Timeout",
        with_=task_timeout,
    ),
    "lake: the execution takes too long": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [gives(**{**STEP, "look_at": "2080-04-02T03:00:00.100Z"})],
        },
        [*TO_THE_STEP, "WaitForStep"],
        "TIMED_OUT",
        with_=execution_timeout,
    ),
    "lake: the step fails": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED, raises("EmrError", LOST_SPOT)],
            "poll-step": [polled("RUNNING"), polled("FAILED", LOST_SPOT)],
        },
        [*TO_THE_STEP, *A_POLL * 2, "StepFailed"],
        "FAILED",
        "EmrError",
        LOST_SPOT,
    ),
    # A redrive after this failure: the function starts another step.
    "lake: the step fails, and another is started": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED, gives(**{**STEP, "cluster_id": "j-2", "step_id": "s-2"})],
            "poll-step": [polled("INTERRUPTED", LOST_SPOT), polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            **published(),
        },
        [*TO_THE_STEP, *A_POLL, "StepFailed", *A_POLL, *AUDIT, *PUBLISH, *TO_THE_END],
    ),
    "lake: quality failure": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            "create-athena-table": [recorded(0)],
            "validate-partitions outcome": [BIDS],
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, "PublishRecords", "Outcome"],
        "FAILED",
        "QualityError",
        "quotes: bid_ask failed on 12% of 100 rows",
    ),
    "lake: quality failure of one day": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            **published(),
            "validate-partitions outcome": [
                outcome(2, failed={"count": 1, "first": ["2020-04-02"]}, verdict="the audit of 2020-04-02 failed")
            ],
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, *PUBLISH, "SomeDaysFailed?", "SomeDaysFailed"],
        "FAILED",
        "QualityError",
        "the audit of 2020-04-02 failed",
    ),
    "lake: three slices, one of which is audited again": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [planned(slices=THREE_SLICES)],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            "validate-partitions staged slice 1": [AUDITED, AUDITED],
            "validate-partitions staged slice 2": [THROTTLED, AUDITED],
            **published(),
            "create-athena-table": [recorded(1)],
            "create-athena-table slice 1": [raises("RecordChanged", "audit again"), recorded(1, 1)],
            "create-athena-table slice 2": [recorded(1, 2)],
        },
        [
            *TO_THE_STEP,
            *A_POLL,
            "AuditSlices",
            *["PublishRecords"] * 4,
            *["ValidateStaged"] * 4,
            *PUBLISH[1:],
            *TO_THE_END,
        ],
        with_=short_retries,
        sorted_=frozenset({"ValidateStaged", "PublishRecords"}),
    ),
    "lake: the raw files of one slice change": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [planned(slices=THREE_SLICES[:2]), planned(f"{RUN}.2")],
            "launch-emr-step": [LAUNCHED, gives(**{**STEP, "cluster_id": "j-2", "step_id": "s-2"})],
            "poll-step": [polled("COMPLETED"), polled("COMPLETED")],
            "validate-partitions staged": [AUDITED, AUDITED],
            # Later than the other slice has ended.
            "validate-partitions staged slice 1": [CHANGED._replace(after=1)],
            **published(),
            "create-athena-table": [recorded(1), recorded(3)],
        },
        [
            *TO_THE_STEP,
            *A_POLL,
            *["AuditSlices", "ValidateStaged", "ValidateStaged", "PublishRecords"],
            "PlanAgain",
            *TO_THE_STEP[2:],
            *A_POLL,
            *AUDIT,
            *PUBLISH,
            *TO_THE_END,
        ],
    ),
    "lake: quality failure of a published table": Case(
        "create_datalake",
        DAYS,
        {
            "validate-partitions raw": [PLANNED],
            "launch-emr-step": [LAUNCHED],
            "poll-step": [polled("COMPLETED")],
            "validate-partitions staged": [AUDITED],
            **published(),
            "validate-partitions published quotes": [BIDS],
        },
        [*TO_THE_STEP, *A_POLL, *AUDIT, *PUBLISH],
        "FAILED",
        "States.TaskFailed",
        {"Status": "FAILED", "Error": "QualityError", "Cause": compact(BIDS.payload)},
    ),
    "backfill: success": Case(
        "backfill",
        BACKFILL,
        {
            "validate-partitions backfill": [backfilled(3)],
            **{f"validate-partitions raw of chunk {number}": [planned(to_publish=0)] for number in (1, 2, 3)},
            **{
                f"validate-partitions backfill_chunk of chunk {number}": [chunk_outcome(number)] for number in (1, 2, 3)
            },
            "validate-partitions backfill_outcome": [summed(3)],
        },
        [*TO_CHUNKS, *["ChunkOutcome"] * 3, *["RunChunk"] * 3, "Outcome", "AnyChunkFailed?", "Done"],
        sorted_=CHUNK_STATES,
    ),
    "backfill: a chunk fails, and the others go on": Case(
        "backfill",
        {**BACKFILL, "force": True, "parallel": 1},
        {
            "validate-partitions backfill": [backfilled(3, parallel=1)],
            "validate-partitions raw of chunk 1": [planned(to_publish=0)],
            "validate-partitions raw of chunk 2": [raises("UploadPending", "ingest first")] * 3,
            "validate-partitions raw of chunk 3": [planned(to_publish=0)],
            "validate-partitions backfill_chunk of chunk 1": [chunk_outcome(1)],
            "validate-partitions backfill_chunk of chunk 2": [chunk_outcome(2, error="UploadPending", cause="ingest")],
            "validate-partitions backfill_chunk of chunk 3": [THROTTLED, chunk_outcome(3)],
            "validate-partitions backfill_outcome": [summed(3, failed=1)],
        },
        [*TO_CHUNKS, *["ChunkOutcome"] * 3, *["RunChunk"] * 3, "Outcome", "AnyChunkFailed?", "ChunksFailed"],
        "FAILED",
        "ChunksFailed",
        "1 of 3 chunks failed. pregao backfill --from 2020-04-02 --to 2020-04-02",
        with_=short_retries,
        sorted_=CHUNK_STATES,
    ),
    "backfill: nothing to do": Case(
        "backfill",
        BACKFILL,
        {"validate-partitions backfill": [backfilled(0)]},
        ["PlanBackfill", "CatalogBehind?", "AnyDay?", "NothingToDo"],
    ),
    "backfill: the catalog is behind in two years": Case(
        "backfill",
        BACKFILL,
        {
            "validate-partitions backfill": [backfilled(0, catalog=[DAYS, {"from": "2021-01-04", "to": "2021-01-05"}])],
            "create-athena-table": [THROTTLED, created(None), created(None)],
            "validate-partitions published": [created(None), created(None)],
        },
        ["PlanBackfill", "CatalogBehind?", "UpdateCatalog", "UpdateYear", "UpdateYear", "AnyDay?", "NothingToDo"],
    ),
    "backfill: an input that says nothing": Case(
        "backfill",
        {"from": "2020-04-09"},
        {"validate-partitions backfill": [raises("InvalidInput", "the input says nothing that can be done")]},
        ["PlanBackfill", "InputRefused"],
        "FAILED",
        "InvalidInput",
        "the input says nothing that can be done",
    ),
    "athena: success": Case(
        "athena_update",
        {"table": "quotes", **DAYS},
        {
            "create-athena-table quotes": [created("quotes")],
            "validate-partitions published quotes": [created("quotes")],
        },
        ["CreateAthenaTable", "ValidatePublished"],
    ),
    "athena: a statement fails": Case(
        "athena_update",
        {"table": "quotes", **DAYS},
        {"create-athena-table quotes": [raises("AthenaError", "Athena query 7 FAILED: no such database")]},
        ["CreateAthenaTable"],
        "FAILED",
        "AthenaError",
        "Athena query 7 FAILED: no such database",
    ),
    "athena: another run published meanwhile": Case(
        "athena_update",
        {"table": "quotes", **DAYS},
        {
            "create-athena-table quotes": [created("quotes"), created("quotes")],
            "validate-partitions published quotes": [
                raises("RecordChanged", "pregao.quotes does not answer with what the records say"),
                created("quotes"),
            ],
        },
        ["CreateAthenaTable", "ValidatePublished", "UpdateAgain", "CreateAthenaTable", "ValidatePublished"],
    ),
    "athena: other rows than were audited": Case(
        "athena_update",
        {"table": "quotes", **DAYS},
        {"create-athena-table quotes": [created("quotes")], "validate-partitions published quotes": [BIDS]},
        ["CreateAthenaTable", "ValidatePublished"],
        "FAILED",
        "QualityError",
        "quotes: bid_ask failed on 12% of 100 rows",
    ),
}


def definitions(case: Case, label: str) -> dict[str, dict]:
    """Returns the state machine of a case, and those that it starts."""
    nested = {"create_datalake": ["athena_update"], "backfill": ["create_datalake", "athena_update"]}
    machines = [case.machine, *nested.get(case.machine, [])]
    made = {machine: definition(machine, label) for machine in machines}
    if case.machine == "upload_raw_data":
        # It does not wait for the runs that it starts.
        made["create_datalake"] = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    if case.with_:
        case.with_(made[case.machine])
    return made


class Started(NamedTuple):
    world: MotoExecutions
    scripts: dict[str, Script]
    executions: dict[str, str]


@pytest.fixture(scope="module")
def theirs() -> Iterator[Started]:
    """All cases, started in moto's interpreter."""
    with pytest.MonkeyPatch.context() as patch, Moto.interpreting(patch) as moto:
        world = MotoExecutions(moto, patch)
        started = Started(world, {}, {})
        for number, (name, case) in enumerate(CASES.items()):
            label = f"case{number}"
            world.scripts[label] = started.scripts[name] = Script(case.answers)
            world.create(label, definitions(case, label))
            started.executions[name] = world.start(label, case.machine, case.input)
        yield started
        for execution in started.executions.values():
            world.wait(execution)


@pytest.mark.parametrize("name", CASES)
def test_both_interpreters_enter_the_same_states(theirs: Started, tmp_path: Path, name: str):
    case, number = CASES[name], list(CASES).index(name)
    script = Script(case.answers)
    ours = run_ours(definitions(case, f"case{number}"), case.machine, case.input, script, tmp_path)
    assert in_order(ours.states, case.sorted_) == case.states
    assert (ours.status, ours.error) == (case.status, case.error)
    assert case.words is None or ours.words == case.words
    assert not any(script.answers.values()), "every result was requested"

    other = theirs.world.wait(theirs.executions[name])
    assert in_order(other.states, case.sorted_) == case.states
    if "StartRuns" in case.states:
        # The names of the executions are generated.
        assert [len(one.output.pop("runs")) for one in (ours, other)] == [case.states.count("StartRun")] * 2
        assert theirs.world.started(f"case{number}") == [
            {**run, "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": theirs.executions[name]} for run in ours.started
        ]
        assert all((run["which"], run["from"]) == ("uploaded", run["to"]) for run in ours.started)
    assert (other.status, other.output, other.error) == (ours.status, ours.output, ours.error)
    assert case.words is None or other.words == case.words
    if case.machine == "create_datalake" and "Publish" in case.states:
        nested = theirs.world.nested(f"case{number}")
        assert nested == ours.nested and set(nested) == set(TABLES)
    if "RunChunks" in case.states:
        chunks = theirs.world.chunks(f"case{number}")
        ended = {name: (chunk.status, chunk.error, chunk.states) for name, chunk in ours.nested.items()}
        assert ended == {name: (chunk.status, chunk.error, chunk.states) for name, chunk in chunks.items()}
        assert set(ended) == {f"{RUN}_{number:03}" for number in (1, 2, 3)}
    assert comparable_calls(theirs.scripts[name]) == comparable_calls(script), (
        "both interpreters give the functions the same inputs"
    )


def in_order(states: list[str], concurrent: frozenset[str] = frozenset()) -> list[str]:
    """Returns the states. The branches of Publish, which begin at the same time, are sorted by name, and so are states that
    concurrent iterations of a Map enter.
    """
    branches = sorted(state for state in states if state.startswith("Publish "))
    iterations = sorted(state for state in states if state in concurrent)
    rest = [state for state in states if not state.startswith("Publish ") and state not in concurrent]
    for group, parent in [(iterations, "RunChunks" if "RunChunks" in rest else "AuditSlices"), (branches, "Publish")]:
        at = rest.index(parent) + 1 if parent in rest else 0
        rest[at:at] = group
    return rest


STARTED_BY = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"


def comparable_calls(script: Script) -> dict[str, list[dict | list]]:
    """Returns the inputs of the functions, without values that differ between executions."""
    calls = json.loads(json.dumps(script.calls))
    for payload in (payload for payloads in calls.values() for payload in payloads):
        if not isinstance(payload, dict):
            continue
        payload.pop("execution_arn", None)
        execution = payload.get("execution", {})
        for name in set(execution) - {"Name", "Input"}:
            del execution[name]
        if "failure" in payload.get("chunk", {}):
            cause = json.loads(payload["chunk"]["failure"]["Cause"])
            # The description of the execution has its times.
            payload["chunk"]["failure"]["Cause"] = {name: cause[name] for name in ("Status", "Error", "Cause")}
        if STARTED_BY in payload.get("input", {}):
            payload["input"][STARTED_BY] = payload["input"][STARTED_BY].rsplit(":", 1)[1]
        if STARTED_BY in payload:
            # The rest of the ARN differs between the endpoints.
            payload[STARTED_BY] = payload[STARTED_BY].rsplit(":", 1)[1]
    return calls
