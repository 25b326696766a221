"""Files that arrive after their day was published: `status` reports them, and scheduled or manual runs publish them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import many_days
import rawfiles
from lake import LAKE, RAW, Endpoint, Lake, assert_published
from test_aws_clients import STATE_MACHINES, finished
from test_cli import FEW, days_of, document, failure

DAYS = ["2020-04-01", "2020-04-02", "2020-04-03"]


@pytest.fixture
def raw(lake: Lake, tmp_path: Path) -> Path:
    """The raw files of three published days; a fourth snapshot of the second day is in `late`."""
    numbers = [day.replace("-", "") for day in DAYS]
    raw = rawfiles.write_market_and_late(tmp_path / "given", seed=61, days=numbers, snapshots=4, late_day=numbers[1])
    lake.upload(raw)
    lake.publish(DAYS[0], DAYS[-1])
    return raw


def records(lake: Lake) -> dict[str, dict]:
    """Returns the publication records in the bucket."""
    found = [json.loads(text) for key, text in lake.objects(LAKE, "published/").items() if key.count("/") == 3]
    return {record["day"]: record for record in found}


def scheduled(lake: Lake, time: str) -> dict:
    """Runs create_datalake as a schedule at this time does. Returns the execution after its end."""
    with lake.started(*FEW, "local") as process:
        process.wait_for_line(lambda line: "http://" in line)
        sfn = Endpoint(lake.url(), process, lake.home.parent).client("stepfunctions")
        event = {"detail-type": "Scheduled Event", "source": "aws.scheduler", "time": time}
        started = sfn.start_execution(stateMachineArn=STATE_MACHINES["create_datalake"], input=json.dumps(event))
        return finished(sfn, started["executionArn"])


def published_again(before: dict[str, dict], after: dict[str, dict]) -> list[str]:
    return [day for day, record in after.items() if record != before[day]]


def states(lake: Lake) -> dict[str, str]:
    return {day: found["state"] for day, found in days_of(lake).items()}


# The morning after the third day.
MORNING = "2020-04-04T10:00:00Z"


def test_a_late_file_is_stale_until_the_schedule_publishes_its_day(lake: Lake, raw: Path):
    late = raw.parent / "late"
    (name,) = [path.name for path in late.iterdir()]
    result = lake.upload(late)
    assert "1 published day is stale: 2020-04-02" in result.out and "run --stale --from 2020-04-02" in result.err, (
        result
    )
    found = days_of(lake)
    assert states(lake) == {DAYS[0]: "published", DAYS[1]: "stale", DAYS[2]: "published"}
    stale = found[DAYS[1]]["stale"]
    assert stale["late"] == {"count": 1, "first": [name]}
    assert stale["replaced"]["count"] == stale["removed"]["count"] == 0
    assert name in lake.run(*FEW, "status").out

    before = records(lake)
    ended = scheduled(lake, MORNING)
    assert ended["status"] == "SUCCEEDED", ended
    # The schedule is for the third day; the first one does not change.
    assert published_again(before, records(lake)) == [DAYS[1], DAYS[2]]
    assert set(states(lake).values()) == {"published"}
    assert_published(lake, raw, late)

    before = records(lake)
    assert scheduled(lake, "2020-04-05T10:00:00Z")["status"] == "SUCCEEDED", "a Saturday, on which there is nothing"
    assert records(lake) == before


def test_a_corrected_file_is_stale_and_published_by_hand(lake: Lake, raw: Path):
    path = next(iter(raw.rglob("20200401*_options.csv")), None) or next(iter(raw.rglob("20200401*_options.csv.gz")))
    time = path.name[:12]
    path.unlink()
    corrected = rawfiles.write(
        raw.parent / "corrected", "options", time, [rawfiles.option(), rawfiles.option("VALED99")]
    )
    uploaded = document(lake.run("upload", corrected.parent, "--format", "json"), "upload")
    assert uploaded["stale_days"] == {"count": 1, "first": [DAYS[0]]}
    assert days_of(lake)[DAYS[0]]["stale"]["replaced"] == {"count": 1, "first": [corrected.name]}

    before = records(lake)
    ran = document(lake.run("run", "--stale", "--format", "json", "--set", "quality.accept_lost_rows=true"), "run")
    assert ran["ranges"] == [{"from": DAYS[0], "to": DAYS[0]}] and len(ran["runs"]) == 1
    assert published_again(before, records(lake)) == [DAYS[0]]
    assert_published(lake, raw, corrected.parent)


def test_a_removed_file_is_stale_and_published_without_it(lake: Lake, raw: Path):
    key = max(key for key in lake.objects(RAW) if "2020-04-03" in key and key.startswith("quotes/"))
    with lake.endpoint() as endpoint:
        endpoint.client("s3").delete_object(Bucket=RAW, Key=key)
    name = key.rsplit("/", 1)[1]
    assert days_of(lake)[DAYS[2]]["stale"]["removed"] == {"count": 1, "first": [name]}
    # No run publishes fewer rows silently.
    refused = lake.fails("run", "--stale")
    assert "QualityError" in refused.output, refused
    assert states(lake)[DAYS[2]] == "failed"
    assert "nothing to do" in lake.run("run", "--stale").out and "2020-04-03 (failed)" in lake.run("run", "--stale").out

    before = records(lake)
    lake.publish(DAYS[2], None, "--set", "quality.accept_lost_rows=true")
    assert published_again(before, records(lake)) == [DAYS[2]]
    next(raw.rglob(f"{name}*")).unlink()
    assert_published(lake, raw)
    assert set(states(lake).values()) == {"published"}


def test_a_failed_day_is_tried_again_when_its_files_have_changed(lake: Lake, raw: Path):
    spoilt = raw.parent / "spoilt"
    rows = [rawfiles.quote(f"T{number:03}3") for number in range(40)]
    broken = rawfiles.write(spoilt, "quotes", "202004021731", rows)
    # All records of the file have one cell too many.
    header, *lines = broken.read_bytes().splitlines()
    broken.write_bytes(b"\n".join([header, *(line + b"," for line in lines)]) + b"\n")
    lake.upload(spoilt)
    before = records(lake)
    ended = scheduled(lake, MORNING)
    assert ended["status"] == "FAILED" and ended["error"] == "QualityError", ended
    assert DAYS[1] in ended["cause"] and "the other day passed" in ended["cause"], ended
    # The schedule is for the third day, which passed.
    assert published_again(before, records(lake)) == [DAYS[2]]
    before = records(lake)
    found = days_of(lake)[DAYS[1]]
    assert found["state"] == "failed" and found["failed"]["failures"] and not found["failed"]["again"], found
    assert found["next"].endswith(f"runs {found['failed']['run']}")
    assert found["stale"]["late"]["first"] == [broken.name], "the published view is older than the raw files"

    # The next scheduled run skips it, and processes only its own day.
    ended = scheduled(lake, "2020-04-05T10:00:00Z")
    assert ended["status"] == "SUCCEEDED" and records(lake) == before, ended
    mended = rawfiles.write(raw.parent / "mended", "quotes", "202004021731", rows)
    lake.upload(mended.parent)
    found = days_of(lake)[DAYS[1]]
    assert (found["state"], found["failed"]["again"]) == ("stale", True), found
    assert scheduled(lake, "2020-04-05T10:00:00Z")["status"] == "SUCCEEDED"
    assert published_again(before, records(lake)) == [DAYS[1]]
    assert_published(lake, raw, mended.parent)


def test_a_held_day_is_left_alone(lake: Lake, raw: Path):
    """Holds a day as a rollback does."""
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        key = "published/year=2020/month=4/day=2.json"
        record = json.loads(s3.get_object(Bucket=LAKE, Key=key)["Body"].read())
        record["held"] = {"at": record["written_at"], "by": "ana"}
        s3.put_object(Bucket=LAKE, Key=key, Body=json.dumps(record).encode())
    lake.upload(raw.parent / "late")
    found = days_of(lake)[DAYS[1]]
    assert (found["state"], found["held"]["by"], found["attention"]) == ("held", "ana", False)
    assert found["stale"]["late"]["count"] == 1 and found["next"].endswith("rollback 2020-04-02 --release")
    before = records(lake)
    result = lake.run("run", "--stale")
    assert "nothing to do" in result.out and "2020-04-02 (held)" in result.out, result
    assert scheduled(lake, "2020-04-05T10:00:00Z")["status"] == "SUCCEEDED"
    assert records(lake) == before


def test_stale_days_are_run_in_ranges(lake: Lake, tmp_path: Path):
    """Consecutive days are one run; a weekend between them does not split it."""
    days = ["20200401", "20200403", "20200406"]
    for folder, time in (("early", "1000"), ("late", "1010")):
        for day in days:
            rawfiles.write(tmp_path / folder, "quotes", day + time, [rawfiles.quote()])
    assert "nothing to do" in lake.run("run", "--stale").out, "an empty lake"
    lake.upload(tmp_path / "early")
    lake.publish("2020-04-01")
    first = document(lake.run("run", "--stale", "--format", "json"), "run")
    assert first["ranges"] == [{"from": "2020-04-03", "to": "2020-04-06"}], "those that were never published"
    assert "nothing to do" in lake.run("run", "--stale").out
    lake.upload(tmp_path / "late")
    before = records(lake)
    lake.run("run", "--stale", "--from", "2020-04-03", "--to", "2020-04-05")
    assert published_again(before, records(lake)) == ["2020-04-03"]
    result = lake.run("run", "--stale")
    assert "2 days to make, in 2 runs" in result.err, result
    assert published_again(before, records(lake)) == ["2020-04-01", "2020-04-03", "2020-04-06"]
    assert document(lake.run("run", "--stale", "--format", "json"), "run") == {"ranges": [], "runs": []}


def test_missing_files_are_accepted_by_name(lake: Lake, raw: Path):
    # No files of the 6th, a Monday: the scheduled run of the next morning fails.
    morning = "2020-04-07T10:00:00Z"
    ended = scheduled(lake, morning)
    assert ended["status"] == "FAILED" and ended["error"] == "DataMissing" and "2020-04-06" in ended["cause"], ended
    span = ["--from", "2020-04-06", "--to", "2020-04-06"]
    assert lake.run(*FEW, "status", "--check", *span, check=False).code == 3
    printed = lake.run(*FEW, "status", *span).out
    assert f"pregao --home {lake.home} run --accept-missing 2020-04-06" in printed, printed

    accepted = document(lake.run("run", "--accept-missing", "2020-04-06", "--by", "ana", "--format", "json"), "run")
    assert (accepted["day"], accepted["by"], accepted["record"]) == ("2020-04-06", "ana", 1)
    record = records(lake)["2020-04-06"]
    assert (record["cause"], record["missing_accepted"]) == ("missing_accepted", {"at": accepted["at"], "by": "ana"})
    assert "published" not in record
    again = lake.run("run", "--accept-missing", "2020-04-06", "--by", "bia")
    assert "were accepted by ana" in again.out and records(lake)["2020-04-06"] == record

    found = days_of(lake, *span)["2020-04-06"]
    assert (found["state"], found["missing"]["accepted"]["by"], found["next"]) == ("accepted", "ana", None)
    assert lake.run(*FEW, "status", "--check", *span).code == 0
    ended = scheduled(lake, morning)
    assert ended["status"] == "SUCCEEDED", ended


def test_an_accepted_day_keeps_what_is_published(lake: Lake, tmp_path: Path):
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", [rawfiles.quote()])
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")
    before = records(lake)["2020-04-01"]
    assert days_of(lake)["2020-04-01"]["state"] == "incomplete"
    lake.run("run", "--accept-missing", "2020-04-01")
    after = records(lake)["2020-04-01"]
    assert after["published"] == before["published"] and after["number"] == before["number"] + 1
    assert days_of(lake)["2020-04-01"]["state"] == "published"
    assert lake.query("SELECT count(*) AS n FROM quotes") == [{"n": 1}]
    # It is still processed when another file arrives.
    rawfiles.write(tmp_path / "late", "quotes", "202004011010", [rawfiles.quote()])
    lake.upload(tmp_path / "late")
    lake.run("run", "--stale")
    assert lake.query("SELECT count(*) AS n FROM quotes") == [{"n": 2}]
    assert records(lake)["2020-04-01"]["missing_accepted"] == after["missing_accepted"]


@pytest.mark.parametrize(
    "day, word",
    [("2020-04-04", "no business day"), ("2020-04-10", "no business day"), ("2199-01-04", "has not begun")],
)
def test_a_day_without_a_session_is_not_accepted_as_missing(lake: Lake, day: str, word: str):
    failed = lake.fails("run", "--accept-missing", day, "--format", "json")
    assert word in failure(failed, "run")["error"]["message"]
    assert lake.objects(LAKE) == {}


def test_a_day_that_misses_nothing_is_not_accepted(lake: Lake, raw: Path):
    before = records(lake)
    failed = lake.fails(*FEW, "run", "--accept-missing", DAYS[0])
    assert "nothing is missing of 2020-04-01" in failed.err, failed
    assert records(lake) == before


def test_each_of_2500_days_is_listed(lake: Lake):
    with lake.endpoint() as endpoint:
        days = many_days.publish(endpoint.url, 2_500)
        options = ["--set", "quality.min_snapshots=1", "status", "--format", "json"]
        found = {day["day"]: day for day in document(lake.run(*options), "status")}
    # A weekday on which the exchange is closed has files here; it is listed too.
    assert set(days) <= set(found)
    stale = [day for day in found if found[day]["state"] == "stale"]
    assert stale == days[::100]
    assert {found[day]["state"] for day in days} == {"stale", "published"}
    assert [found[day]["rows"]["quotes"] for day in days] == list(range(2_500))


def by_hand(lake: Lake) -> None:
    done = lake.run("run", "--stale")
    assert "1 day published and not in the catalog" in done.err, done
    assert "the catalog now has 1 day that had been published before" in done.out, done
    assert "nothing to do: no day" in lake.run("run", "--stale").out


def by_schedule(lake: Lake) -> None:
    """Runs for the next day, which has no raw files. A scheduled run looks back at the days before."""
    execution = scheduled(lake, "2020-04-03T10:00:00Z")
    assert (execution["status"], execution["error"]) == ("FAILED", "DataMissing"), execution


@pytest.mark.parametrize("start", [by_hand, by_schedule])
def test_killed_between_record_and_catalog_a_run_of_stale_days_completes(lake: Lake, tmp_path: Path, start):
    """The record says that the day is published, and no partition points at it: readers do not see it."""
    rawfiles.write_market(tmp_path / "raw", seed=62, days=["20200401"], snapshots=2)
    lake.upload(tmp_path / "raw")
    fault = f"service=s3&op=PutObject&key={LAKE}/catalog/locks/*:abort"
    with lake.started("local", "--faults", fault) as process:
        process.wait_for_line(lambda line: "http://" in line)
        assert lake.run("run", "--from", DAYS[0], check=False).code != 0
        process.wait()
    before = records(lake)
    assert list(before) == [DAYS[0]]
    start(lake)
    assert records(lake) == before, "nothing is published again"
    assert_published(lake, tmp_path / "raw")
