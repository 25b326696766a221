"""No folder of a table contains unpublished rows, and lakes of the old layout keep working."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

import oracle
import rawfiles
from lake import LAKE, Lake, assert_same_rows
from old_layout import location, make_old

DAYS = ["20200401", "20200402", "20200403"]


def tables_in_catalog(lake: Lake) -> list[str]:
    """Returns the tables with partitions. The table `published` is one object."""
    names = [name for row in lake.query("SHOW TABLES") for name in row.values()]
    return [name for name in names if name != "published"]


def unreferenced(lake: Lake) -> list[str]:
    """Returns the objects below the location of any table that are in no folder of its partitions."""
    found = []
    for table in tables_in_catalog(lake):
        partitions = [value for row in lake.query(f"SHOW PARTITIONS `{table}`") for value in row.values()]
        clauses = [f"PARTITION ({value.replace('/', ', ')})" for value in partitions]
        folders = [location(lake, table, clause) for clause in clauses]
        assert folders, f"{table} has partitions"
        below = lake.objects(LAKE, location(lake, table))
        found += [key for key in below if not any(key.startswith(folder) for folder in folders)]
    return found


def verify(lake: Lake, *options: str) -> dict:
    result = lake.run("verify", "--deep", "--format", "json", *options, check=False)
    document = json.loads(result.out)
    assert (result.code, document["problems"]) == (0, []), result
    return document


def runs_of_days(lake: Lake) -> dict[str, set[str]]:
    """Returns the run of each published day, by `pregao status`."""
    document = json.loads(lake.run("status", "--format", "json").out)
    return {day["day"]: {day["run"]} for day in document if day["run"]}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Three days, and a late snapshot of the first in another folder."""
    return rawfiles.write_market_and_late(tmp_path / "given", seed=52, days=DAYS, snapshots=4)


def test_no_folder_of_a_table_holds_a_file_that_is_not_published(lake: Lake, raw: Path):
    s3 = lake.files / "s3" / LAKE
    in_tables = lambda: [path for table in oracle.TABLES for path in s3.glob(f"{table}/**/*")]  # noqa: E731
    lake.upload(raw)
    lake.fails("--set", "quality.fail_on_missing_snapshots=true", "run", "--from", "2020-04-01")
    assert lake.parquet_files("quotes"), "the failed run has left files"
    assert in_tables() == []

    lake.publish("2020-04-01", "2020-04-02")
    lake.publish("2020-04-01", "2020-04-03")
    lake.upload(raw.parent / "late")
    lake.publish("2020-04-01")
    lake.fails("--set", "quality.fail_on_missing_snapshots=true", "run", "--from", "2020-04-02")
    assert len(lake.stored_runs()) == 5, "three superseded or current runs, and two that failed"
    assert in_tables() == [] and unreferenced(lake) == []
    assert set(oracle.TABLES) <= set(tables_in_catalog(lake))
    expected = oracle.read_folder(raw.parent)
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])


def test_a_lake_of_the_old_layout_keeps_working(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish("2020-04-01", "2020-04-02")
    before = {table: lake.query(f"SELECT * FROM {table}") for table in oracle.TABLES}
    assert all(before.values())
    (old,) = lake.stored_runs()

    make_old(lake)
    assert not lake.objects(LAKE, "runs/") and unreferenced(lake) == []
    paths = {row["path"] for row in lake.query('SELECT DISTINCT "$path" AS path FROM quotes')}
    assert paths and all(f"/{LAKE}/quotes/year=2020/" in path and f"/run={old}/" in path for path in paths), paths
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), before[table])
    assert verify(lake)["notes"] == []
    assert runs_of_days(lake) == {"2020-04-01": {old}, "2020-04-02": {old}}

    # The next day, in addition to the old ones.
    lake.publish("2020-04-03")
    assert verify(lake)["notes"] == [], "no published folder is treated as unpublished"
    (next_run,) = runs_of_days(lake)["2020-04-03"]
    assert runs_of_days(lake)["2020-04-02"] == {old} != {next_run}

    # The first day again, with a late file. The audit compares with the data of the old run.
    lake.upload(raw.parent / "late")
    lake.publish("2020-04-01")
    lost = next(check for check in lake.quality_report("quotes")["checks"] if check["name"] == "lost_rows")
    assert lost["checked"] > 0 and lost["failing"] == 0, lost
    notes = [note["text"] for note in verify(lake)["notes"]]
    assert len(notes) == 1 and old in notes[0], notes
    again = runs_of_days(lake)
    assert again["2020-04-02"] == {old} and again["2020-04-01"].isdisjoint({old, next_run})
    expected = oracle.read_folder(raw.parent)
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])


def test_a_day_of_the_old_layout_does_not_shrink(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish("2020-04-01", "2020-04-02")
    make_old(lake)
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        listed = s3.list_objects_v2(Bucket="pregao-raw", Prefix="quotes/date=2020-04-02/")["Contents"]
        s3.delete_object(Bucket="pregao-raw", Key=listed[0]["Key"])
    failed = lake.fails("run", "--from", "2020-04-02")
    assert "lost_rows" in failed.output, failed


def test_verify_finds_a_partition_with_a_wrong_location(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish("2020-04-01")
    (run,) = lake.stored_runs()
    partition = "PARTITION (year = 2020, month = 4, day = 1)"
    for place in (f"runs/run={run}/options/year=2020/month=4/day=1/", f"runs/run={run}/quotes/", "quotes/"):
        lake.run("query", f"ALTER TABLE quotes {partition} SET LOCATION 's3://{LAKE}/{place}'")
        result = lake.run("verify", "--format", "json", check=False)
        problems = json.loads(result.out)["problems"]
        assert [problem["kind"] for problem in problems] == ["catalog"], result
        assert f"s3://{LAKE}/runs/run=.../quotes/year=2020/month=4/day=1/" in problems[0]["expected"]


def test_the_explorer_shows_reports_of_a_run_and_no_data(lake: Lake, raw: Path):
    lake.upload(raw)
    lake.publish("2020-04-01")
    objects = lake.objects(LAKE)
    report = next(key for key in objects if key.endswith("/quotes.json") and key.startswith("quality/"))
    data = [key for key in objects if "/quotes/year=" in key]
    assert len(data) == 2, "a file and its manifest"
    with lake.started("explore") as explorer:
        url = explorer.wait_for_line(lambda line: line.startswith("http://")).strip()

        def get_document(key: str) -> tuple[int, str]:
            query = urllib.parse.urlencode({"uri": f"s3://{LAKE}/{key}"})
            try:
                with urllib.request.urlopen(f"{url}/api/document?{query}", timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        assert get_document(report)[0] == 200
        old = data[0].replace(f"runs/run={lake.stored_runs().pop()}/", "")
        for key in [*data, old]:
            status, text = get_document(key)
            assert status == 400 and "is data of a table" in text, (key, status, text)
