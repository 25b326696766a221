"""The main path: raw files, `upload` and `run`; every row of the three tables is as the contract defines."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import oracle
import rawfiles
from conftest import Published
from lake import LAKE, LENIENT, RAW, Lake, assert_same_rows

PARTITION_PATH = re.compile(
    r"runs/run=([A-Za-z0-9_-]+)/(quotes|options|rejects)/year=(\d+)/month=(\d+)/day=(\d+)/(?:[^/]+\.parquet|_manifest\.json)"
)
ARROW_TYPES = {
    "bigint": pyarrow.int64(),
    "int": pyarrow.int32(),
    "double": pyarrow.float64(),
    "string": pyarrow.string(),
}


@pytest.fixture(scope="module")
def adversarial(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Six days of files in which most cells and records are wrong, with the checks disabled."""
    folder = tmp_path_factory.mktemp("adversarial")
    rawfiles.write_adversarial(folder / "raw", seed=2)
    lake = Lake(folder / "home")
    lake.upload(folder / "raw")
    lake.publish("2020-04-01", "2020-04-09", *LENIENT)
    return Published(lake, folder / "raw", oracle.read_folder(folder / "raw"))


@pytest.fixture(params=["market", "adversarial"])
def lake_and_truth(request: pytest.FixtureRequest) -> Published:
    """The tables must be right for both kinds of input, plausible and hostile."""
    return request.getfixturevalue("published" if request.param == "market" else "adversarial")


@pytest.mark.parametrize("table", oracle.TABLES)
def test_the_parquet_files_hold_every_row(lake_and_truth: Published, table: str):
    lake, _, expected = lake_and_truth
    assert expected.rows[table], "no row is expected, so the test would compare nothing"
    assert_same_rows(table, lake.stored_rows(table), expected.rows[table])


@pytest.mark.parametrize("table", oracle.TABLES)
def test_sql_returns_every_row(lake_and_truth: Published, table: str):
    lake, _, expected = lake_and_truth
    assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])


def test_the_lake_bucket_is_laid_out_by_run_and_day(published: Published):
    lake, _, expected = published
    days, runs = {table: set() for table in oracle.TABLES}, set()
    for key in lake.objects(LAKE):
        if key.startswith(("quality/", "published/", "catalog/")) or key.endswith(
            ("/plan.json", "/audit.json", "/publication.json")
        ):
            continue
        found = PARTITION_PATH.fullmatch(key)
        assert found, f"this key does not match the layout: {key}"
        run, table, *day = found.groups()
        assert day == [str(int(part)) for part in day], f"the partition is padded: {key}"
        days[table].add(tuple(map(int, day)))
        runs.add(run)
    assert days == expected.days
    assert len(runs) == 1, "one run wrote all of it"


def test_the_files_are_sorted_compressed_and_have_statistics(published: Published):
    for table in ("quotes", "options"):
        for path in published.lake.parquet_files(table):
            file = pyarrow.parquet.ParquetFile(path)
            columns = [(column.name, ARROW_TYPES[column.type]) for column in oracle.TABLES[table]]
            assert [(field.name, field.type) for field in file.schema_arrow] == columns, path
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                for at in range(group.num_columns):
                    chunk = group.column(at)
                    where = f"{path}, row group {number}, {chunk.path_in_schema}"
                    assert chunk.compression in ("SNAPPY", "ZSTD"), where
                    assert chunk.is_stats_set and chunk.statistics.has_null_count, where
                    if chunk.statistics.null_count < chunk.num_values:
                        assert chunk.statistics.has_min_max, where
                rows = file.read_row_group(number, columns=["ticker", "intdate"]).to_pylist()
                order = [(row["ticker"].encode(), row["intdate"]) for row in rows]
                assert order == sorted(order), f"{path}, row group {number} is not sorted by ticker and intdate"


def test_the_raw_files_are_kept_byte_for_byte(published: Published):
    lake, raw, _ = published
    stored = {Path(key).name: (key, data) for key, data in lake.objects(RAW).items()}
    given = {path.name: path.read_bytes() for path in raw.rglob("*.csv*")}
    assert stored.keys() == given.keys()
    for name, (key, data) in stored.items():
        feed = "quotes" if "flashpanel" in name else "options"
        assert key == f"{feed}/date={name[:4]}-{name[4:6]}-{name[6:8]}/{name}"
        assert data == given[name], name


def test_the_quality_reports_balance(lake_and_truth: Published):
    lake, _, expected = lake_and_truth
    for feed in ("quotes", "options"):
        report = lake.quality_report(feed)
        suffix = oracle.FEEDS[feed].suffix
        files = {name: file.counts for name, file in expected.files.items() if f"_{suffix}." in name}
        assert {file.pop("name"): Counter(file) for file in report["files"]} == files
        assert Counter(report["records"]) == sum(files.values(), Counter())
        assert report["rows"] == report["records"]["published"] == len(expected.rows[feed])

        cells = next(check for check in report["checks"] if check["name"] == "rejected_cells")
        assert cells["failing"] == expected.rejected_cells(feed)
        rejects = [row for row in expected.rows["rejects"] if row["table_name"] == feed]
        kinds = Counter((row["column_name"], row["reason"]) for row in rejects)
        assert {(kind["column_name"], kind["reason"]): kind["count"] for kind in report["rejects"]} == kinds


def test_a_day_that_is_run_twice_has_its_rows_once(tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=5, days=["20200401", "20200402"])
    expected = oracle.read_folder(tmp_path / "raw")
    lake = Lake(tmp_path / "home")
    for _ in range(2):
        lake.upload(tmp_path / "raw")
        lake.publish("2020-04-01", "2020-04-02")
        for table in oracle.TABLES:
            assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])
            partitions = lake.run("query", f"SHOW PARTITIONS {table}", "--format", "csv").out.splitlines()
            assert [line.strip('"') for line in partitions if "=" in line] == [
                "year=2020/month=4/day=1",
                "year=2020/month=4/day=2",
            ]


def test_a_run_does_not_change_another_day(tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=6, days=["20200401", "20200402"])
    expected = oracle.read_folder(tmp_path / "raw")
    lake = Lake(tmp_path / "home")
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")
    first = lake.objects(LAKE)
    lake.publish("2020-04-02")
    second = lake.objects(LAKE)
    of_days = {key: data for key, data in first.items() if not key.startswith("catalog/")}
    assert {key: data for key, data in second.items() if key in of_days} == of_days
    for table in oracle.TABLES:
        assert_same_rows(table, lake.query(f"SELECT * FROM {table}"), expected.rows[table])


def test_aggregates_agree_with_the_rows(published: Published):
    lake, _, expected = published
    counted = Counter(row["ticker"] for row in expected.rows["quotes"])
    answer = lake.query("SELECT ticker, count(*) AS n FROM quotes GROUP BY ticker")
    assert {row["ticker"]: row["n"] for row in answer} == counted
