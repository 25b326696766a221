"""`pregao files` and the list in the bucket name exactly the published files, which any reader of Parquet can read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

import oracle
import rawfiles
from lake import LAKE, ROOT, Lake, assert_same_rows, binary, environment, parquet_rows
from old_layout import make_old

SCHEMA = ROOT / "docs" / "schemas" / "files.json"
PAGES = [ROOT / "docs" / name for name in ("tables.md", "tables.pt-BR.md")]
FAILING = ["--set", "quality.fail_on_missing_snapshots=true"]

# Runs an example line by line, and prints its last three results as rows. The last three lines are expressions.
# It ends without destructors: the thread pools of the three libraries are destroyed in no defined order, and sometimes abort
# the process after its last line.
HARNESS = """
import json, os, sys
import duckdb, pandas, polars
lines = [line for line in sys.stdin.read().splitlines() if line]
scope = {"__name__": "example"}
exec("\\n".join(lines[:-3]), scope)
for line in lines[-3:]:
    found = eval(line, scope)
    if isinstance(found, duckdb.DuckDBPyRelation):
        rows = [dict(zip(found.columns, row)) for row in found.fetchall()]
    elif isinstance(found, pandas.DataFrame):
        rows = json.loads(found.to_json(orient="records", double_precision=15))
    else:
        rows = found.lazy().collect().to_dicts()
    print(json.dumps({"reader": line, "rows": rows}))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three published days. The first was published twice, and the last run of the second failed."""
    folder = tmp_path_factory.mktemp("files")
    rawfiles.write_market(folder / "raw", seed=61, days=["20200401", "20200402", "20200403"], snapshots=3)
    lake = Lake(folder / ".pregao")
    lake.upload(folder / "raw")
    lake.publish("2020-04-01")
    lake.publish("2020-04-01", "2020-04-03")
    lake.fails(*FAILING, "run", "--from", "2020-04-02")
    assert len(lake.stored_runs()) == 3
    return lake


def listed(lake: Lake, table: str, *options: str) -> list[dict]:
    files = json.loads(lake.run("files", table, "--format", "json", *options).out)
    jsonschema.validate(files, json.loads(SCHEMA.read_text()), jsonschema.Draft7Validator)
    return files


@pytest.mark.parametrize("table", oracle.TABLES)
def test_the_files_are_those_of_the_published_rows(published: Lake, table: str):
    files = listed(published, table)
    paths = {row["path"] for row in published.query(f'SELECT DISTINCT "$path" AS path FROM {table}')}
    assert paths <= {file["uri"] for file in files}
    # A day without rows has one file or none.
    assert sum(file["rows"] for file in files if file["uri"] not in paths) == 0
    assert [(file["day"], file["uri"]) for file in files] == sorted((file["day"], file["uri"]) for file in files)
    assert {file["day"] for file in files} == {"2020-04-01", "2020-04-02", "2020-04-03"}
    local = listed(published, table, "--paths")
    for file, local_file in zip(files, local, strict=True):
        path = Path(local_file["uri"])
        assert path.is_absolute() and path.as_posix().endswith(file["uri"].removeprefix("s3:/")), local_file
        assert {**local_file, "uri": file["uri"]} == file
        assert path.stat().st_size == file["bytes"] and len(parquet_rows(path)) == file["rows"]
    rows = [row for file in local for row in parquet_rows(Path(file["uri"]))]
    assert_same_rows(table, rows, published.query(f"SELECT * FROM {table}"))

    lines = published.run("files", table).out.splitlines()
    assert lines == [file["uri"] for file in files]
    assert published.run("files", table, "--paths").out.splitlines() == [file["uri"] for file in local]


def test_days_are_filtered(published: Lake):
    days = lambda *options: {file["day"] for file in listed(published, "quotes", *options)}  # noqa: E731
    assert days("--from", "2020-04-02") == {"2020-04-02", "2020-04-03"}
    assert days("--to", "2020-04-01") == {"2020-04-01"}
    assert days("--from", "2020-04-02", "--to", "2020-04-02") == {"2020-04-02"}
    assert days("--from", "2021-01-01") == set()
    assert "swap them" in published.fails("files", "quotes", "--from", "2020-04-02", "--to", "2020-04-01").err
    assert "is not a table" in published.fails("files", "trades").err


def test_the_list_in_the_bucket_is_the_same(published: Lake):
    for table in oracle.TABLES:
        written = json.loads(published.objects(LAKE, "catalog/files/")[f"catalog/files/{table}.json"])
        assert (written["version"], written["table"]) == (1, table)
        assert written["files"] == listed(published, table)


def examples() -> list[tuple[str, str]]:
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    return [(f"{name} {'S3' if 's3://' in block else 'paths'}", block) for name, block in blocks]


@pytest.mark.parametrize("example", [block for _, block in examples()], ids=[name for name, _ in examples()])
def test_the_examples_read_exactly_the_published_rows(published: Lake, tmp_path: Path, example: str):
    (tmp_path / "pregao").symlink_to(binary())
    columns = [column.name for column in oracle.TABLES["quotes"]]
    expected = published.query(f"SELECT {', '.join(columns)} FROM quotes")
    with published.endpoint() as endpoint:
        variables = {**environment(tmp_path), **endpoint.settings, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(
            [sys.executable, "-c", HARNESS],
            input=example,
            capture_output=True,
            text=True,
            env=variables,
            cwd=published.home.parent,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    readers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(readers) == 3
    for reader in readers:
        rows = [{name: row[name] for name in columns} for row in reader["rows"]]
        assert multiset(rows) == multiset(expected), reader["reader"]


def multiset(rows: list[dict]) -> Counter:
    """Returns the multiset of rows. Numbers compare by value: pandas converts integers beside NULL to doubles."""
    return Counter(tuple(row.items()) for row in rows)


def test_both_examples_are_in_both_languages():
    assert [name for name, _ in examples()] == [f"{page.name} {kind}" for page in PAGES for kind in ("paths", "S3")]


def test_a_lake_without_tables_has_no_files(lake: Lake):
    assert lake.run("files", "quotes").out == ""
    assert listed(lake, "options") == []


def test_days_without_a_record_are_an_error(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=62, days=["20200401", "20200402"], snapshots=3)
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01", "2020-04-02")
    make_old(lake)
    failed = lake.fails("files", "quotes", "--from", "2020-04-02")
    assert "1 day of quotes in the catalog without a record, from 2020-04-02" in failed.err, failed
    assert "run --from 2020-04-02 --to 2020-04-02" in failed.err
