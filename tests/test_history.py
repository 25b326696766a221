"""The publication history of a day: history, rollback, diff, time travel, and the catalog from records."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import ACCOUNT, LAKE, REGION, Endpoint, Lake, Result, eventually
from old_layout import make_old
from records import age, moment

DAY = "2020-04-01"
KEY = "year=2020/month=4/day=1"
RECORD = f"published/{KEY}.json"
STALE = {"from": DAY, "to": DAY, "stale": True}
DAYS = ["20200401", "20200402", "20200403"]


def history(lake: Lake, day: str = DAY) -> list[dict]:
    document = json.loads(lake.run("history", day, "--format", "json").out)
    assert document["day"] == day
    return document["records"]


def causes(lake: Lake, day: str = DAY) -> list[str]:
    return [record["cause"] for record in history(lake, day)]


def rollback_record(lake: Lake, *options: str) -> dict:
    return json.loads(lake.run("rollback", DAY, *options, "--format", "json").out)["record"]


def tables(lake: Lake, *options: str) -> dict[str, list[dict]]:
    """Returns all rows of each table, with numbers as the printed text."""
    queries = {table: ["query", *options, f"SELECT * FROM {table}", "--format", "json"] for table in oracle.TABLES}
    return {
        table: sorted(json.loads(lake.run(*arguments).out, parse_float=str), key=str)
        for table, arguments in queries.items()
    }


def statement_that_fails(lake: Lake, *options: str) -> Result:
    return lake.fails("query", *options, "SELECT count(*) AS n FROM quotes")


def run_workflow(endpoint: Endpoint, input: dict) -> str:
    """Runs create_datalake to its end. Returns the status."""
    sfn = endpoint.client("stepfunctions")
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:create_datalake"
    execution = sfn.start_execution(stateMachineArn=arn, input=json.dumps(input))["executionArn"]

    def status() -> str | None:
        found = sfn.describe_execution(executionArn=execution)["status"]
        return None if found == "RUNNING" else found

    return eventually("the execution to end", status)


def forget_records(lake: Lake) -> None:
    """Converts a lake to that of a version without records: runs, reports, and the catalog."""
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        for key in lake.objects(LAKE):
            if key.startswith(("published/", "catalog/")) or re.fullmatch(r"runs/run=[^/]+/[^/]+\.json", key):
                s3.delete_object(Bucket=LAKE, Key=key)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Three days, and a late snapshot of the first in another folder."""
    return rawfiles.write_market_and_late(tmp_path / "given", seed=14, days=DAYS, snapshots=4)


@pytest.fixture
def twice(lake: Lake, raw: Path) -> Lake:
    """A lake whose first day was published, and again with a late file."""
    lake.upload(raw)
    lake.publish(DAY, "2020-04-02")
    lake.upload(raw.parent / "late")
    lake.publish(DAY)
    return lake


def test_a_late_file_is_shown_rolled_back_and_published_again(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish(DAY, "2020-04-02")
    first = tables(lake)
    lake.upload(raw.parent / "late")
    lake.publish(DAY)
    second = tables(lake)
    old, new = history(lake)
    assert [old["number"], new["number"], old["cause"], new["cause"]] == [1, 2, "published", "published"]
    assert old["written_at"] < new["written_at"] and new["raw_files"] == old["raw_files"] + 1
    assert new["rows"]["quotes"] > old["rows"]["quotes"] and new["rows"]["options"] == old["rows"]["options"]
    assert causes(lake, "2020-04-02") == ["published"]

    # The difference is exactly the rows of the late file.
    document = json.loads(lake.run("diff", DAY, old["run"], new["run"], "--format", "json").out)
    late = [row for row in second["quotes"] if row not in first["quotes"]]
    by_table = {table["table"]: table for table in document["tables"]}
    quotes = by_table["quotes"]
    assert (quotes["added"], quotes["removed"], quotes["changed"]) == (len(late), 0, 0) and late
    assert quotes["added"] == new["rows"]["quotes"] - old["rows"]["quotes"]
    times = {row["intdate"] for row in late}
    assert len(times) == 1 and {row["intdate"] for row in quotes["examples"]["added"]} == times
    options = by_table["options"]
    assert (options["added"], options["removed"], options["changed"]) == (0, 0, 0)
    assert lake.query("SHOW DATABASES") == [
        {"database_name": "default"},
        {"database_name": "pregao"},
        {"database_name": "pregao_staged"},
    ]

    # Earlier publications are readable bit for bit. The records of a run's days are written concurrently.
    (other,) = history(lake, "2020-04-02")
    assert tables(lake, "--as-of", moment(max(old["written_at"], other["written_at"]))) == first
    assert tables(lake, "--as-of", moment(new["written_at"], -timedelta(milliseconds=1))) == first
    assert tables(lake, "--as-of", moment(new["written_at"])) == second

    record = rollback_record(lake)
    assert record["cause"] == "rolled_back" and record["run"] == old["run"] and record["held"]["by"]
    assert record["published_at"] == old["published_at"]
    assert tables(lake) == first
    released = rollback_record(lake, "--release")
    assert released["cause"] == "released" and released["held"] is None and released["run"] == old["run"]
    assert tables(lake) == first, "a release does not change the tables"

    with lake.endpoint() as endpoint:
        assert run_workflow(endpoint, STALE) == "SUCCEEDED"
    assert tables(lake) == second, "the newer view is published again"
    assert causes(lake) == ["published", "published", "rolled_back", "released", "published"]


def test_nothing_overrides_a_rollback_until_it_is_released(twice: Lake, raw: Path):
    old, new = history(twice)
    twice.run("rollback", DAY)
    before = tables(twice)
    failed = twice.fails("run", "--from", DAY)
    assert "a rollback holds 1 day" in failed.output and "--release" in failed.output, failed
    document = json.loads(twice.run("run", "--from", DAY, "--format", "json", check=False).out)
    assert document["held"]["first"] == [DAY] and document["published"] == []
    with twice.endpoint() as endpoint:
        assert run_workflow(endpoint, STALE) == "SUCCEEDED"
        scheduled = {"source": "aws.scheduler", "detail-type": "Scheduled Event", "time": "2020-04-02T10:00:00Z"}
        run_workflow(endpoint, scheduled)  # It may report that snapshots are missing.
    assert tables(twice) == before
    assert history(twice)[-1]["run"] == old["run"] and causes(twice)[2:] == ["rolled_back"]
    again = twice.fails("rollback", DAY)
    assert "already" in again.err, again
    # While the day is held, a rollback to the other run is still possible.
    assert rollback_record(twice, "--to", new["run"])["run"] == new["run"]
    twice.run("rollback", DAY, "--release")
    assert "not held" in twice.fails("rollback", DAY, "--release").err


def test_a_rollback_refuses_files_that_differ_from_the_audited_ones(twice: Lake):
    old, _ = history(twice)
    (path,) = (twice.files / "s3" / LAKE / f"runs/run={old['run']}/quotes/{KEY}").glob("*.parquet")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (bytes(flipped), whole[:-1]):
        path.write_bytes(damaged)
        failed = twice.fails("rollback", DAY)
        assert "quotes" in failed.err and causes(twice) == ["published", "published"], failed
    path.unlink()
    twice.fails("rollback", DAY)
    path.write_bytes(whole)
    twice.run("rollback", DAY)


def test_a_rollback_refuses_runs_without_files_and_days_without_records(twice: Lake):
    old, new = history(twice)
    assert "never been published" in twice.fails("rollback", DAY, "--to", "another").err
    assert "is what is published" in twice.fails("rollback", DAY, "--to", new["run"]).err
    assert "no other run" in twice.fails("rollback", "2020-04-02").err
    for command in ("history", "rollback"):
        assert "nothing has ever been published" in twice.fails(command, "2020-05-04").err
    remove(twice, old["run"])
    assert "are removed" in twice.fails("rollback", DAY).err
    assert "are removed" in twice.fails("diff", DAY, old["run"], new["run"]).err
    records = history(twice)
    assert [record["removed"] for record in records] == [True, False]


def remove(lake: Lake, run: str) -> None:
    """Removes the files of a run of the day as vacuum does: marks the run in the record first."""
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        record = json.loads(s3.get_object(Bucket=LAKE, Key=RECORD)["Body"].read())
        record["removed_runs"] = [*record.get("removed_runs", []), run]
        s3.put_object(Bucket=LAKE, Key=RECORD, Body=json.dumps(record).encode())
        for key in lake.objects(LAKE, f"runs/run={run}/"):
            s3.delete_object(Bucket=LAKE, Key=key)


def test_a_rollback_that_loses_a_race_changes_nothing(twice: Lake):
    """Another record is written while the rollback compares files."""
    with twice.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        for _ in range(20):
            with twice.started("rollback", DAY) as rollback:
                rollback.wait_for_line(lambda line: "comparing the files" in line)
                os.kill(rollback.pid, signal.SIGSTOP)
                record = json.loads(s3.get_object(Bucket=LAKE, Key=RECORD)["Body"].read())
                in_time = "held" not in record
                number = record["number"]
                if in_time:
                    s3.put_object(
                        Bucket=LAKE, Key=f"published/{KEY}/history/{number}.json", Body=json.dumps(record).encode()
                    )
                    record.update(number=number + 1, actor="run other", cause="published")
                    s3.put_object(Bucket=LAKE, Key=RECORD, Body=json.dumps(record).encode())
                os.kill(rollback.pid, signal.SIGCONT)
                code = rollback.wait()
            if in_time:
                break
            # The rollback was faster: try again.
            twice.run("rollback", DAY, "--to", history(twice)[1]["run"])
            twice.run("rollback", DAY, "--release")
        assert in_time and code == 1 and "has changed since the command began" in str(rollback), rollback
        last = history(twice)[-1]
        assert (last["number"], last["actor"], last["held"]) == (number + 1, "run other", None)


# --- time travel --------------------------------------------------------------------------------


def test_the_tables_of_an_earlier_time_are_created_once(twice: Lake):
    age(twice, 30)
    old, new = history(twice)
    first = tables(twice, "--as-of", moment(old["written_at"]))
    assert first != tables(twice) == tables(twice, "--as-of", moment(new["written_at"]))
    before = [name for row in twice.query("SHOW DATABASES") for name in row.values()]
    assert len([name for name in before if "_asof_" in name]) == 2
    assert tables(twice, "--as-of", moment(old["written_at"])) == first
    assert [name for row in twice.query("SHOW DATABASES") for name in row.values()] == before
    # The same time in another time zone.
    local = datetime.fromisoformat(old["written_at"]).astimezone(
        tz=datetime.fromisoformat("2020-01-01T00:00:00-03:00").tzinfo
    )
    assert tables(twice, "--as-of", local.isoformat()) == first
    # A date means the end of the day in UTC.
    assert tables(twice, "--as-of", old["written_at"][:10]) == tables(twice)
    # Before the first record: tables without rows.
    assert tables(twice, "--as-of", moment(old["written_at"], -timedelta(days=1))) == {
        table: [] for table in oracle.TABLES
    }
    (name,) = twice.run("query", "--as-of", moment(old["written_at"]), "--print-database").out.split()
    assert name in before
    rows = json.loads(
        twice.run("query", "--database", name, "SELECT * FROM quotes", "--format", "json").out, parse_float=str
    )
    assert sorted(rows, key=str) == first["quotes"]


def test_time_travel_to_an_unknown_state_is_an_error(twice: Lake):
    age(twice, 30)
    old, _ = history(twice)
    then = moment(old["written_at"])
    assert "not come yet" in statement_that_fails(twice, "--as-of", "2999-01-01").err
    assert (
        "names the database pregao" in twice.fails("query", "--as-of", then, "SELECT count(*) FROM pregao.quotes").err
    )
    assert "statements that read" in twice.fails("query", "--as-of", then, "DROP TABLE quotes").err
    just_now = datetime.now(UTC).isoformat()
    assert "only just passed" in twice.fails("query", "--as-of", just_now, "--print-database").err
    tables(twice, "--as-of", then)
    remove(twice, old["run"])
    failed = statement_that_fails(twice, "--as-of", then)
    assert old["run"] in failed.err and DAY in failed.err, failed


# --- the catalog --------------------------------------------------------------------------------


def test_the_catalog_is_derived_from_the_records_alone(twice: Lake):
    def status() -> list[dict]:
        days = json.loads(twice.run("status", "--format", "json").out)
        return [{name: value for name, value in day.items() if name != "age"} for day in days]

    before, status_before = tables(twice), status()
    derived = twice.objects(LAKE, "catalog/files/")
    for database in ("pregao", "pregao_staged"):
        twice.run("query", f"DROP DATABASE {database} CASCADE", "--database", "default")
    twice.fails("query", "SELECT count(*) FROM quotes")
    with twice.endpoint() as endpoint:
        for key in twice.objects(LAKE, "catalog/"):
            endpoint.client("s3").delete_object(Bucket=LAKE, Key=key)
    for _ in range(2):
        printed = twice.run("recatalog").out
        assert "2 days" in printed, printed
        assert tables(twice) == before
        assert status() == status_before
        assert twice.objects(LAKE, "catalog/files/") == derived
    twice.run("verify", "--deep")


def test_recatalog_fails_on_an_empty_lake(lake: Lake):
    assert "no record of a published day" in lake.fails("recatalog").err


# --- lakes of older versions --------------------------------------------------------------------


def next_second():
    """Waits for a later instant of S3, whose instants are whole seconds."""
    time.sleep(1)


@pytest.mark.parametrize("age_lake", [forget_records, make_old], ids=["without records", "in the old layout"])
def test_a_lake_of_an_older_version_gets_its_records(lake: Lake, raw: Path, age_lake: Callable[[Lake], None]):
    lake.upload(raw)
    next_second()
    lake.publish(DAY, "2020-04-02")
    before = tables(lake)
    (written,) = history(lake)
    age_lake(lake)
    assert not lake.objects(LAKE, "published/")

    lake.run("status")
    (migrated,) = history(lake)
    assert migrated["cause"] == "migrated" and migrated["run"] == written["run"]
    for name in ("rows", "raw_files", "raw_bytes"):
        assert migrated[name] == written[name], name
    marker = json.loads(lake.objects(LAKE, "published/_migrated.json")["published/_migrated.json"])
    assert (marker["days"], marker["left_out"]) == (2, {})
    record = json.loads(lake.objects(LAKE, RECORD)[RECORD])
    assert all(file["etag"] and file["last_modified"] for file in record["published"]["raw_files"])
    assert tables(lake) == before == tables(lake, "--as-of", moment(migrated["written_at"]))
    lake.run("verify", "--deep")

    # The migration runs once, and never replaces a record.
    stored = lake.objects(LAKE, "published/")
    assert history(lake) == [migrated] and lake.objects(LAKE, "published/") == stored

    # The next runs: a day that shrinks is refused, a late file is published.
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        name = s3.list_objects_v2(Bucket="pregao-raw", Prefix="quotes/date=2020-04-02/")["Contents"][0]["Key"]
        s3.delete_object(Bucket="pregao-raw", Key=name)
    assert "lost_rows" in lake.fails("run", "--from", "2020-04-02").output
    lake.upload(raw.parent / "late")
    lake.publish(DAY)
    assert causes(lake) == ["migrated", "published"]
    assert tables(lake) != before
    lake.run("rollback", DAY)
    assert tables(lake) == before


def test_a_run_migrates_before_it_reads_records(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish(DAY, "2020-04-02")
    forget_records(lake)
    lake.publish("2020-04-03")
    assert causes(lake) == causes(lake, "2020-04-02") == ["migrated"]
    assert causes(lake, "2020-04-03") == ["published"]


def test_a_raw_file_that_changed_since_an_old_run_makes_the_day_stale(lake: Lake, raw: Path):
    lake.upload(raw)
    next_second()
    lake.publish(DAY)
    forget_records(lake)
    next_second()
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        name = s3.list_objects_v2(Bucket="pregao-raw", Prefix="quotes/date=2020-04-01/")["Contents"][0]["Key"]
        body = s3.get_object(Bucket="pregao-raw", Key=name)["Body"].read()
        s3.put_object(Bucket="pregao-raw", Key=name, Body=body)
    assert causes(lake) == ["migrated"]
    files = json.loads(lake.objects(LAKE, RECORD)[RECORD])["published"]["raw_files"]
    unknown = [file["name"] for file in files if "etag" not in file]
    assert unknown == [name.rsplit("/", 1)[-1]]
    with lake.endpoint() as endpoint:
        assert run_workflow(endpoint, STALE) == "SUCCEEDED"
    assert causes(lake) == ["migrated", "published"]


def test_days_without_a_readable_run_are_left_out_and_named(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish(DAY, "2020-04-02")
    lake.publish("2020-04-03")
    before = tables(lake)
    (run,) = {record["run"] for record in history(lake, "2020-04-03")}
    forget_records(lake)
    with lake.endpoint() as endpoint:
        endpoint.client("s3").delete_object(Bucket=LAKE, Key=f"quality/run={run}/options.json")
    result = lake.run("history", DAY)
    assert "2020-04-03 has no record" in result.err and f"quality/run={run}/options.json" in result.err, result
    assert "nothing has ever been published" in lake.fails("history", "2020-04-03").err
    assert tables(lake) == before, "the tables are unchanged"
    lake.publish("2020-04-03")
    assert causes(lake, "2020-04-03") == ["published"]
