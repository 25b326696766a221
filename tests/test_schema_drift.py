"""Columns that a source adds to its files are reported and ignored, other changes of a header are refused, and columns that a
version adds to the tables are published from then on.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fewer_columns
import oracle
import rawfiles
from lake import DATABASE, LAKE, LENIENT, RAW, Endpoint, Lake, assert_same_rows, parquet_rows
from rawfiles import encode, file_name, header, quote

ADDED = ["Vwap", "Preço médio"]


def put(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


@pytest.mark.parametrize("engine", ["lambda", "emr"])
def test_files_with_added_columns_are_published_without_them(lake: Lake, tmp_path: Path, engine: str):
    rawfiles.write_drifted(tmp_path / "raw", seed=7, days=["20200401", "20200402"])
    expected = oracle.read_folder(tmp_path / "raw")
    uploaded = json.loads(lake.run("upload", tmp_path / "raw", "--format", "json").out)
    drifted = {path.name for path in (tmp_path / "raw").rglob("*.csv*") if is_drifted(path)}
    added = uploaded["added_columns"]
    assert added["count"] == len(drifted) > 10 and uploaded["quarantined"]["count"] == 0
    assert {file["name"] for file in added["first"]} <= drifted

    ran = lake.run(*LENIENT, "run", "--from", "2020-04-01", "--to", "2020-04-02", "--engine", engine)
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    for feed in oracle.FEEDS:
        report = lake.quality_report(feed)
        of_feed = {name for name in drifted if f"_{oracle.FEEDS[feed].suffix}." in name}
        (check,) = (check for check in report["checks"] if check["name"] == "added_columns")
        assert (check["failing"], check["passed"]) == (len(of_feed), True)
        assert check["checked"] == len([name for name in expected.files if f"_{oracle.FEEDS[feed].suffix}." in name])
        assert all("in no table" in example for example in check["examples"])
        counts = {file["name"]: {**file} for file in report["files"]}
        for name in counts:
            found = {outcome: counts[name][outcome] for outcome in oracle_outcomes()}
            assert found == {outcome: expected.files[name].counts[outcome] for outcome in oracle_outcomes()}, name
        assert f"{feed:<8} {len(of_feed)} files have added columns, which are ignored: " in ran.out


def oracle_outcomes() -> list[str]:
    return ["records", "published", "blank_ticker", "header_repeat", "ragged"]


def is_drifted(path: Path) -> bool:
    expected = oracle.Expected()
    feed = next(feed for feed in oracle.FEEDS.values() if f"_{feed.suffix}." in path.name)
    data = path.read_bytes()
    text = rawfiles.gzip.decompress(data) if path.suffix == ".gz" else data
    cells, _ = oracle.fields(next(oracle.lines(text)), feed.separator)
    oracle.read_file(path.name, data, expected)
    return len(cells) > len(feed.header) + 1


def test_an_added_column_is_named_after_the_upload(lake: Lake, tmp_path: Path):
    data = encode("quotes", "202004011000", [[*quote("PETR4"), "15.2", "100"]], added=ADDED)
    put(tmp_path / "raw", file_name("quotes", "202004011000"), data)
    uploaded = lake.upload(tmp_path / "raw")
    assert (
        "1 file has added columns, which are ignored: 202004011000_flashpanel.csv has columns that are in no table: "
        '"Vwap", "Preço médio"'
    ) in uploaded.out
    assert lake.objects(RAW, "quotes/") == {"quotes/date=2020-04-01/202004011000_flashpanel.csv": data}
    alone = lake.run("etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out", "--format", "json")
    named = {"name": "202004011000_flashpanel.csv", "columns": {"count": 2, "first": ADDED}}
    assert json.loads(alone.out)["added_columns"] == {"count": 1, "first": [named]}
    lake.publish("2020-04-01")
    assert lake.query("SELECT ticker, total_volume FROM quotes") == [{"ticker": "PETR4", "total_volume": 5762000.0}]
    assert lake.query("SELECT count(*) AS n FROM rejects") == [{"n": 0}]


CHANGES = {
    "moved": (lambda names: [*names[:3], names[4], names[3], *names[5:]], "there: it was moved to column 5"),
    "inserted": (lambda names: [*names[:3], "Vwap", *names[3:]], 'column 4 of the header is "Vwap"'),
    "renamed": (lambda names: [*names[:3], "X", *names[4:]], "there: it was renamed, or replaced"),
    "missing": (lambda names: [*names[:3], *names[4:]], "there: it is missing"),
    "missing at the end": (lambda names: names[:-1], "the header ends before column"),
    "added without a name": (lambda names: [*names, ""], "has no name"),
    "added twice": (lambda names: [*names, "Vwap", "Vwap"], "as is another column"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("feed", oracle.FEEDS)
def test_a_file_with_another_header_is_quarantined_with_the_reason(lake: Lake, tmp_path: Path, feed: str, change: str):
    make, reason = CHANGES[change]
    separator, name = oracle.FEEDS[feed].separator, file_name(feed, "202004011000")
    names = make(header(feed, "202004011000"))
    row = [rawfiles.quote(), rawfiles.option()][feed == "options"]
    cells = [*row, "1", "2", "3"][: len(names)]
    text = "\n".join(rawfiles.join(line, separator) for line in (names, cells)) + "\n"
    put(tmp_path / "raw", name, text.encode())
    put(tmp_path / "raw", file_name("quotes", "202004011010"), encode("quotes", "202004011010", [quote()]))
    failed = lake.fails("upload", tmp_path / "raw")
    assert f"quarantined {name}: " in failed.out and reason in failed.out, failed
    stored = lake.objects(RAW)
    assert stored[f"quarantine/{name}"] == text.encode()
    why = json.loads(stored[f"quarantine/{name}.reason.json"])
    assert why["reason"] == "wrong_header" and reason in why["message"], why
    assert f"{feed}/date=2020-04-01/{name}" not in stored
    # The oracle and the engine alone refuse it too.
    with pytest.raises(ValueError, match="this is not the header"):
        oracle.read_file(name, text.encode(), oracle.Expected())
    refused = lake.fails("etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    assert name in refused.err and reason in refused.err, refused
    lake.publish("2020-04-01")
    assert [row["ticker"] for row in lake.query("SELECT ticker FROM quotes")] == ["PETR4"]


DAYS = ["2020-04-01", "2020-04-02", "2020-04-03"]


def without(rows: list[dict], days: list[int], columns: list[str]) -> list[dict]:
    """Returns rows whose last columns are NULL on some days."""
    return [{**row, **dict.fromkeys(columns)} if row["day"] in days else row for row in rows]


def test_a_column_that_a_version_adds_is_null_on_older_days(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=3, days=[day.replace("-", "") for day in DAYS], snapshots=4)
    expected = oracle.read_folder(tmp_path / "raw")
    lake.upload(tmp_path / "raw")
    lake.publish(DAYS[0], DAYS[1])
    lacking = {"quotes": 1, "options": 2, "rejects": 1}
    fewer_columns.make_older(lake, lacking)
    names = {table: [column.name for column in oracle.TABLES[table]] for table in oracle.TABLES}
    lost = {table: names[table][-number:] for table, number in lacking.items()}
    for table, columns in names.items():
        shown = [row["field"] for row in lake.query(f"SHOW COLUMNS IN {table}")]
        assert shown == [*columns[: -lacking[table]], *oracle.PARTITION]
        assert lake.query(f"SELECT count(*) AS n FROM {table}") == [{"n": count_of(expected, table, [1, 2])}]
    lake.run("verify")

    lake.publish(DAYS[2])
    for table, columns in names.items():
        shown = [row["field"] for row in lake.query(f"SHOW COLUMNS IN {table}")]
        assert shown == [*columns, *oracle.PARTITION]
        rows = without(expected.rows[table], [1, 2], lost[table])
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), rows)
        (column,) = lost[table][:1]
        old = lake.query(f"SELECT count(*) AS n FROM {table} WHERE {column} IS NULL AND day < 3")
        assert old == [{"n": count_of(expected, table, [1, 2])}]
    with lake.endpoint() as endpoint:
        assert described(endpoint) == {
            (table, day): columns[: -lacking[table]] if day < 3 else columns
            for table, columns in names.items()
            for day in (1, 2, 3)
        }
    assert "2020-04-01" in lake.run("status").out
    lake.run("verify")

    # A run of an older day publishes the column of that day too.
    lake.publish(DAYS[0])
    for table in names:
        rows = without(expected.rows[table], [2], lost[table])
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), rows)
    with lake.endpoint() as endpoint:
        assert described(endpoint)["quotes", 1] == names["quotes"]
        assert described(endpoint)["quotes", 2] == names["quotes"][:-1]
    lake.run("verify")
    lake.run("recatalog")
    folders = [key for key in lake.objects(LAKE, "runs/") if "/quotes/year=2020/month=4/day=1/" in key]
    old, new = sorted({key.split("/")[1].removeprefix("run=") for key in folders})
    differing = lake.run("diff", DAYS[0], old, new).out
    assert "total_volume" in differing, differing


def count_of(expected: oracle.Expected, table: str, days: list[int]) -> int:
    return sum(row["day"] in days for row in expected.rows[table])


def described(endpoint: Endpoint) -> dict[tuple[str, int], list[str]]:
    """Returns the columns of each partition in the catalog, by table and day."""
    glue = endpoint.client("glue")
    return {
        (table, int(partition["Values"][2])): [column["Name"] for column in partition["StorageDescriptor"]["Columns"]]
        for table in oracle.TABLES
        for partition in glue.get_partitions(DatabaseName=DATABASE, TableName=table)["Partitions"]
    }


def test_a_table_with_other_columns_is_not_changed(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=4, days=["20200401", "20200402"], snapshots=2)
    expected = oracle.read_folder(tmp_path / "raw")
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")
    lake.run("query", "ALTER TABLE quotes ADD COLUMNS (vwap double)")
    failed = lake.fails("run", "--from", "2020-04-02")
    assert "TableColumnsDiffer" in failed.output and "total_volume double, vwap double" in failed.output, failed
    assert f"pregao query 'DROP TABLE {DATABASE}.quotes'" in failed.output
    lake.run("query", f"DROP TABLE {DATABASE}.quotes")
    lake.run("recatalog")
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
    assert all(parquet_rows(path) for path in lake.parquet_files("quotes")), LAKE
