"""`pregao backfill`: a long range of days in chunks, each of which is a run."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import ACCOUNT, LAKE, RAW, REGION, Lake, Result, assert_published, assert_same_rows, read_json
from test_cli import document, failure

# 2020-04-07 is a business day without raw files, 2020-04-10 is Good Friday.
DAYS = ["20200401", "20200402", "20200403", "20200406", "20200408", "20200409", "20200413", "20200414"]
RANGE = ["--from", "2020-04-01", "--to", "2020-04-14"]
CHUNKS = ["--set", "backfill.chunk_days=3"]
JSON = ["--format", "json"]


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with raw files, and a home in which they are uploaded and nothing is published."""
    folder = tmp_path_factory.mktemp("backfill")
    rawfiles.write_market(folder / "raw", seed=17, days=DAYS, snapshots=2)
    Lake(folder / "home").upload(folder / "raw")
    return folder


@pytest.fixture
def lake(uploaded: Path, tmp_path: Path) -> Iterator[Lake]:
    shutil.copytree(uploaded / "home", tmp_path / "home")
    yield Lake(tmp_path / "home")


def backfill(lake: Lake, *options: str) -> dict:
    """Returns the document of a backfill that succeeds."""
    return document(lake.run(*CHUNKS, "backfill", *RANGE, *options, *JSON), "backfill")


def executions(lake: Lake, workflow: str) -> list[str]:
    """Returns the names of the executions of a workflow, the oldest first."""
    found = json.loads(lake.run("runs", "--limit", "1000", *JSON).out)["executions"]
    return [run["name"] for run in reversed(found) if run["workflow"] == workflow]


def records(lake: Lake) -> dict[str, int]:
    """Returns the number of the record of each day."""
    found = {key: json.loads(body) for key, body in lake.objects(LAKE, "published/year=").items()}
    return {record["day"]: record["number"] for key, record in found.items() if re.search(r"/day=\d+\.json$", key)}


def rows_of(lake: Lake, table: str) -> list[dict]:
    """Returns the rows of a table; none if it does not exist yet."""
    selected = lake.run("query", f"SELECT * FROM {table}", *JSON, check=False)
    if selected.code != 0:
        assert "does not exist" in selected.err, selected
        return []
    return read_json(selected.out)


@pytest.mark.parametrize("engine", ["emr", "lambda"])
def test_a_range_is_published_in_chunks(lake: Lake, uploaded: Path, engine: str):
    done = lake.run(*CHUNKS, "backfill", *RANGE, "--engine", engine)
    assert "published 8 days of 2020-04-01 to 2020-04-14, in 3 chunks" in done.out, done
    assert "1 business day without raw files (2020-04-07)" in done.out, "a holiday is not missing"
    assert "8 days to make, in 3 chunks, 3 at the same time" in done.err, done
    ended = re.findall(r"✓ chunk (\d) of 3  (\S+) to (\S+)  (\d) days published", done.err)
    assert sorted(ended) == [
        ("1", "2020-04-01", "2020-04-03", "3"),
        ("2", "2020-04-06", "2020-04-09", "3"),
        ("3", "2020-04-13", "2020-04-14", "2"),
    ]
    assert_published(lake, uploaded / "raw")
    (name,) = executions(lake, "backfill")
    assert sorted(executions(lake, "create_datalake")) == [f"{name}_{number:03}" for number in (1, 2, 3)]
    lake.run("verify", "--deep")
    # Nothing is left to do.
    again = backfill(lake)
    assert (again["to_do"], again["current"], again["chunks"], again["published"]) == (0, 8, 0, 0)
    assert "nothing to do: all raw files are published" in lake.run("backfill", *RANGE).out
    assert len(executions(lake, "create_datalake")) == 3 and set(records(lake).values()) == {1}


def test_only_days_that_are_not_current_are_made(lake: Lake, uploaded: Path, tmp_path: Path):
    lake.publish("2020-04-02", "2020-04-06")
    late = tmp_path / "late"
    rawfiles.write(late, "quotes", "202004031550", [rawfiles.quote("ABCD3")])
    lake.upload(late)
    planned = document(lake.run(*CHUNKS, "backfill", *RANGE, "--plan", *JSON), "backfill")
    # The job reads the current days between others.
    assert [(chunk["days"]["from"], chunk["days"]["to"], chunk["to_do"]) for chunk in planned["chunks"]] == [
        ("2020-04-01", "2020-04-03", 2),
        ("2020-04-08", "2020-04-13", 3),
        ("2020-04-14", "2020-04-14", 1),
    ]
    done = backfill(lake)
    assert (done["to_do"], done["current"], done["published"]) == (6, 2, 6)
    assert records(lake) == {f"{day[:4]}-{day[4:6]}-{day[6:]}": 2 if day == "20200403" else 1 for day in DAYS}, (
        "a current day keeps its record"
    )
    assert "nothing to do" in lake.run("run", "--stale").out


def test_a_plan_starts_and_changes_nothing(lake: Lake):
    before = lake.objects(LAKE)
    planned = document(lake.run(*CHUNKS, "backfill", *RANGE, "--plan", *JSON), "backfill")
    sizes = {key.split("date=")[1][:10]: 0 for key in lake.objects(RAW)}
    for key, body in lake.objects(RAW).items():
        sizes[key.split("date=")[1][:10]] += len(body)
    assert (planned["to_do"], planned["parallel"], planned["usd"]) == (8, 3, 0)
    assert planned["bytes"] == sum(sizes.values()) == sum(chunk["bytes"] for chunk in planned["chunks"])
    assert [chunk["to_do"] for chunk in planned["chunks"]] == [3, 3, 2]
    assert {chunk["engine"] for chunk in planned["chunks"]} == {"embedded"}
    # A day that the engine cannot take is a chunk of its own, and would fail alone.
    day, largest = max(sizes.items(), key=lambda item: item[1])
    limit = ["--set", f"transform.max_day_bytes={largest - 1}"]
    limited = document(lake.run(*limit, "backfill", *RANGE, "--plan", "--engine", "lambda", *JSON), "backfill")
    (refused,) = (chunk for chunk in limited["chunks"] if chunk["problem"])
    assert refused["days"] == {"from": day, "to": day} and refused["engine"] is None
    assert f"the raw files of {day} have {largest} bytes" in refused["problem"], refused
    text = lake.run(*CHUNKS, "backfill", *RANGE, "--plan", "--parallel", "2")
    assert "chunks   3, at most 2 at the same time" in text.out and "nothing was started" in text.out, text
    assert lake.objects(LAKE) == before and executions(lake, "backfill") == []


def test_what_cannot_be_meant_is_refused(lake: Lake):
    reversed_ = lake.fails("backfill", "--from", "2020-04-14", "--to", "2020-04-01")
    assert "reversed" in reversed_.err, reversed_
    for number in ("0", "11", "many"):
        refused = lake.fails("backfill", *RANGE, "--parallel", number)
        assert refused.code == 2 and "from 1 to 10" in refused.err, refused
    refused = lake.fails("--set", "backfill.chunk_days=251", "backfill", *RANGE)
    assert "backfill.chunk_days is over 250" in refused.err, refused
    assert executions(lake, "backfill") == []


def test_a_range_without_raw_files_is_nothing_to_do(lake: Lake):
    done = lake.run("backfill", "--from", "2021-01-04", "--to", "2021-12-30")
    assert "nothing to do: there are no raw files of 2021-01-04 to 2021-12-30" in done.out, done


# --- failures ---------------------------------------------------------------------------------------


def retry(lake: Lake, command: str, *options: str) -> Result:
    """Runs a command that a failed backfill names."""
    program, *arguments = shlex.split(command)
    assert program == "pregao" and arguments[:2] == ["--home", str(lake.home)], command
    return lake.run(*options, *arguments[2:], check=False)


def write_days(folder: Path, bad: str | None) -> None:
    """Writes a snapshot of each day. That of the day `bad` has a number that cannot be read."""
    for day in DAYS:
        cells = {"Ult": "1k2k"} if day == bad else {}
        rawfiles.write(folder, "quotes", f"{day}1000", [rawfiles.quote("PETR4", **cells)])


def published_days(lake: Lake) -> list[int]:
    return sorted(row["day"] for row in lake.query("SELECT DISTINCT day FROM quotes"))


def test_a_chunk_that_fails_stops_no_other_and_is_retried(tmp_path: Path):
    lake = Lake(tmp_path / "home")
    write_days(tmp_path / "bad", bad="20200408")
    lake.upload(tmp_path / "bad")
    failed = lake.fails(*CHUNKS, "backfill", *RANGE, "--parallel", "1", *JSON)
    found = failure(failed, "backfill")
    assert (found["chunks"], found["published"], found["error"]["name"]) == (3, 7, "ChunksFailed")
    (chunk,) = found["failed"]
    assert chunk["days"] == {"from": "2020-04-06", "to": "2020-04-09"} and chunk["error"] == "QualityError"
    assert chunk["published"] == 2 and chunk["failed_days"] == {"count": 1, "first": ["2020-04-08"]}
    assert "2020-04-08" in chunk["cause"], chunk
    assert chunk["retry"] == f"pregao --home {lake.home} backfill --from 2020-04-06 --to 2020-04-09"
    assert published_days(lake) == [1, 2, 3, 6, 9, 13, 14]
    runs = json.loads(lake.run("runs", found["execution"], *JSON).out)
    assert (
        runs["failure"]["error"] == "ChunksFailed" and "pregao backfill --from 2020-04-06" in runs["failure"]["cause"]
    )

    # Without mending, it fails again, for this day alone, and as text.
    again = retry(lake, chunk["retry"])
    assert again.code == 1 and "1 day to make, in one chunk" in again.err, again
    assert "1 of 1 chunk failed" in again.err and f"retry   pregao --home {lake.home} backfill" in again.out, again

    # With the number corrected, it succeeds.
    write_days(tmp_path / "good", bad=None)
    lake.upload(tmp_path / "good")
    mended = retry(lake, chunk["retry"])
    assert mended.code == 0 and "published 1 day of 2020-04-06 to 2020-04-09" in mended.out, mended
    assert_published(lake, tmp_path / "good")


def test_a_day_whose_audit_failed_is_made_when_a_limit_is_raised(tmp_path: Path):
    lake = Lake(tmp_path / "home")
    write_days(tmp_path / "raw", bad="20200408")
    lake.upload(tmp_path / "raw")
    failed = lake.fails("backfill", *RANGE)
    assert "1 of 1 chunk failed" in failed.err, failed
    assert 8 not in published_days(lake)
    assert "nothing to do" in lake.run("run", "--stale").out, "runs of stale days skip it"
    raised = lake.run("--set", "quality.max_reject_share=1", "backfill", *RANGE)
    assert "published 1 day" in raised.out, raised
    assert_published(lake, tmp_path / "raw")


def test_files_that_are_not_ingested_fail_their_chunk_alone(lake: Lake):
    with lake.endpoint() as endpoint:
        body = b"x"
        endpoint.client("s3").put_object(Bucket=RAW, Key="landing/202004081500_flashpanel.csv", Body=body)
    found = failure(lake.fails(*CHUNKS, "backfill", *RANGE, *JSON), "backfill")
    (chunk,) = found["failed"]
    assert (chunk["error"], chunk["days"]["from"], chunk["published"]) == ("UploadPending", "2020-04-06", 0)
    assert found["published"] == 5


# --- interruptions ----------------------------------------------------------------------------------


def test_killed_after_a_chunk_the_same_command_makes_the_other_days(lake: Lake, uploaded: Path):
    with lake.started(*CHUNKS, "backfill", *RANGE, "--parallel", "1") as process:
        process.wait_for_line(lambda line: "chunk 1 of 3" in line)
        process.kill()
    done = backfill(lake)
    assert done["current"] >= 3 and done["to_do"] == 8 - done["current"] == done["published"], done
    assert_published(lake, uploaded / "raw")
    assert records(lake)["2020-04-01"] == 1, "what is published is not made again"
    assert "RUNNING" not in lake.run("runs").out


def test_killed_between_record_and_catalog_the_same_command_completes(lake: Lake, uploaded: Path):
    """The record says that the days are published, and no partition points at them."""
    fault = f"service=s3&op=PutObject&key={LAKE}/catalog/locks/*:abort"
    with lake.started(*CHUNKS, "local", "--faults", fault) as process:
        process.wait_for_line(lambda line: "http://" in line)
        assert lake.run("backfill", *RANGE, "--parallel", "1", check=False).code != 0
        process.wait()
    behind = document(lake.run(*CHUNKS, "backfill", *RANGE, "--plan", *JSON), "backfill")
    assert (behind["current"], behind["catalog_behind"], behind["to_do"]) == (3, 3, 5), behind
    done = backfill(lake)
    assert (done["catalog_behind"], done["published"]) == (3, 5)
    assert_published(lake, uploaded / "raw")
    assert set(records(lake).values()) == {1}
    # The same if there is nothing else to do: the partitions of a day are lost.
    with lake.endpoint() as endpoint:
        endpoint.client("glue").delete_partition(
            DatabaseName="pregao", TableName="quotes", PartitionValues=["2020", "4", "1"]
        )
    again = lake.run("backfill", *RANGE)
    assert "nothing to do" in again.out and "the catalog now has 1 day that had been published before" in again.out
    assert_published(lake, uploaded / "raw")


def test_killed_at_random_moments_the_same_command_completes(lake: Lake, uploaded: Path, tmp_path: Path):
    shutil.copytree(lake.home, tmp_path / "undisturbed")
    started = time.monotonic()
    backfill(Lake(tmp_path / "undisturbed"))
    duration = time.monotonic() - started
    random_ = random.Random(15)
    expected = oracle.read_folder(uploaded / "raw")
    for _ in range(6):
        with lake.started(*CHUNKS, "backfill", *RANGE) as process:
            time.sleep(random_.uniform(0, duration))
            process.kill()
        # Each day is published whole, or not at all.
        for table in oracle.TABLES:
            rows = rows_of(lake, table)
            whole = [row for day in {row["day"] for row in rows} for row in expected.day(table, 2020, 4, day)]
            assert_same_rows(table, rows, whole)
    backfill(lake)
    assert_published(lake, uploaded / "raw")
    assert set(records(lake).values()) == {1}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_stops_its_chunks_and_goes_on_later(lake: Lake, uploaded: Path, number: int, code: int):
    with lake.started(*CHUNKS, "backfill", *RANGE, "--parallel", "1") as process:
        process.wait_for_line(lambda line: "chunk 1 of 3" in line)
        process.popen.send_signal(number)
        ended = process.wait()
    # On a busy machine it may have ended before.
    if ended != 0:
        assert ended == code, process
        assert any("the same command makes the other days" in line for line in process.lines), process
        assert "RUNNING" not in lake.run("runs").out
    done = backfill(lake)
    assert done["current"] >= 3 and done["to_do"] == done["published"], done
    assert_published(lake, uploaded / "raw")


def test_two_backfills_at_once_publish_each_day_once(lake: Lake, uploaded: Path):
    with lake.endpoint() as endpoint:
        sfn = endpoint.client("stepfunctions")
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:backfill"
        input = json.dumps({"from": "2020-04-01", "to": "2020-04-14"})
        with ThreadPoolExecutor(2) as pool:
            start = lambda name: sfn.start_execution(stateMachineArn=machine, name=name, input=input)  # noqa: E731
            started = list(pool.map(start, ["one", "other"]))
        for execution in started:
            while (status := sfn.describe_execution(executionArn=execution["executionArn"])["status"]) == "RUNNING":
                time.sleep(0.05)
            assert status == "SUCCEEDED", status
    assert_published(lake, uploaded / "raw")
    assert backfill(lake)["to_do"] == 0


# --- force ------------------------------------------------------------------------------------------


def test_forced_it_makes_current_days_again_but_none_that_is_held(lake: Lake, uploaded: Path):
    lake.publish("2020-04-01", "2020-04-14")
    lake.publish("2020-04-02")
    lake.run("rollback", "2020-04-02")
    before = records(lake)
    assert backfill(lake)["to_do"] == 0
    done = backfill(lake, "--force")
    assert (done["to_do"], done["published"], done["current"]) == (7, 7, 0), done
    after = records(lake)
    assert after == {day: number + (day != "2020-04-02") for day, number in before.items()}
    assert_published(lake, uploaded / "raw")
