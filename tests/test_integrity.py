"""A query returns the audited data. It fails on a damaged, missing, replaced or added file, and names the file.

`PREGAO_TEST_FLIPS=250` flips 250 bits, one at a time; the default is a sample.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import rawfiles
from lake import LAKE, Lake
from oracle import TABLES

FLIPS = int(os.environ.get("PREGAO_TEST_FLIPS", "24"))
MANIFEST = "_manifest.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with two published days. Tests must restore what they change."""
    folder = tmp_path_factory.mktemp("integrity")
    rawfiles.write_market(folder / "raw", seed=11, days=["20200401", "20200402"], snapshots=3)
    lake = Lake(folder / "home")
    lake.upload(folder / "raw")
    lake.publish("2020-04-01", "2020-04-02")
    return lake


def query_table(lake: Lake, table: str) -> tuple[int, str, str]:
    """Returns the exit code, the sorted rows and the errors of a query of the whole table."""
    result = lake.run("query", f"SELECT * FROM {table}", "--format", "csv", check=False)
    return result.code, "\n".join(sorted(result.out.splitlines())), result.err


def folder(lake: Lake, table: str, day: int = 1) -> Path:
    """Returns the folder of the only run of a day."""
    (found,) = (lake.files / "s3" / LAKE / "runs").glob(f"run=*/{table}/year=2020/month=4/day={day}")
    return found


def test_each_day_has_a_manifest_of_its_files(whole: Lake):
    for table in TABLES:
        for day in (1, 2):
            place = folder(whole, table, day)
            manifest = json.loads((place / MANIFEST).read_text())
            sizes = {path.name: path.stat().st_size for path in place.glob("*.parquet")}
            rows = {path.name: pyarrow.parquet.read_metadata(path).num_rows for path in place.glob("*.parquet")}
            assert manifest["folder"] == f"{place.relative_to(whole.files / 's3' / LAKE).as_posix()}/"
            assert {file["name"]: file["bytes"] for file in manifest["files"]} == sizes and sizes
            assert {file["name"]: file["rows"] for file in manifest["files"]} == rows


def test_pyarrow_agrees_with_the_checksums_of_pages(whole: Lake, tmp_path: Path):
    path = max(folder(whole, "quotes").glob("*.parquet"))
    pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
    data = bytearray(path.read_bytes())
    chunk = pyarrow.parquet.read_metadata(path).row_group(0).column(2)
    # The last byte of the column's last page.
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start + chunk.total_compressed_size - 1] ^= 1
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        pyarrow.parquet.ParquetFile(tmp_path / "x.parquet", page_checksum_verification=True).read()


def test_no_flipped_bit_changes_a_result(whole: Lake):
    """Flips bits at random positions of published files: each result is the same, or an error."""
    undamaged = {table: query_table(whole, table) for table in TABLES}
    assert all(code == 0 for code, _, _ in undamaged.values()), undamaged
    files = [path for table in TABLES for day in (1, 2) for path in sorted(folder(whole, table, day).iterdir())]
    assert any(path.name == MANIFEST for path in files)
    rng = random.Random(20200401)
    refused = 0
    for _ in range(FLIPS):
        path = rng.choice(files)
        data = path.read_bytes()
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        (table,) = (table for table in TABLES if f"/{table}/" in path.as_posix())
        code, rows, error = query_table(whole, table)
        path.write_bytes(data)
        where = f"bit {bit} of byte {place} of {path}: {error}"
        assert "panicked" not in error, where
        assert code != 0 or rows == undamaged[table][1], where
        refused += code != 0
    assert refused > FLIPS // 2, "most flips must hit bytes that a query reads"
    after = {table: query_table(whole, table) for table in TABLES}
    assert {table: found[:2] for table, found in after.items()} == {
        table: found[:2] for table, found in undamaged.items()
    }, "the restored files give the same results"


def _replace(place: Path) -> None:
    other = place.parent / "day=2"
    shutil.copy(next(other.glob("*.parquet")), next(place.glob("*.parquet")))


DAMAGES = {
    "deleted": lambda place: next(place.glob("*.parquet")).unlink(),
    "truncated": lambda place: os.truncate(next(place.glob("*.parquet")), 1000),
    "emptied": lambda place: os.truncate(next(place.glob("*.parquet")), 0),
    "of another day": _replace,
    "added": lambda place: shutil.copy(next(place.glob("*.parquet")), place / "more.parquet"),
    "no manifest": lambda place: (place / MANIFEST).unlink(),
    "no folder": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_files_that_differ_from_the_audited_ones_fail_the_query(whole: Lake, tmp_path: Path, damage: str):
    shutil.copytree(whole.files, tmp_path / "home", symlinks=True)
    lake = Lake(tmp_path / "home")
    before = lake.query("SELECT count(*) AS n FROM quotes")
    DAMAGES[damage](folder(lake, "quotes"))
    for sql in ("SELECT count(*) AS n FROM quotes", "SELECT sum(last) AS s FROM quotes WHERE day = 1"):
        result = lake.run("query", sql, "--format", "json", check=False)
        # The index of the object store has no entry for a file that was added to a folder by hand.
        if damage == "added" and result.code == 0:
            assert lake.query("SELECT count(*) AS n FROM quotes") == before
            continue
        assert result.code != 0, result
        assert "HIVE_" in result.err and "/day=1/" in result.err, result
    assert lake.query("SELECT count(*) AS n FROM quotes WHERE day = 2")[0]["n"] > 0, "the other day is read"


def test_a_file_that_changes_between_audit_and_publication_is_not_published(whole: Lake, tmp_path: Path):
    shutil.copytree(whole.files, tmp_path / "home", symlinks=True)
    lake = Lake(tmp_path / "home")
    with lake.endpoint() as endpoint:
        s3, functions = endpoint.client("s3"), endpoint.client("lambda")
        place = folder(lake, "quotes")
        run = place.relative_to(lake.files / "s3" / LAKE / "runs").parts[0].removeprefix("run=")
        key = next(place.glob("*.parquet")).relative_to(lake.files / "s3" / LAKE).as_posix()
        data = s3.get_object(Bucket=LAKE, Key=key)["Body"].read()
        # Another valid file of the same size: no row of one day occurs in the other.
        s3.put_object(Bucket=LAKE, Key=key, Body=data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        # The state of a run that was audited but not yet published.
        for day in (1, 2):
            s3.delete_object(Bucket=LAKE, Key=f"published/year=2020/month=4/day={day}.json")
        event = {"record": True, "run": run}
        response = functions.invoke(FunctionName="create-athena-table", Payload=json.dumps(event))
        error = json.loads(response["Payload"].read())
        assert response.get("FunctionError") and error["errorType"] == "QualityError", error
        assert "are not those that were audited" in error["errorMessage"], error
        assert key.rsplit("/", 1)[1] in error["errorMessage"], error
